import pytest
import torch
from torch import Tensor
from torchvision.transforms import functional as tv

from labs.functional.augment import DRAWS, center_crop, crop_flip


def random_images(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def random_draws(count: int, seed: int = 1) -> Tensor:
    return torch.rand(count, DRAWS, generator=torch.Generator().manual_seed(seed))


def draws_for(box: tuple[int, int, int, int], size: int, scale: tuple[float, float], mirror: float = 0.9) -> Tensor:
    """Solve for the draws that cut `box` (top, left, height, width; pixels) from a square image of `size` pixels."""
    top, left, height, width = box
    low, high = scale
    area = (height / size * width / size - low) / (high - low)
    aspect = (torch.log(torch.tensor(width / height)) / torch.log(torch.tensor(4 / 3)) + 1) / 2
    row, column = top / (size - height), left / (size - width)
    return torch.tensor([[area, float(aspect), row, column, mirror]])


class TestIdentity:
    draws = torch.full((4, DRAWS), 0.5)  # the whole area, a square, the centre, no mirror

    def test_the_whole_image_returns_unchanged(self) -> None:
        images = random_images(4, 16, 16)
        cropped = crop_flip(images, self.draws, 16, crop_scale=(1.0, 1.0), flip=True)
        torch.testing.assert_close(cropped, images, rtol=0, atol=1e-5)

    def test_it_is_the_same_wherever_the_centre_is_drawn(self) -> None:
        images = random_images(4, 16, 16)
        draws = self.draws.clone()
        draws[:, 2:4] = random_draws(4)[:, 2:4]  # a crop as large as the image has nowhere to go
        torch.testing.assert_close(
            crop_flip(images, draws, 16, crop_scale=(1.0, 1.0), flip=False), images, rtol=0, atol=1e-5
        )


class TestFlip:
    @pytest.mark.parametrize(
        ("draw", "flip", "mirrored"),
        [(0.0, True, True), (0.49, True, True), (0.5, True, False), (0.0, False, False)],
    )
    def test_without_a_crop_it_mirrors_exactly(self, draw: float, flip: bool, mirrored: bool) -> None:
        images = random_images(2, 9, 9)
        draws = torch.full((2, DRAWS), draw)
        expected = images.flip(-1) if mirrored else images
        assert torch.equal(crop_flip(images, draws, 9, crop_scale=None, flip=flip), expected)

    def test_a_mirrored_crop_is_the_crop_mirrored(self) -> None:
        images, draws = random_images(6, 20, 20), random_draws(6)
        plain = crop_flip(images, draws, 11, crop_scale=(0.2, 0.8), flip=False)
        draws[:, 4] = 0.1
        mirrored = crop_flip(images, draws, 11, crop_scale=(0.2, 0.8), flip=True)
        torch.testing.assert_close(mirrored, plain.flip(-1), rtol=0, atol=1e-5)

    def test_each_image_has_its_own_coin(self) -> None:
        images, draws = random_images(64, 4, 4), random_draws(64)
        result = crop_flip(images, draws, 4, crop_scale=None, flip=True)
        mirrored = torch.tensor([torch.equal(r, i.flip(-1)) for r, i in zip(result, images)])
        assert torch.equal(mirrored, draws[:, 4] < 0.5)
        assert 16 < mirrored.sum() < 48


class TestAgainstTorchvision:
    # torchvision cuts first and then resizes, so where it enlarges, the outermost pixels repeat the cut's edge, and
    # ours see the neighbours outside of it; shrinking, both sample inside the box and agree everywhere.

    @pytest.mark.parametrize(
        "box",
        [(4, 8, 16, 16), (0, 0, 16, 16), (16, 16, 16, 16), (3, 10, 16, 20), (7, 1, 20, 16), (5, 3, 22, 21)],
    )
    @pytest.mark.parametrize("size", [8, 16])
    def test_a_box_on_pixel_borders(self, box: tuple[int, int, int, int], size: int) -> None:
        images = random_images(1, 32, 32)
        ours = crop_flip(images, draws_for(box, 32, (0.1, 0.9)), size, crop_scale=(0.1, 0.9), flip=True)
        theirs = tv.resized_crop(images, *box, size=[size, size], antialias=False)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5)

    def test_enlarged_inside_of_the_edge(self) -> None:
        images, box = random_images(1, 32, 32), (6, 9, 14, 14)
        ours = crop_flip(images, draws_for(box, 32, (0.1, 0.9)), 28, crop_scale=(0.1, 0.9), flip=True)
        theirs = tv.resized_crop(images, *box, size=[28, 28], antialias=False)
        torch.testing.assert_close(ours[..., 1:-1, 1:-1], theirs[..., 1:-1, 1:-1], rtol=0, atol=2e-5)
        assert not torch.allclose(ours, theirs, atol=1e-3)

    def test_a_mirrored_box(self) -> None:
        images, box = random_images(1, 32, 32), (2, 7, 18, 18)
        ours = crop_flip(images, draws_for(box, 32, (0.1, 0.9), mirror=0.2), 9, crop_scale=(0.1, 0.9), flip=True)
        theirs = tv.hflip(tv.resized_crop(images, *box, size=[9, 9], antialias=False))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5)

    @pytest.mark.parametrize(("height", "size"), [(8, 8), (8, 4), (9, 5), (11, 3), (10, 6)])
    def test_the_centre_without_resizing(self, height: int, size: int) -> None:
        images = random_images(2, height, height)
        assert torch.equal(
            center_crop(images, size),
            tv.center_crop(images[..., : height - (height - size) % 2, : height - (height - size) % 2], [size, size]),
        )


