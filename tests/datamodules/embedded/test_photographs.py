import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from labs import LabsError
from labs.datamodules.embedded.photographs import PHOTOGRAPHS, WHEELS
from labs.datamodules.read_picture import file_name, read_picture
from labs.storage import packages


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_every_picture_opens_and_says_whose_it_is(name: str) -> None:
    photograph = PHOTOGRAPHS[name]
    picture, words = read_picture(name, key="datamodule.content")
    assert words == [], "nothing that a user could act on"
    assert picture.mode == "RGB"
    assert min(picture.size) >= 300  # at 128 pixels nothing is enlarged
    assert any(low < high for low, high in picture.getextrema())
    assert photograph.name == name == file_name(name)
    assert photograph.title
    assert photograph.credit
    assert photograph.license in ("CC0", "CC BY 2.0", "public domain", "no known copyright restrictions")
    assert photograph.package in WHEELS
    assert photograph.credit_line.startswith(f"{name}: ")
    assert photograph.credit in photograph.credit_line
    assert photograph.license in photograph.credit_line


@pytest.mark.parametrize("name", ["brick", "camera", "grass", "gravel"])
def test_what_is_called_grey_is_grey(name: str) -> None:
    with Image.open(PHOTOGRAPHS[name].path) as image:
        assert image.mode == "L"
    assert "grey" in PHOTOGRAPHS[name].title


def test_names_are_in_order_and_files_differ() -> None:
    assert list(PHOTOGRAPHS) == sorted(PHOTOGRAPHS)
    assert len({photograph.path for photograph in PHOTOGRAPHS.values()}) == len(PHOTOGRAPHS)


def test_the_catalogue_imports_no_package_of_pictures() -> None:
    """The help and the checks name the pictures; scikit-image would cost them a second."""
    code = (
        "import sys\n"
        "from labs.datamodules.embedded.photographs import PHOTOGRAPHS\n"
        "[p.path for p in PHOTOGRAPHS.values()]\n"
        "print([m for m in ('skimage', 'sklearn', 'numpy', 'torch', 'PIL') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_wheel_without_the_file() -> None:
    lost = PHOTOGRAPHS["coffee"]._replace(file="data/tea.png")
    with pytest.raises(LabsError, match=r"coffee: the installed scikit-image does not contain it \(.*tea\.png is"):
        _ = lost.path


def test_no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    with pytest.raises(LabsError, match="china: the package scikit-learn is not installed; type pip install scikit-l"):
        _ = PHOTOGRAPHS["china"].path


def test_credits_of_scikit_learn_are_those_of_its_readme() -> None:
    readme = (PHOTOGRAPHS["china"].path.parent / "README.txt").read_text()
    assert "creativecommons.org/licenses/by/2.0" in readme
    for name in ("china", "flower"):
        assert PHOTOGRAPHS[name].credit in readme
        assert PHOTOGRAPHS[name].license == "CC BY 2.0"


@pytest.mark.parametrize("name", [name for name, p in PHOTOGRAPHS.items() if p.package == "skimage"])
def test_credits_of_scikit_image_are_those_of_its_docstrings(name: str) -> None:
    """The docstring of the function that returns the file speaks of the license that the catalogue gives."""
    photograph = PHOTOGRAPHS[name]
    source = (Path(photograph.path).parent / "_fetchers.py").read_text()
    functions = source.split("\ndef ")
    (function,) = [f for f in functions if f'"{photograph.file}"' in f or f"'{photograph.file}'" in f]
    words = {"CC0": ("CC0", "Creative Commons CC0"), "public domain": ("public domain",)}
    assert any(word in function for word in words.get(photograph.license, ("No known copyright restrictions",)))
