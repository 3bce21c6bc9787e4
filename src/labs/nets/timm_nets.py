"""Any net of timm (R. Wightman, PyTorch Image Models), with a head for our classes and, on request, its weights."""

import logging
import warnings
from typing import TYPE_CHECKING, Any

from torch import nn

from labs import LabsError
from labs.nets.folding import fold_normalization
from labs.nets.hub_weights import HubFile, pinned
from labs.nets.torchvision_nets import check_num_classes, did_you_mean, load_weights

if TYPE_CHECKING:
    from timm.models import PretrainedCfg

# timm takes seconds to import, so it is imported only where it is used.


def build_net(
    *,
    name: str,
    num_classes: int,
    weights: str = "random",
    image_size: int | None = None,
    revision: str | None = None,
    weights_folder: str | None = None,
    keep_head: bool = False,
) -> nn.Module:
    """Build a net of timm: the backbone from `weights`, the head for `num_classes`.

    Args:
        name: timm's name, with or without the tag of the weights: `convnext_atto` or `convnext_atto.d2_in1k`.
        num_classes: Number of logits, at least 2.
        weights: `random`; `imagenet`: the weights of the tag, from the Hugging Face hub; otherwise a run directory, or
            a .ckpt, .pt or .pth file.
        image_size: Height and width of the images, in pixels. Nets with a fixed input size are built for this size.
        revision: Branch, tag or commit of the weights on the hub. None: main at the time of the first download.
        weights_folder: Folder of the weights (`labs.nets.hub_weights`). None: torch's cache.
        keep_head: Whether to load the weights of the head, too.

    Raises:
        LabsError: If the name is unknown, the net does not accept the image size, or weights are missing.
    """
    check_num_classes(num_classes)
    full_name, known = _known(name)
    size = image_size if known.fixed_input_size else None
    if weights != "imagenet":
        net = _created(full_name, size, known, num_classes=num_classes)
        load_weights(_with_head(net, name), weights, keep_head=keep_head)
        return net
    if keep_head and num_classes != known.num_classes:
        raise LabsError(
            f"net.name={name}: its head was trained on {known.num_classes} classes; leave keep_head=true out."
        )
    file = imagenet_file(name, revision, weights_folder).path()
    overlay = {"file": str(file), "custom_load": False}
    # with the original head, so that all tensors of the file fit
    net = _created(
        full_name, size, known, num_classes=known.num_classes, pretrained=True, pretrained_cfg_overlay=overlay
    )
    if not keep_head:
        net.reset_classifier(num_classes)  # type: ignore[operator]
    if not fold_normalization(net, str(known.first_conv), known.mean, known.std):
        half = {*known.mean, *known.std} == {0.5}
        instead = "type normalization=half" if half else "no normalization= option has these"
        warnings.warn(f"{name} was trained with mean {known.mean} and std {known.std}; {instead}.", stacklevel=2)
    return _with_head(net, name)


def imagenet_file(name: str, revision: str | None = None, weights_folder: str | None = None) -> HubFile:
    """Return the file of the hub with the weights of a net.

    Raises:
        LabsError: If the name is unknown, there are no weights, or the hub does not answer.
    """
    import timm

    _, known = _known(name)
    if not known.hf_hub_id:
        tags = timm.list_pretrained(f"{known.architecture}.*")
        instead = f", or net.name={tags[0]}" if tags else ""
        raise LabsError(f"There are no weights for net.name={name}. Type weights=random{instead}.")
    return pinned(known.hf_hub_id, known.hf_hub_filename or "model.safetensors", revision, weights_folder)


def _known(name: str) -> tuple[str, "PretrainedCfg"]:
    """Return the name with its tag (by default timm's), and timm's configuration of it.

    Raises:
        LabsError: If there is no such net or no such tag.
    """
    import timm
    from timm.models import PretrainedCfg

    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        nets = timm.list_models()
        raise LabsError(
            f"net.name={name}: timm {timm.__version__} has no such net{did_you_mean(architecture, nets)}. It has "
            f"{len(nets):,} nets; to list them, type python -c 'import timm; print(*timm.list_models())'."
        )
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
    usual = timm.get_pretrained_cfg(architecture) or PretrainedCfg(architecture=architecture)
    if tag and tag not in (*tags, usual.tag):
        raise LabsError(
            f"net.name={name}: there are no weights with this tag{did_you_mean(tag, tags)}; the tags of {architecture} "
            f"are: {', '.join(tags) or 'none'}."
        )
    full_name = f"{architecture}.{tag or usual.tag}" if tag or usual.tag else architecture
    return full_name, timm.get_pretrained_cfg(full_name) or usual


def _created(name: str, image_size: int | None, known: "PretrainedCfg", **settings: Any) -> nn.Module:
    """Create a net, if possible for images of `image_size`."""
    import timm

    logging.getLogger("timm").setLevel(logging.WARNING)  # hide its log messages
    usual = known.input_size[-1]
    if image_size in (None, usual):
        return timm.create_model(name, **settings)
    try:
        return timm.create_model(name, **settings, img_size=image_size)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise LabsError(
            f"net.name={name.partition('.')[0]} does not accept images of {image_size}x{image_size} pixels; "
            f"type datamodule.image_size={usual}."
        ) from error


def _with_head(net: nn.Module, name: str) -> nn.Module:
    """Record the name of the head layer, which patterns need.

    Raises:
        LabsError: If the net has several heads, or none.
    """
    head = net.get_classifier()  # type: ignore[operator]
    places = [place for place, module in net.named_modules() if module is head and not isinstance(head, nn.Identity)]
    if not places:
        raise LabsError(f"net.name={name} has several heads, or none; type another net, such as net.name=resnet18d.")
    setattr(net, "head_name", places[0])  # noqa: B010 (a word, which no module declares)
    return net
