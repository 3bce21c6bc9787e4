"""Compute gradients with respect to a net's input without changing the net."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@contextmanager
def undisturbed(net: nn.Module) -> Iterator[None]:
    """Put a net temporarily in eval mode, with gradients for its input alone.

    Modes, gradients and `requires_grad` of parameters, hooks and in-place flags are restored at the end, even after an
    exception. Meanwhile no operation is in place. This works inside `torch.no_grad` and `torch.inference_mode`.
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
