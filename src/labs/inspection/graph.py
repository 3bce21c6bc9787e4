"""The operations of a net in the order in which they run, for the summary and the picture."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from labs import LabsError
from labs.inspection.window import Window, function_window, module_window
from labs.nets.eval_mode import evaluating

# The kind of an operation, which sets its color in the picture, by the name of the function or method.
_FUNCTION_KINDS = {
    "convolution": ("conv2d", "conv_transpose2d"),
    "normalization": ("batch_norm", "group_norm", "layer_norm", "instance_norm", "local_response_norm"),
    "activation": (
        *("relu", "relu_", "relu6", "leaky_relu", "elu", "gelu", "silu", "mish", "sigmoid", "tanh"),
        *("hardswish", "hardsigmoid", "hardtanh", "softplus", "softmax", "log_softmax"),
    ),
    "pooling": ("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "mean"),
    "linear": ("linear",),
    "join": ("add", "iadd", "add_", "sub", "mul", "mul_", "imul", "cat", "concat"),
    "dropout": ("dropout", "dropout_", "dropout1d", "dropout2d", "feature_dropout", "stochastic_depth"),
    "reshape": ("flatten", "view", "reshape", "squeeze"),
}
_KINDS_BY_FILE = {  # and by the file of `torch.nn` that defines the module
    **{kind: kind for kind in ("linear", "pooling", "dropout", "activation")},
    **dict.fromkeys(("batchnorm", "instancenorm", "normalization"), "normalization"),
    "conv": "convolution",
    "flatten": "reshape",
}
# Layers of which a library may have its own version, such as batch norm with an activation.
LAYERS = (_ConvNd, _BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.Linear)
# Functions and methods whose result depends on their arguments alone, whatever the mode of the net.
DETERMINISTIC_FUNCTIONS = {
    *(name for kind, names in _FUNCTION_KINDS.items() if kind not in ("normalization", "dropout") for name in names),
    *("layer_norm", "group_norm", "local_response_norm", "getitem", "getattr", "size", "truediv", "matmul", "pad"),
    *("permute", "transpose", "unbind", "expand", "contiguous", "chunk", "split", "floordiv", "eq", "_assert"),
    "scaled_dot_product_attention",
}


@dataclass(frozen=True)
class Op:
    """One operation of a net.

    Its name is the dotted name of the module or, for a function, that of the calling module and the function. Repeated
    calls end in `#2`, `#3`, ...
    """

    name: str
    kind: str  # `input`, a key of `_FUNCTION_KINDS`, or `other`
    type: str  # class of the module (`Conv2d`) or name of the function (`add`)
    module: nn.Module | None  # None for a function
    shape: tuple[int, ...]  # of the output, without the batch axis
    inputs: tuple[int, ...]  # positions of the operations whose outputs this one takes
    window: Window | None = None  # of a two-dimensional convolution, pooling or padding


@dataclass(frozen=True)
class NetGraph:
    """The operations of a net; `exact` is False if only the order of the calls is known, not the edges."""

    ops: tuple[Op, ...]
    exact: bool


def trace_net(net: nn.Module, image_size: tuple[int, int, int]) -> NetGraph:
    """List the operations that turn one image into the output of the net.

    The edges come from a symbolic trace (`torch.fx`). A net that cannot be traced, such as one that branches on its
    data, is run with forward hooks instead; its modules then form a chain in the order of their calls. The net runs
    once on a black image in evaluation mode. Its modes, gradients and buffers and the random number generators do not
    change.

    Args:
        net: The net; it stays on its device and in its dtype.
        image_size: (channels, height, width), in pixels.

    Raises:
        LabsError: If the net cannot take an image of this size.
    """
    gpus = {p.device for p in net.parameters() if p.device.type == "cuda"}
    with evaluating(net), torch.no_grad(), torch.random.fork_rng(devices=gpus):
        images = _black_image(net, image_size)
        try:
            # A trace runs the code of the net with proxies for tensors, and can fail in any way.
            recorder = _Recorder(symbolic_trace(net))
            recorder.run(images)
            return NetGraph(tuple(recorder.ops), exact=True)
        except Exception:
            return NetGraph(tuple(_ops_by_hooks(net, images)), exact=False)


def symbolic_trace(net: nn.Module) -> fx.GraphModule:
    """Trace the operations of a net; a library's own version of a PyTorch layer counts as one operation."""
    tracer = _Tracer()
    graph = tracer.trace(net)
    return fx.GraphModule(tracer.root, graph, type(net).__name__)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, LAYERS) or super().is_leaf_module(m, module_qualified_name)


