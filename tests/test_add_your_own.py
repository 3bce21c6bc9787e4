"""The page on adding your own: its files are written as it shows them, its commands typed, and the table compared."""

from __future__ import annotations

import csv
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from project import ROOT
from test_new_practical import COPIED, digests, typed_in_turn

PAGE = ROOT / "docs" / "add_your_own.md"
FILES = r"`([\w/]+\.(?:py|yaml))`[^`]*\n\n```\w+\n(.*?)```"  # a name in the text, then its content
SMALL = (
    "net=resnet_small",
    "weights=random",
    "datamodule.image_size=16",
    "trainer.max_epochs=1",
    "logger=none",
    "callbacks.pictures=null",
)


@pytest.mark.slow
def test_the_page_ends_in_one_table_with_both_methods_and_a_test_between(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    files = dict(re.findall(FILES, page, re.DOTALL))
    assert sorted(files) == ["conf/module/mixup.yaml", "src/labs/modules/mixup.py"]
    commands = re.findall(r"^python (?:train|report)\.py .*$", page, re.MULTILINE)
    assert [command.split()[1] for command in commands] == ["train.py", "report.py"]

    project = tmp_path / "project"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "recorded", "new_practical")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, project / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, project / name)
    before = digests(project)
    for name, content in files.items():
        (project / name).write_text(content, encoding="utf-8")
    assert digests(project) == before | {name: digests(project)[name] for name in files}  # nothing is edited
    random = np.random.default_rng(0)
    for number in range(36):
        file = project / "my_photos" / "abc"[number % 3] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 80 * (1 + number % 3), (20, 24, 3), dtype=np.uint8)).save(file)

    train, report = (shlex.split(command)[1:] for command in commands)
    said = typed_in_turn(project, (*train, *SMALL), tuple(report))

    assert "module=mixup" in said
    report_dir = project / "outputs" / "mixup" / "report"
    assert "Mixup on my photos" in (report_dir / "report.html").read_text(encoding="utf-8")
    text = (report_dir / "table.csv").read_text(encoding="utf-8")
    rows = {row["row"]: row for row in csv.DictReader(text.splitlines())}
    assert [(row["n"], row["seeds"]) for row in rows.values()] == [("3", "0 1 2")] * 2
    assert {re.search(r"module=(\w+)", name)[1] for name in rows} == {"classifier", "mixup"}  # type: ignore[index]
    assert sum(row["notes"].startswith("highest test/acc") for row in rows.values()) == 1
    assert any("paired t over 3 seeds" in row["notes"] or "intervals" in row["notes"] for row in rows.values())
