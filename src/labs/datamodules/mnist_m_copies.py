"""Existing copies of MNIST-M: Ganin's original folder of pictures, or two PyTorch files."""

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
from labs.datamodules.sources import LabeledImages, print_found

SPLITS = ("train", "test")
KEY = "datamodule.target.copy"


def read_copy(copy: str, size: int, cache: Path) -> LabeledImages:
    """Read an existing copy at `size` pixels: Ganin's folder of pictures, or two PyTorch files.

    Args:
        copy: the folder, or a folder that contains it as `mnist_m/`.
        size: height and width in pixels.
        cache: folder of decoded pictures.

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
        what = f"found {', '.join(found[:6]) + (', ...' if len(found) > 6 else '') if found else 'an empty folder'}"
    else:
        what = "this is a file; unpack it first" if path.exists() else "no such folder"
    raise LabsError(f"{KEY}={copy}: {what}; {_EXPECTED}")


_EXPECTED = (
    "expected a folder with mnist_m_train/, mnist_m_test/, mnist_m_train_labels.txt and mnist_m_test_labels.txt, or "
    f"with mnist_m_train.pt and mnist_m_test.pt; type {KEY}=<folder>, or remove it to build MNIST-M."
)


def refuse_pickle(name: str, copy: str) -> None:
    """Raise LabsError if a file name is that of a pickle, because opening a pickle can run any code."""
    if name.lower().endswith((".pkl", ".pkl.gz", ".pickle")):
        raise LabsError(f"{KEY}={copy}: pickles are not read, because opening one can run any code; {_EXPECTED}")


def _read_pictures(root: Path, size: int, cache: Path) -> LabeledImages:
    """Read Ganin's layout: one folder of pictures per split, and one line `name label` per picture."""
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
                raise LabsError(f"{where}: {name} is listed twice; unpack the archive again.")
            if name not in unnamed:
                raise LabsError(f"{where}: {folder} has no {name}; unpack the archive again.")
            unnamed.remove(name)
            named.add(name)
            names.append(f"{folder.name}/{name}")
            labels[-1].append(int(label))
        if not labels[-1]:
            raise LabsError(f"{lists}: the list is empty; unpack the archive again.")
        others += strays + Counter({"not in a list": len(unnamed)})
    files = [root / name for name in names]
    pixels, _, converted = decode_images(files, size, cache, advice="Unpack the archive again.")
    print_found("MNIST-M", len(files), len(mnist.CLASSES), others, converted)
    return labeled(pixels, labels, mnist.CLASSES)._replace(names=names)


def _read_tensors(root: Path, size: int) -> LabeledImages:
    """Read one PyTorch file per split: uint8 images, with channels first, last or none, and labels."""
    parts = [_read_tensor_pair(root / f"mnist_m_{split}.pt") for split in SPLITS]
    sized = [resize(images, size) for images, _ in parts]
    return labeled(np.concatenate(sized), [labels for _, labels in parts], mnist.CLASSES)


def _read_tensor_pair(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return images (images, 3, height, width) uint8, and their labels."""
    try:
        with file.open("rb") as opened:  # torch would read the name as UTF-8, whatever the locale
            content = torch.load(opened, map_location="cpu", weights_only=True)
        images, labels = (np.asarray(part) for part in content)
    except UnpicklingError as error:
        raise LabsError(f"{file}: damaged, or contains more than tensors, which could run any code.") from error
    except Exception as error:  # a truncated or foreign file can raise anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise LabsError(f"{file}: expected a pair of tensors, images and labels ({reason}).") from error
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
