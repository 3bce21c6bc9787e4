"""The life of a run in its directory, whatever it computes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from labs import LabsError
from labs.runs.life import Run
from labs.runs.processes import is_occupied
from labs.runs.recipe import Recipe, normal_form
from labs.runs.recognition import is_finished

DOCUMENTS = {".hydra/overrides.yaml": "- a=1\n"}


def recipe(lr: float = 0.1, **facts: Any) -> Recipe:
    words = {
        "experiment": "digits_layer1_frozen", "practical": "digits", "data": "embedded", "seed": 0, "choices": {},
        "command": f"python train.py optimizer.lr={lr}", "settings": {},
    }  # fmt: skip
    return Recipe(normal_form({"lr": lr}, 0), {**words, **facts})


def status(folder: Path) -> str:
    return str(json.loads((folder / "metrics.json").read_text())["status"])


def live(folder: Path, error: BaseException | None = None, results: bool = True, **how: Any) -> Run:
    """Live a run that writes a log, and ends as asked."""
    run = Run(folder, how.pop("recipe", recipe()), DOCUMENTS, **how)
    with suppress(type(error)) if error is not None else nullcontext(), run:
        run.write("net.txt", "a net")
        if results:
            run.running()
            run.write("log.tsv", "epoch\n1\n")
        if error is not None:
            raise error
    return run


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (None, "finished"),
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(1), "interrupted"),
        (RuntimeError("broke"), "failed"),
    ],
)
def test_how_a_run_ends(error: BaseException | None, state: str, tmp_path: Path) -> None:
    run = live(tmp_path / "run", error)
    assert run.state == status(tmp_path / "run") == state
    facts = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert facts["key"] == recipe().key
    assert facts["error"] == (None if error is None else f"{type(error).__name__}: {error}")
    assert (tmp_path / "run" / ".hydra" / "recipe.yaml").read_text() == recipe().text
    assert (tmp_path / "run" / "traceback.txt").exists() is (state == "failed")
    live(tmp_path / "run", resume=True, recipe=recipe(lr=0.2))
    assert status(tmp_path / "run") == "finished"
    assert not (tmp_path / "run" / "traceback.txt").exists()


@pytest.mark.parametrize(
    ("epochs", "when"), [(0, "before its first epoch ended"), (1, "after 1 epoch"), (2, "after 2 epochs")]
)
def test_a_stopped_run_says_how_far_it_came(
    epochs: int, when: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with suppress(KeyboardInterrupt), Run(tmp_path / "run", recipe(), DOCUMENTS) as run:
        run.running()
        run.facts["epochs"] = epochs
        raise KeyboardInterrupt
    assert f"interrupted {when}; " in capsys.readouterr().err


def test_only_a_run_that_was_typed_is_said_to_go_on_by_typing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Embedded weights are trained by the run that asks for them, and have no command of their own."""
    live(tmp_path / "typed", KeyboardInterrupt())
    assert f"go on with: python train.py resume={tmp_path / 'typed'}" in capsys.readouterr().err
    with suppress(KeyboardInterrupt), Run(tmp_path / "weights", recipe(), {}) as run:
        run.running()
        raise KeyboardInterrupt
    assert status(tmp_path / "weights") == "interrupted"
    assert capsys.readouterr().err == ""


def test_it_is_begun_until_its_first_result(tmp_path: Path) -> None:
    with Run(tmp_path / "run", recipe(), DOCUMENTS) as run:
        assert status(tmp_path / "run") == "begun"
        assert (tmp_path / "run" / ".hydra" / "overrides.yaml").read_text() == "- a=1\n", "retry=DIR after a kill"
        assert (tmp_path / "run" / ".hydra" / "recipe.yaml").is_file(), "the report's row after a kill"
        run.running()
        assert status(tmp_path / "run") == "running"
    assert status(tmp_path / "run") == "finished"


def test_what_is_refused_leaves_no_trace(tmp_path: Path) -> None:
    live(tmp_path / "run", LabsError("no"), results=False)
    assert not (tmp_path / "run").exists()


def test_a_run_stopped_before_its_first_result_can_be_typed_again(tmp_path: Path) -> None:
    live(tmp_path / "run", KeyboardInterrupt(), results=False)
    assert status(tmp_path / "run") == "interrupted"
    assert (tmp_path / "run" / ".hydra" / "overrides.yaml").is_file(), "what retry=DIR reads"


def test_what_a_killed_process_had_staged_is_cleared_away(tmp_path: Path) -> None:
    """Half a checkpoint can be hundreds of megabytes."""
    folder = tmp_path / "run"
    live(folder, KeyboardInterrupt())
    half = ["checkpoints/.last.ckpt.4711.part", ".hydra/.recipe.yaml.4711.part", ".hydra/.written.txt.4711.part"]
    not_ours = [".photo.2024.part", "mine.part", ".mine.part", "other/checkpoints/.last.ckpt.4711.part"]
    for name in (*half, *not_ours):  # a directory inside may be that of another run, which is writing
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text("half")
    live(folder)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.part")) == sorted(not_ours)


