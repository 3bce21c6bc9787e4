"""The memory of a training is said before its first step, its time after a few; neither changes a number."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from labs.callbacks import estimate


def facts_of(outputs: Path) -> dict:
    (found,) = outputs.rglob("metrics.json")
    return json.loads(found.read_text(encoding="utf-8"))


@pytest.mark.usefixtures("undrawn")
def test_memory_comes_before_the_first_step_and_time_soon_after(
    train: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "UNITS", 1)
    monkeypatch.setattr(estimate, "SECONDS", 0)
    monkeypatch.setattr(estimate, "WORTH", 0)
    facts = facts_of(train("weights=random", "epochs=2", "logger=none"))
    printed = capsys.readouterr().out.splitlines()
    memory, time, first, *_ = [line for line in printed if line.startswith(("Training", "epoch"))]
    assert re.fullmatch(r"Training takes about [\d.]+ [GM]B of memory for batches of 16; [\d.]+ GB are free\.", memory)
    assert re.fullmatch(r"Training takes about \d+ s: 2 epochs of 4 steps, [\d.e-]+ s each on this machine\.", time)
    assert first.startswith("epoch 1/2")
    assert facts["estimate"]["seconds"] < 60
    assert 0.3 < facts["estimate"]["bytes"] / facts["estimate"]["measured_bytes"] < 1.5


@pytest.mark.usefixtures("undrawn")
def test_a_method_of_evaluations_is_measured_within_its_first_step(
    train: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "SECONDS", 0)
    monkeypatch.setattr(estimate, "WORTH", 0)
    words = ("datamodule.image_size=32", "datamodule.style=gravel", "every=20", "steps=20")
    train("experiment=nst_a", "data=embedded", "logger=none", *words)
    printed = capsys.readouterr().out
    assert re.search(r"^Training takes at least [\d.]+ [GM]B of memory; ", printed, re.MULTILINE)
    assert re.search(r"^Training takes about \d+ s: 20 evaluations, .*\nepoch 1/1 ", printed, re.MULTILINE)


@pytest.mark.usefixtures("undrawn")
def test_what_does_not_fit_is_warned_of(
    train: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "free", lambda device: 2_500_000)
    train("weights=random", "debug=batches", "logger=none")
    assert re.search(
        r"warning this training needs \d+ MB more, but only 2 MB are free\. Type batch_size=[124]\.",
        capsys.readouterr().err,
    )


@pytest.mark.usefixtures("undrawn")
def test_a_run_without_progress_says_nothing_and_has_the_same_numbers(
    train: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("weights=random", "debug=batches", "logger=none")
    one = facts_of(train(*words, "paths.outputs=one").parent / "one")
    capsys.readouterr()
    other = facts_of(train(*words, "paths.outputs=other", "trainer.enable_progress_bar=false").parent / "other")
    assert "Training takes" not in capsys.readouterr().out
    assert one["metrics"] == other["metrics"]
    assert "estimate" not in other
