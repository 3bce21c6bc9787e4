"""Cut a net in two: a prefix whose output for an image never changes during training, and the rest.

The net is cut at a single value, such as the output of a residual block, on which everything after it depends. Applying
the two parts one after the other is therefore the same as applying the net. They share its modules and parameters.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils.flop_counter import FlopCounterMode

from labs.inspection.graph import DETERMINISTIC_FUNCTIONS, symbolic_trace
from labs.nets.eval_mode import evaluating

# Layers whose output is a function of input and parameters. Subclasses do not count, because they may do more.
_ALWAYS = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, nn.Flatten, nn.Identity),
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.Softplus),
    *(nn.Hardsigmoid, nn.Hardtanh, nn.Mish, nn.Softmax, nn.Softmax2d),
    *(nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.ZeroPad2d, nn.ReflectionPad2d),
    *(nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm),
)
_IN_EVAL_MODE = (nn.BatchNorm1d, nn.BatchNorm2d, nn.Dropout, nn.Dropout2d, nn.AlphaDropout)
_LIBRARIES = ("timm.layers.",)  # whose subclasses of these layers are known to do no more


@dataclass(frozen=True)
class Cut:
    """A place where a net can be cut."""

    name: str  # of the part of the net that ends there, such as `layer2`
    shape: tuple[int, ...]  # of the features at the cut, without the batch axis
    dtype: torch.dtype  # of the features
    flops: int  # floating-point operations up to the cut for one image
    net: fx.GraphModule  # the operations of the whole net
    last: int  # position of the last operation before the cut

    @property
    def bytes(self) -> int:
        """Bytes of the features of one image."""
        return torch.Size(self.shape).numel() * self.dtype.itemsize

    def parts(self) -> tuple[fx.GraphModule, fx.GraphModule]:
        """Return the prefix, from images to features, and the suffix, from features to the net's output."""
        nodes = list(self.net.graph.nodes)
        before, after = fx.Graph(), fx.Graph()
        copied: dict[fx.Node, fx.Node] = {}
        for node in nodes[: self.last + 1]:
            copied[node] = before.node_copy(node, lambda n: copied[n])
        before.output(copied[nodes[self.last]])
        copied = {nodes[self.last]: after.placeholder("features")}
        for node in nodes[self.last + 1 :]:
            copied[node] = after.node_copy(node, lambda n: copied[n])
        return fx.GraphModule(self.net, before, "Prefix"), fx.GraphModule(self.net, after, "Suffix")


class CannotCutError(ValueError):
    """Raised if a net has no fixed prefix; the message gives the first reason, in words for the user."""


def fixed_cuts(net: nn.Module, image: Tensor, changing: Callable[[str], bool]) -> tuple[list[Cut], str]:
    """Find the places where a net can be cut after a prefix that never changes, and what ends that prefix.

    Args:
        net: The net, with its layers in the modes (training, eval) that they have during training.
        image: One normalized image (1, channels, height, width), on the net's device; only its shape matters.
        changing: Returns whether a parameter with a given name will change.

    Returns:
        The cuts, from the input to the output, and a description of what changes after the last one.

    Raises:
        CannotCutError: If there is no such place.
    """
    traced = _trace(net)
    nodes = [node for node in traced.graph.nodes if node.op != "output"]
    fixed, blocker = _fixed(traced, nodes, changing)
    places = [n for n in range(1, fixed) if _is_border(nodes, n)]
    if not places:
        raise CannotCutError(blocker or f"{type(net).__name__} cannot be cut at a single layer.")
    meter = _Meter(traced)
    with torch.no_grad(), evaluating(net), meter.counter:
        meter.run(image)
    return [Cut(_name(nodes, n), *meter.seen[nodes[n]], traced, n) for n in places if nodes[n] in meter.seen], blocker


def resume_from(net: nn.Module, cut: Cut) -> None:
    """Let a net accept the features at a cut in place of images; images still go through the whole net."""
    whole_again(net)
    _, suffix = cut.parts()
    whole = net.forward

    def forward(values: Tensor) -> Any:
        return suffix(values) if tuple(values.shape[1:]) == cut.shape else whole(values)

    net.forward = forward


