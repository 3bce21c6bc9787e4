"""The oracle of what is streamed is a plain sort over all images at once."""

from __future__ import annotations

import pytest
import torch

from labs.functional.peaks import Peaks


@pytest.mark.parametrize("batch", [1, 3, 20])
def test_streamed_peaks_are_those_of_a_sort(batch: int) -> None:
    maps = torch.randn(20, 5, 4, 3, generator=torch.Generator().manual_seed(0))
    maps[:, 3] = -maps[:, 3].abs()  # never above zero
    positions = torch.randperm(100, generator=torch.Generator().manual_seed(1))[:20]
    peaks = Peaks(top=4)
    for start in range(0, 20, batch):
        peaks.update(maps[start : start + batch], positions[start : start + batch])
    flat = maps.flatten(2)
    for channel in range(5):
        best = sorted(range(20), key=lambda image: -float(flat[image, channel].max()))[:4]
        assert peaks.positions[:, channel].tolist() == positions[best].tolist()
        for rank, image in enumerate(best):
            assert peaks.values[rank, channel] == flat[image, channel].max()
            assert flat[image, channel, peaks.places[rank, channel]] == peaks.values[rank, channel]
    torch.testing.assert_close(peaks.active_share, (maps > 0).double().mean((0, 2, 3)))
    torch.testing.assert_close(peaks.spread, flat.amax(2).double().std(0, correction=0))
    assert peaks.dead.tolist() == [False, False, False, True, False]
    assert peaks.telling(2) == peaks.spread.argsort(descending=True)[:2].tolist()


def test_of_equal_peaks_the_first_image_counts() -> None:
    peaks = Peaks(top=2)
    for image in range(5):
        peaks.update(torch.ones(1, 1, 2, 2), torch.tensor([image]))
    assert peaks.positions.flatten().tolist() == [0, 1]


def test_a_single_image_and_fewer_images_than_places() -> None:
    peaks = Peaks(top=8)
    peaks.update(torch.tensor([[[[1.0]], [[5.0]], [[3.0]]]]), torch.tensor([7]))
    assert peaks.values.shape == (1, 3)
    assert peaks.telling(2) == [1, 2]  # nothing varies: the highest
