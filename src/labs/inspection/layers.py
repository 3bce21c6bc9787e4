"""The layers of a net by the names of its modules: what each gives, which are worth a look, and what a unit sees."""

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
)  # in the name of a module's class: it shows what the one before shows
LATER = 3  # layers that are looked at besides the first convolution


def as_maps(output: Any) -> Tensor | None:
    """Return what a layer gives as maps (batch, channels, height, width); None if it is nothing of the kind.

    A vector is a map of one position. Tokens are the patches of a square, which other tokens may stand before. Images
    are square, so that channels are found where they stand last.

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
    """Call functions with the maps that layers give while a net runs once; the net is left as it was.

    Args:
        net: whose modules they are.
        calls: by the name of a module, what is called with its output, at once: later layers may overwrite it in place.
            A layer that runs several times counts the first time, one that gives no maps never.
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
    """Return the shape of the maps of every layer that has some, in the order in which they are done.

    Args:
        net: it runs once, in eval mode.
        image: (1, channels, size, size), as the net takes it; only its shape matters.

    Raises:
        LabsError: the net cannot take an image of this size.
    """
    shapes: dict[str, Shape] = {}

    def note(name: str, maps: Tensor) -> None:
        if len(maps) == 2:  # else not one an image: parts of images, or what all have in common
            shapes[name] = (maps.shape[1], maps.shape[2], maps.shape[3])

    names = [name for name, _ in net.named_modules() if name]
    with evaluating(net), torch.no_grad(), watching(net, {name: partial(note, name) for name in names}):
        try:
            net(image.repeat(2, 1, 1, 1))
        except (RuntimeError, AssertionError, ValueError) as error:
            size = "x".join(map(str, image.shape[-2:]))
            why = " ".join(str(error).split())[:120]
            raise LabsError(
                f"the net takes no images of {size} pixels ({why}); type another net.image_size."
            ) from error
    return shapes


def chosen_layers(
    net: nn.Module, shapes: Mapping[str, Shape], typed: Sequence[str] | None, classes: int, key: str = "module.layers"
) -> list[str]:
    """Return the layers that are looked at: those that were typed, or a few that tell much.

    By default those are the first convolution, and of up to three smaller sizes of maps, evenly spread to the smallest,
    the last layer; a whole block rather than a part of it. Where no maps are smaller, the last layer of the same size.

    Args:
        net: of whose modules they are.
        shapes: as `layer_shapes` returns them.
        typed: names of modules; None: the default.
        classes: of the net; maps of that many channels are those of its head.
        key: of the recipe; error messages name it.

    Raises:
        LabsError: there is no such layer, or it has no maps; names near ones.
    """
    for layer in typed or ():
        if layer not in shapes:
            known = layer in dict(net.named_modules())
            near = [name for name in shapes if name.startswith(f"{layer}.")][-3:] if known else []
            near = near or difflib.get_close_matches(layer, shapes, n=3) or _telling(net, shapes, classes)
            what = "gives no maps by itself" if known else "is no layer of the net"
            raise LabsError(f"{key}: {layer} {what}; type such as {', '.join(near)}.")
    chosen = list(dict.fromkeys(typed)) if typed else _telling(net, shapes, classes)
    if not chosen:
        raise LabsError(f"{key}: the net has no layer with maps to look at; type net.name=squeezenet1_1, say.")
    return chosen


def layer_field(graph: NetGraph, layer: str, shape: Shape) -> Field | None:
    """Return the receptive field of a layer's units; None where nobody knows.

    Args:
        graph: of the whole net.
        layer: the name of a module.
        shape: of its maps.
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
    """Return which pixels a unit at a place sees: left, top, right, bottom, the last two excluded.

    None where the units of the layer see no regular grid of windows.
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
