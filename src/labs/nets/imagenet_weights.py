"""The exact ImageNet weights of a net, which are part of a run's identity."""

from collections.abc import Mapping
from typing import Any

from labs.nets.package_weights import PACKAGE_FILES
from labs.runs.directory import IMAGENET_WEIGHTS, PRETRAINED_WEIGHTS


def content_of(net: Mapping[str, Any]) -> str:
    """Return what `weights=imagenet` means for a net: just `imagenet` if the net's name determines the file.

    Args:
        net: The resolved settings of the net.

    Raises:
        LabsError: If the hub does not answer, or if the net has no such weights.
    """
    if net.get("_target_") == "labs.nets.layer_vectors.LayerVectors":  # words such as vgg16/classifier.4
        words = net.get("layers")
        listed = words if isinstance(words, list) else ()  # anything else is refused by its type
        nets = dict.fromkeys(str(word).rpartition("/")[0] for word in listed)
        return "; ".join(content_of({"name": name, "weights_folder": net.get("weights_folder")}) for name in nets)
    name = str(net.get("name"))
    if net.get("_target_") == "labs.nets.timm_nets.build_net" or name.startswith("timm/"):  # labs.nets.layer_features
        from labs.nets.timm_nets import imagenet_file  # slow to import, so only where it is used

        return f"imagenet, {imagenet_file(name.removeprefix('timm/'), net.get('revision'), net.get('weights_folder'))}"
    return f"imagenet, sha256 {PACKAGE_FILES[name].sha256}" if name in PACKAGE_FILES else "imagenet"


def label_of(content: str) -> str:
    """Return the label of results that start from `weights=imagenet`; the tag may stand for other images.

    Examples:
        >>> label_of("imagenet"), label_of("imagenet, timm/vit_base_patch16_224.dino at commit 0123, sha256 4567")
        ('ImageNet weights', 'pretrained weights')
    """
    _, dot, tag = content.partition(" at commit")[0].partition(".")
    known = not dot or any(images in tag for images in ("in1k", "in12k", "in21k", "in22k"))
    return IMAGENET_WEIGHTS if known else PRETRAINED_WEIGHTS
