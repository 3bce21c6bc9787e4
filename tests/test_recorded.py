"""Runs that an earlier labs recorded: the report reads them to the last digit, and their commands give the same logs.

`recorded/runs/` holds small runs of every method, made at commit 52b90c1 on two CPU cores, and `recorded/*.csv` the
report that was made of them there. `recorded/on_mnist/` holds the same methods on MNIST's own digits, which their
embedded data is since; no line of the methods had changed between. Nothing in that folder is ever written again.
"""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from project import ROOT

from labs.reporting.write import write_report

RECORDED = ROOT / "tests" / "recorded"
CPU = ["AuthenticAMD", "25", "1"]  # vendor, family and model of the processor that made them
JUDGED = r"fid|kid|coverage|histogram|judge|precision|recall|neighbour"  # by a net that tests train for fewer steps


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    shutil.copytree(RECORDED / "runs", folder / "runs")
    write_report([folder / "runs"], folder / "report")
    return folder / "report"


NOW_TYPED = {"nst_a": ["net=vgg19_features"]}  # was the default of data=embedded, and is a choice now


# had the interval of as many images as the target has; it is measured on those of both domains
OF_OTHER_IMAGES = [f"test/domain_acc {part}" for part in ("low", "high", "interval")]


@pytest.mark.parametrize(("name", "key"), [("table.csv", "commands"), ("runs.csv", "command")])
def test_the_report_says_the_same_to_the_last_digit(name: str, key: str, report: Path) -> None:
    """All but the hand-out's names and numbers: these runs are smaller than its experiments, and stood beside them."""
    texts = ((folder / name).read_text(encoding="utf-8") for folder in (report, RECORDED))
    ours, theirs = ({row[key]: row for row in csv.DictReader(io.StringIO(text)) if row[key]} for text in texts)
    assert ours.keys() == theirs.keys()
    for command, earlier in theirs.items():
        same = [name for name in earlier if name not in ("row", *OF_OTHER_IMAGES) and "published" not in name]
        assert {name: ours[command].get(name) for name in same} == {name: earlier[name] for name in same}
    assert not any(value for row in ours.values() for name, value in row.items() if "published" in name)


def same_arithmetic(environment: dict[str, str]) -> bool:
    """Is this the torch and the kind of processor of the recorded runs? Others round otherwise."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.is_file() else ""
    found = [re.search(rf"^{name}\s*: (.*)$", text, re.MULTILINE) for name in ("vendor_id", "cpu family", "model")]
    return environment["torch"] == torch.__version__.partition("+")[0] and [m and m[1] for m in found] == CPU


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "name",
    [
        *("runs/digits_0", "runs/nst_a", "on_mnist/dcgan_mnist"),
        *("on_mnist/dann_mnistm", "on_mnist/cdan_mnistm", "on_mnist/pseudo_label_mnistm"),
    ],
)
def test_the_command_gives_the_same_logs(name: str, train: Callable[..., Path]) -> None:
    """To the last digit where the arithmetic is the same; elsewhere the losses are close."""
    recorded = RECORDED / name
    facts, environment = (json.loads((recorded / f"{file}.json").read_text()) for file in ("metrics", "environment"))
    words = [w for w in shlex.split(facts["command"])[2:] if not w.startswith(("paths.", "upstream."))]
    words += NOW_TYPED.get(recorded.name, [])
    (run_dir,) = (train(*words) / facts["experiment"]).iterdir()
    exact = same_arithmetic(environment)
    files = sorted(path.name for path in recorded.glob("*.tsv"))
    assert {"log.tsv", "test_log.tsv"} <= set(files)
    for file in files:
        theirs, ours = (pd.read_csv(folder / file, sep="\t") for folder in (recorded, run_dir))
        names = [column for column in theirs if column != "seconds" and not re.search(JUDGED, column)]
        if not exact:
            names = [column for column in names if column == "epoch" or column.endswith("loss")]
        pd.testing.assert_frame_equal(ours[names], theirs[names], check_exact=exact, rtol=0.05)
    if exact and (recorded / "predictions.csv").is_file():
        assert (run_dir / "predictions.csv").read_text() == (recorded / "predictions.csv").read_text()
