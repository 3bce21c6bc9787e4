from __future__ import annotations

import hashlib
import io
import os
import random
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request
import zipfile
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from archive_server import ArchiveServer

from labs.datamodules import fetch as module
from labs.datamodules.fetch import Archive, fetch, sha256_of, unpack
from labs.errors import LabsError

BODY = random.Random(0).randbytes(300_000)
OTHER = BODY[:-1] + bytes([BODY[-1] ^ 1])  # as long, one bit apart


@pytest.fixture(autouse=True)
def _quick_and_direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF_SECONDS", 0.001)
    monkeypatch.delenv("LABS_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[ArchiveServer]:
    with ArchiveServer() as running:
        yield running


def archive_of(*urls: str, body: bytes = BODY, digits: int = 64, sized: bool = True) -> Archive:
    digest = hashlib.sha256(body).hexdigest()[:digits]
    return Archive("birds.tgz", urls, digest, len(body) if sized else None)


def get(archive: Archive, folder: Path, **options: float) -> Path:
    return fetch(archive, folder, progress=False, **{"timeout": 5.0, **options})  # type: ignore[arg-type]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def part_of(folder: Path) -> Path:
    return folder / ".birds.tgz.part"


class TestDownload:
    @pytest.mark.parametrize("sized", [True, False])
    @pytest.mark.parametrize("send_length", [True, False])
    @pytest.mark.parametrize("digits", [8, 64])
    def test_plain(
        self, server: ArchiveServer, tmp_path: Path, sized: bool, send_length: bool, digits: int
    ) -> None:
        url = server.serve("a", BODY, send_length=send_length)
        path = get(archive_of(url, sized=sized, digits=digits), tmp_path / "new" / "folder")
        assert path == tmp_path / "new" / "folder" / "birds.tgz"
        assert path.read_bytes() == BODY
        assert [request.range for request in server.requests] == [None]
        assert not part_of(path.parent).exists()

    def test_progress_bar_names_the_file_on_stderr(
        self, server: ArchiveServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fetch(archive_of(server.serve("a", BODY)), tmp_path, progress=True)
        captured = capsys.readouterr()
        assert "birds.tgz" in captured.err
        assert captured.out == ""

    def test_resumes_within_a_call(self, server: ArchiveServer, tmp_path: Path) -> None:
        url = server.serve("a", BODY, break_after=[100_000, 50_000])
        assert get(archive_of(url), tmp_path).read_bytes() == BODY
        assert [request.range for request in server.requests] == [None, "bytes=100000-", "bytes=150000-"]
        assert sum(request.sent for request in server.requests) == len(BODY)  # no byte was sent twice

    def test_resumes_in_the_next_call(self, server: ArchiveServer, tmp_path: Path) -> None:
        url = server.serve("a", BODY, break_after=[100_000])
        with pytest.raises(LabsError, match="100,000 of 300,000 bytes") as caught:
            get(archive_of(url), tmp_path, retries=0)
        assert "run again to go on" in str(caught.value)
        assert part_of(tmp_path).read_bytes() == BODY[:100_000]
        assert get(archive_of(url), tmp_path, retries=0).read_bytes() == BODY
        assert (server.requests[1].range, server.requests[1].sent) == ("bytes=100000-", 200_000)

    def test_next_mirror_continues_where_the_first_broke(self, server: ArchiveServer, tmp_path: Path) -> None:
        first = server.serve("first", BODY, break_after=[100_000])
        second = server.serve("second", BODY)
        assert get(archive_of(first, second), tmp_path, retries=0).read_bytes() == BODY
        assert [(r.path, r.range) for r in server.requests] == [("first", None), ("second", "bytes=100000-")]

    def test_server_that_ignores_range(self, server: ArchiveServer, tmp_path: Path) -> None:
        url = server.serve("a", BODY, break_after=[100_000], ignore_range=True)
        assert get(archive_of(url), tmp_path).read_bytes() == BODY
        assert [request.range for request in server.requests] == [None, "bytes=100000-"]

    def test_server_that_answers_another_range(self, server: ArchiveServer, tmp_path: Path) -> None:
        part_of(tmp_path).write_bytes(BODY[:1000])
        shifted = server.serve("shifted", BODY + b"0", range_shift=1)  # as many bytes as were asked for
        assert get(archive_of(shifted, server.serve("good", BODY)), tmp_path).read_bytes() == BODY
        assert [(r.path, r.range) for r in server.requests] == [
            ("shifted", "bytes=1000-"), ("good", "bytes=1000-"),
        ]  # fmt: skip

    def test_whole_part_is_verified_without_a_request(self, server: ArchiveServer, tmp_path: Path) -> None:
        part_of(tmp_path).write_bytes(BODY)
        assert get(archive_of(server.serve("a", BODY)), tmp_path).read_bytes() == BODY
        assert server.requests == []

    def test_whole_part_of_unknown_size_is_verified_after_416(
        self, server: ArchiveServer, tmp_path: Path
    ) -> None:
        part_of(tmp_path).write_bytes(BODY)
        assert get(archive_of(server.serve("a", BODY), sized=False), tmp_path).read_bytes() == BODY
        assert [(r.range, r.sent) for r in server.requests] == [("bytes=300000-", 0)]

    @pytest.mark.parametrize("left", [OTHER[-1:] * 100_000, OTHER, BODY + b"more"])
    def test_wrong_part_is_thrown_away_and_the_same_mirror_asked_again(
        self, server: ArchiveServer, tmp_path: Path, left: bytes
    ) -> None:
        part_of(tmp_path).write_bytes(left)
        assert get(archive_of(server.serve("a", BODY)), tmp_path).read_bytes() == BODY
        assert server.requests[-1].range is None

    @pytest.mark.parametrize("status", [408, 429, 500, 503])
    def test_passing_refusal_is_tried_again(self, server: ArchiveServer, tmp_path: Path, status: int) -> None:
        url = server.serve("a", BODY, statuses=[status, status])
        assert get(archive_of(url), tmp_path).read_bytes() == BODY
        assert len(server.requests) == 3

    def test_waits_longer_before_each_retry(
        self, server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waits: list[float] = []
        monkeypatch.setattr(module, "BACKOFF_SECONDS", 1.0)
        monkeypatch.setattr("time.sleep", waits.append)
        with pytest.raises(LabsError, match=r"503 .*\(attempts: 4\)"):
            get(archive_of(server.serve("a", BODY, status=503)), tmp_path, retries=3)
        assert waits == [1.0, 2.0, 4.0]

    @pytest.mark.parametrize("status", [401, 403, 404, 410])
    def test_lasting_refusal_goes_to_the_next_mirror_at_once(
        self, server: ArchiveServer, tmp_path: Path, status: int
    ) -> None:
        urls = server.serve("gone", b"", status=status), server.serve("good", BODY)
        assert get(archive_of(*urls), tmp_path).read_bytes() == BODY
        assert [request.path for request in server.requests] == ["gone", "good"]

    def test_stalled_connection_times_out_and_is_resumed(self, server: ArchiveServer, tmp_path: Path) -> None:
        stalled = server.serve("stalled", BODY, stall_after=1000)  # for ten seconds
        good = server.serve("good", BODY)
        begin = time.monotonic()
        assert get(archive_of(stalled, good), tmp_path, timeout=0.2, retries=0).read_bytes() == BODY
        assert time.monotonic() - begin < 5
        assert server.requests[1].range == "bytes=1000-"

    def test_redirection_is_followed_with_its_range(self, server: ArchiveServer, tmp_path: Path) -> None:
        part_of(tmp_path).write_bytes(BODY[:1000])
        url = server.serve("old", b"", location=server.serve("new", BODY))
        assert get(archive_of(url), tmp_path).read_bytes() == BODY
        assert server.requests[1].range == "bytes=1000-"

    def test_redirection_from_https_to_http_is_refused(self) -> None:
        request = urllib.request.Request("https://example.org/a")
        with pytest.raises(module._MirrorError, match="from https to http:"):
            module._StayOnHttps().redirect_request(
                request, io.BytesIO(), 302, "Found", {}, "http://example.org/a"
            )


class TestWrongFile:
    def test_tampered_mirror_is_left_for_the_next(self, server: ArchiveServer, tmp_path: Path) -> None:
        urls = server.serve("tampered", OTHER), server.serve("good", BODY)
        assert get(archive_of(*urls), tmp_path).read_bytes() == BODY
        assert [(r.path, r.range) for r in server.requests] == [("tampered", None), ("good", None)]

    def test_tampered_only_mirror_leaves_nothing(self, server: ArchiveServer, tmp_path: Path) -> None:
        with pytest.raises(LabsError, match=hashlib.sha256(OTHER).hexdigest()):
            get(archive_of(server.serve("tampered", OTHER)), tmp_path)
        assert len(server.requests) == 1
        assert not (tmp_path / "birds.tgz").exists()
        assert not part_of(tmp_path).exists()

    def test_good_mirror_survives_bytes_of_a_tampered_one(
        self, server: ArchiveServer, tmp_path: Path
    ) -> None:
        tampered = server.serve("tampered", bytes(len(BODY)), break_after=[1000])
        good = server.serve("good", BODY)
        assert get(archive_of(tampered, good), tmp_path, retries=1).read_bytes() == BODY
        # The tampered mirror breaks, is resumed, is found wrong; the good one starts from nothing.
        assert [(r.path, r.range) for r in server.requests] == [
            ("tampered", None), ("tampered", "bytes=1000-"), ("good", None),
        ]  # fmt: skip

    @pytest.mark.parametrize("body", [BODY[:-1], BODY + b"0"])
    def test_announced_wrong_size_is_not_downloaded(
        self, server: ArchiveServer, tmp_path: Path, body: bytes
    ) -> None:
        url = server.serve("a", body)
        with pytest.raises(LabsError, match=f"a file of {len(body):,} bytes, expected 300,000"):
            get(archive_of(url), tmp_path)
        assert len(server.requests) == 1
        assert not part_of(tmp_path).exists()

    def test_endless_answer_is_cut(self, server: ArchiveServer, tmp_path: Path) -> None:
        url = server.serve("a", BODY + bytes(5_000_000), send_length=False)
        with pytest.raises(LabsError, match="expected 300,000") as caught:
            get(archive_of(url), tmp_path)
        found = int(str(caught.value).split("found ")[1].split(" bytes")[0].replace(",", ""))
        assert 300_000 < found <= 300_000 + module.CHUNK_BYTES
        assert not part_of(tmp_path).exists()

    def test_web_page_is_explained_and_the_next_mirror_used(
        self, server: ArchiveServer, tmp_path: Path
    ) -> None:
        page = server.serve("page", b"<html>quota</html>", content_type="text/html; charset=utf-8")
        with pytest.raises(LabsError, match=r"answered with a web page \(quota or consent page\)"):
            get(archive_of(page), tmp_path)
        assert get(archive_of(page, server.serve("good", BODY)), tmp_path).read_bytes() == BODY
        assert [request.path for request in server.requests] == ["page", "page", "good"]

    def test_all_mirrors_dead_says_each_reason_and_where_to_put_the_file(
        self, server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with ArchiveServer() as closed:
            silent = closed.url("silent")
        urls = (server.url("missing"), server.serve("busy", BODY, status=503), silent)
        with pytest.raises(LabsError) as caught:
            get(archive_of(*urls), Path("data"), retries=1)
        message = str(caught.value)
        assert f"{urls[0]}: 404 Not Found" in message
        assert f"{urls[1]}: 503 Service Unavailable (attempts: 2)" in message
        assert "refused" in message.split(silent)[1]
        assert str(tmp_path / "data" / "birds.tgz") in message
        assert "300,000 bytes" in message
        assert hashlib.sha256(BODY).hexdigest() in message


class TestFileInPlace:
    def test_good_file_is_used_without_a_request(self, server: ArchiveServer, tmp_path: Path) -> None:
        (tmp_path / "birds.tgz").write_bytes(BODY)
        assert get(archive_of(server.serve("a", BODY)), tmp_path).read_bytes() == BODY
        assert server.requests == []

    @pytest.mark.parametrize(
        ("body", "found"), [(OTHER, hashlib.sha256(OTHER).hexdigest()), (b"short", "found 5 bytes")]
    )
    def test_wrong_file_is_named_and_left_alone(
        self, server: ArchiveServer, tmp_path: Path, body: bytes, found: str
    ) -> None:
        target = tmp_path / "birds.tgz"
        target.write_bytes(body)
        with pytest.raises(LabsError) as caught:
            get(archive_of(server.serve("a", BODY)), tmp_path)
        for needed in (str(target), found, hashlib.sha256(BODY).hexdigest(), "300,000", "delete it"):
            assert needed in str(caught.value)
        assert target.read_bytes() == body
        assert server.requests == []
        assert names_in(tmp_path) == ["birds.tgz"]

    def test_folder_or_dead_link_in_place_is_left_alone(self, server: ArchiveServer, tmp_path: Path) -> None:
        (tmp_path / "birds.tgz").symlink_to(tmp_path / "unmounted")
        with pytest.raises(LabsError, match="a link to nothing"):
            get(archive_of(server.serve("a", BODY)), tmp_path)
        assert (tmp_path / "birds.tgz").is_symlink()
        assert server.requests == []

    def test_file_put_there_during_the_download_is_kept(
        self, server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stream = module._stream

        def stream_while_the_user_acts(*args: object) -> bool:
            (tmp_path / "birds.tgz").write_bytes(b"mine")
            return stream(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(module, "_stream", stream_while_the_user_acts)
        with pytest.raises(LabsError, match="found 4 bytes"):
            get(archive_of(server.serve("a", BODY)), tmp_path)
        assert (tmp_path / "birds.tgz").read_bytes() == b"mine"

    @pytest.mark.parametrize("downloaded", [True, False])
    def test_verified_file_is_not_hashed_again(
        self, server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, downloaded: bool
    ) -> None:
        archive = archive_of(server.serve("a", BODY))
        if not downloaded:
            (tmp_path / "birds.tgz").write_bytes(BODY)
        get(archive, tmp_path)
        hashed: list[Path] = []

        def counted(path: Path) -> str:
            hashed.append(path)
            return sha256_of(path)

        monkeypatch.setattr(module, "sha256_of", counted)
        get(archive, tmp_path)
        get(archive_of("http://127.0.0.1/", digits=8), tmp_path)
        assert hashed == []
        (tmp_path / ".birds.tgz.verified").unlink()
        get(archive, tmp_path)
        assert hashed == [tmp_path / "birds.tgz"]

    @pytest.mark.parametrize("change", ["bytes", "mtime", "sidecar", "expectation"])
    def test_sidecar_counts_only_for_the_same_file(self, tmp_path: Path, change: str) -> None:
        target, archive = tmp_path / "birds.tgz", archive_of()
        target.write_bytes(BODY)
        get(archive, tmp_path)
        before = target.stat()
        if change == "sidecar":  # another file with the same times, under a sidecar that makes no sense
            (tmp_path / ".birds.tgz.verified").write_text("[]")
            target.write_bytes(OTHER)
            os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
        elif change == "bytes":
            target.write_bytes(OTHER + b"0")
            os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
        elif change == "mtime":
            target.write_bytes(OTHER)
            os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
        else:
            archive = archive_of(body=OTHER)
        with pytest.raises(LabsError, match="is not the expected file"):
            get(archive, tmp_path)


class TestConditions:
    def test_offline_never_asks(
        self, server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LABS_OFFLINE", "1")
        archive = archive_of(server.serve("a", BODY))
        with pytest.raises(LabsError, match="LABS_OFFLINE") as caught:
            get(archive, tmp_path)
        assert str(tmp_path / "birds.tgz") in str(caught.value)
        (tmp_path / "birds.tgz").write_bytes(BODY)
        assert get(archive, tmp_path).read_bytes() == BODY
        assert server.requests == []

    def test_file_without_address_says_where_to_put_it(self, tmp_path: Path) -> None:
        with pytest.raises(LabsError, match="no address") as caught:
            get(archive_of(), tmp_path)
        assert str(tmp_path / "birds.tgz") in str(caught.value)

    def test_full_disk_is_seen_before_the_download(
        self, server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**6, 10**6 - 250_000, 250_000))
        archive = archive_of(server.serve("a", BODY))
        with pytest.raises(LabsError, match=r"300,000 bytes.*250,000 bytes"):
            get(archive, tmp_path)
        assert server.requests == []
        part_of(tmp_path).write_bytes(BODY[:100_000])  # 200,000 more fit
        assert get(archive, tmp_path).read_bytes() == BODY

    def test_folder_that_cannot_be_made(self, server: ArchiveServer, tmp_path: Path) -> None:
        (tmp_path / "data").write_text("a file")
        with pytest.raises(LabsError, match="cannot write"):
            get(archive_of(server.serve("a", BODY)), tmp_path / "data")

    def test_two_threads_make_one_download(self, server: ArchiveServer, tmp_path: Path) -> None:
        gate = threading.Event()
        archive = archive_of(server.serve("a", BODY, gate=gate))
        results: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: results.append(get(archive, tmp_path).read_bytes()))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        assert server.arrived.acquire(timeout=5)
        assert not server.arrived.acquire(timeout=0.2)  # the other one does not ask
        gate.set()
        for thread in threads:
            thread.join(10)
        assert results == [BODY, BODY]
        assert len(server.requests) == 1

    def test_two_processes_make_one_download(self, server: ArchiveServer, tmp_path: Path) -> None:
        gate = threading.Event()
        url = server.serve("a", BODY, gate=gate)
        program = (
            "import sys; from pathlib import Path; from labs.datamodules.fetch import Archive, fetch\n"
            "fetch(Archive('birds.tgz', (sys.argv[1],), sys.argv[2]), Path(sys.argv[3]), progress=False)"
        )
        command = [sys.executable, "-c", program, url, hashlib.sha256(BODY).hexdigest(), str(tmp_path)]
        first = subprocess.Popen(command)
        assert server.arrived.acquire(timeout=20)
        second = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert second.stderr is not None
        assert "waiting for another process" in second.stderr.readline()
        gate.set()
        second.communicate(timeout=20)
        assert (first.wait(20), second.returncode) == (0, 0)
        assert (tmp_path / "birds.tgz").read_bytes() == BODY
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        "link",
        [
            "https://drive.google.com/uc?export=download&id=1GDr1OkoXd-_a",
            "https://drive.google.com/file/d/1GDr1OkoXd-_a/view?usp=sharing",
            "https://drive.usercontent.google.com/download?id=1GDr1OkoXd-_a",
        ],
    )
    def test_drive_links_ask_past_the_virus_page(self, link: str) -> None:
        direct = "https://drive.usercontent.google.com/download?id=1GDr1OkoXd-_a&export=download&confirm=t"
        assert module._direct(link) == direct
        assert module._direct(direct) == direct
        assert module._direct("https://example.org/a?id=1") == "https://example.org/a?id=1"

    @pytest.mark.parametrize(
        ("name", "url", "digest"),
        [
            ("../a", "https://example.org", "0" * 64),
            ("a", "file:///etc/passwd", "0" * 64),
            ("a", "https://example.org", "abc"),
            ("a", "https://example.org", "not hex digits"),
        ],
    )
    def test_archive_that_makes_no_sense(self, name: str, url: str, digest: str) -> None:
        with pytest.raises(ValueError, match="expected"):
            Archive(name, (url,), digest)

    def test_sha256_of_the_standard_example(self, tmp_path: Path) -> None:
        (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
        assert sha256_of(tmp_path / "abc") == (
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        )


FILES = {"birds/images/one.jpg": BODY, "birds/lists/train.txt": b"one.jpg\n", "birds/empty": b""}


def make_tar(path: Path, mode: str = "w:gz", extra: tarfile.TarInfo | None = None) -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, body in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
        if extra is not None:
            tar.addfile(extra)
    return path


def make_zip(path: Path, extra: zipfile.ZipInfo | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("birds/folder")
        for name, body in FILES.items():
            archive.writestr(name, body)
        if extra is not None:
            archive.writestr(extra, b"/etc/passwd")
    return path


def tar_member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def zip_member(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


class TestUnpack:
    @pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
    def test_tar(self, tmp_path: Path, mode: str) -> None:
        unpack(make_tar(tmp_path / "a", mode), tmp_path / "new" / "out", expected="birds/lists/train.txt")
        assert files_below(tmp_path / "new" / "out") == FILES
        assert names_in(tmp_path / "new") == ["out"]

    def test_zip(self, tmp_path: Path) -> None:
        unpack(make_zip(tmp_path / "a"), tmp_path / "new" / "out", expected="birds/images")
        assert files_below(tmp_path / "new" / "out") == FILES
        assert (tmp_path / "new/out/birds/folder").is_dir()
        assert names_in(tmp_path / "new") == ["out"]

    def test_folder_is_readable_like_any_other(self, tmp_path: Path) -> None:
        unpack(make_tar(tmp_path / "a"), tmp_path / "out")
        (tmp_path / "plain").mkdir()
        assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode

    def test_tar_that_ends_in_a_zip_is_a_tar(self, tmp_path: Path) -> None:
        inner = make_zip(tmp_path / "inner.zip").read_bytes()
        with tarfile.open(tmp_path / "PK.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            tar.add(tmp_path / "inner.zip", "PK/inner.zip")
        assert (tmp_path / "PK.tar").read_bytes().startswith(b"PK")
        unpack(tmp_path / "PK.tar", tmp_path / "out")
        assert files_below(tmp_path / "out") == {"PK/inner.zip": inner}

    def test_link_within_the_archive_is_kept(self, tmp_path: Path) -> None:
        link = tar_member("birds/link", tarfile.SYMTYPE, "empty")
        unpack(make_tar(tmp_path / "a", extra=link), tmp_path / "out")
        assert (tmp_path / "out/birds/link").readlink() == Path("empty")

    def test_existing_destination_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        with pytest.raises(LabsError, match="exists"):
            unpack(make_tar(tmp_path / "a"), tmp_path / "out")
        assert names_in(tmp_path / "out") == []

    @pytest.mark.parametrize("make", [make_tar, make_zip])
    def test_archive_without_what_was_expected(self, tmp_path: Path, make: Callable[..., Path]) -> None:
        with pytest.raises(LabsError, match=r"holds no CUB_200_2011, only: birds"):
            unpack(make(tmp_path / "a"), tmp_path / "out", expected="CUB_200_2011")
        assert names_in(tmp_path) == ["a"]

    @pytest.mark.parametrize(
        "member",
        [
            tar_member("../evil"),
            tar_member("birds/../../evil"),
            tar_member("evil", tarfile.SYMTYPE, "../secret"),
            tar_member("evil", tarfile.SYMTYPE, "/etc/passwd"),
            tar_member("evil", tarfile.LNKTYPE, "../secret"),
            tar_member("evil", tarfile.CHRTYPE),
            tar_member("evil", tarfile.FIFOTYPE),
        ],
        ids=lambda member: f"{member.name} {member.type!r} {member.linkname}",
    )
    def test_unsafe_tar(self, tmp_path: Path, member: tarfile.TarInfo) -> None:
        (tmp_path / "secret").write_text("secret")
        archive = make_tar(tmp_path / "a", extra=member)
        with pytest.raises(LabsError, match=r"not safe to unpack.*evil"):
            unpack(archive, tmp_path / "out")
        assert names_in(tmp_path) == ["a", "secret"]

    def test_absolute_tar_member_stays_inside(self, tmp_path: Path) -> None:
        unpack(make_tar(tmp_path / "a", extra=tar_member(f"{tmp_path}/evil")), tmp_path / "out")
        assert not (tmp_path / "evil").exists()
        assert (tmp_path / "out" / str(tmp_path)[1:] / "evil").exists()

    @pytest.mark.parametrize(
        "member",
        [
            zip_member("../evil"),
            zip_member("birds/../../evil"),
            zip_member("..\\evil"),
            zip_member("/evil"),
            zip_member("C:\\evil"),
            zip_member("evil", 0o120777),
            zip_member("evil", 0o020644),
        ],
        ids=lambda member: f"{member.filename} {member.external_attr >> 16:o}",
    )
    def test_unsafe_zip(self, tmp_path: Path, member: zipfile.ZipInfo) -> None:
        archive = make_zip(tmp_path / "a", extra=member)
        with pytest.raises(LabsError, match=r"not safe to unpack.*evil"):
            unpack(archive, tmp_path / "out")
        assert names_in(tmp_path) == ["a"]

    @pytest.mark.parametrize("kind", ["w", "w:gz", "w:xz", "zip"])
    @pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.9, -1024, -8])
    def test_truncated_archive(self, tmp_path: Path, kind: str, kept: float) -> None:
        path = tmp_path / "a"
        whole = (make_zip(path) if kind == "zip" else make_tar(path, kind)).read_bytes()
        if kind == "w":  # the padding after the end of a plain tar may go: cut before it
            whole = whole[: whole.rstrip(b"\0").rfind(b"birds/empty") + 512 + 8]
        path.write_bytes(whole[: int(kept) if kept < 0 else int(kept * len(whole))])
        with pytest.raises(LabsError, match="delete it and run again") as caught:
            unpack(path, tmp_path / "out")
        assert str(path) in str(caught.value)
        assert names_in(tmp_path) == ["a"]

    @pytest.mark.parametrize("kind", ["w:gz", "zip"])
    @pytest.mark.parametrize("part", ["data", "checksum"])
    def test_altered_archive(self, tmp_path: Path, kind: str, part: str) -> None:
        path = tmp_path / "a"
        body = bytearray((make_zip(path) if kind == "zip" else make_tar(path, kind)).read_bytes())
        if part == "data":
            place = len(body) // 2
        elif kind == "zip":  # the CRC-32 in the second entry of the directory: the first is a folder's
            place = body.find(b"PK\1\2", body.find(b"PK\1\2") + 1) + 16
        else:  # a gzip file ends in CRC-32 and length, four bytes each
            place = len(body) - 8
        body[place] ^= 0x10
        path.write_bytes(body)
        with pytest.raises(LabsError, match="delete it and run again"):
            unpack(path, tmp_path / "out")
        assert names_in(tmp_path) == ["a"]

    def test_file_of_another_kind_and_missing_file(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"<html></html>")
        with pytest.raises(LabsError, match="damaged or no tar or zip"):
            unpack(tmp_path / "a", tmp_path / "out")
        with pytest.raises(LabsError, match="No such file"):
            unpack(tmp_path / "b", tmp_path / "out")
        assert names_in(tmp_path) == ["a"]

    @pytest.mark.parametrize(("make", "owner"), [(make_tar, tarfile.TarFile), (make_zip, zipfile.ZipFile)])
    @pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("No space left on device")])
    def test_interruption_leaves_nothing(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        make: Callable[..., Path],
        owner: type[tarfile.TarFile] | type[zipfile.ZipFile],
        error: BaseException,
    ) -> None:
        archive, extract = make(tmp_path / "a"), owner.extract
        done: list[object] = []

        def extract_two(*args: Any, **options: Any) -> None:
            if len(done) == 2:
                assert any(tmp_path.glob(".out.*/birds"))  # something had been written
                raise error
            done.append(extract(*args, **options))

        monkeypatch.setattr(owner, "extract", extract_two)
        expected = LabsError if isinstance(error, OSError) else KeyboardInterrupt
        with pytest.raises(expected):
            unpack(archive, tmp_path / "out")
        assert names_in(tmp_path) == ["a"]
