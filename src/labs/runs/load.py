"""Rebuild a trained net from its run directory."""

import json
from pathlib import Path
from typing import NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image
from torch import Tensor

from labs import LabsError
from labs.datamodules.pixels import read_image
from labs.functional.augment import center_crop
from labs.practicals import sheet_of
from labs.runs.directory import read_facts


class TrainedRun(NamedTuple):
    """A net with what it needs to answer about an image."""

    module: pl.LightningModule
    classes: list[str]
    mean: list[float]
    std: list[float]
    image_size: int  # pixels, what the net sees
    resize: int  # pixels, what an image is resized to before the centre is cut
    labels: list[str]  # notes such as "embedded data"

    def read(self, file: Path) -> Tensor:
        """Read an image as the net was trained to see it: (1, 3, image_size, image_size), normalised.

        Raises:
            LabsError: the file is missing or no image.
        """
        try:
            pixels = read_image(file, self.resize)
        except FileNotFoundError as error:
            raise LabsError(f"image={file}: there is no such file.") from error
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise LabsError(f"image={file}: this is no image that Pillow can read ({error}).") from error
        images = torch.from_numpy(np.ascontiguousarray(pixels))[None].float().div(255)
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        return (center_crop(images, self.image_size) - mean) / std

    def predict(self, images: Tensor) -> Tensor:
        """Return class probabilities (batch, classes) of images (batch, 3, image_size, image_size)."""
        self.module.eval()
        with torch.inference_mode():
            probabilities: Tensor = self.module(images).float().softmax(dim=1)
        return probabilities


def load_run(run_dir: Path) -> TrainedRun:
    """Load the checkpoint of a run that answers about images, as its practical says, with what it was trained on.

    Raises:
        LabsError: the directory is not that of a run, or the run has saved no weights yet.
    """
    recipe = run_dir / ".hydra" / "config.yaml"
    cfg = OmegaConf.load(recipe) if recipe.is_file() else OmegaConf.create()
    answers = sheet_of(OmegaConf.select(cfg, "practical", default="") or "").answers
    if recipe.is_file() and answers is None:
        raise LabsError(
            f"run={run_dir}: runs of practical {cfg.practical} answer about no image; type the run directory of one "
            "that classifies."
        )
    checkpoint = run_dir / "checkpoints" / f"{answers}.ckpt"
    last = checkpoint.with_name("last.ckpt")
    if not checkpoint.is_file() and read_facts(run_dir).get("status") == "finished":
        checkpoint = last  # it selected no epoch, and was tested with its last
        if not last.is_file():
            raise LabsError(
                f"run={run_dir}: the run has finished, but its weights were not kept; train it with callbacks.best "
                "or callbacks.last."
            )
    for file in (recipe, checkpoint):
        if not file.is_file():
            raise LabsError(
                f"run={run_dir}: {file.relative_to(run_dir)} is missing, so this is no trained run; "
                "type the run directory that train.py printed, such as run=outputs/<experiment>/<time>."
            )
    cfg.paths.run_dir = str(run_dir)
    cfg.module.net.weights = "random"  # the checkpoint brings its own
    module = instantiate(cfg.module, _convert_="all")
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    module.load_state_dict(saved["state_dict"])
    data = saved[cfg.datamodule._target_.rpartition(".")[2]]
    labels = json.loads((run_dir / "metrics.json").read_text())["labels"]
    statistics = data["normalization"]
    return TrainedRun(
        module,
        data["classes"],
        statistics["mean"],
        statistics["std"],
        data["image_size"],
        data["resize"],
        labels,
    )
