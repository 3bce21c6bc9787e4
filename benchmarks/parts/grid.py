"""(e) A grid of eight cells in one process, against eight single runs."""

from parts.common import Row, forget_features, forget_outputs, median, seconds, train

RATES = ("0.001", "0.003", "0.01", "0.03", "0.1", "0.3", "1.0", "3.0")


def measure(quick: bool) -> list[Row]:
    """Time a grid over learning rates of a linear probe on the embedded birds, and of the quick start."""
    rows = [_grid("digits, layer1 frozen", ["experiment=digits_layer1_frozen"], 1 if quick else 3)]
    if not quick:
        rows.append(_grid("drawn birds, linear probe", ["experiment=cub_linear_probe", "data=embedded"], 3))
    return rows


def _grid(name: str, experiment: list[str], turns: int) -> Row:
    train(*experiment, "trainer.max_epochs=1")  # images and embedded weights are made
    grids, singles = [], []
    for _ in range(turns):
        forget_features()
        forget_outputs()
        grids.append(train("-m", *experiment, f"module.optimizer.lr={','.join(RATES)}"))
        forget_features()
        forget_outputs()
        singles.append(sum(train(*experiment, f"module.optimizer.lr={rate}") for rate in RATES))
    ratio = median([a / b for a, b in zip(grids, singles)])
    return Row(
        "e",
        f"eight cells ({name}) in one process, with the report, against eight single runs",
        seconds(median(grids)),
        seconds(median(singles)),
        f"{ratio:.2f} of their time",
        "<= 0.6",
        ratio <= 0.6,
        {"grids": grids, "singles": singles},
    )
