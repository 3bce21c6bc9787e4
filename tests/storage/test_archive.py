from pathlib import Path
from typing import Any

import pytest

from labs.storage.archive import Archive, WrongFileError, digest_of


@pytest.mark.parametrize(
    ("name", "url", "digest"),
    [
        ("../a", "https://example.org", "0" * 64),
        ("a", "file:///etc/passwd", "0" * 64),
        ("a", "https://example.org", "abc"),
        ("a", "https://example.org", "not hex digits"),
    ],
)
def test_archive_that_makes_no_sense(name: str, url: str, digest: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        Archive(name, (url,), digest)


def test_sha256_of_the_standard_example(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert digest_of(tmp_path / "abc", "sha256") == ("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")


@pytest.mark.parametrize(
    "digests",
    [{}, {"sha256": "0" * 64, "md5": "0" * 32}, {"md5": "0" * 31}, {"md5": "0" * 64}, {"md5": "A" * 32}],
)
def test_exactly_one_digest_is_needed_and_an_md5_whole(digests: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Archive("a", ("https://example.org",), **digests)


def test_md5_of_the_standard_example(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # RFC 1321, appendix A.5
    assert digest_of(tmp_path / "abc", "md5") == "900150983cd24fb0d6963f7d28e17f72"


def test_a_file_is_verified_by_the_digest_that_is_known(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    by_md5 = Archive("abc", (), md5="900150983cd24fb0d6963f7d28e17f72")
    by_sha256 = Archive("abc", (), "ba7816bf")
    assert by_md5.verify(tmp_path / "abc") == by_md5.digest
    assert by_sha256.verify(tmp_path / "abc") == digest_of(tmp_path / "abc", "sha256")
    assert str(by_md5) == "size unknown, MD5 900150983cd24fb0d6963f7d28e17f72"
    assert str(by_sha256) == "size unknown, SHA-256 starts with ba7816bf"
    (tmp_path / "abc").write_bytes(b"abd")
    with pytest.raises(WrongFileError, match=r"found MD5 .*, expected 900150983cd24fb0d6963f7d28e17f72"):
        by_md5.verify(tmp_path / "abc")
