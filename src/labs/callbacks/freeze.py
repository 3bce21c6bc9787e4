"""Freeze parts of a net by a readable policy, and check at the end that they did not change."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.table import Table
from torch import nn

from labs import LabsError
from labs.inspection.parameters import BATCH_NORMS, select
from labs.storage.files import write_text

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
Mode = Literal["eval", "affine", "train"]


class Freeze(pl.Callback):
    """Freeze the parameters that match the patterns.

    What is frozen is a pure function of the epoch, so a resumed run freezes the same parameters as an uninterrupted
    one. `batch_norm` sets the mode of frozen batch norm. Dropout whose output goes to a frozen layer is off. At the end
    every frozen tensor, including buffers, is compared bit for bit with its value at the start of training.

    Args:
        patterns: Parameters of the net to freeze (see `labs.inspection.parameters.select`).
        batch_norm: Mode of frozen batch norm layers. `eval`: running statistics, weight and bias are fixed. `affine`:
            running statistics are fixed, weight and bias train. `train`: weight and bias are fixed, the layer uses
            batch statistics and updates the running ones, as in code that only sets `requires_grad` to False.
        unfreeze: Parameters that train from a later epoch on (counted from 0): `{5: [layer4], 10: [layer3]}`.
    """

    def __init__(
        self,
        *,
        patterns: Sequence[str] = (),
        batch_norm: Mode = "eval",
        unfreeze: Mapping[int, Sequence[str]] | None = None,
    ) -> None:
        self.patterns, self.batch_norm, self.unfreeze = list(patterns), batch_norm, dict(unfreeze or {})
        for epoch, later in self.unfreeze.items():
            if isinstance(epoch, bool) or not isinstance(epoch, int) or epoch < 1:
                raise LabsError(
                    f"freeze.unfreeze: '{epoch}' is not an epoch; expected {{5: [layer4]}}, with epochs from 1."
                )
            if isinstance(later, str) or not all(isinstance(p, str) for p in later):
                raise LabsError(
                    f"freeze.unfreeze={{{epoch}: {later}}}: expected a list of patterns, such as {{{epoch}: [layer4]}}."
                )
        if self.unfreeze and not self.patterns:
            raise LabsError("freeze.unfreeze: nothing is frozen; type a policy, too, such as freeze=backbone.")
        self.digests: dict[str, str] = {}

    def frozen_parameters(self, net: nn.Module, epoch: int) -> set[str]:
        """Return the names of the parameters that do not train in an epoch (counted from 0)."""
        frozen = self._named(net, epoch)
        if self.batch_norm == "affine":
            norms = [name for name, layer in net.named_modules() if isinstance(layer, BATCH_NORMS)]
            frozen -= {f"{name}.{own}" for name in norms for own in ("weight", "bias")}
        return frozen

    def frozen_layers(self, net: nn.Module, epoch: int) -> dict[str, nn.Module]:
        """Return the layers to keep in eval mode: batch norm by its policy, and dropout before a frozen layer."""
        frozen = self._named(net, epoch)
        held: dict[str, nn.Module] = {}
        waiting: dict[str, nn.Module] = {}  # dropout layers before the next layer with parameters
        for name, layer in net.named_modules():
            own = [f"{name}.{p}" if name else p for p, _ in layer.named_parameters(recurse=False)]
            if isinstance(layer, DROPOUTS):
                waiting[name] = layer
            if not own:
                continue
            if set(own) <= frozen:
                held.update(waiting)
                if isinstance(layer, BATCH_NORMS) and self.batch_norm != "train":
                    held[name] = layer
            waiting = {}
        return held

    def _named(self, net: nn.Module, epoch: int) -> set[str]:
        """Return the parameters that `patterns` match and `unfreeze` has not released by this epoch."""
        named = {name for pattern in self.patterns for name in select(net, pattern, key="freeze.patterns")}
        return named.difference(*(names for start, names in self._thawed(net).items() if start <= epoch))

    def _thawed(self, net: nn.Module) -> dict[int, set[str]]:
        """Return the parameters that `unfreeze` releases at each of its epochs."""
        key = "freeze.unfreeze"
        return {epoch: {n for p in later for n in select(net, p, key=key)} for epoch, later in self.unfreeze.items()}

    def apply(self, net: nn.Module, epoch: int) -> None:
        """Set `requires_grad` and the modes of batch norm and dropout for a training epoch."""
        frozen = self.frozen_parameters(net, epoch)
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(name not in frozen)
        held = self.frozen_layers(net, epoch)
        for name, layer in net.named_modules():
            if isinstance(layer, (*BATCH_NORMS, *DROPOUTS)):
                layer.train(name not in held)

    # Lightning's hooks, in the order they come

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Let only parameters that train now or later require gradients, so that the optimizer gets exactly those."""
        if stage != "fit":
            return
        net = pl_module.get_submodule("net")
        always = self.frozen_parameters(net, epoch=max(self.unfreeze, default=0))
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(name not in always)
        for start, thawed in self._thawed(net).items():
            if not thawed & self._named(net, epoch=0):
                later = list(self.unfreeze[start])
                raise LabsError(f"freeze.unfreeze={{{start}: {later}}}: {self.patterns} does not freeze any of these.")
        if self.frozen_parameters(net, epoch=0) >= {name for name, _ in net.named_parameters()}:
            raise LabsError(
                f"freeze.patterns={self.patterns}: every parameter is frozen; to train the head type freeze=backbone."
            )

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the table of frozen parts, and take the digests for the check at the end."""
        net = pl_module.get_submodule("net")
        tolerant = getattr(trainer.strategy, "_ddp_kwargs", {}).get("find_unused_parameters")
        if self.unfreeze and trainer.world_size > 1 and not tolerant:
            raise LabsError(
                "freeze.unfreeze: with several devices, the strategy does not expect parameters that train only later; "
                "type trainer.strategy=ddp_find_unused_parameters_true."
            )
        self.apply(net, trainer.current_epoch)
        self.digests = self.digests or digests(net, self._frozen_tensors(net, trainer.current_epoch))
        self._write_table(trainer, net)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the parameters that are about to be released, and apply the policy of this epoch."""
        net = pl_module.get_submodule("net")
        leaving = set(self.digests) - self._frozen_tensors(net, trainer.current_epoch)
        self._check(net, leaving)
        for name in leaving:
            del self.digests[name]
        self.apply(net, trainer.current_epoch)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare every tensor that is still frozen with its initial value."""
        self._check(pl_module.get_submodule("net"), set(self.digests))

    def state_dict(self) -> dict[str, Any]:
        """Save the digests, so that a resumed run is compared with the original start."""
        return {"digests": dict(self.digests)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the digests of the resumed run."""
        self.digests = dict(state_dict["digests"])

    def _frozen_tensors(self, net: nn.Module, epoch: int) -> set[str]:
        held = {n for n, layer in self.frozen_layers(net, epoch).items() if isinstance(layer, BATCH_NORMS)}
        buffers = {name for name, _ in net.named_buffers() if name.rpartition(".")[0] in held}
        return self.frozen_parameters(net, epoch) | buffers

    def _check(self, net: nn.Module, names: set[str]) -> None:
        now = digests(net, names)
        changed = sorted(name for name in names if now[name] != self.digests[name])
        if changed:
            raise RuntimeError(
                f"{len(changed)} frozen tensors changed during training, such as {changed[0]}. This is a bug in labs."
            )

    @rank_zero_only
    def _write_table(self, trainer: pl.Trainer, net: nn.Module) -> None:
        table = self.table(net, trainer.current_epoch)
        Console(emoji=False).print(table)
        text = io.StringIO()
        Console(file=text, width=110, emoji=False).print(table)
        write_text(Path(trainer.default_root_dir) / "freeze.txt", text.getvalue())

    def table(self, net: nn.Module, epoch: int) -> Table:
        """Return the table of an epoch: per part of the net, what trains and the mode of its batch norm and dropout."""
        frozen, held = self.frozen_parameters(net, epoch), self.frozen_layers(net, epoch)
        start_of = {n: epoch for epoch, names in sorted(self._thawed(net).items(), reverse=True) for n in names}
        title = f"What trains (freeze.patterns={self.patterns}, batch_norm={self.batch_norm})"
        table = Table(title=title, title_justify="left")
        for column in ("part", "trainable", "frozen", "batch norm", "dropout", "from epoch"):
            table.add_column(column, justify="right" if column in ("trainable", "frozen") else "left")
        totals = [0, 0]
        for part in _parts(net):
            own = {f"{part}.{n}": p.numel() for n, p in net.get_submodule(part).named_parameters()}
            fixed = sum(count for name, count in own.items() if name in frozen)
            free = sum(own.values()) - fixed
            totals = [totals[0] + free, totals[1] + fixed]
            later = sorted({start_of[n] for n in own if n in frozen and n in start_of})
            table.add_row(
                part,
                f"{free:,}" if free else "-",
                f"{fixed:,}" if fixed else "-",
                _modes(net, part, BATCH_NORMS, held, ("train", "eval")),
                _modes(net, part, DROPOUTS, held, ("on", "off")),
                ", ".join(map(str, later)) or ("-" if fixed else "0"),
            )
        table.add_section()
        table.add_row("all", f"{totals[0]:,}", f"{totals[1]:,}", "", "", "")
        return table


