"""A recipe is checked against the signatures of the constructors that it calls."""

from __future__ import annotations

import inspect
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from project import ROOT
from test_experiments import CONF, composed

from labs import LabsError
from labs.cli.check import _check_node, _fits, _parameters, check_recipe
from labs.cli.overrides import expand

TARGETS = sorted({t for path in CONF.rglob("*.yaml") for t in re.findall(r"_target_: *([\w.]+)", path.read_text())})
SOURCE = """\
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable
if TYPE_CHECKING:
    from nowhere import Thing
Number = int | float

class Plain:
    def __init__(self, a: Number, b: "Literal['x', 'y']" = "x", *more: int, c: "Plain | None" = None, d=1): ...
class Child(Plain): ...
Alias = Plain
class Open:
    def __init__(self, a: Number, **rest: int): ...
@dataclass
class Data:
    a: Number
    b: list[int] = ()
@functools.lru_cache
def decorated(a: Number): ...
class New(Plain):
    def __new__(cls, x: int): ...
class Unresolved:  # its types have no meaning when the program runs
    def __init__(self, a: "Thing", b: int): ...
@runtime_checkable
class Shape(Protocol):
    real: float
class Shaped:
    def __init__(self, shape: Shape): ...
"""


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the name of an importable module."""
    folder = tmp_path_factory.mktemp("of_test_check")
    (folder / "shapes_of_test_check.py").write_text(SOURCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield "shapes_of_test_check"


def test_targets_are_found() -> None:
    assert len(TARGETS) > 40


@pytest.mark.parametrize("target", TARGETS)
def test_every_type_of_ours_can_be_resolved(target: str) -> None:
    """Otherwise values go unchecked."""
    assert not any(isinstance(p.annotation, str) for p in _parameters(target).values())
    if target.startswith("labs."):
        assert not any(p.annotation is inspect.Parameter.empty for p in _parameters(target).values())


@pytest.mark.parametrize(
    ("call", "settings"),
    [
        ("Plain", {"a": 1.5, "b": "y", "c": None, "d": "anything"}),
        ("Plain", {"a": 1, "c": {"_target_": "SHAPES.Child", "a": 2}}),
        ("Plain", {"_partial_": True, "b": "x"}),  # what lacks is given later, or missed by the constructor
        ("Child", {"a": 1, "b": "y"}),
        ("Alias", {"a": 1}),
        ("Open", {"a": 1, "more": "anything"}),
        ("Data", {"a": 1, "b": [1, 2]}),
        ("decorated", {"a": 1}),
        ("New", {"x": 1}),
        ("Unresolved", {"a": "left to the constructor", "b": 1}),
        ("Shaped", {"shape": 5}),
        ("Shaped", {"shape": {"_target_": "SHAPES.Plain", "a": 1}}),  # checked on its own
    ],
)
def test_what_fits(call: str, settings: dict[str, Any], shapes: str) -> None:
    node = {"_target_": f"{shapes}.{call}", **settings}
    for value in node.values():
        if isinstance(value, dict):
            value["_target_"] = value["_target_"].replace("SHAPES", shapes)
    _check_node(node, "module")


@pytest.mark.parametrize(
    ("call", "settings", "message"),
    [
        ("Plain", {"a": "abc"}, "module.a=abc: expected a whole number or a number."),
        ("Plain", {"a": True}, "module.a=true: expected a whole number or a number."),
        ("Plain", {"b": "z"}, "module.b=z: expected one of x, y."),
        ("Plain", {"c": 5}, "module.c=5: expected settings with the _target_ of a Plain or null."),
        ("Plain", {"more": 1}, "module.more: Plain takes no argument 'more'; it takes a, b, c, d."),
        ("Child", {"aa": 1}, "module.aa: Child takes no argument 'aa'; did you mean module.a?"),
        ("Open", {"a": "abc", "more": 1}, "module.a=abc: expected a whole number or a number."),
        ("Data", {"b": ["x"]}, "module.b=['x']: expected a list [a, b], each a whole number."),
        ("decorated", {"a": None}, "module.a=null: expected a whole number or a number."),
        ("Unresolved", {"b": "abc"}, "module.b=abc: expected a whole number."),
        ("Unresolved", {"c": 1}, "module.c: Unresolved takes no argument 'c'; it takes a, b."),
        ("Shaped", {"shape": "word"}, "module.shape=word: expected settings with the _target_ of a Shape."),
    ],
)
def test_what_does_not_fit(call: str, settings: dict[str, Any], message: str, shapes: str) -> None:
    for node, key in (({}, "module"), ({"inner": [{}]}, "module.inner[0]")):  # wherever it stands
        (node["inner"][0] if node else node).update({"_target_": f"{shapes}.{call}", **settings})
        with pytest.raises(LabsError) as error:
            _check_node(node, "module")
        assert str(error.value) == message.replace("module.", f"{key}.")


@pytest.mark.parametrize("target", ["nowhere", "nowhere.at.all", "labs.nothing", "labs.cli.check.nothing"])
def test_what_cannot_be_imported(target: str) -> None:
    with pytest.raises(LabsError, match=rf"^module\._target_={target}: this cannot be imported: [^\n]+$"):
        _check_node({"_target_": target}, "module")


def test_a_constructor_is_read_once_for_all_cells() -> None:
    assert _parameters("labs.cli.check.build") is _parameters("labs.cli.check.build")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (
            "datamodule.source=5",
            "datamodule.source=5: expected settings with the _target_ of a Source.",
        ),  # a protocol: what a value has
        ("trainer.max_epochs=2.5", "trainer.max_epochs=2.5: expected a whole number or null."),
        ("trainer.max_epochs=false", "trainer.max_epochs=false: expected a whole number or null."),
        ("freeze.batch_norm=off", "callbacks.freeze.batch_norm=off: expected one of eval, affine, train."),
        ("module.net.name=5", "module.net.name=5: expected a word."),
        ("+trainer.device=1", "trainer.device: Trainer takes no argument 'device'; did you mean trainer.devices?"),
        ("+optimizer.amsgrid=true", "module.optimizer.amsgrid: SGD takes no argument 'amsgrid'; it takes params,"),
        ("experiment=dann_mnistm reversal.weight=a", "module.reversal.weight=a: expected a number."),
        ("experiment=cdan_mnistm module.entropy_weights=5", "module.entropy_weights=5: expected true or false."),
        ("experiment=cdan_mnistm module.batch_norm=off", "module.batch_norm=off: expected one of mixed, separate."),
        (
            "experiment=pseudo_label_mnistm +module.domain_hide=[5]",
            "module.domain_hide: PseudoLabel takes no argument 'domain_hide'; did you mean module.domain_hidden?",
        ),
        ("experiment=dcgan_mnist net.nz=a", "module.net.nz=a: expected a whole number."),
    ],
)
def test_messages(typed: str, said: str) -> None:
    with pytest.raises(LabsError, match=f"^{re.escape(said)}"):
        check_recipe(composed(*expand(typed.split())))


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    [
        (int, [0, -1, 64], [1.5, True, None, "abc", [1], {}]),
        (float, [0, 1.5], ["abc", True, None]),
        (bool, [True, False], [0, 1, "true", None]),
        (str, ["", "step"], [1, None, ["a"]]),
        (int | None, [0, None], [1.5, "", False]),
        (Any, [0, True, None, "abc", [1], {}], []),
        (Literal["16-mixed", 16], ["16-mixed", 16], [1, "16"]),
        (Sequence[int], [[], [1], (1,)], [1, "abc", [1.5], ["a", 1], [1, "a"], [[1]]]),
        (Sequence[str], [["a"]], ["abc", [1], ["a", 1]]),
        (tuple[float, float], [(0.9, 0.99)], [(0.9,), 0.9]),
        (dict[str, float], [{}, {"a": 1}, {"a": 1.5}], [{"a": "b"}, {1: 1.5}, []]),
        (Mapping[int, Sequence[str]], [{1: ["a"]}], [{1: [2]}, {"a": ["a"]}]),
    ],
    ids=str,
)
def test_values_and_types(hint: Any, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if not _fits(value, hint)] == []
    assert [value for value in bad if _fits(value, hint)] == []


def test_a_dataset_without_embedded_images_is_no_embedded_data(
    train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The images would be its own, and be called embedded: the quick start's experiment chooses data=embedded."""
    own = tmp_path / "own"
    (own / "datamodule").mkdir(parents=True)
    shutil.copy(ROOT / "conf" / "datamodule" / "digits.yaml", own / "datamodule" / "mine.yaml")
    command = ("datamodule=mine", "weights=random", "debug=batches", "logger=none", "hydra.searchpath=[own]")
    with pytest.raises(SystemExit):
        train(*command)
    assert (
        "datamodule=mine has no embedded images (there is no conf/data/embedded/mine.yaml)" in capsys.readouterr().err
    )
    (own / "data" / "embedded").mkdir(parents=True)
    (own / "data" / "embedded" / "mine.yaml").write_text("# @package _global_\n")
    train(*command)
