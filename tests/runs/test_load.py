"""A trained run is rebuilt from its directory, which somebody may have handed over."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from bad_checkpoints import bad_checkpoints
from image_formats import KINDS
from PIL import Image
from trained_run import CLASSES, write_trained_run

from labs import LabsError
from labs.runs.load import load_run
from labs.runs.trained_net import trained_net


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return write_trained_run(tmp_path / "run")


def change(run_dir: Path, name: str, value: Any) -> None:
    """Change one setting of the recorded recipe."""
    file = run_dir / ".hydra" / "config.yaml"
    recipe = node = yaml.safe_load(file.read_text(encoding="utf-8"))
    *parents, last = name.split(".")
    for parent in parents:
        node = node[parent]
    node[last] = value
    file.write_text(yaml.safe_dump(recipe), encoding="utf-8")


def refused(run_dir: Path, **how: Any) -> str:
    with pytest.raises(LabsError) as raised:
        load_run(run_dir, **how)
    message = str(raised.value)
    assert message.startswith(f"run={run_dir}: ")
    assert "\n" not in message
    return message


def test_a_run_answers(run_dir: Path) -> None:
    run = load_run(run_dir)
    assert (run.classes, run.labels, run.image_size) == (CLASSES, ["embedded data"], 16)


@pytest.mark.parametrize(
    ("name", "value", "called"),
    [
        ("module.optimizer", {"_target_": "pandas.read_pickle", "filepath_or_buffer": "x"}, "pandas.read_pickle"),
        ("module.net", {"_target_": "torch.hub.load", "repo_or_dir": "x"}, "torch.hub.load"),
        ("module.scheduler", {"_target_": "torch.optim.Adam", "params": [{"_target_": "os.mkdir"}]}, "os.mkdir"),
        ("module.net.name", {"_target_": "labs.storage.files.os.mkdir", "path": "made"}, "labs.storage.files.os.mkdir"),
    ],
)
def test_a_handed_over_recipe_runs_no_code(
    name: str, value: Any, called: str, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run_dir)
    change(run_dir, name, value)
    assert f"its recipe would call {called} (module." in refused(run_dir)
    assert not Path("made").exists()


def test_trust_builds_what_conf_does_not_name(run_dir: Path) -> None:
    change(run_dir, "module.net.name", {"_target_": "builtins.str", "_args_": ["resnet_small"]})
    assert "would call builtins.str" in refused(run_dir)
    assert load_run(run_dir, trust=True).classes == CLASSES


def test_a_recipe_reads_no_weights_and_fetches_none(run_dir: Path) -> None:
    """The checkpoint brings its own; what the recipe started from is not there, or another's."""
    for name, value in {"weights": "/nowhere/run", "weights_folder": "/nowhere"}.items():
        change(run_dir, f"module.net.{name}", value)
    assert load_run(run_dir).classes == CLASSES


@pytest.mark.parametrize(
    "net",
    [
        {
            "_target_": "labs.runs.trained_net.trained_net",
            "name": "resnet18",
        },  # without `weights`, which is ImageNet's then
        {"_target_": "labs.runs.trained_net.trained_net", "name": "timm/resnet18d"},
    ],
    ids=["torchvision", "timm"],
)
def test_whatever_a_recipe_builds_the_network_is_not_asked(
    net: dict[str, Any], run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABS_WEIGHTS", str(run_dir))
    change(run_dir, "module.net", net)
    assert "it asks for the network, and reading a run directory needs none" in refused(run_dir)


def test_a_net_beyond_its_checkpoint_is_not_built(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labs.runs.load.ALWAYS", 0)
    change(run_dir, "module.net.num_classes", 1_000_000)
    assert "it asks for tensors of" in refused(run_dir)


def test_references_that_would_fill_the_memory_are_refused(run_dir: Path) -> None:
    change(run_dir, "z0", "ha" * 10)
    for place in range(1, 12):
        change(run_dir, f"z{place}", f"${{z{place - 1}}}" * 10)
    change(run_dir, "module.label_smoothing", "${z11}")
    assert re.search(r"z\d stands for more than 200,000 letters", refused(run_dir))


def test_a_recipe_of_a_size_that_none_has_is_refused(run_dir: Path) -> None:
    with (run_dir / ".hydra" / "config.yaml").open("a", encoding="utf-8") as file:
        file.write("".join(f"k{place}: 1\n" for place in range(30_000)))
    assert "and no recipe has more than 200,000" in refused(run_dir)


@pytest.mark.parametrize("name", [".hydra/config.yaml", "checkpoints/best.ckpt"])
def test_a_pipe_is_named_and_nothing_else_is_taken_in_its_place(name: str, run_dir: Path) -> None:
    (run_dir / name).unlink()
    os.mkfifo(run_dir / name)
    assert "it is not a file" in refused(run_dir)


@pytest.mark.parametrize("old", ["${labs_times:3,2}", "${labs_epochs:20,3}", "${multiply:3,2}"])
def test_recipes_of_earlier_labs_are_read(old: str, run_dir: Path) -> None:
    cosine = {"_target_": "torch.optim.lr_scheduler.CosineAnnealingLR", "_partial_": True}
    change(run_dir, "trainer.max_epochs", old)
    change(run_dir, "module.scheduler", {**cosine, "T_max": "${trainer.max_epochs}"})
    assert load_run(run_dir).classes == CLASSES


LAUGHS = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))  # a billion, if copied


