"""CUB-200, birds of 200 species: the 2010 set (Welinder et al.), the 2011 set (Wah et al.), or drawn birds."""

import re
from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np
from filelock import FileLock

from labs import LabsError
from labs.datamodules.embedded.birds import BIRDS_VERSION, expected_count, write_cub200
from labs.datamodules.image_files import image_files
from labs.datamodules.pixels import decode_images
from labs.datamodules.sources import LabeledImages, print_found
from labs.datamodules.splits import first_k
from labs.quantities import quantity
from labs.storage.fetch import Archive, fetch
from labs.storage.unpack import unpack

_DRIVE = "https://drive.usercontent.google.com/download?id={}&export=download&confirm=t"
IMAGES_2010 = Archive(
    name="images.tgz",
    urls=(
        _DRIVE.format("1GDr1OkoXdhaXWGA8S3MAq3a522Tak-nx"),
        "http://www.vision.caltech.edu/visipedia-data/CUB-200/images.tgz",
    ),
    sha256="2a6d2246bbb9778ca03aa94e2e683ccb4f8821a36b7f235c0822e659d60a803e",
    size=679_421_896,
)
LISTS_2010 = Archive(
    name="lists.tgz",
    urls=(
        _DRIVE.format("1vZuZPqha0JjmwkdaS_XtYryE3Jf5Q1AC"),
        "http://www.vision.caltech.edu/visipedia-data/CUB-200/lists.tgz",
    ),
    sha256="aeacbd5e3539ae84ea726e8a266a9a119c18f055cd80f3836d5eb4500b005428",
    size=201_844,
)
ARCHIVE_2011 = Archive(
    name="CUB_200_2011.tgz",
    urls=(
        "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz?download=1",
        _DRIVE.format("1hbzc_P1FuxMkcabkgn9ZKinBwW683j45"),
    ),
    sha256="0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081",
    size=1_150_585_339,
)
COUNTS = {2010: 6_033, 2011: 11_788}  # images of all 200 classes
INSTEAD = "Without the dataset, add data=embedded to the same command: it uses drawn birds, and the results say so."
CLASS_FOLDER = re.compile(r"\d{3}\..+")


class CUB200:
    """Read CUB-200 in the layout of its archives, either downloaded and verified, or drawn.

    Args:
        folder: folder of all datasets; this one uses `<folder>/cub200_<edition>/`, or `<folder>/embedded/` if drawn.
        edition: 2010 (6,033 images) or 2011 (11,788 images).
        split: `first15` (the first 15 sorted file names of each class are the test set; hand-out 000) or `official`.
        num_classes: number of classes to use, the first ones of 200.
        embedded: draw birds instead of downloading photographs.
        skip_unreadable: skip images that cannot be decoded.
        images_per_class: approximate number of drawn images per class.
        group: group of drawn species: `downstream` for the practical, `upstream` for pretraining.
    """

    def __init__(
        self,
        *,
        folder: str,
        edition: Literal[2010, 2011] = 2010,
        split: Literal["first15", "official"] = "first15",
        num_classes: int = 200,
        embedded: bool = False,
        skip_unreadable: bool = False,
        images_per_class: int = 30,
        group: Literal["downstream", "upstream"] = "downstream",
    ) -> None:
        if not 2 <= num_classes <= 200:
            raise LabsError(f"datamodule.num_classes={num_classes}: CUB-200 has 200 classes; type 2 to 200.")
        if embedded and not 18 <= images_per_class <= 100:
            raise LabsError(f"datamodule.source.images_per_class={images_per_class}: expected 18 to 100.")
        self.edition, self.split, self.num_classes, self.embedded = edition, split, num_classes, embedded
        self.skip_unreadable, self.images_per_class, self.group = skip_unreadable, images_per_class, group
        drawn = f"drawn birds ({edition} layout{', upstream' if group == 'upstream' else ''})"
        self.name = drawn if embedded else f"CUB-200 ({edition})"
        self.folder = Path(folder)
        self.cache = self.folder / "cache"

    def load(self, size: int) -> LabeledImages:
        """Return the images at `size` pixels, with the chosen test set.

        Raises:
            LabsError: the archive is missing, incomplete or not the expected one, a class is empty, or an image cannot
                be decoded.
        """
        images, lists = self._embedded() if self.embedded else self._online()
        files, labels, classes, others = list_images(images, self.num_classes)
        self._count(images, len(files))
        names = [f"{file.parent.name}/{file.name}" for file in files]
        is_test = first_k(names, labels, classes=classes) if self.split == "first15" else self._official(names, lists)
        pixels, kept, converted = decode_images(
            files, size, self.cache / "pixels", skip_unreadable=self.skip_unreadable
        )
        for side, rows in (("training", ~is_test), ("test", is_test)):
            emptied = set(labels[rows].tolist()) - set(labels[kept][rows[kept]].tolist())
            if emptied:
                raise LabsError(
                    f"class {classes[min(emptied)]} has no {side} image that can be read; replace its files."
                )
        print_found(self.name, len(kept), len(classes), others, converted)
        return LabeledImages(pixels, labels[kept], [names[row] for row in kept], classes, is_test[kept])

    def _count(self, images: Path, found: int) -> None:
        """Check the number of images of the edition; with fewer classes, count those of all 200 classes if present."""
        expected = COUNTS[self.edition]
        if self.embedded:
            expected = expected_count(self.num_classes, self.images_per_class)
        elif self.num_classes < 200:
            folders, _ = class_folders(images)
            if len(folders) < 200:
                return
            found = sum(len(image_files(folder)[0]) for folder in folders)
        if found != expected:
            raise LabsError(
                f"{images}: found {quantity(found, 'image')}; expected {expected} of {self.name}. Is it the other "
                f"edition (datamodule.source.edition=2010 or 2011)? Otherwise delete the folder and run again."
            )

    def _online(self) -> tuple[Path, Path]:
        root = self.folder / f"cub200_{self.edition}"
        if self.edition == 2011:
            unpacked = _unpacked(ARCHIVE_2011, root) / "CUB_200_2011"
            return unpacked / "images", unpacked
        lists = _unpacked(LISTS_2010, root) / "lists" if self.split == "official" else root
        return _unpacked(IMAGES_2010, root) / "images", lists

    def _embedded(self) -> tuple[Path, Path]:
        key = f"birds_{self.edition}_{self.group}_{self.num_classes}x{self.images_per_class}_v{BIRDS_VERSION}"
        root = self.folder / "embedded" / key
        root.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{root}.lock"):
            if not root.exists():
                write_cub200(
                    root,
                    edition=str(self.edition),
                    group=self.group,
                    num_classes=self.num_classes,
                    images_per_class=self.images_per_class,
                )
        unpacked = root / "CUB_200_2011" if self.edition == 2011 else root
        return unpacked / "images", unpacked if self.edition == 2011 else root / "lists"

    def _official(self, names: list[str], lists: Path) -> np.ndarray:
        """Read the official test set: `lists/test.txt` in 2010, `train_test_split.txt` in 2011."""

        def lines(name: str) -> list[str]:
            return (lists / name).read_text(encoding="utf-8").splitlines()

        if self.edition == 2010:
            test = set(lines("test.txt"))
            known = test | set(lines("train.txt"))
        else:
            paths = dict(line.split() for line in lines("images.txt"))
            flags = dict(line.split() for line in lines("train_test_split.txt"))
            known = set(paths.values())
            test = {path for number, path in paths.items() if flags[number] == "0"}
        missing = [name for name in names if name not in known]
        if missing:
            raise LabsError(
                f"{lists}: the official split lacks {quantity(len(missing), 'image')}, such as {missing[0]}."
            )
        return np.array([name in test for name in names])


