"""The spectrum of a run's own training images, or of photographs: measured once, and anew for other images."""

from pathlib import Path

import pytest
import torch
from class_pictures import tiny
from trained_run import write_trained_run

from labs.datamodules import cached_spectrum as module
from labs.datamodules.cached_spectrum import spectrum_of
from labs.functional.spectrum import measure
from labs.runs.load import load_data
from labs.runs.trained_net import trained_net


def test_photographs_are_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, words = spectrum_of(tiny(), ["chelsea", "coffee"], str(tmp_path))
    assert words == "2 photographs"
    assert first.magnitude.shape == (3, 16, 9)
    monkeypatch.setattr(module, "measure", None)
    again, _ = spectrum_of(tiny(), ["chelsea", "coffee"], str(tmp_path))
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_other_photographs_are_measured_anew(tmp_path: Path) -> None:
    first, _ = spectrum_of(tiny(), ["chelsea"], str(tmp_path))
    other, _ = spectrum_of(tiny(), ["coffee"], str(tmp_path))
    assert not torch.equal(first.magnitude, other.magnitude)
    assert len(list((tmp_path / "spectra").glob("*.npy"))) == 2


def test_a_runs_own_training_images_are_measured(tmp_path: Path) -> None:
    run = write_trained_run(tmp_path / "run")
    net = trained_net(weights=str(run))
    found, words = spectrum_of(net, ["chelsea"], str(tmp_path))
    data = load_data(run, str(tmp_path))
    images = data.images["train"][list(range(len(data.rows["train"])))].images  # type: ignore[attr-defined, operator]
    assert words.startswith(f"{len(images)} training images of handwritten digits")
    expected = measure(images.expand(-1, 3, -1, -1).numpy())
    torch.testing.assert_close(found.magnitude, expected.magnitude)
    torch.testing.assert_close(found.mean, expected.mean)
