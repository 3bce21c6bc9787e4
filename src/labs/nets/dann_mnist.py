"""The net for the MNIST experiments of domain-adversarial training, and the domain head.

Y. Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 2016, Figure 4a.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from labs import LabsError
from labs.nets.torchvision_nets import load_weights

CONVOLUTIONS = (32, 48)
SMALLEST = 16  # pixels; the maps then have one pixel after two convolutions and poolings


class DANNMNIST(nn.Module):
    """Two convolutions (5x5, 32 and 48 filters) with ReLU and pooling, then three linear layers (100, 100, classes).

    At 28 pixels there are 768 features.

    Args:
        num_classes: Number of logits.
        image_size: Height and width of the images, in pixels.
        batch_norm: Whether batch norm follows each convolution; the paper's net has none.
        dropout: Dropout rate after the features and after the first linear layer; the paper's net has none.
    """

    head_name = "label_head"

    def __init__(
        self, *, num_classes: int, image_size: int = 28, batch_norm: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels, side = 3, image_size
        for filters in CONVOLUTIONS:
            norm = [nn.BatchNorm2d(filters)] if batch_norm else []
            layers += [nn.Conv2d(channels, filters, kernel_size=5), *norm, nn.ReLU(), nn.MaxPool2d(2)]
            channels, side = filters, (side - 4) // 2
        self.backbone = nn.Sequential(*layers, nn.Flatten())
        drops = [nn.Dropout(dropout) if dropout else nn.Identity() for _ in range(2)]  # layers keep their names
        self.label_head = nn.Sequential(
            drops[0], nn.Linear(channels * side**2, 100), nn.ReLU(), drops[1], nn.Linear(100, 100), nn.ReLU(),
            nn.Linear(100, num_classes),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """Turn images (batch, 3, image_size, image_size) into logits (batch, num_classes)."""
        return self.label_head(self.backbone(images))


class DomainHead(nn.Module):
    """Classify the domain of features: linear layers with ReLU between them, and one logit at the end.

    Args:
        features: Number of input features.
        hidden: Width of each hidden layer: (100,) for MNIST in the paper, (1024, 1024) for its larger nets.
    """

    def __init__(self, features: int, hidden: Sequence[int] = (100,)) -> None:
        super().__init__()
        if any(width < 1 for width in hidden):
            raise LabsError(f"module.domain_hidden={list(hidden)}: expected widths of 1 or more, such as [100].")
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [nn.Linear(features, width), nn.ReLU()]
            features = width
        self.layers = nn.Sequential(*layers, nn.Linear(features, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (batch,), above 0 for the unlabeled domain, from features (batch, features)."""
        return self.layers(features).squeeze(1)


def dann_mnist(
    *,
    num_classes: int,
    image_size: int,
    weights: str = "random",
    keep_head: bool = False,
    batch_norm: bool = False,
    dropout: float = 0.0,
) -> DANNMNIST:
    """Build the net with random weights or those of a run.

    Args:
        num_classes: Number of logits.
        image_size: Height and width of the images, in pixels.
        weights: `random`, a run directory, or a file of weights.
        keep_head: Whether to load the weights of the label head, too.
        batch_norm: See `DANNMNIST`.
        dropout: See `DANNMNIST`.

    Raises:
        LabsError: If images are too small, dropout is outside [0, 1), or weights are missing or do not fit.
    """
    if image_size < SMALLEST:
        raise LabsError(
            f"datamodule.image_size={image_size}: net=dann_mnist needs at least {SMALLEST} pixels; type "
            "datamodule.image_size=28."
        )
    if not 0 <= dropout < 1:
        raise LabsError(f"net.dropout={dropout}: expected a share from 0 to below 1, such as 0.2.")
    if weights == "imagenet":
        raise LabsError("There are no ImageNet weights for dann_mnist. Type weights=random.")
    net = DANNMNIST(num_classes=num_classes, image_size=image_size, batch_norm=batch_norm, dropout=dropout)
    load_weights(net, weights, keep_head=keep_head)
    return net
