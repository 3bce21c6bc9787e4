"""The table of a net: shape, parameters, trainable parameters and receptive field of every layer."""

from dataclasses import dataclass

from torch import nn
from torch.nn.modules.conv import _ConvNd

from labs import LabsError
from labs.inspection.graph import trace_net
from labs.inspection.op_text import by, square
from labs.inspection.receptive_field import receptive_fields
from labs.inspection.window import Pair


@dataclass(frozen=True)
class LayerRow:
    """One operation of a net; receptive fields and jumps are (height, width) in pixels of the image."""

    name: str  # dotted name of the module or function; a second call of the same one ends in `#2`
    type: str  # class of the module or name of the function; `Parameter` for a weight outside all listed calls
    inputs: int | None  # input channels of a convolution, input features of a linear layer, else None
    output_shape: tuple[int, ...]  # without the batch axis
    parameters: int  # number of parameters, counted at the first call
    trainable_parameters: int  # number of them that receive gradients
    receptive_field: Pair | None  # of one unit; None if unknown
    jump: Pair | None  # between the fields of neighbors; None after flattening, or if all see the whole image


@dataclass(frozen=True)
class NetSummary:
    """The rows of a net in the order in which they run, and the totals of its parameters."""

    net: str  # its class
    image_size: tuple[int, int, int]  # (channels, height, width) of the image it was run on, in pixels
    rows: tuple[LayerRow, ...]  # one row per operation
    convolution: int  # number of parameters (weights and biases) in convolutions, and so on
    linear: int
    other: int
    total: int  # of all parameters; one that two layers share counts once
    trainable: int  # those that receive gradients
    exact: bool  # False if the net could not be traced; receptive fields then assume a chain of layers

    def row(self, name: str) -> LayerRow:
        """Find a row by its name, such as `layer1.0.conv2`.

        Raises:
            LabsError: If no row has this name.
        """
        rows = {row.name: row for row in self.rows}
        if name not in rows:
            raise LabsError(f"{self.net} has no layer {name!r}; its layers are: {', '.join(rows)}.")
        return rows[name]

    def to_text(self) -> str:
        """Format the table as aligned plain text, with totals below."""
        header = ("layer", "type", "input", "output", "parameters", "share", "trainable", "receptive field", "jump")
        table = [header, *(self._cells(row) for row in self.rows)]
        widths = [max(len(line[i]) for line in table) for i in range(len(header))]
        sides = "<<>>>><>>"  # words to the left, numbers to the right
        lines = ["  ".join(f"{c:{s}{w}}" for c, s, w in zip(line, sides, widths)).rstrip() for line in table]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        frozen = self.total - self.trainable
        kinds = {"in convolutions": self.convolution, "in linear layers": self.linear, "other": self.other}
        parts = " + ".join(f"{count:,} {kind} ({self._share(count)})" for kind, count in kinds.items())
        ratio = f"; convolutions / linear layers = {self.convolution / self.linear:.4g}" if self.linear else ""
        footer = [
            f"{parts} = {self.total:,} parameters{ratio}",
            f"{self.trainable:,} trainable, {frozen:,} frozen",
            "Receptive field: pixels that one unit sees, height x width, padding included.",
            "Jump: pixels between the receptive fields of neighbors.",
        ]
        if any(row.receptive_field is None and row.type != "Parameter" for row in self.rows):
            footer.append("?: unknown, after attention or another operation that is not a window on its input.")
        if not self.exact:
            footer.append("~: this net cannot be traced; receptive fields assume that its layers form a chain.")
        title = f"{self.net} on an image of {by(self.image_size, 'x')} (channels x height x width)"
        return "\n".join([title, rule, lines[0], rule, *lines[1:], rule, *footer]) + "\n"

    def _share(self, count: int) -> str:
        return f"{count / max(self.total, 1):.1%}"

    def _cells(self, row: LayerRow) -> tuple[str, ...]:
        trainable = "-"
        if row.parameters:
            trainable = {0: "no", row.parameters: "yes"}.get(row.trainable_parameters, "partly")
        field = "?" if row.receptive_field is None else ("" if self.exact else "~") + square(row.receptive_field, "x")
        return (
            row.name,
            row.type,
            "-" if row.inputs is None else f"{row.inputs:,}",
            by(row.output_shape, "x") or "-",
            f"{row.parameters:,}" if row.parameters else "-",
            self._share(row.parameters) if row.parameters else "-",
            trainable,
            "-" if row.type == "Parameter" else field,
            "-" if row.jump is None else square(row.jump, "x"),
        )


def summarize(net: nn.Module, image_size: tuple[int, int, int]) -> NetSummary:
    """Run a net once on a black image and describe each of its layers.

    Modes, gradients and random number generators do not change.

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
        extent = jump = None
        if field is not None:
            height, width = field
            extent = (height.extent, width.extent)
            jump = (height.jump, width.jump) if height.jump and width.jump else None
        total = sum(p.numel() for p in own)
        inputs = getattr(op.module, "in_channels", getattr(op.module, "in_features", None))
        rows.append(LayerRow(op.name, op.type, inputs, op.shape, total, trained, extent, jump))
    for name in left.values():  # parameters of the net itself, or of a layer that the forward pass did not call
        left_over, size = parameters[name], parameters[name].numel()
        trained = size if left_over.requires_grad else 0
        rows.append(LayerRow(name, "Parameter", None, tuple(left_over.shape), size, trained, None, None))
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


def _holder(net: nn.Module, parameter: str) -> str:
    # Not the module itself but the nearest layer above it: weight normalization moves a weight into a child.
    path = parameter.split(".")[:-1]
    for depth in range(len(path), -1, -1):
        module = net.get_submodule(".".join(path[:depth]))
        if isinstance(module, _ConvNd):
            return "convolution"
        if isinstance(module, nn.Linear):
            return "linear"
    return "other"
