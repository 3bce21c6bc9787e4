"""Positions of the boxes in an architecture picture: folding, rows, lanes and columns."""

import math
from collections import Counter
from dataclasses import dataclass, field

from labs.inspection.graph import NetGraph

# Operations that are drawn inside the box of the layer before them.
_FOLDED = ("normalization", "activation", "dropout", "reshape")
_LONGEST_BOX = 4


@dataclass
class Box:
    """Consecutive operations in one box."""

    ops: list[int]  # positions in the graph
    inputs: list[int] = field(default_factory=list)  # positions of the boxes that feed this one
    rank: int = 0  # row before the picture is cut into columns: length of the longest path from the image
    lane: int = 0  # 0 for the longest path through the net, 1 and up for branches
    column: int = 0  # of the picture


def place_boxes(graph: NetGraph, *, shape: float) -> list[Box]:
    """Fold a net into boxes and place them.

    Args:
        graph: Operations of the net.
        shape: Height of a row divided by the width of a column, which determines the number of columns.
    """
    boxes = _fold(graph)
    for box in boxes:
        box.rank = max((boxes[i].rank + 1 for i in box.inputs), default=0)
    _choose_lanes(boxes)
    _choose_columns(boxes, shape)
    return boxes


def _fold(graph: NetGraph) -> list[Box]:
    uses = Counter(i for op in graph.ops for i in op.inputs)
    boxes: list[Box] = []
    home: dict[int, int] = {}  # operation -> box
    for position, op in enumerate(graph.ops):
        source = op.inputs[0] if op.inputs else -1
        foldable = op.kind in _FOLDED and len(op.inputs) == 1 and uses[source] == 1
        if foldable and graph.ops[source].kind != "input" and len(boxes[home[source]].ops) < _LONGEST_BOX:
            home[position] = home[source]
            boxes[home[source]].ops.append(position)
        else:
            home[position] = len(boxes)
            boxes.append(Box([position], list(dict.fromkeys(home[i] for i in op.inputs))))
    return boxes


def _choose_lanes(boxes: list[Box]) -> None:
    main = _longest_way(boxes)
    last_use = [max([box.rank, *(other.rank for other in boxes if i in other.inputs)]) for i, box in enumerate(boxes)]
    free_from: dict[int, int] = {}  # lane -> first rank without a box or a line in it
    for i, box in sorted(enumerate(boxes), key=lambda item: (item[1].rank, item[0])):
        if i in main:
            continue
        before = [boxes[j].lane for j in box.inputs if boxes[j].lane > 0]
        lanes = (*before, *range(1, len(boxes) + 1))
        box.lane = next(lane for lane in lanes if free_from.get(lane, 0) <= box.rank)
        free_from[box.lane] = max(last_use[i], box.rank + 1)


def _longest_way(boxes: list[Box]) -> set[int]:
    here: int | None = max(range(len(boxes)), key=lambda i: boxes[i].rank)
    way = set()
    while here is not None:
        way.add(here)
        here = next((i for i in boxes[here].inputs if boxes[i].rank == boxes[here].rank - 1), None)
    return way


def _choose_columns(boxes: list[Box], shape: float) -> None:
    rows = max(box.rank for box in boxes) + 1
    lanes = max(box.lane for box in boxes) + 1
    columns = max(1, round(math.sqrt(rows * shape / lanes)))
    cuts = [0]
    for column in range(1, columns):
        ideal = round(rows * column / columns)
        near = range(max(cuts[-1] + 1, ideal - 5), min(rows, ideal + 6))
        # Prefer columns of different lengths to a cut through a branch.
        cuts.append(min(near, key=lambda rank: 3 * _open_lines(boxes, rank) + abs(rank - ideal), default=ideal))
    for box in boxes:
        box.column = max(c for c, cut in enumerate(cuts) if cut <= box.rank)


def _open_lines(boxes: list[Box], rank: int) -> int:
    """Count the lines that a cut above this rank breaks; lines other than forks just above it count twice."""
    broken = [(boxes[i], box) for box in boxes if box.rank >= rank for i in box.inputs if boxes[i].rank < rank]
    far = [source for source, _ in broken if source.rank < rank - 1 or source.lane > 0]
    return len(broken) - 1 + len(far)
