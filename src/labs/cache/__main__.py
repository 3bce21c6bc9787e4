"""Show what runs keep on disk, and make room: `python -m labs.cache`."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from labs import LabsError
from labs.cache.items import KINDS, Item, find_items, remove, size_of
from labs.runs.places import default_folder
from labs.storage.files import typed_path

EXAMPLES = """\
python -m labs.cache                            what is there
python -m labs.cache --clear pixels features    remove decoded images and features; asks first
python -m labs.cache --limit 20                 remove what was not used for longest, until 20 GB are left
"""


def main(words: Sequence[str] | None = None) -> int:
    """Show or clear the caches; return the exit code."""
    typed = _parser().parse_args(words)
    try:
        return _run(typed)
    except LabsError as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        print(f"error: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m labs.cache",
        description="Show what runs keep on disk to be faster, and make room. Whatever is removed is made again.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--clear", nargs="*", choices=KINDS, metavar="KIND", help=f"all, or of {', '.join(KINDS)}")
    parser.add_argument("--limit", type=float, metavar="GB", help="clear what was not used for longest")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--data", metavar="FOLDER", help="like paths.data of train.py")
    parser.add_argument("--weights", metavar="FOLDER", help="like paths.weights of train.py")
    return parser


def _run(typed: argparse.Namespace) -> int:
    if typed.limit is not None and not 0 <= typed.limit < float("inf"):
        raise LabsError(f"--limit {typed.limit}: expected a number of gigabytes, such as --limit 20.")
    data = typed_path(typed.data or default_folder("data") or "data", "--data")
    weights = typed.weights or default_folder("weights")
    items = find_items(data, typed_path(weights, "--weights") if weights else None)
    if typed.clear is None and typed.limit is None:
        _show(items, data, weights)
        return 0
    chosen = [item for item in items if not typed.clear or item.kind in typed.clear]
    if typed.limit is not None:
        chosen = _beyond(chosen, typed.limit * 1e9)
    if not chosen:
        print("Nothing to remove.")
        return 0
    what = ", ".join(kind for kind in KINDS if any(item.kind == kind for item in chosen))
    question = f"Remove {decimal(sum(item.bytes for item in chosen))} in {data.absolute()} ({what})?"
    if not typed.yes and not _agreed(question):
        print("Nothing was removed.")
        return 0
    busy = [item for item in chosen if not remove(item)]
    for item in busy:
        print(f"{item.path} is in use and stays.")
    print(f"{decimal(sum(item.bytes for item in chosen) - sum(item.bytes for item in busy))} were removed.")
    return 0


def _beyond(items: Sequence[Item], most: float) -> list[Item]:
    """Return the items to remove, least recently used first, until the others take at most so many bytes."""
    taken, chosen = sum(item.bytes for item in items), []
    for item in items:
        if taken > most:
            chosen.append(item)
            taken -= item.bytes
    return chosen


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise LabsError(f"{question} Type --yes to agree.")
    return input(f"{question} Type yes: ").strip().lower() in ("y", "yes")


def _show(items: Sequence[Item], data: Path, weights: str | None) -> None:
    table = Table(title=f"kept in {data.absolute()}", title_justify="left", box=None, pad_edge=False)
    for name in ("kind", "files", "size", "last used", "what for"):
        table.add_column(name, justify="right" if name in ("files", "size") else "left")
    for kind, words in KINDS.items():
        own = [item for item in items if item.kind == kind]
        if own:
            used = time.strftime("%Y-%m-%d", time.localtime(max(item.used for item in own)))
            table.add_row(kind, f"{len(own):,}", decimal(sum(item.bytes for item in own)), used, words)
    kept = sum(item.bytes for item in items if item.path.is_relative_to(data))
    table.add_row("", "", decimal(max(0, size_of(data) - kept)), "", "datasets, which stay")
    if weights:
        table.add_row("", "", decimal(size_of(Path(weights))), "", "weight files, which stay")
    Console(emoji=False, soft_wrap=True).print(table)
    print("\npython -m labs.cache --clear <kind> makes room; a run makes again what it needs.")


if __name__ == "__main__":
    sys.exit(main())
