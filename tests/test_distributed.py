"""Two processes on the CPU (gloo): one run, the numbers of one process, and every test image counted exactly once.

`datamodule.batch_size` counts images per process, so two processes with half of it take the same steps as one. What
each process draws for itself, or computes from its own half of a batch, is left out where numbers are compared: batch
norm uses its running statistics, and a GAN's latents follow from the number of the batch. Then only the order of the
sums differs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from project import ROOT

SAME = {"rel": 1e-4, "abs": 1e-5}  # sums of 32-bit floats in another order, over a few dozen steps

FAR = 2e-3  # relative distance of weights; 8e-4 was the farthest, and a learning rate 0.5 % higher gives 1.2e-2

# The second process is started as the first one was, and takes the same changes: `runpy` would hide them from it.
TRAIN = f"""
file = {str(ROOT / "train.py")!r}
exec(compile(open(file, encoding="utf-8").read(), file, "exec"))
"""
QUICK_JUDGE = f"""
import torch
from torch.nn.functional import batch_norm
from labs.metrics import judge
from labs.modules.gan import GAN

def latents(gan, count):
    rank, processes = gan.trainer.global_rank, gan.trainer.world_size
    drawn = torch.randn(count * processes, gan.nz, generator=torch.Generator().manual_seed(gan.batches))
    return drawn[rank::processes]

def normalized(layer, images):
    return batch_norm(images, layer.running_mean, layer.running_var, layer.weight, layer.bias)

judge.STEPS = 20
GAN._latents = latents
torch.nn.BatchNorm2d.forward = normalized
{TRAIN}
"""
# Gradients stay far above rounding errors, which Adam would otherwise enlarge to whole steps.
STEADY = ["net.init=default", "+optimizer.eps=1e-3"]


def ran(folder: Path, *arguments: str, code: str = TRAIN) -> str:
    """Type a command in a new folder, and return what it printed."""
    folder.mkdir()
    (folder / "quick.py").write_text(code)
    command = [sys.executable, "quick.py", *arguments, "trainer=cpu"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def ran_twice(tmp_path: Path, *arguments: str, batch_size: int, code: str = TRAIN) -> tuple[Path, Path, str]:
    """Run a command with one process and with two; return the run directory of each, and what the two printed."""
    ran(tmp_path / "1", *arguments, f"datamodule.batch_size={batch_size}", code=code)
    both = [*arguments, f"datamodule.batch_size={batch_size // 2}", "trainer.devices=2"]
    printed = ran(tmp_path / "2", *both, code=code)
    (one,), (two,) = ((tmp_path / number).glob("outputs/*/*") for number in "12")  # named by the time: only one each
    return one, two, printed


def check_same(one: Path, two: Path) -> None:
    """Check that two processes left one record, with the metrics, the log and the weights of one process."""
    for name in ("metrics.json", "log.tsv", "test_log.tsv", "predictions.csv"):
        found = [path.relative_to(two).as_posix() for path in two.parents[2].glob(f"outputs/**/{name}")]
        assert found == ([name] if (one / name).exists() else []), name
    records = [json.loads((run_dir / "metrics.json").read_text()) for run_dir in (one, two)]
    assert records[1]["status"] == "finished"
    assert records[1]["counts"] == records[0]["counts"]
    assert records[1]["metrics"] == pytest.approx(records[0]["metrics"], **SAME, nan_ok=True)
    logs = [pd.read_csv(run_dir / "log.tsv", sep="\t").drop(columns="seconds") for run_dir in (one, two)]
    pd.testing.assert_frame_equal(logs[1], logs[0], rtol=SAME["rel"], atol=SAME["abs"])
    files = [run_dir / "checkpoints" / "last.ckpt" for run_dir in (one, two)]
    weights = [torch.load(file, weights_only=True)["state_dict"] for file in files]
    assert list(weights[1]) == list(weights[0])
    far = {name: _distance(weights[1][name], weight) for name, weight in weights[0].items()}
    assert max(far.values()) < FAR, far


def _distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Return how far a tensor is from another one, relative to its size.

    Steps enlarge rounding errors, how far depends on the CPU, and single small elements suffer most: one was 0.6 % from
    its value in a tensor that was 0.08 % away.
    """
    return float((found - expected).double().norm() / expected.double().norm().clamp_min(1e-6))


