"""The sheets of the practicals, and the law that nothing else knows a practical by name."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import ROOT
from recipes import described

from labs import LabsError
from labs.cli.options import practical_of
from labs.practicals import HANDOUTS, Sheet, sheet_of, sheets
from labs.reporting.published import load_published
from labs.runs.recipe import flat

CONF, LABS = ROOT / "conf", ROOT / "src" / "labs"
EXPERIMENTS = {path.stem for path in (CONF / "experiment").glob("*.yaml")}
GRIDS = {path.stem for path in (CONF / "grid").glob("*.yaml")}
METHODS = {path.stem: path for path in (LABS / "modules").glob("[a-z]*.py")}
CLASSES = {
    node.name
    for path in METHODS.values()
    for node in ast.parse(path.read_text()).body
    if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
}
NAMES = {*sheets(), *METHODS, *CLASSES, *EXPERIMENTS, *GRIDS}
WORDS = {"digits", "classifier"}  # of English, too: in a sentence they name nobody
EVERYBODYS = re.compile(r"(acc|loss)?")  # what every classifier of images logs, or the bare stage
FILES = [
    path
    for path in (
        *sorted((ROOT / "src").rglob("*.py")),
        *(ROOT / f"{door}.py" for door in ("train", "predict", "report")),
    )
    if not {"practicals", "modules"} & set(path.relative_to(ROOT).parts)
]


def strings_and_identifiers(tree: ast.AST) -> Iterator[tuple[int, str, bool]]:
    """Yield (line, text, whether it is an identifier) of everything in a file but its docstrings and comments."""
    scopes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, scopes) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield line, node.value, False
        for name in ("id", "attr", "name", "arg", "module", "asname"):
            text = getattr(node, name, None)
            if isinstance(text, str):
                yield from ((line, part, True) for part in text.split("."))


def named(text: str, identifier: bool) -> set[str]:
    """Return the practicals, methods, experiments, grids and metrics that a text names."""
    found = {word for word in re.findall(r"\w+", text) if word in NAMES - WORDS}
    found |= {word for word in WORDS if text == word or re.search(rf"(=|modules\.|practicals\.){word}\b", text)}
    if not identifier:
        metrics = re.findall(r"\b((?:train|val|test)/)(\w*)", text)
        found |= {stage + name for stage, name in metrics if not EVERYBODYS.fullmatch(name)}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_outside_knows_a_practical_by_name(path: Path) -> None:
    datasets = {file.stem for file in (LABS / "datamodules").glob("*.py")}
    own = datasets if "datamodules" in path.parts else set()  # a dataset's own name
    told = [
        f"line {line}: {text!r} names {', '.join(sorted(found))}"
        for line, text, identifier in strings_and_identifiers(ast.parse(path.read_text(encoding="utf-8")))
        if (found := named(text, identifier) - own)
    ]
    assert not told, "what belongs to one practical stands on its sheet, in its module or in conf/"


def test_the_law_sees_what_it_should() -> None:
    for text in ("dann", "type module=classifier", "labs.modules.gan", "GAN", "cub_full", "cub_table4", "digits",
                 "test/fid", "val/coverage is low", "test/target_acc_"):  # fmt: skip
        assert named(text, identifier=False), text
    for text in ("test/", "val/acc", "train/loss", "classifier.6", "hex digits", "gan_loss=true", "train/<name>"):
        assert not named(text, identifier=False), text


@pytest.mark.parametrize("experiment", sorted(EXPERIMENTS))
def test_every_experiment_is_of_a_practical(experiment: str) -> None:
    assert practical_of(CONF / "experiment" / f"{experiment}.yaml") in sheets()


@pytest.mark.parametrize("name", sheets())
def test_a_sheet_says_what_is_there(name: str) -> None:
    sheet = sheets()[name]
    assert (ROOT / sheet.docs).read_text().startswith("# ")
    assert name in {practical_of(path) for path in (CONF / "experiment").glob("*.yaml")}
    keys = [column.key for column in sheet.columns]
    assert len(keys) == len(set(keys))
    assert sheet.leads in keys
    assert not sheet.ranks or next(column for column in sheet.columns if column.key == sheet.leads).better != "neither"
    assert {sheet.predicts} <= {*keys, ""}
    assert not sheet.answers or sheet.predicts, "a run that answers about an image predicts the test images"
    for pattern in (*sheet.files, *sheet.pictures):
        assert not Path(pattern).is_absolute()
        assert ".." not in Path(pattern).parts
        list(ROOT.glob(pattern))  # it is a pattern


@pytest.mark.parametrize("name", [name for name, sheet in sheets().items() if sheet.published])
def test_published_rows_are_repeated_by_experiments(name: str) -> None:
    table = load_published(sheets()[name])
    assert table is not None
    assert table.rows
    for row in table.rows:
        assert set(row.match["experiment"]) <= EXPERIMENTS, row.name
        settings = [f"{key}={row.match[key][0]}" for key in ("freeze", "normalization", "reversal") if key in row.match]
        recipe = described(f"experiment={row.match['experiment'][0]}", *settings)
        facts = {**flat(recipe.text), "experiment": recipe.facts["experiment"], **recipe.facts["choices"]}
        assert row.matches(facts, ()), f"{row.name}: its experiment is another recipe"
    percent = {column.key for column in sheets()[name].columns if column.unit == "percent"}
    assert all(0 <= value <= 1 for row in table.rows for key, value in row.values.items() if key in percent)


@pytest.mark.parametrize("name", [name for name, sheet in sheets().items() if re.search(r"\b00\d\b", sheet.handout)])
def test_a_hand_out_is_introduced_and_its_questions_have_a_place(name: str) -> None:
    """With course and year, or the words that it does not say; in our own, short words."""
    sheet = sheets()[name]
    handouts = set(re.findall(r"\b00\d\b", sheet.handout))
    for number in handouts:
        assert HANDOUTS[number] in sheet.introduction
        assert re.search(r"20\d\d|states no year", HANDOUTS[number])
    assert sheet.introduction.endswith(sheet.about)
    assert {question.number.partition(",")[0] for question in sheet.questions} == handouts
    numbers = [question.number for question in sheet.questions]
    assert len(set(numbers)) == len(numbers)
    assert all(len(question.text) <= 130 for question in sheet.questions)


def test_an_unknown_practical_has_a_general_sheet() -> None:
    assert sheet_of("mine") == Sheet(
        "Practical mine", caption="Every number is the final value that a run recorded.", predicts="test/acc"
    )
    assert load_published(sheet_of("mine")) is None


def test_a_run_whose_practical_answers_no_image_says_so(tmp_path: Path) -> None:
    from labs.runs.load import load_run

    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text("practical: gan")
    with pytest.raises(LabsError, match="runs of practical gan answer about no image; type the run directory of one"):
        load_run(tmp_path)


def test_sheets_import_nothing_heavy() -> None:
    code = "import sys; from labs.practicals import sheets; sheets(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "pandas", "numpy", "matplotlib", "omegaconf", "lightning"} & set(loaded)
