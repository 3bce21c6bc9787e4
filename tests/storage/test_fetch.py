from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from archive_server import BODY, OTHER, ArchiveServer, archive_of, get, names_in, part_of

from labs import LabsError
from labs.storage.archive import Archive, digest_of
from labs.storage.download import download


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
        with pytest.raises(LabsError, match="a broken link"):
            get(archive_of(server.serve("a", BODY)), tmp_path)
        assert (tmp_path / "birds.tgz").is_symlink()
        assert server.requests == []

    def test_file_put_there_during_the_download_is_kept(
        self, server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def download_while_the_user_acts(*args: Any, **options: Any) -> str:
            (tmp_path / "birds.tgz").write_bytes(b"mine")
            return download(*args, **options)

        monkeypatch.setattr("labs.storage.fetch.download", download_while_the_user_acts)
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

        def counted(path: Path, algorithm: str) -> str:
            hashed.append(path)
            return digest_of(path, algorithm)

        monkeypatch.setattr("labs.storage.archive.digest_of", counted)
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

    def test_a_file_known_by_its_md5_is_brought_and_remembered(
        self, server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        archive = Archive("birds.tgz", (server.serve("a", BODY),), md5=hashlib.md5(BODY).hexdigest())
        assert get(archive, tmp_path).read_bytes() == BODY
        monkeypatch.setattr("labs.storage.archive.digest_of", lambda *_: pytest.fail("hashed again"))
        get(archive, tmp_path)
        monkeypatch.undo()
        get(archive_of(), tmp_path)  # what one digest says is no answer to another: hashed, and as good
        (tmp_path / "birds.tgz").write_bytes(OTHER)
        with pytest.raises(LabsError, match=f"found MD5 {hashlib.md5(OTHER).hexdigest()}, expected {archive.md5}"):
            get(archive, tmp_path)
        assert len(server.requests) == 1

    def test_a_download_with_another_md5_is_refused(self, server: ArchiveServer, tmp_path: Path) -> None:
        archive = Archive("birds.tgz", (server.serve("a", OTHER),), md5=hashlib.md5(BODY).hexdigest())
        with pytest.raises(LabsError, match=f"found MD5 (.|\n)*by hand(.|\n)*size unknown, MD5 {archive.md5}"):
            get(archive, tmp_path)
        assert not (tmp_path / "birds.tgz").exists()


class TestConditions:
    def test_offline_never_asks(self, server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LABS_OFFLINE", "1")
        archive = archive_of(server.serve("a", BODY))
        with pytest.raises(LabsError, match="LABS_OFFLINE") as caught:
            get(archive, tmp_path)
        assert str(tmp_path / "birds.tgz") in str(caught.value)
        (tmp_path / "birds.tgz").write_bytes(BODY)
        assert get(archive, tmp_path).read_bytes() == BODY
        assert server.requests == []

    def test_file_without_address_says_where_to_put_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("LABS_OFFLINE", raising=False)
        with pytest.raises(LabsError, match="no public address") as caught:
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
            threading.Thread(target=lambda: results.append(get(archive, tmp_path).read_bytes())) for _ in range(2)
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
            "import sys; from pathlib import Path; from labs.storage.fetch import Archive, fetch\n"
            "fetch(Archive('birds.tgz', (sys.argv[1],), sys.argv[2]), Path(sys.argv[3]), progress=False)"
        )
        # -P and PYTHONPATH: both import what this process imports, installed or not, whatever the folder
        command = [sys.executable, "-P", "-c", program, url, hashlib.sha256(BODY).hexdigest(), str(tmp_path)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(command, env=environment) as first:
            assert server.arrived.acquire(timeout=20)
            with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as second:
                assert second.stderr is not None
                assert any("waiting for another process" in line for line in second.stderr)
                gate.set()
                assert (first.wait(20), second.wait(20)) == (0, 0)
        assert (tmp_path / "birds.tgz").read_bytes() == BODY
        assert len(server.requests) == 1


class TestPlantedRecord:
    def test_a_link_in_place_of_the_record_is_not_followed(self, server: ArchiveServer, tmp_path: Path) -> None:
        (tmp_path / "victim").write_text("precious")
        folder = tmp_path / "data"
        folder.mkdir()
        (folder / ".birds.tgz.verified").symlink_to(tmp_path / "victim")
        get(archive_of(server.serve("a", BODY)), folder)
        assert (tmp_path / "victim").read_text() == "precious"

    @pytest.mark.parametrize("text", ["[" * 100_000, "null", "[1]", "\0", None])
    def test_a_record_that_is_none_is_passed_over(
        self, server: ArchiveServer, tmp_path: Path, text: str | None
    ) -> None:
        get(archive_of(server.serve("a", BODY)), tmp_path)
        record = tmp_path / ".birds.tgz.verified"
        record.unlink()
        os.mkfifo(record) if text is None else record.write_text(text)
        assert get(archive_of(server.url("a")), tmp_path).read_bytes() == BODY
        assert len(server.requests) == 1

    def test_a_file_changed_with_its_time_kept_is_seen(self, server: ArchiveServer, tmp_path: Path) -> None:
        target = get(archive_of(server.serve("a", BODY)), tmp_path)
        before = target.stat()
        target.write_bytes(OTHER)
        os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
        with pytest.raises(LabsError, match="not the expected file"):
            get(archive_of(server.url("a")), tmp_path)
