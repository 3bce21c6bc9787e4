"""Time a training epoch of ours against a plain PyTorch loop that does the same work, in turns, in one process.

    python benchmarks/step.py                       # ResNet-18, 64 px, batches of 60, CPU
    python benchmarks/step.py --net resnet50 --image-size 224 --batch-size 32 --images 960

Both train the same net on the same decoded images in the same batches; the plain loop is the few lines that one would
write without this project, with the images already in memory. Prints both medians and their ratio, and keeps them in
benchmarks/results/.
"""

import argparse
import json
import statistics
import time
from pathlib import Path


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="resnet18")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=60)
    parser.add_argument("--images", type=int, default=480)
    parser.add_argument("--turns", type=int, default=5, help="counted epochs of each, after one that is not counted")
    options = parser.parse_args()

    import lightning.pytorch as pl
    import numpy as np
    import torch
    import torch.nn.functional as F
    from torch.optim import SGD

    from labs.cli.quiet import quiet
    from labs.datamodules.image_classification import ImageClassification
    from labs.datamodules.sources import LabeledImages
    from labs.environment import environment
    from labs.modules.classifier import Classifier
    from labs.nets.torchvision_nets import build_net

    quiet()
    draw = np.random.default_rng(0)
    count, size = options.images, options.image_size
    pixels = draw.integers(0, 256, (count + 40, 3, size, size), dtype=np.uint8)
    labels = np.arange(count + 40) % 20

    class Memory:
        name, cache = "random pixels", Path("data")

        def load(self, size: int) -> LabeledImages:
            names, classes = [str(i) for i in range(len(pixels))], [str(i) for i in range(20)]
            return LabeledImages(pixels, labels, names, classes, np.arange(len(pixels)) >= count + 20)

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def ours() -> float:
        data = ImageClassification(
            source=Memory(), num_classes=20, image_size=size, batch_size=options.batch_size, normalization="imagenet",
            augment={"crop_scale": None, "flip": False}, embedded=True, validation_fraction=20 / (count + 20),
        )  # fmt: skip
        net = build_net(name=options.net, num_classes=20)
        module = Classifier(net=net, num_classes=20, optimizer=lambda groups: SGD(groups, lr=0.01, momentum=0.9))
        seconds: list[float] = []

        class Clock(pl.Callback):
            def on_train_epoch_start(self, *_: object) -> None:
                self.start = time.perf_counter()

            def on_train_epoch_end(self, *_: object) -> None:
                if device.type == "cuda":
                    torch.cuda.synchronize()
                seconds.append(time.perf_counter() - self.start)

        trainer = pl.Trainer(
            max_epochs=1, limit_val_batches=0, logger=False, enable_checkpointing=False, callbacks=[Clock()],
            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, devices=1,
        )  # fmt: skip
        trainer.fit(module, data)
        return seconds[0]

    def plain() -> float:
        net = build_net(name=options.net, num_classes=20).to(device).train()
        optimizer = SGD(net.parameters(), lr=0.01, momentum=0.9)
        mean, std = (
            torch.tensor(v, device=device)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        )
        images, targets = torch.from_numpy(pixels[:count]), torch.from_numpy(labels[:count])
        start = time.perf_counter()
        for rows in torch.randperm(count).split(options.batch_size):
            batch = (images[rows].to(device).float().div(255) - mean) / std
            loss = F.cross_entropy(net(batch), targets[rows].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    ours(), plain()
    pairs = [(ours(), plain()) for _ in range(options.turns)]
    result = {
        "options": vars(options),
        "ours_seconds": statistics.median(a for a, _ in pairs),
        "plain_seconds": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(a / b for a, b in pairs),
        "pairs": pairs,
        "environment": environment(device),
    }
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / "step.json").write_text(json.dumps(result, indent=2) + "\n")
    print(f"one epoch of {count} images, {options.net}, {size} px, batches of {options.batch_size}, on {device}")
    print(
        f"ours   {result['ours_seconds']:.3f} s\nplain  {result['plain_seconds']:.3f} s\nratio  {result['ratio']:.3f}"
    )


if __name__ == "__main__":
    main()
