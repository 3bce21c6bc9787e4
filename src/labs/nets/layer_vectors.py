"""Vectors of named layers of nets, of length one, under a linear head: what a linear classifier learns from.

What a layer gives for an image is flattened, or averaged over its places, and divided by its length. Several layers,
also of several nets, stand side by side.
"""

import difflib
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from labs import LabsError
from labs.inspection.graph import symbolic_trace
from labs.nets.eval_mode import evaluating
from labs.nets.torchvision_nets import build_net, head_name

TIMM = "timm/"  # before the name of a net of timm
KEY = "net.layers"


class LayerVectors(nn.Module):
    """A linear head on what chosen layers of trained nets give.

    Args:
        layers: words such as `vgg16/classifier.4`: a net, as in `labs.nets.torchvision_nets.build_net` or `timm/` and a
            name of timm, and the name of one of its modules, before the head.
        num_classes: of the head.
        image_size: pixels, height and width of the images.
        pooling: `flatten` keeps the values at all places of maps, `average` their mean.
        weights: of the nets, as in `build_net`; random ones are drawn by `seed`.
        seed: of random weights.
        weights_folder: where ImageNet's weight files lie or are downloaded to.

    Raises:
        LabsError: an unknown net or layer, the message names near ones; or weights that are missing or do not fit.
    """

    def __init__(
        self,
        *,
        layers: Sequence[str],
        num_classes: int,
        image_size: int,
        pooling: str = "flatten",
        weights: str = "random",
        seed: int = 0,
        weights_folder: str | None = None,
    ) -> None:
        super().__init__()
        if pooling not in ("flatten", "average"):
            raise LabsError(f"net.pooling={pooling}: expected flatten or average.")
        if not layers:
            raise LabsError(f"{KEY}=[]: which layer? Type a net and a module of it, such as [vgg16/classifier.4].")
        if len(set(layers)) < len(layers):
            raise LabsError(f"{KEY}=[{','.join(layers)}]: a layer is there twice; leave one out.")
        self.layers = list(layers)
        self.parts = nn.ModuleList()
        images = torch.zeros(2, 3, image_size, image_size)
        for word in layers:
            net, layer = _built(word, image_size, weights, weights_folder, seed)
            self.parts.append(_Vectors(_cut(net, layer, word), pooling))
        with evaluating(self.parts), torch.no_grad():
            self.widths = [part(images).shape[1] for part in self.parts]
        self.labels = [f"features of {' and '.join(layers)}", *(["random weights"] if weights == "random" else [])]
        self.head_name = "head"
        self.head = nn.Linear(self.width, num_classes)

    @property
    def width(self) -> int:
        """How many features an image has."""
        return sum(self.widths)

    def forward(self, images: Tensor) -> Tensor:
        """Return (batch, num_classes) of images (batch, 3, image_size, image_size), normalized."""
        return self.head(unit_rows([part(images) for part in self.parts]))


class _Vectors(nn.Module):
    """A net up to a layer, whose values become one vector an image."""

    def __init__(self, net: nn.Module, pooling: str) -> None:
        super().__init__()
        self.net, self.average = net, pooling == "average"

    def forward(self, images: Tensor) -> Tensor:
        values: Tensor = self.net(images)
        if self.average and values.dim() == 4:
            values = values.mean((2, 3))
        return values.flatten(1)


def unit_rows(parts: Sequence[Tensor]) -> Tensor:
    """Return rows of length one: each part counts alike, and a row of zeros stays one.

    Examples:
        >>> unit_rows([torch.tensor([[3.0, 4.0]])])
        tensor([[0.6000, 0.8000]])
    """
    rows = [F.normalize(part, dim=1) for part in parts]
    return rows[0] if len(rows) == 1 else torch.cat(rows, dim=1) / len(rows) ** 0.5


def _built(word: str, image_size: int, weights: str, weights_folder: str | None, seed: int) -> tuple[nn.Module, str]:
    """Build the net of a word, and return it with the name of the layer."""
    name, slash, layer = word.rpartition("/")
    if not slash or not name or not layer:
        raise LabsError(f"{KEY}: {word}: expected a net and a module of it, such as vgg16/classifier.4.")
    options: dict[str, Any] = {
        "num_classes": 2,
        "weights": weights,
        "image_size": image_size,
        "weights_folder": weights_folder,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name.startswith(TIMM):
            from labs.nets.timm_nets import build_net as build_of_timm  # only a run that needs it waits for the import

            return build_of_timm(name=name.removeprefix(TIMM), **options), layer
        return build_net(name=name, **options), layer


def _cut(net: nn.Module, layer: str, word: str) -> fx.GraphModule:
    """Return a net as far as a layer; what comes later is thrown away.

    Raises:
        LabsError: it has no such layer, or the layer is its head, which is new.
    """
    modules = [name for name, _ in net.named_modules() if name]
    head = head_name(net)
    if layer not in modules:
        near = difflib.get_close_matches(layer, modules, n=3)
        near = near or [name for name in modules if "." not in name]
        raise LabsError(f"{KEY}: {word}: the net has no such layer; type such as {', '.join(near)}.")
    if layer == head or head.startswith(f"{layer}."):
        raise LabsError(f"{KEY}: {word}: {head} is the head of the net, which is new; type an earlier layer.")
    try:
        with evaluating(net):
            traced = symbolic_trace(net.eval())
    except Exception as error:
        raise LabsError(f"{KEY}: {word}: the net branches on its data, and cannot be cut; type another net.") from error
    nodes = [node for node in traced.graph.nodes if node.op not in ("placeholder", "output", "get_attr")]
    own = [node for node in nodes if node.op == "call_module" and node.target == layer][:1]  # it may run again later
    inside = [node for node in nodes if layer in _scopes(node)]
    heads = [place for place, node in enumerate(nodes) if node.target == head]
    last = (own or inside[-1:] or [None])[0]
    if last is None:
        raise LabsError(f"{KEY}: {word}: this layer does not run by itself; type the one that it is in.")
    if heads and nodes.index(last) > heads[0]:
        raise LabsError(f"{KEY}: {word}: the layer comes after the head {head}, which is new; type an earlier one.")
    traced.graph.erase_node(next(node for node in traced.graph.nodes if node.op == "output"))
    for node in reversed(list(traced.graph.nodes)):
        if node is last:
            break
        traced.graph.erase_node(node)
    traced.graph.output(last)
    traced.graph.eliminate_dead_code()
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def _scopes(node: fx.Node) -> set[str]:
    """Return the names of the modules in whose code an operation stands."""
    return {str(entry[0]) for entry in node.meta.get("nn_module_stack", {}).values()}
