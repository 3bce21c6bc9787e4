from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from PIL import Image

from labs import LabsError
from labs.cli.check import _check_call
from labs.datamodules.image_pair import ImagePair, Pairs


def image_pair(**options: Any) -> ImagePair:
    arguments = {"content": "astronaut", "style": ["gravel", "ihc"], "image_size": 32, "embedded": True}
    return ImagePair(**(arguments | options))


def ready(**options: Any) -> ImagePair:
    datamodule = image_pair(**options)
    datamodule.setup("fit")
    return datamodule


def pictures(datamodule: ImagePair) -> Pairs:
    return datamodule.pictures


def drawn(path: Path, height: int, width: int, seed: int = 0) -> str:
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
    return str(path)


def test_every_content_with_every_style_content_by_content() -> None:
    datamodule = ready(content=["astronaut", "camera"], style=["gravel", "ihc", "chelsea"])
    assert datamodule.names == [f"{c}_{s}" for c in ("astronaut", "camera") for s in ("gravel", "ihc", "chelsea")]
    assert datamodule.contents == ["astronaut"] * 3 + ["camera"] * 3
    assert datamodule.styles == ["gravel", "ihc", "chelsea"] * 2
    contents, styles = pictures(datamodule)
    assert contents.shape == styles.shape == (6, 3, 32, 32)
    assert contents.dtype == styles.dtype == torch.float32
    for tensor in (contents, styles):
        assert tensor.min() >= 0
        assert 0.3 < tensor.max() <= 1
    assert torch.equal(contents[0], contents[2])
    assert not torch.equal(contents[0], contents[3])
    assert torch.equal(styles[1], styles[4])
    # each pair is what it is alone
    alone = pictures(ready(content="camera", style="ihc"))
    assert torch.equal(alone.contents[0], contents[4])
    assert torch.equal(alone.styles[0], styles[4])


def test_pairs_replace_contents_and_styles() -> None:
    datamodule = ready(content="none", style=[], pairs=[["camera", "ihc"], ["astronaut", "gravel"]])
    assert datamodule.names == ["camera_ihc", "astronaut_gravel"]
    whole = pictures(ready(content=["astronaut", "camera"]))
    assert torch.equal(pictures(datamodule).contents, whole.contents[[2, 0]])
    assert torch.equal(pictures(datamodule).styles, whole.styles[[1, 0]])


