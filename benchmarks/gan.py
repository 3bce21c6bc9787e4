"""Time DCGAN against PyTorch's DCGAN example, written plainly with the same nets, in turns, in one process.

    python benchmarks/gan.py                            # 32 px, batches of 128, 60 iterations a turn, this machine
    python benchmarks/gan.py --iterations 469 --turns 9 # a turn is an epoch of MNIST
    python benchmarks/gan.py --batch-size 16 --precisions 32-true bf16-mixed

Both imitate the embedded digits, repeated to as many as MNIST has. The plain loop is what the example does: a
DataLoader over tensors in memory, binary cross-entropy with targets of ones and zeros, `torch.optim.Adam`, the
discriminator's gradients computed in the generator's step too. Ours is the experiment's module and data in Lightning's
Trainer, without the callbacks that draw and measure. Prints medians, iterations a second and ratios of seconds, and
keeps them in benchmarks/results/.
"""

import argparse
import json
import logging
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

MNIST_IMAGES = 60_000


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--iterations", type=int, default=60, help="of a turn")
    parser.add_argument("--turns", type=int, default=7, help="counted turns of each, after one that is not counted")
    parser.add_argument("--precisions", nargs="+", default=["32-true", "bf16-mixed"])
    options = parser.parse_args()

    import lightning.pytorch as pl
    import numpy as np
    import torch
    import torch.nn.functional as F
    from torch.utils.data import DataLoader, TensorDataset

    from labs.cli.quiet import quiet
    from labs.datamodules.image_generation import ImageGeneration
    from labs.datamodules.mnist import MNIST
    from labs.datamodules.sources import LabeledImages
    from labs.modules.gan import GAN
    from labs.nets.dcgan import DCGAN
    from labs.runs.environment import environment

    quiet()
    logging.disable(logging.WARNING)  # what Lightning says at every start
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    class Repeated(MNIST):
        def load(self, size: int) -> LabeledImages:
            images = super().load(size)
            train = np.flatnonzero(~images.is_test)
            rows = np.concatenate([np.resize(train, MNIST_IMAGES), np.flatnonzero(images.is_test)])
            names = [str(place) for place in range(len(rows))]
            return LabeledImages(
                images.pixels[rows], images.labels[rows], names, images.classes, np.arange(len(rows)) >= MNIST_IMAGES
            )

    data = ImageGeneration(
        source=Repeated(embedded=True, folder="data"), num_classes=10, image_size=32, channels=1,
        batch_size=options.batch_size, embedded=True,
    )  # fmt: skip
    data.setup("fit")
    stored = data.stored("train")
    floats = TensorDataset(stored.images.float().div(127.5).sub(1), stored.labels)

    def plain() -> float:
        net = DCGAN(image_size=32, channels=1).to(device)
        generator, discriminator = net.generator, net.discriminator
        optimizers = [
            torch.optim.Adam(part.parameters(), lr=2e-4, betas=(0.5, 0.999)) for part in (generator, discriminator)
        ]
        loader = DataLoader(floats, batch_size=options.batch_size, shuffle=True, pin_memory=device.type == "cuda")
        wait()
        start = time.perf_counter()
        for iteration, (images, labels) in enumerate(loader, 1):
            real, labels = images.to(device), labels.to(device)
            ones, zeros = torch.ones(len(real), device=device), torch.zeros(len(real), device=device)
            discriminator.zero_grad()
            F.binary_cross_entropy_with_logits(discriminator(real, labels), ones).backward()
            fake = generator(torch.randn(len(real), 100, device=device), labels)
            F.binary_cross_entropy_with_logits(discriminator(fake.detach(), labels), zeros).backward()
            optimizers[1].step()
            generator.zero_grad()
            F.binary_cross_entropy_with_logits(discriminator(fake, labels), ones).backward()
            optimizers[0].step()
            if iteration == options.iterations:
                break
        wait()
        return time.perf_counter() - start

    def ours(precision: str) -> float:
        adam = partial(torch.optim.Adam, lr=2e-4, betas=(0.5, 0.999), fused=True)
        module = GAN(net=DCGAN(image_size=32, channels=1), optimizer=adam)
        seconds: list[float] = []

        class Clock(pl.Callback):
            def on_train_epoch_start(self, *_: object) -> None:
                wait()
                self.start = time.perf_counter()

            def on_train_epoch_end(self, *_: object) -> None:
                wait()
                seconds.append(time.perf_counter() - self.start)

        trainer = pl.Trainer(
            max_epochs=1, limit_train_batches=options.iterations, logger=False, enable_checkpointing=False,
            callbacks=[Clock()], enable_progress_bar=False, enable_model_summary=False, precision=precision, devices=1,
            use_distributed_sampler=False,
        )  # fmt: skip
        trainer.fit(module, data)
        return seconds[0]

    ways = {"plain": plain, **{precision: partial(ours, precision) for precision in options.precisions}}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(options.turns + 1):
        for name, way in ways.items():
            seconds = way()
            if turn:
                taken[name].append(seconds)
    result: dict[str, Any] = {
        "options": vars(options),
        "environment": environment(device),
        "seconds": {name: statistics.median(values) for name, values in taken.items()},
        "iterations_a_second": {name: options.iterations / statistics.median(v) for name, v in taken.items()},
        "ratio": {
            name: statistics.median(mine / theirs for mine, theirs in zip(values, taken["plain"], strict=True))
            for name, values in taken.items()
        },
        "all": taken,
    }
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / "gan.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({name: result[name] for name in ("seconds", "iterations_a_second", "ratio")}, indent=2))


if __name__ == "__main__":
    main()
