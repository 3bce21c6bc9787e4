"""Measure how threads that wait for each other cost time, on an idle machine and on a busy one, in turns.

    python benchmarks/threads.py                    # about five minutes
    sudo python benchmarks/threads.py --realtime    # other programs run? These steps go before them all (Linux)
    python benchmarks/threads.py --busy 4 --turns 3 --seconds 2

A step trains a small ResNet or an MLP on random pixels, in a fresh process, since the library that runs the threads
reads its variables once. Idle: nothing else is started. Busy: beside it run as many processes as `--busy` says, which
compute without end. Prints the median of all turns, in milliseconds, and the ratio to what PyTorch does by default.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
SETTINGS = {
    "PyTorch's default": {},
    "ours, idle: `GOMP_SPINCOUNT=5000`": {"GOMP_SPINCOUNT": "5000"},
    "ours, busy: `OMP_WAIT_POLICY=PASSIVE`": {"OMP_WAIT_POLICY": "PASSIVE"},
    "`OMP_NUM_THREADS=1`": {"OMP_NUM_THREADS": "1"},
}
WORK = {"small ResNet, 16 px, 16 images": ("resnet", 16, 16), "MLP, 32 px, 50 images": ("mlp", 32, 50)}
LARGER = {"small ResNet, 32 px, 64 images": ("resnet", 32, 64)}  # a busy machine takes too long for it by default
LONGEST = 120  # seconds that a process may take


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, default=4, help="processes that keep the machine busy")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2, help="of steps in each process")
    parser.add_argument("--realtime", action="store_true", help="idle: run before all other programs; needs root")
    parser.add_argument("--step", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the busy processes end with this one
    if options.step:
        name, size, images, seconds = options.step
        print(json.dumps(_steps(name, int(size), int(images), float(seconds))))
        return
    for state, work in (("idle", {**WORK, **LARGER}), ("busy", WORK)):
        for title, what in work.items():
            found: dict[str, list[float]] = {setting: [] for setting in SETTINGS}
            for _ in range(options.turns):
                for setting, variables in SETTINGS.items():
                    with _busy(options.busy if state == "busy" else 0):
                        found[setting].append(_run(what, variables, options, first=state == "idle"))
            default = statistics.median(found["PyTorch's default"])
            for setting, times in found.items():
                middle = statistics.median(times)
                print(f"| {state} | {title} | {setting} | {middle:,.1f} ms | {middle / default:.2f} |", flush=True)


def _run(what: tuple[str, int, int], variables: dict[str, str], options: argparse.Namespace, *, first: bool) -> float:
    """Return the median milliseconds of a step in a fresh process; the longest allowed if it does not end."""
    ours = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "MKL_NUM_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in ours} | variables
    environment["PYTHONPATH"] = str(ROOT / "src")
    command = [sys.executable, __file__, "--step", *map(str, what), str(options.seconds)]
    if options.realtime and first:
        command = ["chrt", "-f", "10", *command]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, encoding="utf-8", check=True, timeout=LONGEST
        )
    except subprocess.TimeoutExpired:
        return LONGEST * 1000
    return float(json.loads(done.stdout))


@contextmanager
def _busy(count: int) -> Iterator[None]:
    """Keep the machine busy with processes of our own."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.terminate()
            process.wait()


def _steps(name: str, size: int, images: int, seconds: float) -> float:
    """Train for so many seconds, at least three steps, and return the median milliseconds of a step."""
    import torch
    from torch import nn

    from labs.nets.small_resnet import SmallResNet

    mlp = [nn.Flatten(), nn.Linear(3 * size * size, 300), nn.ReLU(), nn.Linear(300, 10)]
    net = (SmallResNet(num_classes=10) if name == "resnet" else nn.Sequential(*mlp)).train()
    net = net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
    pixels, labels = torch.rand(images, 3, size, size), torch.arange(images) % 10
    times: list[float] = []
    while len(times) < 5 or sum(times) < seconds:
        began = time.perf_counter()
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(pixels), labels).backward()
        optimizer.step()
        times.append(time.perf_counter() - began)
    return statistics.median(times[2:]) * 1000


if __name__ == "__main__":
    main()
