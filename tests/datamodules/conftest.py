from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# archive_server.py lies in tests/, which pytest adds to the path only if it collects a test there
sys.path.insert(0, str(Path(__file__).parents[1]))

from archive_server import ArchiveServer

from labs.datamodules import download


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ArchiveServer]:
    """Serve on 127.0.0.1; requests go there directly and retries do not wait."""
    monkeypatch.setattr(download, "BACKOFF_SECONDS", 0.001)
    monkeypatch.delenv("LABS_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ArchiveServer() as running:
        yield running