@pytest.mark.parametrize(
    "content", ["\x00\x01", "[", "- a", "", "a: 1", "[" * 5000, f"a0: &a0 [0]\n{LAUGHS}"], ids=range(7)
)
def test_a_recipe_that_cannot_be_read_is_one_line(content: str, run_dir: Path) -> None:
    (run_dir / ".hydra" / "config.yaml").write_text(content[:5000], encoding="utf-8")
    assert re.search(
        r"config\.yaml cannot be read \(.*\)\. Type a run directory as train\.py left it\.$", refused(run_dir)
    )


@pytest.mark.parametrize("name", ["a" * 300, "~nobody-of-this-name/run"])
def test_a_name_that_no_directory_can_have_is_one_line(name: str) -> None:
    for load in (lambda: load_run(name), lambda: trained_net(weights=name)):
        with pytest.raises(LabsError, match=r"cannot be opened \(.*\); type"):
            load()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("module", None, "no net can be built"),
        ("module.net", None, "no net can be built"),
        ("module.net.name", "${module.net.name}", "module.net.name refers to itself"),
        ("module.net.name", "${module.nothing}", "no net can be built"),
        ("module.net._target_", "${oc.env:HOME}", "module.net._target_ calls something: ${oc.env:HOME}"),
        ("practical", "${oc.env:HOME}", "practical calls something: ${oc.env:HOME}"),
        ("module.net.num_classes", 500_000_000, "no net can be built"),
        ("module.net.num_classes", "many", "no net can be built"),
        ("module", {"_target_": "torch.optim.lr_scheduler.StepLR", "_partial_": True}, "which is no net"),
        ("module.net.num_classes", 7, "best.ckpt does not fit the recipe beside it, it is of another net or practical"),
        ("module.net.name", "resnet18", "best.ckpt does not fit the recipe beside it"),
        ("datamodule._target_", "labs.datamodules.domains.Domains", "best.ckpt does not fit the recipe beside it"),
        ("datamodule._target_", 5, "best.ckpt does not fit the recipe beside it"),
    ],
)
def test_a_recipe_that_does_not_fit_is_one_line(name: str, value: Any, said: str, run_dir: Path) -> None:
    change(run_dir, name, value)
    assert said in refused(run_dir)


@pytest.mark.parametrize("name", ["cut", "empty", "text", "noise", "code", "numpy", "list", "nothing"])
def test_a_bad_checkpoint_is_one_line(name: str, run_dir: Path, tmp_path: Path) -> None:
    file = run_dir / "checkpoints" / "best.ckpt"
    file.write_bytes(bad_checkpoints(file.read_bytes(), tmp_path / "made")[name])
    assert "best.ckpt" in refused(run_dir)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ({"classes": ["a"]}, "it names 1 classes of"),
        ({"image_size": -3}, "it saw images of -3 pixels"),
        ({"image_size": 1_000_000, "resize": 1_000_000}, "it saw images of 1000000 pixels"),
    ],
)
def test_images_that_no_net_has_seen_are_one_line(odd: dict[str, Any], said: str, run_dir: Path) -> None:
    """One of a million pixels a side filled the memory."""
    file = run_dir / "checkpoints" / "best.ckpt"
    saved = torch.load(file, weights_only=True)
    data = next(state for state in saved.values() if isinstance(state, dict) and "classes" in state)
    data.update(odd)
    torch.save(saved, file)
    assert said in refused(run_dir)


