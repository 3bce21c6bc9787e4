"""Grids on a cluster: submit and leave, and what the same command does later.

Jobs really run through submitit's local executor. For SLURM itself, stand-ins for its programs are on the PATH.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from project import ROOT

from labs.cli.grid.jobs import Jobs, _is_alive

OPTIONS = set(  # the long options of sbatch (slurm.schedmd.com/sbatch.html) of which the docs and submitit use some
    """account array begin chdir comment constraint cpus-per-gpu cpus-per-task dependency error exclude exclusive export
    gpus gpus-per-node gpus-per-task gres hint job-name kill-on-invalid-dep licenses mail-type mail-user mem mem-per-cpu
    mem-per-gpu no-requeue nodelist nodes ntasks ntasks-per-gpu ntasks-per-node open-mode output partition qos requeue
    reservation signal threads-per-core time time-min tmp wckey""".split()  # noqa: SIM905
)
SCRIPTS = [
    script
    for page in sorted((ROOT / "docs").glob("*.md"))
    for script in re.findall(r"^```bash\n(#!/bin/bash\n.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
]
Train = Callable[..., Path]
GRID = (
    "-m", "trainer=cpu", "weights=random", "logger=none", "callbacks.pictures=null", "hydra.sweep.dir=outputs/grid",
    "hydra/launcher=slurm",
)  # fmt: skip
LOCAL = (*GRID, "hydra.launcher.executor=local", "hydra.launcher.cpus_per_task=1")


def records(grid: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(grid.glob("*/metrics.json"))]


def submissions(grid: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(grid.glob(".slurm/*/jobs.json"))]


def numbers(grid: Path) -> list[int]:
    """Return the processes of the newest submission to submitit's local executor."""
    return [int(job["number"]) for job in submissions(grid)[-1].values()]


def wait_for(condition: Callable[[], Any], seconds: float = 180) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)
    return value


def all_over(pids: list[int]) -> None:
    for pid in pids:
        os.waitpid(pid, 0)


