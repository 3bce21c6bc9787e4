"""What the tests of downloads share: bytes, and a web server on 127.0.0.1 that fails on demand."""

from __future__ import annotations

import hashlib
import itertools
import random
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

from labs.storage.fetch import Archive, fetch

BODY = random.Random(0).randbytes(300_000)
OTHER = BODY[:-1] + bytes([BODY[-1] ^ 1])  # as long, one bit apart


def archive_of(*urls: str, body: bytes = BODY, digits: int = 64, sized: bool = True) -> Archive:
    digest = hashlib.sha256(body).hexdigest()[:digits]
    return Archive("birds.tgz", urls, digest, len(body) if sized else None)


def get(archive: Archive, folder: Path, *, timeout: float = 5.0, retries: int = 3) -> Path:
    return fetch(archive, folder, timeout=timeout, retries=retries, progress=False)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def part_of(folder: Path) -> Path:
    return folder / ".birds.tgz.part"


@dataclass
class Entry:
    """What is served at one path, and how it fails.

    `break_after` and `statuses` hold one entry a request and are used up: then the answers are whole again.
    """

    body: bytes
    break_after: list[int] = field(default_factory=list)  # close the connection after so many bytes
    statuses: list[int] = field(default_factory=list)  # answer with this error
    headers: dict[str, str] = field(default_factory=dict)  # of errors
    status: int | None = None  # answer with this error each time
    ignore_range: bool = False
    range_shift: int = 0  # answer a Range request from so many bytes further on
    send_length: bool = True
    content_type: str = "application/octet-stream"
    location: str | None = None  # redirect there
    stall_after: int | None = None  # send so many bytes, then nothing more until the server closes
    gate: threading.Event | None = None  # answer only once this is set
    endless: bool = False  # send the body again and again; without a length
    endless_head: bool = False  # send headers until the server closes
    drip: float = 0.0  # send one byte at a time, with so many seconds in between


@dataclass
class Seen:
    """One request as it came in, and how many bytes of the body went out."""

    path: str
    range: str | None
    sent: int = 0
    host: str = ""
    at: float = 0.0  # of the monotonic clock


class ArchiveServer:
    """Serve entries from a thread: `with ArchiveServer() as server: url = server.serve("a.tgz", body)`."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.requests: list[Seen] = []
        self.arrived = threading.Semaphore(0)  # released at each request
        self.closing = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def serve(self, path: str, body: bytes, **failures: object) -> str:
        """Serve `body` at `path`, with the failures named as in `Entry`; return the address."""
        self.entries[path] = Entry(body, **failures)  # type: ignore[arg-type]
        return self.url(path)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/{path}"

    def __enter__(self) -> ArchiveServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def _handler(server: ArchiveServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.lstrip("/")
            seen = Seen(path, self.headers["Range"], host=self.headers["Host"], at=time.monotonic())
            server.requests.append(seen)
            server.arrived.release()
            entry = server.entries.get(path)
            if entry is None:
                return self._refuse(404)
            if entry.gate is not None:
                entry.gate.wait(10)
            if entry.statuses or entry.status:
                return self._refuse(entry.statuses.pop(0) if entry.statuses else entry.status or 500, **entry.headers)
            if entry.endless_head:
                return self._head()
            if entry.location:
                return self._refuse(302, Location=entry.location)
            return self._send(entry, seen)

        def _refuse(self, status: int, **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def _head(self) -> None:
            with suppress(OSError):
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
                while not server.closing.wait(0.02):
                    self.wfile.write(b"x")

        def _send(self, entry: Entry, seen: Seen) -> None:
            wanted = re.fullmatch(r"bytes=(\d+)-", seen.range or "")
            start = int(wanted[1]) + entry.range_shift if wanted and not entry.ignore_range else 0
            if start and start >= len(entry.body):
                return self._refuse(416, **{"Content-Range": f"bytes */{len(entry.body)}"})
            body = entry.body[start:]
            self.send_response(206 if wanted and not entry.ignore_range else 200)
            if wanted and not entry.ignore_range:
                last = len(entry.body) - 1
                self.send_header("Content-Range", f"bytes {start}-{last}/{len(entry.body)}")
            self.send_header("Content-Type", entry.content_type)
            if entry.send_length and not entry.endless:
                self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            limit = entry.break_after.pop(0) if entry.break_after else entry.stall_after
            body = body[:limit]
            seen.sent = len(body)
            with suppress(OSError):  # whoever asked has hung up
                for piece in self._pieces(entry, body):
                    self.wfile.write(piece)
                    self.wfile.flush()
            if entry.stall_after is not None:
                server.closing.wait(10)
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_WR)
            return None

        def _pieces(self, entry: Entry, body: bytes) -> Iterator[bytes]:
            bytewise = (body[place : place + 1] for place in range(len(body)))
            for piece in bytewise if entry.drip else itertools.repeat(body) if entry.endless else [body]:
                if server.closing.wait(entry.drip):
                    return
                yield piece

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name http.server uses)
            pass

    return Handler
