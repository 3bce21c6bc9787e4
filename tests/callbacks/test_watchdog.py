"""A run that hangs is ended, in one process and in several; a slow one is not."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest

from labs import LabsError
from labs.callbacks.watchdog import Watchdog, _Peer
from labs.datamodules.batches import Batch, StoredImages
from labs.runs.pulse import Pulse

QUICK = ["trainer=cpu", "weights=random", "logger=none", "hydra.run.dir=run"]
LIMIT = "callbacks.watchdog.minutes=0.05"


def test_minutes() -> None:
    with pytest.raises(LabsError, match="minutes=0: expected"):
        Watchdog(minutes=0)


def test_an_error_before_the_first_look_stays_what_it_is() -> None:
    Watchdog().on_exception(pl.Trainer(logger=False), pl.LightningModule(), RuntimeError("NCCL"))


def test_a_data_loader_that_hangs_is_ended(
    train: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It never returns the first batch of the second epoch."""
    monkeypatch.setattr(StoredImages, "__getitem__", _hangs_in_the_second_epoch())
    with pytest.raises(SystemExit) as ended:
        train(*QUICK, LIMIT, "trainer.max_epochs=3")
    assert ended.value.code == 2
    facts = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert facts["status"] == "failed"
    assert facts["epochs"] == 1
    assert "the run stands still: for 3 s it has been at" in facts["error"]
    assert "test_watchdog.py" in facts["error"]
    assert "test_watchdog.py" in (tmp_path / "run" / "stacks.0.txt").read_text()
    assert capfd.readouterr().err.count("error:") == 1


def _hangs_in_the_second_epoch() -> Callable[..., Batch]:
    as_before = StoredImages.__getitem__

    def item(images: StoredImages, index: list[int]) -> Batch:
        while Path("run/log.tsv").exists():
            time.sleep(0.5)
        return as_before(images, index)

    return item


def test_a_slow_batch_is_not_ended(train: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It computes for longer than the limit at one place, without any word of progress."""
    slow, as_before = [8.0], StoredImages.__getitem__

    def item(images: StoredImages, index: list[int]) -> Batch:
        end = time.monotonic() + (slow.pop() if slow else 0)
        while time.monotonic() < end:
            hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000)
        return as_before(images, index)

    monkeypatch.setattr(StoredImages, "__getitem__", item)
    train(*QUICK, LIMIT, "trainer.max_epochs=1", "callbacks.pictures=null")
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["status"] == "finished"
    assert not list((tmp_path / "run").glob("stacks.*"))


class TestSeveralProcesses:
    """What one of them concludes from what the others note."""

    @pytest.fixture
    def watchdog(self, tmp_path: Path) -> Watchdog:
        watchdog = Watchdog(minutes=1)
        watchdog.folder, watchdog.rank, watchdog.ranks, watchdog.started = tmp_path, 0, 2, []
        watchdog.pulse = Pulse(threading.get_ident())
        watchdog.peers, watchdog.seen = {1: _Peer()}, {1}
        self.note(watchdog, tick=1.0)
        return watchdog

    def note(self, watchdog: Watchdog, seconds: float = 1.0, **facts: Any) -> None:
        known = {"tick": 0.0, "still": 0.0, "waits": False, "where": "labs/x.py:3 in step", "pid": 7, "host": "a"}
        watchdog.peers[1].take({**known, **facts}, seconds)

    def test_one_waits_while_the_other_works(self, watchdog: Watchdog) -> None:
        watchdog.pulse.still = 1000.0
        assert watchdog._hung() == ""

    def test_one_is_stopped_while_the_other_works(self, watchdog: Watchdog) -> None:
        self.note(watchdog, seconds=59, tick=1.0)
        assert watchdog._hung() == ""
        self.note(watchdog, tick=1.0)
        assert "rank 1 of 2 stands still: its process 7 on a has not run for 60 s" in watchdog._hung()

    def test_both_stand_still(self, watchdog: Watchdog) -> None:
        watchdog.pulse.still = 60.0
        watchdog.pulse.stack = [("/x/torch/distributed/c10d.py", 5, "all_reduce"), (__file__, 9, "fit")]
        self.note(watchdog, tick=2.0, still=58.0)
        found = watchdog._hung()
        assert found.startswith(
            "rank 1 of 2 stands still: for 60 s it has been at labs/x.py:3 in step. Rank 0 waits at"
        )
        self.note(watchdog, tick=3.0, still=59.0, waits=True)
        assert watchdog._hung().startswith("the run stands still: all its processes wait for each other. Rank 0 waits")

    def test_who_has_ended_in_order_is_not_waited_for(self, watchdog: Watchdog) -> None:
        watchdog._read(1.0)  # it has removed its note
        watchdog.pulse.still = 60.0
        assert watchdog._hung()
        watchdog.seen = set()  # it never noted anything: its machine has another disk, and it may work
        assert watchdog._hung() == ""
