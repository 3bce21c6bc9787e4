"""What the measurements share: a row of the table, commands in fresh processes, and a scratch folder."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
SCRATCH = Path(tempfile.gettempdir()) / "labs-benchmarks"  # pixels and embedded weights, kept for the next time
FEATURES = SCRATCH / "data" / "cache" / "features"


class Row(NamedTuple):
    """A line of the table.

    Attributes:
        part: letter of the question.
        what: what was done, on what.
        ours: median of ours, with its unit.
        plain: median of what it is compared with.
        ratio: in words.
        goal: in words, or empty where there is none.
        reached: whether the goal was; None without a goal.
        raw: every number that was taken.
    """

    part: str
    what: str
    ours: str
    plain: str
    ratio: str
    goal: str
    reached: bool | None
    raw: dict[str, Any]


def environment() -> dict[str, str]:
    """Return the variables of a fresh process that finds our package and these files."""
    paths = [str(ROOT / "src"), str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def python(*arguments: str) -> float:
    """Run Python in a fresh process and return the seconds from its start to its end.

    Raises:
        SystemExit: it failed; its output is shown.
    """
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, *arguments], env=environment(), cwd=SCRATCH, capture_output=True, encoding="utf-8"
    )
    seconds = time.monotonic() - started
    if done.returncode:
        sys.exit(f"{' '.join(arguments)}\n{done.stdout}\n{done.stderr}")
    return seconds


def train(*arguments: str) -> float:
    """Run train.py, its results in the scratch folder, and return the seconds."""
    folders = (f"paths.data={SCRATCH / 'data'}", f"paths.outputs={SCRATCH / 'outputs'}")
    return python(str(ROOT / "train.py"), *arguments, *folders)


def random_images(size: int, train_images: int, test_images: int, classes: int) -> list[str]:
    """Return what makes an experiment train on random pixels of this size instead of its dataset."""
    source = {"_target_": "parts.images.RandomImages", "folder": SCRATCH / "data", "train": train_images}
    source |= {"test": test_images, "classes": classes}
    return [
        "~datamodule.source",
        *(f"+datamodule.source.{name}={value}" for name, value in source.items()),
        f"datamodule.image_size={size}",
        f"datamodule.num_classes={classes}",
    ]


def draw_images(size: int, train_images: int, test_images: int, classes: int) -> None:
    """Make the store of random pixels, so that no measurement pays for it."""
    code = (
        f"RandomImages(folder={str(SCRATCH / 'data')!r}, train={train_images}, test={test_images}, classes={classes})"
    )
    python("-c", f"from parts.images import RandomImages; {code}.pixels({size})")


def forget_features() -> None:
    """Empty the feature cache."""
    shutil.rmtree(FEATURES, ignore_errors=True)


def forget_outputs() -> None:
    """Delete the runs of earlier measurements, which would be skipped otherwise."""
    shutil.rmtree(SCRATCH / "outputs", ignore_errors=True)


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def seconds(value: float) -> str:
    """Write seconds with three digits.

    Examples:
        >>> seconds(0.01234), seconds(61.26)
        ('0.0123 s', '61.3 s')
    """
    return f"{value:.3g} s" if value < 1000 else f"{value:,.0f} s"
