"""Convert decoded images of any mode to 8-bit RGB."""

import numpy as np
from PIL import Image, ImageCms

_WORDS = {"1": "black and white", "L": "gray", "LA": "gray", "La": "gray", "P": "palette", "PA": "palette", "F": "gray"}


def tag(image: Image.Image, number: int) -> int | None:
    """Return the value of a TIFF tag, if it is a number."""
    value = getattr(image, "tag_v2", {}).get(number)
    return value if isinstance(value, int) else None


def depth_of(image: Image.Image) -> int:
    """Return the bits per channel in the file, as far as Pillow knows before decoding."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0].args if tiles else ""
    raw, *rest = (arguments,) if isinstance(arguments, str) else arguments or ("",)
    if image.format == "PPM" and rest and isinstance(rest[0], int):
        return 16 if rest[0] > 255 else 8  # the maximum value, which Pillow scales to that of the bits
    digits = "".join(c for c in str(raw).partition(";")[2] if c.isdigit())  # such as RGB;16B
    return int(digits) if digits else {"1": 1, "I;16": 16, "I": 32, "F": 32}.get(image.mode, 8)


def to_rgb(image: Image.Image, depth: int, words: list[str]) -> Image.Image:
    """Convert to RGB, and add the conversions to `words`."""
    transparent = image.info.get("transparency")
    if image.mode.startswith("I") or image.mode == "F":  # Pillow's own conversion would clip at 255
        words += ["gray", "floats to 8 bits" if image.mode == "F" else f"{depth} bits to 8"]
        values = np.asarray(image)
        gray = _eight_bits(values, depth, inverted=tag(image, 262) == 0)
        if isinstance(transparent, int) and (values == transparent).any():
            gray = np.where(values == transparent, np.uint8(255), gray)
            words.append("transparent on white")
        return Image.fromarray(gray).convert("RGB")
    words += [_WORDS.get(image.mode, image.mode)] if image.mode not in ("RGB", "RGBA", "RGBa", "RGBX") else []
    words += [f"{depth} bits to 8"] if depth > 8 else []
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB") or image
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or transparent is not None:
        if isinstance(transparent, tuple) and depth == 16:
            image.info["transparency"] = tuple(level >> 8 for level in transparent)  # like the pixels
        elif isinstance(transparent, int) and image.mode == "L" and depth in (2, 4):
            image.info["transparency"] = transparent * 255 // (2**depth - 1)
        upper = image.convert("RGBA")
        if upper.getchannel("A").getextrema() != (255, 255):
            words.append("transparent on white")
            upper = Image.alpha_composite(Image.new("RGBA", upper.size, "white"), upper)
        return upper.convert("RGB")
    return image.convert("RGB")


def _eight_bits(values: np.ndarray, depth: int, *, inverted: bool) -> np.ndarray:
    """Scale gray levels (height, width) of more than 8 bits to uint8."""
    levels = values.astype(np.float64)
    if not np.isfinite(levels).all():
        raise ValueError("some values are not finite")
    lowest = 0.0
    if depth <= 16 and levels.min() >= 0:
        highest = 2.0**depth - 1
    else:
        ranges = (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (255.0, 65535.0)
        fitting = (top for top in ranges if levels.min() >= 0 and levels.max() <= top)
        highest = next(fitting, 0.0)
        if not highest:
            lowest, highest = levels.min(), levels.max()
    scaled = (levels - lowest) * (255 / ((highest - lowest) or 1))
    return np.round(255 - scaled if inverted else scaled).astype(np.uint8)