def whole_again(net: nn.Module) -> None:
    """Undo `resume_from`."""
    net.__dict__.pop("forward", None)


class _Meter(fx.Interpreter):
    """Run a net and record, for every operation, the output's shape and type and the FLOPs counted so far."""

    def __init__(self, net: fx.GraphModule) -> None:
        super().__init__(net, garbage_collect_values=False)
        self.counter = FlopCounterMode(display=False)
        self.seen: dict[fx.Node, tuple[tuple[int, ...], torch.dtype, int]] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.seen[n] = (tuple(value.shape[1:]), value.dtype, self.counter.get_total_flops())
        return value


def _trace(net: nn.Module) -> fx.GraphModule:
    """Trace a net, and check that its operations are the same in training and evaluation mode."""
    try:
        traced = symbolic_trace(net)
        with evaluating(net):
            in_evaluation = symbolic_trace(net).code
    except Exception as error:  # a trace runs the net's own code with proxies for tensors, and can fail in any way
        why = f"the operations of {type(net).__name__} depend on its data ({type(error).__name__})."
        raise CannotCutError(why) from None
    if traced.code != in_evaluation:
        raise CannotCutError(f"{type(net).__name__} does not run the same operations in training and in evaluation.")
    return traced


def _fixed(net: fx.GraphModule, nodes: list[fx.Node], changing: Callable[[str], bool]) -> tuple[int, str]:
    """Return how many operations from the first on never change, and the reason why the next one does."""
    reasons = ((position, _why_it_changes(net, node, changing)) for position, node in enumerate(nodes))
    return next(((position, why) for position, why in reasons if why), (len(nodes), ""))


def _why_it_changes(net: fx.GraphModule, node: fx.Node, changing: Callable[[str], bool]) -> str:
    if node.op == "placeholder":
        return ""
    target = str(node.target)
    if node.op == "get_attr":
        return f"{target} is trainable." if target in dict(net.named_parameters()) and changing(target) else ""
    if node.op == "call_module":
        module = net.get_submodule(target)
        trains = [name for name, _ in module.named_parameters(prefix=target) if changing(name)]
        if trains:
            return f"{trains[0]} is trainable."
        kinds = [type(module), *(type(module).__mro__ if type(module).__module__.startswith(_LIBRARIES) else ())]
        forgets = getattr(module, "running_mean", "") is None  # batch norm that uses batch statistics even in eval mode
        if set(kinds) & set(_IN_EVAL_MODE) and not forgets:
            kind = "batch norm" if "Norm" in type(module).__name__ else "dropout"
            hint = "; freeze.batch_norm=eval would keep its statistics" if kind == "batch norm" else ""
            training = getattr(module, "p", 1) and any(part.training for part in module.modules())
            return f"{kind} is in train mode ({target}{hint})." if training else ""
        if set(kinds) & set(_ALWAYS) and not module._forward_pre_hooks:
            return ""
        return f"the output of {target} ({type(module).__name__}) may change."
    name = target if node.op == "call_method" else getattr(node.target, "__name__", target)
    draws = name == "scaled_dot_product_attention" and (node.kwargs.get("dropout_p") or len(node.args) > 4)
    return "" if name in DETERMINISTIC_FUNCTIONS and not draws else f"the output of {name} may change."


def _is_border(nodes: list[fx.Node], last: int) -> bool:
    """Return whether all later operations depend on the value at `last` alone."""
    place = {node: n for n, node in enumerate(nodes)}
    crossing = {source for node in nodes[last + 1 :] for source in node.all_input_nodes if place[source] <= last}
    returned = any(user not in place for node in nodes[: last + 1] for user in node.users)
    return crossing == {nodes[last]} and not returned


def _name(nodes: list[fx.Node], last: int) -> str:
    """Name the largest part of the net that ends with an operation: `layer1` rather than `layer1.1.relu`."""
    module = next((node for node in reversed(nodes[: last + 1]) if node.op == "call_module"), nodes[last])
    later = [f"{node.target}." for node in nodes[last + 1 :] if node.op == "call_module"]
    whole = accumulate(str(module.target).split("."), "{}.{}".format)
    return next((n for n in whole if not any(target.startswith(f"{n}.") for target in later)), nodes[last].name)
