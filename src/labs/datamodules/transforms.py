"""What happens to stored images before the net sees them, batched, on the device that trains."""

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
    """Crop, mirror, change colours and normalise: for training as drawn, for evaluation the centre as it is.

    What is drawn is a pure function of (seed, epoch, position of the image), whatever the workers, devices and batches.

    Args:
        image_size: pixels, height and width of what the net sees.
        augment: `crop_scale` (smallest and largest share of the area, or None), `flip`, `color` (largest change of
            brightness, contrast and saturation as a share, or None), and `views`: None draws anew in each epoch, a
            number K draws K times and repeats them, epoch by epoch.
        seed: of the draws.

    Raises:
        LabsError: a setting that there is not, or out of its range.
    """

    def __init__(self, image_size: int, augment: Mapping[str, Any], seed: int) -> None:
        given = dict.fromkeys(SETTINGS) | dict(augment)
        unknown = [name for name in given if name not in SETTINGS]
        if unknown:
            raise LabsError(f"augment.{unknown[0]}: there is no such setting; they are {', '.join(SETTINGS)}.")
        self.image_size, self.seed = image_size, seed
        self.crop_scale: Any = given["crop_scale"]
        self.flip: Any = bool(given["flip"]) if given["flip"] is None else given["flip"]
        self.color: Any = given["color"]
        self.views: Any = given["views"]
        if self.crop_scale is not None and not _is_range(self.crop_scale):
            raise LabsError(
                f"augment.crop_scale={self.crop_scale}: expected two shares of the area in order, such as [0.5,1.0]."
            )
        if not isinstance(self.flip, bool):
            raise LabsError(f"augment.flip={self.flip}: expected true or false.")
        if self.color is not None and not (_is_number(self.color) and 0 < self.color < 1):
            raise LabsError(f"augment.color={self.color}: expected a share between 0 and 1, such as 0.3, or null.")
        if self.views is not None and not (isinstance(self.views, int) and _is_number(self.views) and self.views >= 1):
            raise LabsError(f"augment.views={self.views}: expected a whole number from 1, or null for new ones always.")
        if self.views is not None and not self.random:
            raise LabsError(f"augment.views={self.views}: nothing is drawn here; type augment=crop_flip, too.")
        self.normalizer: Normalizer | None = None  # known once the data is
        self._draws: tuple[int, Tensor] | None = None  # (view, uniform numbers of all training images)

    @property
    def random(self) -> bool:
        """Whether training images are changed by what is drawn."""
        return self.crop_scale is not None or self.flip or self.color is not None

    @property
    def repeats(self) -> int | None:
        """After how many epochs training images are the same again: 1 where nothing is drawn, None where never."""
        return self.views if self.random else 1

    def view(self, epoch: int) -> int:
        """Say which draws an epoch takes."""
        return epoch % self.repeats if self.repeats else epoch

    def normalize_by(self, normalization: Normalization) -> None:
        """Choose mean and standard deviation."""
        self.normalizer = Normalizer(normalization)

    def training(self, images: Tensor, positions: Tensor, epoch: int, count: int) -> Tensor:
        """Return training images as an epoch sees them.

        Args:
            images: uint8 (batch, channels, height, width).
            positions: (batch,) where each stands in the training split.
            epoch: counted from 0.
            count: images of the training split.
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
        """Return uint8 images (batch, channels, height, width) as validation and test see them."""
        return self._normalized(center_crop(images.float().div(255), self.image_size))

    def key(self, views: int | None) -> dict[str, Any]:
        """Say in plain words what images depend on: those of evaluation, or some views of training."""
        assert self.normalizer is not None
        drawn = {"seed": self.seed, **{name: getattr(self, name) for name in SETTINGS}} if views else None
        return {"size": self.image_size, "statistics": self.normalizer.statistics.tolist(), "drawn": drawn}

    def _normalized(self, pixels: Tensor) -> Tensor:
        assert self.normalizer is not None
        return self.normalizer(pixels)

    def _of_view(self, view: int, count: int, device: torch.device) -> Tensor:
        """Return the uniform numbers of all training images, drawn on the CPU, kept on the device."""
        if self._draws is None or self._draws[0] != view or len(self._draws[1]) != count:
            source = generator(self.seed + 1_000_003, view)  # apart from the generator of the order
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
