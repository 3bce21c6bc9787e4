"""A plain convolutional net: convolutions with optional normalization and pooling, then linear layers.

The default is the net of a course's starter code ("SimpleCNN"): two 5x5 convolutions of stride 2 with 16 filters and
ReLU, a linear layer with 64 units, and the output layer. At 50 pixels there are 16 x 10 x 10 = 1,600 features, with
pooling 64.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm as normalized

from labs import LabsError
from labs.nets.torchvision_nets import load_weights


class SimpleCNN(nn.Module):
    """Convolutions [+ batch norm] + ReLU [+ local response norm] [+ max pooling], then linear layers.

    The net returns logits; the loss applies softmax.

    Args:
        num_classes: Number of logits.
        image_size: Height and width of the images, in pixels.
        weights: `random`, a run directory, or a file of weights.
        channels: Number of filters of each convolution.
        filter_sizes: Side of the filters, one value per convolution or one for all.
        strides: Strides, one value per convolution or one for all.
        padding: Padding in pixels, one value per convolution or one for all.
        hidden: Units of the hidden linear layers.
        pooling: Whether max pooling follows each convolution.
        pool_size: Side of the pooling window.
        pool_stride: Stride of the pooling.
        dropout: Dropout rate of the input of each linear layer; 0 for none.
        batch_norm: Whether batch norm follows each convolution and hidden linear layer.
        local_response_norm: Whether local response norm over 5 channels follows each ReLU of a convolution.
        weight_norm: Whether the norm and the direction of each filter are separate parameters (Salimans and Kingma
            2016).

    Raises:
        LabsError: If settings are invalid, images are too small, or weights are missing or do not fit.
    """

    head_name = "head"

    def __init__(
        self,
        *,
        num_classes: int,
        image_size: int,
        weights: str = "random",
        channels: Sequence[int] = (16, 16),
        filter_sizes: Sequence[int] = (5,),
        strides: Sequence[int] = (2,),
        padding: Sequence[int] = (0,),
        hidden: Sequence[int] = (64,),
        pooling: bool = False,
        pool_size: int = 2,
        pool_stride: int = 2,
        dropout: float = 0.0,
        batch_norm: bool = False,
        local_response_norm: bool = False,
        weight_norm: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise LabsError(f"net.dropout={dropout}: expected a rate from 0 to below 1, such as 0.2.")
        for name, value in {"pool_size": pool_size, "pool_stride": pool_stride}.items():
            if value < 1:
                raise LabsError(f"net.{name}={value}: expected 1 or more.")
        if weights == "imagenet":
            raise LabsError("There are no ImageNet weights for simple_cnn. Type weights=random.")
        sizes, steps, edges = (
            _of_each(values, len(channels), name, least)
            for values, name, least in (
                (filter_sizes, "filter_sizes", 1),
                (strides, "strides", 1),
                (padding, "padding", 0),
            )
        )
        _of_each(channels, len(channels), "channels", 1)
        layers: list[nn.Module] = []
        features, side = 3, image_size
        for place, (filters, size, step, edge) in enumerate(zip(channels, sizes, steps, edges, strict=True), start=1):
            layers.append(nn.Conv2d(features, filters, size, stride=step, padding=edge))
            layers += [nn.BatchNorm2d(filters)] if batch_norm else []
            layers.append(nn.ReLU())
            layers += [nn.LocalResponseNorm(5)] if local_response_norm else []
            features, side = filters, (side + 2 * edge - size) // step + 1
            if pooling and side >= 1:
                layers.append(nn.MaxPool2d(pool_size, pool_stride))
                side = (side - pool_size) // pool_stride + 1
            if side < 1:
                raise LabsError(
                    f"net.channels={list(channels)}: {image_size} pixels are too small for convolution {place};"
                    " type smaller net.filter_sizes or net.strides, or a larger net.padding."
                )
        self.convolutions = nn.Sequential(*layers, nn.Flatten())
        features, layers = features * side**2, []
        for width in _of_each(hidden, len(hidden), "hidden", 1) if hidden else []:
            layers += [nn.Dropout(dropout)] if dropout else []
            layers.append(nn.Linear(features, width))
            layers += [nn.BatchNorm1d(width)] if batch_norm else []
            layers.append(nn.ReLU())
            features = width
        layers += [nn.Dropout(dropout)] if dropout else []
        self.linear = nn.Sequential(*layers)
        self.head = nn.Linear(features, num_classes)
        if weight_norm:
            for module in list(self.modules()):
                if isinstance(module, (nn.Conv2d, nn.Linear)):
                    normalized(module)
        load_weights(self, weights, keep_head=False)

    def forward(self, images: Tensor) -> Tensor:
        """Turn images (batch, 3, image_size, image_size) into logits (batch, num_classes)."""
        return self.head(self.linear(self.convolutions(images)))


def _of_each(values: Sequence[int], count: int, name: str, least: int) -> list[int]:
    """Return one value per convolution; a single value applies to all."""
    if not values or len(values) not in (1, count) or min(values) < least:
        raise LabsError(
            f"net.{name}={list(values)}: expected {count} integers of {least} or more, one for each of net.channels, "
            "or one for all."
        )
    return list(values) * (count if len(values) == 1 else 1)
