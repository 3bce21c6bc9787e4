"""Run every experiment, small and on embedded data, and write the dated table of the README.

    pip install -U -e . && python benchmarks/still_runs.py    # the newest versions that pyproject.toml allows
    python benchmarks/still_runs.py --only 'cub_*' 'dann_*'   # some of them; the README stays

The experiments are found in conf/experiment. Each runs as the tests run it: two batches per stage and one epoch, or a
few steps, with the weights and judges that it needs trained for a few batches. The first of each practical also draws
its curves and writes TensorBoard's log. One fails if its exit code is not 0, if its record does not say `finished`, or
if it takes longer than the limit. Its error is printed and stands in the table, and the script exits with 1.

Everything is imported once and each run is a forked process, so this needs Linux or macOS.
"""

import argparse
import contextlib
import fnmatch
import importlib.metadata
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from parts.forked import ROOT, end_of, has_ended, import_everything, start

README = ROOT / "README.md"
MARKS = ("<!-- table: benchmarks/still_runs.py -->", "<!-- end of the table -->")
PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "hydra-core",
    "torchmetrics",
    "numpy",
    "scikit-learn",
    "timm",
    "captum",
)


class Result(NamedTuple):
    """What became of an experiment."""

    experiment: str
    practical: str
    seconds: float
    problem: str  # in one line; empty if it ran


class Running(NamedTuple):
    """An experiment at work."""

    experiment: str
    started: float
    child: int
    printed: Path


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=["*"], metavar="PATTERN", help="experiments by name")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at the same time")
    parser.add_argument("--limit", type=float, default=600, help="seconds for each run")
    parser.add_argument("--folder", type=Path, help="for runs and data; without: a temporary one, removed at the end")
    options = parser.parse_args()
    practicals = {name: found for name, found in practical_of_each().items() if _is_one_of(name, options.only)}
    if not practicals:
        parser.error(f"no experiment of conf/experiment is called {' or '.join(options.only)}")
    import_everything(draw=True)
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        results = run_all(practicals, folder.absolute(), options.jobs, options.limit)
    table = rendered(results, versions(), time.strftime("%Y-%m-%d", time.gmtime()))
    print(table)
    if options.only == ["*"]:
        before, _, rest = README.read_text(encoding="utf-8").partition(MARKS[0])
        after = rest.partition(MARKS[1])[2]
        README.write_text(f"{before}{MARKS[0]}\n{table}\n{MARKS[1]}{after}", encoding="utf-8")
    sys.exit(any(result.problem for result in results))


def practical_of_each() -> dict[str, str]:
    """Return every experiment and its practical, those of one practical together."""
    sys.path.insert(0, str(ROOT / "src"))
    from labs.cli.options import practical_of

    files = sorted((ROOT / "conf" / "experiment").glob("*.yaml"))
    found = {file.stem: practical_of(file) for file in files}
    return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))


def small_words(experiment: str, practical: str) -> list[str]:
    """Return the words that make an experiment small; the tests type the same."""
    from labs.practicals import sheet_of

    return [f"experiment={experiment}", "data=embedded", "debug=batches", *sheet_of(practical).try_out]


def run_all(practicals: Mapping[str, str], folder: Path, jobs: int, limit: float) -> list[Result]:
    """Run experiments, as many at a time as there are jobs, and return what became of each."""
    from labs.storage.bars import image_bar

    waiting, running, results = list(practicals), [], []
    firsts = {practical: name for name, practical in reversed(practicals.items())}
    with image_bar() as bar:
        task = bar.add_task("experiments", total=len(waiting))
        while waiting or running:
            while waiting and len(running) < max(1, jobs):
                name = waiting.pop(0)
                words = small_words(name, practicals[name])
                first = firsts[practicals[name]] == name
                running.append(_begin(name, [*words, *([] if first else ["logger=none"])], folder, draw=first))
            time.sleep(0.1)
            for one in list(running):
                ended = has_ended(one.child)
                seconds = time.monotonic() - one.started
                if not ended and seconds <= limit:
                    continue
                if not ended:
                    os.kill(one.child, signal.SIGKILL)
                running.remove(one)
                code, text = end_of(one.child, one.printed)
                problem = _problem(code, text, folder / "runs" / one.experiment) if ended else f"over {limit:g} s"
                results.append(Result(one.experiment, practicals[one.experiment], seconds, problem))
                line = f"{one.experiment}: {problem or 'ran'} ({seconds:.0f} s)"
                bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
                bar.advance(task)
    return results


def rendered(results: Sequence[Result], found: Mapping[str, str], date: str) -> str:
    """Return the table in Markdown: one row per practical, then what failed, by name."""
    failed = [result for result in results if result.problem]
    named = ", ".join(f"{name} {version}" for name, version in found.items() if name != "machine")
    lines = [
        f"{len(results) - len(failed)} of {len(results)} experiments ran on {date}, small and on embedded data, with "
        f"{named}; {found['machine']}.",
        "",
        "| practical | experiments | ran | seconds, all together |",
        "|---|---|---|---|",
    ]
    for practical in dict.fromkeys(result.practical for result in results):
        own = [result for result in results if result.practical == practical]
        ran = sum(not result.problem for result in own)
        lines.append(f"| {practical} | {len(own)} | {ran} | {sum(result.seconds for result in own):.0f} |")
    failures = [f"- `{result.experiment}` failed: {_as_text(result.problem)}" for result in failed]
    return "\n".join([*lines, *(["", *failures] if failures else [])])


def versions() -> dict[str, str]:
    """Return the versions that this table is about, and the machine."""
    system = f"{_system()} on {platform.machine()}, {os.cpu_count()} cores"
    packages = {package: importlib.metadata.version(package) for package in PACKAGES}
    return {"Python": platform.python_version(), **packages, "machine": system}


def _system() -> str:
    """Return the operating system and its version."""
    with contextlib.suppress(OSError):
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    return f"macOS {platform.mac_ver()[0]}" if platform.system() == "Darwin" else platform.system()


def _begin(name: str, words: list[str], folder: Path, *, draw: bool) -> Running:
    run_dir = folder / "runs" / name
    shutil.rmtree(run_dir, ignore_errors=True)
    places = [f"paths.data={folder / 'data'}", f"paths.outputs={folder / 'outputs'}", f"hydra.run.dir={run_dir}"]
    child, printed = start([*words, *places, 'upstream.overrides=["debug=batches"]'], draw=draw)
    return Running(name, time.monotonic(), child, printed)


def _problem(code: int, text: str, run_dir: Path) -> str:
    """Say in one line why a run failed; nothing if it did not."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if code:
        errors = [line for line in lines if "rror" in line]
        return f"exit code {code}: {(errors or lines or ['nothing was printed'])[-1][:200]}"
    facts = json.loads((run_dir / "metrics.json").read_text(encoding="utf-8"))
    return "" if facts["status"] == "finished" else f"its record says {facts['status']}"


def _as_text(problem: str) -> str:
    return problem.replace("<", "&lt;").replace("|", "\\|").replace("`", "'")


def _is_one_of(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


if __name__ == "__main__":
    main()
