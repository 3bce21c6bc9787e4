"""MNIST-M as others made it: Ganin's own folder of pictures, or two files of torch."""

from collections import Counter
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch

from labs import LabsError
from labs.datamodules import mnist
from labs.datamodules.image_files import image_files
from labs.datamodules.pixels import decode_images
from labs.datamodules.small_images import labeled, resize
from labs.datamodules.sources import LabeledImages, say_found

SPLITS = ("train", "test")
KEY = "datamodule.target.copy"


def read_copy(copy: str, size: int, cache: Path) -> LabeledImages:
    """Read a ready-made copy at `size` pixels: Ganin's folder of pictures, or two files of torch.

    Args:
        copy: the folder, or the one that holds it as `mnist_m/`.
        size: pixels, height and width.
        cache: folder for decoded pictures.

    Raises:
        LabsError: it is neither, or cannot be read.
    """
    path = Path(copy).expanduser()
    try:
        found = sorted(child.name for child in path.iterdir()) if path.is_dir() else []
        for root in (path, path / "mnist_m"):
            if all((root / f"mnist_m_{split}_labels.txt").is_file() for split in SPLITS):
                return _read_pictures(root, size, cache)
            if all((root / f"mnist_m_{split}.pt").is_file() for split in SPLITS):
                return _read_tensors(root, size)
    except OSError as error:
        raise LabsError(f"{KEY}={copy}: cannot be read ({error}).") from error
    for name in found:
        refuse_pickle(name, copy)
    if path.is_dir():
        what = f"a folder of {', '.join(found[:6]) + (', ...' if len(found) > 6 else '') if found else 'nothing'}"
    else:
        what = "a file; unpack it first" if path.exists() else "nothing there"
    raise LabsError(f"{KEY}={copy}: {what}; {_EXPECTED}")


_EXPECTED = (
    "expected a folder with mnist_m_train/, mnist_m_test/, mnist_m_train_labels.txt and mnist_m_test_labels.txt, or "
    f"with mnist_m_train.pt and mnist_m_test.pt; type {KEY}=<folder>, or leave it out to build MNIST-M."
)


def refuse_pickle(name: str, copy: str) -> None:
    """Raise LabsError if a file's name is that of a pickle, which can run any code when it is opened."""
    if name.lower().endswith((".pkl", ".pkl.gz", ".pickle")):
        raise LabsError(f"{KEY}={copy}: a pickle can run any code when it is opened, so none is read; {_EXPECTED}")


def _read_pictures(root: Path, size: int, cache: Path) -> LabeledImages:
    """Read Ganin's layout: a folder of pictures a split, and a line `name label` for each."""
    names: list[str] = []
    labels: list[list[int]] = []
    others = Counter[str]()
    for split in SPLITS:
        lists, folder = root / f"mnist_m_{split}_labels.txt", root / f"mnist_m_{split}"
        pictures, strays = image_files(folder) if folder.is_dir() else ([], Counter[str]())
        unnamed = {file.name for file in pictures}
        named: set[str] = set()
        labels.append([])
        for number, line in enumerate(lists.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            name, _, label = line.strip().rpartition(" ")
            if not line.strip():
                continue
            where = f"{lists}, line {number}"
            if label not in mnist.CLASSES or not name:
                raise LabsError(f"{where}: expected a name and a digit, such as '00000000.png 5', found {line!r}.")
            if name in named:
                raise LabsError(f"{where}: {name} is there for the second time; unpack the archive again.")
            if name not in unnamed:
                raise LabsError(f"{where}: {folder} has no {name}; unpack the archive again.")
            unnamed.remove(name)
            named.add(name)
            names.append(f"{folder.name}/{name}")
            labels[-1].append(int(label))
        if not labels[-1]:
            raise LabsError(f"{lists}: the list is empty; unpack the archive again.")
        others += strays + Counter({"that no list names": len(unnamed)})
    files = [root / name for name in names]
    pixels, _, converted = decode_images(files, size, cache, advice="Unpack the archive again.")
    say_found("MNIST-M", len(files), len(mnist.CLASSES), others, converted)
    return labeled(pixels, labels, mnist.CLASSES)._replace(names=names)


def _read_tensors(root: Path, size: int) -> LabeledImages:
    """Read a file of torch a split: images, uint8 with the channels first or last or none, and labels."""
    parts = [_read_tensor_pair(root / f"mnist_m_{split}.pt") for split in SPLITS]
    sized = [resize(images, size) for images, _ in parts]
    return labeled(np.concatenate(sized), [labels for _, labels in parts], mnist.CLASSES)


def _read_tensor_pair(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return images (images, 3, height, width) uint8, and their labels."""
    try:
        with file.open("rb") as opened:  # by Python: torch takes every name for UTF-8, whatever the locale
            content = torch.load(opened, map_location="cpu", weights_only=True)
        images, labels = (np.asarray(part) for part in content)
    except UnpicklingError as error:
        raise LabsError(f"{file}: damaged, or more than tensors, which could run any code and is not read.") from error
    except Exception as error:  # whatever stands in a file that is cut, or that is none of torch
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise LabsError(f"{file}: expected a pair of tensors, images and labels, found none ({reason}).") from error
    if images.ndim == 3:
        images = np.stack([images] * 3, axis=1)
    elif images.ndim == 4 and images.shape[-1] == 3:
        images = images.transpose(0, 3, 1, 2)
    shape = images.shape
    if images.dtype != np.uint8 or len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3] or len(images) == 0:
        raise LabsError(f"{file}: expected uint8 images (images, 28, 28, 3), found {images.dtype} {shape}.")
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() > 9:
        raise LabsError(f"{file}: expected {len(images)} labels from 0 to 9, found {labels.dtype} {labels.shape}.")
    return np.ascontiguousarray(images), labels
