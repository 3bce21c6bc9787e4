"""Begin parts of a trained net anew: their weights are drawn again, all others stay."""

from collections.abc import Sequence

from torch import nn

from labs import LabsError


def reinitialize(net: nn.Module, patterns: Sequence[str], *, key: str = "net.reinitialize") -> list[str]:
    """Draw the parameters of layers anew, as their own `reset_parameters` does; return the layers' names.

    Args:
        net: whose weights are loaded.
        patterns: layers, as `labs.inspection.parameters.select` reads them; a parameter stands for its whole layer.
        key: the setting that they were typed in, for the message.

    Raises:
        LabsError: A pattern names nothing, or a layer that cannot begin anew.
    """
    from labs.inspection.parameters import select  # which asks this folder for the name of the head

    named = {name.rpartition(".")[0] for pattern in patterns for name in select(net, pattern, key=key)}
    layers = [name for name, _ in net.named_modules() if name in named]
    for name in layers:
        reset = getattr(net.get_submodule(name), "reset_parameters", None)
        if not callable(reset):
            kind = type(net.get_submodule(name)).__name__
            raise LabsError(f"{key}: {name or 'the net itself'} ({kind}) cannot begin anew; name other layers.")
        reset()
    return layers
