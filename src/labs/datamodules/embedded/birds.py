"""The embedded substitute for CUB-200: drawn birds, in the layout of the real archives.

It is used without a network. Every picture is a function of (seed, group, species, image) only. The unusual
files of the real 2010 archive (AppleDouble files, a grayscale picture) are included, because readers must handle them.
"""

from pathlib import Path

import numpy as np

from labs import LabsError
from labs.datamodules.embedded.bird_drawing import draw_bird
from labs.datamodules.embedded.bird_species import GROUPS, SPECIES_PER_GROUP, Species, species
from labs.storage.bars import image_bar
from labs.storage.whole_folder import whole_folder

__all__ = ["BIRDS_VERSION", "Species", "draw_bird", "expected_count", "species", "write_cub200"]

BIRDS_VERSION = 1
"""Raised whenever the pictures or the layout change; part of the key of every cache of them."""

_CLASS_SIZES = (0, 1, -1, 2, -2)  # difference to the requested number of images, class after class
_OFFICIAL_TRAIN_IMAGES = 15  # per class, in the split published with the 2010 dataset
_APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "  # the header of such a file, without a picture
_ATTRIBUTES = ("has_crest", "has_wing_bars", "has_eye_ring", "has_markings")


def expected_count(num_classes: int, images_per_class: int) -> int:
    """Return the number of pictures that `write_cub200` writes.

    >>> expected_count(5, 30), expected_count(2, 30)
    (150, 61)
    """
    return sum(_class_size(index, images_per_class) for index in range(num_classes))


def write_cub200(
    root: Path,
    *,
    edition: str = "2010",
    group: str = "downstream",
    num_classes: int = 20,
    images_per_class: int = 30,
    seed: int = 0,
    progress: bool = True,
) -> None:
    """Draw a dataset of birds and write it in the layout of CUB-200's unpacked archives.

    Args:
        root: The folder to create. It is complete or, after an interruption, missing.
        edition: "2010" (`images/`, `lists/`, and the unusual files of the archive) or "2011" (`CUB_200_2011/`).
        group: "downstream" (the practical's classes) or "upstream" (other species, for pretraining).
        num_classes: Number of species, from 1 to 200.
        images_per_class: Pictures per species, at least 4; some classes have up to two more or fewer.
        seed: Random seed of the pictures; the species are always the same.
        progress: Whether to show a progress bar.

    Raises:
        LabsError: If an argument is out of range or `root` is not empty.
    """
    root = Path(root)
    _check(root, edition, group, num_classes, images_per_class)
    with whole_folder(root) as partial:
        images = partial / "images" if edition == "2010" else partial / "CUB_200_2011" / "images"
        with image_bar(progress) as bar:
            task = bar.add_task("Drawing birds", total=expected_count(num_classes, images_per_class))
            for index in range(num_classes):
                folder = images / f"{index + 1:03d}.{species(group, index).name}"
                folder.mkdir(parents=True)
                for number in range(_class_size(index, images_per_class)):
                    gray = index == num_classes // 2 and number == 1
                    _write_image(folder, edition, group, index, number, seed, gray)
                    bar.advance(task)
        if edition == "2010":
            _write_lists_2010(partial, seed)
            _write_strays(partial)
        else:
            _write_lists_2011(partial, seed)
        if root.exists():
            root.rmdir()


def _check(root: Path, edition: str, group: str, num_classes: int, images_per_class: int) -> None:
    if edition not in ("2010", "2011"):
        raise LabsError(f"Expected edition 2010 or 2011 of CUB-200, found {edition!r}.")
    if group not in GROUPS:
        raise LabsError(f"Expected a group of birds in {', '.join(GROUPS)}, found {group!r}.")
    if not 1 <= num_classes <= SPECIES_PER_GROUP:
        raise LabsError(f"Expected num_classes from 1 to {SPECIES_PER_GROUP}, found {num_classes}.")
    if not 4 <= images_per_class <= 9000:
        raise LabsError(f"Expected images_per_class from 4 to 9000, found {images_per_class}.")
    if root.is_file() or (root.is_dir() and any(root.iterdir())):
        raise LabsError(
            f"Expected a new or empty folder for the drawn birds, found {root}. Delete it or choose another."
        )


def _class_size(index: int, images_per_class: int) -> int:
    return images_per_class + _CLASS_SIZES[index % len(_CLASS_SIZES)]


def _write_image(folder: Path, edition: str, group: str, index: int, number: int, seed: int, gray: bool) -> None:
    rng = np.random.default_rng([seed, GROUPS.index(group), index, number])
    bird = species(group, index)
    image = draw_bird(bird, rng)
    digits = rng.integers(10**8, 10**10) if edition == "2010" else rng.integers(10**2, 10**6)
    name = f"{bird.name}_{number + 1:04d}_{digits}.jpg"
    (image.convert("L") if gray else image).save(folder / name, quality=90)


def _split(images: Path, edition: str, seed: int) -> list[tuple[str, bool]]:
    """List (`<class_dir>/<file>`, whether it is in the official training split), drawn class by class."""
    split: list[tuple[str, bool]] = []
    for index, folder in enumerate(sorted(images.iterdir())):
        names = sorted(path.name for path in folder.iterdir())
        half = len(names) // 2
        size = min(_OFFICIAL_TRAIN_IMAGES, half) if edition == "2010" else half
        chosen = np.random.default_rng([seed, index, int(edition)]).choice(len(names), size=size, replace=False)
        split += [(f"{folder.name}/{name}", position in chosen) for position, name in enumerate(names)]
    return split


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _write_lists_2010(root: Path, seed: int) -> None:
    (root / "lists").mkdir()
    split = _split(root / "images", "2010", seed)
    _write_lines(root / "lists" / "train.txt", [name for name, train in split if train])
    _write_lines(root / "lists" / "test.txt", [name for name, train in split if not train])


def _write_strays(root: Path) -> None:
    """Write the files of the real 2010 archive that are not pictures."""
    (root / "._images").write_bytes(_APPLE_DOUBLE)
    (root / "images" / ".DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1")
    for folder in sorted(path for path in (root / "images").iterdir() if path.is_dir())[::3]:
        for image in sorted(folder.iterdir())[:2]:
            (folder / f"._{image.name}").write_bytes(_APPLE_DOUBLE)


def _write_lists_2011(root: Path, seed: int) -> None:
    top = root / "CUB_200_2011"
    split = _split(top / "images", "2011", seed)
    folders = sorted(path.name for path in (top / "images").iterdir())
    _write_lines(top / "classes.txt", [f"{i} {folder}" for i, folder in enumerate(folders, 1)])
    _write_lines(top / "images.txt", [f"{i} {name}" for i, (name, _) in enumerate(split, 1)])
    labels = [f"{i} {folders.index(name.split('/')[0]) + 1}" for i, (name, _) in enumerate(split, 1)]
    _write_lines(top / "image_class_labels.txt", labels)
    _write_lines(top / "train_test_split.txt", [f"{i} {int(train)}" for i, (_, train) in enumerate(split, 1)])
    _write_lines(root / "attributes.txt", [f"{i} {name}" for i, name in enumerate(_ATTRIBUTES, 1)])
