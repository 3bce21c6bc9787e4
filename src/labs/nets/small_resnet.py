"""A residual net for images of 8 to 32 pixels.

The CIFAR variant of K. He et al., "Deep Residual Learning for Image Recognition", 2015, section 4.2, with the layer
names of torchvision's ResNet, so that the same freezing patterns work. The stem is a 3x3 convolution without pooling,
because the images are small. Three stages halve the maps twice.
"""

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock


class SmallResNet(nn.Module):
    """A stem and three stages of residual blocks, of `width`, 2 `width` and 4 `width` channels.

    Shortcuts that change the shape are a 1x1 convolution with batch norm, as in torchvision's ResNet-18.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the images.
        width: Channels of the stem and the first stage.
        blocks: Residual blocks per stage. The net has 6 * blocks + 2 layers with weights: 3, 5 and 9 give the
            ResNet-20, 32 and 56 of the paper, except for the shortcuts.
    """

    head_name = "fc"

    def __init__(self, *, num_classes: int, in_channels: int = 3, width: int = 16, blocks: int = 2) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _stage(width, width, stride=1, blocks=blocks)
        self.layer2 = _stage(width, 2 * width, stride=2, blocks=blocks)
        self.layer3 = _stage(2 * width, 4 * width, stride=2, blocks=blocks)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4 * width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Turn images (batch, in_channels, height, width) into logits (batch, num_classes)."""
        features = self.relu(self.bn1(self.conv1(images)))
        features = self.layer3(self.layer2(self.layer1(features)))
        return self.fc(self.avgpool(features).flatten(1))


def _stage(in_channels: int, channels: int, *, stride: int, blocks: int) -> nn.Sequential:
    shortcut = None
    if stride != 1 or in_channels != channels:
        conv = nn.Conv2d(in_channels, channels, kernel_size=1, stride=stride, bias=False)
        shortcut = nn.Sequential(conv, nn.BatchNorm2d(channels))
    first = BasicBlock(in_channels, channels, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(channels, channels) for _ in range(blocks - 1)))
