"""References of a recipe are measured before anything follows them."""

from __future__ import annotations

from typing import Any

import pytest

from labs.runs.references import MOST, check_references

GROWING: dict[str, Any] = {"z0": "ha" * 10, **{f"z{place}": f"${{z{place - 1}}}" * 10 for place in range(1, 60)}}


@pytest.mark.parametrize(
    "recipe",
    [
        {"module": "${epochs}", "epochs": 3},
        {"module": {"a": "${.b}", "b": {"c": "${..d}"}, "d": 1}},
        {"module": ["${list[1]}", "${list.0}"], "list": [1, 2]},
        {"module": "${freeze.2}", "freeze": {2: ["layer1"]}},
        {"module": "${multiply:3,${epochs}}", "epochs": 2},
        {"module": "${labs_epochs:${epochs},3}", "epochs": 2},
        {"module": "${nothing.there}"},  # whoever resolves it says so
        {"module": "$1 {a} $ {b}"},
        {"module": 1, "other": GROWING["z59"], **GROWING},  # of another section
    ],
)
def test_what_a_recipe_holds_is_let_through(recipe: dict[str, Any]) -> None:
    check_references(recipe, "module")


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"module": "${z59}", **GROWING}, f"stands for more than {MOST:,} letters"),
        ({"module": {"a": ["${b}"] * 1000}, "b": ["${c}"] * 1000, "c": 1}, f"stands for more than {MOST:,} letters"),
        ({"module": "x" * (MOST + 1)}, f"stands for more than {MOST:,} letters"),
        ({"module": "${a}", "a": "${b}", "b": "${a}"}, "a refers to itself"),
        ({"module": {"a": "${module}"}}, "module refers to itself"),
        ({"module": {"a": "${..}"}}, "calls something"),
        ({"module": "${a.b}", "a": "${c}", "c": {"b": 1}}, "a.b goes through another reference"),
        ({"module": "${oc.env:HOME}"}, "module calls something: ${oc.env:HOME}"),
        ({"module": "${oc.decode:'[1]'}"}, "module calls something"),
        ({"module": "${hydra:runtime.cwd}"}, "module calls something"),
        ({"module": "${multiply:3,${oc.env:HOME}}"}, "module calls something"),
        ({"module": "${${a}}", "a": "b"}, "module calls something"),
        ({"module": "${ a }", "a": 1}, "module calls something"),
        ({"module": "${a", "a": 1}, "module calls something"),
    ],
)
def test_what_no_recipe_holds_is_refused(recipe: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        check_references(recipe, "module")
    assert said in str(raised.value)


def test_a_long_chain_ends() -> None:
    chain = {f"z{place}": f"${{z{place + 1}}}" for place in range(100_000)}
    with pytest.raises(RecursionError):
        check_references({"module": "${z0}", **chain}, "module")
