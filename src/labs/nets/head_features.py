"""The input of a net's head: the features that domain adaptation compares, for any net."""

from torch import Tensor, nn

from labs import LabsError
from labs.nets.torchvision_nets import head_name


def feature_size(net: nn.Module) -> int:
    """Return the number of input features of a net's head.

    Raises:
        LabsError: If the head has no linear layer and no convolution.
    """
    for layer in net.get_submodule(head_name(net)).modules():
        if isinstance(layer, nn.Linear):
            return layer.in_features
        if isinstance(layer, nn.Conv2d):
            return layer.in_channels
    raise LabsError(f"{type(net).__name__} has no linear layer or convolution as its head; type another net=...")


def features_and_logits(net: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return features (batch, features) and logits (batch, classes) for images (batch, channels, height, width).

    Features are the input of the net's head. If that is a map (SqueezeNet), it is averaged over its positions.
    """
    caught: list[Tensor] = []

    def catch(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        caught.append(inputs[0])

    handle = net.get_submodule(head_name(net)).register_forward_pre_hook(catch)
    try:
        logits: Tensor = net(images)
    finally:
        handle.remove()
    (features,) = caught
    return (features.mean(dim=(2, 3)) if features.dim() == 4 else features), logits
