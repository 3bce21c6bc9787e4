"""A signal to stop, in every stage of a run: its exit code, and what stands in the record."""

from __future__ import annotations

import json
import os
import pkgutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labs.modules.classifier import Classifier
from labs.runs.signals import STOPS, Stopped, exit_code, first_signal, stop, stop_signals_go_to


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Lightning stops listening to Ctrl-C at the first one."""
    before = {number: signal.getsignal(number) for number in STOPS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_becomes_an_exception_with_its_exit_code(number: int) -> None:
    with pytest.raises(KeyboardInterrupt) as stopped, stop_signals_go_to(stop):
        os.kill(os.getpid(), number)
    assert exit_code(stopped.value) == (130 if number == signal.SIGINT else 143)


def test_signals_that_come_together_are_one_and_a_second_one_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that closes and its shell both send SIGHUP."""
    ends: list[int] = []
    monkeypatch.setattr("labs.runs.signals.end_at_once", ends.append)
    with stop_signals_go_to(stop):
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)
        assert not ends
        monkeypatch.setattr("labs.runs.signals.SAME", 0.0)
        os.kill(os.getpid(), signal.SIGINT)
        assert ends == [143]
        assert first_signal() == signal.SIGHUP


def test_what_is_ignored_stays_ignored() -> None:
    """`nohup` asks for that, and a shell that starts a command in the background."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with stop_signals_go_to(stop):
        os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_the_cause_of_a_library_s_own_exit_is_found() -> None:
    end = SystemExit(1)
    end.__context__ = Stopped(signal.SIGTERM)  # raised while the other was handled, as Lightning does
    assert exit_code(end) == 143
    assert exit_code(SystemExit(2)) is None


def _signal_before(monkeypatch: pytest.MonkeyPatch, place: str, number: int) -> None:
    """Let a function first send this process a signal, then do its work."""
    whole = pkgutil.resolve_name(place)

    def function(*arguments: Any, **options: Any) -> Any:
        os.kill(os.getpid(), number)
        return whole(*arguments, **options)

    monkeypatch.setattr(place, function)


STAGES = {
    "before the data": ("lightning.pytorch.seed_everything", "interrupted"),
    "training": ("labs.callbacks.reseed.Reseed.on_train_epoch_start", "interrupted"),
    "drawing": ("labs.callbacks.record.curves_png", "interrupted"),
    "a batch": ("labs.modules.classifier.Classifier.training_step", "interrupted"),
    "validation": ("labs.modules.classifier.Classifier.validation_step", "interrupted"),
    "testing": ("labs.modules.classifier.Classifier.test_step", "interrupted"),
    "after it has finished": ("labs.cli.report_back.say_results", "finished"),
}


@pytest.mark.parametrize(
    ("stage", "number", "code"),
    [
        *((stage, signal.SIGTERM, 143) for stage in STAGES),
        *(("training", number, 143) for number in (signal.SIGHUP, signal.SIGUSR1)),
        ("training", signal.SIGINT, 130),
        ("testing", signal.SIGINT, 130),
        ("validation", signal.SIGUSR1, 143),
    ],
)
def test_a_run_that_is_stopped(
    train: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stage: str,
    number: int,
    code: int,
    tmp_path: Path,
) -> None:
    """SIGTERM exited 0, as if all were done, and Ctrl-C 1; SIGUSR1 killed it without a word."""
    place, status = STAGES[stage]
    _signal_before(monkeypatch, place, number)
    with pytest.raises(SystemExit) as exit_:
        train("weights=random", "trainer.max_epochs=1", "logger=none", "callbacks.pictures=null", "hydra.run.dir=run")
    assert exit_.value.code == code
    record = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert record["status"] == status
    printed = capsys.readouterr().err
    assert ("go on with: python train.py resume=run" in printed) == (status == "interrupted")
    assert ("epochs" in record) == (stage not in ("before the data", "training", "a batch"))


VALIDATION_STEP = Classifier.validation_step
METHODS = {  # without epochs, and with one long batch
    "saliency": (["experiment=saliency_squeezenet"], "attribution.Attribution.test_step"),
    "fooling": (["experiment=fooling_squeezenet"], "fooling.Fooling.test_step"),
    "SVM": (["experiment=scenes_relu7_svm", "data=embedded", "debug=batches"], "feature_svm.FeatureSVM.test_step"),
    "style transfer": (
        ["experiment=nst_a", "data=embedded", "datamodule.image_size=32", "steps=4", "every=2"],
        "style_transfer.StyleTransfer.training_step",
    ),
}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_without_epochs_that_is_stopped(
    train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, method: str, tmp_path: Path
) -> None:
    words, place = METHODS[method]
    _signal_before(monkeypatch, f"labs.modules.{place}", signal.SIGTERM)
    with pytest.raises(SystemExit) as exit_:
        train(*words, "logger=none", "trainer=cpu", "hydra.run.dir=run")
    assert exit_.value.code == 143
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["status"] == "interrupted"


def _signal_in_validation(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def step(self: Any, *arguments: Any) -> None:
        whole(self, *arguments)
        os.kill(os.getpid(), number)

    whole = VALIDATION_STEP
    monkeypatch.setattr(Classifier, "validation_step", step)


def test_a_scheduler_is_not_kept_waiting_and_ctrl_c_draws(
    train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Style transfer drew for a minute after SIGTERM; the record is written first."""
    drawn: list[str] = []

    def draw(self: Any) -> None:
        drawn.append(json.loads((self.run.directory / "metrics.json").read_text())["status"])

    monkeypatch.setattr("labs.callbacks.record.Record.draw", draw)
    for number in (signal.SIGTERM, signal.SIGINT):
        _signal_in_validation(monkeypatch, number)
        with pytest.raises(SystemExit):
            train(
                "weights=random", "debug=batches", "logger=none", "callbacks.pictures=null", f"hydra.run.dir={number}"
            )
        assert drawn == (["interrupted"] if number == signal.SIGINT else [])


