"""What TensorBoard shows of a grid, read back from its event files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2

from labs.callbacks.tensorboard import picture_is_due


@pytest.fixture
def grid(train: Callable[..., Path]) -> Path:
    return train(
        *("-m", "trainer=cpu", "trainer.max_epochs=2", "weights=random", "callbacks.pictures=null"),
        *("optimizer.lr=0.1,0.01", "freeze=none,backbone", "seed=3", "hydra.sweep.dir=outputs/grid"),
    )


def events(cell: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(cell / "tensorboard"), size_guidance={"tensors": 0, "scalars": 0})
    accumulator.Reload()
    return accumulator


def hparams(data: EventAccumulator) -> tuple[dict[str, object], list[str]]:
    """Return the settings and the names of the metrics of the HPARAMS tab."""
    plugin = plugin_data_pb2.HParamsPluginData
    start = plugin.FromString(data.summary_metadata["_hparams_/session_start_info"].plugin_data.content)
    experiment = plugin.FromString(data.summary_metadata["_hparams_/experiment"].plugin_data.content)
    values = {
        name: value.number_value if value.HasField("number_value") else value.string_value
        for name, value in start.session_start_info.hparams.items()
    }
    return values, [info.name.tag for info in experiment.experiment.metric_infos]


@pytest.mark.slow
def test_the_tabs_of_every_cell_are_filled(grid: Path) -> None:
    cells = sorted((grid / "grid").glob("*/metrics.json"))
    assert len(cells) == 4
    found = []
    for file in cells:
        record, data = json.loads(file.read_text()), events(file.parent)
        settings, metrics = hparams(data)
        assert settings["seed"] == 3
        assert settings["freeze"] == record["choices"]["freeze"]
        assert settings["module.optimizer.lr"] == record["settings"]["module.optimizer.lr"]
        assert sorted(metrics) == ["test/acc", "test/loss"]
        for name in metrics:
            (final,) = data.Scalars(name)
            assert final.value == pytest.approx(record["metrics"][name])
        (event,) = data.Tensors("custom_scalars__config__")
        layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
        charts = {chart.title: list(chart.multiline.tag) for chart in layout.category[0].chart}
        assert charts == {"acc": ["train/acc", "val/acc"], "loss": ["train/loss", "val/loss"]}
        assert all(tag in data.Tags()["scalars"] for tags in charts.values() for tag in tags)
        (card,) = data.Tensors("recipe/text_summary")
        said = card.tensor_proto.string_val[0].decode()
        assert "python train.py" in said
        assert f"freeze={record['choices']['freeze']}" in said
        assert "What trains" in said
        found.append(settings)
    assert len({frozenset(settings) for settings in found}) == 1, "every cell has the same columns"
    assert {settings["module.optimizer.lr"] for settings in found} == {0.1, 0.01}


@pytest.mark.usefixtures("undrawn")
def test_a_run_that_goes_on_shows_the_settings_that_hold_now(train: Callable[..., Path], tmp_path: Path) -> None:
    quick = ("trainer=cpu", "weights=random", "callbacks.pictures=null", "hydra.run.dir=run")
    train(*quick, "trainer.max_epochs=1", "optimizer.lr=0.1")
    train("resume=run", "trainer.max_epochs=2", "optimizer.lr=0.02")
    settings, metrics = hparams(events(tmp_path / "run"))
    assert (settings["module.optimizer.lr"], settings["trainer.max_epochs"]) == (0.02, 2)
    assert sorted(metrics) == ["test/acc", "test/loss"]
    record = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert record["settings"]["module.optimizer.lr"] == 0.02


def due(planned: int, epochs: int, every: int = 1) -> list[int]:
    """Return the epochs of so many that have pictures, from 1."""
    runs: Any = [SimpleNamespace(current_epoch=epoch, max_epochs=planned) for epoch in range(epochs)]
    return [run.current_epoch + 1 for run in runs if picture_is_due(run, every)]


@pytest.mark.parametrize("planned", [1, 60, 100, 101, 250, 5000])
def test_a_long_run_has_few_pictures(planned: int) -> None:
    found = due(planned, planned)
    assert found[-1] == planned
    assert len(found) == planned if planned <= 100 else 50 <= len(found) <= 101


@pytest.mark.parametrize(("every", "planned"), [(25, 150), (5, 101), (7, 690), (10, 1000)])
def test_few_pictures_of_a_long_run_are_all_drawn(every: int, planned: int) -> None:
    assert due(planned, planned, every) == sorted({*range(every, planned + 1, every), planned})


def test_a_run_without_an_end_has_ever_fewer_pictures() -> None:
    found = due(-1, 100_000)
    assert len(found) < 800
    assert found[-1] > 95_000


@pytest.mark.usefixtures("undrawn")
def test_the_frames_of_a_long_run_are_bounded(train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labs.callbacks.tensorboard.MOST", 3)
    small_net = ("data=embedded", "net.image_size=48", "every=1", "steps=10")
    small = ("data=embedded", "datamodule.image_size=32", "datamodule.style=gravel", "every=1", "steps=10")
    (run,) = (train("experiment=nst_a", *small) / "nst_a").iterdir()
    assert [int(path.stem) for path in sorted((run / "images" / "growth").glob("*.png"))] == [4, 8, 10]
    (run,) = (train("experiment=classvis_maco", *small_net) / "classvis_maco").iterdir()
    assert [int(path.stem) for path in sorted((run / "images" / "growth").glob("*.png"))] == [0, 4, 8, 10]
