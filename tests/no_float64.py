"""A stand-in for a GPU of Apple's on the CPU: it refuses 64-bit floats."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

WIDE = (torch.float64, torch.complex128)
HOST = "_lies_on_the_host"


class Float64Error(Exception):
    """A device was asked for what it does not have."""


class NoFloat64(TorchFunctionMode):
    """Raise a Float64Error where a tensor of the device would be a 64-bit float, as `mps` does.

    Everything lies on the CPU. A tensor is of the host if `.cpu()` returned it, if it was made without a device, or if
    it was computed from such tensors alone; what has been moved with `.to(device)`, weights, and batches are of the
    device, and so is what is computed from them.
    """

    def __enter__(self) -> Any:
        self._from_numpy = torch.from_numpy  # which no mode sees
        torch.from_numpy = lambda array: _marked(self._from_numpy(array), True, [])
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        torch.from_numpy = self._from_numpy
        super().__exit__(*error)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        inputs = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        result = func(*args, **kwargs)
        outputs = [one for one in tree_leaves(result) if isinstance(one, Tensor)]
        if not outputs:
            return result
        if func is Tensor.cpu:
            return _marked(result, True, inputs)
        moved = func is Tensor.to and any(isinstance(one, torch.device) for one in (*args[1:], *kwargs.values()))
        if moved or kwargs.get("device") is not None:
            _refuse(func, outputs)
            return _marked(result, False, inputs) if isinstance(result, Tensor) else result
        on_host = all(getattr(one, HOST, False) for one in inputs)
        if not on_host:
            _refuse(func, outputs)
        elif isinstance(result, Tensor):
            return _marked(result, True, inputs)
        else:
            for one in outputs:
                setattr(one, HOST, True)
        return result


def _marked(result: Tensor, host: bool, inputs: list[Tensor]) -> Tensor:
    if any(result is one for one in inputs) and getattr(result, HOST, False) != host:
        with torch._C.DisableTorchFunction():
            result = result.view_as(result)  # the same values, and another object
    setattr(result, HOST, host)
    return result


def _refuse(func: Any, outputs: list[Tensor]) -> None:
    if any(one.dtype in WIDE for one in outputs):
        raise Float64Error(f"{getattr(func, '__name__', func)}: the device has no 64-bit floats")