def test_a_batch_that_takes_long_is_not_waited_for(
    train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("labs.callbacks.stop_signals.PATIENCE", 0.2)

    def slow(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    monkeypatch.setattr("labs.modules.classifier.Classifier.training_step", slow)
    started = time.monotonic()
    with pytest.raises(SystemExit) as exit_:
        train("weights=random", "debug=batches", "logger=none", "callbacks.pictures=null", "hydra.run.dir=run")
    assert exit_.value.code == 143
    assert time.monotonic() - started < 50
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["status"] == "interrupted"


def test_a_second_ctrl_c_while_it_draws_ends_at_once(
    train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Lightning ignores Ctrl-C from the first one on."""
    monkeypatch.setattr("labs.runs.signals.SAME", 0.0)

    ends: list[int] = []

    def interrupted(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("labs.runs.signals.end_at_once", ends.append)
    _signal_in_validation(monkeypatch, signal.SIGINT)
    monkeypatch.setattr("labs.callbacks.record.Record.draw", interrupted)
    with pytest.raises(SystemExit):
        train("weights=random", "debug=batches", "logger=none", "callbacks.pictures=null", "hydra.run.dir=run")
    assert 130 in ends


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 143)])
def test_a_grid_that_is_stopped(
    train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, number: int, code: int, tmp_path: Path
) -> None:
    def stopped(*_: Any) -> None:
        os.kill(os.getpid(), number)

    monkeypatch.setattr("labs.callbacks.reseed.Reseed.on_train_epoch_start", stopped)
    with pytest.raises(SystemExit) as exit_:
        train("-m", "weights=random", "logger=none", "seed=0,1", "hydra.sweep.dir=grid", "trainer.max_epochs=2")
    assert exit_.value.code == code
    records = [json.loads(file.read_text())["status"] for file in (tmp_path / "grid").glob("*/metrics.json")]
    assert records == ["interrupted"]


def test_the_signal_stands_in_the_message() -> None:
    assert str(Stopped(signal.SIGTERM)) == "SIGTERM"
