"""The one reader of image files: pixels and words for every format, and why a file is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labs.datamodules.image_files import UnreadableImageError, read_rgb

DRAW = np.random.default_rng(0)
COLORS = DRAW.integers(0, 256, (20, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "BMP"])
def test_an_ordinary_image_is_as_pillow_reads_it(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(COLORS).save(path)
    image, words = read_rgb(path)
    assert words == []
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), np.asarray(Image.open(path).convert("RGB")))


def test_a_refusal_has_a_short_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.touch()
    with pytest.raises(UnreadableImageError, match="a.jpg: zero bytes") as caught:
        read_rgb(path)
    assert caught.value.reason == "zero bytes"
