"""Inception's FID where its weights are there, and silence where they are not."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor

import labs.metrics.inception
from labs import LabsError
from labs.metrics.inception import WEIGHTS, inception_distance


class FakeDistance:
    """Remember what it is given."""

    last: "FakeDistance"

    def __init__(self, feature: int, *, feature_extractor_weights_path: str, **_: object) -> None:
        self.feature, self.path = feature, feature_extractor_weights_path
        self.seen: dict[bool, list[Tensor]] = {True: [], False: []}
        FakeDistance.last = self

    def update(self, images: Tensor, *, real: bool) -> None:
        assert images.dtype == torch.uint8
        assert images.shape[1] == 3, "Inception takes color images"
        self.seen[real].append(images)

    def compute(self) -> Tensor:
        return torch.tensor(12.5)


def images(count: int, channels: int, value: int) -> Tensor:
    return torch.full((count, channels, 32, 32), value, dtype=torch.uint8)


@pytest.fixture
def fake_inception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labs.metrics.inception, "FrechetInceptionDistance", FakeDistance)
    monkeypatch.setattr(labs.metrics.inception, "find_spec", lambda name: name)  # torch-fidelity is there


def test_none_without_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert inception_distance(images(3, 3, 0), images(3, 3, 9)) is None


@pytest.mark.usefixtures("fake_inception")
def test_weights_are_found_where_torch_keeps_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / WEIGHTS).touch()
    assert inception_distance(images(3, 3, 0), images(3, 3, 9)) == 12.5
    assert FakeDistance.last.feature == 2048
    assert Path(FakeDistance.last.path) == tmp_path / "checkpoints" / WEIGHTS


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere.pth"
    with pytest.raises(LabsError, match=r"callbacks.quality.inception_weights=.*nowhere.pth: there is no such file"):
        inception_distance(images(3, 3, 0), images(3, 3, 9), str(missing))


@pytest.mark.usefixtures("fake_inception")
def test_every_image_is_looked_at_once_on_its_side(tmp_path: Path) -> None:
    (tmp_path / "own.pth").touch()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # color images get no warning
        inception_distance(images(120, 3, 1), images(60, 3, 2), str(tmp_path / "own.pth"))
    fake, real = (torch.cat(FakeDistance.last.seen[is_real]) for is_real in (False, True))
    assert torch.equal(fake, images(120, 3, 1))
    assert torch.equal(real, images(60, 3, 2))


@pytest.mark.usefixtures("fake_inception")
def test_warns_about_gray_images_and_shows_them_as_color(tmp_path: Path) -> None:
    (tmp_path / "own.pth").touch()
    with pytest.warns(UserWarning, match="says little about gray images"):
        inception_distance(images(3, 1, 1), images(3, 1, 2), str(tmp_path / "own.pth"))
    assert torch.equal(torch.cat(FakeDistance.last.seen[True]), images(3, 3, 2))


@pytest.mark.parametrize("named", [True, False])
def test_without_torch_fidelity(named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError

    monkeypatch.setattr(labs.metrics.inception, "FrechetInceptionDistance", missing)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    file = tmp_path / "checkpoints" / WEIGHTS
    file.touch()
    if named:
        with pytest.raises(LabsError, match="pip install torch-fidelity"):
            inception_distance(images(3, 3, 0), images(3, 3, 9), str(file))
    else:
        assert inception_distance(images(3, 3, 0), images(3, 3, 9)) is None
