"""Words that nobody would think of: each command could run, or gets one clear message; never a traceback.

Thousands are typed by `python benchmarks/any_words.py`; these are a few of them, and each that once was a traceback.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from any_words import answer_to, any_words, is_clear
from hypothesis import HealthCheck, given, settings

ONCE_A_TRACEBACK = [
    ["practical=true"],
    ["trial=1"],
    ["++paths.data=3"],
    ["++paths=3"],
    ["experiment=artists_lrn", "style_loss=handout_004", "upstream.overrides=???"],
    ["experiment=dcgan_mnist", "net.nz=99999999999"],  # more than any memory
    ["experiment=scenes_relu5_svm", "module.net.layers=true"],
    ["experiment=scenes_pca_svm", "++module.net.num_classes=-207"],
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


def check(words: list[str], folder: Path) -> str:
    before = Path.cwd()
    os.chdir(folder)
    try:
        answer = answer_to(words, folder)
    finally:
        os.chdir(before)
    assert answer is None or is_clear(answer)
    return answer or ""


@pytest.mark.parametrize("words", ONCE_A_TRACEBACK, ids=" ".join)
def test_what_was_a_traceback_is_a_message(words: list[str], folder: Path) -> None:
    assert check(words, folder)


@settings(max_examples=30, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(words=any_words())
def test_a_few_commands(words: list[str], folder: Path) -> None:
    check(words, folder)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(words=any_words())
def test_a_few_hundred_commands(words: list[str], folder: Path) -> None:
    check(words, folder)
