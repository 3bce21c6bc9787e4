"""Neural style transfer: the pixels of a picture are trained, and a fixed net defines the loss.

L. Gatys, A. Ecker and M. Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016, equation 7:

    loss = content_weight * sum of C_l over content layers + style_weight * sum of S_l over style layers

where a convention defines C_l and S_l (`labs.functional.style`). `labs.functional.loss_weights` has two optional
terms. All pairs of a run form one batch of independent problems.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any, Literal, cast

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torchmetrics.functional.image import structural_similarity_index_measure

from labs import LabsError
from labs.datamodules.image_pair import Pairs
from labs.datamodules.protocols import PicturePairs, handed_over
from labs.functional.batched_lbfgs import BatchedLBFGS, forget
from labs.functional.best_so_far import BestSoFar
from labs.functional.loss_weights import LossWeights
from labs.functional.scales import check_epochs, check_scales, enlarged, epochs_in_all, go_on, resized, share_out
from labs.functional.style import keep_luminance_of, luminance, match_colors
from labs.nets.layer_features import LayerFeatures
from labs.nets.layer_names import is_vgg
from labs.nets.picture_losses import YARDSTICK, PictureLosses


class StyleTransfer(pl.LightningModule):
    """Generate pictures that have the content of one picture and the style of another.

    A training step takes `every` evaluations of the loss (fewer at the end of a scale); a run takes `steps` in total.

    Args:
        net: Builds the net from the layers to return; its weights and other settings are already given.
        optimizer: Builds an optimizer of pictures (pairs, 3, height, width): `BatchedLBFGS` or an elementwise one.
        content_layers: Content layers, by any name: `conv_4` (tutorial), `conv2_2` (VGG) or `features.5` (module).
        style_layers: Style layers, named in the same way.
        content_weight: Factor of the content loss.
        style_weight: Factor of the style loss.
        convention: Definition of both losses: `tutorial`, `gatys` or `handout_004`.
        balance: Whether each layer's loss is divided by the loss between the content picture and the style picture.
            None: yes, except for a trained VGG, for which the published weights were chosen.
        steps: Number of evaluations of the loss.
        every: Evaluations per row of log.tsv, per saved picture and per checkpoint.
        start: `content`, or `noise`, uniform in [0, 1].
        tv_weight: Factor of the total variation, which smooths the picture.
        range_weight: Factor of the mean squared distance to [0, 1]. The finished picture is clamped in any case.
        clamp: `end`, or `closure`: at every evaluation, as in the tutorial, with which L-BFGS diverges sooner or later.
        colours: `style`; `matched`: the style in the content's colors; `luminance`: only brightness is transferred.
        scales: Sizes relative to those of the data, from coarse to fine; each takes an equal share of the steps.
        guard: Whether a picture whose loss explodes returns to its best state, which is then also the result.
        at_once: Number of pictures that go through the net together. None: one on a CPU (for its cache), else all.
        devices: The Trainer's devices. Only one is allowed.

    Raises:
        LabsError: If a value is out of range, or if the net has no such layer.
    """

    def __init__(
        self,
        *,
        net: Callable[..., LayerFeatures],
        optimizer: Callable[..., torch.optim.Optimizer],
        content_layers: list[str],
        style_layers: list[str],
        content_weight: float,
        style_weight: float,
        steps: int,
        every: int,
        convention: Literal["tutorial", "gatys", "handout_004"] = "tutorial",
        balance: bool | None = None,
        start: Literal["content", "noise"] = "content",
        tv_weight: float = 0.0,
        range_weight: float = 0.0,
        clamp: Literal["end", "closure"] = "end",
        colours: Literal["style", "matched", "luminance"] = "style",
        scales: list[float] = [1.0],  # noqa: B006 - never written to
        guard: bool = True,
        at_once: int | None = None,
        devices: int | str | list[int] = 1,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.loss_weights = LossWeights(content_weight, style_weight, tv_weight, range_weight)
        self.scales, self.ends = tuple(scales), share_out(steps, every, scales)
        if str(devices) not in ("1", "auto") and not (isinstance(devices, list) and len(devices) == 1):
            raise LabsError(f"trainer.devices={devices}: this method runs on one device. Type trainer.devices=1.")
        if at_once is not None and at_once < 1:
            raise LabsError(f"module.at_once={at_once}: expected 1 picture or more, or null.")
        if not content_layers and not style_layers:
            raise LabsError("module.content_layers=[] module.style_layers=[]: expected at least one layer.")
        yardstick = (*YARDSTICK["content_layers"], *YARDSTICK["style_layers"])
        self.net = net(layers=list(dict.fromkeys((*content_layers, *style_layers, *yardstick))))
        self.optimizer, self.steps, self.every, self.at_once = optimizer, steps, every, at_once
        trained_vgg = is_vgg(self.net.name) and self.net.weights != "random"
        self.balance = not trained_vgg if balance is None else balance
        self.layers = {"content_layers": tuple(content_layers), "style_layers": tuple(style_layers)}
        self.convention, self.start, self.clamp, self.colours, self.guard = convention, start, clamp, colours, guard
        self.generated = nn.ParameterList()  # one batch of pictures per scale, (pairs, 3, height, width)
        self.best = nn.ModuleList()  # each picture at its lowest loss
        self.evaluations = 0
        self.first: list[list[float]] = []  # content losses and style losses of the first evaluation
        self.trace: list[Tensor] = []  # (3, pairs) per evaluation of the last step: content, style and total loss
        self.losses: PictureLosses | None = None  # of the current scale
        self.results: dict[str, Tensor] = {}  # of the test, (pairs,) each

    @property
    def labels(self) -> list[str]:
        """Notes that every number and picture of this run must carry."""
        notes = {"random weights": self.net.weights == "random"}
        notes[f"features of {self.net.name}"] = not is_vgg(self.net.name)
        notes["clamped in the closure"] = self.clamp == "closure"
        notes["stopped early"] = bool(self._trainer and self.trainer.testing and self.evaluations < self.steps)
        return [note for note, true in notes.items() if true]

    @property
    def settings(self) -> dict[str, Any]:
        """Settings to store with each picture of this run; every layer by both of its names."""
        names = {kind: [self.net.both_names(layer) for layer in chosen] for kind, chosen in self.layers.items()}
        weights = {f"{name}_weight": weight for name, weight in asdict(self.loss_weights).items()}
        words = ("convention", "balance", "start", "clamp", "colours", "scales", "steps")
        return {**names, **weights, **{word: getattr(self, word) for word in words}}

    def setup(self, stage: str) -> None:
        """Initialize the pictures."""
        if len(self.generated):
            return
        if self.trainer.world_size > 1:
            raise LabsError("style transfer runs on one device. Type trainer.devices=1.")
        if self.trainer.precision == "16-mixed":
            raise LabsError(
                "precision=fp16 does not work with L-BFGS, because it scales the loss. Type precision=bf16."
            )
        if self.trainer.max_steps != -1 and not self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            raise LabsError(f"trainer.max_steps={self.trainer.max_steps} does not count evaluations. Type steps=300.")
        if stage == "fit":
            check_epochs(self.trainer.max_epochs, self.ends, self.every)
        pictures = handed_over(self.trainer, PicturePairs, to=self).pictures
        for contents in (resized(pictures.contents, scale) for scale in self.scales):
            first = torch.rand_like(contents) if self.start == "noise" else contents.clone()
            self.generated.append(nn.Parameter(first))
            self.best.append(BestSoFar(first))

    def training_step(self, batch: Pairs, batch_idx: int) -> None:
        """Take the next `every` evaluations, for all pairs together."""
        place = bisect_right(self.ends, self.evaluations)  # index in `scales` of the next evaluation
        if self.losses is None or self.evaluations in (0, *self.ends):
            self._begin(batch, place)
        optimizers = self.optimizers()
        optimizer = optimizers[place] if isinstance(optimizers, list) else optimizers
        end, self.trace = min(self.evaluations + self.every, self.ends[place]), []
        while self.evaluations < end:
            limit = {"max_iter": end - self.evaluations} if isinstance(optimizer.optimizer, BatchedLBFGS) else {}
            with torch.autocast(self.device.type, enabled=False):  # `precision` applies to the net alone
                optimizer.step(partial(self._evaluate, place), **limit)
        content, style, total = self.trace[-1].mean(1)
        metrics = {"train/loss": total, "train/content": content, "train/style": style}
        # Lightning's loggers use the value named `step` for the horizontal axis
        self.log_dict({**metrics, "step": float(self.evaluations)}, on_step=False, on_epoch=True, batch_size=1)

    def test_step(self, batch: Pairs, batch_idx: int) -> None:
        """Measure the pictures as they are saved, clamped and in 8 bits; always computed in float32."""
        with torch.autocast(batch.contents.device.type, enabled=False):
            pictures = self.pictures(batch).mul(255).round() / 255
            own, yard = self._losses(batch, self.convention, self.layers), self._losses(batch, "tutorial", YARDSTICK)
            content, style = own.of_all(self._seen(pictures))
            content_lost, style_left = yard.of_all(self._seen(pictures))
            ssim = structural_similarity_index_measure(pictures, batch.contents, data_range=1.0, reduction="none")
            self.results = {
                "content_start": content.new_tensor(self.first[0]),
                "content": content,
                "style_start": content.new_tensor(self.first[1]),
                "style": style,
                "content_lost": content_lost / len(YARDSTICK["content_layers"]),
                "style_left": style_left / len(YARDSTICK["style_layers"]),
                "ssim": cast(Tensor, ssim),
                "rollbacks": torch.stack([best.rollbacks for best in self._bests]).sum(0).float(),
            }
        self.log_dict({f"test/{name}": values.mean() for name, values in self.results.items()})

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Build one optimizer per scale."""
        return [self.optimizer([pictures]) for pictures in self.generated]

    def pictures(self, batch: Pairs) -> Tensor:
        """Return the best pictures so far (without guard: the last), full size, RGB in [0, 1], (pairs, 3, ...)."""
        contents = batch.contents
        place = bisect_left(self.ends, self.evaluations)  # scale of the last evaluation
        best = self._bests[place].points if self.guard else self.generated[place].detach()
        if best.shape != contents.shape:
            best = enlarged(best, list(contents.shape[-2:]))
        return (keep_luminance_of(best, colors_of=contents) if self.colours == "luminance" else best).clamp(0, 1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the progress, the first losses, and the end of each scale."""
        checkpoint["evaluations"], checkpoint["first"] = self.evaluations, self.first
        checkpoint["scales"], checkpoint["ends"] = list(self.scales), self.ends

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Resume from the saved progress, and set the number of epochs that the remaining steps need.

        Raises:
            LabsError: If there are no steps left, or if the scales or the optimizer have changed.
        """
        self.evaluations, self.first = checkpoint["evaluations"], checkpoint["first"]
        check_scales(checkpoint.get("scales", self.scales), self.scales)
        planned = self.ends
        self.ends = go_on(checkpoint.get("ends", planned), planned, self.evaluations)
        if self.trainer.state.fn != "fit":
            return
        states = (checkpoint["optimizer_states"][0], self.configure_optimizers()[0].state_dict())
        then, now = (set(state["param_groups"][0]) for state in states)
        if then != now:
            raise LabsError("the run used another optimizer. Type the same optimizer, or start a new run.")
        epochs = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
        limit, done = self.trainer.max_epochs, self.evaluations
        self.trainer.fit_loop.max_epochs = epochs_in_all(limit, epochs, self.ends, self.every, done, planned)

    def _begin(self, batch: Pairs, place: int) -> None:
        """Compute the targets of a scale, and enlarge the pictures of the previous scale."""
        scaled = Pairs(*(resized(pictures, self.scales[place]) for pictures in batch))
        self.losses = self._losses(scaled, self.convention, self.layers)
        if place and self.evaluations == self.ends[place - 1]:
            images, coarse = self.generated[place], self._bests[place - 1].points
            images.data.copy_(enlarged(coarse, list(images.shape[-2:])))

    def _losses(self, batch: Pairs, convention: str, layers: dict[str, Any]) -> PictureLosses:
        contents, styles = batch
        if self.colours == "matched":
            styles = match_colors(styles, to=contents).clamp(0, 1)
        at_once = self.at_once or (1 if self.device.type == "cpu" else len(contents))
        options = {"balance": self.balance, "convention": convention, **layers}
        return PictureLosses(self.net, self._seen(contents), self._seen(styles), at_once=at_once, **options)

    def _seen(self, images: Tensor) -> Tensor:
        """Return the pictures as the net sees them."""
        return luminance(images) if self.colours == "luminance" else images

    def _evaluate(self, place: int) -> Tensor:
        """Compute the losses of all pictures, (pairs,), and their gradients; this is the optimizer's closure."""
        images = self.generated[place]
        assert self.losses is not None
        if self.clamp == "closure":
            images.data.clamp_(0, 1)
        images.grad = None
        parts = []
        for rows in self.losses.chunks:
            some = images[rows]
            with self.trainer.precision_plugin.forward_context():
                content, style = self.losses(self._seen(some), rows)
            total = self.loss_weights.total(content, style, some, balanced=self.balance)
            self.manual_backward(total.sum())
            parts.append(torch.stack([content, style, total]).detach())
        self.trace.append(torch.cat(parts, dim=1))
        self.first = self.first or self.trace[-1][:2].tolist()
        self.evaluations += 1
        self._guard(place, self.trace[-1][2])
        return self.trace[-1][2]

    def _guard(self, place: int, losses: Tensor) -> None:
        """Remember the best pictures; return those whose loss exploded to their best state, and reset the optimizer."""
        images, best = self.generated[place].data, self._bests[place]
        exploded = best.see(images, losses)
        if not self.guard or not exploded.any():
            return
        if best.losses.isinf().any():
            raise LabsError("the loss is not finite at the start. Type smaller weights, or style_loss=tutorial.")
        best.send_back(images, exploded)
        self.generated[place].grad[exploded] = 0  # Adam would still use it
        forget(self.trainer.optimizers[place], exploded)
        names = handed_over(self.trainer, PicturePairs, to=self).names
        listed = ", ".join(name for name, bad in zip(names, exploded.tolist(), strict=True) if bad)
        self.print(
            f"Evaluation {self.evaluations}: the loss of {listed} exploded. Its best picture so far is restored."
        )

    @property
    def _bests(self) -> list[BestSoFar]:
        return cast(list[BestSoFar], list(self.best))
