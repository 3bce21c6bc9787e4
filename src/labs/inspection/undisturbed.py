"""Ask a net for gradients of its input, and leave no trace in it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@contextmanager
def undisturbed(net: nn.Module) -> Iterator[None]:
    """Put a net in eval mode for a while, where gradients flow to its input alone; then everything is as it was.

    Modes, gradients of parameters, which of them are asked for, hooks and in-place flags are put back, after an
    exception, too. ReLUs leave their input alone meanwhile. Works inside `torch.no_grad` and `torch.inference_mode`.
    """
    modules, parameters = list(net.modules()), list(net.parameters())
    modes = [(module, module.training) for module in modules]
    flags = [(module, module.inplace) for module in modules if isinstance(getattr(module, "inplace", None), bool)]
    hooks = [(module, {name: dict(getattr(module, name)) for name in _HOOKS}) for module in modules]
    asked = [(parameter, parameter.requires_grad, parameter.grad) for parameter in parameters]
    try:
        net.eval()
        for module, _ in flags:
            module.inplace = False  # type: ignore[assignment]
        for parameter, _, _ in asked:
            parameter.requires_grad_(False)
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training
        for module, inplace in flags:
            module.inplace = inplace
        for module, kept in hooks:
            for name, before in kept.items():
                now = getattr(module, name)
                for key in [key for key in now if key not in before]:
                    del now[key]
        for parameter, required, grad in asked:
            parameter.requires_grad_(required)
            parameter.grad = grad
