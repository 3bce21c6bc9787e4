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

# timm is imported where it is used: that takes seconds, and only its nets need it.


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
        name: as timm lists it, with the tag of its weights or without: `convnext_atto` or `convnext_atto.d2_in1k`.
        num_classes: number of logits, at least 2.
        weights: `random`; `imagenet`: those of the tag, from the Hugging Face hub; otherwise a run directory, or a
            .ckpt, .pt or .pth file.
        image_size: height and width of the images, in pixels; nets that are made for one size are made for this one.
        revision: branch, tag or commit of the weights on the hub; None: main, as it stands at the first download.
        weights_folder: where the weights lie or are downloaded to (`labs.nets.hub_weights`); None: torch's own cache.
        keep_head: take the head from the weights, too.

    Raises:
        LabsError: for an unknown name, an image size that the net cannot take, or weights that are missing.
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
            f"net.name={name}: its head was trained on {known.num_classes} classes; leave keep_head at false."
        )
    file = imagenet_file(name, revision, weights_folder).path()
    overlay = {"file": str(file), "custom_load": False}
    # with the head of the weights, so that each tensor of the file has its place
    net = _created(
        full_name, size, known, num_classes=known.num_classes, pretrained=True, pretrained_cfg_overlay=overlay
    )
    if not keep_head:
        net.reset_classifier(num_classes)  # type: ignore[operator]
    if not fold_normalization(net, str(known.first_conv), known.mean, known.std):
        instead = "type normalization=half" if {*known.mean, *known.std} == {0.5} else "no option has them"
        warnings.warn(f"{name} was trained with mean {known.mean} and std {known.std}; {instead}.", stacklevel=2)
    return _with_head(net, name)


def imagenet_file(name: str, revision: str | None = None, weights_folder: str | None = None) -> HubFile:
    """Return which file of the hub has the weights of a net.

    Raises:
        LabsError: the name is unknown, it has no weights, or the hub cannot be asked.
    """
    import timm

    _, known = _known(name)
    if not known.hf_hub_id:
        tags = timm.list_pretrained(f"{known.architecture}.*")
        instead = f", or net.name={tags[0]}" if tags else ""
        raise LabsError(f"There are no weights for net.name={name}. Type weights=random{instead}.")
    return pinned(known.hf_hub_id, known.hf_hub_filename or "model.safetensors", revision, weights_folder)


def _known(name: str) -> tuple[str, "PretrainedCfg"]:
    """Return a name with a tag, timm's default if none is given, and what timm knows of it.

    Raises:
        LabsError: there is no such net, or no such tag of it.
    """
    import timm
    from timm.models import PretrainedCfg

    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        nets = timm.list_models()
        raise LabsError(
            f"net.name={name}: timm {timm.__version__} has no such net{did_you_mean(architecture, nets)}. It has "
            f"{len(nets):,}; to see them type python -c 'import timm; print(*timm.list_models())'."
        )
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
    usual = timm.get_pretrained_cfg(architecture) or PretrainedCfg(architecture=architecture)
    if tag and tag not in (*tags, usual.tag):
        raise LabsError(
            f"net.name={name}: there are no weights of that tag{did_you_mean(tag, tags)}; the tags of {architecture} "
            f"are: {', '.join(tags) or 'none'}."
        )
    full_name = f"{architecture}.{tag or usual.tag}" if tag or usual.tag else architecture
    return full_name, timm.get_pretrained_cfg(full_name) or usual


def _created(name: str, image_size: int | None, known: "PretrainedCfg", **settings: Any) -> nn.Module:
    """Create a net; one that is made for one size of images is made for `image_size`, where it can be."""
    import timm

    logging.getLogger("timm").setLevel(logging.WARNING)  # it says more than a run needs to
    usual = known.input_size[-1]
    if image_size in (None, usual):
        return timm.create_model(name, **settings)
    try:
        return timm.create_model(name, **settings, img_size=image_size)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise LabsError(
            f"net.name={name.partition('.')[0]} cannot be made for images of {image_size}x{image_size} pixels; "
            f"type datamodule.image_size={usual}."
        ) from error


def _with_head(net: nn.Module, name: str) -> nn.Module:
    """Note which layer is the head, which patterns ask for.

    Raises:
        LabsError: the net has several heads, or none.
    """
    head = net.get_classifier()  # type: ignore[operator]
    places = [place for place, module in net.named_modules() if module is head and not isinstance(head, nn.Identity)]
    if not places:
        raise LabsError(f"net.name={name} has several heads, or none; type another net, such as net.name=resnet18d.")
    setattr(net, "head_name", places[0])  # noqa: B010 (a word, which no module declares)
    return net