def is_leaf(module: nn.Module) -> bool:
    """Return whether a module counts as one operation: PyTorch's layers and modules without children do."""
    containers = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
    own = type(module).__module__.startswith("torch.nn") and not isinstance(module, containers)
    return own or isinstance(module, LAYERS) or not any(True for _ in module.children())


class _Recorder(fx.Interpreter):
    """Run a traced net and record every operation that depends on the image."""

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.ops: list[Op] = []
        self._position: dict[fx.Node, int] = {}
        self._calls: Counter[str] = Counter()

    def run_node(self, n: fx.Node) -> Any:
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        result = super().run_node(n)
        inputs = tuple(dict.fromkeys(self._position[i] for i in n.all_input_nodes if i in self._position))
        shape = _shape(result)
        # Sizes, constants and the net's own weights are not operations on the image.
        if n.op == "output" or shape is None or not (inputs or n.op == "placeholder"):
            return result
        if n.op == "placeholder":
            op = Op("input", "input", "input", None, shape, ())
        elif n.op == "call_module":
            module = self.module.get_submodule(str(n.target))
            op = _module_op(str(n.target), module, shape, inputs)
        else:
            function = n.target if isinstance(n.target, str) else getattr(n.target, "__name__", str(n.target))
            scope = [entry[0] for entry in n.meta.get("nn_module_stack", {}).values() if entry[0]]
            name = ".".join([*scope[-1:], function])
            window = function_window(function, args, kwargs)
            kind = next((kind for kind, names in _FUNCTION_KINDS.items() if function in names), "other")
            op = Op(name, kind, function, None, shape, inputs, window)
        self._position[n] = len(self.ops)
        self.ops.append(_numbered(op, self._calls))
        return result


def _ops_by_hooks(net: nn.Module, images: Tensor) -> list[Op]:
    ops = [Op("input", "input", "input", None, tuple(images.shape[1:]), ())]
    calls, handles = Counter[str](), []

    def listen(name: str, module: nn.Module) -> None:
        def write_down(module: nn.Module, _: Any, output: Any) -> None:
            shape = _shape(output)
            if shape is not None:
                ops.append(_numbered(_module_op(name, module, shape, (len(ops) - 1,)), calls))

        if is_leaf(module):
            handles.append(module.register_forward_hook(write_down))
        else:
            for child_name, child in module.named_children():
                listen(f"{name}.{child_name}" if name else child_name, child)

    listen("", net)
    try:
        net(images)
    except Exception as error:
        size = "x".join(map(str, images.shape[1:]))
        raise LabsError(
            f"{type(net).__name__} does not accept an image of {size} (channels x height x width): {error}\n"
            "Type a larger image, such as datamodule.image_size=64, or another number of channels."
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    return ops


def _numbered(op: Op, calls: Counter[str]) -> Op:
    calls[op.name] += 1
    return op if calls[op.name] == 1 else replace(op, name=f"{op.name}#{calls[op.name]}")


def _module_op(name: str, module: nn.Module, shape: tuple[int, ...], inputs: tuple[int, ...]) -> Op:
    kind = _module_kind(module)
    return Op(name or "net", kind, type(module).__name__, module, shape, inputs, module_window(module))


def _module_kind(module: nn.Module) -> str:
    if isinstance(module, nn.MultiheadAttention | nn.Identity):
        return "other"
    files = {cls.__module__.rpartition(".")[2] for cls in type(module).__mro__ if "torch.nn" in cls.__module__}
    return next((kind for file, kind in _KINDS_BY_FILE.items() if file in files), "other")


def _shape(result: Any) -> tuple[int, ...] | None:
    first = result[0] if isinstance(result, tuple | list) and result else result
    return tuple(first.shape[1:]) if isinstance(first, Tensor) else None


def _black_image(net: nn.Module, image_size: tuple[int, int, int]) -> Tensor:
    if len(image_size) != 3 or min(image_size) < 1:
        raise LabsError(f"image_size must be (channels, height, width), all at least 1; found {image_size!r}.")
    weight = next((p for p in net.parameters() if p.is_floating_point()), torch.empty(0))
    return torch.zeros(1, *image_size, device=weight.device, dtype=weight.dtype)
