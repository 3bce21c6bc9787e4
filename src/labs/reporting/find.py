"""Find runs: those that were made, and the cells of a grid that were not."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from labs import LabsError
from labs.reporting.evidence import BrokenRunError, expect, of_file, read_json
from labs.reporting.recorded_run import MISSING, Run, read_identity, read_run

PLAN = "cells.json"


def find_runs(paths: Sequence[Path]) -> list[Run]:
    """Read every run directory under the paths, each once, in the order of their names.

    A cell that a grid's `cells.json` plans and that has no `metrics.json` yet becomes a run of status "missing"; a
    `cells.json` that cannot be read becomes a broken one, so that the report mentions it and hides nothing.

    Raises:
        LabsError: A path does not exist, or holds no run.
    """
    found: dict[Path, Run] = {}
    for path in paths:
        if not path.exists():
            raise LabsError(f"no such directory: {path}; give that of a run or of a grid, such as outputs/<grid>")
        root = path if path.is_dir() else path.parent
        here = {
            directory.resolve(): read_run(directory, _place(directory, root))
            for directory in sorted(file.parent for file in root.rglob("metrics.json"))
        }
        for plan in sorted(root.rglob(PLAN)):
            for run in _cells(plan, _place(plan.parent, root), here):
                here[run.directory.resolve()] = run
        if not here:
            raise LabsError(f"no runs under {path}; a run directory has a metrics.json; make one with python train.py")
        found |= {directory: run for directory, run in here.items() if directory not in found}
    return list(found.values())


def _place(directory: Path, root: Path) -> str:
    return (Path(root.resolve().name) / directory.relative_to(root)).as_posix()


def _cells(plan: Path, place: str, runs: dict[Path, Run]) -> Iterator[Run]:
    """Yield what a grid's plan changes: runs that belong to it or do not, missing ones, and faults."""
    try:
        content = read_json(plan)
        with of_file(PLAN):
            command = expect(content, "command", str, "")
            cells = expect(content, "cells", list)
    except BrokenRunError as error:
        yield Run(plan, f"{place}/{PLAN}", "broken", f"{error}; cells that were not run cannot be shown")
        return
    plans: list[Run] = []
    for number, cell in enumerate(cells, start=1):
        try:
            with of_file(f"{PLAN}, cell {number}"):
                if not isinstance(cell, dict):
                    raise BrokenRunError(f"should be an object, it is {cell!r:.80}")  # noqa: TRY301
                name = expect(cell, "directory", str)
                if "\0" in name or ".." in Path(name).parts or Path(name).is_absolute():
                    raise BrokenRunError(f"directory should lie in the grid, it is {name!r:.80}")  # noqa: TRY301
                planned = _missing(plan.parent / name, f"{place}/{name}", cell)
        except BrokenRunError as error:
            yield Run(plan / str(number), f"{place}/{PLAN}", "broken", str(error))
            continue
        plans.append(planned)
        run = runs.get(planned.directory.resolve(), planned)
        if run.key and planned.key and run.key != planned.key:
            keys = f"{PLAN} has key {planned.key}, metrics.json {run.key}"
            reason = f"the grid plans a different recipe for this directory ({keys})"
            run = replace(run, status="broken", error=reason)
        yield replace(run, grid_command=command)
    if len(plans) == len(cells) > 0:  # else nobody knows what the grid is
        yield from (replace(run, earlier_in=place) for run in _others(plan.parent, plans, runs.values()))


def _others(grid: Path, plans: Sequence[Run], runs: Collection[Run]) -> list[Run]:
    """Return the readable runs in the folder of a grid whose rows have no cell in it: those of an earlier command."""
    directories = {planned.directory.resolve() for planned in plans}
    rows = {planned.row for planned in plans} | {replace(planned, recipe="").row for planned in plans}
    inside = [run for run in runs if run.directory.resolve().is_relative_to(grid.resolve())]
    return [
        run for run in inside if run.practical and run.directory.resolve() not in directories and run.row not in rows
    ]


def _missing(directory: Path, place: str, cell: dict) -> Run:
    return Run(directory, place, MISSING, **read_identity(cell))
