"""Samples of a GAN: from fixed latents during training, interpolations between latents, and the losses."""

from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import pandas as pd
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from labs import LabsError
from labs.callbacks.tensorboard import images_folder, picture_is_due, save_picture, show_picture, writer
from labs.datamodules.protocols import MakesSamples, needed
from labs.drawing.picture_sheets import growth_gif
from labs.functional.latents import interpolate, seeded_latents
from labs.functional.tiles import tiled
from labs.practicals import sheet_of
from labs.runs.directory import read_facts
from labs.storage.files import write_text

PATHS: tuple[Literal["linear", "spherical"], ...] = ("linear", "spherical")


class Samples(pl.Callback):
    """Save samples from fixed latents before training, at given iterations and after every epoch.

    Of more than 100 epochs only some have samples.

    The callback writes `images/samples/<iteration>.png` and `losses.tsv` during training. At the end it writes
    `images/samples.gif`, `images/interpolation_linear.png`, `images/interpolation_spherical.png`, and
    `images/sheet.png`, which combines them. An unconditional net has `columns` x `columns` samples; a conditional net
    has one latent per column and one label per row.

    Args:
        at: Iterations at which samples are saved. The first two are shown on the sheet.
        columns: Number of samples in a row, and of interpolations.
        steps: Rows of an interpolation, including both ends.
        labels: Labels of the rows of a conditional net. None: every label.
        seed: Seed of the latents.

    Raises:
        LabsError: If a value is out of range.
    """

    def __init__(
        self, *, at: list[int], columns: int = 8, steps: int = 10, labels: list[int] | None = None, seed: int = 0
    ) -> None:
        for name, value, least in (("columns", columns, 1), ("steps", steps, 2), ("at", min(at, default=0), 0)):
            if value < least:
                raise LabsError(f"callbacks.samples.{name}={value}: expected {least} or more.")
        if labels == []:
            raise LabsError("callbacks.samples.labels=[]: expected labels such as [3,7], or null for all.")
        self.at, self.columns, self.steps, self.labels, self.seed = at, columns, steps, labels, seed
        self.losses: list[tuple[int, float, float]] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse other methods and unknown labels before training.

        Raises:
            LabsError: If the method is not a GAN, or if the net has no such labels.
        """
        classes = needed(pl_module, MakesSamples, by=self).num_classes
        if self.labels is not None and classes is None:
            raise LabsError(f"callbacks.samples.labels={self.labels}: this net is unconditional; type net=cdcgan.")
        if classes is not None and not all(0 <= label < classes for label in self.labels or []):
            raise LabsError(f"callbacks.samples.labels={self.labels}: expected labels from 0 to {classes - 1}.")

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save samples of the untrained generator; in a resumed run, delete samples from after the checkpoint."""
        assert isinstance(pl_module, MakesSamples)
        for frame in _frames(trainer):
            if int(frame.stem) > pl_module.iterations:
                frame.unlink()
        if not pl_module.iterations:
            self._save(trainer, pl_module)

    @rank_zero_only
    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Save samples if the iteration is in `at` or the last of the epoch."""
        assert isinstance(pl_module, MakesSamples)
        complete = pl_module.batches % pl_module.discriminator_steps == 0  # else the generator's steps are not due yet
        if (complete and pl_module.iterations in self.at) or (trainer.is_last_batch and picture_is_due(trainer)):
            self._save(trainer, pl_module)

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the losses of the epoch's iterations."""
        assert isinstance(pl_module, MakesSamples)
        if not pl_module.trace:
            return
        losses = torch.stack(pl_module.trace).cpu()
        first = pl_module.iterations - len(losses) + 1
        new = [(first + place, *row) for place, row in enumerate(losses.tolist())]
        self.losses += new
        table = pd.DataFrame(self.losses, columns=["iteration", "discriminator", "generator"])
        text = table.to_csv(sep="\t", index=False, float_format="%.6g", na_rep="nan")
        write_text(Path(trainer.default_root_dir) / "losses.tsv", text)
        for iteration, discriminator, generator in new:
            writer(trainer).add_scalar("iterations/discriminator_loss", discriminator, iteration)
            writer(trainer).add_scalar("iterations/generator_loss", generator, iteration)

    @rank_zero_only
    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the interpolations, the GIF and the sheet."""
        assert isinstance(pl_module, MakesSamples)
        images, run_dir = images_folder(trainer), Path(trainer.default_root_dir)
        for path in PATHS:
            picture = tiled(self.interpolated(pl_module, path).flatten(0, 1), self.columns)
            save_picture(picture, images / f"interpolation_{path}.png")
        facts = read_facts(run_dir)
        growth_gif(_frames(trainer), images / "samples.gif", facts.get("labels", []), unit="iterations")
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("test/")}
        sheet = sheet_of(facts.get("practical", ""))
        if sheet.draw is not None:
            sheet.draw(run_dir, metrics)
            show_picture(trainer, "sheet", run_dir / sheet.picture, pl_module.iterations)

    def interpolated(self, module: MakesSamples, path: Literal["linear", "spherical"]) -> Tensor:
        """Interpolate between `columns` pairs of latents; return images in [0, 1], (steps, columns, channels, ...).

        Each row is generated separately, so that the first and the last row are exactly the samples of their latents. A
        conditional net keeps one label per column.
        """
        start, end = seeded_latents(2 * self.columns, module.nz, self.seed).chunk(2)
        labels = torch.tensor(self._rows(module)).repeat(self.columns)[: self.columns]
        rows = interpolate(start, end, self.steps, path)
        return torch.stack([module.sample(latents, labels) for latents in rows]).cpu()

    def state_dict(self) -> dict[str, Any]:
        """Save the losses with the checkpoint."""
        return {"losses": self.losses}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the losses of the resumed run."""
        self.losses = [tuple(row) for row in state_dict["losses"]]

    def _rows(self, module: MakesSamples) -> list[int]:
        """Return the labels of a conditional net's rows, or zeros for an unconditional net."""
        classes = module.num_classes
        return [0] * self.columns if classes is None else self.labels or list(range(classes))

    def _save(self, trainer: pl.Trainer, module: MakesSamples) -> None:
        rows = self._rows(module)
        if module.num_classes is None:
            latents = seeded_latents(self.columns * len(rows), module.nz, self.seed)
        else:
            latents = seeded_latents(self.columns, module.nz, self.seed).repeat(len(rows), 1)
        labels = torch.tensor(rows).repeat_interleave(self.columns)
        # before training batch norm has no running statistics, and every image would be the same gray
        images = module.sample(latents, labels, batch_statistics=not module.iterations)
        path = images_folder(trainer, "samples") / f"{module.iterations:06d}.png"
        save_picture(tiled(images, self.columns), path)
        show_picture(trainer, "samples", path, module.iterations)


def _frames(trainer: pl.Trainer) -> list[Path]:
    return sorted(images_folder(trainer, "samples").glob("[0-9]*.png"))
