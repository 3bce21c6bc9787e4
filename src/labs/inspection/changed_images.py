"""What a small change of an image does to the answer of a net: as computed, and as a file keeps it."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from labs.functional.saved_pixels import in_8_bits, through_jpeg
from labs.runs.trained_net import TrainedNet

Form = Literal["float", "png", "jpeg"]  # of an image: as computed, in 8 bits, compressed


@dataclass(frozen=True)
class ChangedImage:
    """An image that was changed to be taken for another class, and what came of it.

    Attributes:
        position: of the image among those of the run.
        target: the class that is wanted.
        original: (3, height, width) in [0, 1].
        changed: the same after the change; as computed it may leave [0, 1].
        steps: that the change took.
        before: class of the original, and its probability.
        after: the same after the change, for each form.
        l2: Euclidean length of the change, of pixels in [0, 1], before any compression.
        l2_share: that length relative to the original's.
        linf: the largest change of a number, of pixels in [0, 1].
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
        """Whether there was nothing to do: the net takes the original for the target."""
        return self.before[0] == self.target

    def fools(self, form: Form) -> bool:
        """Say whether the net takes a form of the changed image for the target."""
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
    """Ask a net about images before and after a change.

    Args:
        net: that is asked.
        originals: (problems, 3, height, width) in [0, 1].
        changed: the same after the change.
        positions: of each image among those of the run.
        targets: class that each was changed for.
        steps: that each change took.
        quality: of JPEG.
        at_once: images that go through the net together.
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
