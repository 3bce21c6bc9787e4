"""Find copies among images: exact ones by their pixels, near ones by a hash. Splits keep copies together."""

import hashlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from labs.storage.bars import image_bar

GRID = 16  # positions of the hash in each direction
STEP = 2  # gray levels by which neighbors must differ to count as brighter or darker
LEAST = 16  # minimum number of steps in two images together, because all plain images are alike
NEAR = 0.2  # maximum fraction of steps that differ between near copies
_BLOCK = 128  # rows to compare at once


def content_of(image: Image.Image) -> str:
    """Return a digest of an image's size and pixels: equal for the same picture in two formats."""
    return hashlib.blake2b(image.tobytes(), key=str(image.size).encode(), digest_size=16).hexdigest()


def hash_of(image: Image.Image) -> str:
    """Return a perceptual hash in hexadecimal: where an image of 17x17 gray pixels becomes brighter or darker.

    It is a difference hash ("dHash") in both directions. A step counts if it is larger than `STEP` gray levels, so that
    plain areas add nothing. A change of size, format, quality or brightness changes only a few steps.
    """
    gray = np.asarray(image.convert("L").resize((GRID + 1, GRID + 1), Image.Resampling.BOX)).astype(int)
    right, down = (gray[:, 1:] - gray[:, :-1])[:GRID], (gray[1:] - gray[:-1])[:, :GRID]
    bits = np.concatenate([(sign * steps > STEP).ravel() for steps in (right, down) for sign in (1, -1)])
    return np.packbits(bits).tobytes().hex()


def groups_of(contents: Sequence[str], hashes: Sequence[str], near: float) -> tuple[np.ndarray, np.ndarray]:
    """Group images that are copies of each other, directly or through other copies.

    Args:
        contents: results of `content_of`, one per image.
        hashes: results of `hash_of`, one per image.
        near: maximum fraction of steps that differ between near copies, in [0, 1); 0 finds exact copies only.

    Returns:
        The groups of exact copies, and of exact or near copies: two arrays (images,) int64, numbered from 0.
    """
    _, first, exact = np.unique(contents, return_index=True, return_inverse=True)
    if near <= 0 or len(first) < 2:
        return exact, exact
    raw = np.frombuffer(bytes.fromhex("".join(hashes[row] for row in first)), dtype=np.uint64).reshape(len(first), -1)
    return exact, _connected(raw, near)[exact]


def _connected(hashes: np.ndarray, near: float) -> np.ndarray:
    """Return the group of each hash (images, words): near hashes, directly or through others, are in one group."""
    steps = np.bitwise_count(hashes).sum(axis=1).astype(np.int64)
    order = np.argsort(steps, kind="stable")  # only hashes with similar numbers of steps can be near
    ordered, counts = hashes[order], steps[order]
    group = np.arange(len(hashes))
    with image_bar() as bar:
        task = bar.add_task("looking for copies", total=len(hashes))
        for start in range(0, len(hashes), _BLOCK):
            block = slice(start, start + _BLOCK)
            last = int(np.searchsorted(counts, counts[block][-1] / (1 - near), side="right"))
            shared = np.zeros((len(counts[block]), last - start), dtype=np.int64)
            for word in range(hashes.shape[1]):
                shared += np.bitwise_count(ordered[block, word, None] & ordered[None, start:last, word])
            either = counts[block, None] + counts[None, start:last] - shared
            ones, others = np.nonzero((either >= LEAST) & (shared >= (1 - near) * either))
            _join(group, start + ones, start + others)
            bar.update(task, completed=start + len(shared))
    found = np.empty_like(group)
    found[order] = group
    return np.unique(found, return_inverse=True)[1]


def _join(group: np.ndarray, ones: np.ndarray, others: np.ndarray) -> None:
    """Merge the two groups of each pair, in place."""
    pairs = np.stack([group[ones], group[others]], axis=1)
    for one, other in np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0):
        one_now, other_now = group[one], group[other]  # a group is named after one of its members
        group[group == max(one_now, other_now)] = min(one_now, other_now)


def sets_of(groups: np.ndarray) -> list[list[int]]:
    """Return the rows of each group that has two or more members.

    Examples:
        >>> sets_of(np.array([0, 1, 0, 2, 1, 0]))
        [[0, 2, 5], [1, 4]]
    """
    order = np.argsort(groups, kind="stable")
    cuts = np.flatnonzero(np.diff(groups[order])) + 1
    found = [[int(row) for row in rows] for rows in np.split(order, cuts) if len(rows) > 1]
    return sorted(found)
