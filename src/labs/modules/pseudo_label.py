"""Pseudo-labels: predict labels for the target, keep the confident ones, train on them, and repeat.

D.-H. Lee, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural Networks", 2013;
hand-out 002, 2-c, question 4. Training minimizes

    -log p(y | x)   averaged over the labeled images (x, y) of the source and the confident images of the target.

The label y of a target image is the class that was predicted at the beginning of the round. The epochs of the run are
divided into rounds. Without start weights, an additional first round trains on the source alone. Everything else is as
in `labs.modules.dann`: a nonzero reversal combines pseudo-labels with domain-adversarial training.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from torch import Tensor

from labs import LabsError
from labs.datamodules.batches import Batch, Unlabeled
from labs.functional.pseudo_labels import NO_LABEL, pseudo_labels
from labs.modules.dann import DANN
from labs.nets.eval_mode import evaluating
from labs.nets.torchvision_nets import load_weights
from labs.runs.directory import labels_of_weights

AT_ONCE = 500  # images per batch when the target is labeled


class PseudoLabel(DANN):
    """Train a net on the labels of one domain and on its own confident predictions of another.

    Args:
        start: `random`, or a run directory or file. Its weights, including the head, predict the first labels.
        rounds: How often the target is labeled.
        threshold: Smallest probability that counts as confident.
        balanced: Whether each class keeps at most as many images as the mean class, its most confident ones.
        restart: Whether each round starts again from the initial weights, so that the net does not memorize earlier
            mistakes (Cascante-Bonilla et al. 2020, arXiv:2001.06001). The learning rate and the domain head are not
            reset.
        dann: Arguments of `labs.modules.dann.DANN`.

    Raises:
        LabsError: If a value is out of range.
    """

    def __init__(
        self,
        *,
        start: str = "random",
        rounds: int = 4,
        threshold: float = 0.95,
        balanced: bool = True,
        restart: bool = False,
        **dann: Any,
    ) -> None:
        super().__init__(**dann)
        if rounds < 1:
            raise LabsError(f"module.rounds={rounds}: expected 1 or more.")
        if not 0 <= threshold <= 1:
            raise LabsError(f"module.threshold={threshold}: expected a probability from 0 to 1, such as 0.95.")
        untrained = start in ("random", "imagenet")
        if not untrained:
            load_weights(self.net, start, keep_head=True)  # again: separate batch norm has added layers
        self.rounds, self.threshold, self.balanced, self.restart = rounds, threshold, balanced, restart
        self.warm_up = int(untrained)  # rounds on the source alone
        self.labels = [] if untrained else labels_of_weights(Path(start).expanduser())
        self.pseudo = torch.empty(0, dtype=torch.int64)  # label of each unlabeled training image, or NO_LABEL
        self.measured: dict[str, float] = {}  # metrics of this round's labels
        self.initial: dict[str, Tensor] = {}

    def round_of(self, epoch: int) -> int:
        """Return the round of an epoch, both counted from 0. Round 0 trains on the source alone.

        Raises:
            LabsError: If there are more rounds than epochs.
        """
        rounds, epochs = self.rounds + self.warm_up, self.trainer.max_epochs or -1
        if epochs < 0:
            raise LabsError(
                "trainer.max_epochs=-1: the epochs are divided into rounds. Type a number, such as epochs=40."
            )
        limit = self.trainer.limit_train_batches
        try_out = isinstance(limit, int) or limit < 1  # debug=batches, trainer.fast_dev_run
        if rounds > epochs and not try_out:
            fewer = f"module.rounds={epochs - self.warm_up} or " if epochs > self.warm_up else ""
            raise LabsError(
                f"module.rounds={self.rounds}: {epochs} epochs are too few for {rounds} rounds. Type "
                f"{fewer}trainer.max_epochs={rounds}."
            )
        return epoch * min(rounds, epochs) // epochs + 1 - self.warm_up

    def on_fit_start(self) -> None:
        """Start without pseudo-labels, and remember the initial weights."""
        super().on_fit_start()
        self.round_of(0)
        if len(self.pseudo) == 0:
            self.pseudo = torch.full((self.data.count("train", self.data.unlabeled),), NO_LABEL)
        self.pseudo = self.pseudo.to(self.device)
        if self.restart and not self.initial:
            self.initial = {name: tensor.clone() for name, tensor in self.net.state_dict().items()}

    def on_train_epoch_start(self) -> None:
        """Label the target at the beginning of a round."""
        epoch = self.trainer.current_epoch
        this = self.round_of(epoch)
        if this == 0 or (epoch and this == self.round_of(epoch - 1)):
            return
        self._label(this)
        if self.restart:
            self.net.load_state_dict(self.initial)
            for optimizer in self.trainer.optimizers:
                optimizer.state.clear()

    def label_loss(self, logits: Tensor, labeled: Batch, unlabeled: Unlabeled) -> Tensor:
        """Return the mean cross-entropy of all images with a label or a pseudo-label."""
        own = self.pseudo[unlabeled.positions]
        for name, value in self.measured.items():
            self._log(name, torch.full((), value, device=self.device))
        return F.cross_entropy(logits, torch.cat([labeled.labels, own]), ignore_index=NO_LABEL)

    def test_results(self) -> dict[str, Any]:
        """Return the test metrics, and the quality of the last round's pseudo-labels."""
        return super().test_results() | {name: value for name, value in self.measured.items() if name != "round"}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the pseudo-labels of the round."""
        checkpoint["pseudo_labels"] = {"labels": self.pseudo.cpu(), "measured": self.measured, "initial": self.initial}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the pseudo-labels.

        Raises:
            LabsError: If the checkpoint comes from another method.
        """
        if "pseudo_labels" not in checkpoint:
            raise LabsError("the checkpoint has no pseudo-labels. Start a new run instead of resuming this one.")
        saved = checkpoint["pseudo_labels"]
        self.pseudo, self.measured, self.initial = saved["labels"], dict(saved["measured"]), dict(saved["initial"])

    @torch.no_grad()
    def _label(self, this: int) -> None:
        """Label the unlabeled training images with confident predictions, and print their share and precision."""
        data = self.data
        every = torch.arange(len(self.pseudo), device=self.device).split(AT_ONCE)
        with evaluating(self.net), self.trainer.precision_plugin.forward_context():
            logits = [self(data.unlabeled_images(positions).images, data.unlabeled) for positions in every]
        probabilities = torch.cat(logits).float().softmax(dim=1)
        labels = pseudo_labels(probabilities, self.threshold, balanced=self.balanced)
        self.pseudo = self.trainer.strategy.broadcast(labels)  # running statistics differ between processes
        used = torch.nonzero(self.pseudo != NO_LABEL).flatten()
        self.measured = {"round": float(this), "pseudo_share": len(used) / len(self.pseudo)}
        if len(used):
            self.measured["pseudo_precision"] = data.accuracy_of(used, self.pseudo[used])
        self._print()

    @rank_zero_only
    def _print(self) -> None:
        share, precision = self.measured["pseudo_share"], self.measured.get("pseudo_precision", float("nan"))
        of = f"{len(self.pseudo)} {self.data.unlabeled} images"
        text = f"{share:.1%} of {of} labeled, {precision:.1%} of these correctly (training does not see this number)"
        Console(emoji=False).print(f"Round {self.measured['round']:.0f}: {text}", highlight=False, soft_wrap=True)
