"""What a run does in a directory that already holds one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from omegaconf import DictConfig, OmegaConf
from test_experiments import composed

from labs import LabsError
from labs.cli.again import alone_in, go_on_here, is_occupied, recipe_key


def key(*overrides: str) -> str:
    return recipe_key(composed("experiment=cub_full", "data=embedded", *overrides), "cub_full")


@pytest.mark.parametrize(
    "override",
    ["paths.data=/scratch", "paths.outputs=/elsewhere", "resume=true", "rerun=true", "sweep.on_error=stop"],
)
def test_where_and_how_often_is_not_part_of_the_key(override: str) -> None:
    assert key(override) == key()


@pytest.mark.parametrize(
    "override",
    ["seed=1", "module.optimizer.lr=0.01", "freeze=layer1", "normalization=dataset", "trainer.max_epochs=5"],
)
def test_what_changes_the_numbers_changes_the_key(override: str) -> None:
    assert key(override) != key()


def test_the_key_is_that_of_the_resolved_recipe() -> None:
    """Saying what is the default anyway is the same recipe."""
    assert key("seed=0", "freeze=none") == key()
    resolved = composed("experiment=cub_full", "data=embedded")
    fixed = OmegaConf.create(OmegaConf.to_container(resolved, resolve=True))
    fixed.paths = dict.fromkeys(fixed.paths, "")
    assert recipe_key(composed("experiment=cub_scratch", "data=embedded"), "cub_scratch") != key()


def test_weights_count_by_what_they_are_not_by_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in (("a", b"weights"), ("b", b"weights"), ("c", b"others")):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "checkpoints" / "best.ckpt").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    keys = [key(f"module.net.weights={path}") for path in ("./a", f"{tmp_path}/b", "./c")]
    assert keys[0] == keys[1] != keys[2]


def recipe(run_dir: Path, **changes: bool) -> DictConfig:
    return OmegaConf.create({"paths": {"run_dir": str(run_dir)}, "resume": False, "rerun": False, **changes})


def record(run_dir: Path, status: str, name: str = "this") -> None:
    (run_dir / "metrics.json").write_text(json.dumps({"key": name, "status": status}))


@pytest.mark.parametrize(
    ("status", "needed", "resumes"),
    [
        ("finished", False, False),
        ("running", True, True),  # killed: it could not say so any more
        ("interrupted", True, True),
        ("failed", True, False),
    ],
)
def test_the_same_recipe_again(tmp_path: Path, status: str, needed: bool, resumes: bool) -> None:
    record(tmp_path, status)
    cfg = recipe(tmp_path)
    assert go_on_here(cfg, "this") is needed
    assert cfg.resume is resumes


@pytest.mark.parametrize("status", ["finished", "running", "interrupted", "failed"])
def test_another_recipe_or_rerun_starts_anew(tmp_path: Path, status: str) -> None:
    record(tmp_path, status, "another")
    cfg = recipe(tmp_path)
    assert go_on_here(cfg, "this")
    assert not cfg.resume
    cfg = recipe(tmp_path, rerun=True)
    assert go_on_here(cfg, "another")
    assert not cfg.resume


def test_asking_to_resume_goes_on_under_other_settings_too(tmp_path: Path) -> None:
    record(tmp_path, "finished", "shorter")
    cfg = recipe(tmp_path, resume=True)
    assert go_on_here(cfg, "longer")
    assert cfg.resume
    assert not go_on_here(recipe(tmp_path, resume=True), "shorter")
    with pytest.raises(LabsError, match="type one of them"):
        go_on_here(recipe(tmp_path, resume=True, rerun=True), "shorter")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"status": 3}'])
def test_a_damaged_record_starts_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.json").write_text(text)
    assert go_on_here(recipe(tmp_path), "this")


def test_a_directory_has_one_run_at_a_time(tmp_path: Path) -> None:
    assert not is_occupied(tmp_path)
    with alone_in(tmp_path):
        assert is_occupied(tmp_path)
        with pytest.raises(LabsError, match="another process is training in"), alone_in(tmp_path):
            pass
    assert not is_occupied(tmp_path)


def test_a_killed_process_frees_its_directory(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from labs.cli.again import alone_in\n"
        "with alone_in(Path(sys.argv[1])): print('in', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    assert is_occupied(tmp_path)
    process.kill()
    process.wait()
    assert not is_occupied(tmp_path)
    assert isinstance(FileLock(tmp_path / "x"), FileLock)
