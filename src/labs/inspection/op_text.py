"""The text in a box of the architecture picture."""

from labs.inspection.graph import Op
from labs.inspection.window import Window

_SHORT = {
    **dict.fromkeys(("BatchNorm1d", "BatchNorm2d", "SyncBatchNorm", "batch_norm"), "bn"),
    **dict.fromkeys(("iadd", "add_"), "add"),
    **dict.fromkeys(("imul", "mul_"), "mul"),
    "LocalResponseNorm": "lrn",
    "cat": "concat",
    "view": "flatten",
}


def by(sizes: tuple[int, ...], times: str = "\N{MULTIPLICATION SIGN}") -> str:
    """Format sizes as a product."""
    return times.join(map(str, sizes))


def square(pair: tuple[int, int], times: str = "\N{MULTIPLICATION SIGN}") -> str:
    """Format height and width as a product, or as one number if they are equal."""
    return str(pair[0]) if pair[0] == pair[1] else by(pair, times)


def describe(op: Op, source: Op | None) -> str:
    """Describe an operation in a few words, such as a 3 by 3 convolution with stride 2 and 64 channels.

    Args:
        op: The operation.
        source: The operation that feeds it, None for the image.
    """
    if op.kind == "input":
        return "image"
    if op.kind == "convolution":
        name = "conv transposed" if "transpose" in op.type.lower() else "conv"
        return f"{name}{_window(op.window)}, {op.shape[0]}" + _extras(op)
    if op.kind == "pooling":
        kind = "max" if "max" in op.type.lower() else "average"
        if op.window is not None:
            return f"{kind} pool{_window(op.window)}"
        if all(size == 1 for size in op.shape[1:]):
            return f"global {kind} pool"
        return f"{kind} pool to {by(op.shape[1:])}"
    if op.kind == "linear":
        inputs = getattr(op.module, "in_features", source.shape[-1] if source else "")
        return f"linear {inputs} → {op.shape[-1]}"
    if op.kind == "dropout":
        rate = getattr(op.module, "p", None)
        return "dropout" if rate is None else f"dropout {rate:g}"
    return _SHORT.get(op.type) or (op.type if op.kind == "other" else op.type.lower())


def _window(window: Window | None) -> str:
    if window is None:
        return ""
    stride = "" if window.stride == (1, 1) else f"/{square(window.stride)}"
    return f" {by(window.kernel)}{stride}"


def _extras(op: Op) -> str:
    dilation = op.window.dilation if op.window else (1, 1)
    groups = getattr(op.module, "groups", 1)
    extras = [f"dilation {square(dilation)}"] * (dilation != (1, 1)) + [f"groups {groups}"] * (groups > 1)
    return "".join(f", {extra}" for extra in extras)
