"""Describe a file to download, and verify a file against this description."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

_TITLES = {"sha256": "SHA-256", "md5": "MD5"}


class WrongFileError(Exception):
    """The file does not have the expected size or digest."""


@dataclass(frozen=True)
class Archive:
    """Describe a file to download: its name, mirrors, size and digest.

    Raises:
        ValueError: If a field is not valid.
    """

    name: str  # on disk, such as `CUB_200_2011.tgz`
    urls: tuple[str, ...]  # mirrors, tried in order; empty for a file that only the user can provide
    sha256: str = ""  # lowercase hex digits: all 64, or the first 8 or more (torchvision publishes 8)
    size: int | None = None  # in bytes, when known
    md5: str = ""  # instead of `sha256`, where only an MD5 was published
    most: int = 4_000_000_000  # largest size in bytes, where the size is not known

    def __post_init__(self) -> None:
        if not self.name or Path(self.name).name != self.name:
            raise ValueError(f"expected a file name without folders, found {self.name!r}")
        if bool(self.sha256) == bool(self.md5):
            raise ValueError(f"{self.name}: expected either a SHA-256 or an MD5")
        if self.sha256 and not re.fullmatch("[0-9a-f]{8,64}", self.sha256):
            raise ValueError(f"{self.name}: expected 8 to 64 lowercase hex digits, found {self.sha256!r}")
        if self.md5 and not re.fullmatch("[0-9a-f]{32}", self.md5):
            raise ValueError(f"{self.name}: expected 32 lowercase hex digits, found {self.md5!r}")
        for url in self.urls:
            if not url.startswith(("https://", "http://")):
                raise ValueError(f"{self.name}: expected an http(s) address, found {url!r}")

    @property
    def algorithm(self) -> str:
        """Return the name of the digest to check: `sha256` or `md5`."""
        return "sha256" if self.sha256 else "md5"

    @property
    def limit(self) -> int:
        """Return the largest size in bytes that a mirror may send."""
        return self.most if self.size is None else self.size

    @property
    def digest(self) -> str:
        """Return the expected digest, or its first digits."""
        return self.sha256 or self.md5

    def __str__(self) -> str:
        size = "unknown" if self.size is None else f"{self.size:,} bytes"
        starts = "starts with " if self.sha256 and len(self.sha256) < 64 else ""
        return f"size {size}, {_TITLES[self.algorithm]} {starts}{self.digest}"

    def verify(self, path: Path) -> str:
        """Verify the file at `path`; return its full digest, 64 hex digits (32 for an MD5).

        Raises:
            WrongFileError: If its size or its digest is not the expected one.
        """
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            raise WrongFileError(f"found {size:,} bytes, expected {self.size:,}")
        digest = digest_of(path, self.algorithm)
        if not digest.startswith(self.digest):
            raise WrongFileError(f"found {_TITLES[self.algorithm]} {digest}, expected {self.digest}")
        return digest


def digest_of(path: Path, algorithm: str) -> str:
    """Return a digest of a file as hex digits: 64 for `sha256`, 32 for `md5`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
