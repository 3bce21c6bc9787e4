"""15-Scene: 4,485 gray photographs of 15 scene categories (Lazebnik, Schmid and Ponce, CVPR 2006), or gray patches."""

import re
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from filelock import FileLock

from labs import LabsError
from labs.datamodules.embedded.photo_patches import CLASSES, PATCHES_VERSION, write_patches
from labs.datamodules.folder_listing import KEY, LEFTOVERS, SPLITS, Listing, list_images
from labs.datamodules.image_files import suffixes
from labs.datamodules.pixels import decode_images
from labs.datamodules.sources import LabeledImages, print_found, say
from labs.quantities import quantity
from labs.storage.fetch import Archive, fetch
from labs.storage.files import typed_path, written_once
from labs.storage.unpack import unpack

ARCHIVE = Archive(
    name="scene_categories.zip",
    urls=(
        "http://www-cvr.ai.uiuc.edu/ponce_grp/data/scene_categories/scene_categories.zip",
        "http://www.cs.illinois.edu/homes/slazebni/research/scene_categories.zip",
    ),
    md5="58828019197b2ad0a7efb472e7a85c2a",
)
IMAGES = {
    "bedroom": 216,
    "suburb": 241,
    "industrial": 311,
    "kitchen": 210,
    "livingroom": 289,
    "coast": 360,
    "forest": 328,
    "highway": 260,
    "insidecity": 308,
    "mountain": 374,
    "opencountry": 410,
    "street": 292,
    "tallbuilding": 356,
    "office": 215,
    "store": 315,
}  # per class, without the collector's prefix (MITcoast, CALsuburb, PARoffice)
TRAIN = 100  # training images per class in the usual protocol; the other 2,985 are for testing
DEPTH = 4  # maximum number of nested folders around the classes


class Scenes15:
    """Read 15-Scene in any common layout, downloaded or from the user's folder.

    The layout is class folders (`MITcoast/`, or numbered from `00`), or `train/` and `test/` with class folders. Either
    can be inside other folders, such as `15SceneData/`. Without `train/` and `test/`, the training images of each class
    are drawn at random. Gray becomes three equal channels.

    Args:
        path: the folder with the images; None: the archive, which is downloaded and verified.
        folder: folder of all datasets.
        split: `drawn` draws the training images by `seed`, `first` uses the first file names of each class. Without
            effect for a folder with `train/` and `test/`.
        train_per_class: training images, or embedded training patches, per class.
        test_per_class: embedded test patches per class; without effect on photographs.
        seed: random seed of the split, or of the embedded patches.
        embedded: use gray patches of photographs that come with the project instead.
        skip_unreadable: skip images that cannot be decoded.
    """

    def __init__(
        self,
        *,
        path: str | None,
        folder: str,
        split: Literal["drawn", "first"] = "drawn",
        train_per_class: int = TRAIN,
        test_per_class: int = 50,
        seed: int = 0,
        embedded: bool = False,
        skip_unreadable: bool = False,
    ) -> None:
        path = path or None  # an empty value counts as none
        if embedded and path is not None:
            raise LabsError(f"{KEY}={path}: data=embedded uses its own images; remove one of the two.")
        for name, value, least in (("train_per_class", train_per_class, 2), ("test_per_class", test_per_class, 1)):
            if value < least:
                raise LabsError(f"datamodule.source.{name}={value}: expected {least} or more.")
        self.path, self.embedded, self.skip_unreadable = path, embedded, skip_unreadable
        self.split, self.train_per_class, self.test_per_class, self.seed = split, train_per_class, test_per_class, seed
        self.name = f"gray patches of {len(CLASSES)} photographs" if embedded else "15-Scene"
        self.folder = Path(folder)
        self.cache = self.folder / "cache"

    def load(self, size: int) -> LabeledImages:
        """Return the images at `size` pixels; the test set is that of the folder, or all images not drawn for training.

        Raises:
            LabsError: there are no images, only one class, too few images in a class, or images that cannot be
                decoded.
        """
        root = self._embedded() if self.embedded else typed_path(self.path, KEY) if self.path else self._online()
        listing = list_images(str(inner_folder(root)))
        files = [file for file in listing.files if file.path.suffix.lower() in suffixes()]
        classes = sorted({file.label for file in files})
        if len(classes) < 2:
            raise LabsError(f"{root}: found images of {quantity(len(classes), 'class')}, expected 15.")
        names, labels = [file.name for file in files], np.array([classes.index(file.label) for file in files])
        if listing.splits:
            is_test = np.array([file.split == "test" for file in files])
            if not is_test.any():
                raise LabsError(f"{root}: there are no images in test/; add some, or type the train/ folder instead.")
        else:
            is_test = ~chosen(
                names, labels, self.train_per_class, classes, self.seed if self.split == "drawn" else None
            )
        self._count(listing, labels, classes, is_test)
        pixels, kept, converted = decode_images(
            [file.path for file in files], size, self.cache / "pixels", skip_unreadable=self.skip_unreadable
        )
        for side, rows in (("training", ~is_test), ("test", is_test)):
            if emptied := set(range(len(classes))) - set(labels[kept][rows[kept]].tolist()):
                raise LabsError(f"{root}: class {classes[min(emptied)]} has no readable {side} image; add some.")
        others = Counter(skip.why for skip in listing.skipped)
        others["not an image"] += len(listing.files) - len(files)
        unusual = {word: count for word, count in converted.items() if word != "gray"}  # all of them are gray
        print_found(self.name, len(kept), len(classes), others, unusual)
        is_val = np.array([file.split == "val" for file in files])[kept]
        return LabeledImages(
            pixels,
            labels[kept].astype(np.int64),
            [names[row] for row in kept],
            classes,
            is_test[kept],
            is_val=is_val if is_val.any() else None,
        )

    def _count(self, listing: Listing, labels: np.ndarray, classes: list[str], is_test: np.ndarray) -> None:
        """Compare the images with 15-Scene: raise an error for the archive, print a note for the user's folder."""
        if self.embedded:
            return
        found = dict(zip(map(plain_name, classes), np.bincount(labels).tolist(), strict=True))
        wrong = [
            f"{name} {found[name]} instead of {count}"
            for name, count in IMAGES.items()
            if found.get(name, count) != count
        ]
        wrong += [f"no {name}" for name in IMAGES if name not in found and set(IMAGES) & set(found)]
        total, tested = sum(IMAGES.values()), int(is_test.sum())
        if len(labels) == total and not wrong:
            if listing.splits and tested != total - TRAIN * len(IMAGES):
                say(f"15-Scene: {tested:,} of {total:,} images are for testing, usually 2,985", [])
            return
        here = f"{quantity(len(labels), 'image')} in {quantity(len(classes), 'class')}"
        what = f"{listing.root}: found {here}; 15-Scene has {total:,} in 15"
        what += f" ({', '.join(wrong[:4])}{', ...' * (len(wrong) > 4)})" if wrong else ""
        if self.path is None:
            raise LabsError(f"{what}. Delete the folder {listing.root} and run again to unpack it again.")
        say(f"note: {what}", [])

    def _online(self) -> Path:
        root = self.folder / "scenes15"
        root.mkdir(parents=True, exist_ok=True)
        unpacked = root / "scene_categories"
        with FileLock(f"{unpacked}.lock"):
            if not unpacked.exists():
                try:
                    archive = fetch(ARCHIVE, root)
                except LabsError as error:
                    instead = (
                        f"If you have the images in any layout, type {KEY}=<folder>. "
                        "Without them, add data=embedded to the same command: it uses gray patches of photographs, "
                        "and the results say so."
                    )
                    raise LabsError(f"{error}\n{instead}") from error
                unpack(archive, unpacked)
        return unpacked

    def _embedded(self) -> Path:
        """Return the folder of the embedded patches; write them on the first call."""
        count = f"{self.train_per_class}+{self.test_per_class}"
        root = self.folder / "embedded" / f"photo_patches_{count}_seed{self.seed}_v{PATCHES_VERSION}"
        write = partial(write_patches, train=self.train_per_class, test=self.test_per_class, seed=self.seed)
        return written_once(root, write)


