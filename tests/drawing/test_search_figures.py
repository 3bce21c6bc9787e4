"""Figures of a search: what they show, and when there is none."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labs.drawing import search_figures
from labs.reporting.search import Found, Trial

SPACE = {"lr": "log(1e-4, 1)", "dropout": "uniform(0, 0.5)", "freeze": ["none", "layer1"]}


def found(count: int, **changes: Any) -> Found:
    """Return a search whose values depend on the learning rate alone."""
    generator = np.random.default_rng(0)
    trials = []
    for number in range(count):
        lr, dropout = 10 ** generator.uniform(-4, 0), generator.uniform(0, 0.5)
        numbers = {"lr": lr, "dropout": dropout, "freeze": SPACE["freeze"][number % 2]}
        value = -((math.log10(lr) + 2) ** 2)
        trials.append(Trial(number, "done", {k: str(v) for k, v in numbers.items()}, numbers, value, [value], 5, ""))
    return Found(
        **{"folder": Path("search"), "metric": "val/acc", "maximize": True, "space": SPACE, "trials": trials, **changes}
    )


def test_the_setting_that_matters_has_the_largest_share() -> None:
    shares = search_figures.importances(found(30))
    assert shares["lr"] > 0.75
    assert math.isclose(sum(shares.values()), 1, abs_tol=1e-6)


@pytest.mark.parametrize(
    "few", [found(4), found(0), found(30, space={"lr": SPACE["lr"]}), found(30, space={"lr": "print(1)", "x": "1"})]
)
def test_no_shares_where_nothing_can_be_known(few: Found) -> None:
    assert search_figures.importances(few) == {}
    assert search_figures.importance(few, "search") is None


@pytest.mark.parametrize("name", ["best_so_far", "importance", "slices"])
def test_each_figure_is_a_picture(name: str) -> None:
    png = getattr(search_figures, name)(found(8), "search")
    with Image.open(io.BytesIO(png)) as image:
        assert image.width > 600
        assert np.asarray(image.convert("L")).std() > 5
    if name != "importance":
        assert getattr(search_figures, name)(found(0), "search") is None
