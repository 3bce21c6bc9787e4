from __future__ import annotations

import numpy as np
import pytest

from labs.datamodules.findings import SHOWN, Findings, documents_of, print_report
from labs.datamodules.folder_listing import Skipped
from labs.datamodules.sources import LabeledImages

COUNT = SHOWN + 12
NAMES = [f"[red]{n:02d} :cat:" for n in range(COUNT)]


@pytest.fixture
def images() -> LabeledImages:
    """Return four images of each class, of one that has two; every fourth is for testing; names look like markup."""
    labels = np.repeat(np.arange(COUNT), 4)[2:]
    count = len(labels)
    findings = Findings(
        place="photos",
        skipped=[Skipped(f"{n}.txt", "no image") for n in range(50)],
        converted=[["gray"] if n < 40 else [] for n in range(count)],
        copies=[[n, n + 4] for n in range(0, count - 4, 2)],
        near_copies=[],
        notes=["[bold]"],
    )
    names = [f"{NAMES[label]}/{n}.jpg" for n, label in enumerate(labels)]
    pixels = np.zeros((count, 3, 1, 1), np.uint8)
    return LabeledImages(pixels, labels, names, NAMES, np.arange(count) % 4 == 3, findings=findings)


def test_the_screen_shows_the_most_telling_and_the_file_has_all(
    images: LabeledImages, capsys: pytest.CaptureFixture[str]
) -> None:
    train, test = (np.flatnonzero(images.is_test == is_test) for is_test in (False, True))
    rows = {"train": train, "val": test, "test": test}
    print_report(images, rows)
    printed, report = capsys.readouterr().out, documents_of(images, rows)["data.txt"]
    assert printed.count(":cat: │") == SHOWN
    assert f"{SHOWN} smallest of {COUNT} classes" in printed
    assert report.count(":cat: │") == COUNT
    assert "│ [red]00 :cat:" in printed, "the class with fewest images comes first"
    assert "0.txt, 1.txt, 2.txt, ..." in printed
    assert "49.txt" in report
    assert "49.txt" not in printed
    assert "data.txt lists them" in printed
    assert "note: [bold]" in printed
    assert " val " not in printed, "which is the test again"
