"""Kill every method at random moments, type the same command again, and compare with the run that nobody killed.

    python benchmarks/survival.py                              # every method, 20 SIGKILLs each and a few other faults
    python benchmarks/survival.py --methods gan dann --kills 5

The methods are found in conf/experiment, each with the experiment of the quick start or the first one that has it,
small and on embedded data. A run has survived if its final metrics, its log, its predictions and tables, and the
tensors of its checkpoints equal those of the uninterrupted run bit for bit. The faults:

    SIGKILL    at a random moment of the run, from its first line to its last; then the same command again
    SIGTERM    likewise; the exit code must also be 143, unless the run was not yet or no longer at work
    torn       SIGKILL soon after the first checkpoint, then the second half of `last.ckpt` is cut off: the same command
               must refuse it in one line, and with rerun=true end like the uninterrupted run

Everything is imported once and each run is a forked process, so this needs Linux or macOS. Prints the table and keeps
it in survival.json, in benchmarks/results or in the folder that was typed. Exits with 1 if anything was lost.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from parts.forked import ROOT, end_of, has_ended, import_everything, run, start

EPOCHS = 4
TABLES = ("predictions.csv", "pictures.tsv", "steps.tsv", "losses.tsv", "selections.tsv", "test_log.tsv", "log.tsv")


def main() -> None:
    """Break, compare, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    methods = sorted(file.stem for file in (ROOT / "conf" / "module").glob("*.yaml"))
    parser.add_argument("--methods", nargs="*", choices=methods, metavar="METHOD", help="of conf/module; without: all")
    parser.add_argument("--kills", type=int, default=20, help="SIGKILLs of each method")
    parser.add_argument("--others", type=int, default=3, help="tries of each other fault")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, help="for runs and data; without: a temporary one, removed at the end")
    options = parser.parse_args()
    import_everything()
    commands = small_commands(options.methods)
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "runs").mkdir(parents=True, exist_ok=True)
        print("| method | experiment | fault | tried | survived | lost |\n|---|---|---|---|---|---|", flush=True)
        rows: list[dict[str, Any]] = []
        for method, (experiment, words) in sorted(commands.items()):
            counts = {"SIGKILL": options.kills, "SIGTERM": options.others, "torn": options.others}
            for fault, (survived, why) in broken(method, words, counts, folder.absolute(), options.seed).items():
                tried = survived + len(why)
                rows.append({"method": method, "fault": fault, "tried": tried, "survived": survived, "lost": why})
                print(f"| {method} | {experiment} | {fault} | {tried} | {survived} | {len(why)} |", flush=True)
    results = options.folder or ROOT / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    (results / "survival.json").write_text(json.dumps({"seed": options.seed, "rows": rows}, indent=1), encoding="utf-8")
    sys.exit(any(row["lost"] for row in rows))


def small_commands(methods: Sequence[str] | None) -> dict[str, tuple[str, list[str]]]:
    """Return, for every method or for those named, an experiment that has it, and the words that make it small."""
    from hydra import compose, initialize_config_dir

    from labs.cli.overrides import expand
    from labs.cli.resolvers import register_resolvers
    from labs.practicals import sheet_of

    register_resolvers()
    found: dict[str, tuple[str, list[str]]] = {}
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        default = compose(
            "train", ["paths.run_dir=/nowhere"], return_hydra_config=True
        ).hydra.runtime.choices.experiment
        names = sorted(file.stem for file in (ROOT / "conf" / "experiment").glob("*.yaml"))
        hints = {name: any(method in _text(name) for method in methods or ()) for name in names}
        for name in sorted(names, key=lambda name: (name != default, not hints[name])):
            if methods and set(methods) <= set(found):
                break
            base = [f"experiment={name}", "data=embedded", "trainer=cpu", "logger=none"]
            composed = compose("train", expand([*base, "paths.run_dir=/nowhere"]), return_hydra_config=True)
            method, tries = str(composed.hydra.runtime.choices.module), sheet_of(composed.practical).try_out
            by_steps = any(word.startswith("steps=") for word in tries)
            small = [] if by_steps else ["debug=batches", f"trainer.max_epochs={EPOCHS}"]
            longer = [f"steps={2 * EPOCHS}"] if by_steps else []
            found.setdefault(method, (name, [*base, *small, *tries, *longer]))
    return {method: command for method, command in found.items() if not methods or method in methods}


def _text(experiment: str) -> str:
    return (ROOT / "conf" / "experiment" / f"{experiment}.yaml").read_text(encoding="utf-8")


