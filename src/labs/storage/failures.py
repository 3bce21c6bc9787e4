"""Why a download failed."""

from __future__ import annotations


class FailedError(Exception):
    """A download failed. The text is the same for each kind of failure, with details in parentheses."""


class RefusedError(FailedError):
    """The failure is permanent.

    Attributes:
        by_host: Whether the host refused; otherwise it was not asked.
    """

    def __init__(self, why: str, *, by_host: bool = True) -> None:
        super().__init__(why)
        self.by_host = by_host


class TroubleError(FailedError):
    """The failure may be temporary.

    Attributes:
        wait: Seconds that the host asks to wait, if any.
    """

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


class DeadHostError(TroubleError):
    """The host cannot be found, so that all its files fail."""
