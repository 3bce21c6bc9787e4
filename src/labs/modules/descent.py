"""Gradient descent on a curve: points roll down f(x) = x^4 - 2x^3 + 2, many at once.

Hand-out 004, part 1.2: "consider a random point on the curve. Then make a scaled step in the opposite direction of the
gradient. Iterate." With the learning rate lr, and with momentum m (B. Polyak 1964),

    x <- x - lr * f'(x)             v <- m * v + f'(x),   x <- x - lr * v

All points form one tensor, and the loss is the sum of f over them. The gradient at a point is f' at that point, so the
points do not affect each other. From x <= 0 plain gradient descent stalls at the saddle point x = 0. With lr above
2 / f''(1.5) = 2/9 it cannot converge to the minimum. To be safe, start from many points and keep the best.
"""

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn

from labs import LabsError
from labs.datamodules.protocols import handed_over
from labs.functional.quartic import outcome, quartic
from labs.functional.scales import check_epochs, epochs_in_all, share_out


class Descent(pl.LightningModule):
    """Let points roll down a curve.

    A training step, which is one epoch, takes `every` steps of descent (the last one may take fewer). The run takes
    `steps` of them in total.

    Args:
        optimizer: Builds the optimizer of the points, such as torch's SGD.
        steps: Number of descent steps.
        every: Descent steps per row of log.tsv and per checkpoint.
    """

    def __init__(self, *, optimizer: Callable[..., torch.optim.Optimizer], steps: int, every: int) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.ends = share_out(steps, every, [1.0])
        self.optimizer, self.steps, self.every = optimizer, steps, every
        self.points: nn.Parameter | None = None  # (points,): the only trained tensor
        self.path: list[Tensor] = []  # the points at the start and after each step

    def setup(self, stage: str) -> None:
        """Put the points at the starts that the data gives."""
        if self.points is not None:
            return
        if self.trainer.world_size > 1:
            raise LabsError("descent runs on one device. Type trainer.devices=1.")
        if stage == "fit":
            check_epochs(self.trainer.max_epochs, self.ends, self.every)
        data = handed_over(self.trainer, pl.LightningDataModule, to=self)
        (starts,) = data.train_dataloader()
        self.points, self.path = nn.Parameter(starts.clone()), [starts.clone()]

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """Take the next `every` steps, for all points together."""
        optimizer, points = self.optimizers(), self.rolling
        assert isinstance(optimizer, LightningOptimizer)
        for _ in range(min(self.every, self.steps - self.evaluations)):
            optimizer.zero_grad()
            self.manual_backward(quartic(points).sum())
            optimizer.step()
            self.path.append(points.detach().cpu().clone())
        heights = quartic(points.detach())
        metrics = {"train/loss": heights.mean(), "train/lowest": heights.min()}
        # Lightning's loggers use the value named `step` for the horizontal axis
        self.log_dict({**metrics, "step": float(self.evaluations)}, on_step=False, on_epoch=True, batch_size=1)

    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        """Log the best point, and the share of points for each outcome."""
        ends = self.rolling.detach().cpu()
        heights = quartic(ends).nan_to_num(nan=torch.inf)
        ended = [outcome(end) for end in ends.tolist()]
        metrics = {"test/lowest": heights.min(), "test/best_x": ends[heights.argmin()]}
        shares = {f"test/{way}": ended.count(way) / len(ended) for way in ("reached", "stalled", "moving", "lost")}
        self.log_dict({**metrics, **shares}, batch_size=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Build the optimizer."""
        return self.optimizer([self.rolling])

    @property
    def rolling(self) -> nn.Parameter:
        """The trained tensor, which exists after `setup`."""
        assert self.points is not None
        return self.points

    @property
    def evaluations(self) -> int:
        """Number of steps taken so far."""
        return len(self.path) - 1

    @property
    def noted(self) -> dict[str, Tensor]:
        """The path of each point by the name of its start, (steps + 1,) each."""
        path = torch.stack(self.path)
        starts = [np.format_float_positional(start, trim="-") for start in path[0].numpy()]  # enough digits to differ
        return {f"from {start}": places for start, places in zip(starts, path.T, strict=True)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the path so far."""
        checkpoint["path"] = torch.stack(self.path)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Resume from the saved path, and set the number of epochs that the remaining steps need.

        Raises:
            LabsError: If there are no steps left.
        """
        self.path = list(checkpoint["path"])
        if self.trainer.state.fn != "fit":
            return
        epochs = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
        limit, done = self.trainer.max_epochs, self.evaluations
        self.trainer.fit_loop.max_epochs = epochs_in_all(limit, epochs, self.ends, self.every, done)
