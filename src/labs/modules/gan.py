"""Generative adversarial network, unconditional or conditional: a generator learns to fool a discriminator.

I. Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014, equation 1:

    min over G, max over D of  E_x[log D(x)] + E_z[log(1 - D(G(z)))],   z ~ N(0, I)

The generator's step minimises -E_z[log D(G(z))] instead (`non_saturating`), or the equation as it stands (`true`);
with labels y both nets see them: D(x, y) and G(z, y) (Mirza and Osindero 2014). One iteration is `discriminator_steps`
batches for the discriminator, then `generator_steps` for the generator.
"""

import copy
from collections.abc import Callable
from typing import Any, Literal, cast

import lightning.pytorch as pl
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from labs import LabsError
from labs.datamodules.batches import Batch
from labs.datamodules.protocols import ImagesToImitate, handed_over
from labs.functional.gan_losses import discriminator_loss, generator_loss
from labs.functional.latents import seeded_latents
from labs.nets.dcgan import DCGAN

AT_ONCE = 500  # images that are generated together where nothing is trained


class GAN(pl.LightningModule):
    """Train a generator against a discriminator.

    Args:
        net: both nets.
        optimizer: builds an optimizer from parameters, one for each net.
        scheduler: builds a learning-rate schedule, stepped once an epoch, for each; None for constant rates.
        loss: of the generator: `non_saturating` or `true`.
        generator_lr: learning rate of the generator; None: the optimizer's.
        discriminator_lr: learning rate of the discriminator; None: the optimizer's.
        discriminator_steps: batches that the discriminator learns from in an iteration.
        generator_steps: steps of the generator in an iteration.
        ema: decay an iteration of the averaged generator that samples are taken from (Yazici et al. 2019); None:
            no averaging.

    Raises:
        LabsError: a value that makes no sense.
    """

    def __init__(
        self,
        *,
        net: DCGAN,
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: Callable[..., Any] | None = None,
        loss: Literal["non_saturating", "true"] = "non_saturating",
        generator_lr: float | None = None,
        discriminator_lr: float | None = None,
        discriminator_steps: int = 1,
        generator_steps: int = 1,
        ema: float | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        if not isinstance(net, DCGAN):
            raise LabsError(f"net={type(net).__name__}: a GAN has a generator and a discriminator; type net=dcgan.")
        for name, value in {"discriminator_steps": discriminator_steps, "generator_steps": generator_steps}.items():
            if value < 1:
                raise LabsError(f"module.{name}={value}: expected 1 or more.")
        for name, lr in {"generator_lr": generator_lr, "discriminator_lr": discriminator_lr}.items():
            if lr is not None and lr <= 0:
                raise LabsError(f"module.{name}={lr}: expected a number above 0, such as 2e-4, or null.")
        if ema is not None and not 0 < ema < 1:
            raise LabsError(f"module.ema={ema}: expected a decay between 0 and 1, such as 0.999, or null.")
        net.to(memory_format=torch.channels_last)  # faster, on a CPU too (benchmarks/gan.py)
        self.net, self.optimizer, self.scheduler, self.loss = net, optimizer, scheduler, loss
        self.num_classes: int | None = net.settings["num_classes"]
        self.nz: int = net.settings["nz"]
        self.lrs = (generator_lr, discriminator_lr)
        self.discriminator_steps, self.generator_steps = discriminator_steps, generator_steps
        self.averaged = None
        if ema is not None:
            average = get_ema_multi_avg_fn(ema)
            self.averaged = AveragedModel(net.generator, multi_avg_fn=average, use_buffers=True).requires_grad_(False)
        self.iterations = 0  # steps of both nets
        self.batches = 0  # of the discriminator
        self.trace: list[Tensor] = []  # losses (discriminator, generator) of the iterations of this epoch

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return images (batch, channels, size, size) in [-1, 1] of latents (batch, nz) and labels (batch,)."""
        return self.net.generator(latents, labels)

    def setup(self, stage: str) -> None:
        """Tell a distributed strategy that a step trains one net of two, or it waits for the other's gradients.

        Raises:
            LabsError: the data has labels that the net was not made for, or `trainer.max_steps` is set.
        """
        if self.trainer.max_steps != -1 and not self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            raise LabsError(
                f"trainer.max_steps={self.trainer.max_steps} would count the steps of both optimizers; type epochs=1, "
                "trainer.max_epochs=1 or trainer.limit_train_batches=100."
            )
        known = self.num_classes
        classes = handed_over(self.trainer, ImagesToImitate, to=self).num_classes
        if known is not None and known < classes:
            raise LabsError(
                f"net.num_classes={known}: the data has the labels 0 to {classes - 1}; type net.num_classes={classes}."
            )
        if isinstance(self.trainer.strategy, DDPStrategy):
            self.trainer.strategy._ddp_kwargs["find_unused_parameters"] = True

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Take one step of the discriminator, and the generator's where its turn has come."""
        generator, discriminator = self.net.generator, self.net.discriminator
        generator_optimizer, discriminator_optimizer = cast(list[LightningOptimizer], self.optimizers())
        real, labels = batch.images, batch.labels
        self.batches += 1
        due = self.batches % self.discriminator_steps == 0  # the generator's turn
        with torch.set_grad_enabled(due):
            fake = generator(self._latents(len(real)), labels)

        logits_real, logits_fake = discriminator(real, labels), discriminator(fake.detach(), labels)
        loss = discriminator_loss(logits_real, logits_fake)
        discriminator_optimizer.zero_grad()
        self.manual_backward(loss)
        discriminator_optimizer.step()
        self._log("discriminator_loss", loss, len(real))
        self._log("d_real", logits_real.float().sigmoid().mean(), len(real))
        self._log("d_fake", logits_fake.float().sigmoid().mean(), len(real))

        if not due:
            return
        self.toggle_optimizer(generator_optimizer)  # no gradients for the discriminator, which is only asked
        for step in range(self.generator_steps):
            if step:
                fake = generator(self._latents(len(real)), labels)
            fooled = generator_loss(discriminator(fake, labels), self.loss)
            generator_optimizer.zero_grad()
            self.manual_backward(fooled)
            generator_optimizer.step()
        self.untoggle_optimizer(generator_optimizer)
        self._log("generator_loss", fooled, len(real))
        if self.averaged is not None:
            self.averaged.update_parameters(generator)
        self.iterations += 1
        self.trace.append(torch.stack([loss.detach(), fooled.detach()]))

    def on_train_epoch_start(self) -> None:
        """Begin the trace of an epoch."""
        self.trace = []

    def on_train_epoch_end(self) -> None:
        """Step the schedules, before checkpoints are written."""
        for schedule in cast(list[LRScheduler], self.lr_schedulers() or []):
            schedule.step()

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Ask the discriminator about images that it has never seen: held-out real ones and new samples."""
        for name, images in {"d_real": batch.images, "d_fake": self.samples_like(batch) * 2 - 1}.items():
            logits = self.net.discriminator(images, batch.labels)
            self.log(f"test/{name}", logits.float().sigmoid().mean(), batch_size=len(images), sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Build an optimizer and a schedule for each net, the generator's first.

        Raises:
            LabsError: an optimizer that does not take both nets, a learning rate of 0, or a schedule that watches what
                a GAN has not.
        """
        nets = (self.net.generator, self.net.discriminator)
        optimizers = []
        for net, lr in zip(nets, self.lrs, strict=True):
            try:
                optimizers.append(self.optimizer(net.parameters(), **({} if lr is None else {"lr": lr})))
            except (ValueError, TypeError) as error:
                raise LabsError(f"optimizer: {error}; type optimizer=adam_gan.") from error
        if any(group["lr"] <= 0 for optimizer in optimizers for group in optimizer.param_groups):
            raise LabsError("optimizer.lr=0: nothing would be trained; type a number above 0, such as 2e-4.")
        schedules = [self.scheduler(optimizer) for optimizer in optimizers] if self.scheduler else []
        if any(isinstance(schedule, ReduceLROnPlateau) for schedule in schedules):
            raise LabsError("scheduler=plateau waits for a validation loss, which a GAN has not; type scheduler=step.")
        return optimizers, schedules

    def samples_like(self, batch: Batch, seed: int = 0, *, batch_statistics: bool = False) -> Tensor:
        """Return an image in [0, 1] for each one of a batch, with its label, from the latent of its position."""
        count = int(batch.positions.max()) + 1 if len(batch.positions) else 0
        latents = seeded_latents(count, self.nz, seed)[batch.positions.cpu()]
        return self.sample(latents, batch.labels, batch_statistics=batch_statistics)

    @torch.no_grad()
    def sample(self, latents: Tensor, labels: Tensor, *, batch_statistics: bool = False) -> Tensor:
        """Generate images, from the averaged generator if there is one.

        Args:
            latents: (count, nz).
            labels: (count,); an unconditional net does not look at them.
            batch_statistics: let batch norm use the statistics of these images (of 500 at a time) instead of the
                running ones, with which an image depends on its latent alone.

        Returns:
            Images (count, channels, size, size) in [0, 1], on this module's device.

        Raises:
            LabsError: a label that the net was not made for.
        """
        known = self.num_classes
        if known is not None and len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < known:
            raise LabsError(
                f"labels {sorted(set(labels.tolist()))}: this net makes images of the labels 0 to {known - 1}."
            )
        generator = self.net.generator if self.averaged is None else self.averaged.module
        if batch_statistics:
            generator = copy.deepcopy(generator)  # whose running statistics may move
        before, dtype = generator.training, next(generator.parameters()).dtype
        generator.train(batch_statistics)
        with torch.autocast(self.device.type, enabled=False):  # whatever `precision` says
            parts = [
                generator(some.to(self.device, dtype), asked.to(self.device)).float()
                for some, asked in zip(latents.split(AT_ONCE), labels.split(AT_ONCE), strict=True)
            ]
        generator.train(before)
        return torch.cat(parts).add(1).div(2)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save how far the run is, and which net made it."""
        checkpoint["gan"] = {"iterations": self.iterations, "batches": self.batches, "net": self.net.settings}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from there.

        Raises:
            LabsError: the checkpoint is of another net or method, or has an averaged generator where this run has none.
        """
        if "gan" not in checkpoint:
            raise LabsError("the checkpoint is not that of a GAN; start a new run instead of resuming this one.")
        self.net.check_same(checkpoint["gan"]["net"], "the checkpoint")
        if any(name.startswith("averaged.") for name in checkpoint["state_dict"]) != (self.averaged is not None):
            raise LabsError("the checkpoint and this recipe differ in module.ema; type the same, or start a new run.")
        self.iterations, self.batches = checkpoint["gan"]["iterations"], checkpoint["gan"]["batches"]

    def _latents(self, count: int) -> Tensor:
        return torch.randn(count, self.nz, device=self.device)

    def _log(self, name: str, value: Tensor, count: int) -> None:
        shown = {"on_step": False, "on_epoch": True, "prog_bar": True, "sync_dist": True}
        self.log(f"train/{name}", value.detach(), batch_size=count, **shown)  # type: ignore[arg-type]
