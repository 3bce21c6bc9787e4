"""The location of weight files: the folder `paths.weights`, which users may fill, or torch's cache."""

from collections.abc import Collection
from pathlib import Path

import torch

from labs import LabsError
from labs.storage.files import typed_path

INSTEAD = (
    "If another folder has the file, type paths.weights=<folder>. To run without this file, type data=embedded or "
    "weights=random, or use a net whose weights are installed: net=squeezenet or net=efficientnet_lite0."
)


def weights_folder(typed: str | None, names: Collection[str] = ()) -> Path:
    """Return the folder that has one of the files or, if none has, the folder to download them to.

    Args:
        typed: `paths.weights`. None: torch's cache.
        names: File names. Torch's cache is used if it has one of them and the typed folder has none.
    """
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    if typed is None:
        return cache
    folder = typed_path(typed, "paths.weights")
    elsewhere = not any((folder / name).exists() for name in names) and any((cache / name).exists() for name in names)
    return cache if elsewhere else folder


def torchvision_file(url: str, typed: str | None) -> Path:
    """Return a verified file of torchvision's weights, and download it if needed.

    Args:
        url: URL of the file. The name ends in the first digits of its SHA-256: `resnet18-f37072fd.pth`.
        typed: As in `weights_folder`.

    Raises:
        LabsError: If the file is not available. The message says where to put which file.
    """
    from labs.storage.fetch import Archive, fetch  # slow to import, so only where it is used

    name = url.rpartition("/")[2]
    beginning = name.removesuffix(".pth").rpartition("-")[2]
    try:
        return fetch(Archive(name=name, urls=(url,), sha256=beginning), weights_folder(typed, [name]))
    except LabsError as error:
        raise LabsError(f"{error}\n{INSTEAD}") from error
