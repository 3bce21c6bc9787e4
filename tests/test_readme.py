"""Every command in the README, the docs and the headers of conf/ is one that works."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from project import ROOT
from test_experiments import composed

from labs.cli.bare_words import understood
from labs.cli.check import check_recipe
from labs.cli.overrides import expand
from labs.cli.predict.words import read_words
from labs.cli.short_forms import with_long_names
from labs.practicals import Sheet, sheets

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "conf").rglob("*.yaml"))]


def commands() -> Iterator[tuple[str, str]]:
    """Yield (page, command) for every line that runs train.py; `<...>` stands for something of the reader's."""
    for page in PAGES:
        for found in re.finditer(r"python train\.py[^\n`]*", page.read_text()):
            command = re.split(r"\s{2,}|\s#", found[0])[0].strip()
            if not any(mark in command for mark in ("<", "...", "--help", "--list", "--shell-completion")):
                yield str(page.relative_to(ROOT)), command


COMMANDS = sorted(set(commands()))


def test_there_are_commands_everywhere() -> None:
    pages = {page for page, _ in COMMANDS}
    assert {"README.md", "docs/cub.md", "docs/digits.md"} <= pages
    assert {str(p.relative_to(ROOT)) for p in (ROOT / "conf").glob("*/*.yaml")} - pages <= {
        "conf/hydra/default.yaml",
        "conf/logger/tensorboard.yaml",  # its command is tensorboard's own
    }


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{page}: {command}" for page, command in COMMANDS])
def test_every_command_composes(page: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg"):  # the reader's own images
        (tmp_path / "my_photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "my_photos" / name).touch()
    (tmp_path / "labels.csv").write_text(
        "path,label\n" + "".join(f"my_photos/{c}/{n}.jpg,{c}\n" for c in "ab" for n in "12")
    )
    monkeypatch.chdir(tmp_path)
    words = [word for word in shlex.split(command)[2:] if not word.startswith("-")]
    monkeypatch.setattr(sys, "argv", [str(ROOT / "train.py")])
    overrides = with_long_names(expand(understood(words)))
    try:
        sweeps = [o for o in OverridesParser.create().parse_overrides(overrides) if o.is_sweep_override()]
    except HydraException as error:
        pytest.fail(f"{page}: {command}: {error}")
    assert not sweeps or " -m " in command, f"{page}: {command} sweeps, and lacks -m"
    names = {o.key_or_group for o in sweeps}
    first = [f"{o.key_or_group}={next(o.sweep_string_iterator())}" for o in sweeps]
    check_recipe(composed(*(o for o in overrides if o.partition("=")[0] not in names), *first))


def test_the_two_commands_open_the_readme_and_are_what_ci_runs() -> None:
    readme, ci = (ROOT / "README.md").read_text(), (ROOT / ".ci" / "run").read_text()
    for command in (
        "pip install -e . -c constraints.txt && python train.py",
        'pip install -e ".[test]" -c constraints.txt && python -m pytest',
    ):
        assert command in readme
        assert command in ci


def test_the_files_and_headings_that_the_pages_link_to_exist() -> None:
    for page in PAGES[:1] + sorted((ROOT / "docs").glob("*.md")):
        for target, heading in re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", page.read_text()):
            linked = (page.parent / target).resolve() if target else page
            assert linked.exists(), f"{page.name} links to {target}"
            titles = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE) if heading else []
            anchors = [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles]
            assert not heading or heading in anchors, f"{page.name} links to {target}#{heading}"


def test_the_settings_page_names_every_axis() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    apart = ("grid", "hydra", "paths", "debug")
    for folder in (path.name for path in (ROOT / "conf").iterdir() if path.is_dir() and path.name not in apart):
        assert f"| `{folder}`" in page, f"the table of docs/settings.md lacks {folder}"


def of_a_handout(sheet: Sheet) -> bool:
    """Return whether the README must show a practical; a reader's own practical edits nothing that exists."""
    return re.search(r"\b00\d\b", sheet.handout) is not None


def test_the_readme_links_to_every_page() -> None:
    own = {sheet.docs for sheet in sheets().values() if not of_a_handout(sheet)}
    index = (ROOT / "README.md").read_text().partition("\n## Documentation\n")[2].partition("\n## ")[0]
    for page in sorted((ROOT / "docs").glob("*.md")):
        assert f"docs/{page.name}" in own or f"(docs/{page.name})" in index, (
            f"the README's list of documentation lacks docs/{page.name}"
        )


def test_every_practical_stands_in_the_readme_with_a_picture_and_a_command() -> None:
    readme = (ROOT / "README.md").read_text()
    for sheet in filter(of_a_handout, sheets().values()):
        assert f"](docs/images/thumbnails/{Path(sheet.docs).stem}.jpg)]({sheet.docs})" in readme
        assert re.search(rf"^\| \[[^]]+\]\({sheet.docs}\) \|.*`python train\.py", readme, re.MULTILINE), sheet.docs


def test_the_page_of_a_practical_begins_with_a_picture_and_then_a_command() -> None:
    for sheet in filter(of_a_handout, sheets().values()):
        beginning = (ROOT / sheet.docs).read_text().partition("\n## ")[0]
        picture, command = beginning.find("\n!["), beginning.find("\npython train.py")
        assert 0 < picture < command, f"{sheet.docs} begins with neither"


def test_the_numbers_of_the_readme_are_those_of_the_pages() -> None:
    rows = re.findall(r"^\| \[[^]]+\]\((docs/\w+\.md)\) \|(.*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    numbers = [(page, number) for page, row in rows for number in re.findall(r"[\d.]+ ± [\d.]+", row)]
    assert len(numbers) > 10
    for page, number in numbers:
        assert number in (ROOT / page).read_text(), f"the README has {number}, {page} has not"


def test_every_picture_stands_in_the_gallery_with_its_command() -> None:
    gallery = (ROOT / "docs" / "gallery.md").read_text()
    captions = dict(re.findall(r"^!\[.+\]\(images/(\S+)\)\n\n(.+)$", gallery, re.MULTILINE))
    assert set(captions) == {path.name for path in (ROOT / "docs" / "images").iterdir() if path.is_file()}
    for name, caption in captions.items():
        assert re.search(r"`python (train|predict)\.py", caption), f"docs/gallery.md does not say how to make {name}"


QUESTIONS = [str(page.relative_to(ROOT)) for page in PAGES if "python predict.py" in page.read_text()]


@pytest.mark.parametrize("page", QUESTIONS)
def test_every_question_to_a_net_is_one_that_can_be_asked(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for found in re.finditer(r"python predict\.py[^\n`]*", (ROOT / page).read_text()):
        words = shlex.split(re.split(r"\s{2,}|\s#| prints", found[0])[0])[2:]
        for run in (Path(word) for word in words if word.startswith("outputs/")):
            run.mkdir(parents=True, exist_ok=True)
            (run / "metrics.json").touch()
        if "..." not in words and "--help" not in words:
            read_words(words)
