"""Time style transfer against the algorithm of PyTorch's tutorial, written plainly, in turns, in one process.

    python benchmarks/style_transfer.py                                # 128 px, random weights, two cores: 25 minutes
    python benchmarks/style_transfer.py --parts evaluation --turns 9   # one part, more turns
    python benchmarks/style_transfer.py --image-size 512 --weights imagenet

Both optimise the same embedded pictures through the same VGG19. The plain loop is what the tutorial does: loss layers
in a Sequential, `torch.optim.LBFGS` on one picture, the picture clamped in the closure. Ours is the experiment's module
in Lightning's Trainer, three pictures in one batch, without callbacks and files. Three parts:

    evaluation  seconds of an evaluation of the loss and its gradient, a picture
    loss        seconds to the loss that the tutorial ends with, and to the lowest that it ever had
    table       seconds of all 21 pictures of hand-out 000, Table 5, at the same number of evaluations

Prints medians and ratios, and keeps them in benchmarks/results/.
"""

import argparse
import json
import logging
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

STYLES = ("hubble", "gravel", "ihc")
ALL = tuple(f"conv_{place}" for place in range(1, 6))
# content layers, style layers, style weight, content weight: hand-out 000, Table 5
TABLE_5: dict[str, tuple[Sequence[str], Sequence[str], float, float]] = {
    "A": (("conv_4",), ALL, 1e6, 1.0),
    "B": (("conv_2", "conv_4", "conv_5"), ALL[2:], 1e6, 1.0),
    "C": (("conv_4",), ALL, 8e6, 1.0),
    "D": (("conv_4",), ALL, 1e6, 200.0),
    "E": (("conv_4",), ALL, 80.0, 1.0),
    "F": (("conv_1",), ("conv_1",), 80.0, 1.0),
    "G": (("conv_1",), ("conv_5",), 80.0, 1.0),
}
PARTS = ("evaluation", "loss", "table")