def test_names_of_files_are_unique(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    same = [drawn(tmp_path / "my cat.png", 20, 20), drawn(tmp_path / "other" / "my cat.png", 20, 20, seed=1)]
    datamodule = ready(content=same, style="ihc")
    assert datamodule.names == ["my-cat_ihc", "my-cat_ihc_2"]
    assert datamodule.contents == same
    assert not torch.equal(*pictures(datamodule).contents)


@pytest.mark.parametrize(("height", "width"), [(60, 80), (80, 60), (33, 120), (20, 80), (50, 50)])
def test_a_content_keeps_its_proportions_and_the_style_covers_it(tmp_path: Path, height: int, width: int) -> None:
    content, style = drawn(tmp_path / "content.png", height, width), drawn(tmp_path / "style.png", 70, 50)
    datamodule = ready(content=content, style=style, image_size=24)
    assert min(datamodule.height, datamodule.width) == 24
    assert abs(datamodule.height - 24 * height / min(height, width)) < 1
    assert abs(datamodule.width - 24 * width / min(height, width)) < 1
    expected = (1, 3, datamodule.height, datamodule.width)
    assert pictures(datamodule).contents.shape == pictures(datamodule).styles.shape == expected


def test_a_style_of_the_size_is_taken_as_it_is(tmp_path: Path) -> None:
    style = drawn(tmp_path / "style.png", 32, 32)
    stored = torch.from_numpy(np.array(Image.open(style))).permute(2, 0, 1) / 255
    assert torch.equal(pictures(ready(style=style)).styles[0], stored)


def test_square_contents_of_several_shapes_come_out_in_one_size(tmp_path: Path) -> None:
    long = drawn(tmp_path / "long.png", 20, 200)
    datamodule = ready(content=["china", "astronaut", long], crop="square", style="ihc")
    assert pictures(datamodule).contents.shape == (3, 3, 32, 32)
    middle = Image.open(long).crop((90, 0, 110, 20)).resize((32, 32), Image.Resampling.LANCZOS)
    read = (pictures(datamodule).contents[2] * 255).round().byte().permute(1, 2, 0).numpy()
    inner = slice(6, -6)  # near the cut, the window of Lanczos sees what lies beyond it
    assert np.array_equal(read[:, inner], np.asarray(middle)[:, inner])


def test_one_batch_an_epoch() -> None:
    datamodule = ready()
    for loader in (datamodule.train_dataloader(), datamodule.test_dataloader()):
        (batch,) = loader
        assert len(loader) == 1
        assert isinstance(batch, Pairs)
        assert torch.equal(batch.contents, pictures(datamodule).contents)
        assert torch.equal(batch.styles, pictures(datamodule).styles)


class Watcher(pl.LightningModule):
    """Count what a Trainer hands over."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[Any] = []

    def training_step(self, batch: Pairs, batch_idx: int) -> torch.Tensor:
        self.seen.append(batch)
        return self.weight * batch.contents.mean()

    def test_step(self, batch: Pairs, batch_idx: int) -> None:
        self.seen.append(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_a_trainer_fits_tests_and_resumes(tmp_path: Path) -> None:
    def trainer(epochs: int) -> pl.Trainer:
        return pl.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            logger=False,
            default_root_dir=tmp_path,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
        )

    module, first = Watcher(), trainer(3)
    first.fit(module, image_pair())
    first.save_checkpoint(tmp_path / "last.ckpt")
    first.test(module, image_pair(), verbose=False)
    assert len(module.seen) == 4
    assert all(isinstance(batch, Pairs) and batch.contents.shape == (2, 3, 32, 32) for batch in module.seen)
    trainer(4).fit(module, image_pair(), ckpt_path=tmp_path / "last.ckpt")
    assert len(module.seen) == 5
    with pytest.raises(LabsError, match="the checkpoint was made from other pictures"):
        trainer(4).fit(module, image_pair(style=["ihc", "gravel"]), ckpt_path=tmp_path / "last.ckpt")


def test_a_checkpoint_of_other_pictures_is_refused() -> None:
    saved = ready().state_dict()
    assert json.loads(json.dumps(saved)) == saved  # plain numbers and words
    assert saved["names"] == ["astronaut_gravel", "astronaut_ihc"]
    assert saved["size"] == [32, 32]
    assert len(saved["digest"]) == 12
    ready().load_state_dict(saved)
    for other in ({"style": ["ihc", "gravel"]}, {"content": "camera"}, {"image_size": 33}):
        with pytest.raises(LabsError, match=r"other pictures \(astronaut_gravel, .* start a new run"):
            ready(**other).load_state_dict(saved)


def test_files_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    datamodule = ready()
    monkeypatch.setattr("labs.datamodules.image_pair.read_picture", None)
    datamodule.setup("test")


def test_facts() -> None:
    facts = ready(content="china", style=["gravel", "china"]).facts()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["labels"] == ["embedded data"]
    assert facts["pictures"] == ["china_gravel", "china_china"]
    assert facts["size"] == [32, 47]
    assert [line.partition(":")[0] for line in facts["credits"]] == ["china", "gravel"]
    assert image_pair(embedded=False).labels == []


def test_files_have_no_credit_line(tmp_path: Path) -> None:
    file = drawn(tmp_path / "a.png", 40, 40)
    assert ready(content=file, style=file).credits == []


def test_what_it_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ready(style=["hubble", "gravel", "ihc"])
    assert capsys.readouterr().out.splitlines() == [
        "astronaut with hubble, gravel, ihc: 3 pairs at 32x32 (embedded data)",
        "style hubble: cropped to 87 % of its area to match the content's shape",
    ]
    small = drawn(tmp_path / "small.png", 16, 12)
    ready(pairs=[["astronaut", small]], embedded=False)
    assert capsys.readouterr().out.splitlines() == [
        "astronaut_small: 1 pair at 32x32",
        f"style {small}: cropped to 75 % of its area to match the content's shape, "
        "and enlarged 2.7 times, including its brush strokes",
    ]
    gray = str(tmp_path / "gray.png")
    Image.new("LA", (32, 32)).save(gray)
    ready(pairs=[[gray, gray]], embedded=False)
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"content {gray}: converted (gray, transparent on white)",
        f"style {gray}: converted (gray, transparent on white)",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 15}, "image_size=15: expected 16 to 4096"),
        ({"image_size": 4097}, "image_size=4097: expected 16 to 4096"),
        ({"content": []}, r"datamodule.content=\[\]: expected at least one picture"),
        ({"style": []}, r"datamodule.style=\[\]: expected at least one picture"),
        ({"pairs": []}, "expected pairs of content and style"),
        ({"pairs": [["a", "b"], ["c"]]}, "expected pairs of content and style"),
        ({"pairs": ["ab"]}, "expected pairs of content and style"),
        ({"content": ["camera", "camera"]}, "the pair camera, gravel is repeated"),
        ({"style": ["a.jpg", "./a.jpg"]}, "the pair astronaut, a.jpg is repeated"),
        ({"pairs": [["a", "b"], ["b", "a"], ["a", "b"]]}, "the pair a, b is repeated"),
    ],
)
def test_mistakes_that_need_no_file(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LabsError, match=message):
        image_pair(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"content": "astronuat"}, r"^datamodule.content=astronuat: .*did you mean astronaut\?"),
        ({"style": "gravle"}, r"^datamodule.style=gravle: .*did you mean gravel\?"),
        ({"pairs": [["camera", "gravle"]]}, r"^datamodule.pairs=gravle: .*did you mean gravel\?"),
        ({"content": "thin.png"}, r"datamodule.content=thin.png: smaller than 8 pixels \(40x1, height x width\)"),
        ({"style": "thin.png"}, "datamodule.style=thin.png: smaller than 8 pixels"),
        ({"content": "thin.png", "crop": "square"}, "datamodule.content=thin.png: smaller than 8 pixels"),
        ({"content": "long.png"}, r"long.png: 20x81 pixels .* more than 4 times .*datamodule.crop=square"),
        (
            {"content": ["camera", "long.png", "china"]},
            "long.png: 20x81 pixels",
        ),
        (
            {"content": ["camera", "china"]},
            r"need the same size, found \(height x width\) 32x32 \(camera\) and 32x47 \(china\); "
            "type datamodule.crop=square, or run each alone with -m datamodule.content=camera,china$",
        ),
        ({"pairs": [["camera", "ihc"], ["china", "ihc"]]}, "need the same size, .*, or run each alone$"),
    ],
)
def test_mistakes_in_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    drawn(Path("thin.png"), 40, 1)
    drawn(Path("long.png"), 20, 81)
    with pytest.raises(LabsError, match=message):
        ready(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"content": 3}, r"datamodule.content=3: expected a word or a list \[a, b\], each a word"),
        ({"style": ["a", 3]}, r"datamodule.style=\['a', 3\]: expected a word or a list"),
        ({"style": None}, "datamodule.style=null: expected a word"),
        ({"pairs": ["ab"]}, r"datamodule.pairs=\['ab'\]: expected a list"),
        ({"crop": "sqare"}, "datamodule.crop=sqare: expected one of none, square"),
        ({"image_size": "big"}, "datamodule.image_size=big: expected a whole number"),
        ({"contents": "a"}, r"did you mean datamodule.content\?"),
        ({}, None),
        ({"content": ["a", "b"], "pairs": [["a", "b"]]}, None),
    ],
)
def test_the_recipe_is_checked_before_it_runs(options: dict[str, Any], message: str | None) -> None:
    recipe = {"_target_": "labs.datamodules.image_pair.ImagePair", "content": "a", "style": "b", "pairs": None}
    recipe |= {"image_size": 128, "crop": "none", "embedded": True} | options
    if message is None:
        _check_call(recipe, "datamodule")
    else:
        with pytest.raises(LabsError, match=message):
            _check_call(recipe, "datamodule")
