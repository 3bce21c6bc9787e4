"""Temporarily put a net in eval mode, or in its original state."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Put a net temporarily in eval mode, and restore the mode of each layer afterwards."""
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def as_built(net: nn.Module) -> Iterator[None]:
    """Let a net temporarily run its own code: not from stored features, and not compiled."""
    changed = ("forward", "_compiled_call_impl")
    kept: dict[str, Any] = {name: net.__dict__.pop(name) for name in changed if name in net.__dict__}
    try:
        yield
    finally:
        net.__dict__.update(kept)
