import doctest
import importlib
import pkgutil

import pytest

import labs

MODULES = sorted(module.name for module in pkgutil.walk_packages(labs.__path__, "labs."))


def test_every_package_of_labs_is_searched() -> None:
    # Without its __init__.py a folder would be passed over, and its doctests with it.
    assert {"labs.functional.normalization", "labs.inspection.parameters", "labs.datamodules.embedded.birds"} <= set(
        MODULES
    )


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0, f"{result.failed} of {result.attempted} examples of {name} fail; they are printed above"


def test_doctests_are_found() -> None:
    assert doctest.testmod(importlib.import_module("labs.functional.schedules")).attempted > 0
