"""Guided backpropagation: a ReLU passes a gradient where its input and the gradient are both positive.

J. Springenberg et al., "Striving for Simplicity: The All Convolutional Net", ICLR 2015 workshop, section 3.4. Hooks on
`nn.ReLU` modules miss every ReLU that is called as a function, and silently give the plain gradient. Here every call of
a ReLU is intercepted where PyTorch dispatches it: calls of modules, of functions and of in-place methods. The net is
neither copied nor changed, and it need not be traceable.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

_IN_PLACE = {torch.relu_, Tensor.relu_, F.relu_}
_RELUS = {F.relu, torch.relu, Tensor.relu, F.relu6, *_IN_PLACE}


class GuidedReLUs(TorchFunctionMode):
    """Context in which every ReLU and ReLU6 passes gradients as in guided backpropagation.

    Attributes:
        calls: Number of calls of ReLUs so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Replace ReLUs, and call all other functions unchanged."""
        kwargs = kwargs or {}
        limit = _limit(func, args, kwargs)
        if limit is None:
            return func(*args, **kwargs)
        self.calls += 1
        images: Tensor = args[0] if args else kwargs["input"]
        result: Tensor = _GuidedReLU.apply(images, limit)
        in_place = func in _IN_PLACE or kwargs.get("inplace", args[1:] and args[-1] is True)
        return images.copy_(result) if in_place else result


def _limit(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> float | None:
    """Return the largest value of a ReLU, usually infinity, or None if the function is not a ReLU."""
    if func in _RELUS:
        return 6.0 if func is F.relu6 else torch.inf
    if func is F.hardtanh:  # what a ReLU6 calls
        low, high = (kwargs.get(name, args[place] if len(args) > place else default) for name, place, default in _ENDS)
        return float(high) if low == 0 else None
    return None


_ENDS = (("min_val", 1, -1.0), ("max_val", 2, 1.0))


class _GuidedReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, limit: float) -> Tensor:
        ctx.save_for_backward((values > 0) & (values < limit))
        return values.clamp(0, limit)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (passes,) = ctx.saved_tensors
        return gradients[0].clamp(min=0) * passes, None