def runs_below(pid: int) -> list[int]:
    """Return the processes below one that are `train.py`."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    lines = {int(child): Path("/proc", child, "cmdline").read_text() for child in found}
    return [child for child, line in lines.items() if "train.py" in line]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
class TestLocalJobs:
    """They outlive the command that started them, which is what Python warns of."""

    @pytest.fixture(autouse=True)
    def _all_end_with_the_test(self, tmp_path: Path) -> Iterator[None]:
        yield
        for job, folder in Jobs(tmp_path / "outputs" / "grid").newest.values():
            if _is_alive(job.number, folder):
                for pid in (*runs_below(int(job.number)), int(job.number)):
                    os.kill(pid, signal.SIGKILL)

    def test_submit_leave_and_collect_with_one_that_fails_alone(
        self, train: Train, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("labs.cli.grid.slurm.cpu_count", lambda: 2)
        words = (*LOCAL, "debug=batches", "precision=fp32,fp16")
        grid = train(*words) / "grid"
        assert "grid: 2 submitted" in capfd.readouterr().out
        jobs = numbers(grid)
        for job in jobs:
            os.kill(job, signal.SIGSTOP)  # they do not end while the next command looks
        train(*words, "seed=0,1")
        said = capfd.readouterr().out
        assert "grid: 2 not run, 2 running" in said
        assert len(submissions(grid)) == 1, "nothing is submitted twice, and there is room for two"
        for job in jobs:
            os.kill(job, signal.SIGCONT)
        all_over(jobs)

        with pytest.raises(SystemExit) as exit_:
            train(*words, "sweep.on_error=stop")
        assert exit_.value.code == 2
        said = capfd.readouterr().out
        assert "grid: 1 done, 1 failed" in said
        assert "failed  precision=fp16: precision=fp16 needs a GPU" in said
        assert (grid / "report" / "report.html").is_file()
        assert len(submissions(grid)) == 1
        assert sorted(record["status"] for record in records(grid)) == ["failed", "finished"]
        outputs = [file.read_text() for file in grid.glob("*/output.txt")]
        assert any("precision=fp16 needs a GPU" in text for text in outputs)
        assert {json.loads(file.read_text())["threads"] for file in grid.glob("*/environment.json")} == {1}

        train(*words)  # without the word that stops: the failed one is tried again
        said = capfd.readouterr().out
        assert "failed  precision=fp16: precision=fp16 needs a GPU" in said
        assert "grid: 1 submitted, 1 done" in said
        for job in numbers(grid):
            os.kill(job, signal.SIGTERM)
        all_over(numbers(grid))

    def test_a_killed_job_goes_on(self, train: Train, capfd: pytest.CaptureFixture[str]) -> None:
        words = (*LOCAL, "freeze=backbone", "trainer.max_epochs=20")
        grid = train(*words) / "grid"
        (job,) = numbers(grid)
        (run,) = wait_for(lambda: [r for r in records(grid) if r.get("epochs", 0) >= 2] and runs_below(job))
        os.kill(run, signal.SIGKILL)
        all_over([job])
        assert [record["status"] for record in records(grid)] == ["running"]
        capfd.readouterr()

        train(*words)
        assert "interrupted  " in (said := capfd.readouterr().out)
        assert "grid: 1 submitted" in said
        all_over(numbers(grid))
        train(*words)
        assert "grid: 1 done" in capfd.readouterr().out
        (output,) = grid.glob("*/output.txt")
        assert output.read_text().count("epoch 1/20") == 1, "its first epochs are not trained again"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of stand-ins: `sbatch` keeps the scripts as `<number>.sh`, and `squeue` shows what `queue` holds."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    programs = {
        "sbatch": 'n=$((77 + $(ls "$0".*.sh 2>/dev/null | wc -l))); cp "$1" "$0.$n.sh"; echo "Submitted batch job $n"',
        "squeue": f'echo "$@" >> {folder}/asked; cat {folder}/queue',
        "scontrol": f'echo "$@" >> {folder}/scontrol.log',
        "srun": (
            'while [ "${1#--}" != "$1" ]; do case "$1" in --output|--error) shift;; esac; shift; done\n'
            "for rank in $(seq 1 $((SLURM_NTASKS - 1))); do\n"
            '    SLURM_PROCID=$rank SLURM_LOCALID=$rank "$@" &\n'
            'done; SLURM_PROCID=0 SLURM_LOCALID=0 exec "$@"'
        ),
    }
    for name, script in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    (folder / "queue").touch()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def asked_of(script: Path) -> dict[str, str]:
    """Return the options of a submitted script."""
    lines = re.findall(r"^#SBATCH --([\w-]+)(?:=(.*))?$", script.read_text(), re.MULTILINE)
    found = {name: shlex.split(value)[0] if value else "" for name, value in lines}
    assert set(found) <= OPTIONS
    return found


def test_a_job_asks_for_what_was_typed(
    train: Train, cluster: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SLURM_JOB_ID": "5", "SLURM_NTASKS": "8", "RANK": "3"}.items():
        monkeypatch.setenv(name, value)  # typed in a job of another kind
    grid = train(
        *(*GRID, "debug=batches", "seed=0,1,2", "hydra.launcher.partition=gpu", "hydra.launcher.account=course"),
        *("hydra.launcher.timeout_min=90", "hydra.launcher.cpus_per_task=6", "hydra.launcher.gpus_per_node=1"),
        *("hydra.launcher.mem_gb=24", "hydra.launcher.array_parallelism=2", "hydra.launcher.signal_delay_s=60"),
        *("hydra.launcher.setup=[module load cuda]", "+hydra.launcher.slurm_constraint=a100"),
        "+hydra.launcher.slurm_additional_parameters={reservation: lab 1}",
    )
    (grid,) = grid.glob("grid")
    (script,) = cluster.glob("*.sh")
    asked = asked_of(script)
    assert asked.items() >= {
        "partition": "gpu", "account": "course", "time": "90", "cpus-per-task": "6", "gpus-per-node": "1",
        "mem": "24GB", "array": "0-2%2", "signal": "USR1@60", "constraint": "a100", "reservation": "lab 1",
        "nodes": "1", "ntasks-per-node": "1", "requeue": "", "open-mode": "append", "job-name": "labs-grid",
    }.items()  # fmt: skip
    assert "qos" not in asked
    text = script.read_text()
    assert text.index("module load cuda") < text.index("srun ")
    assert "--cpus-per-task=6" in text.partition("srun ")[2]
    said = capsys.readouterr().out
    assert "grid: 3 submitted" in said
    assert "jobs    77_[0-2] (" in said
    assert "squeue -j 77 shows them, scancel 77 ends them" in said
    assert said.count("python train.py -m") == 1
    assert not [path for path in grid.rglob("*") if path.is_symlink()], "a grid can be moved"


def test_what_is_queued_or_running_is_left_alone(
    train: Train, cluster: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = (*GRID, "debug=batches", "seed=0,1,2")
    grid = train(*words) / "grid"
    (cluster / "queue").write_text("77_0 RUNNING\n77_1 PENDING\n78 PENDING\n")  # 77_2 was canceled
    capsys.readouterr()
    train("-m", *reversed(words[1:]))  # the same recipes, in another order of the words
    said = capsys.readouterr().out
    assert "grid: 1 queued, 1 submitted, 1 running" in said
    assert "interrupted  seed=2: its job ended before the run began" in said
    assert len(list(cluster.glob("*.sh"))) == 2
    assert len(submissions(grid)[1]) == 1
    assert "array" not in asked_of(cluster / "sbatch.78.sh")

    (cluster / "queue").write_text("78 PENDING\n")
    (folder,) = (file.parent for file in grid.glob(".slurm/*/*_1_submitted.pkl"))
    (folder / "77_0_0_log.err").write_text("slurmstepd: error: *** JOB 77 CANCELLED DUE TO TIME LIMIT ***\n")
    (folder / "77_1_0_log.err").write_text("/bin/sh: module: not found\n")
    first = grid / submissions(grid)[0][next(iter(submissions(grid)[0]))]["directory"]
    (first / "output.txt").write_text("importing\n")
    train(*words)
    said = capsys.readouterr().out
    assert "interrupted  seed=0: slurmstepd: error: *** JOB 77 CANCELLED DUE TO TIME LIMIT" in said
    assert "failed  seed=1: /bin/sh: module: not found" in said
    assert "grid: 1 queued, 2 submitted" in said


def test_nothing_is_submitted_while_nobody_knows(
    train: Train, cluster: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = (*GRID, "debug=batches", "hydra.launcher.executor=slurm")
    grid = train(*words) / "grid"
    (cluster / "squeue").write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2; exit 1\n")
    with pytest.raises(SystemExit) as exit_:
        train(*words)
    assert exit_.value.code == 2
    assert "(Unable to contact slurm controller), and no cell is submitted twice" in capsys.readouterr().err
    with FileLock(grid / ".slurm" / "lock"), pytest.raises(SystemExit):
        train(*words)
    assert "another command submits cells of this grid" in capsys.readouterr().err
    (cluster / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: invalid partition' >&2; exit 1\n")
    with pytest.raises(SystemExit):
        train(*words, "seed=1")
    assert "SLURM refused the jobs: sbatch: error: invalid partition" in capsys.readouterr().err
    (tmp_path / "elsewhere").mkdir()
    (grid / ".slurm").rename(tmp_path / "elsewhere" / "jobs")
    (grid / ".slurm").symlink_to(tmp_path / "elsewhere" / "jobs")
    with pytest.raises(SystemExit):
        train(*words)
    assert ".slurm is a link that leads out of the grid" in capsys.readouterr().err


def test_a_run_of_several_processes_asks_for_them(
    train: Train, cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(*GRID[:1], *GRID[2:], "debug=batches", "trainer.devices=1,2", "trainer.num_nodes=2")
    asked = {options["ntasks-per-node"]: options for options in map(asked_of, cluster.glob("*.sh"))}
    assert set(asked) == {"1", "2"}, "cells that ask for the same are an array; these do not"
    assert {name: asked["2"][name] for name in ("nodes", "gpus-per-node")} == {"nodes": "2", "gpus-per-node": "2"}
    assert "gpus-per-node" not in asked["1"]
    assert "2 nodes, 2 processes per node" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hydra.launcher.timeout_min=soon"], "hydra.launcher.timeout_min=soon: expected a number above 0"),
        (["hydra.launcher.executor=pbs"], "hydra.launcher.executor=pbs: expected slurm or local"),
        (["+hydra.launcher.constraint=a100"], "+hydra.launcher.slurm_constraint=a100"),
        (["+hydra.launcher.slurm_color=red"], "Unknown argument 'color'"),
        (["trainer.devices=auto", "trainer.accelerator=gpu"], "hydra.launcher.gpus_per_node=2"),
        (["trainer.devices=2", "trainer.accelerator=gpu", "hydra.launcher.gpus_per_node=1"], "gpus_per_node=2"),
        (["trainer.num_nodes=2", "hydra.launcher.executor=local"], "executor=local has one machine"),
        (
            ["search.space={optimizer.lr: log(1e-3, 1)}"],
            "Submit the whole search as one job, with hydra/launcher=joblib",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_mistake_submits_nothing(
    train: Train, cluster: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        train(*GRID, "debug=batches", *words)
    assert exit_.value.code == 2
    assert said in capsys.readouterr().err
    assert not list(cluster.glob("*.sh"))


def test_what_is_missing_is_named(
    train: Train, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit):
        train(*GRID, "debug=batches")
    assert "this machine has no srun" in capsys.readouterr().err
    monkeypatch.setattr("labs.cli.grid.submission.find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        train(*GRID, "debug=batches")
    assert "type pip install submitit" in capsys.readouterr().err


@pytest.fixture
def as_the_cluster(cluster: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Return a function that runs a submitted script as SLURM does."""
    begun = []

    def start(script: Path, **variables: str) -> subprocess.Popen[bytes]:
        of_slurm = {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "1", "SLURM_JOB_NAME": "labs-grid"}
        begun.append(subprocess.Popen(["bash", script], cwd=tmp_path, env={**os.environ, **of_slurm, **variables}))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_job_whose_time_is_up_is_queued_once_and_goes_on(
    train: Train, cluster: Path, as_the_cluster: Callable[..., subprocess.Popen[bytes]]
) -> None:
    words = (*GRID, "freeze=backbone", "trainer.max_epochs=20", "hydra.launcher.cpus_per_task=1")
    grid = train(*words, "rerun=true") / "grid"
    (script,) = cluster.glob("*.sh")
    job = as_the_cluster(script)
    (run,) = wait_for(lambda: [r for r in records(grid) if r.get("epochs", 0) >= 2] and runs_below(job.pid))
    os.kill(run, signal.SIGUSR1)
    assert job.wait(timeout=60) == 143
    assert (cluster / "scontrol.log").read_text() == "requeue 77\n"
    assert records(grid)[0]["status"] == "interrupted"

    assert as_the_cluster(script, SLURM_RESTART_COUNT="1").wait(timeout=180) == 0
    (record,) = records(grid)
    assert (record["status"], record["epochs"]) == ("finished", 20)
    (output,) = grid.glob("*/output.txt")
    assert output.read_text().count("epoch 1/20") == 1
    assert "srun" not in output.read_text(), "Lightning's hint for runs of several processes"


