"""Loggers of other packages: a line where the package is missing, and what Trackio is handed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from test_experiments import composed

from labs import LabsError
from labs.callbacks.trackio_logger import TrackioLogger
from labs.cli import check
from labs.cli.check import build, check_loggers, check_recipe
from labs.runs.trusted import is_typed_only

PACKAGES = ("wandb", "mlflow", "trackio")


@pytest.mark.parametrize("name", PACKAGES)
def test_a_missing_package_is_one_line_before_anything_is_built(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "find_spec", lambda asked: None)
    with pytest.raises(LabsError) as raised:
        check_loggers(composed(f"logger={name}"))
    assert str(raised.value) == f"logger={name}: the package {name} is not installed; type pip install {name}."


@pytest.mark.parametrize("name", PACKAGES)
def test_each_option_fits_its_constructor(name: str) -> None:
    check_recipe(composed(f"logger={name}"))


@pytest.mark.filterwarnings("default")  # theirs
@pytest.mark.parametrize("name", PACKAGES)
def test_it_logs_offline_where_the_package_is_installed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in {"TRACKIO_DIR": tmp_path / "trackio", "HF_HUB_OFFLINE": 1, "WANDB_SILENT": "true"}.items():
        monkeypatch.setenv(variable, str(value))
    pytest.importorskip(name)  # now: Trackio reads its folder as it is imported
    monkeypatch.chdir(tmp_path)
    cfg = composed(f"logger={name}")
    cfg.paths.run_dir = str(tmp_path)
    cfg.paths.outputs = str(tmp_path)
    logger = build(cfg.logger[name], f"logger.{name}")
    logger.log_hyperparams({"seed": 0, "net": "resnet18"})
    logger.log_metrics({"train/loss": 1.5, "lr/head": 0.1}, step=3)
    logger.finalize("success")
    if name == "wandb":
        logger.experiment.finish()
    assert any(path.is_file() and path.stat().st_size for path in tmp_path.rglob("*"))


def test_trackio_is_handed_settings_and_numbers_and_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    class FakeRun:
        def log(self, numbers: dict[str, float], step: int | None) -> None:
            calls.append((numbers, step))

        def finish(self) -> None:
            calls.append("finish")

    fake = ModuleType("trackio")
    fake.init = lambda *names, **options: (calls.append((names, options)), FakeRun())[1]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "trackio", fake)
    logger = TrackioLogger(project="labs", name="outputs/a")
    logger.log_hyperparams({"seed": 0})
    logger.log_metrics({"loss": 1.0}, step=2)
    logger.finalize("success")
    logger.finalize("success")
    begun = (("labs",), {"name": "outputs/a", "config": {"seed": 0}, "embed": False, "resume": "allow"})
    assert calls == [begun, ({"loss": 1.0}, 2), "finish"]


def test_no_run_directory_decides_where_numbers_are_sent() -> None:
    assert is_typed_only("logger.wandb.offline")
    assert is_typed_only("logger.mlflow.tracking_uri")
    assert not is_typed_only("logger")
