"""Type thousands of commands that nobody would think of, and count how they are answered.

    python benchmarks/any_words.py                     # 1,000 commands: 15 minutes on one core
    python benchmarks/any_words.py --words 5000 --seed 1

Every command is composed, checked and built as `train.py` does before it reads data, in this process. Each must be one
that could run, or get one clear message (exit code 2). Prints every other, once per place in the code, and the count;
exit code 1 if there is any. The same seed draws the same commands.
"""

import argparse
import contextlib
import io
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 120  # after which a command counts as one that hangs
MEMORY = 16 << 30  # bytes of addresses: what asks for more fails at once, and the machine stays alive


def main() -> int:
    """Draw, type and count; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=int, default=1000, metavar="N", help="number of commands")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    warnings.simplefilter("ignore")
    import logging

    import torch
    from any_words import answer_to, any_words, is_clear
    from hypothesis import HealthCheck, given, seed, settings

    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    counts: Counter[str] = Counter()
    faults: dict[str, str] = {}
    signal.signal(signal.SIGALRM, _late)
    started = time.monotonic()
    state = random.getstate()  # what is built may seed it; the words come from a generator of their own

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)

        @seed(options.seed)
        @settings(max_examples=options.words, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(any_words())
        def type_them(words: list[str]) -> None:
            signal.alarm(SECONDS)
            heard = io.StringIO()
            try:
                with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard):
                    answer = answer_to(words, Path(folder))
                if answer is not None and not is_clear(answer):
                    raise RuntimeError(f"no clear message: {answer!r}")  # noqa: TRY301
                counts["could run" if answer is None else "one message, exit code 2"] += 1
            except Exception as error:
                counts["traceback"] += 1
                _note(error, words, faults)
            finally:
                signal.alarm(0)
                random.setstate(state)
            if sum(counts.values()) % 100 == 0:
                print(f"{sum(counts.values())} {dict(counts)}", f"{time.monotonic() - started:.0f} s", flush=True)

        type_them()
    print(f"{sum(counts.values())} commands in {time.monotonic() - started:.0f} s: {dict(counts)}")
    return 1 if faults else 0


def _note(error: Exception, words: list[str], faults: dict[str, str]) -> None:
    """Print what is no clear message, once per place in the code."""
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "/labs/" in frame.filename]
    last = traceback.extract_tb(error.__traceback__)[-1]
    frame = ours[-1] if ours else last
    place = (
        f"{type(error).__name__} {Path(frame.filename).name}:{frame.lineno} {Path(last.filename).name}:{last.lineno}"
    )
    if place not in faults:
        faults[place] = " ".join(words)
        print(f"TRACEBACK {place}: {str(error)[:200]!r}\n    {words}", flush=True)


def _late(*_: Any) -> None:
    raise TimeoutError(f"no answer after {SECONDS} seconds")


if __name__ == "__main__":
    sys.exit(main())