def test_what_the_user_puts_beside_a_running_runs_files_is_not_the_runs(tmp_path: Path) -> None:
    kept = [tmp_path / "run" / name for name in ("checkpoints/epoch3.ckpt", "tensorboard/notes.txt", "csv/mine.csv")]
    with Run(tmp_path / "run", recipe(), DOCUMENTS) as run:
        run.running()
        for path in kept:
            path.parent.mkdir()
            path.write_text("mine")
    live(tmp_path / "run", rerun=True)
    assert all(path.is_file() for path in kept)


OWN = ("csv/mine.csv", "tensorboard/mine", ".hydra/mine.yaml", "thesis.tex", "checkpoints/mine.bin", "images/x.jpg")


def own_folder(tmp_path: Path) -> Path:
    for name in OWN:
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / name).write_text("mine")
    return tmp_path / "own"


def test_a_refused_run_removes_only_what_it_wrote(tmp_path: Path) -> None:
    folder = own_folder(tmp_path)

    def refuse() -> None:
        with Run(folder, recipe(), DOCUMENTS) as run:
            run.write("environment.json", "{}")
            run.write("checkpoints/last.ckpt", "ours")
            for name in ("tensorboard/events.out.tfevents.1", "csv/metrics.csv"):  # of libraries
                (folder / name).write_text("theirs")
            raise LabsError("no")

    with pytest.raises(LabsError, match="no"):
        refuse()
    assert files(folder) == sorted(OWN)
    assert all((folder / name).read_text() == "mine" for name in OWN)


@pytest.mark.parametrize("name", ["metrics.json", "log.tsv", "freeze.txt", "checkpoints/a.ckpt", ".hydra/config.yaml"])
def test_a_folder_whose_files_a_run_would_replace_is_refused(name: str, tmp_path: Path) -> None:
    folder = own_folder(tmp_path)
    (folder / name).write_text("{}")
    with pytest.raises(LabsError, match="no run of labs wrote"), Run(folder, recipe(), DOCUMENTS):
        pass
    assert files(folder) == sorted([*OWN, name])
    assert (folder / name).read_text() == "{}"


def test_the_working_directory_is_no_run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LabsError, match="working directory"), Run(Path(), recipe(), DOCUMENTS):
        pass
    assert files(tmp_path) == []
    assert tmp_path.is_dir()


@pytest.mark.parametrize(
    ("before", "needed", "resumes"),
    [
        (lambda folder: live(folder), False, False),
        (lambda folder: live(folder, KeyboardInterrupt()), True, True),
        (lambda folder: live(folder, RuntimeError()), True, False),
        (lambda folder: killed(folder, "running"), True, True),
        (lambda folder: killed(folder, "begun"), True, False),
    ],
    ids=["finished", "interrupted", "failed", "killed", "killed before a result"],
)
def test_the_same_recipe_again(before: Callable[[Path], Any], needed: bool, resumes: bool, tmp_path: Path) -> None:
    before(tmp_path / "run")
    with Run(tmp_path / "run", recipe(), DOCUMENTS) as run:
        assert (run.is_needed, run.resumes) == (needed, resumes)


def killed(folder: Path, state: str) -> None:
    live(folder)
    facts = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps({**facts, "status": state}))


@pytest.mark.parametrize("how", [{"recipe": recipe(lr=0.2)}, {"rerun": True}])
def test_another_recipe_and_rerun_start_anew(how: dict[str, Any], tmp_path: Path) -> None:
    """What stood there stays until there is something in its place; then what the earlier run wrote goes."""
    folder = tmp_path / "run"
    live(folder, KeyboardInterrupt())
    (folder / "losses.tsv").write_text("of the user")
    before = (folder / "metrics.json").read_text(), (folder / ".hydra" / "recipe.yaml").read_text()
    with Run(folder, how.pop("recipe", recipe()), DOCUMENTS, **how) as run:
        assert run.is_needed
        assert not run.resumes
        assert (folder / "log.tsv").is_file()
        assert before == ((folder / "metrics.json").read_text(), (folder / ".hydra" / "recipe.yaml").read_text())
        run.running()
        assert not (folder / "log.tsv").exists()
        assert not (folder / "net.txt").exists()
        assert (folder / "losses.tsv").read_text() == "of the user"


