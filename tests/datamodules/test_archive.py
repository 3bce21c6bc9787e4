from pathlib import Path

import pytest

from labs.datamodules.archive import Archive, sha256_of


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
    assert sha256_of(tmp_path / "abc") == ("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
