"""Somebody's own images, as the command line takes them: trained on, told of, reported, asked about."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from messy_folder import CAT, NFC, ODD, fill, make_messy
from project import ROOT
from recipes import described

from labs.runs.recipe import of_every_seed

sys.path.insert(0, str(ROOT))

SMALL = ("net=resnet_small", "weights=random", "datamodule.image_size=16", "trainer.max_epochs=1", "logger=none")
NAME = "my photos, a=b $x$"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / NAME
    root.mkdir()
    make_messy(root)
    return root


def test_any_classifiers_experiment_takes_them_as_they_are_typed(
    photos: Path, train: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = train(
        "experiment=cub_full", "datamodule=folder", f"datamodule.source.path={NAME}", "normalization=dataset", *SMALL
    )
    printed = capsys.readouterr().out
    assert "Skipped files and folders: 13" in printed
    assert f"{NAME}: 43 images of 3 classes" in printed
    (run_dir,) = (outputs / "cub_full").iterdir()
    facts = json.loads((run_dir / "metrics.json").read_text())
    assert facts["status"] == "finished"
    assert sum(facts["counts"].values()) == 43
    assert facts["settings"]["datamodule.source.path"] == NAME
    for name in ("data.txt", "data.tsv", "images/predictions.png", "images/confusion_matrix.png"):
        assert (run_dir / name).stat().st_size > 0
    assert "data.tsv" in (run_dir / ".hydra" / "written.txt").read_text().split()
    assert "num_classes: 3" in (run_dir / ".hydra" / "config.yaml").read_text()

    (photos / CAT / "rotated.jpg").rename(photos.parent / "asked.jpg")
    shutil.rmtree(photos)  # neither the answer nor the report needs them
    import predict
    import report

    predict.main([f"run={run_dir}", f"image={photos.parent / 'asked.jpg'}"])
    answer = capsys.readouterr().out
    assert all(name in answer for name in (CAT, NFC, ODD))
    assert report.main([str(outputs)]) == 0
    assert "1 run" in capsys.readouterr().out or (outputs / "report").is_dir()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("datamodule.source.path=nowhere", "datamodule.source.path=nowhere: no such folder or file in"),
        ("datamodule.source.path=a=b, c", "datamodule.source.path=a=b, c: no such folder"),
        ("datamodule.source.path=", "which images? Type their folder"),
        ("datamodule.source.path=notes.txt", "this file is neither a folder of images nor a table"),
        ("datamodule.source.path=few", "class b has only one training image, b/0.png; add images"),
        ("datamodule.source.path=few/a", "has 3 files, such as 0.png, but no class folders"),
        ("datamodule.source.path=labels.csv", "line 2: nowhere.jpg: no such file"),
        ("datamodule.source.path=few data=embedded", "data=embedded uses its own images"),
        ("datamodule.source.near=2 data=embedded", "datamodule.source.near=2: expected a fraction"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    typed: str, said: str, tmp_path: Path, train: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path / "few" / "a", 1, 3)
    fill(tmp_path / "few" / "b", 2, 1)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "labels.csv").write_text("path,label\nnowhere.jpg,cat\n")
    before = sorted(tmp_path.rglob("*"))
    word, *data = typed.split(" data=")  # a path may have spaces
    with pytest.raises(SystemExit) as exit_:
        train("experiment=cub_full", "datamodule=folder", *SMALL, word, *(f"data={name}" for name in data))
    message = capsys.readouterr().err.partition("error:")[2].strip()
    assert exit_.value.code == 2
    assert said in message
    assert "\n" not in message
    left = [path for path in sorted(tmp_path.rglob("*")) if path not in before]
    assert [path for path in left if path.is_file()] == []
    assert not list((tmp_path / "outputs").glob("*/*"))


def test_a_run_is_known_by_what_lies_in_the_folder_not_by_where_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for label in ("a", "b"):
        fill(tmp_path / "photos" / label, 1, 3)

    def text(path: str) -> str:
        return of_every_seed(
            described(
                "experiment=cub_full", "datamodule=folder", "weights=random", f"datamodule.source.path={path}"
            ).text
        )

    before = text("photos")
    shutil.copytree(tmp_path / "photos", tmp_path / "copied")
    (tmp_path / "photos" / ".DS_Store").touch()
    assert text("photos") == text(str(tmp_path / "photos")) == text("copied") == before
    fill(tmp_path / "photos" / "a", 1, 4)
    assert text("photos") != before
