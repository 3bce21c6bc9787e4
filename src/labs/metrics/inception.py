"""FID with Inception features, as papers report it. Its weights are never downloaded."""

import warnings
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor
from torchmetrics.image.fid import FrechetInceptionDistance

from labs import LabsError
from labs.nets.weight_files import weights_folder

WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"  # torch-fidelity's file


def check_weights(weights: str | None) -> None:
    """Check that the given file of weights can be used.

    Raises:
        LabsError: the file is missing, or torch-fidelity is not installed.
    """
    if weights and not Path(weights).expanduser().is_file():
        raise LabsError(f"callbacks.quality.inception_weights={weights}: there is no such file.")
    if weights and find_spec("torch_fidelity") is None:
        raise LabsError("callbacks.quality.inception_weights needs torch-fidelity; type pip install torch-fidelity.")


def inception_distance(
    fake: Tensor, real: Tensor, weights: str | None = None, folder: str | None = None
) -> float | None:
    """Return the Fréchet distance of Inception features, or None if the weights are missing.

    It warns about gray images: Inception was trained on color photographs only, so its distance between sets of digits
    says little about the digits (the author of pytorch-fid advises against it).

    Args:
        fake: generated images, uint8 (count, channels, height, width).
        real: real images, the same.
        weights: torch-fidelity's file; if None, it is searched for in `folder`.
        folder: `paths.weights`; if None, torch's own cache.

    Raises:
        LabsError: see `check_weights`.
    """
    check_weights(weights)
    file = Path(weights).expanduser() if weights else weights_folder(folder, [WEIGHTS]) / WEIGHTS
    if not file.is_file():
        return None
    try:
        metric = FrechetInceptionDistance(2048, feature_extractor_weights_path=str(file), sync_on_compute=False)
    except ModuleNotFoundError:
        return None
    if fake.shape[1] == 1:
        warnings.warn("inception_fid says little about gray images: Inception saw only color photographs", stacklevel=2)
    for images, is_real in ((fake, False), (real, True)):
        for some in images.split(50):
            metric.update(some.expand(-1, 3, -1, -1), real=is_real)
    return float(metric.compute())
