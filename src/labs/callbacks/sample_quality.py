"""Compare a GAN's samples with held-out real images, using the features of a judge net."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from labs import LabsError
from labs.callbacks.tensorboard import images_folder, save_picture, show_picture
from labs.datamodules.protocols import ImagesToImitate, MakesSamples, handed_over
from labs.functional.sample_metrics import (
    coverage,
    frechet_distance,
    histogram_distance,
    kernel_distance,
    nearest,
    precision_recall,
)
from labs.functional.tiles import as_bytes, tiled
from labs.metrics.inception import check_weights, inception_distance
from labs.metrics.judge import SIZE, Judge, trained_judge
from labs.storage.files import to_json, write_text

SHOWN = 10  # samples shown with their nearest training images
COMPARED = 1000  # largest number of samples whose nearest training image is searched
TRUSTED = 0.9  # accuracy from which on the judge's classes are reliable


class SampleQuality(pl.Callback):
    """Measure the quality of samples: one generated image per held-out real image, with the same label.

    After every training epoch: `val/fid`, `val/coverage`, `val/histogram_distance` and, for a conditional net,
    `val/label_agreement`. At the end: `test/fid`, `test/kid` and their values for real training images (`_floor`),
    `test/fid_start` before training, `test/fid_batch_statistics` with batch norm in training mode, `test/coverage`
    (classes), `test/histogram_distance`, `test/precision`, `test/recall`, `test/label_agreement`,
    `test/neighbour_ratio` and `test/judge_accuracy`. `quality.json` holds the details of the measurement.

    Args:
        folder: Folder of the judge.
        seed: Seed of the latents, which are the same in every epoch and run.
        neighbours: Number of neighbors for precision and recall.
        inception_weights: File of torch-fidelity's Inception weights, for `test/inception_fid`. None: the file in the
            folder of weights, if it exists.
        weights_folder: `paths.weights`. None: torch's cache.

    Raises:
        LabsError: If a value is out of range, or if the weights cannot be used.
    """

    judge: Judge  # set at the start of the run, like `real` and `wanted`
    real: Tensor  # features of the held-out images, (images, features), on the CPU
    wanted: Tensor  # their labels, (images,), also those of the samples

    def __init__(
        self,
        *,
        folder: str,
        seed: int = 0,
        neighbours: int = 3,
        inception_weights: str | None = None,
        weights_folder: str | None = None,
    ) -> None:
        self.folder, self.seed, self.neighbours = Path(folder), seed, neighbours
        if neighbours < 1:
            raise LabsError(f"callbacks.quality.neighbours={neighbours}: expected 1 or more, such as 3.")
        check_weights(inception_weights)
        self.inception_weights, self.weights_folder = inception_weights, weights_folder
        self.fid_start = float("nan")

    @rank_zero_only
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Train or load the judge, and compute the features of the real images."""
        self._prepare(trainer)

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure the untrained generator; a resumed run has this result already."""
        assert isinstance(pl_module, MakesSamples)
        if pl_module.iterations == 0:
            fake = self._fake(trainer, pl_module, batch_statistics=True)  # there are no running ones yet
            self.fid_start = frechet_distance(self._features(fake), self.real)

    @rank_zero_only
    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Measure at the last batch of an epoch, so that the epoch's row contains the results."""
        assert isinstance(pl_module, MakesSamples)
        if trainer.is_last_batch:
            features = self._features(self._fake(trainer, pl_module))
            fid = frechet_distance(features, self.real)
            for name, value in {**self._of_classes(features, pl_module), "fid": fid}.items():
                pl_module.log(f"val/{name}", value, on_step=False, on_epoch=True, rank_zero_only=True, batch_size=1)

    @rank_zero_only
    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compute all metrics; logged here, they are available to all callbacks at the end."""
        assert isinstance(pl_module, MakesSamples)
        self._prepare(trainer)
        fake, as_trained = (self._fake(trainer, pl_module, batch_statistics=own) for own in (False, True))
        features, floor = self._features(fake), self._features(self._some_training_images(trainer))
        results = {
            "fid": frechet_distance(features, self.real),
            "fid_floor": frechet_distance(floor, self.real),
            "fid_start": self.fid_start,
            "fid_batch_statistics": frechet_distance(self._features(as_trained), self.real),
            **self._of_classes(features, pl_module),
            "neighbour_ratio": self._neighbours(trainer, fake),
            "judge_accuracy": self.judge.accuracy,
        }
        results["precision"], results["recall"] = precision_recall(features, self.real, self.neighbours)
        with isolate_rng(include_cuda=False):
            torch.manual_seed(self.seed)
            results["kid"], results["kid_floor"] = (kernel_distance(some, self.real) for some in (features, floor))
        held_out = self._data(trainer).stored("test").images
        inception = inception_distance(fake, held_out, self.inception_weights, self.weights_folder)
        results |= {} if inception is None else {"inception_fid": inception}
        for name, value in results.items():
            pl_module.log(f"test/{name}", value, rank_zero_only=True, batch_size=1)
        self._write(trainer, features)

    def state_dict(self) -> dict[str, Any]:
        """Save the result of the untrained generator."""
        return {"fid_start": self.fid_start}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the result of the untrained generator."""
        self.fid_start = state_dict["fid_start"]

    def _prepare(self, trainer: pl.Trainer) -> None:
        """Get the judge and its features of the held-out images, once.

        Raises:
            LabsError: If there are not more held-out images than neighbors.
        """
        data = self._data(trainer)
        if hasattr(self, "judge"):
            return
        held_out = data.stored("test")
        if self.neighbours >= len(held_out.labels):
            raise LabsError(
                f"callbacks.quality.neighbours={self.neighbours}: expected fewer than {len(held_out.labels)}, the "
                "number of held-out images."
            )
        images = data.images if data.image_size == SIZE else data.source.load(SIZE)
        self.judge = trained_judge(images, self.folder).to(trainer.strategy.root_device)
        self.real = self._features(held_out.images)
        self.wanted = held_out.labels
        if self.judge.accuracy < TRUSTED:
            rank_zero_warn(
                f"the judge names {100 * self.judge.accuracy:.0f} % of held-out images rightly: coverage and label "
                "agreement of samples say little."
            )

    def _data(self, trainer: pl.Trainer) -> ImagesToImitate:
        return handed_over(trainer, ImagesToImitate, to=self)

    def _features(self, images: Tensor) -> Tensor:
        """Return the judge's features of uint8 images, on the CPU."""
        device = self.judge.head.weight.device
        with torch.no_grad():
            return torch.cat([self.judge(some.to(device)).cpu() for some in images.split(1000)])

    def _fake(self, trainer: pl.Trainer, module: MakesSamples, *, batch_statistics: bool = False) -> Tensor:
        """Generate one image per held-out image, in uint8 on the CPU, as it would be saved."""
        held_out = self._data(trainer).stored("test")
        return as_bytes(module.samples_like(held_out, self.seed, batch_statistics=batch_statistics))

    def _some_training_images(self, trainer: pl.Trainer) -> Tensor:
        """Draw at random as many training images as there are held-out ones, or take all."""
        train = self._data(trainer).stored("train").images
        return train[torch.randperm(len(train), generator=torch.Generator().manual_seed(self.seed))[: len(self.real)]]

    def _of_classes(self, features: Tensor, module: MakesSamples) -> dict[str, float]:
        preds = self.judge.classify(features)
        fake, real = self._histogram(preds), self._histogram(self.judge.classify(self.real))
        results = {"coverage": float(coverage(fake, real)), "histogram_distance": histogram_distance(fake, real)}
        if module.num_classes is not None:
            results["label_agreement"] = float((preds == self.wanted).float().mean())
        return results

    def _histogram(self, preds: Tensor) -> Tensor:
        return torch.bincount(preds, minlength=self.judge.head.out_features)

    def _neighbours(self, trainer: pl.Trainer, fake: Tensor) -> float:
        """Draw the samples closest to training images; return their distance relative to that of held-out images."""
        train, held_out = (self._data(trainer).stored(split).images for split in ("train", "test"))
        others = _flat(train)
        distances, places = nearest(_flat(fake[:COMPARED]), others)
        of_real, _ = nearest(_flat(held_out[:COMPARED]), others)
        closest = distances.argsort()[:SHOWN]
        picture = tiled(torch.cat([fake[closest], train[places[closest]]]), columns=len(closest))
        save_picture(picture, path := images_folder(trainer) / "neighbours.png")
        show_picture(trainer, "samples above their nearest training images", path)
        return float(distances.mean() / of_real.mean())

    def _write(self, trainer: pl.Trainer, features: Tensor) -> None:
        facts = {
            "samples": len(features),
            "held_out": len(self.real),
            "seed": self.seed,
            "neighbours": self.neighbours,
            "compared_with_training_images": min(COMPARED, len(features)),
            "judge": self.judge.hash,
            "judge_accuracy": self.judge.accuracy,
            "classes": self._data(trainer).images.classes,
            "generated_per_class": self._histogram(self.judge.classify(features)).tolist(),
            "real_per_class": self._histogram(self.judge.classify(self.real)).tolist(),
        }
        write_text(Path(trainer.default_root_dir) / "quality.json", to_json(facts))


def _flat(images: Tensor) -> Tensor:
    return images.flatten(1).float().div(255)
