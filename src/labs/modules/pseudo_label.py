"""Pseudo-labels: predict the target, believe what is certain, train on it, predict again.

D.-H. Lee, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural Networks", 2013;
hand-out 002, 2-c, question 4. Training minimises

    -log p(y | x)   averaged over the labelled images (x, y) of the source and the confident ones of the target, whose
    label is the class that was predicted at the beginning of the round.

Rounds share the run's epochs. Without weights to start from, the first one learns from the source alone. Everything
else is `labs.modules.dann`: with a reversal, pseudo-labels and domain-adversarial training go together.
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

AT_ONCE = 500  # images that are predicted together


class PseudoLabel(DANN):
    """Train a net on the labels of one domain and on its own confident predictions of another.

    Args:
        start: `random`, or the run directory or file whose weights, head included, give the first labels.
        rounds: how often the target is labelled.
        threshold: the least probability that counts as confident.
        balanced: believe no more images of one class than of the mean class, the most confident ones.
        restart: begin each round from the weights of the start, so that old mistakes are not learnt by heart
            (Cascante-Bonilla et al. 2020, arXiv:2001.06001); learning rate and domain head go on as they are.
        dann: what `labs.modules.dann.DANN` takes.

    Raises:
        LabsError: a value that makes no sense.
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
            load_weights(self.net, start, keep_head=True)  # once more, now that there is a place for all of them
        self.rounds, self.threshold, self.balanced, self.restart = rounds, threshold, balanced, restart
        self.warm_up = int(untrained)  # rounds on the source alone
        self.labels = [] if untrained else labels_of_weights(Path(start).expanduser())
        self.pseudo = torch.empty(0, dtype=torch.int64)  # label of each unlabelled training image, or NO_LABEL
        self.measured: dict[str, float] = {}  # of the labels of this round
        self.initial: dict[str, Tensor] = {}

    def round_of(self, epoch: int) -> int:
        """Return the round of an epoch (from 0): 0 is the one on the source alone, labels are given from 1 on.

        Raises:
            LabsError: more rounds than epochs.
        """
        rounds, epochs = self.rounds + self.warm_up, self.trainer.max_epochs or -1
        if epochs < 0:
            raise LabsError("trainer.max_epochs=-1: rounds share the epochs of a run; type a number, such as 40.")
        limit = self.trainer.limit_train_batches
        try_out = isinstance(limit, int) or limit < 1  # debug=batches, trainer.fast_dev_run
        if rounds > epochs and not try_out:
            fewer = f"module.rounds={epochs - self.warm_up} or " if epochs > self.warm_up else ""
            raise LabsError(
                f"module.rounds={self.rounds}: there are {epochs} epochs for {rounds} rounds; type "
                f"{fewer}trainer.max_epochs={rounds}."
            )
        return epoch * min(rounds, epochs) // epochs + 1 - self.warm_up

    def on_fit_start(self) -> None:
        """Begin without labels, and remember the weights of the start."""
        super().on_fit_start()
        self.round_of(0)
        if len(self.pseudo) == 0:
            self.pseudo = torch.full((self.data.count("train", self.data.unlabeled),), NO_LABEL)
        self.pseudo = self.pseudo.to(self.device)
        if self.restart and not self.initial:
            self.initial = {name: tensor.clone() for name, tensor in self.net.state_dict().items()}

    def on_train_epoch_start(self) -> None:
        """Label the target where a round begins."""
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
        """Return the mean cross-entropy of all images with a label, given or their own."""
        own = self.pseudo[unlabeled.positions]
        for name, value in self.measured.items():
            self._log(name, torch.full((), value, device=self.device))
        return F.cross_entropy(logits, torch.cat([labeled.labels, own]), ignore_index=NO_LABEL)

    def test_results(self) -> dict[str, Any]:
        """Return what was measured in the test, and how good the labels of the last round were."""
        return super().test_results() | {name: value for name, value in self.measured.items() if name != "round"}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the labels of the round."""
        checkpoint["pseudo_labels"] = {"labels": self.pseudo.cpu(), "measured": self.measured, "initial": self.initial}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with them.

        Raises:
            LabsError: the checkpoint is that of another method.
        """
        if "pseudo_labels" not in checkpoint:
            raise LabsError("the checkpoint has no pseudo-labels; start a new run instead of resuming this one.")
        saved = checkpoint["pseudo_labels"]
        self.pseudo, self.measured, self.initial = saved["labels"], dict(saved["measured"]), dict(saved["initial"])

    @torch.no_grad()
    def _label(self, this: int) -> None:
        """Predict all unlabelled training images, keep what is certain, and say how much that is and how good."""
        data = self.data
        every = torch.arange(len(self.pseudo), device=self.device).split(AT_ONCE)
        with evaluating(self.net), self.trainer.precision_plugin.forward_context():
            logits = [self(data.unlabeled_images(positions).images, data.unlabeled) for positions in every]
        probabilities = torch.cat(logits).float().softmax(dim=1)
        labels = pseudo_labels(probabilities, self.threshold, balanced=self.balanced)
        self.pseudo = self.trainer.strategy.broadcast(labels)  # each process has running statistics of its own
        used = torch.nonzero(self.pseudo != NO_LABEL).flatten()
        self.measured = {"round": float(this), "pseudo_share": len(used) / len(self.pseudo)}
        if len(used):
            self.measured["pseudo_precision"] = data.accuracy_of(used, self.pseudo[used])
        self._say()

    @rank_zero_only
    def _say(self) -> None:
        share, precision = self.measured["pseudo_share"], self.measured.get("pseudo_precision", float("nan"))
        of = f"{len(self.pseudo)} {self.data.unlabeled} images"
        text = f"{share:.1%} of {of} labelled, {precision:.1%} of these rightly (known here, not to training)"
        Console(emoji=False).print(f"round {self.measured['round']:.0f}: {text}", highlight=False, soft_wrap=True)