@pytest.mark.slow
def test_two_processes(tmp_path: Path) -> None:
    arguments = ["trainer.max_epochs=3", "weights=random", "freeze=batch_norms"]
    one, two, printed = ran_twice(tmp_path, *arguments, batch_size=32)
    check_same(one, two)
    tables = [pd.read_csv(run_dir / "predictions.csv") for run_dir in (one, two)]
    assert len(tables[1]) == tables[1]["name"].nunique() == 836
    pd.testing.assert_frame_equal(tables[1], tables[0], rtol=1e-3, atol=1e-4)
    accuracy = json.loads((two / "metrics.json").read_text())["metrics"]["test/acc"]
    assert accuracy == pytest.approx((tables[1]["label"] == tables[1]["prediction"]).mean(), abs=1e-6)
    assert printed.count("What trains") == 1
    assert len(list(two.rglob("events.out.tfevents.*"))) == len(list(one.rglob("events.out.tfevents.*")))


@pytest.mark.slow
def test_two_processes_train_one_gan(tmp_path: Path) -> None:
    tiny = ["net.ngf=4", "net.ndf=4", "trainer.max_epochs=2", "module.ema=0.9", "seed=3", "logger=none"]
    arguments = ["experiment=dcgan_mnist", "data=embedded", "datamodule.passes=1", *STEADY, *tiny]
    one, two, _ = ran_twice(tmp_path, *arguments, batch_size=120, code=QUICK_JUDGE)
    check_same(one, two)
    losses = pd.read_csv(two / "losses.tsv", sep="\t")
    assert losses["iteration"].tolist() == list(range(1, 69))  # 2,000 images a process in 34 batches of 60, twice
    assert losses.notna().all().all()
    assert json.loads((two / "metrics.json").read_text())["metrics"]["test/fid"] > 0
    assert (two / "images" / "sheet.png").is_file()


@pytest.mark.slow
def test_two_processes_adapt_between_domains(tmp_path: Path) -> None:
    """Their metrics cover all test images once: they are those of a count of the predictions."""
    tiny = ["trainer.max_epochs=2", "datamodule.image_size=16", "logger=none", "callbacks.pictures=null"]
    one, two, printed = ran_twice(tmp_path, "experiment=dann_mnistm", "data=embedded", *tiny, batch_size=64)
    check_same(one, two)
    predictions = pd.read_csv(two / "predictions.csv")
    assert len(predictions) == predictions["name"].nunique() == 1000
    metrics = json.loads((two / "metrics.json").read_text())["metrics"]
    accuracy = (predictions["label"] == predictions["prediction"]).mean()
    assert metrics["test/target_acc"] == pytest.approx(accuracy, abs=1e-6)
    selections = pd.read_csv(two / "selections.tsv", sep="\t")
    assert selections["target_acc"].iloc[-1] == pytest.approx(accuracy, abs=1e-9)  # of the last epoch, which is tested
    assert len(selections) == 5
    for name in ("test/source_acc", "test/domain_acc"):
        assert round(metrics[name] * 2 * 1000, 3) == pytest.approx(round(metrics[name] * 2 * 1000), abs=0.01), name
    assert printed.count("trains without labels") == 1


