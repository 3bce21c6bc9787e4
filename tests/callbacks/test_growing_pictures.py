"""What a run leaves that makes pictures of classes: finished, interrupted, and gone on with."""

from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch
from class_pictures import SIZE, data, module
from lightning.pytorch.callbacks import ModelCheckpoint
from PIL import Image

from labs import LabsError
from labs.callbacks.growing_pictures import GrowingPictures
from labs.modules.maco import Maco

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),  # of Lightning, about itself
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
]


class Stop(pl.Callback):
    """Interrupt a run in the middle of its third epoch."""

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: Any, optimizer: object) -> None:
        if pl_module.evaluations == 5:
            raise ValueError("stop")


def run(folder: Path, *callbacks: pl.Callback, images: Any = None, resumed: Path | None = None, one: Any = None) -> Any:
    one = one or module()
    last = ModelCheckpoint(folder / "checkpoints", "last", save_on_train_epoch_end=True, enable_version_counter=False)
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=folder, callbacks=[GrowingPictures(frame_size=16), *callbacks, last],
    )  # fmt: skip
    trainer.fit(one, data(images), ckpt_path=resumed, weights_only=True)
    trainer.test(one, data(images), verbose=False)
    return one


def frames(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "images" / "growth").glob("*.png"))


def test_what_a_finished_run_leaves(tmp_path: Path) -> None:
    one = run(tmp_path)
    assert frames(tmp_path) == ["000000.png", "000002.png", "000004.png", "000006.png"]
    for name in ("growth.gif", "sheet.png"):
        assert (tmp_path / "images" / name).stat().st_size > 500
    table = pd.read_csv(tmp_path / "pictures.tsv", sep="\t")
    assert list(table["picture"]) == ["cat", "dog"]
    assert set(table.columns) == {"picture", "title", "prob", "rank", "judge_prob", "judge_rank", "seen"}
    for place, name in enumerate(table["picture"]):
        with Image.open(tmp_path / "images" / f"{name}.png") as image:
            assert image.size == (SIZE, SIZE)
            assert image.info["Title"] == name  # type: ignore[index]
            assert '"l2_form": "square"' in image.text["settings"]  # type: ignore[attr-defined]
            saved = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
        for net, column in ((one.looked_into, "prob"), (one.judge, "judge_prob")):
            assert net(saved).softmax(1)[0, place].item() == pytest.approx(table[column][place], rel=1e-4)


def test_an_interrupted_run_keeps_its_pictures_and_goes_on_with_its_frames(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stop"):
        run(tmp_path, Stop())
    assert frames(tmp_path) == ["000000.png", "000002.png", "000004.png"]
    assert (tmp_path / "images" / "cat.png").is_file()
    assert not (tmp_path / "pictures.tsv").exists()
    (tmp_path / "images" / "growth" / "000006.png").touch()  # of steps that no checkpoint has
    run(tmp_path, resumed=tmp_path / "checkpoints" / "last.ckpt")
    assert frames(tmp_path) == ["000000.png", "000002.png", "000004.png", "000006.png"]
    assert (tmp_path / "images" / "growth" / "000006.png").stat().st_size > 0


def test_an_image_stands_beside_what_became_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr("labs.callbacks.growing_pictures.classes_sheet", lambda *arguments: drawn.extend(arguments))
    run(tmp_path, images="gravel")
    columns, titles, captions = drawn[:3]
    assert titles == ["start", "gravel → cat", "start", "gravel → dog"]
    assert [len(column) for column in columns] == [1] * 4
    assert captions[0] == ""
    assert captions[1].startswith("tiny: ")


def test_what_did_not_matter_is_transparent_in_a_file_and_white_on_the_sheet(tmp_path: Path) -> None:
    one = module(
        Maco, optimizer=partial(torch.optim.NAdam, lr=0.5), size=64, crops=1, crop_sides=[0.25, 0.25], noise=0.0,
        photographs=["chelsea"], folder=str(tmp_path), normalized=False,
    )  # fmt: skip
    run(tmp_path, one=one)
    with Image.open(tmp_path / "images" / "cat-opacity.png") as image:
        assert image.mode == "RGBA"
        alpha = np.array(image)[..., 3]
    assert (alpha.min(), alpha.max()) == (0, 255)
    assert (tmp_path / "images" / "sheet.png").is_file()


def test_frames_too_small_to_see_are_refused() -> None:
    with pytest.raises(LabsError, match=r"callbacks\.pictures\.frame_size=8: expected 16"):
        GrowingPictures(frame_size=8)
