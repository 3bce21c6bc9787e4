"""Features from the fixed part of a net: computed once, kept on disk, and reused by later runs."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labs import LabsError
from labs.nets.eval_mode import evaluating
from labs.storage.bars import image_bar
from labs.storage.stores import NoRoomError, Stored, stored

Images = Callable[[], Iterable[Tensor]]


def stored_features(
    part: nn.Module,
    images: Images,
    count: int,
    example: tuple[tuple[int, ...], torch.dtype],
    *,
    key: Mapping[str, Any],
    folder: Path,
    budget: int,
    precision: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Stored:
    """Return memory-mapped features of images, (count, ...); compute them if no earlier run has.

    A store is identified by everything its content depends on: `key`, the part's operations, weights and buffers, the
    type of device and the version of torch. The least recently used stores are deleted to make room for new ones. NumPy
    has no bfloat16, so such features are stored as int16 with the same bits.

    Args:
        part: maps images to features; it runs in eval mode, on the device of the images.
        images: returns the images, batch by batch: (batch, channels, height, width), normalized.
        count: number of images.
        example: shape and dtype of the features of one image.
        key: everything that the images depend on, as strings and numbers.
        folder: folder of the stores.
        budget: maximum size of all stores in the folder together, in bytes.
        precision: returns the context, such as autocast, in which `part` runs.

    Raises:
        NoRoomError: the features do not fit into the budget or on the disk.
    """
    shape, dtype = example
    first = next(iter(part.parameters()), torch.zeros(0))
    whole_key = {**key, "part": part_key(part), "device": first.device.type, "torch": torch.__version__}
    whole_key |= {"tf32": torch.get_float32_matmul_precision(), "channels_last": _is_channels_last(part)}
    file = folder / f"{hashlib.sha256(json.dumps(whole_key, sort_keys=True).encode()).hexdigest()[:24]}.npy"

    def fill(values: np.ndarray) -> dict[str, Any]:
        start, done = time.perf_counter(), 0
        with torch.inference_mode(), evaluating(part), precision(), image_bar() as progress:
            bar = progress.add_task("computing features", total=count)
            for batch in images():
                features = _as_numpy(part(batch))
                values[done : done + len(features)] = features
                done += len(features)
                progress.advance(bar, len(features))
        if done != count:
            raise LabsError(f"Expected {count} images to compute features of, found {done}.")
        return {"images": count, "seconds": round(time.perf_counter() - start, 3), "key": whole_key}

    if not file.exists():
        make_room(folder, count * torch.Size(shape).numel() * dtype.itemsize, budget)
    return stored(file, (count, *shape), _as_numpy(torch.zeros(1, dtype=dtype)).dtype, fill)


def part_key(part: nn.Module) -> str:
    """Return a digest of a part's operations, parameters and buffers."""
    hashed = hashlib.sha256(f"{part!r}\n{getattr(part, 'code', '')}".encode())
    for name, tensor in part.state_dict().items():
        hashed.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        hashed.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return hashed.hexdigest()


def make_room(folder: Path, needed: int, budget: int) -> None:
    """Delete the least recently used stores until the new one fits the budget."""
    if needed > budget:
        raise NoRoomError(f"{needed / 1e9:.1f} GB of features exceed the budget of {budget / 1e9:g} GB.")
    stores: list[tuple[float, int, Path]] = []  # time of last use, size, JSON file
    for notes in folder.glob("[!.]*.json"):
        with suppress(OSError):  # another process deleted it
            stores.append((notes.stat().st_mtime, notes.with_suffix(".npy").stat().st_size, notes))
    taken = sum(size for _, size, _ in stores)
    for _, size, notes in sorted(stores):
        if taken + needed > budget:
            with suppress(PermissionError):  # Windows: a process has it open; elsewhere it can still read it
                notes.with_suffix(".npy").unlink(missing_ok=True)
                notes.unlink(missing_ok=True)
                taken -= size


def _is_channels_last(part: nn.Module) -> bool:
    kernels = [p for p in part.parameters() if p.dim() == 4 and p.shape[1] > 1]
    return any(p.is_contiguous(memory_format=torch.channels_last) and not p.is_contiguous() for p in kernels)


def _as_numpy(features: Tensor) -> np.ndarray:
    return (features.view(torch.int16) if features.dtype is torch.bfloat16 else features).numpy(force=True)
