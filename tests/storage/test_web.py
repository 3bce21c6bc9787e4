"""Downloads behind a proxy, and redirects that leave https."""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from archive_server import BODY, ArchiveServer, archive_of, get

from labs import LabsError
from labs.storage.failures import RefusedError, TroubleError
from labs.storage.web import Web


@pytest.fixture
def behind_a_proxy(server: ArchiveServer, monkeypatch: pytest.MonkeyPatch) -> ArchiveServer:
    """Nothing is reachable but a proxy with a private address, and private servers are not allowed."""
    for name in ("no_proxy", "NO_PROXY", "LABS_ALLOW_PRIVATE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server.url(""))
    return server


def test_an_archive_comes_through_the_proxy_which_resolves_names(behind_a_proxy: ArchiveServer, tmp_path: Path) -> None:
    behind_a_proxy.serve("http://outside.test/a.tgz", BODY, break_after=[1000])
    assert get(archive_of("http://outside.test/a.tgz"), tmp_path).read_bytes() == BODY
    assert [request.host for request in behind_a_proxy.requests] == ["outside.test"] * 2
    assert behind_a_proxy.requests[1].range == "bytes=1000-"


@pytest.mark.parametrize(
    "inside",
    [
        "127.0.0.1",
        "[::1]",
        "10.0.0.1",
        "169.254.169.254",
        "localhost",
        "a.localhost",
        "127.1",
        "0x7f000001",
        "localhost.",
    ],
)
def test_the_proxy_is_not_asked_for_private_addresses(
    behind_a_proxy: ArchiveServer, tmp_path: Path, inside: str
) -> None:
    behind_a_proxy.serve("http://outside.test/a.tgz", b"", location=f"http://{inside}/secret")
    with pytest.raises(LabsError, match="a private address"):
        get(archive_of("http://outside.test/a.tgz"), tmp_path)
    assert len(behind_a_proxy.requests) == 1


def test_lists_of_addresses_do_not_use_the_proxy(behind_a_proxy: ArchiveServer) -> None:
    web = Web(timeout=1, seconds_each=1, most_bytes=10, allow_private=True)
    with pytest.raises(TroubleError, match="refused"):  # by the address itself
        next(web.get("http://127.0.0.1:9/a"))
    assert not behind_a_proxy.requests


@pytest.fixture
def tunnel() -> Iterator[tuple[str, list[bytes]]]:
    """A proxy that refuses tunnels, and what it was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connected, _ = listening.accept()
            with connected:
                asked.append(connected.recv(10_000))
                connected.sendall(b"HTTP/1.1 407 Who are you?\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}", asked
        thread.join(5)


def test_https_asks_the_proxy_for_a_tunnel(
    tunnel: tuple[str, list[bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, asked = tunnel
    for name in ("no_proxy", "NO_PROXY", "HTTPS_PROXY", "LABS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", f"http://me:p%40ss@{place}")
    with pytest.raises(LabsError, match=f"the proxy {place} answers 407 Who are you"):
        get(archive_of("https://outside.test/a.tgz"), tmp_path, retries=0)
    assert asked[0].startswith(b"CONNECT outside.test:443 HTTP/1.1\r\nHost: outside.test:443\r\n")
    assert b"Proxy-Authorization: Basic bWU6cEBzcw==\r\n\r\n" in asked[0]


def test_a_redirection_from_https_to_http_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(*_: object) -> Generator[bytes, None, str]:
        yield from ()
        return "http://example.org/a"

    monkeypatch.setattr(Web, "_ask", answer)
    with pytest.raises(RefusedError, match="from https to something else"):
        next(Web(timeout=1, seconds_each=1, most_bytes=10).get("https://example.org/a"))
