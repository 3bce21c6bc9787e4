"""A further process of a run inherits the first one's environment, and still ends with one line."""

from __future__ import annotations

import os

import pytest

from labs import LabsError
from labs.cli import report_mistakes


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["train.py"])
    for name in ("HYDRA_FULL_ERROR", "LABS_SET_HYDRA_FULL_ERROR"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.parametrize("rank", ["0", "1"])
def test_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rank: str) -> None:
    with report_mistakes():
        inherited = dict(os.environ) if rank == "1" else {}
    for name, value in inherited.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOCAL_RANK", rank)
    with pytest.raises(SystemExit) as ended, report_mistakes():
        raise LabsError("rank 0 has ended.")
    assert ended.value.code == 2
    assert capsys.readouterr().err == "\nerror: rank 0 has ended.\n"


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_traceback_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, rank: str) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with report_mistakes():
        inherited = dict(os.environ)
    for name, value in inherited.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOCAL_RANK", rank)
    with pytest.raises(LabsError), report_mistakes():
        raise LabsError("rank 0 has ended.")
