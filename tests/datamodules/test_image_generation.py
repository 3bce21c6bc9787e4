"""`ImageGeneration`: pixels as a tanh makes them, an order that is a function of (seed, epoch), and two splits."""

from itertools import chain
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import Tensor

from labs import LabsError
from labs.datamodules.image_generation import ImageGeneration
from labs.datamodules.sources import LabeledImages

TRAIN, TEST = 21, 8  # images


class InMemory:
    """Random images, of which the last ones are for testing."""

    name, credits = "noise", ["Noise, by a generator"]

    def __init__(self, channels: int = 3, names: str = "image") -> None:
        self.channels, self.names, self.loads = channels, names, 0

    def load(self, size: int) -> LabeledImages:
        self.loads += 1
        count = TRAIN + TEST
        pixels = np.random.default_rng(size).integers(0, 256, (count, self.channels, size, size)).astype(np.uint8)
        pixels[0, :, 0] = np.arange(size) % 2 * 255  # both ends of the range, and all values on some page
        pixels[1].flat[:256] = np.arange(256)
        names = [f"{self.names}_{row:02d}" for row in range(count)]
        is_test = np.isin(np.arange(count), np.arange(2, count, 3)[:TEST])
        return LabeledImages(pixels, np.arange(count, dtype=np.int64) % 3, names, ["a", "b", "c"], is_test)


def made(*, ready: bool = True, **options: Any) -> ImageGeneration:
    usual: dict[str, Any] = {"source": InMemory(), "num_classes": 3, "image_size": 32, "channels": 3, "batch_size": 4}
    data = ImageGeneration(**{**usual, "embedded": True, **options})
    if ready:
        data.setup("fit")
    return data


def order(data: ImageGeneration, epoch: int = 0) -> list[list[int]]:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
    return [positions.tolist() for positions in loader]


def test_pixels_lie_in_the_range_of_a_tanh_and_go_back_exactly() -> None:
    data, stored = made(), InMemory().load(32)
    batch = data.batch("train", torch.arange(TRAIN))
    assert batch.images.dtype == torch.float32
    assert (batch.images.min().item(), batch.images.max().item()) == (-1.0, 1.0)
    back = (batch.images.add(1) / 2).mul(255).round().byte()  # as samples are saved
    assert torch.equal(back, torch.from_numpy(stored.pixels[~stored.is_test]))
    assert batch.labels.tolist() == stored.labels[~stored.is_test].tolist()
    assert batch.labels.dtype == torch.int64


def test_a_batch_leaves_the_stored_images_alone() -> None:
    data = made()
    before = data.stored("train").images.clone()
    data.batch("train", torch.arange(TRAIN)).images.zero_()
    assert data.stored("train").images.dtype == torch.uint8
    assert torch.equal(data.stored("train").images, before)


def test_images_labels_and_positions_belong_together() -> None:
    data = made()
    chosen = torch.tensor([5, 0, 7])
    batch = data.batch("test", chosen)
    assert batch.positions.tolist() == [5, 0, 7]
    for place, position in enumerate(chosen):
        one = data.stored("test")
        assert torch.equal(batch.images[place].add(1).mul(127.5).round().byte(), one.images[position])
        assert batch.labels[place] == one.labels[position]


def test_order_is_a_function_of_seed_and_epoch() -> None:
    assert order(made(seed=1)) == order(made(seed=1))
    torch.manual_seed(77)
    assert order(made(seed=1), epoch=3) == order(made(seed=1), epoch=3)
    assert order(made(seed=1), epoch=1) != order(made(seed=1))
    assert order(made(seed=2)) != order(made(seed=1))
    assert order(made()) != [list(range(start, start + 4)) for start in range(0, TRAIN, 4)]


def test_every_training_image_once_an_epoch() -> None:
    for epoch in range(3):
        batches = order(made(), epoch)
        assert sorted(chain.from_iterable(batches)) == list(range(TRAIN))
        assert [len(batch) for batch in batches] == [4, 4, 4, 4, 5]  # batch norm cannot train on one image


def test_held_out_images_come_in_order() -> None:
    assert torch.cat(list(made().test_dataloader())).tolist() == list(range(TEST))


class Looking(pl.LightningModule):
    """Keep the images that each stage sees."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: dict[str, list[Tensor]] = {"train": [], "test": []}

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.seen["train"].append(batch.images)
        return self.weight * 0

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.seen["test"].append(batch.images)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore:.*num_workers")
def test_held_out_images_never_train_and_only_they_are_tested(tmp_path: Path) -> None:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=2, default_root_dir=tmp_path, enable_checkpointing=False,
        use_distributed_sampler=False, **quiet,
    )  # fmt: skip
    module, source = Looking(), InMemory()
    data = made(source=source, ready=False)
    trainer.fit(module, data)
    trainer.test(module, data, verbose=False)
    stored = source.load(32)

    def rows(images: list[Tensor]) -> list[int]:
        back = torch.cat(images).add(1).mul(127.5).round().byte().numpy()
        return sorted(int(np.flatnonzero((stored.pixels == one).all((1, 2, 3)))[0]) for one in back)

    assert rows(module.seen["train"]) == sorted([*np.flatnonzero(~stored.is_test).tolist()] * 2)
    assert rows(module.seen["test"]) == np.flatnonzero(stored.is_test).tolist()
    assert source.loads == 2, "once for the run, and once in this test"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 1}, "datamodule.batch_size=1: batch norm needs several images"),
        ({"channels": 1}, "datamodule.channels=1: the images of noise have 3; type datamodule.channels=3"),
        ({"num_classes": 10}, "datamodule.num_classes=10: found 3 classes in noise; type datamodule.num_classes=3"),
    ],
)
def test_mistakes(options: dict[str, Any], words: str) -> None:
    with pytest.raises(LabsError, match=words):
        made(**options)


def test_a_checkpoint_of_other_images_is_refused() -> None:
    state = made().state_dict()
    made(batch_size=7, seed=3).load_state_dict(state)  # the same images
    for other in (made(source=InMemory(names="picture")), made(image_size=64)):
        with pytest.raises(LabsError, match="trained on other data"):
            other.load_state_dict(state)


def test_facts_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    data = made()
    assert f"noise: {TRAIN} for training, {TEST} held out for the metrics" in capsys.readouterr().out
    facts = data.facts()
    assert facts["credits"] == ["Noise, by a generator"]
    assert facts["counts"] == {"train": TRAIN, "test": TEST}
    assert facts["labels"] == ["embedded data"]
    assert made(embedded=False).facts()["labels"] == []
    assert facts["split_hash"] == data.state_dict()["split_hash"]
