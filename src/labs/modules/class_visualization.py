"""Class visualization: gradient ascent on the pixels of an image until a net sees a class in it.

K. Simonyan, A. Vedaldi and A. Zisserman, "Deep Inside Convolutional Networks", ICLR 2014 (workshop), equation 3, with
the regularization of J. Yosinski et al. 2015, as in the courses' notebooks. The objective is the score s of the class
(before softmax) minus a penalty. Every step has the same length in the space of normalized images:

    x <- x + lr * g / |g|,   g = d(s(x) - l2 * |x|^2) / dx   (or l2 * |x|)

In every step the net sees x shifted by a few pixels (jitter). Afterwards x is clamped to the valid range of pixels, and
blurred from time to time. All classes and images of a run form one batch of independent problems. At the end a second
net, the judge, classifies the pictures, too. This exposes textures that only one net responds to.
"""

import math
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from labs import LabsError
from labs.datamodules.protocols import ShowsImages, handed_over
from labs.datamodules.read_picture import file_name, numbered
from labs.functional.ascent import Form, blurred, jitter, jitter_of, penalty, seeded, unit
from labs.functional.scales import check_epochs, epochs_in_all, share_out
from labs.inspection.asked import asked
from labs.runs.trained_net import TrainedNet


class ClassVisualization(pl.LightningModule):
    """Generate pictures that a trained net assigns to the given classes.

    A training step, which is one epoch, takes `every` steps of gradient ascent (the last one may take fewer). The run
    takes `steps` of them in total. If the data has images, every image is changed toward every class; otherwise the
    pictures start from noise.

    Args:
        net: The net whose classes are visualized.
        optimizer: Builds the optimizer of the pictures. With `normalized` it receives gradients of length 1.
        classes: One class or several, by name or number.
        judge: A second net with the same class names. A net with other class names is not used.
        steps: Number of ascent steps.
        every: Ascent steps per row of log.tsv, per animation frame and per checkpoint.
        l2: Factor of the penalty.
        l2_form: `square`, |x|^2, as in the notebook of CS231n, or `norm`, |x|, as in that of the Sorbonne.
        jitter: Largest shift of the image, in pixels. None: a fourteenth of its side, 16 of 224 pixels.
        blur_every: Blur after every this many steps. 0: never.
        blur_sigma: Standard deviation of the blur, in pixels.
        normalized: Whether gradients are scaled to length 1.
        at_once: Number of pictures that go through the net together.
        seed: Seed of the noise and the jitter.
        devices: The Trainer's devices. Only one is allowed.

    Raises:
        LabsError: If the net has no such class, or if a value is out of range.
    """

    def __init__(
        self,
        *,
        net: TrainedNet,
        optimizer: Callable[..., torch.optim.Optimizer],
        classes: str | int | list[str | int],
        judge: TrainedNet | None,
        steps: int,
        every: int,
        l2: float = 1e-3,
        l2_form: Form = "square",
        jitter: int | None = None,
        blur_every: int = 10,
        blur_sigma: float = 0.5,
        normalized: bool = True,
        at_once: int = 16,
        seed: int = 0,
        devices: int | str | list[int] = 1,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        asked = classes if isinstance(classes, list) else [classes]
        if not asked:
            raise LabsError("module.classes=[]: expected a class, such as tarantula, or several, such as [76,snail].")
        self.classes = list(dict.fromkeys(net.index(one, "module.classes") for one in asked))
        self.ends = share_out(steps, every, [1.0])
        _check_lr(optimizer)
        if not 0 <= l2 < math.inf:
            raise LabsError(f"module.l2={l2}: expected 0 or more, such as 0.001.")
        jitter = net.image_size // 14 if jitter is None else jitter
        if not 0 <= jitter < net.image_size:
            raise LabsError(f"module.jitter={jitter}: expected 0 to {net.image_size - 1} pixels, or null.")
        if blur_every < 0 or not 0 <= blur_sigma <= net.image_size / 8:
            raise LabsError(
                f"module.blur_every={blur_every} module.blur_sigma={blur_sigma}: expected blur_every=0 (no blur) or "
                f"more, and a blur_sigma from 0 to {net.image_size / 8:g} pixels."
            )
        if at_once < 1:
            raise LabsError(f"module.at_once={at_once}: expected 1 picture or more.")
        if str(devices) not in ("1", "auto") and not (isinstance(devices, list) and len(devices) == 1):
            raise LabsError(f"trainer.devices={devices}: this method runs on one device. Type trainer.devices=1.")
        self.looked_into = net
        self.judge = self._fit_judge(judge)
        self.optimizer, self.steps, self.every, self.l2, self.l2_form = optimizer, steps, every, l2, l2_form
        self.jitter, self.blur_every, self.blur_sigma = jitter, blur_every, blur_sigma
        self.normalized, self.at_once, self.seed = normalized, at_once, seed
        self.evaluations = 0
        self.canvas: nn.Parameter | None = None  # the trained tensor, one row per picture
        self.starts = torch.empty(0)  # start images in [0, 1], one per picture; empty if they start from noise
        self.names: list[str] = []  # of the pictures, valid as file names
        self.titles: list[str] = []
        self.captions: list[str] = []  # of the finished pictures: the predictions of the nets
        self.note = ""  # a note that applies to all pictures
        self.results: dict[str, Tensor] = {}  # of the test, (pictures,) each
        # pixel values 0 and 1 after normalization, the limits of the clamp: (2, 1, 3, 1, 1)
        self.bounds = torch.stack([net.normalizer(torch.full((1, 3, 1, 1), value)) for value in (0.0, 1.0)])

    @property
    def labels(self) -> list[str]:
        """Notes that every number and picture of this run must carry."""
        early = bool(self._trainer and self.trainer.testing and self.evaluations < self.steps)
        return [*self.looked_into.labels, *(["stopped early"] if early else [])]

    @property
    def settings(self) -> dict[str, Any]:
        """Settings to store with each picture of this run."""
        words = ("steps", "l2", "l2_form", "jitter", "blur_every", "blur_sigma", "seed")
        return {"net": self.looked_into.name, **{word: getattr(self, word) for word in words}}

    def setup(self, stage: str) -> None:
        """Initialize the pictures."""
        if self.canvas is not None:
            return
        if self.trainer.precision == "16-mixed":
            raise LabsError("precision=fp16 does not work here, because it scales the loss. Type precision=bf16.")
        if self.trainer.max_steps != -1 and not self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            raise LabsError(
                f"trainer.max_steps={self.trainer.max_steps}: this method counts ascent steps. Type steps=200 instead."
            )
        if stage == "fit":
            check_epochs(self.trainer.max_epochs, self.ends, self.every)
        data, classes = handed_over(self.trainer, ShowsImages, to=self), self.looked_into.classes
        images = data.names or [""]
        problems = [(place, target) for place in range(len(images)) for target in self.classes]
        self.targets = torch.tensor([target for _, target in problems])
        self.titles = [" → ".join(filter(None, (images[place], classes[target]))) for place, target in problems]
        self.names = numbered(
            ["_".join(filter(None, (images[place], file_name(classes[target])))) for place, target in problems]
        )
        self.starts = data.pixels.repeat_interleave(len(self.classes), 0) if data.names else self.starts
        self.canvas = nn.Parameter(self.begin(problems))

    def begin(self, problems: list[tuple[int, int]]) -> Tensor:
        """Return the normalized start of each picture: an image, or noise that depends on seed and class alone."""
        if len(self.starts):
            return self.looked_into.normalizer(self.starts).clone()
        size = (3, self.looked_into.image_size, self.looked_into.image_size)
        return torch.stack([torch.randn(size, generator=seeded(self.seed, target)) for _, target in problems])

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """Take the next `every` ascent steps, for all pictures together."""
        optimizer, canvas = self.optimizers(), self.trained
        end = min(self.evaluations + self.every, self.steps)
        while self.evaluations < end:
            gradients, scores, probs = [], [], []
            for rows in torch.arange(len(self.targets)).split(self.at_once):
                gradient, logits = self.climb(canvas.detach()[rows].requires_grad_(), rows)
                targets = self.targets[rows, None].to(self.device)
                gradients.append(gradient)
                scores.append(logits.gather(1, targets))
                probs.append(logits.softmax(1).gather(1, targets))
            gradient = torch.cat(gradients)
            canvas.grad = -(unit(gradient) if self.normalized else gradient)  # optimizers minimize
            optimizer.step()  # type: ignore[union-attr]
            self.after_step(canvas.data)
            self.evaluations += 1
        metrics = {"train/score": torch.cat(scores).mean(), "train/prob": torch.cat(probs).mean()}
        # Lightning's loggers use the value named `step` for the horizontal axis
        self.log_dict({**metrics, "step": float(self.evaluations)}, on_step=False, on_epoch=True, batch_size=1)

    def climb(self, canvas: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradient of the objective for some pictures, and the logits of the images that the net saw."""
        logits = self._logits(jitter(canvas, jitter_of(self.jitter, self.seed, self.evaluations)))
        scores = logits.gather(1, self.targets[rows, None].to(self.device))[:, 0]
        objective = scores - self.l2 * penalty(canvas, self.l2_form)
        (gradient,) = torch.autograd.grad(objective.sum(), canvas)
        return gradient, logits.detach()

    def after_step(self, canvas: Tensor) -> None:
        """Clamp to the valid range of pixels, and blur after every `blur_every` steps."""
        canvas.clamp_(*self.bounds.to(canvas.device))
        if self.blur_every and self.evaluations % self.blur_every == 0:
            canvas.copy_(blurred(canvas, self.blur_sigma))

    @torch.no_grad()
    def pictures(self) -> Tensor:
        """Return the pictures so far, RGB in [0, 1], (pictures, 3, height, width)."""
        low, high = self.bounds.to(self.trained.device)
        return ((self.trained - low) / (high - low)).clamp(0, 1)

    def opacity(self) -> Tensor | None:
        """Return the importance of each pixel in [0, 1], (pictures, 1, height, width), or None if not measured."""
        return None

    def asked_about(self, pictures: Tensor) -> Tensor:
        """Return the part of the finished pictures that the nets classify."""
        return pictures

    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        """Classify the pictures with both nets, in 8 bits as they are saved."""
        pictures = self.pictures().mul(255).round() / 255
        with torch.autocast(self.device.type, enabled=False):
            own, self.captions = self._asked(self.looked_into, pictures)
            self.results = {"prob": own[0], "rank": own[1]}
            if self.judge is not None:
                judged, captions = self._asked(self.judge, pictures)
                self.results |= {"judge_prob": judged[0], "judge_rank": judged[1]}
                self.captions = ["\n".join(pair) for pair in zip(self.captions, captions, strict=True)]
        self.log_dict({f"test/{name}": values.mean() for name, values in self.results.items()}, batch_size=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Build the optimizer."""
        return self.optimizer([self.trained])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the number of steps taken."""
        checkpoint["evaluations"] = self.evaluations

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Resume from the saved step, and set the number of epochs that the remaining steps need.

        Raises:
            LabsError: If there are no steps left.
        """
        self.evaluations = checkpoint["evaluations"]
        if self.trainer.state.fn != "fit":
            return
        epochs = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
        limit, done = self.trainer.max_epochs, self.evaluations
        self.trainer.fit_loop.max_epochs = epochs_in_all(limit, epochs, self.ends, self.every, done)

    @property
    def trained(self) -> nn.Parameter:
        """The trained tensor, which exists after `setup`."""
        assert self.canvas is not None
        return self.canvas

    def _logits(self, normalized: Tensor) -> Tensor:
        """Return the net's logits for normalized images; the channels-last format is a third faster on a CPU."""
        net = self._net_of(self.looked_into)
        with self.trainer.precision_plugin.forward_context():
            logits: Tensor = net(normalized.contiguous(memory_format=torch.channels_last))
        return logits.float()

    def _net_of(self, net: TrainedNet) -> nn.Module:
        """Return a net on this device; it is not a submodule, so that checkpoints hold the pictures only."""
        return net.net.to(self.device).to(memory_format=torch.channels_last)

    def _asked(self, net: TrainedNet, pictures: Tensor) -> tuple[Tensor, list[str]]:
        self._net_of(net)
        classes = [self.looked_into.classes[target] for target in self.targets.tolist()]
        return asked(net, self.asked_about(pictures), classes, self.at_once)

    def _fit_judge(self, judge: TrainedNet | None) -> TrainedNet | None:
        """Return the judge if it has the classes, else None.

        Raises:
            LabsError: If the judge is the net itself.
        """
        if judge is None:
            return None
        net = self.looked_into
        if judge.name == net.name and judge.run == net.run:
            raise LabsError(
                f"module.judge.name={judge.name}: the judge is the net itself. Type another net, or module.judge=null."
            )
        if {net.classes[target] for target in self.classes} <= set(judge.classes):
            return judge
        rank_zero_info(
            f"{judge.name} and {net.name} have different classes, so {judge.name} does not judge the pictures. "
            "To use the net of another run as the judge, type module.judge.weights=<run directory>."
        )
        return None


def _check_lr(optimizer: Callable[..., torch.optim.Optimizer]) -> None:
    """Refuse a learning rate that is not positive, before the run starts."""
    try:
        lr = optimizer([torch.zeros(1, requires_grad=True)]).param_groups[0]["lr"]
    except ValueError as error:  # raised by torch's optimizers for invalid settings
        raise LabsError(f"optimizer: {error}; expected a learning rate above 0, such as optimizer.lr=25.") from error
    if not 0 < lr < math.inf:
        raise LabsError(f"optimizer.lr={lr}: expected a number above 0, such as 25.")
