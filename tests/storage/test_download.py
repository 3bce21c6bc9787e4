from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from archive_server import BODY, OTHER, ArchiveServer, archive_of, get, part_of

from labs import LabsError
from labs.storage import download
from labs.storage.fetch import fetch
from labs.storage.web import CHUNK_BYTES


class TestDownload:
    @pytest.mark.parametrize("sized", [True, False])
    @pytest.mark.parametrize("send_length", [True, False])
    @pytest.mark.parametrize("digits", [8, 64])
    def test_plain(self, server: ArchiveServer, tmp_path: Path, sized: bool, send_length: bool, digits: int) -> None:
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
        assert "run the same command again to resume" in str(caught.value)
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

    def test_whole_part_of_unknown_size_is_verified_after_416(self, server: ArchiveServer, tmp_path: Path) -> None:
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
        monkeypatch.setattr(download, "BACKOFF_SECONDS", 1.0)
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
        assert download.direct_url(link) == direct
        assert download.direct_url(direct) == direct
        assert download.direct_url("https://example.org/a?id=1") == "https://example.org/a?id=1"


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

    def test_good_mirror_survives_bytes_of_a_tampered_one(self, server: ArchiveServer, tmp_path: Path) -> None:
        tampered = server.serve("tampered", bytes(len(BODY)), break_after=[1000])
        good = server.serve("good", BODY)
        assert get(archive_of(tampered, good), tmp_path, retries=1).read_bytes() == BODY
        # The tampered mirror breaks, is resumed, is found wrong; the good one starts from nothing.
        assert [(r.path, r.range) for r in server.requests] == [
            ("tampered", None), ("tampered", "bytes=1000-"), ("good", None),
        ]  # fmt: skip

    @pytest.mark.parametrize("body", [BODY[:-1], BODY + b"0"])
    def test_announced_wrong_size_is_not_downloaded(self, server: ArchiveServer, tmp_path: Path, body: bytes) -> None:
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
        assert 300_000 < found <= 300_000 + CHUNK_BYTES
        assert not part_of(tmp_path).exists()

    def test_web_page_is_explained_and_the_next_mirror_used(self, server: ArchiveServer, tmp_path: Path) -> None:
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


def plant_link(part: Path, victim: Path) -> None:
    part.symlink_to(victim)


def plant_hard_link(part: Path, victim: Path) -> None:
    part.hardlink_to(victim)


def plant_pipe(part: Path, victim: Path) -> None:
    os.mkfifo(part)


def plant_folder(part: Path, victim: Path) -> None:
    part.mkdir()


class TestHostile:
    @pytest.mark.parametrize("plant", [plant_link, plant_hard_link, plant_pipe, plant_folder])
    @pytest.mark.parametrize("held", [b"", b"precious"])
    def test_a_planted_part_is_not_written_through(
        self, server: ArchiveServer, tmp_path: Path, plant: Callable[[Path, Path], None], held: bytes
    ) -> None:
        victim, folder = tmp_path / "victim", tmp_path / "data"
        victim.write_bytes(held)
        folder.mkdir()
        plant(part_of(folder), victim)
        with pytest.raises(LabsError, match=r"\.birds\.tgz\.part is a link or not a file.*remove it"):
            get(archive_of(server.serve("a", BODY)), folder)
        assert victim.read_bytes() == held
        assert os.path.lexists(part_of(folder)), "nothing that this run did not write is removed"
        assert not os.path.lexists(folder / "birds.tgz")

    def test_a_link_to_nowhere_creates_nothing(self, server: ArchiveServer, tmp_path: Path) -> None:
        part_of(tmp_path).symlink_to(tmp_path / "new")
        with pytest.raises(LabsError, match="is a link"):
            get(archive_of(server.serve("a", BODY)), tmp_path)
        assert not (tmp_path / "new").exists()

    @pytest.mark.parametrize("sized", [True, False])
    def test_endless_bytes_are_cut(self, server: ArchiveServer, tmp_path: Path, sized: bool) -> None:
        archive = replace(archive_of(server.serve("a", BODY, endless=True), sized=sized), most=2 * len(BODY))
        with pytest.raises(LabsError, match=r"expected 300,000" if sized else r"more than 600,000 bytes"):
            get(archive, tmp_path)
        assert not part_of(tmp_path).exists()

    def test_a_huge_file_of_unknown_size_is_not_asked_for(self, server: ArchiveServer, tmp_path: Path) -> None:
        archive = replace(archive_of(server.serve("a", BODY), sized=False), most=1000)
        with pytest.raises(LabsError, match="300,000 bytes, more than 1,000"):
            get(archive, tmp_path)
        assert not part_of(tmp_path).exists()

    @pytest.mark.parametrize("failure", [{"drip": 0.02}, {"endless_head": True}])
    def test_drips_are_dropped(
        self, server: ArchiveServer, tmp_path: Path, failure: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(download, "WINDOW_SECONDS", 0.4)
        begin = time.monotonic()
        with pytest.raises(LabsError, match=r"fewer than 60,000 bytes in 0\.4 seconds"):
            get(archive_of(server.serve("a", BODY, **failure)), tmp_path, retries=0)
        assert time.monotonic() - begin < 5

    def test_a_slow_line_may_take_its_time(
        self, server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(download, "WINDOW_SECONDS", 1.0)
        monkeypatch.setattr(download, "WINDOW_BYTES", 5)
        slow = archive_of(server.serve("a", BODY[:60], drip=0.03), body=BODY[:60])
        begin = time.monotonic()
        assert get(slow, tmp_path, retries=0).read_bytes() == BODY[:60]
        assert time.monotonic() - begin > 1.5

    @pytest.mark.parametrize("location", ["http://[", "file:///etc/passwd", "ftp://example.org/a"])
    def test_a_redirection_to_no_address(self, server: ArchiveServer, tmp_path: Path, location: str) -> None:
        with pytest.raises(LabsError, match=r"not an http\(s\) address"):
            get(archive_of(server.serve("a", b"", location=location)), tmp_path, retries=0)

    def test_private_addresses_are_refused_unless_allowed(
        self, server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("LABS_ALLOW_PRIVATE")
        with pytest.raises(LabsError, match=r"a private address \(127\.0\.0\.1: .*LABS_ALLOW_PRIVATE=1"):
            get(archive_of(server.serve("a", BODY)), tmp_path)
        assert not server.requests
        assert fetch(archive_of(server.url("a")), tmp_path, progress=False, allow_private=True).read_bytes() == BODY

    def test_a_redirection_to_a_private_address_is_refused(
        self, server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The public address leads to the test's server, too."""
        monkeypatch.delenv("LABS_ALLOW_PRIVATE")
        monkeypatch.setattr("labs.storage.web.is_public", lambda address: address == "127.0.0.1")
        archive = archive_of(server.serve("a", b"", location="http://10.0.0.1/secret"))
        with pytest.raises(LabsError, match=r"a private address \(10\.0\.0\.1: 10\.0\.0\.1\)"):
            get(archive, tmp_path)
