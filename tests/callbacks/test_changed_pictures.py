"""What a run leaves of changed images: files that fool whoever reads them back, a table, sheets."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn
from trained_run import CLASSES, write_trained_run

from labs.callbacks.changed_pictures import framed
from labs.datamodules.photos import Photos
from labs.functional.augment import center_crop
from labs.functional.normalization import Normalization, Normalizer
from labs.runs.load import load_run
from labs.runs.trained_net import TrainedNet, trained_net

SMALL = ("experiment=fooling_squeezenet", "data=embedded", "logger=none")


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for place, name in enumerate(("my cat (1)", "my-cat-1", "dog")):
        pixels = torch.randint(256, (40, 30, 3), generator=torch.Generator().manual_seed(place), dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(folder / f"{name}.png")
    return folder


def table(run_dir: Path) -> list[dict[str, str]]:
    with (run_dir / "fooled.tsv").open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def read_back(files: list[Path], run: Path) -> torch.Tensor:
    """Read files as `datamodule.images=` does, and return what the net of a run says."""
    net = trained_net(weights=str(run))
    data = Photos(
        images=[str(file) for file in files], photographs=[], split="test", count=99, batch_size=1, embedded=False,
        folder="",
    )  # fmt: skip
    data._of_files(data.sources or [], net)
    return net(data.pixels).argmax(1)


def test_on_a_run_of_ours(
    train: Callable[..., Path], tmp_path: Path, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_trained_run(tmp_path / "run")
    words = (
        f"run='{run}'",
        f"datamodule.images='{photographs}'",
        "module.target=[0,1,2,3,4]",
        "datamodule.batch_size=2",
    )
    outputs = train(*SMALL, *words, "module.lr=0.2")
    (run_dir,) = (outputs / "fooling_squeezenet").iterdir()
    rows = table(run_dir)
    files = [run_dir / "images" / f"{row['image']}_{row['target']}.png" for row in rows]
    assert len(rows) == 15
    assert sorted(files) == sorted((run_dir / "images").glob("*_*.png")), "one file each, whatever the names"
    assert any(row["fooled_png"] == "1" and int(row["steps"]) > 1 for row in rows)
    assert [CLASSES[place] for place in read_back(files, run)] == [row["after_png"] for row in rows]
    answering = load_run(run)
    for file, row in zip(files, rows, strict=True):  # as predict.py does
        assert CLASSES[int(answering.predict(file).argmax())] == row["after_png"]
    assert {path.name for path in (run_dir / "images" / "targets").iterdir()} == {f"{row['image']}.png" for row in rows}
    assert (run_dir / "images" / "sheet.png").is_file()
    facts = json.loads((run_dir / "metrics.json").read_text())
    assert facts["status"] == "finished"
    assert facts["metrics"]["test/problems"] + facts["metrics"]["test/already"] == 15
    said = capsys.readouterr().out
    assert "15 of 15 problems" in said
    assert "95 % interval" in said


def test_with_jpeg_the_file_is_one_and_fools(train: Callable[..., Path], tmp_path: Path, photographs: Path) -> None:
    run = write_trained_run(tmp_path / "run")
    words = (f"run='{run}'", f"datamodule.images='{photographs}'", "module.target=3", "module.survive=jpeg")
    outputs = train(*SMALL, *words, "module.lr=0.2", "module.jpeg_quality=95")
    (run_dir,) = (outputs / "fooling_squeezenet").iterdir()
    rows = table(run_dir)
    files = [run_dir / "images" / f"{row['image']}_{row['target']}.jpg" for row in rows]
    fools = [row["fooled_jpeg"] == "1" for row in rows]
    assert any(fools)
    assert (read_back(files, run) == 3).tolist() == fools


def test_the_empty_folder_and_the_unknown_class_are_one_line(
    train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    for words, said in (
        (f"datamodule.images='{tmp_path / 'empty'}'", "no images in this folder"),
        ("module.target=stingrey", "module.target=stingrey: the net has no such class"),
    ):
        with pytest.raises(SystemExit):
            train(*SMALL, words)
        lines = capsys.readouterr().err.strip().splitlines()
        assert said in " ".join(lines)
        assert "Traceback" not in " ".join(lines)


@pytest.mark.parametrize(("resize", "size"), [(256, 224), (20, 15), (16, 16), (None, 16)])
def test_what_is_cut_to_its_center_gets_a_border(resize: int | None, size: int) -> None:
    normalizer = Normalizer(Normalization("some", (0.5,) * 3, (0.25,) * 3))
    net = TrainedNet("some", nn.Identity(), [], normalizer, size, resize, [], None)
    image = torch.rand(3, size, size)
    whole = framed(image, net)
    assert whole.shape == (3, resize or size, resize or size)
    assert torch.equal(center_crop(whole[None], size)[0], image)