def list_images(root: Path, num_classes: int) -> tuple[list[Path], np.ndarray, list[str], Counter[str]]:
    """List the image files of the first classes under `root`, sorted, without hidden (macOS `._*`) and other files.

    Returns:
        Files, labels (images,) int64 from 0, class names, and counts of the other files by description.

    Raises:
        LabsError: there are fewer class folders than `num_classes`, or a class has no images.
    """
    folders, others = class_folders(root)
    if len(folders) < num_classes:
        raise LabsError(
            f"{root}: found {quantity(len(folders), 'class folder')} such as '001.Black_footed_Albatross', "
            f"expected {num_classes}."
        )
    files: list[Path] = []
    labels: list[int] = []
    for label, folder in enumerate(folders[:num_classes]):
        found, strays = image_files(folder)
        if not found:
            raise LabsError(
                f"{folder}: the class has no images; delete the dataset's folder and run again to unpack it again."
            )
        files += found
        labels += [label] * len(found)
        others += strays
    return files, np.array(labels, dtype=np.int64), [folder.name for folder in folders[:num_classes]], others


def class_folders(root: Path) -> tuple[list[Path], Counter[str]]:
    """List the class folders, sorted, and count everything else by description.

    Raises:
        LabsError: the class folders are not numbered consecutively from 001.
    """
    folders, others = [], Counter[str]()
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        if path.name.startswith("."):
            others["hidden"] += 1
        elif path.is_dir() and CLASS_FOLDER.fullmatch(path.name):
            folders.append(path)
        else:
            others["folder without a class" if path.is_dir() else "file outside the classes"] += 1
    for number, folder in enumerate(folders, start=1):
        if int(folder.name[:3]) != number:
            before = f" after {folders[number - 2].name}" if number > 1 else ""
            raise LabsError(
                f"{root}: found the class folder {folder.name}{before}, expected number {number:03d}; remove it if it "
                "is a copy, or delete the dataset's folder and run again to unpack it again."
            )
    return folders, others


def _unpacked(archive: Archive, root: Path) -> Path:
    """Return the folder of an archive's contents; download and unpack it if needed."""
    folder = root / archive.name.partition(".")[0]
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            try:
                path = fetch(archive, root)
            except LabsError as error:
                raise LabsError(f"{error}\n{INSTEAD}") from error
            unpack(path, folder)
    return folder
