"""Run directories made up for the tests of the report."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from labs.reporting.find import find_runs
from labs.reporting.row import Row
from labs.reporting.tables import build_tables
from labs.runs.recipe import normal_form

POLICIES = {
    "cub_scratch": {"freeze": "none", "weights": "random"},
    "cub_conv_frozen": {"freeze": "convs", "weights": "pretrained"},
    "cub_layer1_frozen": {"freeze": "layer1", "weights": "pretrained"},
    "cub_full": {"freeze": "none", "weights": "pretrained"},
}


def write_run(
    directory: Path,
    experiment: str = "cub_layer1_frozen",
    *,
    seed: int = 0,
    test_acc: float = 0.5,
    correct: np.ndarray | None = None,
    log: pd.DataFrame | None = None,
    picture: bool = False,
    settings: dict[str, float] | None = None,
    choices: dict[str, str] | None = None,
    overrides: str = "",
    recipe: dict[str, Any] | None = None,
    **changes: Any,
) -> Path:
    """Write a finished run on 300 embedded test images; `changes` replace entries of metrics.json.

    With the settings of a recipe it is of format 2, without them of format 1.

    `correct` (one truth value a test image) writes predictions.csv and sets the test accuracy. The third epoch, or the
    last of a shorter log, is the one that was tested.
    """
    log = make_log() if log is None else log
    best = min(3, len(log))
    test_acc = test_acc if correct is None else float(np.mean(correct))
    tested = {"test/acc": test_acc, "test/loss": 2.0 - test_acc}
    directory.mkdir(parents=True)
    all_choices = {
        "datamodule": "cub200", "module": "classifier", "net": "resnet18", "weights": "pretrained",
        "freeze": "none", "normalization": "dataset", "optimizer": "sgd", "scheduler": "none",
        "precision": "fp32", "augment": "none",
        **POLICIES.get(experiment, {}), **(choices or {}),
    }  # fmt: skip
    if correct is not None:
        table = pd.DataFrame({"name": [f"images/{i:03}.jpg" for i in range(len(correct))], "label": "003.Wren"})
        table["prediction"] = np.where(correct, "003.Wren", "004.Owl")
        table["confidence"] = 0.5
        table.to_csv(directory / "predictions.csv", index=False)
    swept = f"normalization={all_choices['normalization']}" if "cub" in str(experiment) else ""
    words = [
        f"experiment={experiment}",
        swept,
        f"seed={seed}",
        overrides,
    ]
    record: dict[str, Any] = {
        "format": 1 if recipe is None else 2,
        "status": "finished",
        "experiment": experiment,
        "practical": "cub",
        "data": "embedded",
        "seed": seed,
        "command": " ".join(filter(None, ["python train.py", *words, "data=embedded"])),
        "choices": all_choices,
        "settings": settings or {},
        "metrics": {**{name: value for name, value in log.iloc[best - 1].items() if "/" in str(name)}, **tested},
        "best_epoch": best,
        "selected_by": "max val/acc",
        "counts": {"train": 240, "val": 60, "test": 300},
        "epochs": len(log),
        "seconds": 61.2,
        "labels": ["embedded data"],
        "error": None,
        **changes,
    }
    (directory / "metrics.json").write_text(json.dumps(record))
    if recipe is not None:
        (directory / ".hydra").mkdir()
        (directory / ".hydra" / "recipe.yaml").write_text(normal_form(recipe, seed))
    final = record["metrics"] if isinstance(record["metrics"], dict) else {}
    tested = {name: value for name, value in final.items() if name.startswith("test/")}
    pd.DataFrame([tested]).to_csv(directory / "test_log.tsv", sep="\t", index=False)
    log.to_csv(directory / "log.tsv", sep="\t", index=False)
    (directory / "environment.json").write_text(json.dumps({"python": "3.12.1", "torch": "2.9.0", "device": "CPU"}))
    if picture:
        Image.new("RGB", (640, 320), "white").save(directory / "result.png")
    return directory


def make_log(train_acc: tuple[float, ...] = (0.25, 0.75, 1.0, 1.0), shift: float = 0.0) -> pd.DataFrame:
    """Make a log whose training accuracy is given and whose losses fall from epoch to epoch."""
    epochs = np.arange(1, len(train_acc) + 1)
    return pd.DataFrame(
        {
            "epoch": epochs,
            "seconds": 2.0 * epochs,
            "lr": 0.1,
            "train/loss": 4.0 / epochs + shift,
            "train/acc": train_acc,
            "val/loss": 5.0 / epochs + shift,
            "val/acc": np.asarray(train_acc) / 2,
        }
    )


def rows(folder: Path) -> list[Row]:
    """Read the rows of the one table that the runs of a folder make."""
    (table,) = build_tables(find_runs([folder]))
    return table.rows


def pixels(png: bytes | None) -> np.ndarray:
    """Return the pixels of a picture that was drawn, (height, width, 3)."""
    assert png is not None
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def count(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    """Count the pixels of exactly one colour."""
    return int((picture == colour).all(axis=-1).sum())
