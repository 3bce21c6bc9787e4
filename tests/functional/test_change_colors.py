"""Colours of a batch, each image changed by factors of its own: torchvision's functions, one image at a time."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from torch import Tensor
from torchvision.transforms import functional as tv

from labs.functional import augment
from labs.functional.augment import COLOR_DRAWS, change_colors

LARGEST = 1 - 2**-24  # float below 1: what torch.rand can draw at most
TV_GREY = (0.2989, 0.587, 0.114)  # torchvision's weights; ours have one more digit of the first
ADJUST = (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation)


def random_images(count: int, channels: int = 3, height: int = 7, width: int = 10, seed: int = 0) -> Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(seed))


def random_draws(count: int, seed: int = 1) -> Tensor:
    return torch.rand(count, COLOR_DRAWS, generator=torch.Generator().manual_seed(seed))


def by_torchvision(images: Tensor, draws: Tensor, strength: float, order: tuple[int, ...] = (0, 1, 2)) -> Tensor:
    changed = []
    for image, row in zip(images, draws.tolist()):
        for which in order:
            image = ADJUST[which](image, 1 - strength + 2 * strength * row[which])
        changed.append(image)
    return torch.stack(changed)


def only(which: int, draw: float, count: int = 4) -> Tensor:
    draws = torch.full((count, COLOR_DRAWS), 0.5)
    draws[:, which] = draw
    return draws


class TestAgainstTorchvision:
    @pytest.mark.parametrize("strength", [0.1, 0.3, 0.9])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_brightness_then_contrast_then_saturation(self, channels: int, strength: float) -> None:
        images, draws = random_images(16, channels), random_draws(16)
        changed = change_colors(images, draws, strength=strength)
        torch.testing.assert_close(changed, by_torchvision(images, draws, strength), rtol=0, atol=3e-4)
        assert changed.shape == images.shape
        assert changed.dtype == images.dtype
        assert (changed - images).abs().amax(dim=(1, 2, 3)).min() > 0.01 * strength

    @pytest.mark.parametrize("strength", [0.3, 0.9])
    def test_with_its_weights_of_grey_to_the_last_digits(
        self, strength: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(augment, "GRAY", TV_GREY)
        images, draws = random_images(16), random_draws(16)
        changed = change_colors(images, draws, strength=strength)
        torch.testing.assert_close(changed, by_torchvision(images, draws, strength), rtol=0, atol=2e-6)

    def test_another_order_is_another_result(self) -> None:
        images, draws = random_images(16), random_draws(16)
        changed = change_colors(images, draws, strength=0.9)
        for order in list(permutations(range(3)))[1:]:
            assert not torch.allclose(changed, by_torchvision(images, draws, 0.9, order), atol=1e-2)

    @pytest.mark.parametrize("which", range(COLOR_DRAWS))
    @pytest.mark.parametrize("draw", [0.0, 0.3, LARGEST])
    def test_each_draw_moves_its_own_change(self, which: int, draw: float) -> None:
        images = random_images(4)
        changed = change_colors(images, only(which, draw), strength=0.6)
        expected = ADJUST[which](images, 0.4 + 1.2 * draw)
        torch.testing.assert_close(changed, expected, rtol=0, atol=1e-4)


class TestRange:
    @pytest.mark.parametrize("channels", [1, 2, 3])
    def test_draws_of_one_half_change_nothing(self, channels: int) -> None:
        images = random_images(3, channels)
        changed = change_colors(images, torch.full((3, COLOR_DRAWS), 0.5), strength=0.7)
        torch.testing.assert_close(changed, images, rtol=0, atol=1e-6)

    @pytest.mark.parametrize("strength", [0.01, 0.5, 0.999])
    @pytest.mark.parametrize("draw", [None, 0.0, LARGEST])
    def test_every_value_stays_in_range(self, draw: float | None, strength: float) -> None:
        extremes = torch.cat([random_images(30), random_images(30, seed=2).round(), torch.zeros(2, 3, 7, 10)])
        draws = random_draws(62) if draw is None else torch.full((62, COLOR_DRAWS), draw)
        changed = change_colors(extremes, draws, strength=strength)
        assert changed.isfinite().all()
        assert changed.min() >= 0
        assert changed.max() <= 1

    @pytest.mark.parametrize("draw", [0.0, LARGEST])
    def test_the_largest_brightness_is_one_plus_the_strength(self, draw: float) -> None:
        images = random_images(4) * 0.5
        changed = change_colors(images, only(0, draw), strength=0.4)
        torch.testing.assert_close(changed, images * (0.6 if draw == 0 else 1.4), rtol=0, atol=1e-6)

    def test_black_stays_black(self) -> None:
        assert not change_colors(torch.zeros(9, 3, 4, 4), random_draws(9), strength=0.9).any()

    @pytest.mark.parametrize("draw", [0.0, 0.7])
    def test_contrast_keeps_the_mean_grey_and_scales_the_distance_from_it(self, draw: float) -> None:
        images = 0.4 + 0.2 * random_images(4)
        changed = change_colors(images, only(1, draw), strength=0.5)
        mean = torch.stack([tv.rgb_to_grayscale(image).mean() for image in images])[:, None, None, None]
        torch.testing.assert_close(changed - mean, (images - mean) * (0.5 + draw), rtol=0, atol=1e-4)

    @pytest.mark.parametrize("draw", [0.0, 0.2, LARGEST])
    def test_saturation_leaves_grey_images_as_they_are(self, draw: float) -> None:
        images = random_images(4, channels=1).expand(-1, 3, -1, -1)
        changed = change_colors(images, only(2, draw), strength=0.9)
        torch.testing.assert_close(changed, images, rtol=0, atol=1e-6)


class TestOneChannel:
    @pytest.mark.parametrize("draw", [0.0, 0.2, LARGEST])
    def test_saturation_changes_nothing(self, draw: float) -> None:
        images = random_images(4, channels=1)
        torch.testing.assert_close(change_colors(images, only(2, draw), strength=0.9), images, rtol=0, atol=1e-6)

    def test_it_is_a_channel_of_the_grey_image_in_colour(self) -> None:
        images, draws = random_images(8, channels=1), random_draws(8)
        grey = change_colors(images, draws, strength=0.5)
        in_color = change_colors(images.repeat(1, 3, 1, 1), draws, strength=0.5)
        torch.testing.assert_close(in_color, grey.expand_as(in_color), rtol=0, atol=1e-6)


class TestPure:
    @pytest.mark.parametrize("channels", [1, 3])
    def test_an_image_is_the_same_alone_in_a_batch_and_in_another_order(self, channels: int) -> None:
        images, draws = random_images(7, channels), random_draws(7)
        together = change_colors(images, draws, strength=0.5)
        alone = torch.cat([change_colors(images[i : i + 1], draws[i : i + 1], strength=0.5) for i in range(7)])
        torch.testing.assert_close(alone, together, rtol=0, atol=1e-6)
        order = torch.tensor([3, 0, 6, 1, 5, 4, 2])
        turned = change_colors(images[order], draws[order], strength=0.5)
        torch.testing.assert_close(turned, together[order], rtol=0, atol=1e-6)

    def test_it_is_a_function_of_its_arguments_and_leaves_them(self) -> None:
        images, draws = random_images(5), random_draws(5)
        before = images.clone(), draws.clone(), torch.random.get_rng_state()
        results = [change_colors(images, draws, strength=0.5) for _ in range(2)]
        assert torch.equal(*results)
        assert torch.equal(images, before[0])
        assert torch.equal(draws, before[1])
        assert torch.equal(torch.random.get_rng_state(), before[2])

    def test_the_layout_in_memory_does_not_matter(self) -> None:
        images, draws = random_images(5), random_draws(5)
        wide = torch.cat([random_draws(5, seed=3), draws], dim=1)[:, COLOR_DRAWS:]
        changed = change_colors(images.contiguous(memory_format=torch.channels_last), wide, strength=0.5)
        torch.testing.assert_close(changed, change_colors(images, draws, strength=0.5), rtol=0, atol=1e-6)
