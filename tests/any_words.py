"""Words that nobody would think of, drawn by Hypothesis from what `conf/` has, and what the command line answers.

Groups, options and keys are found in `conf/` and in the recipe of each experiment, so that new ones are drawn, too.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf
from project import ROOT

from labs.cli.bare_words import understood
from labs.cli.check import build, check_loggers, check_recipe
from labs.cli.describe import run_of
from labs.cli.explain import explain
from labs.cli.grid.words import of_the_grid
from labs.cli.overrides import expand
from labs.cli.prefixes import check_prefixes
from labs.cli.resolvers import register_resolvers

CONF = ROOT / "conf"
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
NOT_DRAWN = ("hydra", "grid", "search", "experiment")  # of more than one run, or Hydra's own
OPTIONS = {
    folder.name: sorted(path.stem for path in folder.glob("*.yaml"))
    for folder in sorted(CONF.iterdir())
    if folder.is_dir() and folder.name not in NOT_DRAWN
}
ODD = [
    *("true", "false", "null", "", "0", "-1", "1", "2", "7", "1.0", "0.5", "-0.0", "1e400", "nan", "inf", "-inf"),
    *("9999999999999999999", "1_000", "0x10", "1e-400", "[]", "{}", "[1,2]", "[[]]", "{a: 1}", "{2: [layer1]}"),
    *("[null]", "abc", "'a b'", "a/b", "../x", "/dev/null", "é", "${seed}", "${nothing}", "${.x}", "${seed", "a,b"),
    *("'${seed}'", "???", "'???'", "1,2", "[a", "range(3)", "choice(1,2)", "random", "auto", "none", "train", "*"),
    *("=", "a=b", "'='", "{_target_: abc}", "{_target_: null}", "[0.9,0.2]", "''", "1:2", "x" * 300),
]


@functools.cache
def recipe_of(experiment: str) -> DictConfig:
    """Return the recipe of an experiment on embedded data."""
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", [f"experiment={experiment}", "data=embedded", "paths.run_dir=/nowhere"])


@functools.cache
def keys_of(experiment: str) -> tuple[str, ...]:
    """Return the full name of every setting of an experiment, those of sections, too."""

    def walk(node: Any, name: str) -> Iterator[str]:
        if name:
            yield name
        if isinstance(node, dict):
            for key, value in node.items():
                yield from walk(value, f"{name}.{key}" if name else str(key))

    return tuple(walk(OmegaConf.to_container(recipe_of(experiment), resolve=False), ""))


def _value() -> st.SearchStrategy[str]:
    letters = st.characters(exclude_categories=("Cs", "Cc"))
    return st.one_of(
        st.sampled_from(ODD),
        st.sampled_from(ODD),
        st.integers(-(2**40), 2**70).map(str),
        st.floats().map(str),
        st.text(letters, max_size=8),
        st.lists(st.sampled_from(["1", "-1", "0.5", "a", "null", "[2]"]), max_size=4).map(lambda v: f"[{','.join(v)}]"),
    )


@st.composite
def any_words(draw: st.DrawFn) -> list[str]:
    """Draw the words of a command: an experiment, and one to three words that may be wrong in any way."""
    experiment = draw(st.sampled_from(EXPERIMENTS))
    words = [f"experiment={experiment}"]
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["setting"] * 6 + ["option"] * 3 + ["group", "remove", "add", "text"]))
        if kind in ("option", "group"):
            group = draw(st.sampled_from(sorted(OPTIONS)))
            words.append(f"{group}={draw(st.sampled_from(OPTIONS[group]) if kind == 'option' else _value())}")
        elif kind == "text":
            words.append(draw(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)))
        else:
            key = draw(st.sampled_from(keys_of(experiment)))
            prefix = {"setting": draw(st.sampled_from(["", "", "", "++"])), "remove": "~"}.get(kind, "+")
            added = draw(st.sampled_from(["", ".new"])) if kind == "add" else ""
            words.append(f"{prefix}{key}{added}" + ("" if kind == "remove" else f"={draw(_value())}"))
    return [word for word in words if not word.startswith("-")]


def answer_to(words: Sequence[str], folder: Path) -> str | None:
    """Compose, check and build what was typed, in an empty folder, as `train.py` does before it reads data.

    Returns:
        What the command line says to a mistake; None if the run could begin. An exception that it does not explain,
        which would be a traceback, is raised.
    """
    quick = [f"paths.data={folder}", f"paths.outputs={folder}", "data=embedded"]
    typed = [*quick, *words]
    before, sys.argv = sys.argv, [str(ROOT / "train.py"), *typed]
    try:
        with _one_recipe():
            _begin(typed, folder)
    except Exception as error:
        message = explain(error, sys.argv[1:], typed)
        if message is None:
            raise
        return message
    finally:
        sys.argv = before
    return None


def is_clear(answer: str) -> bool:
    """Say whether an answer to a mistake is a message of ours, not an exception that Hydra has wrapped."""
    return bool(answer.strip()) and not any(words in answer for words in ("Traceback", "Error in call to target"))


@contextmanager
def _one_recipe() -> Iterator[None]:
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().clear()


def _begin(typed: list[str], folder: Path) -> None:
    register_resolvers()
    expanded = expand(understood(typed))
    check_prefixes(expanded)
    sys.argv[1:] = of_the_grid(expanded)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        whole = compose("train", sys.argv[1:], return_hydra_config=True)
        OmegaConf.set_readonly(whole.hydra, False)
        whole.hydra.runtime.output_dir = str(folder / "run")
        HydraConfig.instance().set_config(whole)
        cfg = OmegaConf.masked_copy(whole, [str(key) for key in whole if key != "hydra"])
        run_of(cfg, HydraConfig.get())
        check_recipe(cfg)
        check_loggers(cfg)
        if OmegaConf.select(cfg, "module.net.weights") in ("embedded", "imagenet"):  # minutes, or a large file
            cfg.module.net.weights = "random"
        build(cfg.datamodule, "datamodule")
        for name, node in cfg.callbacks.items():
            if node:
                build(node, f"callbacks.{name}")
        build(cfg.trainer, "trainer", callbacks=[], logger=False)
        if _is_small(cfg):
            build(cfg.module, "module")


def _is_small(cfg: DictConfig) -> bool:
    """Say whether the net of a recipe is made in no time."""
    return str(OmegaConf.select(cfg, "module.net.name")) in ("resnet_small", "None")
