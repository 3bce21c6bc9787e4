"""Hyper-parameters that hand-outs state, as a run recorded them."""

from collections.abc import Mapping
from typing import Any

# Hyper-parameters that footnotes compare with the hand-out's: our name, what `settings` of metrics.json calls it.
SETTINGS = {
    "batch_size": "datamodule.batch_size",
    "lr": "module.optimizer.lr",
    "momentum": "module.optimizer.momentum",
    "weight_decay": "module.optimizer.weight_decay",
    "content_weight": "module.content_weight",
    "style_weight": "module.style_weight",
}


def read_settings(settings: Mapping[str, Any]) -> dict[str, float]:
    """Read the hyper-parameters that a hand-out states from the `settings` of metrics.json."""
    found = {name: settings.get(key) for name, key in SETTINGS.items()}
    return {name: float(value) for name, value in found.items() if isinstance(value, (int, float))}
