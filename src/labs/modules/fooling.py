"""Fooling images: change an image almost invisibly until a net predicts a class of your choice.

C. Szegedy et al., "Intriguing properties of neural networks", ICLR 2014. As in hand-out 002, normalized gradient ascent
raises the score s of the target class, in the space of normalized images, until it is the highest score:

    x <- x + lr * g / |g|,   g = ds(x) / dx

A saved image has 8 bits per channel, and rounding to 8 bits would remove most of the changes. With `survive` both the
test and the gradient use the image as it is saved. Two other attacks, both from Captum, change no pixel value by more
than `epsilon`: the single step of I. Goodfellow et al. (FGSM, ICLR 2015), and the projected steps of A. Madry et al.
(PGD, ICLR 2018).
"""

import math
import warnings
from functools import partial
from typing import Literal, cast

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric, SumMetric

from labs import LabsError
from labs.datamodules.batches import Batch
from labs.functional.saved_pixels import in_8_bits, straight_through, through_jpeg
from labs.functional.targeted_ascent import Ascended, targeted_ascent
from labs.inspection.changed_images import ChangedImage, Form, measure_changes
from labs.inspection.undisturbed import undisturbed
from labs.runs.trained_net import TrainedNet

FORMS: dict[str, Form] = {"fooled_float": "float", "fooled_png": "png", "fooled_jpeg": "jpeg"}
SIZES = ("steps", "l2", "l2_share", "linf")  # of a change


