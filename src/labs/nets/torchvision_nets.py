"""Image classifiers of torchvision, and two more, with a head for our classes, and the sources of their weights."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from torch import Tensor, nn
from torchvision import models
from torchvision.models import WeightsEnum

from labs import LabsError
from labs.nets.folding import fold_normalization
from labs.nets.package_weights import NORMALIZATIONS, PACKAGE_FILES, package_weights
from labs.nets.reinitialize import reinitialize as begin_anew
from labs.nets.small_resnet import SmallResNet
from labs.nets.weight_files import torchvision_file
from labs.runs.directory import read_facts
from labs.storage.checkpoint_files import read_checkpoint

# IMAGENET1K_V1 by name, not DEFAULT: that one moves with the version of torchvision (ResNet-50: V2).
_NETS: dict[str, tuple[Callable[..., nn.Module], WeightsEnum | None]] = {
    name: (models.get_model_builder(name), models.get_model_weights(name)["IMAGENET1K_V1"])
    for name in ("resnet18", "resnet34", "resnet50", "alexnet", "vgg16", "vgg19", "squeezenet1_0", "squeezenet1_1")
}
_NETS["resnet_small"] = (SmallResNet, None)


def _efficientnet_lite0(*, num_classes: int) -> nn.Module:
    import timm  # slow to import, so only where it is used

    return timm.create_model("tf_efficientnet_lite0", num_classes=num_classes)


_NETS["efficientnet_lite0"] = (_efficientnet_lite0, None)
# Classifiers of torchvision with several heads in training.
_SEVERAL_HEADS = ("googlenet", "inception_v3")
OTHER_DOMAIN = ".other_running_"  # statistics of a second domain, which a net for one domain does not have
_FILE_SUFFIXES = (".ckpt", ".pt", ".pth")


def build_net(
    *,
    name: str,
    num_classes: int,
    weights: str = "random",
    image_size: int | None = None,
    weights_folder: str | None = None,
    keep_head: bool = False,
    reinitialize: Sequence[str] = (),
) -> nn.Module:
    """Build a classifier: the backbone from `weights`, the head for `num_classes`.

    Args:
        name: `resnet18`, `resnet34`, `resnet50`, `resnet_small`, `alexnet`, `vgg16`, `vgg19`, `squeezenet1_0`,
            `squeezenet1_1`, `efficientnet_lite0`, or another classifier of torchvision.
        num_classes: Number of logits, at least 2.
        weights: `random`: torchvision's initialization. `imagenet`: weights from an installed package
            (`labs.nets.package_weights`), else torchvision's IMAGENET1K_V1. Otherwise a run directory, whose best
            checkpoint is read, or a .ckpt, .pt or .pth file.
        image_size: Height and width of the images, in pixels, to check that they are large enough for the net.
        weights_folder: Folder of the ImageNet weights (`labs.nets.weight_files`). None: torch's cache.
        keep_head: Whether to load the weights of the head, too. By default the head is initialized at random, for
            transfer learning. No effect for `random`.
        reinitialize: Further layers that are initialized at random, such as `[classifier.4]`.

    Raises:
        LabsError: If the name is unknown, images are too small, or weights are missing or do not fit.
    """
    if not is_known(name):
        raise LabsError(
            f"Unknown net {name!r}{did_you_mean(name, (*_NETS, *_others()))}. The nets are: {', '.join(_NETS)}, and "
            "the other classifiers of torchvision."
        )
    check_num_classes(num_classes)
    build, imagenet = _NETS[name] if name in _NETS else _of_torchvision(name)
    smallest = imagenet.meta["min_size"][0] if imagenet else 1
    if image_size is not None and image_size < smallest:
        raise LabsError(
            f"{name} needs images of at least {smallest}x{smallest} pixels, found {image_size}x{image_size}."
            " Type datamodule.image_size=64, or use a net for small images: net=resnet_small."
        )
    if weights == "imagenet" and name in PACKAGE_FILES:
        net = build(num_classes=num_classes)
        _load(
            net, package_weights(name, net, weights_folder), source=PACKAGE_FILES[name].requirement, keep_head=keep_head
        )
        fold_normalization(net, *NORMALIZATIONS[name])
    elif weights == "imagenet":
        if imagenet is None:
            raise LabsError(f"There are no ImageNet weights for {name}. Type weights=random, or net=resnet18.")
        file = torchvision_file(imagenet.url, weights_folder)
        net = build(num_classes=num_classes)
        _load(net, _read(file), source=str(file), keep_head=keep_head)
    else:
        net = build(num_classes=num_classes)
        load_weights(net, weights, keep_head=keep_head)
    begin_anew(net, reinitialize)
    return net


def is_known(name: str) -> bool:
    """Return whether `build_net` knows a net of this name."""
    return name in _NETS or name in _others()


def _others() -> list[str]:
    """Return the names of torchvision's other classifiers."""
    return [name for name in models.list_models(module=models) if name not in _SEVERAL_HEADS]


def _of_torchvision(name: str) -> tuple[Callable[..., nn.Module], WeightsEnum | None]:
    return models.get_model_builder(name), models.get_model_weights(name).__members__.get("IMAGENET1K_V1")


def check_num_classes(num_classes: int) -> None:
    """Refuse fewer than two classes."""
    if num_classes < 2:
        raise LabsError(f"num_classes={num_classes}: a classifier needs at least 2 classes.")


