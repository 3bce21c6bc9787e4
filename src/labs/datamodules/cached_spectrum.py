"""The spectrum and colors of images, measured once and kept on disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labs import LabsError
from labs.datamodules.embedded.photographs import PHOTOGRAPHS
from labs.datamodules.protocols import ImagesOfClasses, needed
from labs.datamodules.read_picture import cover, read_picture
from labs.functional.augment import center_crop
from labs.functional.spectrum import Spectrum, measure
from labs.runs.load import load_data
from labs.runs.trained_net import TrainedNet
from labs.storage.stores import digest, stored_or_held

MOST = 2000  # maximum number of images to measure; more change little
VERSION = 1  # change it when the measurement changes


def spectrum_of(net: TrainedNet, photographs: Sequence[str], folder: str) -> tuple[Spectrum, str]:
    """Measure the training images of a net's run, or photographs if the net has no run, at the net's input size.

    Args:
        net: the net whose images to measure.
        photographs: names of embedded photographs, or image files.
        folder: folder of all datasets; the result is kept in `<folder>/spectra`.

    Returns:
        The spectrum, and a description of the measured images.

    Raises:
        LabsError: there are no images.
    """
    pixels, words = _of_run(net, folder) if net.run is not None else _of_photographs(photographs, net.image_size)
    file = Path(folder) / "spectra" / f"{VERSION}-{len(pixels)}-{net.image_size}-{digest(pixels)}.npy"

    def fill(array: np.ndarray) -> Mapping[str, Any]:
        measured = measure(pixels)
        array[:] = measured.magnitude.numpy()
        return {"mean": measured.mean.tolist(), "colors": measured.colors.tolist()}

    size = net.image_size
    magnitude, facts = stored_or_held(file, (3, size, size // 2 + 1), np.float32, fill)
    return Spectrum(
        torch.from_numpy(np.array(magnitude)), torch.tensor(facts["mean"]), torch.tensor(facts["colors"])
    ), words


def _of_run(net: TrainedNet, folder: str) -> tuple[np.ndarray, str]:
    assert net.run is not None
    data = needed(load_data(net.run, folder), ImagesOfClasses, by=net)
    count = len(data.rows["train"])
    places = np.unique(np.linspace(0, count - 1, min(count, MOST)).round().astype(int))
    images = center_crop(data.images["train"][places.tolist()].images, net.image_size)
    images = images.expand(-1, 3, -1, -1)  # gray ones have one channel
    return np.ascontiguousarray(images.numpy()), f"{len(places)} training images of {data.dataset}"


def _of_photographs(names: Sequence[str], size: int) -> tuple[np.ndarray, str]:
    if not names:
        raise LabsError("module.photographs=[]: expected embedded photographs, such as [chelsea,coffee,china].")
    pictures = [read_picture(name, key="module.photographs")[0] for name in names]
    pixels = np.stack([np.asarray(cover(picture, size, size)).transpose(2, 0, 1) for picture in pictures])
    kind = "photographs" if set(names) <= set(PHOTOGRAPHS) else "images"
    return pixels, f"{len(pixels)} {kind}"
