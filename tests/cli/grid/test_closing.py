"""The table at the end of a grid: the number that leads, whether rows are ranked by it or not."""

from __future__ import annotations

from pathlib import Path

from reporting.fake_runs import write_run
from rich.console import Console

from labs.cli.grid.closing import _short
from labs.reporting.find import find_runs
from labs.reporting.tables import build_tables


def test_a_table_that_ranks_nothing_shows_its_leading_number(tmp_path: Path) -> None:
    write_run(tmp_path / "run", "saliency_squeezenet", practical="attribution", metrics={"test/passed": 0.25})
    (table,) = build_tables(find_runs([tmp_path]))
    assert table.ranked is None
    console = Console(width=80, record=True)
    console.print(_short(table))
    shown = console.export_text()
    assert "maps that pass (%)" in shown
    assert "25.00" in shown
