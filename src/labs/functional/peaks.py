"""What excites the channels of a layer: streamed over any number of images, in the memory of a few."""

import torch
from torch import Tensor


class Peaks:
    """Follow the peak of every channel from image to image, and how much of its maps is active, that is above zero.

    Args:
        top: images that are kept for each channel, those with the highest peaks.

    Attributes:
        images: how many were seen.
        values: the highest peaks, highest first, (up to top, channels); of equal ones the image seen first counts.
        positions: of the images that they are in, the same shape.
        places: where in the flattened map they are, the same shape.

    Examples:
        >>> peaks = Peaks(top=2)
        >>> peaks.update(torch.tensor([[[[0.0, 1.0]]], [[[3.0, 2.0]]], [[[-1.0, 2.0]]]]), torch.arange(3))
        >>> peaks.values.flatten().tolist(), peaks.positions.flatten().tolist(), peaks.active_share.tolist()
        ([3.0, 2.0], [1, 2], [0.6666666666666666])
    """

    def __init__(self, top: int) -> None:
        self.top, self.images, self.size = top, 0, 1
        self.values = self.positions = self.places = torch.empty(0)
        self.sums = torch.empty(0)  # of peaks, of their squares, and of active positions, (3, channels)

    def update(self, maps: Tensor, positions: Tensor) -> None:
        """Take in a batch.

        Args:
            maps: (batch, channels, height, width).
            positions: (batch,) which images they are of.
        """
        flat = maps.flatten(2)
        peaks, places = flat.max(dim=2)  # (batch, channels)
        peaks = peaks.float()
        new = torch.stack([peaks.double(), peaks.double().square(), (flat > 0).sum(2).double()]).sum(1)
        found = [peaks, positions.to(peaks.device)[:, None].expand_as(places), places]
        self.size = flat.shape[2]
        if self.images:
            before = (self.values, self.positions, self.places)
            found = [torch.cat(pair) for pair in zip(before, found, strict=True)]
        self.sums = self.sums + new if self.images else new
        best = found[0].argsort(dim=0, descending=True, stable=True)[: self.top]
        self.values, self.positions, self.places = (values.gather(0, best) for values in found)
        self.images += len(maps)

    @property
    def active_share(self) -> Tensor:
        """Return which share of its positions over all images is above zero, (channels,) float64."""
        return self.sums[2] / (self.images * self.size)

    @property
    def dead(self) -> Tensor:
        """Say which channels are above zero nowhere, (channels,)."""
        return self.sums[2] == 0

    @property
    def spread(self) -> Tensor:
        """Return the standard deviation of a channel's peaks over the images, (channels,) float64."""
        mean = self.sums[0] / self.images
        return (self.sums[1] / self.images - mean.square()).clamp(min=0).sqrt()

    def telling(self, count: int) -> list[int]:
        """Return the channels whose peaks differ most from image to image; of a single image, the highest ones."""
        scores = self.spread if self.images > 1 else self.values[0]
        return scores.argsort(descending=True, stable=True)[:count].tolist()
