"""Class visualization: gradient ascent on the pixels of an image until a net sees a class in it.

K. Simonyan, A. Vedaldi and A. Zisserman, "Deep Inside Convolutional Networks", ICLR 2014 (workshop), equation 3, with
the tricks of J. Yosinski et al. 2015, as in the courses' notebooks: the score s of the class, before softmax, less a
penalty, climbed in steps of one length among normalized images,

    x <- x + lr * g / |g|,   g = d(s(x) - l2 * |x|^2) / dx   (or l2 * |x|)

The net sees x shifted a little in every step (jitter), x is clamped to what pixels can be, and now and then blurred.
All classes and images of a run are one batch of independent problems. Another net, the judge, says at the end whether
it sees the class, too: textures that only one net reacts to are unmasked so.
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
from labs.functional.scales import check_epochs, epochs_to_go, share_out
from labs.inspection.asked import asked
from labs.runs.trained_net import TrainedNet


class ClassVisualization(pl.LightningModule):
    """Make pictures that a trained net takes for the classes asked for.

    A training step, an epoch, takes `every` steps of ascent (fewer at the end): `steps` in all. Pictures begin in the
    images of the data, each with every class, or else in noise.

    Args:
        net: that is asked.
        optimizer: builds an optimizer of what is trained; it gets gradients of length 1 (`normalized`).
        classes: by name or number, one or several.
        judge: another net with the same names of classes; one that has not is left out.
        steps: of ascent, exactly.
        every: steps between two rows of log.tsv, frames and checkpoints.
        l2: factor of the penalty.
        l2_form: `square`, |x|^2, as in CS231n's notebook, or `norm`, |x|, as in the Sorbonne's.
        jitter: pixels by which the net sees the image shifted, at most; None: a fourteenth of it, 16 of 224.
        blur_every: steps between two blurs; 0: none.
        blur_sigma: of a blur, in pixels.
        normalized: whether gradients have length 1; else the optimizer gets them as they are.
        at_once: pictures that go through the net together.
        seed: of noise and jitter.
        devices: of the Trainer; refused if there are several.

    Raises:
        LabsError: a class that the net has not, or a value that makes no sense.
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
            raise LabsError(f"module.l2={l2}: expected a number from 0, such as 0.001.")
        jitter = net.image_size // 14 if jitter is None else jitter
        if not 0 <= jitter < net.image_size:
            raise LabsError(f"module.jitter={jitter}: expected 0 to {net.image_size - 1} pixels, or null.")
        if blur_every < 0 or not 0 <= blur_sigma <= net.image_size / 8:
            raise LabsError(
                f"module.blur_every={blur_every} module.blur_sigma={blur_sigma}: expected steps from 0 (no blur), and "
                f"0 to {net.image_size / 8:g} pixels."
            )
        if at_once < 1:
            raise LabsError(f"module.at_once={at_once}: expected 1 picture or more.")
        if str(devices) not in ("1", "auto") and not (isinstance(devices, list) and len(devices) == 1):
            raise LabsError(f"trainer.devices={devices}: the pictures of a run share a device; type trainer.devices=1.")
        self.looked_into = net
        self.judge = self._fit_judge(judge)
        self.optimizer, self.steps, self.every, self.l2, self.l2_form = optimizer, steps, every, l2, l2_form
        self.jitter, self.blur_every, self.blur_sigma = jitter, blur_every, blur_sigma
        self.normalized, self.at_once, self.seed = normalized, at_once, seed
        self.evaluations = 0
        self.canvas: nn.Parameter | None = None  # what trains, a row for each picture
        self.starts = torch.empty(0)  # images in [0, 1] that pictures began in, one for each; none for noise
        self.names: list[str] = []  # of the pictures, fit for files
        self.titles: list[str] = []
        self.captions: list[str] = []  # of the finished pictures: what the nets see
        self.note = ""  # what must be said of all pictures
        self.results: dict[str, Tensor] = {}  # of the test, (pictures,) each
        # normalized pixels of 0 and 1, the range of what is clamped: (2, 1, 3, 1, 1)
        self.bounds = torch.stack([net.normalizer(torch.full((1, 3, 1, 1), value)) for value in (0.0, 1.0)])

    @property
    def labels(self) -> list[str]:
        """What every number and picture of this run must carry."""
        early = bool(self._trainer and self.trainer.testing and self.evaluations < self.steps)
        return [*self.looked_into.labels, *(["stopped early"] if early else [])]

    @property
    def settings(self) -> dict[str, Any]:
        """What a picture of this run should tell of how it was made."""
        words = ("steps", "l2", "l2_form", "jitter", "blur_every", "blur_sigma", "seed")
        return {"net": self.looked_into.name, **{word: getattr(self, word) for word in words}}

    def setup(self, stage: str) -> None:
        """Begin the pictures."""
        if self.canvas is not None:
            return
        if self.trainer.precision == "16-mixed":
            raise LabsError("precision=fp16 scales losses, which steps of one length cannot follow: type bf16.")
        if self.trainer.max_steps != -1 and not self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            raise LabsError(f"trainer.max_steps={self.trainer.max_steps} counts no steps of ascent; type steps=200.")
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
        """Return where each picture starts, normalized: an image, or noise that only seed and class decide."""
        if len(self.starts):
            return self.looked_into.normalizer(self.starts).clone()
        size = (3, self.looked_into.image_size, self.looked_into.image_size)
        return torch.stack([torch.randn(size, generator=seeded(self.seed, target)) for _, target in problems])

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """Take the next `every` steps, of all pictures at once."""
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
            canvas.grad = -(unit(gradient) if self.normalized else gradient)  # optimizers descend
            optimizer.step()  # type: ignore[union-attr]
            self.after_step(canvas.data)
            self.evaluations += 1
        metrics = {"train/score": torch.cat(scores).mean(), "train/prob": torch.cat(probs).mean()}
        # `step` is what Lightning gives to loggers as the place on the horizontal axis
        self.log_dict({**metrics, "step": float(self.evaluations)}, on_step=False, on_epoch=True, batch_size=1)

    def climb(self, canvas: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradient of the objective of some pictures, and the logits of what the net was shown."""
        logits = self._logits(jitter(canvas, jitter_of(self.jitter, self.seed, self.evaluations)))
        scores = logits.gather(1, self.targets[rows, None].to(self.device))[:, 0]
        objective = scores - self.l2 * penalty(canvas, self.l2_form)
        (gradient,) = torch.autograd.grad(objective.sum(), canvas)
        return gradient, logits.detach()

    def after_step(self, canvas: Tensor) -> None:
        """Clamp to the range of pixels, and blur in every tenth step, the first among them."""
        canvas.clamp_(*self.bounds.to(canvas.device))
        if self.blur_every and self.evaluations % self.blur_every == 0:
            canvas.copy_(blurred(canvas, self.blur_sigma))

    @torch.no_grad()
    def pictures(self) -> Tensor:
        """Return the pictures so far, RGB in [0, 1], (pictures, 3, height, width)."""
        low, high = self.bounds.to(self.trained.device)
        return ((self.trained - low) / (high - low)).clamp(0, 1)

    def opacity(self) -> Tensor | None:
        """Return how much each pixel mattered, in [0, 1], (pictures, 1, height, width), if the method knows it."""
        return None

    def asked_about(self, pictures: Tensor) -> Tensor:
        """Return what of the finished pictures the nets are asked about."""
        return pictures

    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        """Ask both nets about the pictures as they are saved, in 256 steps."""
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
        """Save how far the run is."""
        checkpoint["evaluations"] = self.evaluations

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from there, with as many epochs as the steps still take.

        Raises:
            LabsError: there are no steps left.
        """
        self.evaluations = checkpoint["evaluations"]
        if self.trainer.state.fn != "fit":
            return
        epochs = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
        self.trainer.fit_loop.max_epochs = epochs + epochs_to_go(self.ends, self.every, self.evaluations)

    @property
    def trained(self) -> nn.Parameter:
        """What trains; there is none before `setup`."""
        assert self.canvas is not None
        return self.canvas

    def _logits(self, normalized: Tensor) -> Tensor:
        """Return the net's logits of normalized images; a third faster on a CPU with the channels last in memory."""
        net = self._net_of(self.looked_into)
        with self.trainer.precision_plugin.forward_context():
            logits: Tensor = net(normalized.contiguous(memory_format=torch.channels_last))
        return logits.float()

    def _net_of(self, net: TrainedNet) -> nn.Module:
        """Return a net on this device; it is no part of the method, whose checkpoints hold pictures only."""
        return net.net.to(self.device).to(memory_format=torch.channels_last)

    def _asked(self, net: TrainedNet, pictures: Tensor) -> tuple[Tensor, list[str]]:
        self._net_of(net)
        classes = [self.looked_into.classes[target] for target in self.targets.tolist()]
        return asked(net, self.asked_about(pictures), classes, self.at_once)

    def _fit_judge(self, judge: TrainedNet | None) -> TrainedNet | None:
        """Return a judge, if it knows the classes.

        Raises:
            LabsError: it is the net itself.
        """
        if judge is None:
            return None
        net = self.looked_into
        if judge.name == net.name and judge.run == net.run:
            raise LabsError(
                f"module.judge.name={judge.name}: the judge is the net itself; type another, or module.judge=null."
            )
        if {net.classes[target] for target in self.classes} <= set(judge.classes):
            return judge
        rank_zero_info(
            f"{judge.name} has other classes than {net.name}, so no other net judges the pictures; "
            "module.judge.weights=<run directory> takes the net of another run."
        )
        return None


def _check_lr(optimizer: Callable[..., torch.optim.Optimizer]) -> None:
    """Refuse steps of no length before anything is made."""
    try:
        lr = optimizer([torch.zeros(1, requires_grad=True)]).param_groups[0]["lr"]
    except ValueError as error:  # what torch's optimizers say of their settings
        raise LabsError(f"optimizer: {error}; expected a learning rate above 0, such as optimizer.lr=25.") from error
    if not 0 < lr < math.inf:
        raise LabsError(f"optimizer.lr={lr}: expected a number above 0, such as 25.")
