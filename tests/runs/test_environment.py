"""What a run notes about the code that made it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from labs.runs.environment import NAMED, git_commit


def git(folder: Path, *arguments: str) -> None:
    settings = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *settings, *arguments], cwd=folder, check=True, capture_output=True)


def test_the_commit_and_what_differs_from_it(tmp_path: Path) -> None:
    assert git_commit(tmp_path) == "not in a git checkout"
    git(tmp_path, "init")
    assert git_commit(tmp_path) == "not in a git checkout", "there is no commit yet"
    (tmp_path / "a.py").write_text("1")
    (tmp_path / ".gitignore").write_text("outputs/\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    clean = git_commit(tmp_path)
    assert len(clean) == 40
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "run.txt").touch()
    assert git_commit(tmp_path) == clean, "ignored files do not count"
    (tmp_path / "a.py").write_text("2")
    (tmp_path / "mine").mkdir()
    for number in range(3):
        (tmp_path / "mine" / f"{number}.py").touch()
    (tmp_path / "conf.yaml").touch()
    assert git_commit(tmp_path) == f"{clean} (modified: a.py; untracked: conf.yaml, mine/)"
    for number in range(NAMED):
        (tmp_path / f"{number}.txt").touch()
    assert git_commit(tmp_path).endswith("and 2 more)")
