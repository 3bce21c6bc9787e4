import importlib.util
import re
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
from reporting.fake_runs import write_run

REPORT = Path(__file__).parent.parent / "report.py"


def report(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, REPORT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, encoding="utf-8")


@pytest.fixture
def door() -> ModuleType:
    spec = importlib.util.spec_from_file_location("report", REPORT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_grid_becomes_a_table_and_a_page(tmp_path: Path) -> None:
    for seed in range(2):
        write_run(tmp_path / "outputs" / "cub_table4" / str(seed), seed=seed, test_acc=0.5 + seed / 10)

    result = report("outputs/cub_table4", cwd=tmp_path)

    assert (result.returncode, result.stderr) == (0, "")
    assert "55.00 ± 7.07" in result.stdout
    where = "outputs/cub_table4/report"
    assert result.stdout.endswith(f"Your answers go into: {where}/answers.md\nPage: {where}/report.html\n")
    assert (tmp_path / "outputs" / "cub_table4" / "report" / "report.html").is_file()


def test_a_reader_that_stops_reading_is_no_error(tmp_path: Path) -> None:
    """As `| head` does."""
    write_run(tmp_path / "a")
    command = [sys.executable, REPORT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert (process.wait(), process.stderr.read()) == (0, b"")


def test_a_second_report_is_the_same_as_the_first(tmp_path: Path, door: ModuleType) -> None:
    write_run(tmp_path / "a")

    texts = []
    for _ in range(2):
        assert door.main([str(tmp_path)]) == 0
        texts.append((tmp_path / "report" / "table.csv").read_bytes())

    assert texts[0] == texts[1]


def test_the_output_can_be_chosen(tmp_path: Path, door: ModuleType) -> None:
    write_run(tmp_path / "run")

    assert door.main([str(tmp_path / "run"), "--output", str(tmp_path / "handin" / "here")]) == 0

    assert (tmp_path / "handin" / "here" / "table.tex").is_file()
    assert not (tmp_path / "run" / "report").exists()


def test_what_is_wrong_is_told_and_the_rest_is_right(
    tmp_path: Path, door: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """Mix good runs, a half-written one, an edited one, other data, other metrics and an empty directory."""
    for seed in range(2):
        write_run(tmp_path / f"good{seed}", seed=seed, test_acc=0.25 + seed / 10)
    half, edited = write_run(tmp_path / "half", "cub_full"), write_run(tmp_path / "edited", "cub_full", seed=1)
    for directory, change in (
        (half, lambda text: text[:-40]),
        (edited, lambda text: text.replace('"test/acc": 0.5', '"test/acc": 0.97')),
    ):
        file = directory / "metrics.json"
        file.write_text(change(file.read_text()))
    write_run(tmp_path / "real", test_acc=0.61, data="online", labels=[])
    write_run(tmp_path / "gan", "vae", practical="vae", choices={"module": "vae"}, metrics={"fid": 12.5})
    (tmp_path / "empty").mkdir()

    assert door.main([str(tmp_path)]) == 0

    out = capsys.readouterr().out
    titles = [
        "CUB-200: freezing policy and normalization (embedded data)",
        "Practical vae (embedded data)",
        "CUB-200: freezing policy and normalization (real data)",
        "What cannot be read",
    ]
    nothing, embedded, vae, real, unreadable = re.split("|".join(map(re.escape, titles)), out)
    assert not nothing
    assert "30.00 ± 7.07" in embedded
    assert "61.00" in real
    assert "61.00" not in embedded
    assert "12.500" in vae
    assert "metrics.json cannot be read" in unreadable
    assert "seed 1 broken: test/acc is 0.97 in metrics.json, test_log.tsv gives 0.5" in " ".join(embedded.split())
    assert "97.00" not in out


def test_a_tie_is_never_bold(tmp_path: Path, door: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, (first, second) in enumerate([(0.70, 0.62), (0.60, 0.67), (0.65, 0.64)]):
        write_run(tmp_path / f"a{seed}", "cub_full", seed=seed, test_acc=first)
        write_run(tmp_path / f"b{seed}", "cub_scratch", seed=seed, test_acc=second)

    assert door.main([str(tmp_path), "--rank-by", "test/acc"]) == 0

    out = capsys.readouterr().out
    assert "**" not in out
    assert out.count("≈ 6") == 2
    assert r"\textbf{65.00" not in (tmp_path / "report" / "table.tex").read_text(encoding="utf-8")
    assert 'class="best' not in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["empty"], "no runs under empty; a run directory has a metrics.json; make one with python train.py"),
        (["nowhere"], "no such directory: nowhere"),
        (["run", "empty"], "no runs under empty"),
        (["run", "--rank-by", "test/f1"], "no table has a column 'test/f1' to rank by"),
        (["run", "--output", "a_file"], "cannot write the report to a_file"),
    ],
)
def test_a_mistake_is_one_message_and_code_2(
    tmp_path: Path,
    door: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "a_file").write_text("")
    write_run(tmp_path / "run")

    code = door.main(arguments)

    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith("report.py: ")
    assert words in err
    assert err.count("\n") == 1


def test_help_answers_at_once(tmp_path: Path) -> None:
    start = time.perf_counter()

    result = report("--help")

    assert result.returncode == 0
    assert "python report.py outputs/<grid>" in result.stdout
    assert time.perf_counter() - start < 1.5
