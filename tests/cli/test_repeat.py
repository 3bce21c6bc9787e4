"""`resume=` and `retry=` of a directory that somebody may have handed over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from labs import LabsError
from labs.cli.overrides import expand

NO_RUN_RECORDS = [
    "++hydra.job.env_set.PATH=/bin", "+hydra.callbacks.e._target_=os.system", "hydra/job_logging=default", "hydra=x",
    "+optimizer@hydra.callbacks.e=sgd", "+experiment@_global_=cub_full", "experiment=../../../tmp/mine",
    "experiment=${oc.env:HOME}", "debug=[batches,../mine]", "hydra.searchpath=[file:///tmp]", "seed=1,2",
]  # fmt: skip
PLACES = [
    "paths.data=/elsewhere", "paths.run_dir=/elsewhere", "paths.outputs=/elsewhere", "++paths={run_dir: /elsewhere}",
    "paths=cluster", "trainer.default_root_dir=/elsewhere", "callbacks.best.dirpath=/elsewhere",
    "callbacks.best.filename=../../elsewhere", "++callbacks.best={mode: max, dirpath: /elsewhere}",
    "+logger.csv.version=../..", "+logger.tensorboard.sub_dir=../..", "++logger.x={a: [{save_dir: /elsewhere}]}",
    "datamodule.source.folder=/elsewhere",
    "upstream.experiment=x", "+trainer.profiler={dirpath: /elsewhere}", "module.label=${oc.env:SECRET}",
    "++callbacks.e='${oc.decode:\"{dirpath: /elsewhere}\"}'",
]  # fmt: skip
OWN = [
    "experiment=cub_full", "weights=random", "module.optimizer.lr=0.1", "~callbacks.best", "freeze=null",
    "module.lr_scale=null", "++module.lr_scale={head: 10}", "gan_loss='true'", "module.net.weights=/my/run",
    "datamodule.content=[a.png,../b.png]", "seed=1", "+callbacks.e._target_=lightning.pytorch.callbacks.EarlyStopping",
]  # fmt: skip


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    (tmp_path / "run" / ".hydra").mkdir(parents=True)
    return tmp_path / "run"


def record(run_dir: Path, *words: str) -> None:
    (run_dir / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(list(words)), encoding="utf-8")


@pytest.mark.parametrize("key", ["resume", "retry"])
def test_what_a_run_records_is_repeated(key: str, run_dir: Path) -> None:
    record(run_dir, *OWN, "grid=cub_table4", "sweep.on_error=stop", "trust=true", "rerun=true")
    expected = [*OWN, "trust=false", f"hydra.run.dir={run_dir}", *(["resume=true"] if key == "resume" else [])]
    assert expand([f"{key}={run_dir}"]) == expected


@pytest.mark.parametrize("word", NO_RUN_RECORDS)
def test_what_no_run_records_is_refused(word: str, run_dir: Path) -> None:
    record(run_dir, "seed=1", word)
    with pytest.raises(LabsError, match="which no run of labs records") as raised:
        expand([f"retry={run_dir}"])
    assert word in str(raised.value)


@pytest.mark.parametrize("word", PLACES)
def test_places_are_typed_and_never_repeated(word: str, run_dir: Path) -> None:
    record(run_dir, word)
    with pytest.raises(LabsError, match="No run directory decides where files are") as raised:
        expand([f"resume={run_dir}"])
    assert f"type it again: resume={run_dir}" in str(raised.value)
    name = word.partition("=")[0]
    assert expand([f"resume={run_dir}", f"{name}=/mine"])[-1] == f"{name}=/mine"


@pytest.mark.parametrize("word", ["--config-dir=/tmp", "-cn=mine", "nothing", " hydra.job.name=x"])
def test_flags_and_what_is_no_override_are_refused(word: str, run_dir: Path) -> None:
    record(run_dir, word)
    with pytest.raises(LabsError, match=r"its overrides\.yaml holds a word that cannot be read"):
        expand([f"resume={run_dir}"])


def test_what_is_trusted_is_repeated_whole(run_dir: Path) -> None:
    record(run_dir, "paths.data=/scratch", "hydra.job.name=x")
    assert expand([f"resume={run_dir}", "trust=true"]) == [
        *("paths.data=/scratch", f"hydra.run.dir={run_dir}", "resume=true", "trust=true")
    ]


def test_a_link_that_leads_out_is_refused(run_dir: Path) -> None:
    record(run_dir)
    (run_dir / "checkpoints").symlink_to(run_dir.parent)
    with pytest.raises(LabsError, match="checkpoints is a link that leads out of the run directory"):
        expand([f"resume={run_dir}"])


@pytest.mark.parametrize(
    "content",
    [
        b"\x00\xff\xfe",
        b"",
        b"a: 1\n",
        b"- 1\n",
        b"[",
        b"[" * 5000,
        b"!!python/object/apply:os.getcwd []",
        b"\xe4",
        b"- &a b\n- *a\n",
        b"- a\n" * 100_000,
    ],
    ids=["binary", "empty", "mapping", "number", "torn", "deep", "code", "latin", "alias", "huge"],
)
def test_what_cannot_be_read_is_one_line(content: bytes, run_dir: Path) -> None:
    (run_dir / ".hydra" / "overrides.yaml").write_bytes(content)
    with pytest.raises(LabsError, match=r"overrides\.yaml cannot be read .* Type its whole command") as raised:
        expand([f"resume={run_dir}"])
    assert "\n" not in str(raised.value)


def test_a_pipe_is_no_recipe(run_dir: Path) -> None:
    os.mkfifo(run_dir / ".hydra" / "overrides.yaml")
    with pytest.raises(LabsError, match=r"overrides\.yaml cannot be read \(it is not a file\)"):
        expand([f"resume={run_dir}"])
