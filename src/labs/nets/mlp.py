"""A multilayer perceptron with one hidden layer, over the pixels of an image."""

from torch import Tensor, nn

from labs import LabsError
from labs.nets.torchvision_nets import check_num_classes, load_weights


class MLP(nn.Module):
    """Map pixels to hidden units with ReLU, and these to logits.

    PyTorch's initialization: weights and biases are uniform in ±1 / sqrt(number of inputs) of each layer.

    Args:
        num_classes: Number of logits.
        image_size: Height and width of the images, in pixels.
        hidden_units: Number of hidden units.
        channels: Channels of the images.
    """

    head_name = "head"

    def __init__(self, *, num_classes: int, image_size: int, hidden_units: int, channels: int = 3) -> None:
        super().__init__()
        self.image_shape = (channels, image_size, image_size)
        self.flatten = nn.Flatten()
        self.hidden = nn.Linear(channels * image_size**2, hidden_units)
        self.relu = nn.ReLU()
        self.head = nn.Linear(hidden_units, num_classes)

    def activations(self, images: Tensor) -> Tensor:
        """Return the activations of the hidden units, (batch, hidden_units), at least 0."""
        return self.relu(self.hidden(self.flatten(images)))

    def forward(self, images: Tensor) -> Tensor:
        """Turn images (batch, channels, height, width) into logits (batch, num_classes)."""
        return self.head(self.activations(images))


def build_mlp(
    *, num_classes: int, image_size: int, hidden_units: int, channels: int = 3, weights: str = "random"
) -> MLP:
    """Build the perceptron with random weights, or with those of a run or a file.

    Raises:
        LabsError: If there is no hidden unit or only one class, or if weights are missing or do not fit.
    """
    check_num_classes(num_classes)
    if hidden_units < 1:
        raise LabsError(f"net.hidden_units={hidden_units}: expected 1 or more, such as 300.")
    if weights == "imagenet":
        raise LabsError("There are no ImageNet weights for a perceptron. Type weights=random.")
    net = MLP(num_classes=num_classes, image_size=image_size, hidden_units=hidden_units, channels=channels)
    load_weights(net, weights, keep_head=False)
    return net
