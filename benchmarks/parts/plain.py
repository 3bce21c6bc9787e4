"""Plain PyTorch scripts that do what our experiments do, as one would write them without this project.

python benchmarks/parts/plain.py probe 64 31     # a linear probe at 64 pixels, 31 epochs; prints seconds of each epoch
"""

import sys
import time


def probe(size: int, epochs: int) -> None:
    """Train the head of ResNet-18 on random images, everything else frozen and in eval mode, and test each epoch."""
    import torch
    import torch.nn.functional as F
    from torchvision.models import resnet18

    from parts.common import SCRATCH
    from parts.images import RandomImages

    source = RandomImages(folder=str(SCRATCH / "data"), train=3033, test=3000, classes=200)
    pixels = torch.from_numpy(source.pixels(size)[:])
    labels = torch.arange(len(pixels)) % 200
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    net = resnet18(num_classes=200).to(device).eval()
    net.requires_grad_(False)
    net.fc.requires_grad_(True)
    optimizer = torch.optim.SGD(net.fc.parameters(), lr=0.1, momentum=0.9)
    mean, std = (torch.tensor(v, device=device)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

    def batch(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return (pixels[rows].to(device).float().div(255) - mean) / std, labels[rows].to(device)

    for _ in range(epochs):
        start = time.perf_counter()
        for rows in torch.randperm(3033).split(68):
            images, targets = batch(rows)
            loss = F.cross_entropy(net(images), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        right = 0
        with torch.no_grad():
            for rows in torch.arange(3033, 6033).split(68):
                images, targets = batch(rows)
                right += int((net(images).argmax(dim=1) == targets).sum())
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    probe(int(sys.argv[2]), int(sys.argv[3]))
