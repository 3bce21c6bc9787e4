"""Feature vectors of length one from chosen layers of nets, with a linear head.

The output of a layer is flattened, or averaged over its positions, and divided by its Euclidean norm. The vectors of
several layers, possibly from several nets, are concatenated.
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

TIMM = "timm/"  # prefix of the names of timm nets
KEY = "net.layers"


class LayerVectors(nn.Module):
    """A linear head on the outputs of chosen layers of trained nets.

    Args:
        layers: Names such as `vgg16/classifier.4`: a net, as in `labs.nets.torchvision_nets.build_net` or `timm/` and a
            timm name, and one of its modules before the head.
        num_classes: Number of outputs of the head.
        image_size: Height and width of the images, in pixels.
        pooling: `flatten` keeps all positions of the maps, `average` takes their mean.
        weights: Weights of the nets, as in `build_net`; `seed` determines random ones.
        seed: Seed of random weights.
        weights_folder: Folder of the ImageNet weight files, also for downloads.

    Raises:
        LabsError: If a net or layer is unknown (the message lists similar ones), or if weights are missing or do not
            fit.
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
            raise LabsError(f"{KEY}=[]: expected at least one net and module, such as [vgg16/classifier.4].")
        if len(set(layers)) < len(layers):
            raise LabsError(f"{KEY}=[{','.join(layers)}]: a layer is listed twice; leave one out.")
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
        """Number of features of an image."""
        return sum(self.widths)

    def forward(self, images: Tensor) -> Tensor:
        """Return scores (batch, num_classes) for normalized images (batch, 3, image_size, image_size)."""
        return self.head(unit_rows([part(images) for part in self.parts]))


class _Vectors(nn.Module):
    """A net up to a layer, with one output vector per image."""

    def __init__(self, net: nn.Module, pooling: str) -> None:
        super().__init__()
        self.net, self.average = net, pooling == "average"

    def forward(self, images: Tensor) -> Tensor:
        values: Tensor = self.net(images)
        if self.average and values.dim() == 4:
            values = values.mean((2, 3))
        return values.flatten(1)


def unit_rows(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate parts into rows of length one, with equal weight for each part; a row of zeros stays zero.

    Examples:
        >>> unit_rows([torch.tensor([[3.0, 4.0]])])
        tensor([[0.6000, 0.8000]])
    """
    rows = [F.normalize(part, dim=1) for part in parts]
    return rows[0] if len(rows) == 1 else torch.cat(rows, dim=1) / len(rows) ** 0.5


def _built(word: str, image_size: int, weights: str, weights_folder: str | None, seed: int) -> tuple[nn.Module, str]:
    """Build the net of a name such as `vgg16/classifier.4`, and return it with the name of the layer."""
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
            from labs.nets.timm_nets import build_net as build_of_timm  # slow to import, so only where it is used

            return build_of_timm(name=name.removeprefix(TIMM), **options), layer
        return build_net(name=name, **options), layer


def _cut(net: nn.Module, layer: str, word: str) -> fx.GraphModule:
    """Return a net up to a layer; later layers are removed.

    Raises:
        LabsError: If the net has no such layer, or if the layer is the untrained head.
    """
    modules = [name for name, _ in net.named_modules() if name]
    head = head_name(net)
    if layer not in modules:
        near = difflib.get_close_matches(layer, modules, n=3)
        near = near or [name for name in modules if "." not in name]
        raise LabsError(f"{KEY}: {word}: the net has no such layer; type for example {', '.join(near)}.")
    if layer == head or head.startswith(f"{layer}."):
        raise LabsError(f"{KEY}: {word}: {head} is the untrained head of the net; type an earlier layer.")
    try:
        with evaluating(net):
            traced = symbolic_trace(net.eval())
    except Exception as error:
        raise LabsError(f"{KEY}: {word}: the net depends on its data and cannot be cut; type another net.") from error
    nodes = [node for node in traced.graph.nodes if node.op not in ("placeholder", "output", "get_attr")]
    own = [node for node in nodes if node.op == "call_module" and node.target == layer][:1]  # it may run again later
    inside = [node for node in nodes if layer in _scopes(node)]
    heads = [place for place, node in enumerate(nodes) if node.target == head]
    last = (own or inside[-1:] or [None])[0]
    if last is None:
        raise LabsError(f"{KEY}: {word}: this layer is never called; type the layer that contains it.")
    if heads and nodes.index(last) > heads[0]:
        raise LabsError(f"{KEY}: {word}: the layer comes after the untrained head {head}; type an earlier layer.")
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
    """Return the names of the modules whose code contains an operation."""
    return {str(entry[0]) for entry in node.meta.get("nn_module_stack", {}).values()}
