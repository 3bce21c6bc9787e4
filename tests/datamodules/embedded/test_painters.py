"""Eleven hands that paint: in the layout and the numbers of the real set, each told from the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labs.datamodules.artists import PAINTINGS
from labs.datamodules.embedded.painters import HANDS, SIDE, paint
from labs.datamodules.embedded.painting_scenes import SCENES, draw_scene


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("size", [(100, 70), (66, 100)])
def test_every_scene_is_drawn_at_any_size_and_never_twice_alike(scene: str, size: tuple[int, int]) -> None:
    first, second = (draw_scene(scene, size, HANDS[0].palette, np.random.default_rng(seed)) for seed in (0, 1))
    assert first.size == second.size == size
    assert (np.asarray(first) != np.asarray(second)).any()


def test_the_hands_are_those_of_the_table() -> None:
    assert {hand.name: hand.paintings for hand in HANDS} == PAINTINGS
    for hand in HANDS:
        assert sum(hand.motifs.values()) == pytest.approx(1)
        assert set(hand.motifs) <= set(SCENES)


@pytest.mark.parametrize("hand", HANDS, ids=lambda hand: hand.name)
def test_a_painting_is_padded_to_a_square(hand: object) -> None:
    picture = paint(hand, np.random.default_rng(3))  # type: ignore[arg-type]
    assert picture.size == (SIDE, SIDE)
    assert np.asarray(picture).std() > 8  # something is to be seen


def test_hands_differ_more_than_their_pictures_do() -> None:
    """Mean colors of the paler and the darker painters lie apart, and no hand is told by them alone."""
    means = {
        hand.name: np.array([np.asarray(paint(hand, np.random.default_rng([1, n]))).mean((0, 1)) for n in range(8)])
        for hand in HANDS
    }
    assert means["Rembrandt"].mean() < means["Claude Monet"].mean() / 1.5
    within = np.mean([found.std(axis=0).mean() for found in means.values()])
    between = np.std([found.mean(axis=0) for found in means.values()], axis=0).mean()
    assert 0.5 * within < between < 3 * within


def test_the_set_is_written_whole_with_what_the_real_one_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from labs.datamodules.embedded import painters

    monkeypatch.setattr(painters, "HANDS", HANDS[:2])
    painters.write_artists(tmp_path / "artists", progress=False)
    assert sorted(path.name for path in (tmp_path / "artists").iterdir()) == [".DS_Store", "Canaletto", "Claude Monet"]
    assert len(list(tmp_path.glob("artists/*/*.png"))) == 74
    with (
        pytest.raises(OSError, match="truncated"),
        Image.open(tmp_path / "artists" / "Claude Monet" / "001.png") as cut,
    ):
        cut.load()


def test_nothing_is_left_of_a_set_that_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from labs.datamodules.embedded import painters

    def stopped(*_: object) -> Callable[..., None]:
        raise KeyboardInterrupt

    monkeypatch.setattr(painters, "paint", stopped)
    with pytest.raises(KeyboardInterrupt):
        painters.write_artists(tmp_path / "artists", progress=False)
    assert not list(tmp_path.iterdir())
