"""Domain-adversarial training: features that predict the class but not the domain.

Y. Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 2016, equations 9 to 15. With features
f = G_f(x), the label head G_y and the domain head G_d, a step minimizes

    mean of L_y(G_y(f), y) over the source + mean of L_d(G_d(R(f)), 0) over the source
                                           + mean of L_d(G_d(R(f)), 1) over the target

where R is the identity in the forward pass and multiplies the gradient by -lambda in the backward pass
(`labs.functional.gradient_reversal`). The domain head minimizes L_d at the full learning rate; the features maximize
it, at lambda times that rate. Lambda is a pure function of training progress. With lambda = 0 training uses the source
alone; with lambda = -1 there is no reversal. Code that averages over the images of both domains has half of this L_d.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics.classification import MulticlassAccuracy

from labs import LabsError
from labs.datamodules.batches import Batch, DomainBatch, Unlabeled
from labs.datamodules.protocols import TwoDomains, handed_over
from labs.functional.gradient_reversal import ReversalWeight, reverse_gradient
from labs.functional.schedules import with_total_steps
from labs.metrics.domain_metrics import DomainMetrics
from labs.nets.dann_mnist import DomainHead
from labs.nets.domain_batch_norm import other_domain, separate_batch_norm
from labs.nets.head_features import feature_size, features_and_logits


class DANN(pl.LightningModule):
    """Train a net on labeled images of one domain so that it works on another domain.

    Args:
        net: Maps normalized images (batch, 3, height, width) to logits (batch, num_classes).
        num_classes: Number of classes, the same in both domains.
        optimizer: Builds the optimizer from the parameters of the net and the domain head.
        scheduler: Builds a learning-rate schedule. It advances once per batch if it takes `total_steps`, else once per
            epoch.
        reversal: Lambda as a function of training progress.
        domain_hidden: Widths of the domain head's hidden layers.
        batch_norm: `mixed`: one batch of both domains, with common statistics. `separate`: each domain has its own.

    Raises:
        LabsError: If a value is out of range.
    """

    def __init__(
        self,
        *,
        net: nn.Module,
        num_classes: int,
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: Callable[..., Any] | None = None,
        reversal: ReversalWeight | None = None,
        domain_hidden: Sequence[int] = (100,),
        batch_norm: Literal["mixed", "separate"] = "mixed",
    ) -> None:
        super().__init__()
        if batch_norm == "separate":
            separate_batch_norm(net)
        self.net, self.optimizer, self.scheduler = net, optimizer, scheduler
        self.reversal, self.batch_norm = reversal or ReversalWeight(), batch_norm
        self.domain_head = DomainHead(self.domain_features(num_classes), domain_hidden)
        self.metrics = DomainMetrics(num_classes)
        self.train_acc = MulticlassAccuracy(num_classes, average="micro")
        self._build_optimizer()  # invalid settings fail here, before any data is read

    def forward(self, images: Tensor, domain: str = "target") -> Tensor:
        """Return logits (batch, num_classes) for images (batch, 3, height, width) of a domain."""
        return self.features_and_logits(images, domain)[1]

    def features_and_logits(self, images: Tensor, domain: str) -> tuple[Tensor, Tensor]:
        """Return features (batch, features) and logits for images of a domain, with its own statistics if separate."""
        with other_domain(self.net, domain == "target"):
            return features_and_logits(self.net, images)

    def on_fit_start(self) -> None:
        """Refuse settings that would fail after the first epoch, or silently give wrong results.

        Raises:
            LabsError: If a checkpoint monitors a metric of another method, or if separate batch norm is synchronized.
        """
        for callback in self.trainer.checkpoint_callbacks:
            if getattr(callback, "monitor", None) in ("val/acc", "val/loss"):
                raise LabsError(
                    "callbacks=default does not work with two domains: there is no val/acc to choose a checkpoint by. "
                    "Leave callbacks= out."
                )
        if self.batch_norm == "separate" and any(isinstance(layer, nn.SyncBatchNorm) for layer in self.net.modules()):
            raise LabsError(
                "trainer.sync_batchnorm=true does not work with separate batch norm: it mixes the statistics of the "
                "domains. Type module.batch_norm=mixed."
            )

    def training_step(self, batch: DomainBatch, batch_idx: int) -> Tensor:
        """Return the loss of a batch of both domains."""
        labeled, unlabeled = _checked(batch)
        features, logits = self._of_both(labeled.images, unlabeled.images)
        is_unlabeled = torch.arange(len(features), device=self.device) >= len(labeled.images)
        weight = self.reversal(self.progress)

        label_loss = self.label_loss(logits, labeled, unlabeled)
        domain_loss = self.domain_loss(reverse_gradient(features, weight), logits, is_unlabeled.float())

        self._log("label_loss", label_loss)
        self._log("domain_loss", domain_loss)
        self._log("lambda", torch.full((), weight, device=self.device))
        self.train_acc.update(logits[: len(labeled.images)].detach(), labeled.labels)
        self.log("train/labeled_acc", self.train_acc, on_step=False, on_epoch=True, prog_bar=True)
        return label_loss + domain_loss

    def label_loss(self, logits: Tensor, labeled: Batch, unlabeled: Unlabeled) -> Tensor:
        """Return the mean cross-entropy of the labeled images. Logits cover both domains, the labeled images first."""
        return F.cross_entropy(logits[: len(labeled.images)], labeled.labels)

    def domain_features(self, num_classes: int) -> int:
        """Return the domain head's input size."""
        return feature_size(self.net)

    def domain_logits(self, features: Tensor, logits: Tensor) -> Tensor:
        """Return domain logits (batch,), above 0 for the unlabeled domain, from features and class logits."""
        return self.domain_head(features)

    def domain_loss(self, features: Tensor, logits: Tensor, is_unlabeled: Tensor) -> Tensor:
        """Return the domain head's binary cross-entropy, averaged over each domain and summed over both.

        Both domains have the same number of images, so this sum is twice the mean over all images.

        Args:
            features: (batch, features).
            logits: Class logits (batch, num_classes).
            is_unlabeled: (batch,), 1 for the unlabeled domain, else 0.
        """
        return 2 * F.binary_cross_entropy_with_logits(self.domain_logits(features, logits), is_unlabeled)

    @property
    def data(self) -> TwoDomains:
        """Return the datamodule."""
        return handed_over(self.trainer, TwoDomains, to=self)

    @property
    def progress(self) -> float:
        """Return the fraction of all optimizer steps taken so far, in [0, 1)."""
        return self.trainer.global_step / self.total_steps

    @property
    def total_steps(self) -> int:
        """Return the number of optimizer steps of the run.

        Raises:
            LabsError: If the run has no end.
        """
        steps = self.trainer.estimated_stepping_batches
        if steps == float("inf"):
            raise LabsError(
                "trainer.max_epochs=-1: lambda depends on the length of the run. Type a number, such as epochs=40."
            )
        return max(int(steps), 1)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Collect predictions of a domain."""
        self._evaluate(batch, dataloader_idx)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics. Only the `by_oracle` checkpoint uses the target accuracy, which is unknown in practice."""
        measured = self.metrics.compute()
        measured["oracle_target_acc"] = measured.pop("target_acc")
        self.log_dict({f"val/{name}": value for name, value in measured.items()}, prog_bar=True)
        scheduler = self.lr_schedulers() if self.trainer.training or self.trainer.validating else None
        if isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(1 - measured["source_acc" if self.data.labeled == "source" else "oracle_target_acc"])

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor] | None:
        """Collect predictions of a domain, and return those of the target."""
        domain, logits = self._evaluate(batch, dataloader_idx)
        # At the last batch: on_test_epoch_end of the callbacks runs before that of the module.
        if [dataloader_idx, batch_idx + 1] == [1, self.trainer.num_test_batches[1]]:
            measured = {f"test/{name}": value for name, value in self.test_results().items()}
            self.log_dict(measured, on_step=False, on_epoch=True, add_dataloader_idx=False, batch_size=1)
        if domain != "target":
            return None
        confidence, preds = logits.float().softmax(dim=1).max(dim=1)
        return {"positions": batch.positions, "labels": batch.labels, "preds": preds, "confidence": confidence}

    def test_results(self) -> dict[str, Any]:
        """Return the test metrics by name."""
        return self.metrics.compute()

    def configure_optimizers(self) -> Any:
        """Build one optimizer for the net and the domain head, and its schedule."""
        optimizer, config = self._build_optimizer(self.total_steps)
        return {"optimizer": optimizer, "lr_scheduler": config} if config else optimizer

    def _build_optimizer(self, total_steps: int = 100) -> tuple[torch.optim.Optimizer, dict[str, Any]]:
        optimizer = self.optimizer([p for p in self.parameters() if p.requires_grad])
        if self.scheduler is None:
            return optimizer, {}
        build, interval = with_total_steps(self.scheduler, total_steps)
        config: dict[str, Any] = {"scheduler": build(optimizer), "interval": interval}
        if isinstance(config["scheduler"], ReduceLROnPlateau):
            config |= {"monitor": "val/source_acc", "frequency": sys.maxsize}  # stepped after validation
        return optimizer, config

    def _of_both(self, labeled: Tensor, unlabeled: Tensor) -> tuple[Tensor, Tensor]:
        """Return features and logits of both domains, the labeled domain first."""
        if self.batch_norm == "mixed":
            return self.features_and_logits(torch.cat([labeled, unlabeled]), "source")
        both = ((labeled, self.data.labeled), (unlabeled, self.data.unlabeled))
        separate = [self.features_and_logits(images, domain) for images, domain in both]
        features, logits = (torch.cat(parts) for parts in zip(*separate, strict=True))
        return features, logits

    def _evaluate(self, batch: Batch, dataloader_idx: int) -> tuple[str, Tensor]:
        domain: Literal["source", "target"] = "target" if dataloader_idx else "source"
        unlabeled = domain == self.data.unlabeled
        features, logits = self.features_and_logits(batch.images, domain)
        domain_logits = self.domain_logits(features, logits)
        self.metrics.update(domain, logits, batch.labels, domain_logits, unlabeled=unlabeled)
        return domain, logits

    def _log(self, name: str, value: Tensor) -> None:
        self.log(f"train/{name}", value.detach(), on_step=False, on_epoch=True, sync_dist=True, batch_size=1)


def _checked(batch: DomainBatch) -> DomainBatch:
    """Return the batch if it holds both domains and its second half has no labels.

    Raises:
        LabsError: If not.
    """
    if not isinstance(batch, DomainBatch):
        raise LabsError("module=dann needs images of two domains. Type datamodule=domains.")
    if not isinstance(batch.unlabeled, Unlabeled):
        raise LabsError("the target images have labels, which training must not see. Pass them as Unlabeled.")
    return batch