def load_weights(net: nn.Module, weights: str, *, keep_head: bool) -> None:
    """Load the weights of a run or a file into a net; `random` does nothing.

    Args:
        net: Any net with a head.
        weights: `random`, a run directory, or a .ckpt, .pt or .pth file.
        keep_head: Whether to load the weights of the head, too.

    Raises:
        LabsError: If weights are missing or do not fit.
    """
    if weights == "embedded":
        raise LabsError(
            "weights=embedded works only with train.py, which passes a file."
            " To build a net in Python, use weights=random, weights=imagenet, or the path of a checkpoint."
        )
    if weights != "random":
        file = _checkpoint_file(weights)
        _load(net, _read(file), source=str(file), keep_head=keep_head)


def head_name(net: nn.Module) -> str:
    """Return the name of the last layer, which maps features to logits, such as `fc` or `classifier.6`.

    This is the net's attribute `head_name` if there is one, else the last linear layer or convolution in the net.

    Raises:
        LabsError: If the net has no such layer.
    """
    own = getattr(net, "head_name", None)
    if isinstance(own, str):
        return own
    layers = [name for name, module in net.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    if not layers:
        raise LabsError(f"{type(net).__name__} has no linear layer or convolution to serve as its head.")
    return layers[-1]


def _checkpoint_file(weights: str) -> Path:
    path = Path(weights).expanduser()
    if path.is_dir():
        best = path / "checkpoints" / "best.ckpt"
        if best.is_file():
            return best
        last = path / "checkpoints" / "last.ckpt"
        if last.is_file() and not best.exists() and read_facts(path).get("status") == "finished":
            return last  # a method that does not select an epoch
        others = sorted((path / "checkpoints").glob("*.ckpt"))
        instead = f" Type weights={others[0]}." if others else " Did that run finish its first epoch?"
        raise LabsError(f"weights={weights}: there is no checkpoints/best.ckpt in this run directory.{instead}")
    if path.is_file() and path.suffix in _FILE_SUFFIXES:
        return path
    found = f"a file that ends in {path.suffix!r}" if path.is_file() else "no such file or folder"
    hint = did_you_mean(weights, ("random", "imagenet", "embedded"))
    raise LabsError(
        f"weights={weights}{hint}: expected random, imagenet, embedded, a run directory, or a file that ends"
        f" in {', '.join(_FILE_SUFFIXES)}; found {found}."
    )


def _read(file: Path) -> dict[str, Tensor]:
    try:
        content = read_checkpoint(file)
    except LabsError as error:
        raise LabsError(
            f"{error}\nType the checkpoint of a run of this project as weights=, or save net.state_dict()."
        ) from error
    if isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    tensors = {str(name): tensor for name, tensor in content.items() if isinstance(tensor, Tensor)}
    if not tensors:
        raise LabsError(f"{file} contains no named tensors. Type the checkpoint of a run, or save net.state_dict().")
    # In a Lightning checkpoint, the net is one attribute of the module.
    ours = {name.removeprefix("net."): tensor for name, tensor in tensors.items() if name.startswith("net.")}
    return ours or tensors


def _load(net: nn.Module, tensors: dict[str, Tensor], *, source: str, keep_head: bool) -> None:
    expected = net.state_dict()
    head = f"{head_name(net)}."
    if not keep_head:
        expected = {name: tensor for name, tensor in expected.items() if not name.startswith(head)}
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(head)}
    separate, places = ({n for n in names if OTHER_DOMAIN in n} for names in (tensors, expected))
    if keep_head and separate - places:
        raise LabsError(
            f"{source}: it has separate batch norm for each domain; type module.batch_norm=separate here, too."
        )
    tensors = {n: tensor for n, tensor in tensors.items() if n not in separate - places}
    tensors |= {n: tensors[one] for n in places - separate if (one := n.replace(OTHER_DOMAIN, ".running_")) in tensors}
    # Older files do not have this counter, which batch norm uses only without momentum.
    missing = [n for n in expected if n not in tensors and not n.endswith(".num_batches_tracked")]
    unexpected = [n for n in tensors if n not in expected]
    mismatched = [
        f"{n} (expected {_by(expected[n])}, found {_by(tensors[n])})"
        for n in expected
        if n in tensors and tensors[n].shape != expected[n].shape
    ]
    if not (missing or unexpected or mismatched):
        net.load_state_dict(tensors, strict=False)
        return
    lists = {"missing": missing, "unexpected": unexpected, "with another shape": mismatched}
    found = "; ".join(f"{len(names)} {what}: {_first(names)}" for what, names in lists.items() if names)
    if mismatched and not (missing or unexpected) and all(n.startswith(head) for n in mismatched):
        instead = (
            "Only the head differs, because it was trained on another number of classes: leave keep_head=true out."
        )
    else:
        instead = "Type the net that these weights were trained with (net=...), or weights=random."
    raise LabsError(f"The weights in {source} do not fit {type(net).__name__}: {found}.\n{instead}")


def _first(names: list[str], count: int = 4) -> str:
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")


def _by(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a single number"


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return the most similar choice as a hint in parentheses, or an empty text if there is none."""
    close = difflib.get_close_matches(word, choices, n=1)
    return f" (did you mean {close[0]}?)" if close and close[0] else ""  # the name of the net itself is empty
