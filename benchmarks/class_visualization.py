"""Time class visualization: many classes at once against one after the other, and against a plain loop, in turns.

    python benchmarks/class_visualization.py                       # 16 classes, SqueezeNet, 224 px: 10 minutes
    python benchmarks/class_visualization.py --classes 4 --turns 9

Three ways to make the same pictures with the same net and weights, without files:

    plain   the courses' notebook: one picture at a time, shifted and shifted back, `loss.backward()`, SciPy's blur
    single  the experiment's module in Lightning's Trainer, a run for each class
    batch   the same, one run for all classes

Prints seconds (medians) and ratios (medians of the turns' own), and keeps them in benchmarks/results/.
"""

import argparse
import json
import logging
import statistics
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any


def plain(net: Any, target: int, steps: int) -> Any:
    """Make one picture as the notebook does."""
    import random

    import numpy as np
    import torch
    from scipy.ndimage import gaussian_filter1d

    size = net.image_size
    image = torch.randn(1, 3, size, size).requires_grad_()
    low, high = (net.normalizer(torch.full((1, 3, 1, 1), value)) for value in (0.0, 1.0))

    def shift(images: Any, down: int, right: int) -> Any:
        return images.roll((down, right), (2, 3))

    for step in range(steps):
        down, right = random.randint(0, 16), random.randint(0, 16)
        image.data.copy_(shift(image.data, down, right))
        score = net.net(image)[0, target] - 1e-3 * image.square().sum()
        score.backward()
        image.data += 25 * image.grad / image.grad.norm()
        image.grad.zero_()
        image.data.copy_(shift(image.data, -down, -right))
        for channel in range(3):
            image.data[:, channel].clamp_(low[0, channel].item(), high[0, channel].item())
        if step % 10 == 0:
            blurred = gaussian_filter1d(gaussian_filter1d(image.data.numpy(), 0.5, axis=2), 0.5, axis=3)
            image.data.copy_(torch.from_numpy(np.ascontiguousarray(blurred)))
    return image.data


def ours(net: Any, targets: list[int], steps: int) -> None:
    """Make pictures of all targets in one run."""
    import lightning.pytorch as pl
    import torch

    from labs.datamodules.canvases import Canvases
    from labs.modules.class_visualization import ClassVisualization

    module = ClassVisualization(
        net=net, optimizer=partial(torch.optim.SGD, lr=25.0), classes=list(targets), judge=None, steps=steps, every=10,
    )  # fmt: skip
    trainer = pl.Trainer(
        max_epochs=-(-steps // 10), accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, Canvases(images=None, count=1, embedded=True, folder="data"))


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="squeezenet1_1")
    parser.add_argument("--classes", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()

    import torch

    from labs.cli.quiet import quiet
    from labs.runs.environment import environment
    from labs.runs.trained_net import trained_net

    quiet()
    logging.disable(logging.WARNING)  # what Lightning says at every start
    warnings.simplefilter("ignore")
    targets = list(range(0, 1000, 1000 // options.classes))[: options.classes]
    contiguous, own = trained_net(name=options.net), trained_net(name=options.net)
    plain(contiguous, 0, 2)
    ours(own, targets[:1], 2)
    seconds: dict[str, list[float]] = {"plain": [], "single": [], "batch": []}
    for _ in range(options.turns):
        for name in seconds:
            start = time.perf_counter()
            if name == "batch":
                ours(own, targets, options.steps)
            for target in targets if name != "batch" else []:
                plain(contiguous, target, options.steps) if name == "plain" else ours(own, [target], options.steps)
            seconds[name].append(time.perf_counter() - start)
        print({name: round(values[-1], 2) for name, values in seconds.items()}, flush=True)
    ratios = {
        f"batch / {other}": statistics.median(b / o for b, o in zip(seconds["batch"], seconds[other], strict=True))
        for other in ("single", "plain")
    }
    result = {
        "options": vars(options),
        "environment": environment(torch.device("cpu")),
        "threads": torch.get_num_threads(),
        "seconds": {name: statistics.median(values) for name, values in seconds.items()},
        "ratio": ratios,
        "all": seconds,
    }
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / "class_visualization.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({name: result[name] for name in ("seconds", "ratio", "threads")}, indent=2))


if __name__ == "__main__":
    main()