def inner_folder(root: Path) -> Path:
    """Return the folder of the classes, or of `train/` and `test/`: archives often nest them in other folders."""
    for _ in range(DEPTH):
        if not root.is_dir():
            break
        children = [p for p in root.iterdir() if not p.name.startswith(".") and p.name not in LEFTOVERS]
        folders = [path for path in children if path.is_dir()]
        if len(folders) != 1 or folders[0].name.lower() in SPLITS or not any(p.is_dir() for p in folders[0].iterdir()):
            break
        root = folders[0]
    return root


def plain_name(name: str) -> str:
    """Return a class name without the differences between archives.

    Examples:
        >>> [plain_name(name) for name in ("MITinsidecity", "PARoffice", "living room", "03")]
        ['insidecity', 'office', 'livingroom', '03']
    """
    return re.sub(r"[\W_]", "", re.sub(r"^(MIT|CAL|PAR)(?=[a-z])", "", name)).lower()


def chosen(names: list[str], labels: np.ndarray, count: int, classes: list[str], seed: int | None) -> np.ndarray:
    """Mark `count` training images per class: drawn by `seed`, or the first names in order if it is None.

    Returns:
        A boolean array (images,).

    Raises:
        LabsError: a class has no more than `count` images, so that none would be left for testing.
    """
    marked = np.zeros(len(names), dtype=bool)
    draw = None if seed is None else np.random.default_rng(seed)
    for label in range(len(classes)):
        members = np.array(sorted(np.flatnonzero(labels == label), key=lambda row: names[int(row)]))
        if len(members) <= count:
            raise LabsError(
                f"class {classes[label]} has {len(members)} images: {count} are for training, so none would be left "
                f"for testing. Add some, or type datamodule.source.train_per_class={max(len(members) // 2, 2)}."
            )
        marked[(members if draw is None else draw.permutation(members))[:count]] = True
    return marked
