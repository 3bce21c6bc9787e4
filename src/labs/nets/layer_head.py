"""A small fully connected net on the activations of a layer of another net: transfer from any depth."""

import torch
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor

from labs import LabsError
from labs.nets.eval_mode import evaluating
from labs.nets.torchvision_nets import build_net, did_you_mean, head_name, load_weights

LAYER = "layer"


class LayerHead(nn.Module):
    """Compute the activations of a layer, flatten them, and classify them with one hidden layer.

    With `freeze=backbone` only the head trains, and the activations are computed once (`feature_cache`).

    Args:
        net: The net; everything after the layer is removed.
        layer: Name of a module, such as `features.8`.
        num_classes: Number of logits.
        image_size: Height and width of the images, in pixels.
        hidden_units: Number of hidden units; 0 for a linear classifier.
        dropout: Dropout rate of the hidden units.
    """

    head_name = "head"

    def __init__(
        self,
        *,
        net: nn.Module,
        layer: str,
        num_classes: int,
        image_size: int,
        hidden_units: int = 300,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.front = create_feature_extractor(net, {layer: LAYER})
        self.flatten = nn.Flatten()
        with torch.no_grad(), evaluating(self.front):
            features = self.features(torch.zeros(1, 3, image_size, image_size)).shape[1]
        hidden = [nn.Linear(features, hidden_units), nn.ReLU(), nn.Dropout(dropout)] if hidden_units else []
        self.head = nn.Sequential(*hidden, nn.Linear(hidden_units or features, num_classes))

    def features(self, images: Tensor) -> Tensor:
        """Return the activations of the layer, (batch, features), for images (batch, 3, height, width)."""
        return self.flatten(self.front(images)[LAYER])

    def forward(self, images: Tensor) -> Tensor:
        """Turn images (batch, 3, height, width) into logits (batch, num_classes)."""
        return self.head(self.features(images))


def build_layer_head(
    *,
    name: str,
    layer: str,
    num_classes: int,
    image_size: int,
    hidden_units: int = 300,
    dropout: float = 0.0,
    weights: str = "random",
    weights_folder: str | None = None,
) -> LayerHead:
    """Build the front of a net from `weights`, and a fresh head for `num_classes` on one of its layers.

    Args:
        name: Name of the net, as in `labs.nets.torchvision_nets.build_net`.
        layer: Name of one of its modules.
        num_classes: Number of logits, at least 2.
        image_size: Height and width of the images, in pixels.
        hidden_units: Hidden units of the head; 0 for a linear head.
        dropout: Dropout rate of the head.
        weights: `random`, `imagenet`, or a run directory or a file of such a net.
        weights_folder: Folder of the ImageNet weight files.

    Raises:
        LabsError: If the net or the layer is unknown, or if a value is out of range.
    """
    if hidden_units < 0:
        raise LabsError(f"net.hidden_units={hidden_units}: expected 0 (a linear classifier) or more, such as 300.")
    if not 0 <= dropout < 1:
        raise LabsError(f"net.dropout={dropout}: expected a share from 0 to below 1, such as 0.5.")
    start = "imagenet" if weights == "imagenet" else "random"
    net = build_net(
        name=name, num_classes=num_classes, weights=start, image_size=image_size, weights_folder=weights_folder
    )
    modules = [module for module, _ in net.named_modules() if module]
    if layer not in modules:
        raise LabsError(
            f"net.layer={layer}: {name} has no such layer{did_you_mean(layer, modules)}. It has {', '.join(modules)}."
        )
    head = head_name(net)
    if layer == head or head.startswith(f"{layer}."):
        raise LabsError(f"net.layer={layer}: {head} is the untrained head of {name}; type an earlier layer.")
    built = LayerHead(
        net=net,
        layer=layer,
        num_classes=num_classes,
        image_size=image_size,
        hidden_units=hidden_units,
        dropout=dropout,
    )
    if weights != start:
        load_weights(built, weights, keep_head=False)
    return built
