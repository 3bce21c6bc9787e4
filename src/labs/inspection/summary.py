"""The table of a net: shape, parameters, what trains, and the receptive field of every layer."""

from dataclasses import dataclass

from torch import nn
from torch.nn.modules.conv import _ConvNd

from labs import LabsError
from labs.inspection.graph import Op, trace_net
from labs.inspection.receptive_field import Field, receptive_fields
from labs.inspection.window import Pair


@dataclass(frozen=True)
class LayerRow:
    """One operation of a net.

    Attributes:
        name: Dotted name of the module or function; a second call of the same one ends in `#2`.
        type: Class of the module or name of the function; `Parameter` for a weight that no listed call holds.
        output_shape: Shape of the output without the batch axis.
        parameters: Number of parameters, counted at the first call.
        trainable_parameters: How many of them receive gradients.
        receptive_field: (height, width) of what one unit sees, in pixels of the image; None where unknown.
        jump: (height, width) between the fields of neighbouring units, in pixels; None where there is no such
            distance: after a flattening or a layer in which every unit sees the whole image.
    """

    name: str
    type: str
    output_shape: tuple[int, ...]
    parameters: int
    trainable_parameters: int
    receptive_field: Pair | None
    jump: Pair | None


@dataclass(frozen=True)
class NetSummary:
    """The rows of a net in the order they run, and the totals over its parameters.

    Attributes:
        net: Class of the net.
        image_size: (channels, height, width) of the image it was run on, in pixels.
        rows: One row an operation.
        convolution, linear, other: Parameters (weights and biases) by the kind of layer that holds them.
        total: All parameters; a parameter that two layers share counts once.
        trainable: Those that receive gradients.
        exact: False where the net could not be traced; receptive fields then assume a plain chain of layers.
    """

    net: str
    image_size: tuple[int, int, int]
    rows: tuple[LayerRow, ...]
    convolution: int
    linear: int
    other: int
    total: int
    trainable: int
    exact: bool

    def row(self, name: str) -> LayerRow:
        """Find a row by its name, such as `layer1.0.conv2`.

        Raises:
            LabsError: If no row has this name.
        """
        for row in self.rows:
            if row.name == name:
                return row
        names = ", ".join(row.name for row in self.rows)
        raise LabsError(f"{self.net} has no layer {name!r}; its layers are: {names}.")

    def to_text(self) -> str:
        """Write the table as aligned plain text, totals below."""
        header = ("layer", "type", "output", "parameters", "trainable", "receptive field", "jump")
        table = [header, *(self._cells(row) for row in self.rows)]
        widths = [max(len(line[i]) for line in table) for i in range(len(header))]
        sides = "<<>><>>"  # words to the left, numbers to the right
        lines = ["  ".join(f"{c:{s}{w}}" for c, s, w in zip(line, sides, widths)).rstrip() for line in table]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        frozen = self.total - self.trainable
        footer = [
            f"{self.convolution:,} in convolutions + {self.linear:,} in linear layers + {self.other:,} other"
            f" = {self.total:,} parameters",
            f"{self.trainable:,} trainable, {frozen:,} frozen",
            "Receptive field: pixels that one unit sees, height x width, padding included.",
            "Jump: pixels between the receptive fields of neighbours.",
        ]
        if not self.exact:
            footer.append("~ This net cannot be traced: receptive fields assume that its layers form a plain chain.")
        title = f"{self.net} on an image of {_by(self.image_size)} (channels x height x width)"
        return "\n".join([title, rule, lines[0], rule, *lines[1:], rule, *footer]) + "\n"

    def _cells(self, row: LayerRow) -> tuple[str, ...]:
        trainable = "-"
        if row.parameters:
            trainable = {0: "no", row.parameters: "yes"}.get(row.trainable_parameters, "partly")
        field = "?" if row.receptive_field is None else ("" if self.exact else "~") + _square(row.receptive_field)
        return (
            row.name,
            row.type,
            _by(row.output_shape),
            f"{row.parameters:,}" if row.parameters else "-",
            trainable,
            "-" if row.type == "Parameter" else field,
            "-" if row.jump is None else _square(row.jump),
        )


def summarize(net: nn.Module, image_size: tuple[int, int, int]) -> NetSummary:
    """Run a net once on a black image and describe each of its layers.

    Modes, gradients and random number generators are left as they were.

    Args:
        net: Any net that takes a batch of images.
        image_size: (channels, height, width), in pixels.

    Raises:
        LabsError: If the net cannot take an image of this size.
    """
    graph = trace_net(net, image_size)
    parameters = dict(net.named_parameters())
    left = {id(parameter): name for name, parameter in parameters.items()}
    rows = []
    for op, field in zip(graph.ops, receptive_fields(graph)):
        own = [p for p in op.module.parameters() if left.pop(id(p), None)] if op.module else []
        trained = sum(p.numel() for p in own if p.requires_grad)
        rows.append(_row(op, sum(p.numel() for p in own), trained, field))
    for name in left.values():  # held by the net itself, or by a layer that the forward pass did not call
        size, trained = parameters[name].numel(), parameters[name].requires_grad
        shape = tuple(parameters[name].shape)
        rows.append(LayerRow(name, "Parameter", shape, size, size if trained else 0, None, None))
    counts = {"convolution": 0, "linear": 0, "other": 0}
    for name, parameter in parameters.items():
        counts[_holder(net, name)] += parameter.numel()
    return NetSummary(
        net=type(net).__name__,
        image_size=image_size,
        rows=tuple(rows),
        **counts,
        total=sum(counts.values()),
        trainable=sum(p.numel() for p in parameters.values() if p.requires_grad),
        exact=graph.exact,
    )


def _row(op: Op, parameters: int, trainable: int, field: Field | None) -> LayerRow:
    extent = jump = None
    if field is not None:
        height, width = field
        extent = (height.extent, width.extent)
        jump = (height.jump, width.jump) if height.jump and width.jump else None
    return LayerRow(op.name, op.type, op.shape, parameters, trainable, extent, jump)


def _holder(net: nn.Module, parameter: str) -> str:
    # Not the module itself but the nearest layer above it: weight normalisation moves a weight into a child.
    path = parameter.split(".")[:-1]
    for depth in range(len(path), -1, -1):
        module = net.get_submodule(".".join(path[:depth]))
        if isinstance(module, _ConvNd):
            return "convolution"
        if isinstance(module, nn.Linear):
            return "linear"
    return "other"


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) if shape else "-"


def _square(pair: Pair) -> str:
    return str(pair[0]) if pair[0] == pair[1] else _by(pair)
