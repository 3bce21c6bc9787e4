"""Generative adversarial network, unconditional or conditional: a generator learns to fool a discriminator.

I. Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014, equation 1:

    min over G, max over D of  E_x[log D(x)] + E_z[log(1 - D(G(z)))],   z ~ N(0, I)

The generator minimizes -E_z[log D(G(z))] instead (`non_saturating`), or exactly this equation (`true`). In a
conditional GAN both nets also see the labels y: D(x, y) and G(z, y) (Mirza and Osindero 2014). One iteration is
`discriminator_steps` steps of the discriminator, followed by `generator_steps` steps of the generator.
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

AT_ONCE = 500  # images per batch when samples are generated outside training


class GAN(pl.LightningModule):
    """Train a generator against a discriminator.

    Args:
        net: The generator and the discriminator.
        optimizer: Builds an optimizer from parameters, one for each net.
        scheduler: Builds a learning-rate schedule for each net, which advances once per epoch. None: constant rates.
        loss: Loss of the generator: `non_saturating` or `true`.
        generator_lr: Learning rate of the generator. None: that of the optimizer.
        discriminator_lr: Learning rate of the discriminator. None: that of the optimizer.
        discriminator_steps: Steps of the discriminator per iteration.
        generator_steps: Steps of the generator per iteration.
        ema: Decay per iteration of the averaged generator, which then makes the samples (Yazici et al. 2019). None: no
            averaging.

    Raises:
        LabsError: If a value is out of range, or if the net is not a GAN.
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
            raise LabsError(f"net={type(net).__name__}: a GAN needs a generator and a discriminator. Type net=dcgan.")
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
        """Return images (batch, channels, size, size) in [-1, 1] from latents (batch, nz) and labels (batch,)."""
        return self.net.generator(latents, labels)

    def setup(self, stage: str) -> None:
        """Check the labels, and configure distributed training for steps that train only one of the two nets.

        Raises:
            LabsError: If the data has more classes than the net, or if `trainer.max_steps` is set.
        """
        if self.trainer.max_steps != -1 and not self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            raise LabsError(
                f"trainer.max_steps={self.trainer.max_steps}: it would count the steps of both optimizers. Type "
                "epochs=1, trainer.max_epochs=1 or trainer.limit_train_batches=100 instead."
            )
        known = self.num_classes
        classes = handed_over(self.trainer, ImagesToImitate, to=self).num_classes
        if known is not None and known < classes:
            raise LabsError(
                f"net.num_classes={known}: the data has the labels 0 to {classes - 1}. Type net.num_classes={classes}."
            )
        if isinstance(self.trainer.strategy, DDPStrategy):
            self.trainer.strategy._ddp_kwargs["find_unused_parameters"] = True

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Take one step of the discriminator, and those of the generator when they are due."""
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
        self.toggle_optimizer(generator_optimizer)  # no gradients for the discriminator, which does not train here
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
        """Clear the trace of the losses."""
        self.trace = []

    def on_train_epoch_end(self) -> None:
        """Step the schedules before checkpoints are written."""
        for schedule in cast(list[LRScheduler], self.lr_schedulers() or []):
            schedule.step()

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Apply the discriminator to images that it has never seen: held-out real images and new samples."""
        for name, images in {"d_real": batch.images, "d_fake": self.samples_like(batch) * 2 - 1}.items():
            logits = self.net.discriminator(images, batch.labels)
            self.log(f"test/{name}", logits.float().sigmoid().mean(), batch_size=len(images), sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Build an optimizer and a schedule for each net, those of the generator first.

        Raises:
            LabsError: If the optimizer cannot be built, if a learning rate is 0, or if the schedule needs a validation
                loss.
        """
        nets = (self.net.generator, self.net.discriminator)
        optimizers = []
        for net, lr in zip(nets, self.lrs, strict=True):
            try:
                optimizers.append(self.optimizer(net.parameters(), **({} if lr is None else {"lr": lr})))
            except (ValueError, TypeError) as error:
                raise LabsError(f"optimizer: {error}. Type optimizer=adam_gan.") from error
        if any(group["lr"] <= 0 for optimizer in optimizers for group in optimizer.param_groups):
            raise LabsError("optimizer.lr=0: nothing would be trained. Type a number above 0, such as 2e-4.")
        schedules = [self.scheduler(optimizer) for optimizer in optimizers] if self.scheduler else []
        if any(isinstance(schedule, ReduceLROnPlateau) for schedule in schedules):
            raise LabsError("scheduler=plateau needs a validation loss, and a GAN has none. Type scheduler=step.")
        return optimizers, schedules

    def samples_like(self, batch: Batch, seed: int = 0, *, batch_statistics: bool = False) -> Tensor:
        """Return one sample in [0, 1] per image of a batch, with its label and with the latent of its position."""
        count = int(batch.positions.max()) + 1 if len(batch.positions) else 0
        latents = seeded_latents(count, self.nz, seed)[batch.positions.cpu()]
        return self.sample(latents, batch.labels, batch_statistics=batch_statistics)

    @torch.no_grad()
    def sample(self, latents: Tensor, labels: Tensor, *, batch_statistics: bool = False) -> Tensor:
        """Generate images, with the averaged generator if there is one.

        Args:
            latents: (count, nz).
            labels: (count,); an unconditional net ignores them.
            batch_statistics: Whether batch norm uses the statistics of these images (of 500 at a time) instead of the
                running statistics. With running statistics an image depends on its latent alone.

        Returns:
            Images (count, channels, size, size) in [0, 1], on this module's device.

        Raises:
            LabsError: If the net has no such label.
        """
        known = self.num_classes
        if known is not None and len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < known:
            raise LabsError(
                f"labels {sorted(set(labels.tolist()))}: this net can generate only the labels 0 to {known - 1}."
            )
        generator = self.net.generator if self.averaged is None else self.averaged.module
        if batch_statistics:
            generator = copy.deepcopy(generator)  # this copy's running statistics may change
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
        """Save the progress of the run and the settings of its net."""
        checkpoint["gan"] = {"iterations": self.iterations, "batches": self.batches, "net": self.net.settings}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the progress.

        Raises:
            LabsError: If the checkpoint comes from another net or method, or if only one of the two has an averaged
                generator.
        """
        if "gan" not in checkpoint:
            raise LabsError("the checkpoint is not from a GAN. Start a new run instead of resuming this one.")
        self.net.check_same(checkpoint["gan"]["net"], "the checkpoint")
        if any(name.startswith("averaged.") for name in checkpoint["state_dict"]) != (self.averaged is not None):
            raise LabsError(
                "the checkpoint and this run differ in module.ema. Type the same value, or start a new run."
            )
        self.iterations, self.batches = checkpoint["gan"]["iterations"], checkpoint["gan"]["batches"]

    def _latents(self, count: int) -> Tensor:
        return torch.randn(count, self.nz, device=self.device)

    def _log(self, name: str, value: Tensor, count: int) -> None:
        shown = {"on_step": False, "on_epoch": True, "prog_bar": True, "sync_dist": True}
        self.log(f"train/{name}", value.detach(), batch_size=count, **shown)  # type: ignore[arg-type]
