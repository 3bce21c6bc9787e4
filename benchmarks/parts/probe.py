"""(a) A strict linear probe of CUB-200's size: our whole run, with the feature cache, against the uncached loop."""

import json
import subprocess
import sys

from parts import common
from parts.common import SCRATCH, Row, median, seconds

EPOCHS = 31
TURNS = 3


def measure(quick: bool) -> list[Row]:
    """Time the whole run at 64 pixels, in full, and at 224 pixels, where the loop's epoch is timed and multiplied."""
    return [_at(64, in_full=not quick, turns=1 if quick else TURNS), *([] if quick else [_at(224, False, 1)])]


def _at(size: int, in_full: bool, turns: int) -> Row:
    experiment = ["experiment=cub_linear_probe", "weights=random", "datamodule.validation=test"]
    pixels = common.random_images(size, 3033, 3000, 200)
    common.draw_images(size, 3033, 3000, 200)
    ours, cached, inside = [], [], []
    for _ in range(turns):
        common.forget_features()
        common.forget_outputs()
        ours.append(common.train(*experiment, *pixels))
        inside.append(_told_by_the_run())
        common.forget_outputs()
        cached.append(common.train(*experiment, *pixels))  # a later run, such as another cell of a grid
    plain, epochs = _plain(size, EPOCHS if in_full else 1)
    whole = plain if in_full else plain - epochs[0] + EPOCHS * epochs[0]
    ratio = whole / median(ours)
    how = "in full" if in_full else f"one epoch of {epochs[0]:.0f} s, times {EPOCHS}"
    return Row(
        "a",
        f"linear probe, ResNet-18, {size} px, {EPOCHS} epochs, 3,033 + 3,000 images, from command to last picture",
        f"{seconds(median(ours))} (again: {seconds(median(cached))})",
        f"{seconds(whole)} ({how})",
        f"{ratio:.1f}x faster (again: {whole / median(cached):.0f}x)",
        ">= 25x",
        ratio >= 25,
        {"ours": ours, "again": cached, "feature_cache": inside, "plain": plain, "plain_epochs": epochs},
    )


def _told_by_the_run() -> dict[str, float]:
    (facts,) = (SCRATCH / "outputs" / "cub_linear_probe").glob("*/metrics.json")
    told: dict[str, float] = json.loads(facts.read_text(encoding="utf-8"))["feature_cache"]
    return told


def _plain(size: int, epochs: int) -> tuple[float, list[float]]:
    """Return the seconds of the plain script as a whole, and of each epoch."""
    import time

    started = time.monotonic()
    command = [sys.executable, str(common.ROOT / "benchmarks" / "parts" / "plain.py"), "probe", str(size), str(epochs)]
    done = subprocess.run(
        command, env=common.environment(), cwd=SCRATCH, capture_output=True, encoding="utf-8", check=True
    )
    return time.monotonic() - started, [float(line) for line in done.stdout.split()]
