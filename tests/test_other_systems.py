"""What can be tested here of macOS and Windows: names of files, what their Python lacks, and how workers start."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from project import ROOT

from labs.cli.resolvers import cell_name
from labs.datamodules.facescrub_lists import Face
from labs.datamodules.read_picture import file_name
from labs.storage.files import new_file, portable
from labs.storage.stores import stored

# Of modules that Windows has, what it has not; each use stands behind a question whether it is there.
NOT_ON_WINDOWS = {
    "os": {
        *("fork", "forkpty", "geteuid", "getuid", "getgid", "getpgid", "setsid", "killpg", "mkfifo", "nice", "uname"),
        *("statvfs", "posix_fallocate", "O_NOFOLLOW", "O_DIRECTORY", "O_NONBLOCK", "O_CLOEXEC", "sched_getaffinity"),
        *("fchmod", "fchown", "chown", "waitid", "getloadavg", "sysconf", "openpty", "WNOHANG", "pread", "pwrite"),
    },
    "signal": {"SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL", "SIGALRM", "SIGSTOP", "SIGCONT", "setitimer", "ITIMER_REAL"},
}
MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "pty", "tty")
GUARDED = {
    "cli/grid/jobs.py": {"os.getuid"},  # asks SLURM, which Windows has not
    "cli/grid/submission.py": {"signal.SIGHUP"},  # likewise
    "runs/memory.py": {"os.sysconf", "import resource"},  # after a file of Linux; in a try
    "storage/whole_folder.py": {"import fcntl", "os.O_DIRECTORY", "os.O_NOFOLLOW"},
    "storage/stores.py": {"os.posix_fallocate"},
    "callbacks/stop_signals.py": {"signal.SIGALRM", "signal.setitimer", "signal.ITIMER_REAL"},
}


def used(tree: ast.AST) -> set[str]:
    """Return what a file uses that Windows has not; `getattr(os, ...)` asks first."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in NOT_ON_WINDOWS.get(node.value.id, ()):
                found.add(f"{node.value.id}.{node.attr}")
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found |= {f"import {name}" for name in names if name in MODULES}
    return found


def test_what_windows_lacks_is_asked_for_first() -> None:
    folder = ROOT / "src" / "labs"
    found = {
        path.relative_to(folder).as_posix(): names
        for path in folder.rglob("*.py")
        if (names := used(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert found == GUARDED, "ask with hasattr or try, and name it here"


WITHOUT = """
import importlib, os, pathlib, pkgutil, signal, sys
import captum.attr, filelock, joblib, lightning.pytorch, matplotlib, numpy, optuna, timm, torch, torchmetrics
filelock.FileLock = filelock.SoftFileLock  # the library has one for each system
for name in {modules!r}:
    sys.modules[name] = None  # as if it were not there
for module, names in {names!r}.items():
    for name in names:
        if hasattr(sys.modules[module], name):
            delattr(sys.modules[module], name)
import labs
for found in pkgutil.walk_packages(labs.__path__, "labs."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
from labs.callbacks.stop_signals import _set_alarm
from labs.runs import memory, signals
from labs.storage import files, stores, whole_folder
folder = pathlib.Path({folder!r})
with whole_folder.whole_folder(folder / "whole") as partial:
    (partial / "file").touch()
stores.stored(folder / "a.npy", (5, 3), numpy.float32, lambda values: dict())
files.write_text(folder / "whole" / "file", "text")
assert memory.most_taken(torch.device("cpu")) is None
with signals.stop_signals_go_to(signals.stop):
    _set_alarm(1)
print("ended")
"""


def output_of(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_everything_is_imported_and_files_are_written_without_them(tmp_path: Path) -> None:
    names = NOT_ON_WINDOWS | {
        "os": NOT_ON_WINDOWS["os"] - {"statvfs"}
    }  # by which Python's library finds the free space
    code = WITHOUT.format(modules=MODULES, names=names, folder=str(tmp_path))
    assert output_of("-c", code).endswith("ended\n")
    assert {path.name for path in tmp_path.iterdir()} >= {"whole", "a.npy", "a.json"}


@pytest.mark.slow
def test_workers_that_are_spawned_get_what_they_need(tmp_path: Path, data_folder: Path) -> None:
    """As on macOS and Windows: everything that a worker gets is pickled."""
    code = "import multiprocessing, runpy\nif __name__ == '__main__':\n    multiprocessing.set_start_method('spawn')\n"
    code += f"    runpy.run_path({str(ROOT / 'train.py')!r}, run_name='__main__')\n"
    (tmp_path / "start.py").write_text(code)
    words = ["debug=batches", "weights=random", "datamodule.num_workers=1"]
    places = [f"paths.outputs={tmp_path}/out", f"paths.data={data_folder}"]
    assert "run directory" in output_of(str(tmp_path / "start.py"), *words, *places)


NAMES = [
    *("con", "Aux.png", "nul", "LPT1.tar.gz", "a:b", 'x"y', "a<b>c", "what?", "a|b", "*"),
    *("end. ", "tab\tname", "a/b", "a\\b"),
]


def is_taken_by_windows(name: str) -> bool:
    device = re.fullmatch(r"(CON|PRN|AUX|NUL|COM\d|LPT\d)", name.partition(".")[0].strip().upper())
    return not (device or re.search(r'[\x00-\x1f<>:"/\\|?*]', name) or name != name.rstrip(". ") or len(name) > 255)


def face(person: str) -> str:
    return Face(person, "1", "1", "http://a/b.jpg", (0, 0, 1, 1), "0" * 64, "").crop.partition("/")[0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "named",
    [
        portable,
        lambda name: f"{file_name(name)}.png",
        lambda name: cell_name([f"datamodule.content={name}"]),
        lambda name: cell_name([f"+x={name}" for _ in range(40)]),
        lambda name: new_file(Path("nowhere"), name, ".onnx").name,
        face,
    ],
    ids=["portable", "pictures", "cells", "long cells", "exports", "people"],
)
def test_every_name_is_one_that_windows_takes(named: Callable[[str], str], name: str) -> None:
    assert is_taken_by_windows(named(name)), named(name)


@pytest.mark.usefixtures("undrawn")
def test_a_run_and_its_data_have_such_names(train: Callable[..., Path], data_folder: Path) -> None:
    outputs = train(
        "-m", "weights=random", "debug=batches", "seed=0,1", "optimizer.lr=0.1,1.", "hydra.sweep.dir=outputs/g"
    )
    paths = [path.relative_to(root) for root in (outputs, data_folder) for path in root.rglob("*")]
    assert len(paths) > 20
    assert [str(path) for path in paths if not all(map(is_taken_by_windows, path.parts)) or len(str(path)) > 180] == []


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux lists what is mapped")
def test_no_store_is_renamed_while_it_is_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename, mapped = Path.replace, []

    def replace(self: Path, target: Any) -> Any:
        mapped.append(str(self) in Path("/proc/self/maps").read_text())
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    stored(tmp_path / "a.npy", (5000, 3), np.float32, lambda values: {"kept": [0, 2]})
    stored(tmp_path / "b.npy", (5000, 3), np.float32, lambda values: {})
    assert mapped
    assert not any(mapped)
