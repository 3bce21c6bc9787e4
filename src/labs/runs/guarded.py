"""What holds while somebody's run directory is read: the network is not asked, and no tensor fills the memory."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from labs import LabsError

_reading: ContextVar[str] = ContextVar("reading", default="")  # what is read, such as `run=outputs/run`
_NETWORK = (
    *("socket.connect", "socket.sendto", "socket.sendmsg"),
    *("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"),
)


@contextmanager
def without_network(reading: str) -> Iterator[None]:
    """Refuse every connection of this thread while the block runs, whoever asks for it.

    Args:
        reading: what is read, as it was typed, such as `run=outputs/run`; empty: nothing is refused.
    """
    if reading:
        _watch()
    token = _reading.set(reading)
    try:
        yield
    finally:
        _reading.reset(token)


@cache  # a hook stays as long as the process
def _watch() -> None:
    sys.addaudithook(_refuse)


def _refuse(event: str, _: Any) -> None:
    if event in _NETWORK and (reading := _reading.get()):
        raise LabsError(
            f"{reading}: it asks for the network, and reading a run directory needs none. If you know where this "
            "directory comes from, add trust=true."
        )


@contextmanager
def bounded_memory(most: int) -> Iterator[None]:
    """Refuse tensors beyond a number of bytes while the block runs: each one, and all that are made from nothing.

    They are refused before anything is written to them: until then Linux has only promised the memory.

    Raises:
        LabsError: A tensor is too large, or there are too many.
    """
    import torch  # only who builds something waits for the import
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Bounded(TorchDispatchMode):
        made = 0  # bytes

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            found = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
            size = max((leaf.untyped_storage().nbytes() for leaf in found), default=0)
            if not any(isinstance(leaf, torch.Tensor) for leaf in tree_leaves((args, kwargs))):
                self.made += size
            if max(size, self.made) > most:
                raise LabsError(
                    f"it asks for tensors of {max(size, self.made) / 1e9:,.1f} GB, more than {most / 1e9:,.1f} GB"
                )
            return result

    with Bounded():
        yield
