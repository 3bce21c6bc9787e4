"""Measure how a small change of an image affects a net's prediction, as computed and as saved in a file."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from labs.functional.saved_pixels import in_8_bits, through_jpeg
from labs.runs.trained_net import TrainedNet

Form = Literal["float", "png", "jpeg"]  # of an image: as computed, in 8 bits, compressed


@dataclass(frozen=True)
class ChangedImage:
    """An image that was changed so that a net predicts another class, and the result.

    Attributes:
        position: Position of the image in the data.
        target: The target class.
        original: (3, height, width) in [0, 1].
        changed: The same after the change. As computed, it may leave [0, 1].
        steps: Number of steps taken.
        before: Predicted class of the original, and its probability.
        after: The same after the change, for each form of the image.
        l2: Euclidean norm of the change, for pixels in [0, 1], before any compression.
        l2_share: That norm relative to the norm of the original.
        linf: Largest change of a pixel value, for pixels in [0, 1].
    """

    position: int
    target: int
    original: Tensor
    changed: Tensor
    steps: int
    before: tuple[int, float]
    after: dict[Form, tuple[int, float]]
    l2: float
    l2_share: float
    linf: float

    @property
    def already(self) -> bool:
        """Whether the net already predicts the target for the original."""
        return self.before[0] == self.target

    def fools(self, form: Form) -> bool:
        """Return whether the net predicts the target for this form of the changed image."""
        return self.after[form][0] == self.target


@torch.no_grad()
def measure_changes(
    net: TrainedNet,
    originals: Tensor,
    changed: Tensor,
    *,
    positions: Tensor,
    targets: Tensor,
    steps: Tensor,
    quality: int,
    at_once: int,
) -> list[ChangedImage]:
    """Classify images before and after a change.

    Args:
        net: The net that predicts.
        originals: (problems, 3, height, width) in [0, 1].
        changed: The same after the change.
        positions: Position of each image in the data.
        targets: Target class of each change.
        steps: Number of steps of each change.
        quality: JPEG quality.
        at_once: Number of images that go through the net together.
    """

    def asked(images: Tensor) -> list[tuple[int, float]]:
        shares = torch.cat([net(part).softmax(1) for part in images.split(at_once)])
        confidence, preds = shares.max(1)
        return list(zip(preds.tolist(), confidence.tolist()))

    before, png = asked(originals), in_8_bits(changed)
    forms: dict[Form, Tensor] = {"float": changed, "png": png, "jpeg": through_jpeg(png, quality)}
    after = {form: asked(images) for form, images in forms.items()}
    difference = (changed - originals).flatten(1)
    l2 = torch.linalg.vector_norm(difference, dim=1)
    share = l2 / torch.linalg.vector_norm(originals.flatten(1), dim=1).clamp_min(1e-12)  # a black image has no length
    linf = difference.abs().amax(1)
    return [
        ChangedImage(
            position=int(positions[place]),
            target=target,
            original=originals[place].cpu(),
            changed=changed[place].cpu(),
            steps=int(steps[place]),
            before=before[place],
            after={form: answers[place] for form, answers in after.items()},
            l2=float(l2[place]),
            l2_share=float(share[place]),
            linf=float(linf[place]),
        )
        for place, target in enumerate(targets.tolist())
    ]
