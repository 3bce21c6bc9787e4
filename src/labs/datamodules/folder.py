"""Your own images: class folders, `train/`, `val/` and `test/` with class folders, or a table of paths and labels."""

from pathlib import Path
from typing import Literal

import numpy as np

from labs import LabsError
from labs.datamodules.duplicates import NEAR, groups_of, sets_of
from labs.datamodules.embedded.photo_tiles import TILES_VERSION, write_tiles
from labs.datamodules.findings import Findings
from labs.datamodules.folder_listing import KEY, Listing, Skipped, list_images
from labs.datamodules.folder_pixels import read_files
from labs.datamodules.sources import LabeledImages
from labs.datamodules.splits import stratified_holdout
from labs.storage.files import written_once


class Folder:
    """Read a folder or a table of images; report what was found, what was skipped, and why.

    If the user has no test images, a stratified, seeded part is held out. Exact and near copies stay in the same split.

    Args:
        path: a folder, or a .csv or .tsv file.
        folder: folder of all datasets, for computed files and the embedded images.
        embedded: use patches of photographs that come with the project instead.
        test_fraction: fraction of each class that is held out for testing.
        split_seed: random seed of that split.
        near: maximum fraction of brightness steps that differ between near copies (`labs.datamodules.duplicates`); 0
            finds exact copies only.
        path_column: name of a table's column of paths.
        label_column: name of a table's column of labels.
        split_column: name of a table's column of splits, which is optional.
        other_columns: `refuse` or `ignore` other columns of a table.
    """

    def __init__(
        self,
        *,
        path: str | None,
        folder: str,
        embedded: bool = False,
        test_fraction: float = 0.2,
        split_seed: int = 0,
        near: float = NEAR,
        path_column: str = "path",
        label_column: str = "label",
        split_column: str = "split",
        other_columns: Literal["refuse", "ignore"] = "refuse",
    ) -> None:
        path = path or None  # an empty value counts as none
        if embedded and path is not None:
            raise LabsError(
                f"{KEY}={path}: data=embedded uses its own images; remove data=embedded to use yours. Offline, add "
                "net=efficientnet_lite0 weights=imagenet."
            )
        if not embedded and path is None:
            raise LabsError(f"{KEY}: which images? Type their folder, for example {KEY}=my_photos.")
        for name, value in {"test_fraction": test_fraction, "near": near}.items():
            if not 0 <= value < 1 or (name, value) == ("test_fraction", 0):
                raise LabsError(f"datamodule.source.{name}={value}: expected a fraction between 0 and 1, such as 0.2.")
        self.path, self.embedded, self.near = path, embedded, near
        self.test_fraction, self.split_seed = test_fraction, split_seed
        self.columns, self.other_columns = (path_column, label_column, split_column), other_columns
        self.folder = Path(folder)
        self.cache = self.folder / "cache"
        self.name = "pieces of photographs" if path is None else Path(path).expanduser().resolve().name

    def load(self, size: int) -> LabeledImages:
        """Return the images at `size` pixels, with the user's splits, if any.

        Raises:
            LabsError: the folder or the table is not valid, or a class has no readable image.
        """
        path = str(self._written()) if self.path is None else self.path
        listing = list_images(path, self.columns, self.other_columns)
        pixels = self.cache / "pixels"
        return read_listing(
            listing, size, pixels, place=path, near=self.near, fraction=self.test_fraction, seed=self.split_seed
        )

    def _written(self) -> Path:
        """Return the folder of the embedded images; write them on the first call."""
        root = self.folder / "embedded" / f"photo_tiles_v{TILES_VERSION}"
        return written_once(root, write_tiles)


def read_listing(
    listing: Listing, size: int, cache: Path, *, place: str, near: float, fraction: float = 0.2, seed: int = 0
) -> LabeledImages:
    """Read the listed images, and hold out a test set if there is none.

    Args:
        listing: the images to read.
        size: height and width of the returned images, in pixels.
        cache: folder of decoded images.
        place: where the images are, as typed by the user.
        near: maximum fraction of brightness steps that differ between near copies; 0 finds exact copies only.
        fraction: fraction of each class that is held out for testing.
        seed: random seed of that split.

    Raises:
        LabsError: a class has no readable image.
    """
    read = read_files(listing.files, size, cache)
    files = [listing.files[row] for row in read.kept]
    skipped = [Skipped(listing.files[row].name, why) for row, why in read.unreadable]
    _check_readable(listing, {file.label for file in files}, skipped)
    classes = listing.classes
    labels = np.array([classes.index(file.label) for file in files], dtype=np.int64)
    exact, groups = groups_of(read.contents, read.hashes, near)
    is_test = np.array([file.split == "test" for file in files])
    is_val = np.array([file.split == "val" for file in files])
    if not is_test.any():
        rows = np.flatnonzero(~is_val)
        cut = stratified_holdout(labels[rows], fraction, seed, classes, groups[rows])
        is_test[rows[cut]] = True
    return LabeledImages(
        pixels=read.pixels,
        labels=labels,
        names=[file.name for file in files],
        classes=classes,
        is_test=is_test,
        groups=groups,
        is_val=is_val if is_val.any() else None,
        findings=Findings(
            place=place,
            skipped=[*listing.skipped, *skipped],
            converted=read.converted,
            copies=sets_of(exact),
            near_copies=[rows for rows in sets_of(groups) if len(set(exact[rows])) > 1],
            notes=listing.notes,
        ),
    )


def _check_readable(listing: Listing, readable: set[str], skipped: list[Skipped]) -> None:
    """Raise an error if no image of a class can be read."""
    for label in sorted(set(listing.classes) - readable):
        names = [file.name for file in listing.files if file.label == label]
        why = next(skip.why for skip in skipped if skip.name in names)
        raise LabsError(
            f"class {label} has no readable image: {names[0]} is {why}; {len(names)} files in all. Replace "
            "them, or remove the class."
        )
