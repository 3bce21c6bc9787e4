"""Which run a word names: a run directory, or the newest finished run in a folder of runs."""

import glob
from pathlib import Path
from typing import NamedTuple

from labs import LabsError
from labs.practicals import sheet_of
from labs.runs.directory import read_facts, shown_path
from labs.runs.places import default_folder, found_folder


class Chosen(NamedTuple):
    """A run directory, and why it was taken, in words; empty where it was named itself."""

    directory: Path
    why: str


def is_run(folder: Path) -> bool:
    """Say whether a folder is a run directory."""
    return (folder / ".hydra" / "config.yaml").is_file() or (folder / "metrics.json").is_file()


def holds_runs(folder: Path) -> bool:
    """Say whether a folder is a run directory, or has one somewhere inside."""
    return folder.is_dir() and (is_run(folder) or next(folder.rglob("metrics.json"), None) is not None)


def folders_named(typed: str | Path, key: str) -> list[Path]:
    """Return what a path or a pattern names; nothing, if nothing is there."""
    place = found_folder(typed, key)
    found = sorted(glob.glob(str(place), recursive=True))  # noqa: PTH207  may begin at the root
    return [place] if place.exists() else [Path(name) for name in found]


def what_to_type() -> str:
    """Return how a run is named, with the newest one that could be."""
    outputs = Path(default_folder("outputs") or "outputs")
    able = _sorted_out(set(_runs_below(outputs)))[0]
    which = f"the newest is {shown_path(able[-1])}" if able else "such as outputs/<experiment>/<time>"
    return f"type the run directory that train.py printed ({which})"


def chosen_run(typed: str | Path, key: str = "run") -> Chosen:
    """Return the run that a word names.

    Args:
        typed: a run directory, or a folder or pattern of runs, of which the newest finished one counts that answers
            about images. What is not in the working directory is looked for in the outputs of the project.
        key: error messages name it.

    Raises:
        LabsError: nothing is there, or no run there can answer.
    """
    folders = folders_named(typed, key)
    place = folders[0] if len(folders) == 1 else None
    if not folders:
        raise LabsError(f"{key}={typed}: there is no such folder; {what_to_type()}.")
    if place and (is_run(place) or not place.is_dir()):
        return Chosen(place, "")
    runs = {run for folder in folders for run in ([folder] if is_run(folder) else _runs_below(folder))}
    able, unfinished, others = _sorted_out(runs)
    left_out = [f"{unfinished} unfinished"] * (unfinished > 0) + [f"{others} that classify no images"] * (others > 0)
    if able:
        skipped = f"; skipped: {', '.join(left_out)}" if left_out else ""
        which = f"the newest of {len(able)} finished runs" if len(able) > 1 else "the only finished run"
        return Chosen(able[-1], f"{which} in {typed}{skipped}")
    if left_out:
        raise LabsError(
            f"{key}={typed}: no run in this folder can classify images ({', '.join(left_out)}); {what_to_type()}."
        )
    if place:
        return Chosen(place, "")  # whoever reads it says what is missing
    raise LabsError(f"{key}={typed}: there is no run among these; {what_to_type()}.")


def _runs_below(folder: Path) -> list[Path]:
    return [file.parent for file in folder.rglob("metrics.json")] if folder.is_dir() else []


def _sorted_out(runs: set[Path]) -> tuple[list[Path], int, int]:
    """Return the finished runs that answer about images, the newest last, and how many others there are."""
    able: list[tuple[int, str, Path]] = []
    unfinished = others = 0
    for run in runs:
        facts = read_facts(run)
        if facts.get("status") != "finished":
            unfinished += 1
        elif sheet_of(facts.get("practical", "")).answers is None:
            others += 1
        else:
            able.append(((run / "metrics.json").stat().st_mtime_ns, str(run), run))
    return [run for _, _, run in sorted(able)], unfinished, others
