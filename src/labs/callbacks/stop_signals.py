"""Signals that stop a run while it trains: they wait for the end of the batch, but not for long."""

import os
import signal
from typing import Any

import lightning.pytorch as pl

from labs.runs.signals import STOPS, Stopped, first_signal, is_first, stop

PATIENCE = 10.0  # seconds that a batch may still take; a scheduler kills half a minute after its signal


class StopSignals(pl.Callback):
    """Stop the training at the end of the batch in which a signal comes, so that nothing is cut in two.

    After the last batch of an epoch the epoch is still validated and saved. Whatever takes longer than `PATIENCE` ends
    in the middle; a run then goes on from its last whole epoch. Outside training, signals raise at once.

    Lightning's own handlers, which this replaces, wait for the other processes of a run, and those are busy. They are
    removed at the end of each stage, and ours with them.
    """

    def __init__(self) -> None:
        self.waits = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen."""
        self.waits = True
        _listen(self._note)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop before an epoch."""
        self._stop_if_asked()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Stop between two batches."""
        if not trainer.is_last_batch:
            self._stop_if_asked()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop before what follows the training; signals raise at once from now on."""
        self.waits = False
        self._stop_if_asked()

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen."""
        _listen(stop)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Listen to a second Ctrl-C, which Lightning ignores.

        Raises:
            Stopped: If the error follows from the same signal to another process of the run, which has ended.
        """
        self.waits = False
        _set_alarm(0)
        _listen(stop)
        if isinstance(exception, Exception) and trainer.world_size > 1 and (number := first_signal()):
            raise Stopped(number) from exception

    def _note(self, number: int, frame: object = None) -> None:
        if not self.waits:
            stop(number)
        elif is_first(number):
            name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
            os.write(2, f"\n{name}: stopping after this batch; once more stops at once\n".encode())
            _set_alarm(PATIENCE)

    def _stop_if_asked(self) -> None:
        if number := first_signal():
            _set_alarm(0)
            raise Stopped(number)


def _listen(handler: Any) -> None:
    for number in STOPS:
        if signal.getsignal(number) != signal.SIG_IGN or (number == signal.SIGINT and first_signal()):
            signal.signal(number, handler)


def _set_alarm(seconds: float) -> None:
    """Raise `Stopped` after this many seconds; 0: never. Windows has no alarm, so a batch there ends first."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _no_longer)
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _no_longer(number: int, frame: object = None) -> None:
    raise Stopped(first_signal() or signal.SIGTERM)
