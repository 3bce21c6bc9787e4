"""The layers of a net by module name: their outputs, a default selection, and receptive fields of units."""

import difflib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labs import LabsError
from labs.inspection.graph import NetGraph
from labs.inspection.receptive_field import Field, receptive_fields
from labs.nets.eval_mode import evaluating

Shape = tuple[int, int, int]  # (channels, height, width)
_DULL = (
    "Pool",
    "Drop",
    "Identity",
    "Flatten",
    "Softmax",
)  # in the class name of modules whose output looks like their input
LATER = 3  # layers in the default selection besides the first convolution


def as_maps(output: Any) -> Tensor | None:
    """Return the output of a layer as maps (batch, channels, height, width), or None if that is not possible.

    A vector is a map with one position. Tokens are the patches of a square image, possibly after other tokens. Because
    images are square, a last axis of different size holds the channels.

    Examples:
        >>> [tuple(as_maps(torch.zeros(2, *shape)).shape[1:]) for shape in ((10,), (50, 8), (7, 7, 3), (3, 7, 7))]
        [(10, 1, 1), (8, 7, 7), (3, 7, 7), (3, 7, 7)]
    """
    if not isinstance(output, Tensor) or not output.is_floating_point() or not 2 <= output.dim() <= 4:
        return None
    if output.dim() == 2:
        return output[:, :, None, None]
    if output.dim() == 3:
        side = math.isqrt(output.shape[1])
        return output[:, output.shape[1] - side * side :].mT.unflatten(2, (side, side))
    channels_last = output.shape[1] == output.shape[2] != output.shape[3]
    return output.movedim(3, 1) if channels_last else output


@contextmanager
def watching(net: nn.Module, calls: Mapping[str, Callable[[Tensor], None]]) -> Iterator[None]:
    """Call functions with the maps of layers while a net runs once; the net does not change.

    Args:
        net: The net.
        calls: Functions by module name. Each is called immediately with the module's output, because later layers may
            overwrite it. Only the first call of a layer counts, and only if it returns maps.
    """
    left = set(calls)

    def hook(name: str) -> Callable[..., None]:
        def after(module: nn.Module, inputs: Any, output: Any) -> None:
            maps = as_maps(output)
            if name in left and maps is not None:
                left.discard(name)
                calls[name](maps.detach())

        return after

    handles = [net.get_submodule(name).register_forward_hook(hook(name)) for name in calls]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def layer_shapes(net: nn.Module, image: Tensor) -> dict[str, Shape]:
    """Return the shape of the maps of every layer that has maps, in the order in which the layers finish.

    Args:
        net: The net, which runs once in eval mode.
        image: Input (1, channels, size, size); only its shape matters.

    Raises:
        LabsError: If the net does not accept an image of this size.
    """
    shapes: dict[str, Shape] = {}

    def note(name: str, maps: Tensor) -> None:
        if len(maps) == 2:  # else there is not one map per image
            shapes[name] = (maps.shape[1], maps.shape[2], maps.shape[3])

    names = [name for name, _ in net.named_modules() if name]
    with evaluating(net), torch.no_grad(), watching(net, {name: partial(note, name) for name in names}):
        try:
            net(image.repeat(2, 1, 1, 1))
        except (RuntimeError, AssertionError, ValueError) as error:
            size = "x".join(map(str, image.shape[-2:]))
            why = " ".join(str(error).split())[:120]
            raise LabsError(
                f"the net does not accept images of {size} pixels ({why}); type another net.image_size."
            ) from error
    return shapes


def chosen_layers(
    net: nn.Module, shapes: Mapping[str, Shape], typed: Sequence[str] | None, classes: int, key: str = "module.layers"
) -> list[str]:
    """Return the layers to show: the given ones, or a default selection.

    By default these are the first convolution and the last layer of up to three smaller map sizes, evenly spaced down
    to the smallest. A whole block is preferred to a part of it. If no maps are smaller, the last layer of the same size
    is used.

    Args:
        net: The net.
        shapes: Result of `layer_shapes`.
        typed: Module names. None: the default.
        classes: Number of classes; maps with this number of channels belong to the head.
        key: Name of the setting, for error messages.

    Raises:
        LabsError: If there is no such layer or it has no maps. The message lists similar names.
    """
    for layer in typed or ():
        if layer not in shapes:
            known = layer in dict(net.named_modules())
            near = [name for name in shapes if name.startswith(f"{layer}.")][-3:] if known else []
            near = near or difflib.get_close_matches(layer, shapes, n=3) or _telling(net, shapes, classes)
            what = f"{layer} has no maps of its own" if known else f"the net has no layer {layer}"
            raise LabsError(f"{key}: {what}; type for example {', '.join(near)}.")
    chosen = list(dict.fromkeys(typed)) if typed else _telling(net, shapes, classes)
    if not chosen:
        raise LabsError(f"{key}: the net has no layer with maps; type another net, such as net.name=squeezenet1_1.")
    return chosen


def layer_field(graph: NetGraph, layer: str, shape: Shape) -> Field | None:
    """Return the receptive field of a layer's units, or None if it is unknown.

    Args:
        graph: Graph of the whole net.
        layer: Name of a module.
        shape: Shape of its maps.
    """
    if not graph.exact:  # the edges are not known
        return None
    inside = [place for place, op in enumerate(graph.ops) if op.name.startswith(f"{layer}.")]
    own = [place for place, op in enumerate(graph.ops) if op.name == layer] or inside[-1:]
    if not own:
        return None
    given = graph.ops[own[0]].shape
    fields = receptive_fields(graph)
    return fields[own[0]] if given in (shape, shape[:1]) else None


def seen_by(field: Field, row: int, column: int) -> tuple[int, int, int, int] | None:
    """Return the pixels that a unit sees: left, top, right, bottom, the last two excluded.

    The result is None if the receptive fields of the layer do not form a regular grid.
    """
    edges = []
    for axis, place in zip(field, (row, column), strict=True):
        if axis.jump is None:
            return None
        first, last = axis.first + axis.jump * place, axis.last + axis.jump * place
        edges.append((first, last + 1))
    (top, bottom), (left, right) = edges
    return left, top, right, bottom


def _telling(net: nn.Module, shapes: Mapping[str, Shape], classes: int) -> list[str]:
    first = next((name for name in shapes if isinstance(net.get_submodule(name), nn.Conv2d)), None)
    largest = shapes[first][1] if first else math.inf
    sizes: dict[int, list[str]] = {}
    for name, (channels, height, _) in shapes.items():
        inside = {shape[1] for part, shape in shapes.items() if part.startswith(f"{name}.")}
        dull = any(word in type(net.get_submodule(name)).__name__ for word in _DULL)
        if 1 < height <= largest and not dull and channels != classes and len(inside) <= 2:  # more: most of the net
            sizes.setdefault(height, []).append(name)
    smaller = {size: names for size, names in sizes.items() if size < largest} or sizes
    last = [min(reversed(smaller[size]), key=lambda name: name.count(".")) for size in sorted(smaller, reverse=True)]
    places = np.unique(np.linspace(0, len(last) - 1, min(LATER, len(last))).round().astype(int))
    return list(dict.fromkeys([*([first] if first else []), *(last[place] for place in places)]))