@pytest.mark.slow
def test_a_cell_of_two_processes_is_one_run(
    train: Train, cluster: Path, as_the_cluster: Callable[..., subprocess.Popen[bytes]]
) -> None:
    grid = train(*GRID, "debug=batches", "trainer.devices=2", "hydra.launcher.cpus_per_task=1") / "grid"
    (script,) = cluster.glob("*.sh")
    asked = asked_of(script)
    assert (asked["ntasks-per-node"], asked["nodes"]) == ("2", "1")
    of_slurm = {"NTASKS": "2", "NTASKS_PER_NODE": "2", "NODEID": "0", "NODELIST": "127.0.0.1"}
    assert as_the_cluster(script, **{f"SLURM_{name}": value for name, value in of_slurm.items()}).wait(240) == 0
    (record,) = records(grid)
    assert record["status"] == "finished"
    (folder,) = (file.parent for file in grid.glob("*/output.1.txt"))
    assert (folder / "metrics.json").is_file()
    assert "test" in (folder / "output.txt").read_text()


@pytest.mark.parametrize("text", SCRIPTS, ids=lambda text: re.findall("job-name=(.*)", text)[0])
def test_the_scripts_of_the_docs_are_ones_that_slurm_takes(text: str, tmp_path: Path) -> None:
    (script := tmp_path / "job.sh").write_text(text)
    checked = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    if shutil.which("shellcheck"):
        checked = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout
    head, _, commands = text.partition("\n\n")
    assert "#SBATCH" not in commands, "behind the first command, sbatch reads none"
    asked = asked_of(script)
    assert len(asked) == head.count("#SBATCH")
    assert asked["signal"] == "USR1@120"
    assert "requeue" in asked
    words = dict(word.split("=", 1) for word in shlex.split(commands) if word.startswith("trainer."))
    assert asked["ntasks-per-node"] == words.get("trainer.devices", "1")
    assert asked["nodes"] == words.get("trainer.num_nodes", "1")


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) >= 3
