"""Measure how fast we are, each time against plain PyTorch or the bare minimum, in turns, and write one table.

    python benchmarks/speed.py                 # everything: about an hour on two cores
    python benchmarks/speed.py --parts b c d   # some questions
    python benchmarks/speed.py --quick         # does it run at all? Numbers of one turn mean little.
    python benchmarks/speed.py --write docs/speed.md

The questions are in benchmarks/parts/, one file each: (a) a linear probe with the feature cache, (b) a step of full
fine-tuning, (c) the data path, (d) the start, (e) a grid, (f) growth. Data are random pixels and embedded images;
nothing is downloaded. Every number taken is kept in benchmarks/results/speed.json, which a later call adds to.
"""

import argparse
import json
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
MARKS = ("<!-- table: benchmarks/speed.py -->", "<!-- end -->")


def main() -> None:
    """Measure, print, keep, and write the table where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices="abcdef", default=list("abcdef"))
    parser.add_argument("--quick", action="store_true", help="one turn of the smallest size")
    parser.add_argument("--write", type=Path, help="replace the table in this Markdown file")
    options = parser.parse_args()

    sys.path[:0] = [str(FOLDER), str(FOLDER.parent / "src")]
    from parts import grid, growth, probe, start, step
    from parts.common import SCRATCH, Row

    from labs.cli.quiet import quiet
    from labs.runs.environment import environment

    quiet()
    SCRATCH.mkdir(exist_ok=True)
    file = FOLDER / "results" / ("speed_quick.json" if options.quick else "speed.json")
    file.parent.mkdir(exist_ok=True)
    kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    questions = {
        "a": probe.measure,
        "b": step.measure,
        "c": step.measure_data,
        "d": start.measure,
        "e": grid.measure,
        "f": growth.measure,
    }
    for part in options.parts:
        rows: list[Row] = questions[part](options.quick)
        for row in rows:
            print(f"({row.part}) {row.what}\n    ours {row.ours}; compared {row.plain}; {row.ratio}", flush=True)
        kept[part] = {"rows": [row._asdict() for row in rows], "environment": environment()}
        file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    table = _table([row for part in sorted(kept) for row in kept[part]["rows"]])
    print(f"\n{table}")
    if options.write:
        text = options.write.read_text(encoding="utf-8")
        before, after = text.split(MARKS[0])[0], text.split(MARKS[1])[1]
        options.write.write_text(f"{before}{MARKS[0]}\n{table}\n{MARKS[1]}{after}", encoding="utf-8")


def _table(rows: list[dict[str, object]]) -> str:
    """Return the rows as Markdown."""
    lines = ["| | what | ours | compared with | ratio | goal |", "|---|---|---|---|---|---|"]
    for row in rows:
        goal = f"{row['goal']}: {'reached' if row['reached'] else 'not reached'}" if row["goal"] else ""
        lines.append(f"| {row['part']} | {row['what']} | {row['ours']} | {row['plain']} | {row['ratio']} | {goal} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
