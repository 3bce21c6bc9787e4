"""Ranges as they are typed."""

from __future__ import annotations

import pytest

from labs import LabsError
from labs.cli.overrides import expand
from labs.trials.space import as_typed, read_space


@pytest.mark.parametrize(
    ("typed", "low", "high", "log"),
    [
        ("uniform(0, 0.5)", 0.0, 0.5, False),
        (" log( 1e-4,1 ) ", 1e-4, 1.0, True),
        ("int(-1, 8)", -1, 8, False),
        ("log_int(16, 512)", 16, 512, True),
    ],
)
def test_numbers(typed: str, low: float, high: float, log: bool) -> None:
    found = read_space({"x": typed})["x"]
    assert (found.low, found.high, found.log) == (low, high, log)  # type: ignore[attr-defined]


@pytest.mark.parametrize("typed", ["choice(none, layer1)", ["none", "layer1", "none"]])
def test_choices(typed: object) -> None:
    assert read_space({"freeze": typed})["freeze"].choices == ("none", "layer1")  # type: ignore[attr-defined]


def test_words_of_yaml_are_typed_as_they_were() -> None:
    assert read_space({"x": [True, None, 1, "a"]})["x"].choices == ("true", "null", "1", "a")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "typed",
    ["log(0, 1)", "log(1)", "uniform(1, 0)", "uniform(a, b)", "int(0.5, 2)", "normal(0, 1)", "0.1", ["one"], [], None],
)
def test_what_cannot_be_meant(typed: object) -> None:
    with pytest.raises(LabsError, match=r"search\.space\.x"):
        read_space({"x": typed})


def test_three_digits_are_typed() -> None:
    assert [as_typed(value) for value in (0.0123456, 1234.5, 7, "none")] == ["0.0123", "1.23e+03", "7", "none"]


def test_a_space_needs_no_quotes_on_the_command_line() -> None:
    words = expand(["-m", "search.space={optimizer.lr: log(1e-4, 1), freeze: [none, layer1]}"])
    assert words == [
        "search=any",
        "-m",
        "search.space=null",
        "++search.space={optimizer.lr: 'log(1e-4, 1)', freeze: [none, layer1]}",
    ]  # fmt: skip
    assert expand(["search=artists_tuned", "search.trials=5"]) == ["search=artists_tuned", "search.trials=5"]
