"""Go on under other settings: what holds now is in force, and the results say where that began."""

import copy
import warnings
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from labs import LabsError
from labs.runs.recipe import flat

OF_PLATEAU = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch", "_last_lr")  # what it has seen so far


class Resumption(pl.Callback):
    """Let a run that is resumed under another recipe go on as one that had this recipe from the start.

    A checkpoint brings the old learning rate and, in its schedule, the old number of epochs back. The new ones are
    put in their place: the rate of an epoch is that of the same epoch of a run that is as long as this one.

    Args:
        recipe: of the run, in normal form.
    """

    def __init__(self, recipe: str) -> None:
        self.recipe, self.before = recipe, recipe
        self.saved: list[dict[str, Any]] = []  # states of the optimizers in the checkpoint
        self.changed: list[int] = []  # epochs after which the recipe became another

    @property
    def notes(self) -> list[str]:
        """What every number of the run must carry."""
        return [f"settings changed after epoch {', '.join(map(str, self.changed))}"] if self.changed else []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remember what was built of this recipe: now the state of the checkpoint is put in its place.

        Raises:
            LabsError: the checkpoint is of another optimizer, or other parameters trained.
        """
        if self.before != self.recipe:
            # a checkpoint without the state of optimizers is none to go on with, and Lightning says so
            if not all(_fits(*pair) for pair in zip(self.saved, trainer.optimizers, strict=False)):
                raise LabsError(
                    "the run was made with another optimizer, or other parameters trained (freeze, module.lr_scale): "
                    "type these as they were, or start a new run."
                )
            self.groups = [[_settings(group) for group in optimizer.param_groups] for optimizer in trainer.optimizers]
            schedules = [config.scheduler for config in trainer.lr_scheduler_configs]
            self.schedules = [copy.deepcopy(schedule.state_dict()) for schedule in schedules]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the settings in force."""
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
        self._tell(trainer, rates)

    def state_dict(self) -> dict[str, Any]:
        """Save the recipe with the checkpoint."""
        return {"recipe": self.recipe, "changed": self.changed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the recipe of the run that is resumed."""
        self.before, self.changed = str(state_dict["recipe"]), list(state_dict["changed"])

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Note where another recipe begins, and what it must go on with.

        Raises:
            LabsError: the run has trained for longer than it is to be.
        """
        states = checkpoint.get("optimizer_states", [])
        self.saved = [{"param_groups": [dict(group) for group in state["param_groups"]]} for state in states]
        saved = checkpoint.get("callbacks", {}).get(self.state_key, {})
        done = checkpoint["epoch"] + 1
        if trainer.max_epochs is not None and -1 < trainer.max_epochs < done:
            raise LabsError(
                f"the run has trained {done} epochs, and its numbers would stand for trainer.max_epochs="
                f"{trainer.max_epochs}; type {done} or more, or start a new run."
            )
        if saved.get("recipe", self.recipe) != self.recipe and done not in saved["changed"]:
            saved["changed"] = [*saved["changed"], done]

    @rank_zero_only
    def _tell(self, trainer: pl.Trainer, rates: list[float]) -> None:
        old, new = flat(self.before), flat(self.recipe)
        names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
        told = ", ".join(f"{name} {old.get(name, 'null')} -> {new.get(name, 'null')}" for name in names) or "seed"
        moved = [f"{one:.4g} -> {other:.4g}" for one, other in zip(rates, _rates(trainer), strict=True) if one != other]
        rate = f"learning rate {', '.join(moved)}" if moved else "learning rate as before"
        text = (
            f"{self.notes[0]}: {told}. What depends on the share of training done goes on as in a run that had these "
            f"settings from the start ({rate})."
        )
        Console(emoji=False).print(text, highlight=False, soft_wrap=True, markup=False)


def _rates(trainer: pl.Trainer) -> list[float]:
    return [optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers]


def _settings(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "params"}


def _fits(saved: dict[str, Any], optimizer: Optimizer) -> bool:
    """Say whether an optimizer can take up a state: it has the same settings, and groups of the same sizes."""
    before, now = saved["param_groups"], optimizer.param_groups
    sizes = [[len(group["params"]) for group in groups] for groups in (before, now)]
    return sizes[0] == sizes[1] and all(optimizer.defaults.keys() <= group.keys() for group in before)


def _renew(schedule: Any, fresh: dict[str, Any], steps: int) -> None:
    """Bring a schedule to where it is after so many steps from its start; one that waits for a metric goes on."""
    if isinstance(schedule, ReduceLROnPlateau):
        seen = {name: value for name, value in schedule.state_dict().items() if name in OF_PLATEAU}
        schedule.load_state_dict({**fresh, **seen})
        return
    schedule.load_state_dict(fresh)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nothing is trained in between
        for _ in range(steps):
            schedule.step()
