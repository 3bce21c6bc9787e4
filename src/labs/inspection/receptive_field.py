"""Receptive fields: which pixels of the image a unit of a layer can see, through any branches of the net.

A unit at position u along one axis sees the pixels `jump * u + first ... jump * u + last` of the image. A
window of kernel k, stride s, padding p and dilation d turns this into

    jump' = s * jump,   first' = first - p * jump,   last' = last + (d * (k - 1) - p) * jump,

so the width grows by d * (k - 1) * jump. Where branches join, a unit sees the hull of both intervals, which for
branches with a common center is the larger one. This is the theoretical receptive field: it ignores the border of the
image, and can be larger than the image.

A. Araujo, W. Norris, J. Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill, 2019.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

from torch import nn

from labs.inspection.graph import NetGraph, Op
from labs.inspection.window import Window, sized_window

# Operations on single positions, besides activations, dropout and batch normalization.
_POINTWISE = {
    *("Identity", "contiguous", "clone", "detach", "to", "float", "half", "clamp", "exp", "log", "abs", "neg", "pow"),
    *("sqrt", "square", "truediv", "div", "normalize", "local_response_norm", "batch_norm", "LocalResponseNorm"),
    *("add", "iadd", "add_", "sub", "mul", "mul_", "imul", "cat", "concat", "getattr"),
}


@dataclass(frozen=True)
class Axis:
    """What the units of a layer see along one axis of the image, in pixels."""

    first: int  # first pixel that unit 0 sees; negative in the padding
    last: int  # last pixel that unit 0 sees
    jump: int | None  # distance between the fields of neighbors; 0: all see the same pixels, None: no regular grid
    whole: tuple[int, int]  # first and last pixel that all units together see

    @property
    def extent(self) -> int:
        """Width of the receptive field of one unit, in pixels."""
        return self.last - self.first + 1


Field = tuple[Axis, Axis]  # (height, width)


def receptive_fields(graph: NetGraph) -> list[Field | None]:
    """Compute the receptive field of every operation of a net.

    Returns:
        One (height, width) pair per operation, or None if it is unknown: after transposed convolutions, upsampling,
        attention and other operations that are not a window on their input.
    """
    fields: list[Field | None] = []
    for op in graph.ops:
        if op.kind == "input":
            fields.append(_both(Axis(0, 0, 1, (0, size - 1)) for size in op.shape[-2:]))
            continue
        known = [field for i in op.inputs if (field := fields[i]) is not None]
        complete = len(known) == len(op.inputs)
        fields.append(_next_field(op, [graph.ops[i] for i in op.inputs], known) if complete else None)
    return fields


def _next_field(op: Op, sources: Sequence[Op], fields: Sequence[Field]) -> Field | None:
    source, field = sources[0], fields[0]
    if op.window is not None:
        window = sized_window(op.module, op.window, (source.shape[-2], source.shape[-1]))
        return _both(_through_window(field[i], window, i, op.shape[-2:][i]) for i in (0, 1))
    if op.kind == "pooling" and op.type.lower().startswith("adaptive"):
        return _both(_through_adaptive(field[i], source.shape[-2:][i], op.shape[-2:][i]) for i in (0, 1))
    if op.kind == "linear" and len(op.shape) == 1:  # of a vector; without a trace, flattening is not visible
        return _both(_everything(axis) for axis in field)
    if op.type == "mean" and len(source.shape) == 3 and op.shape in [source.shape[:1], (*source.shape[:1], 1, 1)]:
        return _both(_everything(axis) for axis in field)
    if op.kind == "reshape":
        flattens = len(op.shape) == 1 and len(source.shape) > 1
        scattered = (axis if axis.jump == 0 else Axis(axis.first, axis.last, None, axis.whole) for axis in field)
        return _both(scattered) if flattens else _same(op, source, field)
    if _sees_the_map(op):
        return _both(_everything(axis) for axis in field)
    if op.kind in ("activation", "dropout", "normalization") or op.type in _POINTWISE:
        return _join(op, sources, fields) if len(fields) > 1 else _same(op, source, field)
    return None


def _sees_the_map(op: Op) -> bool:
    """Return whether the output depends on statistics over all positions of the image."""
    names = ("group_norm", "layer_norm", "instance_norm")
    modules = (nn.GroupNorm, nn.LayerNorm, nn.InstanceNorm1d, nn.InstanceNorm2d)
    by_position = op.type == "LayerNorm2d"  # torchvision's and timm's: over the channels alone
    return op.type in names or (isinstance(op.module, modules) and not by_position)


def _through_window(axis: Axis, window: Window, i: int, size: int) -> Axis | None:
    kernel, stride, padding, dilation = (pair[i] for pair in astuple(window))
    if axis.jump is None:
        return axis if (kernel, stride, padding) == (1, 1, 0) else None
    first = axis.first - padding * axis.jump
    last = axis.last + (dilation * (kernel - 1) - padding) * axis.jump
    jump = axis.jump * stride
    return Axis(first, last, jump, (first, last + (size - 1) * jump))


def _through_adaptive(axis: Axis, size_in: int, size_out: int) -> Axis | None:
    if size_out == 1:
        return _everything(axis)
    if axis.jump is None:
        return None
    if size_in % size_out == 0:
        kernel = size_in // size_out
        return _through_window(axis, Window((kernel,) * 2, (kernel,) * 2, (0, 0), (1, 1)), 0, size_out)
    # Windows of different sizes, unit u from floor(u in/out) to ceil((u + 1) in/out): use the largest.
    widths = [-(-(u + 1) * size_in // size_out) - u * size_in // size_out for u in range(size_out)]
    return Axis(axis.first, axis.last + (max(widths) - 1) * axis.jump, None, axis.whole)


def _everything(axis: Axis) -> Axis:
    return Axis(*axis.whole, 0, axis.whole)


def _same(op: Op, source: Op, field: Field) -> Field | None:
    return field if op.shape == source.shape else None


def _join(op: Op, sources: Sequence[Op], fields: Sequence[Field]) -> Field | None:
    if any(len(source.shape) != len(op.shape) for source in sources):
        return None
    if op.type in ("cat", "concat") and any(source.shape[1:] != op.shape[1:] for source in sources):
        return None  # joined along height or width: the positions shift
    alike = len({source.shape[1:] for source in sources}) == 1
    return _both(_hull([field[i] for field in fields], alike=alike) for i in (0, 1))


def _hull(axes: Sequence[Axis], *, alike: bool) -> Axis | None:
    whole = (min(axis.whole[0] for axis in axes), max(axis.whole[1] for axis in axes))
    jumps = {axis.jump for axis in axes}
    if 0 in jumps or not alike:
        return Axis(*whole, 0, whole)  # one value broadcast over the map, such as a channel attention
    if None in jumps:
        widest = max(axes, key=lambda axis: axis.extent)
        return Axis(widest.first, widest.last, None, whole)
    if len(jumps) > 1:
        return None
    return Axis(min(axis.first for axis in axes), max(axis.last for axis in axes), jumps.pop(), whole)


def _both(axes: Iterable[Axis | None]) -> Field | None:
    height, width = axes
    return None if height is None or width is None else (height, width)
