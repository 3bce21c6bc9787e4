"""Measure what a GAN makes against held-out real images, through a judge that knows the images."""

import json
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.seed import isolate_rng
from PIL import Image
from torch import Tensor

from labs.callbacks.tensorboard import writer
from labs.datamodules.batches import Batch
from labs.functional.sample_metrics import (
    coverage,
    frechet_distance,
    histogram_distance,
    kernel_distance,
    nearest,
    precision_recall,
)
from labs.functional.tiles import tiled
from labs.inception import inception_distance
from labs.judge import SIZE, Judge, trained_judge

SHOWN = 10  # samples that are shown beside their nearest training images
COMPARED = 1000  # images whose nearest training image is looked for


class SampleQuality(pl.Callback):
    """Measure one generated image for every held-out real one, with its label.

    During training, at the end of every epoch: `val/fid`, `val/coverage`, `val/histogram_distance` and, of a
    conditional net, `val/label_agreement`. At the end: `test/fid`, `test/kid` and what real training images get
    instead of generated ones (`_floor`), `test/fid_start` before training, `test/fid_batch_statistics` with batch norm
    as in training, `test/coverage` (classes), `test/histogram_distance`, `test/precision`, `test/recall`,
    `test/label_agreement`, `test/neighbour_ratio` and `test/judge_accuracy`. How it was measured is in `quality.json`.

    Args:
        folder: where the judge is kept.
        seed: of the latents; the same ones in every epoch and run.
        neighbours: of precision and recall.
        inception_weights: file of torch-fidelity's Inception weights, for `test/inception_fid`; None: where torch
            keeps downloads, if they are there.
    """

    def __init__(
        self, *, folder: str, seed: int = 0, neighbours: int = 3, inception_weights: str | None = None
    ) -> None:
        self.folder, self.seed, self.neighbours = Path(folder), seed, neighbours
        self.inception_weights = inception_weights
        self.judge: Judge | None = None
        self.fid_start = float("nan")

    @rank_zero_only
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Train or load the judge, and see the real images through it."""
        self._prepare(trainer)

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure the untrained generator; a resumed run knows that already."""
        module: Any = pl_module
        if module.iterations == 0:
            fake = self._fake(trainer, module, batch_statistics=True)  # there are no running ones yet
            self.fid_start = frechet_distance(self._features(fake), self.real)

    @rank_zero_only
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure at the last batch of an epoch, so that the row of the epoch has the numbers."""
        if trainer.is_last_batch:
            features = self._features(self._fake(trainer, pl_module))
            for name, value in self._of_classes(features, pl_module).items():
                pl_module.log(f"val/{name}", value, on_step=False, on_epoch=True, rank_zero_only=True, batch_size=1)
            fid = frechet_distance(features, self.real)
            pl_module.log("val/fid", fid, on_step=False, on_epoch=True, rank_zero_only=True, batch_size=1)

    @rank_zero_only
    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure everything, and say how; what is logged now is known to all callbacks at the end."""
        self._prepare(trainer)
        assert self.judge is not None
        data, run_dir = _data(trainer), Path(trainer.default_root_dir)
        fake = self._fake(trainer, pl_module)
        features = self._features(fake)
        train = data.resident["train"].images.cpu()
        count = len(self.real)
        chosen = torch.randperm(len(train), generator=torch.Generator().manual_seed(self.seed))[:count]
        floor = self._features(train[chosen])
        distances, places = nearest(_flat(fake[:COMPARED]), _flat(train))
        of_real = nearest(_flat(data.resident["test"].images.cpu()[:COMPARED]), _flat(train)).distances
        precision, recall = precision_recall(features, self.real, self.neighbours)
        with isolate_rng(include_cuda=False):
            torch.manual_seed(self.seed)
            kid, kid_floor = kernel_distance(features, self.real), kernel_distance(floor, self.real)
        as_trained = self._features(self._fake(trainer, pl_module, batch_statistics=True))
        results = {
            "fid": frechet_distance(features, self.real),
            "fid_floor": frechet_distance(floor, self.real),
            "fid_start": self.fid_start,
            "fid_batch_statistics": frechet_distance(as_trained, self.real),
            "kid": kid,
            "kid_floor": kid_floor,
            **self._of_classes(features, pl_module),
            "precision": precision,
            "recall": recall,
            "neighbour_ratio": float(distances.mean() / of_real.mean()),
            "judge_accuracy": self.judge.accuracy,
        }
        inception = inception_distance(fake, data.resident["test"].images.cpu(), self.inception_weights)
        results |= {} if inception is None else {"inception_fid": inception}
        for name, value in results.items():
            pl_module.log(f"test/{name}", value, rank_zero_only=True, batch_size=1)
        self._write(run_dir, data, features, len(chosen))
        closest = distances.argsort()[:SHOWN]
        pairs = torch.cat([fake[closest], train[places[closest]]])
        (run_dir / "images").mkdir(exist_ok=True)
        picture = tiled(pairs, columns=len(closest))
        Image.fromarray(picture).save(run_dir / "images" / "neighbours.png")
        if (board := writer(trainer)) is not None:
            board.add_image("samples above their nearest training images", picture, dataformats="HWC")

    def state_dict(self) -> dict[str, Any]:
        """Save what the untrained generator got."""
        return {"fid_start": self.fid_start}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what the untrained generator got."""
        self.fid_start = state_dict["fid_start"]

    def _prepare(self, trainer: pl.Trainer) -> None:
        if self.judge is None:
            data = _data(trainer)
            self.judge = trained_judge(data.images if data.image_size == SIZE else data.source.load(SIZE), self.folder)
            self.real = self._features(data.resident["test"].images.cpu())
            self.wanted = data.resident["test"].labels.cpu()

    def _features(self, images: Tensor) -> Tensor:
        assert self.judge is not None
        with torch.no_grad():
            return torch.cat([self.judge(some) for some in images.split(1000)])

    def _fake(self, trainer: pl.Trainer, module: Any, *, batch_statistics: bool = False) -> Tensor:
        """Generate an image for each held-out one: uint8 on the CPU, as they would be saved."""
        held_out: Batch = _data(trainer).resident["test"]
        images: Tensor = module.samples_like(held_out, self.seed, batch_statistics=batch_statistics)
        return images.mul(255).round().byte().cpu()

    def _of_classes(self, features: Tensor, module: Any) -> dict[str, float]:
        fake, real, agreement = self._histograms(features)
        results = {"coverage": float(coverage(fake, real)), "histogram_distance": histogram_distance(fake, real)}
        conditional = module.net.generator.num_classes is not None
        return results | ({"label_agreement": agreement} if conditional else {})

    def _histograms(self, features: Tensor) -> tuple[Tensor, Tensor, float]:
        """Return images of each class among the generated and the real ones, and how many got the wanted label."""
        assert self.judge is not None
        preds, wanted = self.judge.classify(features), self.wanted
        classes = self.judge.head.out_features
        fake, real = (torch.bincount(labels, minlength=classes) for labels in (preds, wanted))
        return fake, real, float((preds == wanted).float().mean())

    def _write(self, run_dir: Path, data: Any, features: Tensor, floor: int) -> None:
        assert self.judge is not None
        fake, real, _ = self._histograms(features)
        facts = {
            "samples": len(features),
            "held_out": len(self.real),
            "floor_images": floor,
            "seed": self.seed,
            "neighbours": self.neighbours,
            "judge": self.judge.hash,
            "judge_accuracy": self.judge.accuracy,
            "classes": data.images.classes,
            "generated_per_class": fake.tolist(),
            "real_per_class": real.tolist(),
        }
        (run_dir / "quality.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _data(trainer: pl.Trainer) -> Any:
    return trainer.datamodule  # type: ignore[attr-defined]


def _flat(images: Tensor) -> Tensor:
    return images.flatten(1).float().div(255)
