"""What the net sees of stored images: a function of seed, epoch and position, and of nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms import functional as tv

from labs import LabsError
from labs.datamodules.transforms import SETTINGS, Transforms
from labs.functional.normalization import IMAGENET, Normalization

COUNT, STORED, SIZE = 20, 18, 16
NONE: dict[str, Any] = {"crop_scale": None, "flip": False, "color": None, "views": None}
KINDS: dict[str, dict[str, Any]] = {
    "none": NONE,
    "flip": NONE | {"flip": True},
    "crop": NONE | {"crop_scale": [0.4, 1.0]},
    "color": NONE | {"color": 0.3},
    "all": NONE | {"crop_scale": [0.5, 1.0], "flip": True, "color": 0.3},
}
DRAWN = [kind for kind in KINDS if kind != "none"]
RAW = Normalization("none", (0.0,) * 3, (1.0,) * 3)


def transforms(
    augment: dict[str, Any], *, seed: int = 0, size: int = SIZE, normalization: Normalization = RAW
) -> Transforms:
    made = Transforms(size, augment, seed)
    made.normalize_by(normalization)
    return made


def stored_images(count: int = COUNT, channels: int = 3) -> Tensor:
    draw = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, (count, channels, STORED, STORED), generator=draw, dtype=torch.uint8)


def epoch_of(made: Transforms, epoch: int, positions: Tensor | None = None) -> Tensor:
    positions = torch.arange(COUNT) if positions is None else positions
    return made.training(stored_images()[positions], positions, epoch, COUNT)


class TestDraws:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("size", [1, 3, 7, COUNT])
    def test_they_do_not_depend_on_the_batches_or_their_order(self, kind: str, size: int) -> None:
        expected = epoch_of(transforms(KINDS[kind]), 4)
        made, order = transforms(KINDS[kind]), torch.randperm(COUNT, generator=torch.Generator().manual_seed(size))
        for positions in order.split(size):
            torch.testing.assert_close(epoch_of(made, 4, positions), expected[positions], rtol=0, atol=1e-6)

    @pytest.mark.parametrize("kind", DRAWN)
    def test_they_do_not_depend_on_what_was_asked_before(self, kind: str) -> None:
        made = transforms(KINDS[kind])
        for epoch in (5, 0, 5, 2):
            made.evaluation(stored_images())
            torch.rand(3)
            assert torch.equal(epoch_of(made, epoch), epoch_of(transforms(KINDS[kind]), epoch))

    @pytest.mark.parametrize("kind", DRAWN)
    def test_another_epoch_seed_or_position_is_another_draw(self, kind: str) -> None:
        first = epoch_of(transforms(KINDS[kind]), 0)
        assert not torch.equal(epoch_of(transforms(KINDS[kind]), 1), first)
        assert not torch.equal(epoch_of(transforms(KINDS[kind], seed=1), 0), first)
        alike = stored_images(1).expand(COUNT, -1, -1, -1)
        seen = transforms(KINDS[kind]).training(alike, torch.arange(COUNT), 0, COUNT)
        assert len(torch.unique(seen.flatten(1), dim=0)) >= (2 if kind == "flip" else COUNT)

    def test_the_global_generator_is_left_alone(self) -> None:
        before = torch.random.get_rng_state()
        epoch_of(transforms(KINDS["all"]), 0)
        assert torch.equal(torch.random.get_rng_state(), before)

    @pytest.mark.parametrize("kind", KINDS)
    def test_stored_images_are_left_as_they_were(self, kind: str) -> None:
        images = stored_images()
        transforms(KINDS[kind]).training(images, torch.arange(COUNT), 0, COUNT)
        assert torch.equal(images, stored_images())

    @pytest.mark.parametrize("kind", ["flip", "crop", "all"])
    def test_color_leaves_the_geometry_as_it_was(self, kind: str) -> None:
        for epoch in range(3):
            plain = epoch_of(transforms(KINDS[kind] | {"color": None}), epoch)
            faint = epoch_of(transforms(KINDS[kind] | {"color": 1e-6}), epoch)
            torch.testing.assert_close(faint, plain, rtol=0, atol=1e-5)
            strong = epoch_of(transforms(KINDS[kind] | {"color": 0.5}), epoch)
            assert (strong - plain).abs().amax(dim=(1, 2, 3)).min() > 0.01

    def test_crops_and_colors_are_drawn_separately(self) -> None:
        count = 1000
        ramp = torch.linspace(0, 255, STORED).to(torch.uint8).expand(STORED, STORED)
        ramps, positions = torch.stack([ramp, ramp.T, ramp]).expand(count, -1, -1, -1), torch.arange(count)
        height_or_width = transforms(KINDS["crop"]).training(ramps, positions, 0, count).std(dim=(2, 3))
        slope = transforms(KINDS["flip"]).training(ramps, positions, 0, count)[:, 0, 0].diff().mean(dim=1)
        gray = torch.full_like(ramps, 100)
        brightness = transforms(KINDS["color"]).training(gray, positions, 0, count).mean(dim=(1, 2, 3))
        area = height_or_width[:, 0] * height_or_width[:, 1]
        related = torch.corrcoef(torch.stack([brightness, area, slope]))
        assert related.fill_diagonal_(0).abs().max() < 0.15


class TestViews:
    @pytest.mark.parametrize("kind", DRAWN)
    @pytest.mark.parametrize("views", [1, 2, 5])
    def test_they_repeat_after_so_many_epochs_and_not_before(self, kind: str, views: int) -> None:
        made = transforms(KINDS[kind] | {"views": views})
        assert made.repeats == views
        seen = [epoch_of(made, epoch) for epoch in range(2 * views + 1)]
        for epoch, images in enumerate(seen):
            assert made.view(epoch) == epoch % views
            assert torch.equal(images, seen[epoch % views])
        assert len(torch.unique(torch.stack(seen).flatten(1), dim=0)) == views

    @pytest.mark.parametrize("kind", DRAWN)
    def test_the_first_ones_are_those_of_training_without_views(self, kind: str) -> None:
        for epoch in range(3):
            with_views = epoch_of(transforms(KINDS[kind] | {"views": 3}), epoch)
            assert torch.equal(with_views, epoch_of(transforms(KINDS[kind]), epoch))

    @pytest.mark.parametrize("kind", DRAWN)
    def test_without_views_nothing_repeats(self, kind: str) -> None:
        made = transforms(KINDS[kind])
        assert made.repeats is None
        assert [made.view(epoch) for epoch in (0, 1, 100)] == [0, 1, 100]
        assert len(torch.unique(torch.stack([epoch_of(made, e) for e in range(8)]).flatten(1), dim=0)) == 8

    def test_where_nothing_is_drawn_every_epoch_is_the_same(self) -> None:
        made = transforms(NONE)
        assert made.repeats == 1
        assert not made.random
        assert torch.equal(epoch_of(made, 0), epoch_of(made, 17))
        assert torch.equal(epoch_of(made, 0), made.evaluation(stored_images()))

    @pytest.mark.parametrize("kind", DRAWN)
    def test_what_is_drawn_is_random(self, kind: str) -> None:
        assert transforms(KINDS[kind]).random


class TestImages:
    @pytest.mark.parametrize("kind", KINDS)
    def test_evaluation_is_the_normalized_center(self, kind: str) -> None:
        seen = transforms(KINDS[kind], normalization=IMAGENET).evaluation(stored_images())
        center = tv.center_crop(stored_images() / 255, [SIZE, SIZE])
        expected = tv.normalize(center, list(IMAGENET.mean), list(IMAGENET.std))
        torch.testing.assert_close(seen, expected, rtol=0, atol=1e-5)

    @pytest.mark.parametrize("kind", KINDS)
    def test_training_is_normalized_last(self, kind: str) -> None:
        raw = epoch_of(transforms(KINDS[kind]), 2)
        assert 0 <= raw.min() < raw.max() <= 1
        assert raw.shape == (COUNT, 3, SIZE, SIZE)
        expected = tv.normalize(raw, list(IMAGENET.mean), list(IMAGENET.std))
        seen = epoch_of(transforms(KINDS[kind], normalization=IMAGENET), 2)
        torch.testing.assert_close(seen, expected, rtol=0, atol=1e-5)

    def test_flip_alone_mirrors_the_center_or_leaves_it(self) -> None:
        center = tv.center_crop(stored_images() / 255, [SIZE, SIZE])
        for image, seen in zip(center, epoch_of(transforms(KINDS["flip"]), 0)):
            assert torch.equal(seen, image) or torch.equal(seen, tv.hflip(image))

    def test_images_of_one_channel(self) -> None:
        made = transforms(KINDS["all"], normalization=Normalization("dataset", (0.5,), (0.25,)))
        seen = made.training(stored_images(channels=1), torch.arange(COUNT), 0, COUNT)
        assert seen.shape == (COUNT, 1, SIZE, SIZE)
        assert seen.min() >= -2
        assert seen.max() <= 2


class TestKey:
    def of(self, asked: int | None = 2, **changes: Any) -> str:
        """Return a key as its readers store it."""
        settings = {name: changes.pop(name) for name in SETTINGS if name in changes}
        return json.dumps(transforms({**KINDS["all"], "views": 2, **settings}, **changes).key(asked), sort_keys=True)

    @pytest.mark.parametrize(
        "change",
        [{"size": 15}, {"normalization": IMAGENET}, {"normalization": RAW._replace(std=(1.0, 1.0, 0.9))}],
        ids=["size", "statistics", "std"],
    )
    @pytest.mark.parametrize("asked", [None, 2])
    def test_size_and_statistics_count_always(self, change: dict[str, Any], asked: int | None) -> None:
        assert self.of(asked, **change) != self.of(asked)

    @pytest.mark.parametrize(
        "change",
        [{"seed": 1}, {"crop_scale": [0.4, 1.0]}, {"crop_scale": None}, {"flip": False}, {"color": 0.2}, {"views": 3}],
        ids=str,
    )
    def test_what_draws_counts_for_views_alone(self, change: dict[str, Any]) -> None:
        assert self.of(2, **change) != self.of(2)
        assert self.of(None, **change) == self.of(None)

    def test_the_name_of_the_statistics_does_not_count(self) -> None:
        assert self.of(normalization=RAW._replace(name="other")) == self.of()

    def test_what_was_seen_does_not_count(self) -> None:
        made = transforms(KINDS["all"] | {"views": 2})
        before = made.key(2)
        epoch_of(made, 1)
        assert made.key(2) == before

    def test_images_of_evaluation_are_not_those_of_views(self) -> None:
        assert self.of(None) != self.of(2)


class TestMistakes:
    @pytest.mark.parametrize(
        ("augment", "message"),
        [
            ({"colour": 0.3}, "augment.colour: unknown setting; expected one of crop_scale, flip, color, views"),
            *[
                ({"crop_scale": scale}, r"augment.crop_scale=.*: expected two fractions .* such as \[0.5,1.0\]")
                for scale in ([], [0.5], [0.5, 0.7, 1.0], [1.0, 0.5], [0.0, 1.0], [-0.5, 1.0], [0.5, 1.1])
            ],
            ({"crop_scale": [float("nan"), 1.0]}, "augment.crop_scale=.*: expected two fractions"),
            *[
                ({"color": color}, rf"augment.color={color}: expected a fraction in \(0, 1\), such as 0.3, or null")
                for color in (0, 0.0, 1, 1.0, -0.2, 30, True, "strong", float("nan"))
            ],
            *[
                ({"flip": True, "views": views}, f"augment.views={views}: expected a whole number from 1, or null")
                for views in (0, -1, 2.0, 2.5, "two")
            ],
            ({"views": 4}, "augment.views=4: no augmentation is random; type augment=crop_flip, too"),
            ({**NONE, "views": 1}, "augment.views=1: no augmentation is random; type augment=crop_flip"),
        ],
        ids=lambda value: str(value) if isinstance(value, dict) else "",
    )
    def test_the_message_says_what_to_type(self, augment: dict[str, Any], message: str) -> None:
        with pytest.raises(LabsError, match=message):
            Transforms(SIZE, augment, seed=0)

    @pytest.mark.parametrize(
        "augment", [*KINDS.values(), {}, {"flip": True}, {"crop_scale": (0.3, 0.3)}, {"color": 0.99}, {"flip": None}]
    )
    def test_what_is_right_is_taken(self, augment: dict[str, Any]) -> None:
        made = Transforms(SIZE, augment, seed=0)
        for name in SETTINGS:
            assert (getattr(made, name) or None) == (augment.get(name) or None)


@pytest.mark.parametrize(
    ("augment", "key"),
    [
        ({"crop_scale": 0.5}, "crop_scale"),
        ({"crop_scale": ["a", 1.0]}, "crop_scale"),
        ({"crop_scale": [None, 1.0]}, "crop_scale"),
        ({"flip": "no"}, "flip"),
        ({"flip": True, "views": True}, "views"),
        ({"color": True}, "color"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_name(augment: dict[str, Any], key: str) -> None:
    with pytest.raises(LabsError, match=rf"augment\.{key}="):
        Transforms(8, augment, 0)
