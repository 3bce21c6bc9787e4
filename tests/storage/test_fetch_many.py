from __future__ import annotations

import errno
import hashlib
import io
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from archive_server import ArchiveServer
from PIL import Image
from project import ROOT

from labs import LabsError
from labs.datamodules.image_files import fault_of
from labs.storage import polite
from labs.storage.fetch_many import NO_ANSWER, Outcome, Wanted, fetch_many
from labs.storage.manifest import read_manifest


def jpeg(color: str, size: tuple[int, int] = (40, 30)) -> bytes:
    packed = io.BytesIO()
    Image.new("RGB", size, color).save(packed, "JPEG")
    return packed.getvalue()


RED, BLUE = jpeg("red"), jpeg("blue")
HTML = b"<!DOCTYPE html><title>Gone</title>"
SHA = hashlib.sha256(RED).hexdigest()
# What a server does; what the table in docs/downloads.md calls it; why there is no file (nothing: it came).
MISBEHAVIORS: list[tuple[str, dict[str, Any], str, str]] = [
    ("sends the image", {}, SHA, ""),
    ("has another image there", {}, "0" * 64, f"wrong SHA-256 ({SHA})"),
    ("sends a web page, named .jpg", {"body": HTML}, "", "an HTML page"),
    ("sends an image of 1x1 pixel", {"body": jpeg("red", (1, 1))}, "", "smaller than 8 pixels (1x1, height x width)"),
    ("is slow: one byte at a time", {"drip": 0.05}, "", "not complete after 1 seconds"),
    ("sends headers without an end", {"endless_head": True}, "", "not complete after 1 seconds"),
    ("sends half of the image, then nothing", {"stall_after": 99}, "", "no answer, or an incomplete one (timed out)"),
    (
        "breaks off, each time",
        {"break_after": [99] * 3},
        "",
        f"no answer, or an incomplete one (broke off after 99 of {len(RED)} bytes)",
    ),
    ("breaks off once", {"break_after": [99]}, "", ""),
    (
        "breaks off, and gave no length",
        {"break_after": [99], "send_length": False},
        "",
        "truncated (Truncated File Read)",
    ),
    ("sends bytes without an end", {"endless": True}, "", "more than 100,000 bytes"),
    ("announces a huge file", {"body": bytes(200_000)}, "", "more than 100,000 bytes (200,000)"),
    ("answers 404", {"status": 404}, "", "404 Not Found"),
    ("answers 500, then the image", {"statuses": [500]}, "", ""),
    ("answers 503, each time", {"status": 503}, "", "503 Service Unavailable"),
    ("answers 429 and Retry-After: 1, then the image", {"statuses": [429], "headers": {"Retry-After": "1"}}, "", ""),
    (
        "answers 429 and Retry-After: 3600",
        {"status": 429, "headers": {"Retry-After": "3600"}},
        "",
        "its host asks to wait too long (3600 seconds)",
    ),
    ("redirects to the image", {"location": "good.jpg"}, "", ""),
    ("redirects in a circle", {"location": "x.jpg"}, "", "more than 5 redirects"),
    ("redirects to a file of the machine", {"location": "file:///etc/passwd"}, "", "not an http(s) address"),
    ("redirects to no address", {"location": "http://["}, "", "not an http(s) address (Invalid IPv6 URL)"),
]


def get(wanted: list[Wanted], folder: Path, **options: Any) -> list[Outcome]:
    options = {"allow_private": True, "timeout": 0.5, "seconds_each": 1.0, "most_bytes": 100_000} | options
    return fetch_many(wanted, folder, accept=fault_of, progress=False, **options)