class TestRange:
    def test_every_value_lies_between_those_of_its_image(self) -> None:
        images = random_images(200, 12, 12) * torch.rand(200, 3, 1, 1) - torch.rand(200, 3, 1, 1)
        result = crop_flip(images, random_draws(200), 10, crop_scale=(0.05, 1.0), flip=True)
        assert (result <= images.amax(dim=(2, 3), keepdim=True) + 1e-6).all()
        assert (result >= images.amin(dim=(2, 3), keepdim=True) - 1e-6).all()

    @pytest.mark.parametrize("draw", [0.0, 1 - 2**-24])
    def test_extreme_draws_touch_the_border_and_stay_inside(self, draw: float) -> None:
        # A picture of its own coordinates: what was sampled where. The inner samples tell the box, as none is clamped.
        line = (torch.arange(32) + 0.5) / 32
        images = torch.stack([line[:, None].expand(32, 32), line[None, :].expand(32, 32)])[None]
        where = crop_flip(images, torch.full((1, DRAWS), draw), 64, crop_scale=(0.25, 0.5), flip=False)
        for samples in (where[0, 0, :, 32], where[0, 1, 32, :]):
            step = (samples[40] - samples[20]) / 20
            start, end = samples[20] - 20.5 * step, samples[40] + 23.5 * step
            assert (start if draw == 0 else 1 - end) == pytest.approx(0, abs=1e-5)
            assert 0.4 < end - start < 0.85

    def test_areas_and_aspects_are_those_of_the_paper(self) -> None:
        count = 2000
        line = (torch.arange(64) + 0.5) / 64
        images = torch.stack([line[:, None].expand(64, 64), line[None, :].expand(64, 64)])[None].expand(
            count, -1, -1, -1
        )
        where = crop_flip(images, random_draws(count), 8, crop_scale=(0.1, 0.4), flip=False)
        height = (where[:, 0, 5, 0] - where[:, 0, 2, 0]) * 8 / 3  # inner samples: none is clamped at the border
        width = (where[:, 1, 0, 5] - where[:, 1, 0, 2]) * 8 / 3
        area, aspect = height * width, width / height
        assert 0.1 - 1e-3 <= area.min() < 0.105
        assert 0.395 < area.max() <= 0.4 + 1e-3
        assert area.mean() == pytest.approx(0.25, abs=0.01)
        assert 0.75 - 1e-3 <= aspect.min() < 0.76
        assert 1.32 < aspect.max() <= 4 / 3 + 1e-3
        assert aspect.log().mean() == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("crop_scale", [None, (0.3, 1.0)])
def test_an_image_is_the_same_alone_and_in_a_batch(crop_scale: tuple[float, float] | None) -> None:
    images, draws = random_images(7, 16, 16), random_draws(7)
    together = crop_flip(images, draws, 13, crop_scale=crop_scale, flip=True)
    alone = torch.cat(
        [crop_flip(images[i : i + 1], draws[i : i + 1], 13, crop_scale=crop_scale, flip=True) for i in range(7)]
    )
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-6)
    assert together.shape == (7, 3, 13, 13)


def test_inputs_are_left_as_they_were() -> None:
    images, draws = random_images(3, 8, 8), random_draws(3)
    before = images.clone(), draws.clone()
    crop_flip(images, draws, 8, crop_scale=(0.5, 1.0), flip=True)
    assert torch.equal(images, before[0])
    assert torch.equal(draws, before[1])
