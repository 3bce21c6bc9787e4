"""Cache the features of the frozen part of a net: compute them once, and train the rest of the net on them."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from torch import nn

from labs import LabsError
from labs.datamodules.batches import Resident
from labs.datamodules.image_classification import ImageClassification
from labs.datamodules.protocols import Recorded, handed_over
from labs.inspection.fixed_front import CannotCutError, Cut, fixed_cuts, resume_from, whole_again
from labs.nets.eval_mode import evaluating
from labs.quantities import duration
from labs.runs.directory import shown_path
from labs.storage.feature_stores import stored_features
from labs.storage.stores import NoRoomError, Stored, forget

DRAWN = (
    "training images are augmented anew in each epoch. To cache their features, too, type augment.views=4, which "
    "repeats four versions of each image."
)
WORTH = 200  # smallest number of operations that a byte of features must save: a rule of thumb
NEARLY_ALL = 0.99  # a cut that saves this fraction of the operations is as good as the deepest one
PROBE = 8  # images per split whose cached and uncached outputs are compared
SPLITS = ("train", "val", "test")


class FeatureCache(pl.Callback):
    """Train the rest of a net on the stored output of its frozen front part, where the result is the same.

    The front part ends before the first layer that trains in any epoch, has batch norm or dropout in train mode, or may
    depend on more than its input. Features of validation and test images can always be cached. Those of training images
    can be cached if there is no random augmentation, or a fixed number of views (`augment.views`). Before training, the
    outputs from stored features are compared with the net's own outputs for a few images of each split. Parameters,
    checkpoints and predictions of the net stay the same.

    Args:
        mode: `auto` caches whatever can be cached and prints what; `require` fails if training images cannot be cached;
            `off` caches nothing.
        folder: Folder of the stored features, shared by all runs.
        budget_gb: Largest size of the folder, in gigabytes. The features not used for the longest time are deleted.
    """

    def __init__(self, *, mode: Literal["auto", "off", "require"], folder: str, budget_gb: float = 8.0) -> None:
        if budget_gb <= 0:
            raise LabsError(
                f"feature_cache.budget_gb={budget_gb}: expected a number of gigabytes above 0, such as 8, or "
                "feature_cache=off."
            )
        self.mode, self.folder, self.budget = mode, Path(folder), int(budget_gb * 1e9)
        self.cut: Cut | None = None
        self.facts: dict[str, Any] = {}  # for metrics.json

    # Lightning's hooks, in the order they come

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Fail if the cache is required and the data cannot provide features."""
        if self.mode == "require" and not self._serves(trainer):
            raise LabsError("feature_cache=require: this practical cannot use stored features; type feature_cache=off.")

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Find the fixed part, compute or read its features, and use them; print what was done, or why not."""
        if self.mode == "off" or not self._serves(trainer):
            return
        try:
            self._begin(trainer, pl_module)
        except (CannotCutError, NoRoomError) as error:
            self._refuse_if_required(str(error))
            self._print(f"Feature cache off: {error}")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remember the first epoch, for a resumed run."""
        self.first_epoch = trainer.current_epoch

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Estimate the time saved."""
        if self.cut is not None:
            epochs = trainer.current_epoch - self.first_epoch
            passes = epochs * (self.passes.get("train", 0) + self.passes["val"]) + self.passes["test"]
            saved = passes * self.seconds_an_image - self.facts["feature_cache"]["computed_seconds"]
            self.facts["feature_cache"] |= {"passes": passes, "saved_seconds": round(max(saved, 0.0), 1)}
            self._print(
                f"Feature cache: {passes:,} passes through the frozen part were skipped, which saved {duration(saved)}."
            )

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Use the stored features for the test, too."""
        if self.cut is not None:
            resume_from(pl_module.get_submodule("net"), self.cut)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Restore the net."""
        if self.cut is not None:
            whole_again(pl_module.get_submodule("net"))

    # Computing the features

    def _begin(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data = handed_over(trainer, ImageClassification, to=self)
        net, device = pl_module.get_submodule("net"), pl_module.device
        limits = (trainer.limit_train_batches, trainer.limit_val_batches, trainer.limit_test_batches)
        if any(isinstance(limit, int) or limit < 1 for limit in limits):
            raise CannotCutError("this run uses only a few batches.")
        random = data.transforms.repeats is None
        if random:
            self._refuse_if_required(DRAWN)
        views = {split: data.transforms.views if split == "train" else None for split in SPLITS[random:]}
        parameters = dict(net.named_parameters(remove_duplicate=False))
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        trained = {id(p) for group in groups for p in group["params"]}  # now or in a later epoch
        image = next(data.every("test", device))[:1]
        context = trainer.precision_plugin.forward_context
        with context():
            cuts, blocker = fixed_cuts(net, image, lambda name: id(parameters[name]) in trained)
        counts = {split: len(data.rows[split]) * (views[split] or 1) for split in views}
        keys = {split: data.key(split, views[split]) for split in views}
        images = sum({str(keys[split]): counts[split] for split in views}.values())  # two splits may be the same images
        cut = choose([c for c in cuts if c.shape != tuple(image.shape[1:])], blocker, images, self.budget)
        part, rest = cut.parts()

        def features(split: str) -> Stored:
            return stored_features(
                part,
                lambda: data.every(split, device, views[split]),
                counts[split],
                (cut.shape, cut.dtype),
                key={**keys[split], "precision": str(trainer.precision)},
                folder=self.folder,
                budget=self.budget,
                precision=context,
            )

        def difference(split: str, found: Stored) -> float:
            with torch.no_grad(), evaluating(net), context():
                return _difference(net, rest, data, split, found.array, cut.dtype)

        tolerance = _tolerance(trainer, device)
        stores = {split: features(split) for split in views}
        for split, found in stores.items():
            if difference(split, found) > tolerance:
                forget(found)
                stores[split] = features(split)
                left = difference(split, stores[split])
                if left > tolerance:
                    raise CannotCutError(f"cached and uncached outputs differ by {left:.1e} ({split} images).")
        for split, found in stores.items():
            data.serve_features(split, found.array, dtype=cut.dtype, views=views[split])
        self.cut = cut
        resume_from(net, cut)
        self._report(stores, data, images)
        if random:
            self._print(f"Feature cache: only validation and test images are cached, because {DRAWN}")

    def _serves(self, trainer: pl.Trainer) -> bool:
        """Return whether the datamodule can provide features."""
        return isinstance(handed_over(trainer, Recorded, to=self), ImageClassification)

    def _refuse_if_required(self, why: str) -> None:
        if self.mode == "require":
            raise LabsError(f"feature_cache=require: {why} Type feature_cache=auto to train without it.")

    # Output

    def _report(self, stores: dict[str, Stored], data: ImageClassification, images: int) -> None:
        assert self.cut is not None
        built_last = sorted(stores.values(), key=lambda found: found.built)
        once = {str(found.array.filename): found for found in built_last}  # type: ignore[attr-defined]
        kept = [found.facts for found in once.values()]
        built = sum(found.facts["seconds"] for found in once.values() if found.built)
        size = sum(found.array.nbytes for found in once.values())
        self.seconds_an_image = sum(facts["seconds"] for facts in kept) / sum(facts["images"] for facts in kept)
        self.passes = {split: len(data.rows[split]) for split in stores}
        self.facts["feature_cache"] = {
            "cut": self.cut.name,
            "splits": list(stores),
            "images": images,
            "bytes": size,
            "computed_seconds": built,
        }
        how = f"were computed once, in {duration(built)}" if built else "were read from an earlier run"
        self._print(
            f"Feature cache: the net is frozen up to {self.cut.name}. Its features of {images:,} images {how} "
            f"({size / 1e6:,.1f} MB in {shown_path(self.folder)})."
        )

    @rank_zero_only
    def _print(self, line: str) -> None:
        Console(emoji=False).print(line, highlight=False, soft_wrap=True, markup=False)


def choose(cuts: Sequence[Cut], blocker: str, images: int, budget: int) -> Cut:
    """Return the best cut: of those that save nearly the most, the one with the smallest features.

    Args:
        cuts: Possible cuts, from the input to the output.
        blocker: Why there is no later cut.
        images: Number of images whose features are stored.
        budget: Largest size of the features, in bytes.

    Raises:
        CannotCutError: If no cut saves time, or if none fits the budget.
    """
    worth = [cut for cut in cuts if cut.flops >= WORTH * cut.bytes]
    if not worth:
        raise CannotCutError(f"{blocker} Reading the features before it would take as long as computing them.")
    fitting = [cut for cut in worth if cut.bytes * images <= budget]
    if not fitting:
        least = min(cut.bytes for cut in worth) * images / 1e9
        raise CannotCutError(
            f"the features of {images:,} images need {least:.1f} GB, but the budget is {budget / 1e9:g} GB; "
            f"type feature_cache.budget_gb={math.ceil(least)} to allow this."
        )
    most = max(cut.flops for cut in fitting)
    return min((cut for cut in reversed(fitting) if cut.flops >= NEARLY_ALL * most), key=lambda cut: cut.bytes)


def _difference(
    net: nn.Module, rest: nn.Module, data: ImageClassification, split: str, features: np.ndarray, dtype: torch.dtype
) -> float:
    """Return the largest difference of logits with and without stored features, relative to the largest logit."""
    count, device = len(data.rows[split]), next(net.parameters()).device
    positions = torch.unique(torch.cat([torch.arange(count)[: PROBE // 2], torch.arange(count)[-PROBE // 2 :]]))
    pixels = data.images[split][positions.tolist()].images.to(device)
    worst = 0.0
    for view in {0, len(features) // count - 1}:
        epoch = view if len(features) > count or (split == "train" and data.transforms.views) else None
        whole = net(data.transformed(pixels, positions.to(device), epoch)).float()
        held = Resident(features, None, views=len(features) // count, dtype=dtype)
        resumed = rest(held.values(positions, device, view)).float()
        worst = max(worst, float((whole - resumed).abs().max() / whole.abs().max().clamp(min=1)))
    return worst if math.isfinite(worst) else math.inf


def _tolerance(trainer: pl.Trainer, device: torch.device) -> float:
    if trainer.precision != "32-true" or torch.get_float32_matmul_precision() != "highest":
        return 3e-2
    return 1e-5 if device.type == "cpu" else 1e-3  # other devices choose their algorithms by the size of a batch