class Fooling(pl.LightningModule):
    """Fool a trained net: each pair of an image and a target class is one problem.

    Args:
        net: The net to fool.
        target: One target class or several, by name or number.
        method: `ascent`, `fgsm` or `pgd`.
        survive: The form of the image that must fool the net: `float`, as computed, like in the hand-out; `png`, saved
            in 8 bits; `jpeg`, saved with `jpeg_quality`.
        lr: Step length of `ascent`, in the space of normalized images.
        steps: Largest number of steps. `fgsm` takes one; `pgd` takes all, each of 2.5 epsilon / steps, as Madry does.
        epsilon: Largest change of a pixel value in [0, 1], for `fgsm` and `pgd`.
        jpeg_quality: JPEG quality from 1 to 100.
        at_once: Number of problems that go through the net together. None: 8 on a CPU, because of its cache, else 64.

    Raises:
        LabsError: If the net has no such class, or if a value is out of range.
    """

    def __init__(
        self,
        *,
        net: TrainedNet,
        target: str | int | list[str | int],
        method: Literal["ascent", "fgsm", "pgd"] = "ascent",
        survive: Form = "png",
        lr: float = 1.0,
        steps: int = 100,
        epsilon: float = 8 / 255,
        jpeg_quality: int = 90,
        at_once: int | None = None,
    ) -> None:
        super().__init__()
        if not 0 < lr < math.inf:
            raise LabsError(f"module.lr={lr}: expected a length above 0, such as 1.")
        if not 0 < epsilon <= 1:
            raise LabsError(f"module.epsilon={epsilon}: expected a number above 0, up to 1, such as 0.03.")
        if not 1 <= jpeg_quality <= 100:
            raise LabsError(f"module.jpeg_quality={jpeg_quality}: expected 1 to 100, such as 90.")
        for name, value in {"steps": steps, "at_once": at_once}.items():
            if value is not None and value < 1:
                raise LabsError(f"module.{name}={value}: expected 1 or more.")
        self.targets = list(dict.fromkeys(map(net.index, target if isinstance(target, list) else [target])))
        if not self.targets:
            raise LabsError("module.target=[]: expected a class, such as 6, or several, such as [6,76].")
        self.looked_into = net
        self.net = net.net.to(memory_format=torch.channels_last)  # a third faster for convolutions on a CPU
        self.method, self.survive, self.lr, self.steps, self.epsilon = method, survive, lr, steps, epsilon
        self.jpeg_quality, self.at_once = jpeg_quality, at_once
        self.problems = self.solved = 0  # in the test so far: started, and finished
        self.results: list[ChangedImage] = []  # of the last batch
        sums, means = ("problems", "already"), ("fooled", *FORMS, *SIZES, "confidence")
        self.metrics = nn.ModuleDict({**{name: SumMetric() for name in sums}, **{name: MeanMetric() for name in means}})

    @property
    def labels(self) -> list[str]:
        """Notes that every number and picture of this run must carry."""
        return self.looked_into.labels

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Fool the net with each image of a batch, for each target."""
        count = len(self.targets)
        self.problems += count * len(batch.images)
        with undisturbed(self.net), torch.autocast(self.device.type, enabled=False):
            # copies, because tensors that were made in inference mode (as in a test) cannot have a gradient
            originals, positions = (
                rows.clone().repeat_interleave(count, 0) for rows in (batch.images, batch.positions)
            )
            targets = torch.tensor(self.targets, device=self.device).repeat(len(batch.images))
            fooling, steps = self.fool(originals, targets)
            self.results = measure_changes(
                self.looked_into, originals, fooling, positions=positions, targets=targets, steps=steps,
                quality=self.jpeg_quality, at_once=self._at_once,
            )  # fmt: skip
        self._measure()

    def fool(self, images: Tensor, targets: Tensor) -> Ascended:
        """Change images (problems, 3, height, width) in [0, 1] until the net predicts the target of each.

        Unless `survive` is `float`, the results have 8 bits, as in a file (for JPEG: before compression).
        """
        found = self._ascend(images, targets) if self.method == "ascent" else self._attack(images, targets)
        return found if self.survive == "float" else Ascended(in_8_bits(found.images), found.steps)

    def _logits(self, images: Tensor) -> Tensor:
        """Return the net's logits for images in the form that must fool it."""
        if self.survive == "png":
            images = straight_through(images, in_8_bits)
        elif self.survive == "jpeg":
            images = straight_through(images, partial(through_jpeg, quality=self.jpeg_quality))
        return self.looked_into(images)

    def _ascend(self, images: Tensor, targets: Tensor) -> Ascended:
        scale = self.looked_into.normalizer.statistics[1].to(images.device)
        return targeted_ascent(
            self._logits, images, targets, lr=self.lr, steps=self.steps, scale=scale, at_once=self._at_once,
            on_solved=self._count,
        )  # fmt: skip

    def _attack(self, images: Tensor, targets: Tensor) -> Ascended:
        from captum.robust import FGSM, PGD  # slow to import, so only where it is used

        bounds = {"lower_bound": 0.0, "upper_bound": 1.0}
        loss = partial(F.cross_entropy, reduction="none")
        changed, parts = [], zip(images.split(self._at_once), targets.split(self._at_once))
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # Captum sets requires_grad, and says so
            for part, wanted in parts:
                if self.method == "fgsm":
                    found = FGSM(self._logits, loss, **bounds).perturb(part, self.epsilon, wanted, targeted=True)
                else:
                    found = PGD(self._logits, loss, **bounds).perturb(
                        part, self.epsilon, 2.5 * self.epsilon / self.steps, self.steps, wanted, targeted=True
                    )
                changed.append(found.detach())
                self._count(len(part))
        return Ascended(torch.cat(changed), torch.full_like(targets, 1 if self.method == "fgsm" else self.steps))

    @property
    def _at_once(self) -> int:
        return self.at_once or (8 if self.device.type == "cpu" else 64)

    def _count(self, solved: int) -> None:
        self.solved += solved

    def _measure(self) -> None:
        """Update the metrics with the last batch; the sizes are those of images that fool in the required form."""
        posed = [result for result in self.results if not result.already]
        fooled = [result for result in posed if result.fools(self.survive)]
        found = {
            "problems": [len(posed)],
            "already": [len(self.results) - len(posed)],
            "fooled": [result.fools(self.survive) for result in posed],
            **{name: [result.fools(form) for result in posed] for name, form in FORMS.items()},
            **{name: [getattr(result, name) for result in fooled] for name in SIZES},
            "confidence": [result.after[self.survive][1] for result in fooled],
        }
        for name, values in found.items():
            if values:
                metric = cast(Metric, self.metrics[name])
                metric.update(torch.tensor(values, dtype=torch.float32, device=self.device))
                self.log(f"test/{name}", metric, on_step=False, on_epoch=True)
