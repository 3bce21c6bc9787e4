"""The windows through which convolutions and poolings look at their input."""

from dataclasses import dataclass, replace
from typing import Any

from torch import nn

Pair = tuple[int, int]  # (height, width)


@dataclass(frozen=True)
class Window:
    """A window, as (height, width) pairs; the padding is the one at the top and at the left."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair


def module_window(module: nn.Module) -> Window | None:
    """Read the window of a two-dimensional convolution, pooling or padding; None for other modules."""
    if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        kernel, dilation = _pair(module.kernel_size), _pair(getattr(module, "dilation", 1))
        return Window(kernel, _pair(module.stride), _padding(module.padding, kernel, dilation), dilation)
    if isinstance(module, nn.ZeroPad2d | nn.ReflectionPad2d | nn.ReplicationPad2d | nn.ConstantPad2d):
        left, _, top, _ = module.padding
        return Window((1, 1), (1, 1), (top, left), (1, 1))
    return None


def sized_window(module: nn.Module | None, window: Window, size: Pair) -> Window:
    """Return the window of a module for an input of a size.

    It is another one where a layer of timm pads as TensorFlow does: by what the input lacks, half of it before.
    """
    if not type(module).__name__.endswith("2dSame"):
        return window
    padding = []
    for axis, length in enumerate(size):
        kernel, stride, dilation = window.kernel[axis], window.stride[axis], window.dilation[axis]
        padding.append(max((-(-length // stride) - 1) * stride + dilation * (kernel - 1) + 1 - length, 0) // 2)
    return replace(window, padding=(padding[0], padding[1]))


def function_window(function: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Window | None:
    """Read the window of a call such as `max_pool2d(images, 3, stride=2)`; None for other functions."""
    names = {
        "conv2d": ("input", "weight", "bias", "stride", "padding", "dilation"),
        "max_pool2d": ("input", "kernel_size", "stride", "padding", "dilation"),
        "avg_pool2d": ("input", "kernel_size", "stride", "padding"),
    }.get(function)
    if names is None:
        return None
    given = dict(zip(names, args)) | kwargs
    kernel = _pair(given["weight"].shape[2:] if function == "conv2d" else given["kernel_size"])
    # A pooling without a stride moves by its own size.
    stride = given.get("stride") or (1 if function == "conv2d" else kernel)
    dilation = _pair(given.get("dilation", 1))
    return Window(kernel, _pair(stride), _padding(given.get("padding", 0), kernel, dilation), dilation)


def _padding(padding: Any, kernel: Pair, dilation: Pair) -> Pair:
    if padding == "same":
        return (dilation[0] * (kernel[0] - 1) // 2, dilation[1] * (kernel[1] - 1) // 2)
    return (0, 0) if padding == "valid" else _pair(padding)


def _pair(value: Any) -> Pair:
    if isinstance(value, int):
        return (value, value)
    return (int(value[0]), int(value[-1]))
