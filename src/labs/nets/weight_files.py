"""Where files of weights lie: in the folder of `paths.weights`, which the user may fill, or in torch's own cache."""

from collections.abc import Collection
from pathlib import Path

import torch

from labs import LabsError
from labs.storage.files import typed_path

INSTEAD = (
    "Another folder that has it is typed as paths.weights=<folder>. Without ImageNet's weights, type data=embedded or "
    "weights=random, or take a net whose weights come with a package: net=squeezenet or net=efficientnet_lite0."
)


def weights_folder(typed: str | None, names: Collection[str] = ()) -> Path:
    """Return the folder that has one of some files, or where they are to go.

    Args:
        typed: `paths.weights`; None: torch's own cache.
        names: of files; what the typed folder has not, and torch's own cache has, is taken from there.
    """
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    if typed is None:
        return cache
    folder = typed_path(typed, "paths.weights")
    elsewhere = not any((folder / name).exists() for name in names) and any((cache / name).exists() for name in names)
    return cache if elsewhere else folder


def torchvision_file(url: str, typed: str | None) -> Path:
    """Return a file of torchvision's weights, verified; download it if it is nowhere.

    Args:
        url: its address. The name ends in the beginning of its SHA-256: `resnet18-f37072fd.pth`.
        typed: as in `weights_folder`.

    Raises:
        LabsError: it cannot be had; says where to put which file.
    """
    from labs.storage.fetch import Archive, fetch  # only a run that needs a file pays for the import

    name = url.rpartition("/")[2]
    beginning = name.removesuffix(".pth").rpartition("-")[2]
    try:
        return fetch(Archive(name=name, urls=(url,), sha256=beginning), weights_folder(typed, [name]))
    except LabsError as error:
        raise LabsError(f"{error}\n{INSTEAD}") from error
