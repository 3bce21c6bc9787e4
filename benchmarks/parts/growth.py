"""(f) Time and memory of an epoch as the images grow from a thousand to a hundred thousand."""

import csv
import subprocess
import sys
import time
from pathlib import Path

from parts.common import ROOT, SCRATCH, Row, draw_images, environment, forget_features, forget_outputs, random_images

SIZE = 32
COUNTS = (1_000, 10_000, 100_000)


def measure(quick: bool) -> list[Row]:
    """Train a small ResNet for two epochs on more and more images; the second is timed."""
    counts = COUNTS[:2] if quick else COUNTS
    rows = []
    for name, freeze in (("full fine-tuning", "none"), ("on features, through layer1 frozen", "through_layer1")):
        taken = {count: _run(count, freeze) for count in counts}
        each = {count: seconds / count for count, (seconds, _) in taken.items()}
        slope = each[counts[-1]] / each[counts[-2]]
        growth = taken[counts[-1]][1] / taken[counts[-2]][1]
        rows.append(
            Row(
                "f",
                f"an epoch of the small ResNet, {SIZE} px, {name}, 1k, 10k and 100k images",
                ", ".join(f"{seconds:.3g} s" for seconds, _ in taken.values()),
                ", ".join(f"{memory / 1e9:.2f} GB" for _, memory in taken.values()) + " of memory, at most",
                f"{slope:.2f} of the time an image, {growth:.2f} of the memory ({counts[-2]:,} to {counts[-1]:,})",
                "within 10 %",
                abs(slope - 1) <= 0.1 and growth <= 1.1,
                {str(count): pair for count, pair in taken.items()},
            )
        )
    return rows


def _run(count: int, freeze: str) -> tuple[float, int]:
    """Return the seconds of the second epoch, and the largest anonymous memory (not mapped files) in bytes."""
    forget_outputs()
    forget_features()
    held_out = count // 10
    draw_images(SIZE, count, held_out, 10)
    command = [
        sys.executable, str(ROOT / "train.py"), "experiment=digits_layer1_frozen", "data=online", "datamodule=cub200",
        "weights=random", f"freeze={freeze}", "datamodule.batch_size=128", "datamodule.validation=test",
        "optimizer.lr=0.001", "trainer.max_epochs=2", *random_images(SIZE, count, held_out, 10),
        f"paths.data={SCRATCH / 'data'}", f"hydra.run.dir={SCRATCH / 'outputs' / 'growth'}",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, env=environment(), cwd=SCRATCH, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    most = 0
    while process.poll() is None:
        most = max(most, _anonymous(process.pid))
        time.sleep(0.05)
    if process.returncode:
        sys.exit(process.stdout.read().decode() if process.stdout else "failed")
    with (SCRATCH / "outputs" / "growth" / "log.tsv").open(encoding="utf-8") as file:
        ends = [float(row["seconds"]) for row in csv.DictReader(file, delimiter="\t")]
    return ends[1] - ends[0], most


def _anonymous(pid: int) -> int:
    """Return what a Linux process holds in memory that no file backs, in bytes."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)
