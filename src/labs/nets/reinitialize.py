"""Reinitialize layers of a trained net; all other weights stay the same."""

from collections.abc import Sequence

from torch import nn

from labs import LabsError


def reinitialize(net: nn.Module, patterns: Sequence[str], *, key: str = "net.reinitialize") -> list[str]:
    """Reinitialize layers with their own `reset_parameters`, and return the layers' names.

    Args:
        net: The net with its weights.
        patterns: Patterns as in `labs.inspection.parameters.select`; a parameter stands for its whole layer.
        key: Name of the setting, for error messages.

    Raises:
        LabsError: If a pattern matches nothing, or a layer that cannot be reinitialized.
    """
    from labs.inspection.parameters import select  # which imports from this package

    named = {name.rpartition(".")[0] for pattern in patterns for name in select(net, pattern, key=key)}
    layers = [name for name, _ in net.named_modules() if name in named]
    for name in layers:
        reset = getattr(net.get_submodule(name), "reset_parameters", None)
        if not callable(reset):
            kind = type(net.get_submodule(name)).__name__
            raise LabsError(f"{key}: {name or 'the net itself'} ({kind}) cannot be reinitialized; type other layers.")
        reset()
    return layers
