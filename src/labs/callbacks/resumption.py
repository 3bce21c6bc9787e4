"""Resume a run with changed settings: the new settings apply, and the results record since when."""

import copy
import warnings
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from labs import LabsError
from labs.quantities import quantity
from labs.runs.recipe import flat

OF_PLATEAU = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch", "_last_lr")  # its state, not its settings


class Resumption(pl.Callback):
    """Let a run that is resumed with another recipe continue as if it had this recipe from the start.

    A checkpoint restores the old learning rate and, in the schedule, the old number of epochs. This callback replaces
    them by the new ones. The learning rate of an epoch is then that of the same epoch in a run with the new length.

    Args:
        recipe: The recipe of the run, in normal form.
    """

    def __init__(self, recipe: str) -> None:
        self.recipe, self.before = recipe, recipe
        self.saved: list[dict[str, Any]] = []  # states of the optimizers in the checkpoint
        self.changed: list[int] = []  # epochs after which the recipe changed

    @property
    def notes(self) -> list[str]:
        """Notes that every number of the run must carry."""
        return [f"settings changed after epoch {', '.join(map(str, self.changed))}"] if self.changed else []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remember the settings built from this recipe before the checkpoint's state replaces them.

        Raises:
            LabsError: If the checkpoint comes from another optimizer, or if other parameters trained.
        """
        if self.before != self.recipe:
            # Lightning itself refuses a checkpoint without optimizer states
            if not all(_fits(*pair) for pair in zip(self.saved, trainer.optimizers, strict=False)):
                raise LabsError(
                    "the run used another optimizer, or trained other parameters (freeze, module.lr_scale); "
                    "type the same settings, or start a new run."
                )
            self.groups = [[_settings(group) for group in optimizer.param_groups] for optimizer in trainer.optimizers]
            schedules = [config.scheduler for config in trainer.lr_scheduler_configs]
            self.schedules = [copy.deepcopy(schedule.state_dict()) for schedule in schedules]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Apply the new settings."""
        if self.before == self.recipe:
            return
        rates = _rates(trainer)
        waiting = any(isinstance(config.scheduler, ReduceLROnPlateau) for config in trainer.lr_scheduler_configs)
        for optimizer, settings in zip(trainer.optimizers, self.groups, strict=True):
            for group, new in zip(optimizer.param_groups, settings, strict=True):
                group.update({name: value for name, value in new.items() if name != "lr" or not waiting})
        for config, fresh in zip(trainer.lr_scheduler_configs, self.schedules, strict=True):
            steps = trainer.global_step if config.interval == "step" else trainer.current_epoch
            _renew(config.scheduler, fresh, steps)
        self._report(trainer, rates)

    def state_dict(self) -> dict[str, Any]:
        """Save the recipe with the checkpoint."""
        return {"recipe": self.recipe, "changed": self.changed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the recipe of the resumed run."""
        self.before, self.changed = str(state_dict["recipe"]), list(state_dict["changed"])

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Record the epoch at which the recipe changes, and the optimizer states to continue with.

        Raises:
            LabsError: If the run has already trained for more epochs than the new recipe has.
        """
        states = checkpoint.get("optimizer_states", [])
        self.saved = [{"param_groups": [dict(group) for group in state["param_groups"]]} for state in states]
        saved = checkpoint.get("callbacks", {}).get(self.state_key, {})
        done = checkpoint["epoch"] + 1
        if trainer.max_epochs is not None and -1 < trainer.max_epochs < done:
            raise LabsError(
                f"trainer.max_epochs={trainer.max_epochs}: the run has already trained {quantity(done, 'epoch')}; "
                f"type {done} or more, or start a new run."
            )
        if saved.get("recipe", self.recipe) != self.recipe and done not in saved["changed"]:
            saved["changed"] = [*saved["changed"], done]

    @rank_zero_only
    def _report(self, trainer: pl.Trainer, rates: list[float]) -> None:
        old, new = flat(self.before), flat(self.recipe)
        names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
        listed = ", ".join(f"{name} {old.get(name, 'null')} -> {new.get(name, 'null')}" for name in names) or "seed"
        moved = [f"{one:.4g} -> {other:.4g}" for one, other in zip(rates, _rates(trainer), strict=True) if one != other]
        rate = f"learning rate {', '.join(moved)}" if moved else "same learning rate"
        text = (
            f"{self.notes[0].capitalize()}: {listed}. Schedules continue as if the run had had these settings from the "
            f"start ({rate})."
        )
        Console(emoji=False).print(text, highlight=False, soft_wrap=True, markup=False)


def _rates(trainer: pl.Trainer) -> list[float]:
    return [optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers]


def _settings(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "params"}


def _fits(saved: dict[str, Any], optimizer: Optimizer) -> bool:
    """Return whether an optimizer can load a state: it needs the same settings, and groups of the same sizes."""
    before, now = saved["param_groups"], optimizer.param_groups
    sizes = [[len(group["params"]) for group in groups] for groups in (before, now)]
    return sizes[0] == sizes[1] and all(optimizer.defaults.keys() <= group.keys() for group in before)


def _renew(schedule: Any, fresh: dict[str, Any], steps: int) -> None:
    """Move a schedule to where it is after this many steps; a plateau schedule keeps its state."""
    if isinstance(schedule, ReduceLROnPlateau):
        seen = {name: value for name, value in schedule.state_dict().items() if name in OF_PLATEAU}
        schedule.load_state_dict({**fresh, **seen})
        return
    schedule.load_state_dict(fresh)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nothing is trained in between
        for _ in range(steps):
            schedule.step()
