"""Image classification with cross-entropy: fine-tuning, linear probes and training from scratch.

A net maps images to logits z, and training minimizes the mean over a batch of

    -log softmax(z)[label]                                                                        (cross-entropy)

With label smoothing s the target is 1 - s + s / classes on the label and s / classes elsewhere.
The freezing policy decides which parameters train (`labs.callbacks.freeze`). The datamodule prepares the images.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from labs import LabsError
from labs.datamodules.batches import Batch
from labs.functional.schedules import with_total_steps
from labs.inspection.parameters import select


class Classifier(pl.LightningModule):
    """Train a net to name the class of an image.

    Args:
        net: Maps normalized images (batch, 3, height, width) to logits (batch, num_classes).
        num_classes: Number of classes of the dataset.
        optimizer: Builds the optimizer from parameter groups.
        scheduler: Builds a learning-rate schedule from the optimizer. It advances once per batch if it takes
            `total_steps`, else once per epoch. None: a constant learning rate.
        label_smoothing: Share of the target that is spread over all classes, in [0, 1).
        lr_scale: Factors of the learning rate by parameter pattern; the first pattern that matches applies.
    """

    def __init__(
        self,
        *,
        net: nn.Module,
        num_classes: int,
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: Callable[..., Any] | None = None,
        label_smoothing: float = 0.0,
        lr_scale: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise LabsError(
                f"module.label_smoothing={label_smoothing}: expected a number from 0 to below 1, such as 0.1."
            )
        for pattern, factor in (lr_scale or {}).items():
            if factor <= 0:
                raise LabsError(
                    f"module.lr_scale={{{pattern}: {factor}}}: expected a factor above 0. See also freeze=..."
                )
        self.net, self.num_classes, self.optimizer, self.scheduler = net, num_classes, optimizer, scheduler
        self.label_smoothing, self.lr_scale = label_smoothing, dict(lr_scale or {})
        # no checks of each batch: they would make the CPU wait for the GPU
        self.train_loss = MeanMetric(nan_strategy="disable")
        self.train_acc = MulticlassAccuracy(num_classes, average="micro", validate_args=False)
        self.val_loss, self.test_loss = self.train_loss.clone(), self.train_loss.clone()
        self.val_acc, self.test_acc = self.train_acc.clone(), self.train_acc.clone()
        self._build_optimizer()  # invalid settings fail here, before any data is read

    @property
    def labels(self) -> list[str]:
        """Notes that every number of this run must carry because of its net."""
        return list(getattr(self.net, "labels", []))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, num_classes) for images (batch, 3, height, width)."""
        return self.net(images)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the cross-entropy of a batch. Only this loss, logged as `train/loss`, includes label smoothing."""
        logits = self(batch.images)
        loss = F.cross_entropy(logits, batch.labels, label_smoothing=self.label_smoothing)
        self._measure("train", batch_idx, loss, logits, batch.labels)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Measure the loss (without smoothing) and the accuracy, and return the predictions."""
        return self._evaluate("val", batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        """Step a plateau schedule here: Lightning steps it after the checkpoint, so a resumed run would miss a step."""
        scheduler = self.lr_schedulers() if self.trainer.training or self.trainer.validating else None
        if isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(self.val_loss.compute())

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Measure as in validation, on the test split."""
        return self._evaluate("test", batch, batch_idx)

    def configure_optimizers(self) -> Any:
        """Build the schedule and the optimizer of all parameters that train now or in a later epoch."""
        by_steps = self.scheduler is not None and with_total_steps(self.scheduler, 1)[1] == "step"
        steps = int(self.trainer.estimated_stepping_batches) if by_steps else 0
        optimizer, scheduler = self._build_optimizer(steps)
        if scheduler is None:
            return {"optimizer": optimizer}
        config: dict[str, Any] = {"scheduler": scheduler, "interval": "step" if by_steps else "epoch"}
        if isinstance(scheduler, ReduceLROnPlateau):
            config |= {"monitor": "val/loss", "frequency": sys.maxsize}  # stepped in on_validation_epoch_end
        return {"optimizer": optimizer, "lr_scheduler": config}

    def _evaluate(self, stage: str, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        logits = self(batch.images)
        self._measure(stage, batch_idx, F.cross_entropy(logits, batch.labels), logits, batch.labels)
        confidence, preds = logits.float().softmax(dim=1).max(dim=1)
        return {"positions": batch.positions, "labels": batch.labels, "preds": preds, "confidence": confidence}

    def _measure(self, stage: str, batch_idx: int, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        if logits.shape[1] != self.num_classes:
            raise LabsError(
                f"module.num_classes={self.num_classes}: the net has {logits.shape[1]} outputs. "
                f"Type module.num_classes={logits.shape[1]}."
            )
        mean_loss, accuracy = getattr(self, f"{stage}_loss"), getattr(self, f"{stage}_acc")
        mean_loss.update(loss.detach().float().expand(len(labels)))  # torchmetrics 1.9 ignores a weight here
        accuracy.update(logits.detach(), labels)
        if batch_idx == 0:  # Lightning computes and resets them at the end of the epoch
            self.log_dict(
                {f"{stage}/loss": mean_loss, f"{stage}/acc": accuracy}, on_step=False, on_epoch=True, prog_bar=True
            )

    def _build_optimizer(self, total_steps: int = 100) -> tuple[torch.optim.Optimizer, Any]:
        """Group the trainable parameters by learning rate; the group with factor 1, if any, comes first."""
        scale = {name: 1.0 for name, p in self.net.named_parameters() if p.requires_grad}
        for pattern, factor in reversed(self.lr_scale.items()):
            chosen = select(self.net, pattern, key="module.lr_scale")
            scale.update({name: float(factor) for name in chosen if name in scale})
        parameters = dict(self.net.named_parameters())
        factors = sorted(set(scale.values()), key=lambda factor: factor != 1.0)
        optimizer = self.optimizer([{"params": [parameters[n] for n in scale if scale[n] == f]} for f in factors])
        for group, factor in zip(optimizer.param_groups, factors, strict=True):
            group["lr"] *= factor
        return optimizer, with_total_steps(self.scheduler, total_steps)[0](optimizer) if self.scheduler else None
