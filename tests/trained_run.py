"""A run directory as training leaves it, made without training."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from omegaconf import OmegaConf
from test_experiments import composed

from labs.cli.check import build
from labs.runs.computed import without_resolvers

CLASSES = ["5", "6", "7", "8", "9"]


def write_trained_run(run_dir: Path, *overrides: str) -> Path:
    """Write what `predict.py` reads: the recipe, the record, and the checkpoint of a net that has learned nothing."""
    cfg = composed("experiment=digits_layer1_frozen", "weights=random", *overrides)
    module = build(cfg.module, "module")
    data = {
        "normalization": {"mean": [0.5] * 3, "std": [0.25] * 3}, "classes": CLASSES, "image_size": 16, "resize": 16,
    }  # fmt: skip
    for folder in (".hydra", "checkpoints"):
        (run_dir / folder).mkdir(parents=True)
    (run_dir / ".hydra" / "config.yaml").write_text(OmegaConf.to_yaml(without_resolvers(cfg)), encoding="utf-8")
    facts = {
        "format": 2, "status": "finished", "practical": cfg.practical, "metrics": {}, "labels": ["embedded data"],
    }  # fmt: skip
    (run_dir / "metrics.json").write_text(json.dumps(facts), encoding="utf-8")
    saved = {"state_dict": module.state_dict(), cfg.datamodule._target_.rpartition(".")[2]: data}
    for name in ("best", "last"):
        torch.save(saved, run_dir / "checkpoints" / f"{name}.ckpt")
    return run_dir