def broken(
    method: str, words: Sequence[str], counts: dict[str, int], folder: Path, seed: int
) -> dict[str, tuple[int, list[str]]]:
    """Return, for every fault, how many tries ended like the uninterrupted run, and what went wrong in the others."""
    data = [
        f"paths.data={folder / 'data'}",
        f"paths.outputs={folder / 'outputs'}",
        'upstream.overrides=["debug=batches"]',
    ]
    command, whole = [*words, *data], folder / "runs" / method
    for _ in range(2):  # the second time everything is cached, as it will be in what is killed
        shutil.rmtree(whole, ignore_errors=True)
        started = time.monotonic()
        code, printed = run([*command, f"hydra.run.dir={whole}"])
        if code:
            print(f"lost: {method}: exit code {code}: {printed[-600:]}", file=sys.stderr, flush=True)
            return {"uninterrupted": (0, [printed])}
    lasts = time.monotonic() - started
    moments = random.Random(f"{seed} {method}")  # the runs seed the global generator
    results: dict[str, tuple[int, list[str]]] = {}
    for fault, count in counts.items():
        if fault == "torn" and not (whole / "checkpoints" / "last.ckpt").is_file():
            continue  # it trains nothing
        survived, why = 0, []
        for number in range(count):
            run_dir = folder / "runs" / f"{method}-{fault}-{number}"
            problem, moment = "the run was always quicker", 0.0
            for attempt in range(20):
                shutil.rmtree(run_dir, ignore_errors=True)
                moment = moments.uniform(0, 0.2 / (1 + attempt) if fault == "torn" else 1) * lasts
                if (found := _break(fault, [*command, f"hydra.run.dir={run_dir}"], run_dir, moment)) is not None:
                    problem = found or difference(whole, run_dir)
                    break
            else:
                if fault == "torn":
                    break  # it always ends with its first checkpoint, which nobody reads then
            if problem:
                since = "after its first checkpoint" if fault == "torn" else "from its start"
                why.append(f"{method}, {fault} {moment:.2f} of {lasts:.2f} s {since}: {problem}")
                print(f"lost: {why[-1]}", file=sys.stderr, flush=True)
            else:
                survived += 1
                shutil.rmtree(run_dir)
        if survived or why:
            results[fault] = survived, why
    return results


def difference(whole: Path, run_dir: Path) -> str:
    """Say in which results two runs differ; nothing if they are equal bit for bit."""
    import torch

    ours, theirs = (_results(directory, torch) for directory in (run_dir, whole))
    return ", ".join(name for name in sorted({*ours, *theirs}) if ours.get(name) != theirs.get(name))


def _results(run_dir: Path, torch: Any) -> dict[str, Any]:
    facts = json.loads((run_dir / "metrics.json").read_text(encoding="utf-8"))
    found: dict[str, Any] = {name: repr(facts.get(name)) for name in ("status", "epochs", "best_epoch", "counts")}
    found["metrics"] = repr({name: value for name, value in facts["metrics"].items() if "seconds" not in name})
    for name in TABLES:
        if (run_dir / name).is_file():
            lines = (run_dir / name).read_text(encoding="utf-8").splitlines()
            keep = [place for place, column in enumerate(lines[0].split("\t")) if "seconds" not in column]
            found[name] = [[cell for place, cell in enumerate(line.split("\t")) if place in keep] for line in lines]
    for file in sorted(run_dir.glob("checkpoints/*.ckpt")):
        checkpoint = torch.load(file, weights_only=True)
        for part in ("state_dict", "optimizer_states", "lr_schedulers"):
            found[f"{file.name} {part}"] = _plain(checkpoint.get(part), torch)
    found["debris"] = sorted(path.name for path in run_dir.rglob(".*.part"))
    return found


def _plain(value: Any, torch: Any) -> Any:
    """Return a value in which tensors are bytes, so that == compares bit for bit."""
    if isinstance(value, torch.Tensor):
        return (str(value.dtype), tuple(value.shape), value.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    if isinstance(value, dict):
        return {key: _plain(one, torch) for key, one in value.items()}
    return [_plain(one, torch) for one in value] if isinstance(value, (list, tuple)) else repr(value)


def _break(fault: str, command: list[str], run_dir: Path, moment: float) -> str | None:
    """Start a run, break it and go on; return what went wrong until then, or None if it had ended before."""
    last = run_dir / "checkpoints" / "last.ckpt"
    child, printed = start(command)
    if fault == "torn":
        while not (last.is_file() or has_ended(child)):
            time.sleep(0.001)
    time.sleep(moment)
    os.kill(child, signal.SIGTERM if fault == "SIGTERM" else signal.SIGKILL)
    code, text = end_of(child, printed)
    if code == 0:
        return None
    if fault == "SIGTERM" and code not in (143, -signal.SIGTERM):  # the latter before it listens
        return f"exit code {code}: {text[-600:]}"
    if fault == "torn":
        if not last.is_file():
            return None
        os.truncate(last, last.stat().st_size // 2)
        code, text = run(command)
        if code == 0:  # it had finished, so nobody reads the file
            return None
        if code != 2 or "rerun=true" not in text or "Traceback" in text:
            return f"a torn checkpoint: exit code {code}: {text[-600:]}"
        command = [*command, "rerun=true"]
    code, text = run(command)
    return f"again: exit code {code}: {text[-600:]}" if code else ""


if __name__ == "__main__":
    main()
