from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from sklearn.datasets import load_digits

from labs.datamodules.duplicates import NEAR, content_of, groups_of, hash_of, sets_of
from labs.datamodules.embedded.photographs import PHOTOGRAPHS


def groups(images: list[Image.Image], near: float = NEAR) -> tuple[list[list[int]], list[list[int]]]:
    exact, either = groups_of([content_of(image) for image in images], [hash_of(image) for image in images], near)
    return sets_of(exact), sets_of(either)


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


@pytest.fixture(scope="module")
def photographs() -> list[Image.Image]:
    return [Image.open(photograph.path).convert("RGB") for photograph in PHOTOGRAPHS.values()]


@pytest.mark.parametrize(
    "copy",
    [
        lambda image: jpeg(image, 40),
        lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
        lambda image: ImageEnhance.Brightness(image).enhance(1.15),
        lambda image: image.convert("L").convert("RGB"),
    ],
    ids=["worse", "smaller", "brighter", "gray"],
)
def test_a_photograph_and_its_altered_copy_are_near_and_no_two_photographs(
    photographs: list[Image.Image], copy: Callable[[Image.Image], Image.Image]
) -> None:
    count = len(photographs)
    _, near = groups([*photographs, *map(copy, photographs)])
    assert near == [[row, row + count] for row in range(count)]


def test_the_same_pixels_are_the_same_in_any_mode_of_storage(photographs: list[Image.Image]) -> None:
    first, second = photographs[:2]
    assert groups([first, second, first.copy()], near=0) == ([[0, 2]], [[0, 2]])
    turned = first.transpose(Image.Transpose.ROTATE_90)
    assert groups([first, turned]) == ([], [])


def test_plain_pictures_are_near_nothing() -> None:
    """Two white pages, or two skies, are no copies unless they are the same."""
    plain = [Image.new("RGB", (40, 40), (level,) * 3) for level in (250, 251, 250)]
    assert groups(plain) == ([[0, 2]], [[0, 2]])


def test_different_digits_do_not_chain_into_one() -> None:
    """All are different, though alike: a hash that took many for one would leave nothing to cut."""
    images = [Image.fromarray((d * 15).astype(np.uint8)).resize((28, 28)).convert("RGB") for d in load_digits().images]
    _, near = groups(images)
    assert max(map(len, near), default=0) < 0.1 * len(images)


def test_groups_are_those_of_every_pair_compared() -> None:
    draw = np.random.default_rng(0)
    base = draw.random((60, 1024)) < 0.3
    copies = base[draw.integers(0, 60, 240)] ^ (draw.random((240, 1024)) < draw.uniform(0, 0.1, (240, 1)))
    bits = np.concatenate([base, copies])
    either = (bits[:, None] | bits).sum(-1)
    near = (bits[:, None] & bits).sum(-1) >= (1 - NEAR) * either
    for _ in range(9):
        near = (near.astype(int) @ near) > 0  # through others, too
    expected = [tuple(np.flatnonzero(row).tolist()) for row in near]
    hashes = [np.packbits(row).tobytes().hex() for row in bits]
    _, found = groups_of([str(n) for n in range(len(bits))], hashes, NEAR)
    assert [tuple(np.flatnonzero(found == group).tolist()) for group in found] == expected
    assert 60 <= len(set(expected)) < 300
