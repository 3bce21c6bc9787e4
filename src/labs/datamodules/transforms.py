"""Transforms from stored images to the net's input, batched on the training device."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from labs import LabsError
from labs.datamodules.orders import generator
from labs.functional.augment import COLOR_DRAWS, DRAWS, center_crop, change_colors, crop_flip
from labs.functional.normalization import Normalization, Normalizer

SETTINGS = ("crop_scale", "flip", "color", "views")


class Transforms:
    """Crop, flip, change colors and normalize: at random for training; only a center crop for evaluation.

    Random numbers are a pure function of (seed, epoch, position of the image), independent of workers, devices and
    batches.

    Args:
        image_size: height and width of the net's input, in pixels.
        augment: `crop_scale` (minimum and maximum fraction of the area, or None), `flip`, `color` (maximum change of
            brightness, contrast and saturation as a fraction, or None), and `views`: None draws new random numbers in
            each epoch, a number K draws K times and repeats these, epoch by epoch.
        seed: random seed.

    Raises:
        LabsError: a setting is unknown or out of range.
    """

    def __init__(self, image_size: int, augment: Mapping[str, Any], seed: int) -> None:
        given = dict.fromkeys(SETTINGS) | dict(augment)
        unknown = [name for name in given if name not in SETTINGS]
        if unknown:
            raise LabsError(f"augment.{unknown[0]}: unknown setting; expected one of {', '.join(SETTINGS)}.")
        self.image_size, self.seed = image_size, seed
        self.crop_scale: Any = given["crop_scale"]
        self.flip: Any = bool(given["flip"]) if given["flip"] is None else given["flip"]
        self.color: Any = given["color"]
        self.views: Any = given["views"]
        if self.crop_scale is not None and not _is_range(self.crop_scale):
            raise LabsError(
                f"augment.crop_scale={self.crop_scale}: expected two fractions in order, such as [0.5,1.0]."
            )
        if not isinstance(self.flip, bool):
            raise LabsError(f"augment.flip={self.flip}: expected true or false.")
        if self.color is not None and not (_is_number(self.color) and 0 < self.color < 1):
            raise LabsError(f"augment.color={self.color}: expected a fraction in (0, 1), such as 0.3, or null.")
        if self.views is not None and not (isinstance(self.views, int) and _is_number(self.views) and self.views >= 1):
            raise LabsError(f"augment.views={self.views}: expected a whole number from 1, or null to never repeat.")
        if self.views is not None and not self.random:
            raise LabsError(f"augment.views={self.views}: no augmentation is random; type augment=crop_flip, too.")
        self.normalizer: Normalizer | None = None  # known after setup
        self._draws: tuple[int, Tensor] | None = None  # (view, uniform random numbers of all training images)

    @property
    def random(self) -> bool:
        """Whether training images are changed at random."""
        return self.crop_scale is not None or self.flip or self.color is not None

    @property
    def repeats(self) -> int | None:
        """The number of epochs until training images repeat: 1 without augmentation, None for never."""
        return self.views if self.random else 1

    def view(self, epoch: int) -> int:
        """Return the view that an epoch uses."""
        return epoch % self.repeats if self.repeats else epoch

    def normalize_by(self, normalization: Normalization) -> None:
        """Set the mean and standard deviation."""
        self.normalizer = Normalizer(normalization)

    def training(self, images: Tensor, positions: Tensor, epoch: int, count: int) -> Tensor:
        """Return the net's input for training images in an epoch.

        Args:
            images: uint8 (batch, channels, height, width).
            positions: index of each image in the training split, (batch,).
            epoch: training epoch, counted from 0.
            count: number of training images.
        """
        pixels = images.float().div(255)
        draws = self._of_view(self.view(epoch), count, images.device)[positions] if self.random else None
        if draws is None:
            return self._normalized(center_crop(pixels, self.image_size))
        pixels = crop_flip(pixels, draws[:, :DRAWS], self.image_size, crop_scale=self.crop_scale, flip=self.flip)
        if self.color is not None:
            pixels = change_colors(pixels, draws[:, DRAWS:], strength=self.color)
        return self._normalized(pixels)

    def evaluation(self, images: Tensor) -> Tensor:
        """Return the net's input for uint8 images (batch, channels, height, width) in validation and test."""
        return self._normalized(center_crop(images.float().div(255), self.image_size))

    def key(self, views: int | None) -> dict[str, Any]:
        """Return everything that evaluation images, or training images with some views, depend on."""
        assert self.normalizer is not None
        drawn = {"seed": self.seed, **{name: getattr(self, name) for name in SETTINGS}} if views else None
        return {"size": self.image_size, "statistics": self.normalizer.statistics.tolist(), "drawn": drawn}

    def _normalized(self, pixels: Tensor) -> Tensor:
        assert self.normalizer is not None
        return self.normalizer(pixels)

    def _of_view(self, view: int, count: int, device: torch.device) -> Tensor:
        """Return the uniform random numbers of all training images, drawn on the CPU and kept on the device."""
        if self._draws is None or self._draws[0] != view or len(self._draws[1]) != count:
            source = generator(self.seed + 1_000_003, view)  # differs from the generator of the order
            geometry = torch.rand(count, DRAWS, generator=source)
            colors = torch.rand(count, COLOR_DRAWS, generator=source)
            self._draws = (view, torch.cat([geometry, colors], dim=1).to(device))
        return self._draws[1]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_range(scale: Any) -> bool:
    if not isinstance(scale, list | tuple) or len(scale) != 2 or not all(map(_is_number, scale)):
        return False
    return 0 < scale[0] <= scale[1] <= 1
