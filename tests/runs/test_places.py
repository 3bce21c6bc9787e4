"""Where data, runs and weights lie when nobody types it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from project import ROOT

from labs import LabsError
from labs.cli.resolvers import register_resolvers
from labs.runs.places import default_folder, found_folder


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("DATA", "OUTPUTS", "WEIGHTS"):
        monkeypatch.delenv(f"LABS_{name}", raising=False)
    return monkeypatch


def test_the_project_has_them_wherever_the_command_is_typed(unset: pytest.MonkeyPatch, tmp_path: Path) -> None:
    unset.chdir(ROOT)
    assert [default_folder(name) for name in ("data", "outputs", "weights")] == ["data", "outputs", None]
    unset.chdir(tmp_path)
    assert [default_folder(name) for name in ("data", "weights")] == [str(ROOT / "data"), None]
    unset.setattr("sys.argv", [str(ROOT / "train.py")])
    assert default_folder("outputs") == str(ROOT / "outputs")


def test_the_environment_says_where_and_what_is_typed_wins(unset: pytest.MonkeyPatch, tmp_path: Path) -> None:
    unset.setenv("HOME", str(tmp_path))
    unset.setenv("LABS_DATA", "~/shared")
    unset.setenv("LABS_OUTPUTS", "")
    unset.setenv("LABS_WEIGHTS", "nets")
    unset.chdir(ROOT)
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        paths = compose("train", ["paths.weights=mine"]).paths
        assert (paths.data, paths.outputs, paths.weights) == (str(tmp_path / "shared"), "outputs", "mine")
        assert compose("train", []).paths.weights == "nets"
    unset.setenv("LABS_DATA", "~nobody-of-this-name/data")
    with pytest.raises(LabsError, match=r"^LABS_DATA=~nobody-of-this-name/data: .*; set it to another folder"):
        default_folder("data")


def test_runs_of_the_project_are_found_from_anywhere(unset: pytest.MonkeyPatch, tmp_path: Path) -> None:
    unset.setenv("LABS_OUTPUTS", str(tmp_path / "class"))
    (tmp_path / "class" / "cub").mkdir(parents=True)
    unset.chdir(tmp_path)
    for typed in ("outputs/cub", "cub", Path("outputs/cub")):
        assert found_folder(typed, "run") == tmp_path / "class" / "cub"
    (tmp_path / "cub").mkdir()
    assert found_folder("cub", "run") == Path("cub"), "what is here comes first"
    assert found_folder("outputs/gone", "run") == Path("outputs/gone")
