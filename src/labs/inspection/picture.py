"""A picture of the architecture of any net, drawn with Matplotlib."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path as Line
from matplotlib.patheffects import withStroke
from torch import nn

from labs.drawing.figures import Figure
from labs.inspection.geometry import HEAD, HEIGHT, LEFT_MARGIN, ROW, WIDTH, Sheet, new_sheet
from labs.inspection.graph import NetGraph, Op, trace_net
from labs.inspection.op_text import by, describe
from labs.inspection.placement import Box, place_boxes

COLORS = {
    "input": "#ffffff",
    "convolution": "#a6cbe8",
    "normalization": "#c5e3bf",
    "activation": "#fbd3a0",
    "pooling": "#d5c9e6",
    "linear": "#f2b5ad",
    "join": "#f7e58f",
    "dropout": "#e0d3bd",
    "reshape": "#e3e5e8",
    "other": "#f2f2f2",
}
_TIMES = " \N{MULTIPLICATION SIGN} "
_INK, _PALE, _LINE, _SKIP = "#20252b", "#59626b", "#7b848d", "#c0561f"


def draw_architecture(
    net: nn.Module, image_size: tuple[int, int, int], path: Path, *, title: str = "", dpi: int = 150
) -> None:
    """Draw the layers of a net and their connections into a PNG file.

    A box shows a layer together with the batch norm, activation and dropout that follow it, its name and its output
    shape. Shortcuts are arcs on the left, branches are on the right, and frozen layers are hatched. A net that cannot
    be traced is drawn as a chain of its modules in the order of their calls, with a note in the picture.

    Args:
        net: Any net that takes a batch of images.
        image_size: (channels, height, width), in pixels.
        path: File to write; its folder is created if needed.
        title: Heading; the class of the net by default.
        dpi: Dots per inch.

    Raises:
        LabsError: If the net does not accept an image of this size.
    """
    graph = trace_net(net, image_size)
    boxes = place_boxes(graph, shape=0.95 * ROW / (WIDTH + 0.8))
    sheet = new_sheet(boxes)
    width, height = sheet.size
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white")
    ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    ax.set(xlim=(0, width), ylim=(height, 0))
    ax.axis("off")
    for target, box in enumerate(boxes):
        _draw_edges(ax, sheet, target, graph)
        _draw_box(ax, sheet, box, graph)
    _draw_heading(ax, title or type(net).__name__, net, image_size, graph)
    _draw_legend(ax, sheet, graph)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.write(path, dpi=min(dpi, 16000 / max(width, height)))


def _draw_edges(ax: Axes, sheet: Sheet, target_index: int, graph: NetGraph) -> None:
    target = sheet.boxes[target_index]
    far = []
    for source_index in target.inputs:
        source, step = sheet.boxes[source_index], sheet.arcs.get((source_index, target.column))
        if sheet.is_far(source, target):
            far.append(graph.ops[source.ops[-1]].name)
        elif source.column != target.column:
            _draw_entry(ax, sheet, source, target, step)
        elif sheet.is_shortcut(source, target) and step is not None:
            x, left = sheet.arc(target, step), sheet.x(target)
            leave, enter = sheet.y(source) + 0.7 * HEIGHT, sheet.y(target) + 0.3 * HEIGHT
            _arrow(ax, [(left, leave), (x, leave), (x, enter), (left, enter)], _SKIP)
        else:
            _draw_step(ax, sheet, source, target)
    if far:  # lines across columns would cross other boxes, so their sources are named instead
        text = f"+ {far[0]}" if len(far) == 1 else f"+ {len(far)} outputs of earlier columns"
        place = (sheet.x(target) + 0.05, sheet.y(target) - 0.04)
        ax.text(*place, text, size=5.5, color=_SKIP, va="bottom", style="italic")


def _draw_step(ax: Axes, sheet: Sheet, source: Box, target: Box) -> None:
    """Draw a line within a column: straight down, into a branch, or back from one."""
    x_from, x_to, top = sheet.center(source), sheet.center(target), sheet.y(target)
    bottom = sheet.y(source) + HEIGHT
    if target.lane < source.lane:
        middle = top + HEIGHT / 2
        _arrow(ax, [(x_from, bottom), (x_from, middle), (sheet.x(target) + WIDTH, middle)])
    elif target.lane > source.lane:
        fork = bottom + (ROW - HEIGHT) / 2
        _arrow(ax, [(x_from, bottom), (x_from, fork), (x_to, fork), (x_to, top)])
    else:
        _arrow(ax, [(x_from, bottom), (x_to, top)])


def _draw_entry(ax: Axes, sheet: Sheet, source: Box, target: Box, step: int | None) -> None:
    """Draw a line from the last box of a column into the next column."""
    x_from, x_to, top = sheet.center(source), sheet.center(target), sheet.y(target)
    bottom = sheet.y(source) + HEIGHT
    entry = HEAD - 0.62 * (ROW - HEIGHT)
    if sheet.is_shortcut(source, target) and step is not None:
        x, enter = sheet.arc(target, step), top + 0.3 * HEIGHT
        _arrow(ax, [(x, entry), (x, enter), (sheet.x(target), enter)], _SKIP)
    elif target.lane == 0:
        down, gutter = bottom + (ROW - HEIGHT) / 2, sheet.gutter[target.column]
        way = [(x_from, down), (gutter, down), (gutter, entry), (x_to, entry)]
        _arrow(ax, [(x_from, bottom), *way, (x_to, top)])
    else:
        _arrow(ax, [(sheet.left[target.column] + WIDTH / 2, entry), (x_to, entry), (x_to, top)])


def _arrow(ax: Axes, points: list[tuple[float, float]], color: str = _LINE, radius: float = 0.07) -> None:
    vertices, codes = [points[0]], [Line.MOVETO]
    for before, corner, after in zip(points, points[1:], points[2:]):
        vertices += [_towards(corner, before, radius), corner, _towards(corner, after, radius)]
        codes += [Line.LINETO, Line.CURVE3, Line.CURVE3]
    line = Line([*vertices, points[-1]], [*codes, Line.LINETO])
    style = "-|>,head_length=3.2,head_width=1.6"
    ax.add_patch(FancyArrowPatch(path=line, arrowstyle=style, color=color, lw=1.0, fill=False, zorder=1))


def _towards(start: tuple[float, float], end: tuple[float, float], distance: float) -> tuple[float, float]:
    length = max(abs(end[0] - start[0]) + abs(end[1] - start[1]), 1e-9)  # lines run along the axes
    share = min(distance / length, 0.5)
    return (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]))


def _draw_box(ax: Axes, sheet: Sheet, box: Box, graph: NetGraph) -> None:
    x, y = sheet.x(box), sheet.y(box)
    ops = [graph.ops[i] for i in box.ops]
    band = 0.56 * HEIGHT
    frame = _rounded(x, y, fc="white", zorder=2)
    ax.add_patch(frame)
    labels = [describe(op, graph.ops[op.inputs[0]] if op.inputs else None) for op in ops]
    widths = [0.065 * len(label) + 0.14 for label in labels]
    shrink = min(1.0, WIDTH / sum(widths))
    widths = [width * shrink for width in widths]
    widths[0] += WIDTH - sum(widths)  # the layer itself takes what its followers leave
    start = x
    for op, label, width in zip(ops, labels, widths):
        seam = 0.6 if len(ops) > 1 else 0.0
        fill = Rectangle((start, y), width, band, fc=COLORS[op.kind], ec="white", lw=seam, zorder=3)
        if _is_frozen(op):
            fill.set_hatch("////")
        fill.set_clip_path(frame)
        ax.add_patch(fill)
        weight = "bold" if op is ops[0] else "normal"
        halo = [withStroke(linewidth=2.5, foreground=COLORS[op.kind])]  # keeps words readable on a hatching
        place = (start + width / 2, y + band / 2)
        text = ax.text(*place, label, size=7.5 * shrink, color=_INK, ha="center", va="center", zorder=5)
        text.set(weight=weight, path_effects=halo)
        start += width
    shape, name = by(ops[-1].shape, _TIMES), ops[0].name
    room = int((WIDTH - 0.2) / 0.047) - len(shape)  # characters of the small print that fit beside the shape
    name = name if len(name) <= room else "\N{HORIZONTAL ELLIPSIS}" + name[1 - room :]
    below = y + band + (HEIGHT - band) / 2
    ax.text(x + 0.07, below, name, size=6, color=_PALE, va="center", zorder=5)
    ax.text(x + WIDTH - 0.07, below, shape, size=6, color=_INK, ha="right", va="center", zorder=5)
    ax.add_patch(_rounded(x, y, fc="none", zorder=6))


def _rounded(x: float, y: float, *, fc: str, zorder: int) -> FancyBboxPatch:
    style = "round,pad=0,rounding_size=0.06"
    return FancyBboxPatch((x, y), WIDTH, HEIGHT, boxstyle=style, fc=fc, ec=_LINE, lw=0.8, zorder=zorder)


def _is_frozen(op: Op) -> bool:
    parameters = list(op.module.parameters()) if op.module else []
    return bool(parameters) and not any(p.requires_grad for p in parameters)


def _draw_heading(ax: Axes, title: str, net: nn.Module, image_size: tuple[int, int, int], graph: NetGraph) -> None:
    count = sum(p.numel() for p in net.parameters())
    trained = sum(p.numel() for p in net.parameters() if p.requires_grad)
    numbers = f"{count:,} parameters" + ("" if trained == count else f", {trained:,} trainable")
    room = ax.get_xlim()[1] - 2 * LEFT_MARGIN
    size = min(13.0, 13.0 * room / (0.125 * max(len(title), 1)))
    ax.text(LEFT_MARGIN, 0.34, title, size=size, weight="bold", color=_INK, va="center")
    line = f"image {by(image_size, _TIMES)} \N{MIDDLE DOT} {numbers}"
    ax.text(LEFT_MARGIN, 0.62, line, size=8, color=_PALE, va="center")
    if not graph.exact:
        note = "This net cannot be traced. It is drawn as a chain of its modules."
        ax.text(LEFT_MARGIN, 0.8, note, size=8, color=_SKIP, va="center", style="italic")


def _draw_legend(ax: Axes, sheet: Sheet, graph: NetGraph) -> None:
    width, height = sheet.size
    kinds = [kind for kind in COLORS if kind != "input" and any(op.kind == kind for op in graph.ops)]
    entries = [(kind, COLORS[kind], "") for kind in kinds]
    if any(_is_frozen(op) for op in graph.ops):
        entries.append(("frozen", "#ffffff", "//////"))
    x, y = LEFT_MARGIN, height - 0.32
    for name, color, hatch in entries:
        needed = 0.24 + 0.056 * len(name)
        if x + needed > width - LEFT_MARGIN / 2:  # continue on the next line of a narrow picture
            x, y = LEFT_MARGIN, y + 0.18
        swatch = Rectangle((x, y - 0.055), 0.16, 0.11, fc=color, ec=_LINE, lw=0.6, hatch=hatch, zorder=3)
        ax.add_patch(swatch)
        ax.text(x + 0.21, y, name, size=7, color=_INK, va="center")
        x += needed + 0.1
