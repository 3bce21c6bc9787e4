"""What source files say of constructors is what an import says; where they do not say it, there is no answer."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import get_object
from test_experiments import CONF, EXPERIMENTS, composed

from labs import LabsError
from labs.cli import check
from labs.cli.check import _fits, _hints, _readable, check_recipe
from labs.cli.signatures import signature_of

TARGETS = sorted({t for path in CONF.rglob("*.yaml") for t in re.findall(r"_target_: *([\w.]+)", path.read_text())})
MORE = ["torch.optim.RMSprop", "torch.optim.lr_scheduler.OneCycleLR", "lightning.pytorch.callbacks.EarlyStopping"]
VALUES: list[Any] = [
    *(0, 1, -1, 1.5, "abc", "", "step", "16-mixed", "link", True, False, None, 64),
    *([], [1], [1.5], ["a"], ["a", 1], [True], [[1]], [["a"]], (1,), ("a",), (0.9, 0.99)),
    *({}, {"a": 1}, {"a": 1.5}, {"a": "b"}, {1: ["a"]}, {1: "a"}, {"a": {"b": 1}}),
]


def test_targets_are_found() -> None:
    assert len(TARGETS) > 40


@pytest.mark.parametrize("target", [*TARGETS, *MORE])
def test_a_file_says_what_an_import_says(target: str) -> None:
    said, call = signature_of(target), get_object(target)
    if said is None:
        assert target.startswith("hydra_plugins."), "imported, which takes seconds"
        return
    parameters, hints = inspect.signature(call).parameters, _hints(call)
    assert said.name == call.__name__
    assert list(said.parameters) == list(parameters)
    assert said.takes_any is any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in parameters:
        assert (name in said.hints) is (name in hints and name not in said.unread)
    for name in parameters.keys() & said.hints.keys():
        # sorted: Python takes `X | Y | None` from a cache that holds `Y | X | None`, if another module was first
        assert sorted(_readable(said.hints[name]).split(" or ")) == sorted(_readable(hints[name]).split(" or "))
        for value in VALUES:
            assert _fits(value, said.hints[name]) is _fits(value, hints[name]), (name, value)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_no_experiment_is_imported_to_be_checked(experiment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_imported", lambda target, key: pytest.fail(f"{key}: {target} is imported"))
    check_recipe(composed(f"experiment={experiment}", "data=embedded"))


def test_a_protocol_is_imported_to_be_checked() -> None:
    """Only an import can tell what has its shape; an object that is built later is checked on its own."""
    said = signature_of("labs.datamodules.image_classification.ImageClassification")
    assert said is not None
    assert said.unread == {"source"}
    with pytest.raises(LabsError, match=r"^datamodule\.source=5: expected Source\.$"):
        check_recipe(composed("experiment=cub_full", "datamodule.source=5"))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """An importable package of one's own for each test."""
    name = re.sub(r"\W", "_", f"of_{request.node.name}")
    (tmp_path / name).mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    files = {"__init__": "from .inner import *\nfrom .inner import Plain as Renamed", "inner": SOURCE, "other": OTHER}
    for file, text in files.items():
        (tmp_path / name / f"{file}.py").write_text(text)
    return name


OTHER = """\
from typing import TypedDict
Number = int | float
class Shape(TypedDict):
    a: int
class Thing: ...
"""
SOURCE = """\
import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from . import other as o
from .other import Number, Shape, Thing as T
if TYPE_CHECKING:
    from .other import Thing
Word = Literal["a", "b"]

class Plain:
    def __init__(self, a: Number, /, b: "Word" = "a", *more: int, c: o.Thing | None = None, d=1, **rest: T): ...
class Child(Plain): ...
class Empty: ...
class Shaped:
    def __init__(self, shape: Shape, number: int): ...
@dataclass
class Data:
    a: int
    b: list[Number] = ()

class Absent:  # an import has no hints at all
    def __init__(self, thing: "Thing", number: int): ...
class New(Plain):
    def __new__(cls, x): ...
class Twice:
    def __init__(self, a): ...
    def __init__(self, b): ...
class Two(Plain, Empty): ...
class Meta(metaclass=type):
    def __init__(self, a): ...
class Own:
    int = str
    def __init__(self, a: int): ...
@dataclass
class Fielded:
    a: int = field(init=False, default=1)
@dataclass(kw_only=True)
class Keywords:
    a: int
@functools.lru_cache
def decorated(a: int): ...
def called(a: Literal[tuple("ab")]): ...
Alias = Plain
if True:
    def conditional(a: int): ...
"""


@pytest.mark.parametrize("name", ["Plain", "Renamed", "Child", "Empty", "Data", "inner.Plain", "Alias"])
def test_what_is_said_plainly(name: str, package: str) -> None:
    said, call = signature_of(f"{package}.{name}"), get_object(f"{package}.{name}")
    assert said is not None
    assert (said.name, list(said.parameters)) == (call.__name__, list(inspect.signature(call).parameters))
    hints: Mapping[str, Any] = _hints(call)
    assert {n: str(hint) for n, hint in said.hints.items() if n != "return"} == {
        n: str(hint) for n, hint in hints.items() if n != "return"
    }


def test_what_has_a_shape_is_left_unread(package: str) -> None:
    said = signature_of(f"{package}.Shaped")
    assert said is not None
    assert said.unread == {"shape"}
    assert said.hints == {"number": int}


@pytest.mark.parametrize(
    "name",
    [
        *("Absent", "New", "Twice", "Two", "Meta", "Own", "Fielded", "Keywords", "decorated", "called", "conditional"),
        *("nothing", "inner", "inner.nothing", "nothing.Plain", "Plain.__init__", "o.Thing.x"),
    ],
)
def test_what_is_not_said_plainly_has_no_answer(name: str, package: str) -> None:
    assert signature_of(f"{package}.{name}") is None


@pytest.mark.parametrize("target", ["", "nowhere", "nowhere.at.all", "dict", "builtins.dict", "math.sqrt", "torch"])
def test_what_has_no_source_has_no_answer(target: str) -> None:
    assert signature_of(target) is None