def digests(net: nn.Module, names: set[str]) -> dict[str, str]:
    """Return the SHA-256 of the bytes of named parameters and buffers."""
    tensors = dict(net.named_parameters()) | dict(net.named_buffers())
    as_bytes = ((n, tensors[n].detach().cpu().contiguous().view(-1).view(torch.uint8)) for n in sorted(names))
    return {name: hashlib.sha256(values.numpy().data).hexdigest() for name, values in as_bytes}


def _parts(net: nn.Module) -> list[str]:
    """List the rows of the table: the net's children, or the layers of a child that is a simple sequence."""
    rows: list[str] = []
    for name, child in net.named_children():
        plain = isinstance(child, nn.Sequential) and not any(list(grandchild.children()) for grandchild in child)
        inner = [f"{name}.{n}" for n, _ in child.named_children()] if plain else [name]
        rows += [row for row in inner if next(net.get_submodule(row).parameters(), None) is not None]
    return rows


def _modes(
    net: nn.Module, part: str, kinds: tuple[type, ...], held: dict[str, nn.Module], words: tuple[str, str]
) -> str:
    names = [f"{part}.{n}".rstrip(".") for n, m in net.get_submodule(part).named_modules() if isinstance(m, kinds)]
    found = {words[1] if name in held else words[0] for name in names}
    return " and ".join(sorted(found)) or "-"