@pytest.fixture
def at_home(server: ArchiveServer, monkeypatch: pytest.MonkeyPatch) -> ArchiveServer:
    """Let any name ending in .test be 127.0.0.1, and any other unknown."""

    genuine = socket.getaddrinfo

    def resolve(host: str, port: int, *args: Any, **options: Any) -> list[Any]:
        if host[0].isdecimal():
            return genuine(host, port, *args, **options)
        if not host.endswith(".test"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr("labs.storage.web.socket.getaddrinfo", resolve)
    return server


def at(server: ArchiveServer, host: str, path: str) -> str:
    return server.url(path).replace("127.0.0.1", host)


@pytest.mark.parametrize(("_name", "behavior", "sha256", "why"), MISBEHAVIORS, ids=[m[0] for m in MISBEHAVIORS])
def test_what_a_server_does(
    server: ArchiveServer, tmp_path: Path, _name: str, behavior: dict[str, Any], sha256: str, why: str
) -> None:
    server.serve("good.jpg", RED)
    url = server.serve("x.jpg", **{"body": RED, **behavior})
    good = Wanted(server.url("good.jpg"), "good.jpg")  # so that somebody answers
    began = time.monotonic()
    outcome = get([good, Wanted(url, "a b/x.jpg", sha256 or None)], tmp_path)[1]
    assert time.monotonic() - began < 6
    assert outcome.why == why
    assert (outcome.path is None) == bool(why)
    if outcome.path is not None:
        assert outcome.path == tmp_path / "a b/x.jpg"
        assert outcome.path.read_bytes() == RED
    else:
        assert not (tmp_path / "a b/x.jpg").exists()
    assert list((tmp_path / ".parts").iterdir()) == []


def test_the_table_in_the_docs() -> None:
    page = (ROOT / "docs/downloads.md").read_text(encoding="utf-8")
    for name, _, _, why in MISBEHAVIORS:
        shown = why.replace(SHA, "...").replace(str(len(RED)), "653") if why else "the image"
        assert f"| {name} | {shown} |" in page


class TestManifest:
    def test_what_is_settled_is_not_asked_again(self, server: ArchiveServer, tmp_path: Path) -> None:
        good, gone = server.serve("good.jpg", RED), server.url("gone.jpg")
        wanted = [Wanted(good, "good.jpg"), Wanted(gone, "gone.jpg")]
        first = get(wanted, tmp_path)
        seen = len(server.requests)
        assert get(wanted, tmp_path) == first
        assert len(server.requests) == seen
        lines = (tmp_path / "manifest.tsv").read_text().splitlines()
        assert lines[0] == "url\tname\tsha256\tbytes\tstatus\twhy"
        assert lines[2] == f"{good}\tgood.jpg\t{SHA}\t{len(RED)}\tok\t"
        assert lines[1] == f"{gone}\tgone.jpg\t\t\tfailed\t404 Not Found"
        server.serve("gone.jpg", BLUE)
        assert [outcome.why for outcome in get(wanted, tmp_path, retry=True)] == ["", ""]
        assert len(server.requests) == seen + 1

    def test_removed_changed_and_unknown_files(self, server: ArchiveServer, tmp_path: Path) -> None:
        names = ("removed.jpg", "brought.jpg", "broken.jpg")
        wanted = [Wanted(server.serve(name, RED), name) for name in names]
        get(wanted[:1], tmp_path)
        (tmp_path / "removed.jpg").unlink()
        (tmp_path / "brought.jpg").write_bytes(BLUE)
        (tmp_path / "broken.jpg").write_bytes(HTML)
        whys = [outcome.why for outcome in get(wanted, tmp_path)]
        assert whys == ["", "", "the existing file: an HTML page"]
        assert [request.path for request in server.requests] == ["removed.jpg"] * 2
        assert (tmp_path / "brought.jpg").read_bytes() == BLUE
        assert (tmp_path / "broken.jpg").read_bytes() == HTML

    def test_torn_line_is_passed_over(self, server: ArchiveServer, tmp_path: Path) -> None:
        wanted = [Wanted(server.serve("good.jpg", RED), "good.jpg")]
        get(wanted, tmp_path)
        with (tmp_path / "manifest.tsv").open("a") as file:
            file.write("http://half")
        assert get(wanted, tmp_path)[0].path is not None
        assert len(read_manifest(tmp_path)) == 1

    @pytest.mark.parametrize("name", ["/a.jpg", "../a.jpg", "", "manifest.tsv", "A/b.jpg"])
    def test_names_that_cannot_be(self, server: ArchiveServer, tmp_path: Path, name: str) -> None:
        wanted = [Wanted(server.url("1"), "a/b.jpg"), Wanted(server.url("2"), name)]
        with pytest.raises(LabsError, match=r"inside the folder|more than once"):
            get(wanted, tmp_path / "new")
        assert not (tmp_path / "new").exists()

    def test_full_disk_is_one_line(
        self, server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*args: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("labs.storage.inbox.Path.replace", full)
        with pytest.raises(LabsError, match=r"cannot write .*: No space left on device"):
            get([Wanted(server.serve("good.jpg", RED), "good.jpg")], tmp_path)

    def test_offline(self, server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        wanted = [Wanted(server.serve(name, RED), name) for name in ("a.jpg", "b.jpg")]
        get(wanted[:1], tmp_path)
        monkeypatch.setenv("LABS_OFFLINE", "1")
        assert get(wanted[:1], tmp_path)[0].path is not None
        with pytest.raises(LabsError, match=r"lacks 1 file,.*b\.jpg.*LABS_OFFLINE forbids"):
            get(wanted, tmp_path)


class TestWhereAnAddressLeads:
    @pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "10.1.2.3", "169.254.169.254", "[::ffff:10.0.0.1]"])
    def test_private_addresses_are_refused(self, server: ArchiveServer, tmp_path: Path, host: str) -> None:
        wanted = [Wanted(at(server, host, "x.jpg"), "x.jpg")]
        outcome = get(wanted, tmp_path, allow_private=False)[0]
        assert outcome.why.startswith("a private address (")
        assert server.requests == []

    def test_redirect_to_a_private_address_is_refused_and_names_are_resolved_once(
        self, server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []
        connect, genuine = socket.create_connection, socket.getaddrinfo
        public = "93.184.215.14"

        def resolve(host: str, port: int, *args: Any, **options: Any) -> list[Any]:
            if host[0].isdecimal():
                return genuine(host, port, *args, **options)
            asked.append(host)  # a name that stands for another address when it is asked for again
            address = "10.0.0.1" if host == "inside.test" or asked.count(host) > 1 else public
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        def connected(address: tuple[str, int], *args: Any) -> socket.socket:
            assert address[0] == public
            return connect(("127.0.0.1", address[1]), *args)

        monkeypatch.setattr("labs.storage.web.socket.getaddrinfo", resolve)
        monkeypatch.setattr("labs.storage.web.socket.create_connection", connected)
        server.serve("good.jpg", RED)
        server.serve("inward.jpg", b"", location=at(server, "inside.test", "good.jpg"))
        wanted = [Wanted(at(server, "outside.test", name), name) for name in ("good.jpg", "inward.jpg")]
        good, inward = get(wanted, tmp_path, allow_private=False)
        assert good.why == ""
        assert inward.why == "a private address (inside.test: 10.0.0.1)"
        assert sorted(asked) == ["inside.test", "outside.test"]
        assert {request.host.partition(":")[0] for request in server.requests} == {"outside.test"}

    @pytest.mark.parametrize("url", ["ftp://a.test/x.jpg", "x.jpg", "http://", "http://a.test:port/", "http://[::1"])
    def test_what_is_no_address(self, tmp_path: Path, url: str) -> None:
        assert get([Wanted(url, "x.jpg")], tmp_path)[0].why.startswith("not an http(s) address")

    def test_blanks_and_letters_in_addresses(self, server: ArchiveServer, tmp_path: Path) -> None:
        server.serve("van%20gogh/%C3%A9t%C3%A9.jpg?v=1%202", RED)
        assert get([Wanted(server.url("van gogh/été.jpg?v=1 2"), "x.jpg")], tmp_path)[0].why == ""


class TestManyAddresses:
    def test_few_connections_to_one_host(self, at_home: ArchiveServer, tmp_path: Path) -> None:
        gate, most, now = threading.Event(), [0], [0]
        wanted = []
        for host in ("a.test", "b.test"):
            for number in range(8):
                at_home.serve(f"{host}{number}.jpg", RED, gate=gate)
                wanted.append(Wanted(at(at_home, host, f"{host}{number}.jpg"), f"{host}{number}.jpg"))
        thread = threading.Timer(0.4, lambda: (most.append(len(at_home.requests)), gate.set()))
        thread.start()
        assert all(outcome.path for outcome in get(wanted, tmp_path, timeout=3.0, seconds_each=5.0))
        assert now == [0]
        assert most[1] == 2 * polite.PER_HOST

    def test_retry_after_holds_for_the_whole_host(self, server: ArchiveServer, tmp_path: Path) -> None:
        first = server.serve("0.jpg", RED, statuses=[429], headers={"Retry-After": "1"})
        wanted = [Wanted(first, "0.jpg")]
        wanted += [Wanted(server.serve(f"{n}.jpg", RED), f"{n}.jpg") for n in range(1, 9)]
        assert all(outcome.path for outcome in get(wanted, tmp_path, workers=1))
        assert server.requests[1].at - server.requests[0].at >= 1

    def test_ten_thousand_dead_addresses_end_soon_and_are_settled(self, at_home: ArchiveServer, tmp_path: Path) -> None:
        at_home.serve("good.jpg", RED)
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
            wanted = [Wanted(f"http://host{n % 9}.test:{port}/{n}.jpg", f"{n}.jpg") for n in range(9_900)]
            wanted += [Wanted(f"http://host{n}.nowhere/{n}.jpg", f"gone/{n}.jpg") for n in range(100)]
            wanted.append(Wanted(at(at_home, "good.test", "good.jpg"), "good.jpg"))
            began = time.monotonic()
            outcomes = get(wanted, tmp_path)
        assert time.monotonic() - began < 20
        assert [outcome.why for outcome in outcomes].count("") == 1
        assert "failed 5 times in a row (last error: no answer" in outcomes[900].why
        assert outcomes[9_950].why == "its host has no address (Name or service not known)"
        assert len(read_manifest(tmp_path)) == 10_001
        assert get(wanted, tmp_path) == outcomes  # nothing is asked again
        assert len(at_home.requests) == 1

    def test_without_a_network_nothing_is_settled(
        self, at_home: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = []

        def nobody(host: str, *args: Any, **options: Any) -> list[Any]:
            asked.append(host)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

        monkeypatch.setattr("labs.storage.web.socket.getaddrinfo", nobody)
        outcomes = get([Wanted(f"http://host{n}.test/{n}.jpg", f"{n}.jpg") for n in range(10_000)], tmp_path)
        assert outcomes[0].why == "its host has no address (Temporary failure in name resolution)"
        assert outcomes[-1].why == NO_ANSWER
        assert len(asked) < 300
        assert read_manifest(tmp_path) == {}

    def test_host_that_goes_down_meanwhile_is_asked_again_another_time(
        self, server: ArchiveServer, tmp_path: Path
    ) -> None:
        wanted = [Wanted(server.serve(f"{n}.jpg", RED, status=503 if n else None), f"{n}.jpg") for n in range(9)]
        outcomes = get(wanted, tmp_path, workers=1)
        assert [outcome.path is None for outcome in outcomes] == [False, *[True] * 8]
        assert outcomes[-1].why == "its host failed 5 times in a row (last error: 503 Service Unavailable)"
        for entry in server.entries.values():
            entry.status = None
        assert all(outcome.path for outcome in get(wanted, tmp_path))


def test_ctrl_c_loses_nothing(server: ArchiveServer, tmp_path: Path) -> None:
    for number in range(30):
        server.serve(f"{number}.jpg", RED, stall_after=9 if number > 3 else None)
    script = textwrap.dedent(f"""
        from pathlib import Path
        from labs.storage.fetch_many import Wanted, fetch_many
        wanted = [Wanted(f"{server.url("")}{{n}}.jpg", f"{{n}}.jpg") for n in range(30)]
        fetch_many(wanted, Path({str(tmp_path)!r}), timeout=30.0, allow_private=True)
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", script], stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}
    )
    until = time.monotonic() + 20
    while len(read_manifest(tmp_path)) < 4 and time.monotonic() < until:
        time.sleep(0.02)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert time.monotonic() - began < 3
    assert b"KeyboardInterrupt" in errors
    assert len(read_manifest(tmp_path)) == 4
    assert list((tmp_path / ".parts").iterdir()) == []
    for entry in server.entries.values():
        entry.stall_after = None
    before = len(server.requests)
    outcomes = get([Wanted(server.url(f"{n}.jpg"), f"{n}.jpg") for n in range(30)], tmp_path)
    assert all(outcome.path for outcome in outcomes)
    assert len(server.requests) - before == 26


def test_a_link_in_place_of_the_staging_folder_is_not_followed(server: ArchiveServer, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("mine")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / ".parts").symlink_to(tmp_path / "precious")
    with pytest.raises(LabsError, match=r"\.parts is a link"):
        get([Wanted(server.serve("x.jpg", RED), "x.jpg")], tmp_path / "data")
    assert [path.name for path in (tmp_path / "precious").iterdir()] == ["file"]
