"""(b) A step of full fine-tuning, and (c) the data path alone, against a plain loop and the net's arithmetic alone."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parts.common import Row, seconds

IMAGES, BATCH, CLASSES = 544, 68, 20
CROP_FLIP = {"crop_scale": [0.5, 1.0], "flip": True}


def measure(quick: bool) -> list[Row]:
    """Time epochs of ResNet-18: ours, the plain loop, the plain loop with our tricks."""
    import torch

    on_gpu = torch.cuda.is_available()
    size, images = (224, 20 * 256) if on_gpu else (64, IMAGES)
    rows = [_step(size, images, 256 if on_gpu else BATCH, "32-true", False, turns=2 if quick else 7)]
    if on_gpu:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
        for precision, compiled in (("32-true", False), ("bf16-mixed", False), ("bf16-mixed", True)):
            rows.append(_step(size, images, 256, precision, compiled, turns=3))
    elif not quick:
        rows.append(_step(224, 4 * 34, 34, "32-true", False, turns=3))
        rows.append(_step(size, images, BATCH, "32-true", True, turns=5))
    return rows


def measure_data(quick: bool) -> list[Row]:
    """Time our loader and transforms, with nothing trained, and the training steps, with nothing loaded."""
    import torch

    return _data(*((224, 20 * 256, 256) if torch.cuda.is_available() else (64, IMAGES, BATCH)), turns=3 if quick else 7)


class _Memory:
    name, cache = "random pixels", Path("data")

    def __init__(self, count: int, size: int) -> None:
        import numpy as np

        self.pixels = np.random.default_rng(0).integers(0, 256, (count + 2 * CLASSES, 3, size, size), dtype=np.uint8)
        self.labels = np.arange(len(self.pixels)) % CLASSES
        self.count = count

    def load(self, size: int) -> Any:
        import numpy as np

        from labs.datamodules.sources import LabeledImages

        names, classes = [str(i) for i in range(len(self.pixels))], [str(i) for i in range(CLASSES)]
        is_test = np.arange(len(self.pixels)) >= self.count + CLASSES
        return LabeledImages(self.pixels, self.labels, names, classes, is_test)


def _datamodule(memory: _Memory, size: int, batch_size: int, augment: dict[str, Any]) -> Any:
    from labs.datamodules.image_classification import ImageClassification

    return ImageClassification(
        source=memory, num_classes=CLASSES, image_size=size, batch_size=batch_size, normalization="imagenet",
        augment=augment, resize=size, embedded=True, validation_fraction=CLASSES / (memory.count + CLASSES),
    )  # fmt: skip


def _step(size: int, images: int, batch_size: int, precision: str, compiled: bool, turns: int) -> Row:
    import lightning.pytorch as pl
    import torch
    import torch.nn.functional as F
    from torch.optim import SGD

    from labs.callbacks.execution import Execution
    from labs.modules.classifier import Classifier
    from labs.nets.torchvision_nets import build_net

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    memory = _Memory(images, size)
    half = torch.bfloat16 if "bf16" in precision else None

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    class Clock(pl.Callback):
        def __init__(self) -> None:
            self.seconds: list[float] = []

        def on_train_epoch_start(self, *_: object) -> None:
            wait()
            self.start = time.perf_counter()

        def on_train_epoch_end(self, *_: object) -> None:
            wait()
            self.seconds.append(time.perf_counter() - self.start)

    def ours() -> list[float]:
        """Return the seconds of two epochs; only the first pays for compiling."""
        clock = Clock()
        net = build_net(name="resnet18", num_classes=CLASSES)
        module = Classifier(net=net, num_classes=CLASSES, optimizer=lambda g: SGD(g, lr=0.01, momentum=0.9, fused=True))
        trainer = pl.Trainer(
            max_epochs=2, limit_val_batches=0, logger=False, enable_checkpointing=False, precision=precision,
            callbacks=[Execution(compile=compiled), clock], enable_progress_bar=False, enable_model_summary=False,
            num_sanity_val_steps=0, devices=1,
        )  # fmt: skip
        trainer.fit(module, _datamodule(memory, size, batch_size, {}))
        return clock.seconds

    def plain(tricks: bool = False) -> float:
        net = build_net(name="resnet18", num_classes=CLASSES).to(device).train()
        if tricks:
            net = net.to(memory_format=torch.channels_last)
        optimizer = SGD(net.parameters(), lr=0.01, momentum=0.9, fused=tricks or None)
        mean, std = (
            torch.tensor(v, device=device)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        )
        stored, targets = torch.from_numpy(memory.pixels[:images]), torch.from_numpy(memory.labels[:images])
        for _ in range(2):  # the first epoch warms up, as in ours
            wait()
            start = time.perf_counter()
            for rows in torch.randperm(images).split(batch_size):
                batch = (stored[rows].to(device).float().div(255) - mean) / std
                with torch.autocast(device.type, half or torch.bfloat16, enabled=half is not None):
                    loss = F.cross_entropy(net(batch), targets[rows].to(device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            wait()
        return time.perf_counter() - start

    turns_taken = [(ours(), plain(), plain(tricks=True)) for _ in range(turns)]
    mine, theirs, tricked = ([turn[n][-1] if n == 0 else turn[n] for turn in turns_taken] for n in range(3))
    ratio = statistics.median(a / b for a, b in zip(mine, theirs))
    same = statistics.median(a / b for a, b in zip(mine, tricked))
    word = precision + (", tf32" if torch.backends.cuda.matmul.allow_tf32 and half is None else "")
    compile_cost = [turn[0][0] - turn[0][1] for turn in turns_taken]
    told = f", compiled (once {seconds(max(compile_cost))}, not counted)" if compiled else ""
    return Row(
        "b",
        f"full fine-tuning, ResNet-18, {size} px, batches of {batch_size}, {word}{told}, {device.type}",
        f"{images / statistics.median(mine):,.0f} images/s",
        f"{images / statistics.median(theirs):,.0f} images/s ({images / statistics.median(tricked):,.0f} in NHWC)",
        f"{ratio:.2f} of its time ({same:.2f} of the channels-last loop's)",
        "<= 1.03",
        ratio <= 1.03,
        {"ours": [turn[0] for turn in turns_taken], "plain": theirs, "plain_channels_last": tricked},
    )


def _data(size: int, images: int, batch_size: int, turns: int) -> list[Row]:
    import torch
    import torch.nn.functional as F

    from labs.nets.torchvision_nets import build_net

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    memory = _Memory(images, size)
    net = build_net(name="resnet18", num_classes=CLASSES).to(device).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, fused=True)
    fixed, targets = torch.rand(batch_size, 3, size, size, device=device), torch.arange(batch_size, device=device) % 20
    batches = images // batch_size

    def compute() -> float:
        return _timed(lambda: [_one(net, optimizer, fixed, targets, F) for _ in range(batches)], device)

    rows = []
    for name, augment in (("as they are", {}), ("crops and mirror images", CROP_FLIP)):
        data = _datamodule(memory, size, batch_size, augment)
        data.setup("fit")
        positions = torch.arange(images)

        def load(data: Any = data, positions: Any = positions) -> float:
            def every() -> None:
                for batch in data.train_dataloader():
                    data.transformed(batch.images.to(device), batch.positions.to(device), 0)

            return _timed(every, device)

        load(), compute()
        pairs = [(load(), compute()) for _ in range(turns)]
        mine, theirs = (statistics.median(pair[n] for pair in pairs) for n in range(2))
        ratio = statistics.median(b / a for a, b in pairs)
        rows.append(
            Row(
                "c",
                f"data path alone, {size} px, {name}, against the net's arithmetic alone, {device.type}",
                f"{images / mine:,.0f} images/s",
                f"{images / theirs:,.0f} images/s",
                f"{ratio:.0f}x faster than the step needs",
                ">= 5x",
                ratio >= 5,
                {"pairs": pairs},
            )
        )
    return rows


def _one(net: Any, optimizer: Any, images: Any, targets: Any, functional: Any) -> None:
    loss = functional.cross_entropy(net(images), targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _timed(work: Callable[[], object], device: Any) -> float:
    import torch

    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start
