"""A few images for inspecting a trained net: files, folders, embedded photographs, or the images of a run."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from labs import LabsError
from labs.datamodules.batches import Batch
from labs.datamodules.embedded.photographs import PHOTOGRAPHS
from labs.datamodules.image_files import UnreadableImageError, counted, images_below
from labs.datamodules.protocols import ImagesOfClasses, LooksIntoNet, needed
from labs.datamodules.read_picture import file_name, numbered
from labs.datamodules.sources import say
from labs.functional.augment import center_crop
from labs.runs.load import load_data
from labs.runs.trained_net import TrainedNet
from labs.storage.files import typed_path

UNKNOWN = -1  # the label of an image whose class is unknown


class Photos(pl.LightningDataModule):
    """Load images in [0, 1] at the net's input size; the method normalizes them.

    Args:
        images: files, folders of images (and their subfolders), or names of embedded photographs
            (`labs.datamodules.embedded.photographs`); None: the images of the run that the net is from, or else
            `photographs`.
        photographs: names of embedded photographs.
        split: split of the run: `train`, `val` or `test`.
        count: maximum number of images to use from a folder or a split, evenly spaced.
        batch_size: images per batch.
        embedded: whether to label the run as embedded data.
        folder: folder of all datasets.
    """

    def __init__(
        self,
        *,
        images: str | list[str] | None,
        photographs: list[str],
        split: Literal["train", "val", "test"],
        count: int,
        batch_size: int,
        embedded: bool,
        folder: str,
    ) -> None:
        super().__init__()
        for name, value in (("count", count), ("batch_size", batch_size)):
            if value < 1:
                raise LabsError(f"datamodule.{name}={value}: expected 1 or more.")
        self.sources = [images] if isinstance(images, str) else images
        if self.sources == []:
            raise LabsError(
                "datamodule.images=[]: expected files, folders or embedded photographs, or null for the default."
            )
        self.photographs, self.split, self.count, self.batch_size = photographs, split, count, batch_size
        self.embedded, self.folder = embedded, folder
        self.names: list[str] = []  # one per image, unique, usable as file names; known after setup, like the next ones
        self.pixels = torch.empty(0)  # (images, 3, height, width) in [0, 1]
        self.classes = torch.empty(0)  # (images,) int64: labels, or UNKNOWN
        self.credits: list[str] = []

    @property
    def labels(self) -> list[str]:
        """The labels that every number of a run on this data must show."""
        return ["embedded data"] if self.embedded else []

    def facts(self) -> dict[str, Any]:
        """Return the facts about the data for `metrics.json`."""
        return {
            "labels": self.labels,
            "counts": {"test": len(self.names)},
            "images": self.names,
            "credits": self.credits,
        }

    def setup(self, stage: str) -> None:
        """Read the images, once.

        Raises:
            LabsError: an image cannot be read, or a folder or a run has none.
        """
        if self.names:
            return
        if self.trainer and self.trainer.world_size > 1:
            raise LabsError("this run uses a single process: type trainer.devices=1.")
        net = needed(self.trainer.lightning_module if self.trainer else None, LooksIntoNet, by=self).looked_into
        if self.sources is None and net.run is not None:
            self._of_run(net)
        else:
            self._of_files(self.sources or self.photographs, net)

    def test_dataloader(self) -> DataLoader[Any]:
        """Load the images in order."""
        rows = TensorDataset(self.pixels, self.classes, torch.arange(len(self.names)))
        return DataLoader(rows, self.batch_size, collate_fn=_batch)

    def _of_files(self, typed: Sequence[str], net: TrainedNet) -> None:
        """Read files, folders and embedded photographs."""
        skipped, converted = Counter[str](), Counter[str]()
        found: dict[str, Tensor] = {}
        for source in typed:
            is_folder = source not in PHOTOGRAPHS and typed_path(source, "datamodule.images").is_dir()
            before = len(found)
            for file in self._in_folder(source, skipped) if is_folder else [source]:
                try:
                    found[file], words = net.read(file, "datamodule.images")
                    converted.update(words)
                except LabsError as error:
                    unreadable = error.__cause__
                    if not (is_folder and isinstance(unreadable, UnreadableImageError)):
                        raise  # a file that was typed must be readable
                    skipped[unreadable.reason] += 1
            if is_folder and len(found) == before:
                raise LabsError(
                    f"datamodule.images={source}: no images in this folder"
                    f"{f' ({counted(skipped)})' if skipped else ''}; type another, or an image file."
                )
        self.pixels = torch.stack(list(found.values()))
        self.classes = torch.full((len(found),), UNKNOWN)
        self.names = numbered([file_name(source) for source in found])
        self.credits = [PHOTOGRAPHS[source].credit_line for source in found if source in PHOTOGRAPHS]
        notes = {"skipped": skipped, "converted": converted}
        parts = [f"{what} {counted(numbers)}" for what, numbers in notes.items() if numbers]
        images = f"{len(found)} image{'s' * (len(found) != 1)} of {net.image_size} pixels"
        say("; ".join([images, *parts]), self.labels)

    def _in_folder(self, source: str, skipped: Counter[str]) -> list[str]:
        """List images in a folder and its subfolders, evenly spaced; count the other files."""
        inside, others = images_below(typed_path(source, "datamodule.images"))
        skipped.update(others)
        return list(map(str, _spread(inside, self.count)))

    def _of_run(self, net: TrainedNet) -> None:
        """Load images of the run's datamodule, as its net sees them."""
        assert net.run is not None
        data = needed(load_data(net.run, self.folder), ImagesOfClasses, by=self)
        places = _spread(range(len(data.rows[self.split])), self.count)
        stored: Batch = data.images[self.split][list(places)]
        self.pixels, self.classes = center_crop(stored.images, net.image_size).float() / 255, stored.labels
        names = [data.names[data.rows[self.split][place]] for place in places]
        self.names = numbered([file_name(name) for name in names])
        say(f"{len(places)} of {len(data.rows[self.split])} {self.split} images of {data.dataset}", self.labels)


def _spread(items: Sequence[Any], count: int) -> list[Any]:
    """Return at most `count` items, evenly spaced.

    Examples:
        >>> _spread(range(10), 3)
        [0, 3, 6]
    """
    taken = min(count, len(items))
    return [items[place * len(items) // taken] for place in range(taken)]


def _batch(rows: list[tuple[Tensor, Tensor, Tensor]]) -> Batch:
    return Batch(*(torch.stack(column) for column in zip(*rows, strict=True)))