@pytest.mark.parametrize("resume", [False, True])
def test_a_refusal_leaves_the_results_before(resume: bool, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    live(folder)
    (folder / "net.txt").write_text("as it was")
    before = {name: (folder / name).read_bytes() for name in files(folder)}
    live(folder, LabsError("no"), results=False, recipe=recipe(lr=0.2), resume=resume)
    after = {name: (folder / name).read_bytes() for name in files(folder)}
    assert after == before, "net.txt too, which the refused run had replaced"


def test_asking_to_resume_goes_on_under_other_settings_too(tmp_path: Path) -> None:
    live(tmp_path / "run")
    with Run(tmp_path / "run", recipe(lr=0.2), DOCUMENTS, resume=True) as run:
        assert run.is_needed
        assert run.resumes
        assert json.loads((tmp_path / "run" / "metrics.json").read_text())["key"] == recipe().key
        run.running()
        assert (tmp_path / "run" / "log.tsv").is_file()
    with pytest.raises(LabsError, match="type one of them"):
        Run(tmp_path / "run", recipe(), DOCUMENTS, resume=True, rerun=True)


def part(**limits: Any) -> Recipe:
    whole = recipe()
    return Recipe(normal_form({"lr": 0.1, "trainer": {"max_steps": -1, **limits}}, 0), whole.facts)


@pytest.mark.parametrize("how", [{}, {"resume": True}, {"rerun": True}])
@pytest.mark.parametrize(
    "limits", [{"limit_test_batches": 2}, {"limit_train_batches": 0.5}, {"max_steps": 3}, {"fast_dev_run": True}]
)
def test_a_part_does_not_replace_a_whole(limits: dict[str, Any], how: dict[str, bool], tmp_path: Path) -> None:
    """A longer test is the user's; `debug=batches` in its directory has another place to go to."""
    folder = tmp_path / "run"
    live(folder)
    before = {name: (folder / name).read_bytes() for name in files(folder)}
    said = f"trainer.{next(iter(limits))}=.* would replace its results"
    with pytest.raises(LabsError, match=said), Run(folder, part(**limits), DOCUMENTS, **how):
        pass
    assert {name: (folder / name).read_bytes() for name in files(folder)} == before


def test_a_part_replaces_a_part_and_what_has_failed(tmp_path: Path) -> None:
    live(tmp_path / "part", recipe=part(limit_test_batches=1))
    live(tmp_path / "failed", RuntimeError())
    for name in ("part", "failed", "new"):
        live(tmp_path / name, recipe=part(limit_test_batches=2))
        assert status(tmp_path / name) == "finished"
    live(tmp_path / "part", recipe=part(limit_test_batches=1.0))
    assert status(tmp_path / "part") == "finished"


@pytest.mark.parametrize("text", ["{", "[]", '{"status": 3}'])
def test_a_damaged_record_starts_anew(text: str, tmp_path: Path) -> None:
    live(tmp_path / "run")
    (tmp_path / "run" / "metrics.json").write_text(text)
    with Run(tmp_path / "run", recipe(), DOCUMENTS) as run:
        assert run.is_needed
        assert not run.resumes


def test_a_directory_has_one_run_at_a_time(tmp_path: Path) -> None:
    """The second one is refused before it writes a word, in this process and in another."""
    folder = tmp_path / "run"
    assert not is_occupied(folder)
    with Run(folder, recipe(), DOCUMENTS) as run:
        run.running()
        before = {name: (folder / name).read_bytes() for name in files(folder)}
        assert is_occupied(folder)
        with pytest.raises(LabsError, match="another process"), Run(folder, recipe(lr=0.2), DOCUMENTS):
            pass
        assert {name: (folder / name).read_bytes() for name in files(folder)} == before
    assert not is_occupied(folder)


def test_a_killed_process_frees_its_directory(tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    program = (
        "import sys, time; from filelock import FileLock\n"
        "with FileLock(sys.argv[1]):\n    print('has it', flush=True)\n    time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / ".hydra" / "run.lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "has it\n"
        assert is_occupied(tmp_path)
        process.kill()
    assert not is_occupied(tmp_path)
    with FileLock(tmp_path / ".hydra" / "run.lock", timeout=0):
        pass


def old_record(folder: Path, words: Recipe, state: str) -> None:
    folder.mkdir()
    record = {"format": 1, "key": "abcdef012345", "status": state, **words.facts, "metrics": {}, "labels": []}
    (folder / "metrics.json").write_text(json.dumps(record))


def test_a_run_of_format_1_is_known_by_its_words_and_not_repeated(tmp_path: Path) -> None:
    words = recipe(choices={"freeze": "none"}, settings={"module.optimizer.lr": 0.1})
    old_record(tmp_path / "run", words, "finished")
    with Run(tmp_path / "run", words, DOCUMENTS) as run:
        assert not run.is_needed
        assert run.recorded_before
    assert is_finished(tmp_path / "run", words)
    others = [
        recipe(choices={"freeze": "layer1"}, settings={"module.optimizer.lr": 0.1}),
        recipe(choices={"freeze": "none"}, settings={"module.optimizer.lr": 0.2}),
        recipe(0.3, choices={"freeze": "none"}, settings={}),
        recipe(choices={"freeze": "none"}, settings={}, seed=1),
    ]
    assert not any(is_finished(tmp_path / "run", other) for other in others)


def test_a_stopped_run_of_format_1_goes_on(tmp_path: Path) -> None:
    old_record(tmp_path / "run", recipe(), "interrupted")
    with Run(tmp_path / "run", recipe(), DOCUMENTS) as run:
        assert run.resumes
        assert run.recorded_before
