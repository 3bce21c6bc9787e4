"""Runs, grids and searches can be zipped, moved and handed on: no absolute path in them matters."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
import pandas as pd
import pytest

from labs import load_run, runs_table
from labs.reporting.search import read_search
from labs.reporting.write import write_report

pytestmark = pytest.mark.usefixtures("undrawn")
Train = Callable[..., Path]
SMALL = [
    "weights=random", "trainer=cpu", "logger=none", "callbacks.pictures=null", "trainer.limit_train_batches=2",
    "trainer.max_epochs=1",
]  # fmt: skip


def train_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a finished run is trained again")

    monkeypatch.setattr(pl.Trainer, "fit", fail)


def test_a_run_is_zipped_and_goes_on_where_it_is_unzipped(train: Train, tmp_path: Path) -> None:
    """A zip file keeps neither times nor who may read what."""
    train(*SMALL, "hydra.run.dir=run")
    log = pd.read_csv(tmp_path / "run" / "log.tsv", sep="\t")
    archive = shutil.make_archive(str(tmp_path / "handed"), "zip", tmp_path, "run")
    shutil.rmtree(tmp_path / "run")
    (tmp_path / "another place").mkdir()
    shutil.unpack_archive(archive, tmp_path / "another place")
    place = tmp_path / "another place" / "run"

    assert load_run(place).run == place.resolve()
    assert list(runs_table(place)["status"]) == ["finished"]
    train(f"resume={place}", "trainer.max_epochs=2")
    longer = pd.read_csv(place / "log.tsv", sep="\t")
    pd.testing.assert_frame_equal(longer.head(1), log, check_exact=True)
    assert len(longer) == 2
    facts = json.loads((place / "metrics.json").read_text())
    assert facts["status"] == "finished"
    assert facts["best_epoch"] in (1, 2)
    assert not (tmp_path / "run").exists()


def test_a_grid_goes_on_where_it_was_moved(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = ["-m", *SMALL, "freeze=none,backbone"]
    train(*grid, "hydra.sweep.dir=outputs/grid")
    (tmp_path / "moved").mkdir()
    (tmp_path / "outputs" / "grid").rename(tmp_path / "moved" / "grid")
    train_nothing(monkeypatch)
    train(*grid, "hydra.sweep.dir=moved/grid")
    assert not (tmp_path / "outputs" / "grid").exists()
    _, (table,) = write_report([tmp_path / "moved" / "grid"], tmp_path / "report")
    assert [line.status for line in table.lines] == ["finished", "finished"]
    assert not any(row.notes and "earlier" in " ".join(row.notes) for row in table.rows)


def test_a_search_goes_on_where_it_was_moved(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search = [
        "-m", *SMALL, "search.space={optimizer.lr: log(1e-3, 1e-1)}", "search.trials=2", "search.fresh_seeds=[100]",
    ]  # fmt: skip
    train(*search, "hydra.sweep.dir=outputs/search")
    (tmp_path / "moved").mkdir()
    (tmp_path / "outputs" / "search").rename(tmp_path / "moved" / "search")
    before = json.loads((tmp_path / "moved" / "search" / "search.json").read_text())["trials"]
    train_nothing(monkeypatch)
    train(*search, "hydra.sweep.dir=moved/search")
    assert not (tmp_path / "outputs" / "search").exists()
    assert json.loads((tmp_path / "moved" / "search" / "search.json").read_text())["trials"] == before
    assert len(read_search(tmp_path / "moved" / "search").trials) == 2
