"""`predict.py`: what is typed, which images that names, and what is answered, drawn and written."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from image_formats import turned
from PIL import Image
from project import ROOT
from rich.cells import cell_len
from rich.console import Console
from trained_run import CLASSES, write_trained_run

from labs import LabsError
from labs.cli.predict import predict
from labs.cli.predict.images import named_images
from labs.cli.predict.tables import Answer, Rows
from labs.cli.predict.words import read_words

ODD = ("a,b.png", "c=d.png", "e f.png", ":cat: [bold].png", "größe.png")


@pytest.fixture(scope="module")
def run(made_once: Callable[[str, Callable[[Path], None]], Path]) -> str:
    def fill(folder: Path) -> None:
        write_trained_run(folder / "run")

    return str(made_once("predicted", fill) / "run")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def image(path: str | Path, color: str = "olive") -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), color).save(path)
    return f"image={path}"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ([], "no run and no net is named"),
        (["nonsense"], "no run is named: nonsense is none; type the run directory that train.py printed (such as"),
        (["coffee", "a.png"], "no run is named: none of coffee, a.png is one; type the run directory"),
        (["--nonsense"], "--nonsense: there is no such word; type python predict.py <run> <image>"),
        (["run=a", "imag=a.png"], "imag: there is no such word (did you mean image=?); type"),
        (["run=a", "coffee", "--csv", "--json"], "--csv and --json cannot both go to standard output; name a file"),
        (["run=a", "coffee", "csv=a.txt"], "csv=a.txt: expected a file whose name ends in .csv, or --csv alone."),
        (["run=a", "net=b", "image=c"], "run= and net= are two nets; type one of them"),
        (["run=a", "weights=b", "image=c"], "weights= goes with net="),
        (["run=a"], "no image is named"),
        (["run=a", "image=a.png", "top=3", "top=4"], "top= is typed twice; only image= may be."),
        (["run=a", "image=a.png", "top=\u00b2"], "top=\u00b2: expected a whole number from 1."),
        (["run=a", "image=a.png", "top=0"], "top=0: expected a whole number from 1."),
        (["net=a", "image=a.png,"], "image=a.png,: expected names of files between the commas."),
        (["run=a", "--image"], "image=: a value is missing;"),
        (["run=", "image=a.png"], "run=: a value is missing;"),
        (["--run", "--csv", "image=a.png"], "run=: a value is missing;"),
        (["run=a", "image=a.png", "trust=yes"], "trust=yes: expected true or false."),
        (["net=a", "image=coffee", "explain=why"], "explain=why: expected saliency, gradient, guided, integrated"),
        (["run=a", "export=onnx", "explain=guided"], "explain=guided: there is no image to explain"),
        (["run=a", "export=tflite"], "export=tflite: expected onnx or torch_export."),
        (["net=a", "image=cofee"], "image=cofee: there is no such file, folder or embedded photograph (did"),
        (["net=a", "image=*.jpg"], "image=*.jpg: no file has such a name"),
        (["net=a", "image=http://x/a.png"], "image=http://x/a.png: an address; download the image"),
        (["net=a", "image=."], "image=.: no images in this folder; type another, or an image file."),
        (["run=nowhere", "image=coffee"], "run=nowhere: there is no such folder; type the run directory"),
        (["run=.", "image=coffee"], "run=.: .hydra/config.yaml is missing, so this is no trained run"),
        (["net=squeezenett", "image=coffee"], "Unknown net 'squeezenett' (did you mean squeezenet1_"),
        (["net=squeezenet", "weights=nothing", "image=coffee"], "weights=nothing: expected imagenet, random, or a run"),
        (["net=timm/resnet10", "image=coffee"], "net=resnet10: timm "),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(typed: list[str], said: str, here: Path) -> None:
    with pytest.raises(LabsError) as raised:
        predict(typed)
    assert str(raised.value).startswith(said)
    assert "\n" not in str(raised.value)
    assert not list(here.iterdir())


def test_a_mistake_is_json_where_json_is_asked_for(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LabsError):
        predict(["run=nowhere", "image=coffee", "--json"])
    assert json.loads(capsys.readouterr().out)["error"].startswith("run=nowhere: ")


@pytest.mark.parametrize("out", ["a" * 300, "~nobody-of-this-name/answers"])
def test_a_folder_that_cannot_be_is_one_line(run: str, out: str, here: Path) -> None:
    with pytest.raises(LabsError, match="out="):
        predict([f"run={run}", "image=coffee", f"out={out}"])


def test_a_fault_of_ours_is_json_where_json_is_asked_for(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("labs.runs.load.load_run_directory", lambda *args, **options: {}["a"])
    with pytest.raises(KeyError):
        predict(["run=.", "image=coffee", "--json"])
    assert json.loads(capsys.readouterr().out) == {"error": "KeyError: 'a'"}


THE_SAME = [
    ["run", "a.png", "b.png", "--top", "2"],
    ["a.png", "run", "b.png", "--top=2"],
    ["--run", "run", "--image", "a.png", "b.png", "--top", "2"],
    ["run=run", "image=a.png,b.png", "top=2"],
    ["--image", "a.png", "b.png", "top=2", "run"],
    ["ru*", "*.png", "top=2"],
]


@pytest.mark.parametrize("words", THE_SAME, ids=" ".join)
def test_words_and_flags_in_any_order_are_one_grammar(words: list[str], here: Path) -> None:
    (here / "run" / "deep").mkdir(parents=True)
    (here / "run" / "deep" / "metrics.json").touch()
    for name in ("a.png", "b.png"):
        image(name)
    asked = read_words(words)
    assert (named_images(asked.images).files, asked.top) == (["a.png", "b.png"], 2)
    assert asked.run == ("ru*" if "ru*" in words else "run")


def test_two_runs_and_two_pictures_need_a_choice(here: Path) -> None:
    for name in ("one", "two"):
        (here / name).mkdir()
        (here / name / "metrics.json").touch()
    with pytest.raises(LabsError, match=r"^one and two are both runs; type one of them"):
        read_words(["one", "two", "coffee"])
    assert read_words(["run=one", "two", "coffee"]).images == ["two", "coffee"]


def test_flags_with_and_without_a_value() -> None:
    asked = read_words(["run=a", "b", "--csv", "--trust", "--json", "c.json", "--no-picture"])
    assert (asked.csv, asked.json, asked.trust, asked.picture) == ("-", "c.json", True, False)
    assert asked.is_alone
    assert read_words(["run=a", "b", "--csv", "c.csv"]).picture
    assert not read_words(["run=a", "b", "--csv"]).picture


def test_the_newest_finished_run_of_a_folder_answers_and_is_named(
    run: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, name in enumerate(("new", "old", "going", "descent")):
        shutil.copytree(run, f"outputs/digits/{name}")
        facts = Path(f"outputs/digits/{name}/metrics.json")
        if name in ("going", "descent"):
            change = {"going": {"status": "running"}, "descent": {"practical": "descent"}}[name]
            facts.write_text(json.dumps(json.loads(facts.read_text()) | change))
        os.utime(facts, (2_000_000_000 - number, 2_000_000_000 - number))
    for typed in ("outputs/digits", "digits", "run=outputs"):
        assert predict([typed, "coffee", "--csv"]) == 0
        said = "the newest of 2 finished runs in {}; skipped: 1 unfinished, 1 that classify no images"
        told = f"run  outputs/digits/new  ({said.format(typed.removeprefix('run='))})\n"
        assert capsys.readouterr().err == told
    with pytest.raises(LabsError, match=r"^run=outputs/digit: there is no such folder; type .* \(the newest is out"):
        predict(["run=outputs/digit", "coffee"])
    shutil.rmtree("outputs/digits/new")
    shutil.rmtree("outputs/digits/old")
    with pytest.raises(LabsError, match=r"^run=digits: no run in this folder can classify images \(1 unfinished, 1 "):
        predict(["run=digits", "coffee"])


def test_a_missing_image_or_run_is_reported_before_torch_is_imported(run: str, here: Path) -> None:
    code = (
        "import sys\nfrom labs import LabsError\nfrom labs.cli.predict import predict\n"
        "try: predict(sys.argv[1:])\nexcept LabsError: sys.exit('torch' in sys.modules)\n"
    )
    for words in ([run, "gone.png"], ["gone", "coffee"], ["run=gone", "coffee"]):
        assert subprocess.run([sys.executable, "-c", code, *words], cwd=here).returncode == 0


def test_csv_alone_or_to_a_new_file(run: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.png").touch()
    assert predict([run, "coffee", "bad.png", "--csv", "--top", "2"]) == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))
    assert list(rows[0])[:5] == ["image", "prediction", "confidence", "prediction_2", "confidence_2"]
    assert [row["image"] for row in rows] == ["coffee", "bad.png"]
    assert float(rows[0]["confidence"]) >= float(rows[0]["confidence_2"])
    assert rows[0]["labels"] == "embedded data"
    assert (rows[1]["prediction"], rows[1]["error"]) == ("", "zero bytes")
    assert predict([run, "coffee", "--csv", "a.csv", "json=a.json", "--no-picture"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("coffee  (embedded data)")
    assert out.endswith("written  a.csv\nwritten  a.json\n")
    assert json.loads(Path("a.json").read_text())["run"] == run
    with pytest.raises(LabsError, match=r"^csv=a\.csv: there is such a file already, and it stays as it is"):
        predict([run, "coffee", "csv=a.csv"])


@pytest.mark.parametrize("width", [40, 80, 200])
def test_rows_fit_the_terminal(width: int) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, markup=False, highlight=False, emoji=False)
    names = ["birds/of/north/america/a/very/deep/folder/first.png", "\u4e2d\u4e2d.png"]
    rows = Rows(names, ["Northern Flicker", "Red-bellied Woodpecker, Melanerpes carolinus"], console)
    for name in names:
        rows.add(Answer(name, [("Red-bellied Woodpecker, Melanerpes carolinus", 0.9), ("Northern Flicker", 0.1)], []))
    lines = screen.getvalue().splitlines()
    assert len(lines) == 3
    assert max(map(cell_len, lines)) <= width
    assert "first.png" in lines[1], "the end of a name tells files apart"


def test_trust_only_when_it_is_typed() -> None:
    typed = (read_words(["run=a", "image=b", *words]).trust for words in ([], ["trust=false"], ["trust=true"]))
    assert list(typed) == [False, False, True]


def test_names_with_any_letters(here: Path) -> None:
    for name in ODD:
        image(name)
    typed = [f"{ODD[0]},~/{ODD[1]},{ODD[2]}", ODD[3], f"./{ODD[4]}", ODD[0]]
    assert named_images(typed) == ([ODD[0], f"~/{ODD[1]}", ODD[2], ODD[3], f"./{ODD[4]}"], False)


def test_folders_and_patterns(here: Path) -> None:
    for name in ("birds/b.jpg", "birds/a.PNG", "birds/deep/c.png", "birds/.hidden/deep/d.png", "[1].png"):
        image(name)
    Path("birds/notes.txt").touch()
    assert named_images(["birds"]) == (["birds/a.PNG", "birds/b.jpg", "birds/deep/c.png"], True)
    assert named_images(["birds/*"]) == (["birds/a.PNG", "birds/b.jpg"], True)
    assert named_images(["birds/**/*.png,[1].png"]) == (["birds/deep/c.png", "[1].png"], True)
    os.mkfifo("pipe.png")
    with pytest.raises(LabsError, match="no such file"):
        named_images(["pipe.png"])


def test_an_image_gets_a_table_and_a_picture_that_replaces_nothing(
    run: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("_cat_ [red]-answer.png").write_text("mine")  # a name that Windows takes, too
    assert predict([f"run={run}", image(":cat: [red].png"), "top=2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(":cat: [red].png  (embedded data)\n")
    assert out.count("%") == 2
    assert out.endswith("drawn  _cat_ [red]-answer-2.png\n")
    assert Path("_cat_ [red]-answer.png").read_text() == "mine"
    with Image.open("_cat_ [red]-answer-2.png") as sheet:
        assert sheet.width == 1056
    assert predict([f"run={run}", "image=:cat: [red].png", "picture=false"]) == 0
    assert "drawn" not in capsys.readouterr().out
    assert len(list(here.iterdir())) == 3


def test_a_folder_gets_a_row_for_each_image_and_a_summary(
    run: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(13):
        image(f"birds/{number:02}.png", color=f"hsl({27 * number}, 80%, 50%)")
    Path("birds/page.jpg").write_text("<html>")
    assert predict([f"run={run}", "image=birds", "out=made/here"]) == 1
    printed = capsys.readouterr()
    assert printed.err == "not read  birds/page.jpg: an HTML page\n"
    lines = printed.out.splitlines()
    assert lines[0].split() == ["image", "prediction", "confidence", "next"]
    assert [line.split()[0] for line in lines[1:14]] == [f"birds/{number:02}.png" for number in range(13)]
    assert lines[1].count("%") == 3
    assert "mean confidence" in lines[15]
    assert lines[-2] == "13 images classified; 1 could not be read; embedded data"
    assert lines[-1] == "drawn  made/here/images-answer.png (12 of 13 images)"


def test_of_several_images_those_that_can_be_read_are_answered(
    run: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad.png").write_text("not an image")
    Path("link.png").symlink_to("nowhere")
    turned(6)(here / "good.png")
    assert predict([f"run={run}", "image=bad.png", "image=good.png", "image=link.png"]) == 1
    printed = capsys.readouterr()
    assert "1 image classified; 2 could not be read; converted: 1 rotated by EXIF; embedded data\n" in printed.out
    assert printed.err.splitlines()[1] == "not read  link.png: this is a broken link; type another picture"
    with pytest.raises(LabsError, match=r"^image=bad\.png: not an image that Pillow can read.*\.$"):
        predict([f"run={run}", "image=bad.png"])
    with pytest.raises(LabsError, match=r"^none of 2 images can be read \(image=bad\.png: not an image"):
        predict([f"run={run}", "image=bad.png", "image=link.png"])


def test_json_is_alone_on_standard_output(run: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.png").touch()
    assert predict([f"run={run}", image("a\n\u4e2d.png"), "image=bad.png", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    good, bad = said["images"]
    assert said["labels"] == ["embedded data"]
    assert good["image"] == "a\n\u4e2d.png"
    assert sorted(one["class"] for one in good["classes"]) == CLASSES
    assert sum(one["probability"] for one in good["classes"]) == pytest.approx(1)
    assert bad == {"image": "bad.png", "error": "zero bytes"}
    assert len(list(here.iterdir())) == 2, "nothing is drawn"
    assert predict([f"run={run}", "image=bad.png,coffee", "--json", "out=.", "explain=saliency"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["picture"], said["maps"]) == ("coffee-answer.png", ["coffee-saliency.png"])


def test_it_draws_a_map_and_replaces_no_file(run: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image("a.png")
    Path("a-saliency.png").write_text("mine")
    predict([f"run={run}", "image=a.png", "explain=saliency"])
    assert "drawn  a-saliency-2.png" in capsys.readouterr().out
    assert Path("a-saliency.png").read_text() == "mine"
    predict([f"run={run}", "image=a.png", "explain=guided_backprop", "out=maps/new"])
    assert "drawn  maps/new/a-guided_backprop.png" in capsys.readouterr().out
    with pytest.raises(LabsError, match=r"out=a\.png: no folder can be there"):
        predict([f"run={run}", "image=a.png", "out=a.png"])
    for name in ("a-saliency-2.png", "maps/new/a-guided_backprop.png"):
        with Image.open(name) as sheet:
            assert sheet.width == 1408


def test_a_folder_that_takes_no_picture_is_one_line(
    run: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "x.png")

    monkeypatch.setattr("labs.drawing.answer_sheets.answer_sheet", full)
    with pytest.raises(LabsError, match=r"^x\.png: No space left on device; type another folder: out=<folder>"):
        predict([f"run={run}", image("a.png")])
    assert "%" in capsys.readouterr().out, "the answer is said all the same"


def test_imagenets_net_without_a_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(["net=squeezenet", "image=coffee", "top=1", "picture=false"]) == 0
    assert re.search(r"^coffee\n.*espresso .*9\d\.\d%", capsys.readouterr().out, re.DOTALL)
    started = time.process_time()
    predict(["net=squeezenet", "image=coffee"])
    assert time.process_time() - started < 2, "seconds, once all is imported"


def test_a_hostile_run_directory_is_one_line(
    run: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, "theirs")
    recipe = Path("theirs/.hydra/config.yaml")
    text = recipe.read_text().replace("labs.nets.torchvision_nets.build_net", "os.system")
    recipe.write_text(text)
    monkeypatch.setattr(sys, "argv", ["predict.py", "run=theirs", "image=coffee"])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(ROOT / "predict.py"), run_name="__main__")
    assert exit_.value.code == 2
    assert "error: run=theirs: its recipe would call os.system" in capsys.readouterr().err