@pytest.mark.slow
def test_two_processes_in_the_cells_of_a_grid(tmp_path: Path) -> None:
    """Both ask for the embedded weights, the decoded images and the features, which nobody has made yet."""
    arguments = ["trainer.max_epochs=3", "logger=none", "freeze=backbone", 'upstream.overrides=["debug=batches"]']
    one = [*arguments, "datamodule.batch_size=32", "feature_cache=off", "hydra.run.dir=run"]
    ran(tmp_path / "1", *one)
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1", "hydra.sweep.dir=outputs/grid"]
    cells = ["-m", "seed=0,1", "datamodule.batch_size=16", "feature_cache=require", "trainer.devices=2", *launcher]
    printed = ran(tmp_path / "2", *arguments, *cells)
    runs = sorted(path.parent for path in (tmp_path / "2" / "outputs").rglob("metrics.json"))
    assert [run_dir.parent.name for run_dir in runs] == ["grid", "grid"], printed
    first, second = (json.loads((run_dir / "metrics.json").read_text()) for run_dir in runs)
    alone = json.loads((tmp_path / "1" / "run" / "metrics.json").read_text())
    assert first["metrics"] == pytest.approx(alone["metrics"], **SAME)
    assert [record["feature_cache"]["splits"] for record in (first, second)] == [["train", "val", "test"]] * 2
    assert second["feature_cache"]["computed_seconds"] == 0  # of the first, either process may have computed them
    assert second["status"] == "finished"
    assert pd.read_csv(runs[1] / "predictions.csv")["name"].nunique() == 836


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGUSR1, 143), (signal.SIGINT, 130)])
def test_two_processes_are_stopped_by_a_signal(tmp_path: Path, number: int, code: int) -> None:
    """Lightning's handler waits for the other process, which is busy, and the run hung for ever."""
    arguments = ["trainer=cpu", "trainer.devices=2", "trainer.strategy=ddp", "trainer.max_epochs=400", "weights=random"]
    command = [sys.executable, str(ROOT / "train.py"), *arguments, "hydra.run.dir=run", "logger=none"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        next(line for line in process.stdout if line.startswith("epoch 2/400"))
        process.send_signal(number)
        try:
            assert process.wait(timeout=60) == code
        finally:
            process.kill()
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["status"] == "interrupted"


HANGS = f"""
import os, time
from pathlib import Path
from labs.datamodules.batches import StoredImages
as_before = StoredImages.__getitem__

def item(images, index):
    while os.environ.get("LOCAL_RANK") == "1" and Path("hang").exists():
        time.sleep(0.5)
    return as_before(images, index)

StoredImages.__getitem__ = item
{TRAIN}
"""


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["stopped", "killed", "hangs"])
def test_a_process_that_stops_hangs_or_dies_ends_the_run(tmp_path: Path, fault: str) -> None:
    """The other one would wait for half an hour, or end with an error of gloo."""
    arguments = ["trainer=cpu", "trainer.devices=2", "trainer.max_epochs=4000", "weights=random", "logger=none"]
    (tmp_path / "quick.py").write_text(HANGS)
    command = [sys.executable, "quick.py", *arguments, "callbacks.watchdog.minutes=0.1", "hydra.run.dir=run"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        next(line for line in process.stdout if line.startswith("epoch 2/"))
        other = json.loads((tmp_path / "run" / ".hydra" / "pulse.1.json").read_text())["pid"]
        begun = time.monotonic()
        if fault == "hangs":
            (tmp_path / "hang").touch()
        else:
            os.kill(other, signal.SIGSTOP if fault == "stopped" else signal.SIGKILL)
        try:
            _, printed = process.communicate(timeout=90)
        finally:
            process.kill()
            if Path(f"/proc/{other}").exists():
                os.kill(other, signal.SIGKILL)
    assert process.returncode == 2
    assert time.monotonic() - begun < 60
    facts = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert facts["status"] == "failed"
    assert printed.count("error:") == 1
    assert "Traceback" not in printed
    assert facts["error"].removeprefix("HungError: ")[:200] in printed
    assert not list((tmp_path / "run" / ".hydra").glob("pulse.*"))
    stacks = {path.name: path.read_text() for path in (tmp_path / "run").glob("stacks.*")}
    if fault == "killed":
        assert "error: rank 1 of 2 was killed by SIGKILL" in printed
        return
    beginning = {"stopped": f"its process {other} ", "hangs": "for 6 s it has been at quick.py:"}[fault]
    assert f"error: rank 1 of 2 stands still: {beginning}" in printed
    assert "Rank 0 waits at train.py:" in printed.replace(f"{ROOT}/", "")
    assert "which waits at torch/" in printed
    assert sorted(stacks) == ["stacks.0.txt", "stacks.1.txt"][: 1 + (fault == "hangs")]
    assert all("Thread" in text for text in stacks.values())
