"""The geometry of an architecture picture: from rows, lanes and columns to inches."""

from collections import defaultdict
from dataclasses import dataclass, replace

from labs.inspection.placement import Box

# In inches: the axes span the figure, so that data units are inches and fonts match the boxes.
WIDTH, HEIGHT = 2.35, 0.44  # of a box
ROW, LANE = 0.68, 2.55  # from one box to the next, down and to the right
HEAD, FOOT, LEFT_MARGIN = 1.15, 0.6, 0.3
_ARC = 0.13  # from one shortcut to the next


@dataclass(frozen=True)
class Sheet:
    """Positions in the picture, in inches from its top left corner; dictionaries by column."""

    boxes: list[Box]
    first_rank: dict[int, int]  # of the first row
    left: dict[int, float]  # left edge of the main lane
    gutter: dict[int, float]  # position of the line from the previous column, to the left of all arcs
    arcs: dict[tuple[int, int], int]  # shortcuts by (source, column) and their distance from the boxes, in steps
    size: tuple[float, float]  # width and height

    def x(self, box: Box) -> float:
        """Left edge of a box."""
        return self.left[box.column] + box.lane * LANE

    def y(self, box: Box) -> float:
        """Top of a box."""
        return HEAD + (box.rank - self.first_rank[box.column]) * ROW

    def center(self, box: Box) -> float:
        """Horizontal center of a box."""
        return self.x(box) + WIDTH / 2

    def arc(self, box: Box, step: int) -> float:
        """Position of the vertical part of a shortcut in the column of a box."""
        return self.left[box.column] - 0.14 - step * _ARC

    def is_far(self, source: Box, target: Box) -> bool:
        """Return whether a line comes from an earlier column, but not from the end of its main lane."""
        last = source.rank == self.first_rank[target.column] - 1 and source.lane == 0
        return source.column != target.column and not last

    def is_shortcut(self, source: Box, target: Box) -> bool:
        """Return whether a line of the main lane skips rows of its column."""
        return source.lane == target.lane == 0 and target.rank - source.rank > 1


def new_sheet(boxes: list[Box]) -> Sheet:
    """Compute the positions of placed boxes and of their shortcuts."""
    first_rank: dict[int, int] = {}
    lanes: dict[int, int] = {}
    for box in boxes:
        first_rank[box.column] = min(first_rank.get(box.column, box.rank), box.rank)
        lanes[box.column] = max(lanes.get(box.column, 0), box.lane)
    sheet = Sheet(boxes, first_rank, {}, {}, {}, (0.0, 0.0))
    sheet.arcs.update(_arcs(sheet))
    x = LEFT_MARGIN
    for column in sorted(lanes):
        steps = max((step + 1 for (_, where), step in sheet.arcs.items() if where == column), default=0)
        sheet.gutter[column] = x - 0.14
        sheet.left[column] = x + 0.12 + steps * _ARC
        x = sheet.left[column] + lanes[column] * LANE + WIDTH + LEFT_MARGIN
    rows = max(box.rank - first_rank[box.column] for box in boxes) + 1
    return replace(sheet, size=(max(x, 4.6), HEAD + rows * ROW + FOOT))


def _arcs(sheet: Sheet) -> dict[tuple[int, int], int]:
    ends: dict[tuple[int, int], int] = {}
    for box in sheet.boxes:
        for i in box.inputs:
            source = sheet.boxes[i]
            if sheet.is_shortcut(source, box) and not sheet.is_far(source, box):
                ends[i, box.column] = max(ends.get((i, box.column), 0), box.rank)
    spans = [(end - sheet.boxes[i].rank, sheet.boxes[i].rank, end, i, column) for (i, column), end in ends.items()]
    arcs: dict[tuple[int, int], int] = {}
    taken: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for _, start, end, i, column in sorted(spans):  # short arcs inside, long ones around them
        step = 0
        while any(start < other_end and other_start < end for other_start, other_end in taken[column, step]):
            step += 1
        taken[column, step].append((start, end))
        arcs[i, column] = step
    return arcs
