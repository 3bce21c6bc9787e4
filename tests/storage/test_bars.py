"""Long work on images and bytes is seen in a log file, too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rich.progress import Progress

from labs.storage import bars


@pytest.mark.parametrize(
    ("made", "line"), [(bars.image_bar, "x: 2,000 of 3,000"), (bars.byte_bar, "x: 2.0 kB of 3.0 kB")]
)
def test_a_log_file_gets_a_line_per_minute(
    made: Callable[[bool], Progress], line: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(bars.time, "monotonic", lambda: clock[0])
    for enabled in (True, False):
        with made(enabled) as bar:
            task = bar.add_task("x", total=3000)
            bar.advance(task, 1000)
            assert "x:" not in capfd.readouterr().err
            clock[0] += 61
            bar.update(task, completed=2000)
            bar.advance(task, 500)
        printed = [one for one in capfd.readouterr().err.splitlines() if one.startswith("x:")]
        assert printed == ([line] if enabled else [])