class Bench:
    """The two ways to make the pictures of one experiment, on the same pictures and weights."""

    def __init__(self, options: argparse.Namespace) -> None:
        import torch

        from labs.datamodules.image_pair import ImagePair
        from labs.nets.layer_features import LayerFeatures

        self.options = options
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.build = partial(LayerFeatures, weights=options.weights)
        self.vgg = self.build(layers=["conv_5"]).net.features.to(self.device, memory_format=torch.contiguous_format)
        self.data = ImagePair(content="astronaut", style=list(STYLES), image_size=options.image_size, embedded=True)
        self.data._describe = lambda: None  # type: ignore[method-assign]
        self.data.setup("fit")

    def tutorial(self, letter: str, place: int, steps: int) -> tuple[list[float], float, list[float]]:
        """Make one picture as the tutorial does.

        Returns:
            The loss of each evaluation, the loss of the finished picture, and the seconds since the start at each
            evaluation.
        """
        import torch
        import torch.nn.functional as F
        from torch import nn

        start, losses, clock = time.perf_counter(), [], []
        pictures = self.data.pictures
        assert pictures is not None
        content, style = (tensor[place : place + 1].to(self.device) for tensor in pictures)
        content_layers, style_layers, style_weight, content_weight = TABLE_5[letter]

        def gram(features: torch.Tensor) -> torch.Tensor:
            batch, channels, height, width = features.size()
            flat = features.view(batch * channels, height * width)
            return torch.mm(flat, flat.t()).div(batch * channels * height * width)

        class ContentLoss(nn.Module):
            def __init__(self, target: torch.Tensor) -> None:
                super().__init__()
                self.target = target.detach()

            def forward(self, features: torch.Tensor) -> torch.Tensor:
                self.loss = F.mse_loss(features, self.target)
                return features

        class StyleLoss(nn.Module):
            def __init__(self, target: torch.Tensor) -> None:
                super().__init__()
                self.target = gram(target).detach()

            def forward(self, features: torch.Tensor) -> torch.Tensor:
                self.loss = F.mse_loss(gram(features), self.target)
                return features

        class Normalization(nn.Module):
            def __init__(self, device: torch.device) -> None:
                super().__init__()
                self.mean = torch.tensor([0.485, 0.456, 0.406], device=device).view(-1, 1, 1)
                self.std = torch.tensor([0.229, 0.224, 0.225], device=device).view(-1, 1, 1)

            def forward(self, image: torch.Tensor) -> torch.Tensor:
                return (image - self.mean) / self.std

        model = nn.Sequential(Normalization(self.device))
        content_losses, style_losses, convolutions, last = [], [], 0, 0
        for layer in self.vgg:
            model.append(nn.ReLU(inplace=False) if isinstance(layer, nn.ReLU) else layer)
            if not isinstance(layer, nn.Conv2d):
                continue
            convolutions += 1
            if f"conv_{convolutions}" in content_layers:
                content_losses.append(ContentLoss(model(content)))
                model.append(content_losses[-1])
                last = len(model)
            if f"conv_{convolutions}" in style_layers:
                style_losses.append(StyleLoss(model(style)))
                model.append(style_losses[-1])
                last = len(model)
        model = model[:last]
        image = content.clone().requires_grad_(True)
        model.eval().requires_grad_(False)
        optimizer = torch.optim.LBFGS([image])

        def total() -> torch.Tensor:
            model(image)
            style_score = torch.stack([layer.loss for layer in style_losses]).sum() * style_weight
            content_score = torch.stack([layer.loss for layer in content_losses]).sum() * content_weight
            return style_score + content_score

        def closure() -> torch.Tensor:
            with torch.no_grad():
                image.clamp_(0, 1)
            optimizer.zero_grad()
            loss = total()
            loss.backward()
            losses.append(loss.item())
            clock.append(time.perf_counter() - start)
            return loss

        while len(losses) < steps:
            optimizer.step(closure)
        with torch.no_grad():
            image.clamp_(0, 1)
            return losses, total().item(), clock

    def ours(
        self, letter: str, steps: int, precision: str, *, watch: Callable[[Any], None] | None = None, every: int = 10
    ) -> float:
        """Make the pictures of all styles in one batch; return the seconds."""
        import lightning.pytorch as pl
        import torch

        from labs.functional.batched_lbfgs import BatchedLBFGS
        from labs.modules.style_transfer import StyleTransfer

        class Watch(pl.Callback):
            def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
                if watch is not None:
                    watch(pl_module)

        content_layers, style_layers, style_weight, content_weight = TABLE_5[letter]
        start = time.perf_counter()
        module = StyleTransfer(
            net=self.build, optimizer=partial(BatchedLBFGS, tolerance_grad=0, tolerance_change=0, history_size=20),
            content_layers=list(content_layers), style_layers=list(style_layers), content_weight=content_weight,
            style_weight=style_weight, range_weight=self.options.range_weight, balance=False, steps=steps, every=every,
        )  # fmt: skip
        trainer = pl.Trainer(
            max_epochs=-(-steps // every), logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, devices=1, precision=precision, callbacks=[Watch()],
        )  # fmt: skip
        trainer.fit(module, self.data)
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    def loss_of(self, letter: str, pictures: Any) -> list[float]:
        """Measure finished pictures by the tutorial's loss."""
        from labs.nets.picture_losses import PictureLosses

        content_layers, style_layers, style_weight, content_weight = TABLE_5[letter]
        contents, styles = (tensor.to(self.device) for tensor in self.data.pictures or ())
        losses = PictureLosses(
            self.build(layers=list(ALL)).to(self.device), contents, styles,
            content_layers=content_layers, style_layers=style_layers,
        )  # fmt: skip
        content, style = losses.of_all(pictures)
        return (content_weight * content + style_weight * style).tolist()


def evaluation(bench: Bench) -> dict[str, Any]:
    """Time a few dozen evaluations of experiment A in turns: the tutorial's first style, all of ours."""
    count, seconds = 40, {name: [] for name in ("tutorial", *bench.options.precisions)}  # type: dict[str, list[float]]
    bench.tutorial("A", 0, 20)
    for precision in bench.options.precisions:
        bench.ours("A", 10, precision)
    for _ in range(bench.options.turns):
        seconds["tutorial"].append(bench.tutorial("A", 0, count)[2][-1] / count)
        for precision in bench.options.precisions:
            seconds[precision].append(bench.ours("A", count, precision) / count / len(STYLES))
    return _compared(seconds)


def loss(bench: Bench) -> dict[str, Any]:
    """Follow the loss of finished pictures over the seconds, with experiment A."""
    steps, found = bench.options.steps, {}
    theirs = [bench.tutorial("A", place, steps) for place in range(len(STYLES))]
    for precision in bench.options.precisions:
        trace = _follow(bench, precision, steps)
        for place, (losses, final, clock) in enumerate(theirs):
            for name, goal in (("its final loss", final), ("its lowest loss", min(losses))):
                there = next((seconds for seconds, ours in trace if ours[place] <= goal), None)
                share = None if there is None else there / len(STYLES)  # of the batch
                seconds = clock[-1] if name == "its final loss" else clock[losses.index(min(losses))]
                ratio = None if share is None else share / seconds
                found[f"{precision}, {STYLES[place]}, {name}"] = {
                    "loss": goal, "tutorial_seconds": seconds, "ours_seconds": share, "ratio": ratio,
                    "ours_final_loss": trace[-1][1][place],
                }  # fmt: skip
    return found


def _follow(bench: Bench, precision: str, steps: int) -> list[tuple[float, list[float]]]:
    """Return seconds and losses of our finished pictures every five evaluations; the measuring is not counted."""
    trace: list[tuple[float, list[float]]] = []
    begin, measuring = time.perf_counter(), 0.0

    def watch(module: Any) -> None:
        nonlocal measuring
        now = time.perf_counter()
        pairs = bench.data.pictures
        assert pairs is not None
        pictures = module.pictures(type(pairs)(*(tensor.to(module.device) for tensor in pairs)))
        trace.append((now - begin - measuring, bench.loss_of("A", pictures)))
        measuring += time.perf_counter() - now

    bench.ours("A", steps, precision, watch=watch, every=5)
    return trace


def table(bench: Bench) -> dict[str, Any]:
    """Make all 21 pictures both ways, experiment by experiment, in turns."""
    steps = bench.options.steps
    seconds: dict[str, list[float]] = {name: [] for name in ("tutorial", *bench.options.precisions)}
    for letter in TABLE_5:
        seconds["tutorial"].append(sum(bench.tutorial(letter, place, steps)[2][-1] for place in range(len(STYLES))))
        for precision in bench.options.precisions:
            seconds[precision].append(bench.ours(letter, steps, precision))
    totals = {name: [sum(values)] for name, values in seconds.items()}
    return _compared(totals) | {"by_experiment": {name: dict(zip(TABLE_5, s)) for name, s in seconds.items()}}


def _compared(seconds: dict[str, list[float]]) -> dict[str, Any]:
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = {
        name: statistics.median(ours / theirs for ours, theirs in zip(values, seconds["tutorial"], strict=True))
        for name, values in seconds.items()
    }
    return {"seconds": medians, "ratio": ratios, "all": seconds}


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--precisions", nargs="+", default=["32-true", "bf16-mixed"])
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--weights", default="random", help="random, imagenet or a file")
    parser.add_argument("--steps", type=int, default=300, help="evaluations of a picture, for `loss` and `table`")
    parser.add_argument("--turns", type=int, default=5, help="for `evaluation`")
    parser.add_argument("--range-weight", type=float, default=3000.0)
    options = parser.parse_args()

    from labs.cli.quiet import quiet
    from labs.runs.environment import environment

    quiet()
    logging.disable(logging.WARNING)  # what Lightning says at every start
    bench = Bench(options)
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    result: dict[str, Any] = {"options": vars(options), "environment": environment(bench.device)}
    measure = {"evaluation": evaluation, "loss": loss, "table": table}
    for part in options.parts:
        result[part] = measure[part](bench)
        shown = {name: value for name, value in result[part].items() if name not in ("all", "by_experiment")}
        print(f"{part}: {json.dumps(shown, indent=2)}", flush=True)
        (folder / "style_transfer.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
