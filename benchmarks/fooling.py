"""Time fooling many problems at once, against one at a time and the hand-out's loop written plainly, in turns.

    python benchmarks/fooling.py                         # SqueezeNet, 16 problems, torch's number of threads
    python benchmarks/fooling.py --threads 1 --turns 9
    python benchmarks/fooling.py --steps 100             # to the end: each problem leaves the batch when it is solved

All three fool ImageNet's SqueezeNet with the same embedded photographs and targets, in one process:

    batch   ours, all problems in one call
    single  ours, each problem alone
    plain   the loop of hand-out 002's notebook, one image at a time: forward, test, backward, update

Prints seconds of the clock and of the processor (medians), and the medians of the ratios within a turn; keeps them in
benchmarks/results/. On a machine that others load, too, only the processor's seconds of one thread can be compared.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

IMAGES, TARGETS = ("chelsea", "coffee", "china", "rocket"), ("stingray", "tarantula", "snail", "school bus")


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=0, help="0: as many as torch takes")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5, help="at most, of each problem")
    parser.add_argument("--net", default="squeezenet1_1")
    options = parser.parse_args()

    import torch

    from labs.datamodules.read_picture import cover, read_picture, to_tensor
    from labs.inspection.undisturbed import undisturbed
    from labs.modules.fooling import Fooling
    from labs.runs.environment import environment
    from labs.runs.trained_net import trained_net

    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pictures = [to_tensor(cover(read_picture(name, key="")[0], 224, 224)) for name in IMAGES]
    images = torch.stack(pictures).repeat_interleave(len(TARGETS), 0).to(device)
    net, untouched = trained_net(name=options.net), trained_net(name=options.net)
    for one in (net, untouched):
        one.net.to(device)
    method = Fooling(net=net, target=list(TARGETS), survive="float", steps=options.steps)
    targets = torch.tensor(method.targets, device=device).repeat(len(IMAGES))

    def ours(at_once: int) -> list[int]:
        with undisturbed(method.net):
            parts = zip(images.split(at_once), targets.split(at_once))
            return [int(step) for part in parts for step in method.fool(*part).steps]

    def plain() -> list[int]:
        counts = []
        for image, target in zip(images, targets):
            x = untouched.normalizer(image[None])
            for step in range(options.steps + 1):
                x.requires_grad_()
                scores = untouched.net(x)
                if scores.argmax() == target or step == options.steps:
                    counts.append(step)
                    break
                scores[0, target].backward()
                assert x.grad is not None
                with torch.no_grad():
                    x = x + x.grad / x.grad.norm()
        return counts

    ways: dict[str, Callable[[], list[int]]] = {
        "batch": lambda: ours(len(images)), "single": lambda: ours(1), "plain": plain,
    }  # fmt: skip
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    counts = {}
    for turn in range(options.turns + 1):  # the first warms up
        for name, way in ways.items():
            start, busy = time.perf_counter(), time.process_time()
            counts[name] = way()
            if turn:
                seconds[name].append(time.perf_counter() - start)
                processor[name].append(time.process_time() - busy)
    print(f"steps of the problems: {counts['batch']}")
    result: dict[str, Any] = {"options": vars(options), "threads": torch.get_num_threads(), "steps": counts}
    for kind, found in (("clock", seconds), ("processor", processor)):
        result[kind] = {
            **{name: round(statistics.median(values), 2) for name, values in found.items()},
            **{
                f"batch / {name}": round(statistics.median(a / b for a, b in zip(found["batch"], found[name])), 3)
                for name in ("single", "plain")
            },
        }
    print(json.dumps({name: result[name] for name in ("threads", "clock", "processor")}, indent=2))
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    result |= {"all": {"clock": seconds, "processor": processor}, "environment": environment(device)}
    (folder / "fooling.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
