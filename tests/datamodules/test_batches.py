import numpy as np
import pytest
import torch

from labs.datamodules.batches import Resident, StoredImages, loader
from labs.datamodules.orders import EpochBatches


class TestLoader:
    images = StoredImages(
        pixels=np.arange(30 * 3 * 2 * 2, dtype=np.int64).reshape(30, 3, 2, 2).astype(np.uint8),
        labels=np.arange(30) % 4,
        rows=np.array([20, 3, 9, 28, 5, 11, 2]),
    )

    @pytest.mark.parametrize("num_workers", [0, 2])
    def test_pixels_labels_and_positions_belong_together(self, num_workers: int) -> None:
        batches = EpochBatches(len(self.images), 3, shuffle=True)
        served = list(loader(self.images, batches, num_workers))
        assert [batch.positions.tolist() for batch in served] == list(batches)
        for batch in served:
            rows = self.images.rows[batch.positions]
            assert np.array_equal(batch.images, self.images.pixels[rows])
            assert np.array_equal(batch.labels, self.images.labels[rows])
            assert (batch.images.dtype, batch.labels.dtype, batch.positions.dtype) == (
                torch.uint8,
                torch.int64,
                torch.int64,
            )

    def test_a_batch_is_a_copy_of_a_read_only_store(self) -> None:
        pixels = self.images.pixels.copy()
        pixels.setflags(write=False)
        batch = StoredImages(pixels, self.images.labels, self.images.rows)[[0, 1]]
        batch.images.zero_()
        assert np.array_equal(pixels, self.images.pixels)

    def test_the_loader_counts_batches(self) -> None:
        assert len(loader(self.images, EpochBatches(7, 3, shuffle=True))) == 2  # 3 + 4: the seventh is not alone
        assert len(loader(self.images, EpochBatches(7, 3, shuffle=False))) == 3


class TestResident:
    def values(self, count: int = 6) -> np.ndarray:
        return np.arange(count * 2, dtype=np.int16).reshape(count, 2)

    def test_values_labels_and_positions_belong_together(self) -> None:
        positions = torch.tensor([5, 0, 0])
        batch = Resident(self.values(), np.arange(6) * 10).batch(positions)
        assert batch.images.tolist() == [[10, 11], [0, 1], [0, 1]]
        assert batch.labels.tolist() == [50, 0, 0]
        assert batch.positions is positions

    def test_an_epoch_takes_its_view(self) -> None:
        held = Resident(self.values(), np.arange(3), views=2)
        assert len(held) == 3
        for epoch, first in ((0, 2), (1, 8), (2, 2)):
            batch = held.batch(torch.tensor([1]), torch.device("cpu"), epoch)
            assert batch.images.tolist() == [[first, first + 1]]
            assert batch.labels.tolist() == [1]

    def test_bits_are_read_as_what_they_mean(self) -> None:
        half = torch.tensor([[1.5], [-2.0]], dtype=torch.bfloat16)
        held = Resident(half.view(torch.int16).numpy(), None, dtype=torch.bfloat16)
        assert torch.equal(held.values(torch.tensor([1, 0])), half.flip(0))

    def test_images_without_labels_have_values_alone(self) -> None:
        held = Resident(self.values(), None)
        assert held.values(torch.tensor([2])).tolist() == [[4, 5]]
        with pytest.raises(AssertionError, match="images without labels"):
            held.batch(torch.tensor([2]))

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    @pytest.mark.parametrize("room", [True, False])
    def test_a_gpu_gathers_the_same(self, room: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("labs.datamodules.batches.fits", lambda *_: room)
        device, positions = torch.device("cuda", 0), torch.tensor([4, 1])
        held = Resident(self.values(), np.arange(6))
        for given in (positions, positions.to(device)):
            there, here = held.batch(given, device), Resident(self.values(), np.arange(6)).batch(positions)
            assert all(one.device == device and torch.equal(one.cpu(), other) for one, other in zip(there, here))
        assert (held.on_device is not None) == room
