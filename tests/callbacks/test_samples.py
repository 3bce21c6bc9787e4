"""`Samples`: pictures from the same latents as training goes on, ways between latents, and the losses."""

import copy
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny_gan import CLASSES, data, gan, trainer
from torch import Tensor

from labs import LabsError
from labs.callbacks.reseed import Reseed
from labs.callbacks.samples import PATHS, Samples
from labs.functional.latents import interpolate, seeded_latents

COLUMNS, NZ = 4, 5
TILE, GAP = 64, 2  # pixels of an enlarged image on a picture, and between two

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*num_workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),  # of Lightning, about itself
]


class Watch(pl.Callback):
    """Keep the module as it is before training, and the losses of every iteration."""

    def __init__(self) -> None:
        self.untrained: Any = None
        self.losses: list[list[float]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.untrained = copy.deepcopy(pl_module.net)  # type: ignore[arg-type]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.losses += torch.stack(pl_module.trace).tolist()  # type: ignore[arg-type, union-attr]


def ran(
    folder: Path, samples: Samples, *, epochs: int = 2, resume: Path | None = None, **options: Any
) -> tuple[Any, Watch]:
    """Train; return the module and what was seen of it."""
    module, watch = gan(**options), Watch()
    running = trainer(folder, watch, Reseed(0), samples, epochs=epochs)
    running.fit(module, data(), ckpt_path=resume, weights_only=resume is not None or None)
    running.save_checkpoint(folder / f"{epochs}.ckpt")
    return module, watch


def frames(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in (folder / "images" / "samples").iterdir())


def tiles(path: Path) -> np.ndarray:
    """Cut a picture into its images, (rows, columns, 32, 32)."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))[..., 0]
    rows, columns = ((length - GAP) // (TILE + GAP) for length in pixels.shape)
    cut = [
        [pixels[GAP + r * (TILE + GAP) :, GAP + c * (TILE + GAP) :][:TILE:2, :TILE:2] for c in range(columns)]
        for r in range(rows)
    ]
    return np.array(cut).astype(int)


def grey_levels(images: Tensor) -> np.ndarray:
    return images[:, 0].mul(255).numpy()


def table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "losses.tsv", sep="\t")


def test_saves_before_training_at_the_stated_iterations_and_after_every_epoch(tmp_path: Path) -> None:
    ran(tmp_path, Samples(at=[2, 4, 99], columns=COLUMNS))
    assert frames(tmp_path) == [0, 2, 3, 4, 6]


def test_the_same_latents_every_time(tmp_path: Path) -> None:
    module, watch = ran(tmp_path, Samples(at=[], columns=COLUMNS, seed=3))
    latents, labels = seeded_latents(COLUMNS**2, NZ, 3), torch.zeros(COLUMNS**2, dtype=torch.long)
    for iteration, net in {0: watch.untrained, 6: module.net}.items():
        shown = tiles(tmp_path / "images" / "samples" / f"{iteration:06d}.png")
        assert shown.shape == (COLUMNS, COLUMNS, 32, 32)
        module.net = net
        images = module.sample(latents, labels, batch_statistics=iteration == 0)
        expected = grey_levels(images).reshape(shown.shape)
        assert np.abs(shown - expected).max() <= 0.51
        assert np.abs(shown[0, 0] - expected[0, 1]).max() > 1, "images differ, else this compares nothing"


def test_iterations_of_several_discriminator_steps_are_saved_when_they_are_made(tmp_path: Path) -> None:
    """Not again after every batch of the discriminator until the next one; that would also be another net's by then."""
    samples, saved = Samples(at=[0, 1], columns=COLUMNS), []

    def save(trainer: pl.Trainer, module: Any) -> None:
        saved.append((module.batches, module.iterations))

    samples._save = save  # type: ignore[method-assign]
    ran(tmp_path, samples, discriminator_steps=2)
    assert saved == [(0, 0), (2, 1), (3, 1), (6, 3)]


@pytest.mark.parametrize("labels", [None, [2, 0]])
def test_a_conditional_nets_picture_has_a_latent_a_column_and_a_label_a_row(
    labels: list[int] | None, tmp_path: Path
) -> None:
    module, _ = ran(tmp_path, Samples(at=[], columns=COLUMNS, labels=labels), epochs=1, conditional=True)
    shown = tiles(tmp_path / "images" / "samples" / "000003.png")
    rows = labels or list(range(CLASSES))
    assert shown.shape == (len(rows), COLUMNS, 32, 32)
    for row, label in enumerate(rows):
        expected = grey_levels(module.sample(seeded_latents(COLUMNS, NZ, 0), torch.tensor([label] * COLUMNS)))
        assert np.abs(shown[row] - expected).max() <= 0.51
    assert (np.abs(shown[0] - shown[1]).max((1, 2)) > 1).all(), "labels matter, else this compares nothing"


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("path", PATHS)
def test_ways_begin_and_end_at_the_images_of_their_latents(path: str, conditional: bool) -> None:
    module, samples = gan(conditional=conditional), Samples(at=[], columns=COLUMNS, steps=5)
    ways = samples.interpolated(module, path)
    assert ways.shape == (5, COLUMNS, 1, 32, 32)
    start, end = seeded_latents(2 * COLUMNS, NZ, 0).chunk(2)
    labels = torch.tensor([0, 1, 2, 0])
    assert torch.equal(ways[0], module.sample(start, labels))
    assert torch.equal(ways[-1], module.sample(end, labels))
    for column in range(COLUMNS):
        for row, latents in ((0, start), (-1, end)):
            alone = module.sample(latents[column, None], labels[column, None])
            assert torch.equal(ways[row, column], alone[0])
    between = interpolate(start, end, 5, path)[2]  # type: ignore[arg-type]
    torch.testing.assert_close(ways[2], module.sample(between, labels))
    assert not torch.allclose(ways[0], ways[2], atol=1e-4)


def test_linear_and_spherical_ways_differ_between_their_ends() -> None:
    module, samples = gan(), Samples(at=[], columns=COLUMNS, steps=5)
    linear, spherical = (samples.interpolated(module, path) for path in PATHS)
    assert torch.equal(linear[[0, -1]], spherical[[0, -1]])
    assert not torch.allclose(linear[2], spherical[2], atol=1e-4)


def test_losses_of_every_iteration(tmp_path: Path) -> None:
    _, watch = ran(tmp_path, Samples(at=[], columns=COLUMNS))
    losses = table(tmp_path)
    assert losses["iteration"].tolist() == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(losses[["discriminator", "generator"]], watch.losses, rtol=1e-5)


def test_losses_where_the_discriminator_takes_more_steps(tmp_path: Path) -> None:
    """Six batches are three iterations, and the second one straddles the epochs."""
    ran(tmp_path, Samples(at=[], columns=COLUMNS), discriminator_steps=2)
    assert table(tmp_path)["iteration"].tolist() == [1, 2, 3]


def test_a_resumed_run_goes_on_with_the_losses_and_takes_later_pictures_away(tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    ran(whole, Samples(at=[5], columns=COLUMNS), epochs=3)
    ran(stopped, Samples(at=[5], columns=COLUMNS), epochs=1)
    pictures = stopped / "images" / "samples"
    before = (pictures / "000000.png").read_bytes()
    for iteration in (5, 8):  # of a second epoch that was stopped before its checkpoint
        Image.new("RGB", (9, 9)).save(pictures / f"{iteration:06d}.png")
    ran(stopped, Samples(at=[5], columns=COLUMNS), epochs=3, resume=stopped / "1.ckpt")
    assert frames(stopped) == frames(whole) == [0, 3, 5, 6, 9]
    assert (pictures / "000000.png").read_bytes() == before
    for picture in (whole / "images" / "samples").iterdir():
        assert (pictures / picture.name).read_bytes() == picture.read_bytes(), picture.name
    assert (stopped / "losses.tsv").read_text() == (whole / "losses.tsv").read_text()
    assert len(table(whole)) == 9


def test_a_new_run_takes_the_pictures_of_an_earlier_one_away(tmp_path: Path) -> None:
    ran(tmp_path, Samples(at=[], columns=COLUMNS), epochs=3)
    ran(tmp_path, Samples(at=[1], columns=COLUMNS), epochs=1)
    assert frames(tmp_path) == [0, 1, 3]


def test_what_is_drawn_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"practical": "gan"}')
    samples = Samples(at=[1], columns=COLUMNS, steps=3)
    module = gan()
    running = trainer(tmp_path, samples, epochs=2)
    running.fit(module, data())
    running.test(module, data(), verbose=False)
    images = tmp_path / "images"
    with Image.open(images / "samples.gif") as gif:
        assert gif.n_frames == len(frames(tmp_path)) == 4
    for path in PATHS:
        shown = tiles(images / f"interpolation_{path}.png")
        assert shown.shape == (3, COLUMNS, 32, 32)
        expected = grey_levels(samples.interpolated(module, path).flatten(0, 1)).reshape(shown.shape)
        assert np.abs(shown - expected).max() <= 0.51
    assert (images / "sheet.png").is_file()


@pytest.mark.parametrize(
    ("conditional", "labels", "words"),
    [
        (True, [0, CLASSES], r"callbacks.samples.labels=\[0, 3\]: expected labels from 0 to 2"),
        (True, [-1], r"callbacks.samples.labels=\[-1\]: expected labels from 0 to 2"),
        (False, [0], r"callbacks.samples.labels=\[0\]: this net is unconditional; type net=cdcgan"),
    ],
)
def test_labels_that_the_net_does_not_know(conditional: bool, labels: list[int], words: str, tmp_path: Path) -> None:
    with pytest.raises(LabsError, match=words):
        ran(tmp_path, Samples(at=[], columns=COLUMNS, labels=labels), conditional=conditional)


@pytest.mark.parametrize(
    ("options", "words"), [({"columns": 0}, "columns=0"), ({"steps": 1}, "steps=1"), ({"at": [3, -1]}, "at=-1")]
)
def test_numbers_that_make_no_sense(options: dict[str, Any], words: str) -> None:
    with pytest.raises(LabsError, match=f"callbacks.samples.{words}: expected"):
        Samples(**{"at": [], **options})
