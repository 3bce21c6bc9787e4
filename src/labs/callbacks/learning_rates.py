"""The learning rate of each part of a net, under the name of the part."""

import itertools
from collections.abc import Sequence

import lightning.pytorch as pl
from torch import nn
from torch.optim import Optimizer

from labs import LabsError
from labs.nets.torchvision_nets import head_name


class LearningRates(pl.Callback):
    """Log the learning rate of every epoch to all loggers: `lr`, or `lr/<part>` where parts have rates of their own.

    A part is named by what is in it: `lr/backbone` and `lr/head`, or `lr/generator` and `lr/discriminator`.
    """

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the rates that this epoch begins with."""
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        names = part_names(pl_module, trainer.optimizers)
        rates = {name: float(group["lr"]) for name, group in zip(names, groups, strict=True)}
        pl_module.log_dict(rates, on_step=False, on_epoch=True, batch_size=1)


def part_names(module: nn.Module, optimizers: Sequence[Optimizer]) -> list[str]:
    """Return one name for each parameter group of all optimizers, different for different groups."""
    groups = [[id(p) for p in group["params"]] for optimizer in optimizers for group in optimizer.param_groups]
    if len(groups) == 1:
        return ["lr"]
    own = getattr(module, "net", None)
    net = own if isinstance(own, nn.Module) else module
    places = {id(parameter): name for name, parameter in net.named_parameters()}
    head = _head(net)
    names: list[str] = []
    for number, group in enumerate(groups, start=1):
        inside = [places[parameter] for parameter in group if parameter in places]
        name = _part(inside, head) if inside else f"group {number}"
        names.append(f"lr/{name}")
    taken: dict[str, itertools.count[int]] = {name: itertools.count(1) for name in names if names.count(name) > 1}
    return [f"{name} {next(taken[name])}" if name in taken else name for name in names]


def _part(parameters: Sequence[str], head: str | None) -> str:
    """Name a set of parameters: by the words of freezing policies, else by the modules that they are in."""
    in_head = [head is not None and name.startswith(f"{head}.") for name in parameters]
    if all(in_head):
        return "head"
    modules = list(dict.fromkeys(name.partition(".")[0] for name in parameters))
    if len(modules) == 1:
        return modules[0]
    return "backbone" if head is not None and not any(in_head) else ", ".join(modules[:3])


def _head(net: nn.Module) -> str | None:
    try:
        return head_name(net)
    except LabsError:
        return None
