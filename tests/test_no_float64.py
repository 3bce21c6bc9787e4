"""Nothing sends 64-bit floats to a device: Apple's GPUs (`mps`) have none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import survival
import torch
from no_float64 import Float64Error, NoFloat64
from project import ROOT

METHODS = sorted(path.stem for path in (ROOT / "conf" / "module").glob("*.yaml"))
DEVICE = torch.device("cpu")


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the device refuse from the moment when the Trainer has the run; nets are built before, on the host."""
    run = pl.Trainer._run

    def refusing_run(*arguments: Any, **options: Any) -> Any:
        with NoFloat64():
            return run(*arguments, **options)

    monkeypatch.setattr(pl.Trainer, "_run", refusing_run)


@pytest.mark.usefixtures("undrawn", "refusing")
@pytest.mark.parametrize("method", METHODS)
def test_no_method_computes_in_64_bits_on_the_device(method: str, train: Callable[..., Path]) -> None:
    train(*survival.small_commands([method])[method][1])


@pytest.mark.usefixtures("undrawn", "refusing")
@pytest.mark.parametrize("callbacks", ["test_variants", "explain", "histograms"])
def test_no_callback_does(callbacks: str, train: Callable[..., Path]) -> None:
    train("debug=batches", "weights=random", "logger=none", f"callbacks={callbacks}")


def test_the_stand_in_refuses_what_it_should() -> None:
    image = torch.rand(3, device=DEVICE)
    with NoFloat64():
        host = torch.from_numpy(np.zeros(3))
        assert image.cpu().double().sum() >= 0
        assert (torch.from_numpy(np.zeros(3)) + 1).float().to(DEVICE).dtype is torch.float32
        for wrong in (
            lambda: image.double(),
            lambda: torch.zeros(3, dtype=torch.float64, device=DEVICE),
            lambda: torch.from_numpy(np.zeros(3)).to(DEVICE),
            lambda: torch.tensor(np.float64(1), device=DEVICE),
            lambda: image * host,
        ):
            with pytest.raises(Float64Error, match="no 64-bit floats"):
                wrong()