@pytest.mark.parametrize("content", [None, b"", b'{"labels": ["embed', b"{}", b'{"labels": "all"}', b"[" * 100_000])
def test_no_answer_without_the_labels_that_it_must_carry(content: bytes | None, run_dir: Path) -> None:
    file = run_dir / "metrics.json"
    file.unlink() if content is None else file.write_bytes(content)
    message = refused(run_dir)
    assert "metrics.json is missing, cut or without labels" in message
    assert f"`python train.py resume={run_dir}` writes it again." in message


def test_a_record_that_is_a_pipe_is_not_waited_for(run_dir: Path) -> None:
    (run_dir / "metrics.json").unlink()
    os.mkfifo(run_dir / "metrics.json")
    assert "metrics.json is missing" in refused(run_dir)


def test_a_finished_run_that_chose_no_epoch_answers_by_its_last(run_dir: Path) -> None:
    (run_dir / "checkpoints" / "best.ckpt").unlink()
    assert load_run(run_dir).labels == ["embedded data", "last epoch"]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("running", r"checkpoints/best\.ckpt is missing, .* go on with it: python train\.py resume="),
        ("finished", r"its checkpoints/best\.ckpt is not there \(there are: by_oracle\.ckpt\)\. Type another"),
    ],
)
def test_a_run_without_its_checkpoint_says_how_it_stands(status: str, said: str, run_dir: Path) -> None:
    (run_dir / "metrics.json").write_text(json.dumps({"status": status, "metrics": {}, "labels": []}), encoding="utf-8")
    (run_dir / "checkpoints" / "best.ckpt").unlink()
    (run_dir / "checkpoints" / "last.ckpt").rename(run_dir / "checkpoints" / "by_oracle.ckpt")
    assert re.search(said, refused(run_dir))


def test_a_picture_that_is_a_pipe_is_not_waited_for(run_dir: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(LabsError, match="no such file"):
        load_run(run_dir).read(tmp_path / "a.png")


def test_twins_of_a_picture_get_the_same_answer(run_dir: Path, tmp_path: Path) -> None:
    """Whatever kind of file a picture is stored in, without loss: rotated, in 16 bits, with colors that are hidden."""
    run = load_run(run_dir)

    def answer(path: Path) -> torch.Tensor:
        return run.predict(path)

    exact = [kind for kind in KINDS if kind.within == 0]
    assert len(exact) > 30
    answers = set()
    for number, kind in enumerate(exact):
        plain, twin = tmp_path / f"{number}_plain.png", tmp_path / f"{number}_twin{kind.suffix}"
        assert kind.pixels is not None
        pixels = np.asarray(kind.pixels, dtype=np.uint8)
        Image.fromarray(pixels if pixels.ndim == 3 else pixels[..., None].repeat(3, axis=2)).save(plain)
        kind.write(twin)
        assert torch.equal(answer(plain), answer(twin)), kind.name
        answers.add(tuple(answer(twin)[0].tolist()))
    assert len(answers) > 5, "pictures that differ get answers that differ"


def test_a_net_that_was_trained_on_a_gpu_answers_on_the_cpu(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = run_dir / "checkpoints" / "best.ckpt"
    saved = torch.load(file, weights_only=True)
    with monkeypatch.context() as patched:  # as torch.save writes tensors of a GPU
        patched.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        torch.save(saved, file)
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA"):
            torch.load(file, weights_only=True)
    net = load_run(run_dir)
    assert {parameter.device.type for parameter in net.net.parameters()} == {"cpu"}
    assert net.predict(torch.rand(1, 3, 16, 16)).sum() == pytest.approx(1)
