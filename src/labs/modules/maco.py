"""MACO: class visualization that changes only the phase of each frequency, never its magnitude.

T. Fel et al., "Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained Optimization", NeurIPS
2023. A picture is defined by a magnitude r, fixed to the mean of photographs, and a phase p, the only trained part:

    x(p) = F^-1(r * exp(i p)),   maximize over p the mean of s(t(x(p))) over random crops with noise, t

Here r and the colors are measured on the training images of the net if it comes from a run, and on photographs for
ImageNet nets. `opacity` is the sum of |ds/dx| over all steps: pixels that never mattered become transparent.
"""

from typing import Any

import torch
from torch import Tensor

from labs import LabsError
from labs.datamodules.cached_spectrum import spectrum_of
from labs.functional.ascent import blurred, seeded
from labs.functional.augment import center_crop
from labs.functional.spectrum import colored, crops, image_of, magnitude_at, squashed
from labs.modules.class_visualization import ClassVisualization

LARGEST = 4096  # largest side of a canvas, in pixels
SPREAD = 0.15  # standard deviation of the crop centers around the middle, as a fraction of the canvas
SMOOTH = 0.01  # standard deviation of the blur of an opacity map, as a fraction of the canvas
CLEAR = 0.9  # fraction of a picture's pixels that are not fully opaque


class Maco(ClassVisualization):
    """Generate pictures with the spectrum of photographs.

    Args:
        size: Height and width of the canvas, in pixels. None: twice the net's input size.
        crops: Number of random square crops of the canvas that the net sees per step.
        crop_sides: Smallest and largest side of a crop, as fractions of the canvas.
        noise: Standard deviation of the noise added to a crop, for pixels in [0, 1].
        photographs: Photographs that give the spectrum and the colors if the net does not come from a run.
        folder: Folder of datasets and stored spectra.
        visualization: Arguments of `ClassVisualization`. The penalty, the jitter and the blur are not used.

    Raises:
        LabsError: If a value is out of range.
    """

    magnitude: Tensor  # (3, size, size // 2 + 1)
    mean: Tensor  # (3,)
    colors: Tensor  # (3, 3)
    mattered: Tensor  # (pictures, 1, size, size): the sum of |gradient| over channels and steps

    def __init__(
        self,
        *,
        size: int | None,
        crops: int,
        crop_sides: list[float],
        noise: float,
        photographs: list[str],
        folder: str,
        **visualization: Any,
    ) -> None:
        super().__init__(**visualization)
        net = self.looked_into
        self.size = 2 * net.image_size if size is None else size
        if not net.image_size <= self.size <= LARGEST:
            raise LabsError(f"module.size={size}: expected {net.image_size} to {LARGEST} pixels, or null.")
        if crops < 1:
            raise LabsError(f"module.crops={crops}: expected 1 or more.")
        if len(crop_sides) != 2 or not 0 < crop_sides[0] <= crop_sides[1] <= 1:
            raise LabsError(f"module.crop_sides={crop_sides}: expected two fractions of the canvas, such as [0.4,0.6].")
        if not 0 <= noise <= 1:
            raise LabsError(f"module.noise={noise}: expected 0 to 1, such as 0.1.")
        self.crops, self.crop_sides, self.noise = crops, tuple(crop_sides), noise
        self.photographs, self.folder = photographs, folder
        self.measured = ""  # description of the images that the spectrum was measured on

    @property
    def settings(self) -> dict[str, Any]:
        """Settings to store with each picture of this run."""
        words = ("steps", "size", "crops", "crop_sides", "noise", "measured", "seed")
        return {"net": self.looked_into.name, **{word: getattr(self, word) for word in words}}

    def begin(self, problems: list[tuple[int, int]]) -> Tensor:
        """Return random phases in radians, which depend on seed and class alone."""
        if len(self.starts):
            raise LabsError(
                "datamodule.images: this method cannot start from images, because it starts from random phases. "
                "Type datamodule.images=null."
            )
        spectrum, self.measured = spectrum_of(self.looked_into, self.photographs, self.folder)
        self.note = f"spectrum and colors of {self.measured}; the nets classify the center of each picture"
        self.print(f"Spectrum and colors come from {self.measured}.")
        parts = {"magnitude": magnitude_at(spectrum.magnitude, self.size), "mean": spectrum.mean}
        for name, values in {**parts, "colors": spectrum.colors}.items():
            self.register_buffer(name, values.to(self.device))
        self.register_buffer("mattered", torch.zeros(len(problems), 1, self.size, self.size, device=self.device))
        shape = (3, self.size, self.size // 2 + 1)
        noise = [torch.rand(shape, generator=seeded(self.seed, target)) for _, target in problems]
        return (2 * torch.stack(noise) - 1) * torch.pi

    def climb(self, canvas: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradient with respect to the phases, and the mean logits of the crops that the net saw."""
        whole = self.image(canvas)
        picture = whole.detach().requires_grad_()
        draws = seeded(self.seed, self.evaluations)
        centers = (0.5 + SPREAD * torch.randn(self.crops, 2, generator=draws)).clamp(0, 1)
        side = self.looked_into.image_size
        seen = crops(picture, self.crop_sides, centers, torch.rand(self.crops, generator=draws), side)
        noise = self.noise * torch.randn(self.crops, 1, 3, side, side, generator=draws)
        seen = seen + noise.expand(-1, len(picture), -1, -1, -1).flatten(0, 1).to(seen)
        logits = self._logits(self.looked_into.normalizer(seen)).unflatten(0, (self.crops, -1)).mean(0)
        score = logits.gather(1, self.targets[rows, None].to(self.device))
        (gradient,) = torch.autograd.grad(score.sum(), picture)
        self.mattered[rows] += gradient.abs().mean(1, keepdim=True)
        return torch.autograd.grad(whole, canvas, gradient)[0], logits.detach()

    def after_step(self, canvas: Tensor) -> None:
        """Do nothing: phases need no clamp and no blur."""

    def image(self, phase: Tensor) -> Tensor:
        """Return the pictures with the given phases, RGB in (0, 1)."""
        return squashed(colored(image_of(phase, self.magnitude, self.size), self.mean, self.colors))

    @torch.no_grad()
    def pictures(self) -> Tensor:
        """Return the pictures so far, RGB in [0, 1], (pictures, 3, size, size)."""
        return self.image(self.trained)

    def asked_about(self, pictures: Tensor) -> Tensor:
        """Return the center of each picture, as large as the mean crop."""
        return center_crop(pictures, round(self.size * sum(self.crop_sides) / 2))

    def opacity(self) -> Tensor:
        """Return the importance of each pixel so far, in [0, 1], (pictures, 1, size, size)."""
        smooth = blurred(self.mattered, SMOOTH * self.size)
        most = torch.stack([one.quantile(CLEAR) for one in smooth.flatten(1)]).clamp(min=1e-12)
        return (smooth / most.view(-1, 1, 1, 1)).clamp(0, 1)
