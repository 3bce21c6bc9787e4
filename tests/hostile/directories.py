"""Run directories as somebody who means harm would hand them over: each a name, a maker, and what must be said."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from bad_checkpoints import bad_checkpoints

LAUGHS = "a0: &a0 [0]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
HUGE = 10_000_000_000  # bytes of a file that takes no room


class Hostile(NamedTuple):
    """What is wrong with a directory, and what each door says of it.

    A door that is not named may also answer as if nothing were wrong: it does not read what is.
    """

    make: Callable[[Path, Path], None]  # of the run directory, and a folder outside of it
    answers: dict[str, str]


def _recipe(**changes: Any) -> Callable[[Path, Path], None]:
    """Change settings of the recorded recipe, by their full names with `__` for dots."""

    def make(run: Path, _: Path) -> None:
        file = run / ".hydra" / "config.yaml"
        recipe = yaml.safe_load(file.read_text(encoding="utf-8"))
        for name, value in changes.items():
            *parents, last = name.split("__")
            node = recipe
            for parent in parents:
                node = node[parent]
            node[last] = value
        file.write_text(yaml.safe_dump(recipe), encoding="utf-8")

    return make


def _words(*words: str) -> Callable[[Path, Path], None]:
    def make(run: Path, outside: Path) -> None:
        named = [word.replace("OUTSIDE", str(outside)) for word in words]
        (run / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(named), encoding="utf-8")

    return make


def _written(name: str, content: bytes) -> Callable[[Path, Path], None]:
    def make(run: Path, _: Path) -> None:
        (run / name).unlink(missing_ok=True)
        (run / name).write_bytes(content)

    return make


def _pipe(name: str) -> Callable[[Path, Path], None]:
    def make(run: Path, _: Path) -> None:
        (run / name).unlink(missing_ok=True)
        os.mkfifo(run / name)

    return make


def _sparse(name: str) -> Callable[[Path, Path], None]:
    def make(run: Path, _: Path) -> None:
        with (run / name).open("ab") as file:
            file.truncate(HUGE)

    return make


def _record(**changes: Any) -> Callable[[Path, Path], None]:
    def make(run: Path, _: Path) -> None:
        file = run / "metrics.json"
        file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **changes}), encoding="utf-8")

    return make


def _checkpoint(kind: str) -> Callable[[Path, Path], None]:
    def make(run: Path, outside: Path) -> None:
        for file in (run / "checkpoints").glob("*.ckpt"):
            file.write_bytes(bad_checkpoints(file.read_bytes(), outside / "made")[kind])

    return make


def _deflated(run: Path, _: Path) -> None:
    for file in (run / "checkpoints").glob("*.ckpt"):
        torch.save({"state_dict": {"weight": torch.zeros(1 << 22)}}, file)
        with zipfile.ZipFile(file) as whole:
            parts = {name: whole.read(name) for name in whole.namelist()}
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in parts.items():
                archive.writestr(name, content)


def _laughing_classes(run: Path, _: Path) -> None:
    name: Any = "ha"
    for _ in range(12):
        name = [name] * 10
    for file in (run / "checkpoints").glob("*.ckpt"):
        saved = torch.load(file, weights_only=True)
        next(state for state in saved.values() if "classes" in state)["classes"] = [name] * 5
        torch.save(saved, file)


def _growing(run: Path, _: Path) -> None:
    growing = {f"z{place}": f"${{z{place - 1}}}" * 10 for place in range(1, 12)}
    _recipe(z0="ha" * 10, **growing, module__label_smoothing="${z11}")(run, _)


def _linked_folder(run: Path, outside: Path) -> None:
    shutil.move(run / "checkpoints", outside / "theirs")
    (run / "checkpoints").symlink_to(outside / "theirs")


def _linked_report(run: Path, outside: Path) -> None:
    (run / "report").symlink_to(outside)


def _edited(run: Path, _: Path) -> None:
    file = run / "predictions.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join([lines[0], *(line.replace(",6,", ",5,") for line in lines[1:])]), encoding="utf-8")


_READ = ("predict", "load_run", "weights")  # the doors that rebuild the net
_TYPED = ("resume", "retry")


def _by(doors: tuple[str, ...], words: str) -> dict[str, str]:
    return dict.fromkeys(doors, words)


HOSTILE: dict[str, Hostile] = {
    # code
    "calls the shell": Hostile(
        _recipe(module__net={"_target_": "os.system", "command": "mkdir made"}), _by(_READ, "would call os.system")
    ),
    "calls a function behind one of ours": Hostile(
        _recipe(module__optimizer={"_target_": "labs.storage.files.shutil.rmtree", "path": "."}),
        _by(_READ, "would call labs.storage.files.shutil.rmtree"),
    ),
    "builds an argument": Hostile(
        _recipe(module__net__name={"_target_": "builtins.eval", "_args_": ["1"]}), _by(_READ, "its recipe")
    ),
    "words that call": Hostile(_words("+callbacks.e._target_=os.abort"), _by(_TYPED, "would call os.abort")),
    "words of Hydra": Hostile(
        _words("+hydra.callbacks.e._target_=os.abort"), _by(_TYPED, "which no run of labs records")
    ),
    "words that search elsewhere": Hostile(
        _words("hydra.searchpath=[file:///OUTSIDE]"), _by(_TYPED, "which no run of labs records")
    ),
    "code in a checkpoint": Hostile(_checkpoint("code"), _by((*_READ, "resume"), "which could run code")),
    "yaml that builds": Hostile(
        _written(".hydra/config.yaml", b"practical: !!python/object/apply:os.mkdir [made]\nmodule: 1\n"),
        _by(_READ, "config.yaml cannot be read"),
    ),
    # the network
    "weights of ImageNet": Hostile(
        _recipe(module__net={"_target_": "labs.runs.trained_net.trained_net", "name": "resnet18"}),
        _by(_READ, "asks for the network"),
    ),
    "weights of the hub": Hostile(
        _recipe(module__net={"_target_": "labs.runs.trained_net.trained_net", "name": "timm/resnet18d"}),
        _by(_READ, "asks for the network"),
    ),
    # this computer's settings
    "reads the environment": Hostile(
        _recipe(module__net__name="${oc.env:HOME}"), _by(_READ, "module.net.name calls something: ${oc.env:HOME}")
    ),
    "words that read the environment": Hostile(
        _words("module.label_smoothing=${oc.env:HOME}"), _by(_TYPED, "reads this computer's settings")
    ),
    # places
    "words that write elsewhere": Hostile(
        _words("callbacks.best.dirpath=OUTSIDE"), _by(_TYPED, "No run directory decides where files are")
    ),
    "a link that leads out": Hostile(_linked_folder, _by(_TYPED, "is a link that leads out")),
    "a report that leads out": Hostile(_linked_report, {"report": "is a link that leads out"}),
    # what would not end, or fill the memory
    "billion laughs": Hostile(
        lambda run, _: (run / ".hydra" / "config.yaml").write_text(LAUGHS), _by(_READ, "config.yaml cannot be read")
    ),
    "growing references": Hostile(_growing, _by(_READ, "stands for more than 200,000 letters")),
    "a circle of references": Hostile(_recipe(module__net__name="${module.net.name}"), _by(_READ, "refers to itself")),
    "an endless recipe": Hostile(_sparse(".hydra/config.yaml"), _by(_READ, "no recipe has more than")),
    "endless words": Hostile(_sparse(".hydra/overrides.yaml"), _by(_TYPED, "no recipe has more than")),
    "an endless record": Hostile(_sparse("metrics.json"), {"load_run": "without labels"}),
    "endless predictions": Hostile(_sparse("predictions.csv"), {}),
    "a net that fills the memory": Hostile(
        _recipe(module__net__num_classes=500_000_000), _by(_READ, "no net can be built")
    ),
    "a deflated checkpoint": Hostile(_deflated, _by((*_READ, "resume"), "it is compressed")),
    "classes that laugh": Hostile(_laughing_classes, _by(_READ, "a class is named by a list")),
    "a name of 100,000 letters": Hostile(_record(experiment="x" * 100_000), {}),
    "a deep record": Hostile(_written("metrics.json", b"[" * 100_000), {"load_run": "without labels"}),
    "a huge number": Hostile(_record(seed=10**18, seconds=1e308), {}),
    # pipes
    "a pipe as recipe": Hostile(_pipe(".hydra/config.yaml"), _by(_READ, "it is not a file")),
    "a pipe as words": Hostile(_pipe(".hydra/overrides.yaml"), _by(_TYPED, "it is not a file")),
    "a pipe as record": Hostile(_pipe("metrics.json"), {"load_run": "metrics.json is missing"}),
    "a pipe as best checkpoint": Hostile(_pipe("checkpoints/best.ckpt"), _by(_READ, "it is not a file")),
    "a pipe as last checkpoint": Hostile(_pipe("checkpoints/last.ckpt"), {}),
    "a pipe as predictions": Hostile(_pipe("predictions.csv"), {}),
    "a pipe as environment": Hostile(_pipe("environment.json"), {}),
    "a pipe as log": Hostile(_pipe("log.tsv"), {}),
    # numbers that were edited
    "edited predictions": Hostile(_edited, {"runs_table": "broken"}),
    "an edited accuracy": Hostile(_record(metrics={"test/acc": 0.99}), {"runs_table": "broken"}),
    "an impossible accuracy": Hostile(_record(metrics={"test/acc": 7}), {"runs_table": "broken"}),
    # damage
    **{f"a checkpoint that is {kind}": Hostile(_checkpoint(kind), _by((*_READ, "resume"), ".ckpt"))
       for kind in ("cut", "empty", "noise", "list")},
    "a recipe that is no text": Hostile(_written(".hydra/config.yaml", b"\xff\x00"), _by(_READ, "cannot be read")),
    "words that are no text": Hostile(_written(".hydra/overrides.yaml", b"\xff\x00"), _by(_TYPED, "cannot be read")),
}  # fmt: skip
