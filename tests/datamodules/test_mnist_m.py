from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from archive_server import ArchiveServer
from PIL import Image

from labs import LabsError
from labs.datamodules import bsds500
from labs.datamodules import mnist_m as module
from labs.datamodules.embedded.mnist_digits import read_mnist_digits
from labs.datamodules.embedded.photographs import PHOTOGRAPHS
from labs.datamodules.mnist_m import MNISTM, PHOTOGRAPHS_OF, blend
from labs.datamodules.sources import LabeledImages

COUNTS = {"train": 12, "test": 5}


@pytest.fixture
def mnist_arrays(mnist_arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Blacken most of the images, as those of MNIST are; 1 is the faintest gray of a stroke."""
    for name, values in mnist_arrays.items():
        if "images" in name:
            values[values > 60] = 0
            values[:, 3, 4] = 1
    return mnist_arrays


@pytest.fixture
def online(mnist_server: ArchiveServer, bsds_server: ArchiveServer) -> ArchiveServer:
    """Serve small files in place of MNIST's and BSDS500's."""
    return bsds_server


def load(folder: Path, size: int = 28, **options: Any) -> LabeledImages:
    given: dict[str, Any] = {"embedded": False, "folder": str(folder)} | options
    return MNISTM(**given).load(size)


def store_of(folder: Path, seed: int = 0) -> Path:
    (store,) = (folder / "MNIST-M").glob(f"seed{seed}-*.npy")
    return store


def forbid_building(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "blend", lambda *arguments: pytest.fail("built again"))


class TestBuilt:
    def test_labels_names_and_splits_are_those_of_mnist(
        self, online: ArchiveServer, mnist_arrays: dict[str, np.ndarray], tmp_path: Path
    ) -> None:
        images = load(tmp_path)
        _, train_labels, _, test_labels = mnist_arrays.values()
        assert (images.pixels.shape, images.pixels.dtype) == ((17, 3, 28, 28), np.uint8)
        assert np.array_equal(images.labels, np.concatenate([train_labels, test_labels]))
        assert images.is_test.tolist() == [False] * 12 + [True] * 5
        assert (images.names[0], images.names[-1]) == ("train_00000", "test_00004")
        assert images.classes == list("0123456789")

    def test_each_is_a_patch_of_its_own_split_with_the_digit_inverted(
        self, online: ArchiveServer, mnist_arrays: dict[str, np.ndarray], tmp_path: Path
    ) -> None:
        images = load(tmp_path)
        train, _, test, _ = mnist_arrays.values()
        found: dict[str, list[tuple[str, int, int]]] = {"train": [], "test": []}
        for image, digit, is_test in zip(images.pixels, np.concatenate([train, test]), images.is_test):
            patch = image.transpose(1, 2, 0).copy()
            patch[digit != 0] = 255 - patch[digit != 0]  # |patch - 255|, undone
            for file in sorted(tmp_path.glob("BSDS500/*/BSR/BSDS500/data/images/*/*.jpg")):
                picture = np.asarray(Image.open(file))
                for y, x in np.ndindex(picture.shape[0] - 27, picture.shape[1] - 27):
                    if (picture[y, x] == patch[0, 0]).all() and (picture[y : y + 28, x : x + 28] == patch).all():
                        assert file.parent.name == ("test" if is_test else "train")
                        found[file.parent.name].append((file.name, y, x))
        assert {split: len(places) for split, places in found.items()} == COUNTS
        assert len(set(found["train"])) == 12
        assert len({name for name, _, _ in found["train"]}) > 2

    def test_training_backgrounds_are_red_and_those_for_testing_blue(
        self, online: ArchiveServer, mnist_arrays: dict[str, np.ndarray], tmp_path: Path
    ) -> None:
        images = load(tmp_path)
        train, _, test, _ = mnist_arrays.values()
        black = np.concatenate([train, test]) == 0
        for image, background, is_test in zip(images.pixels, black, images.is_test):
            red, _, blue = image[:, background].mean(axis=1)
            assert (blue > red + 100) if is_test else (red > blue + 100)

    def test_the_seed_chooses_the_patches(self, online: ArchiveServer, tmp_path: Path) -> None:
        first, other = load(tmp_path), load(tmp_path, seed=1)
        np.random.seed(3)  # noqa: NPY002 (the stream that the usual generator draws from)
        shutil.rmtree(tmp_path / "MNIST-M")
        assert np.array_equal(first.pixels, load(tmp_path).pixels)
        assert not np.array_equal(first.pixels, other.pixels)
        assert np.array_equal(first.labels, other.labels)

    @pytest.mark.parametrize("size", [16, 32])
    def test_other_sizes_are_resized(self, online: ArchiveServer, tmp_path: Path, size: int) -> None:
        whole, resized = load(tmp_path).pixels, load(tmp_path, size).pixels
        picture = Image.fromarray(whole[7].transpose(1, 2, 0)).resize((size, size), Image.Resampling.BILINEAR)
        assert np.array_equal(resized[7], np.asarray(picture).transpose(2, 0, 1))

    @pytest.mark.parametrize("missing", ["BSR_bsds500.tgz", "train-images-idx3-ubyte.gz"])
    def test_a_source_that_cannot_be_had(self, online: ArchiveServer, tmp_path: Path, missing: str) -> None:
        del online.entries[missing]
        with pytest.raises(LabsError, match=rf"404(.|\n)*by hand, save it as .*{missing}(.|\n)*data=embedded"):
            load(tmp_path)

    def test_offline(self, online: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LABS_OFFLINE", "1")
        with pytest.raises(LabsError, match=r"LABS_OFFLINE forbids(.|\n)*data=embedded"):
            load(tmp_path)
        assert not online.requests

    def test_in_a_folder_that_cannot_be_written_it_is_held_in_memory(
        self, online: ArchiveServer, tmp_path: Path
    ) -> None:
        expected = np.array(load(tmp_path).pixels)
        shutil.rmtree(tmp_path / "MNIST-M")
        (tmp_path / "MNIST-M").write_text("a file")
        with pytest.warns(UserWarning, match=r"Cannot write to .*MNIST-M .*kept in memory.* paths\.data="):
            assert np.array_equal(load(tmp_path).pixels, expected)


def test_patches_reach_all_four_corners(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (30, 33, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "picture.png")
    nearly_one = np.nextafter(1, 0)
    places = np.array([[nearly_one, x, y] for y in (0, nearly_one) for x in (0, nearly_one)])
    patches = blend(np.zeros((4, 1, 28, 28), dtype=np.uint8), places, [tmp_path / "picture.png"])
    corners = [picture[:28, :28], picture[:28, -28:], picture[-28:, :28], picture[-28:, -28:]]
    assert np.array_equal(patches, np.stack(corners).transpose(0, 3, 1, 2))


def flip_a_bit(store: Path) -> None:
    content = bytearray(store.read_bytes())
    content[-1] ^= 1
    store.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "one bit": flip_a_bit,
    "cut in half": lambda store: os.truncate(store, store.stat().st_size // 2),
    "empty": lambda store: os.truncate(store, 0),
    "no pixels": lambda store: store.unlink(),
    "no facts": lambda store: store.with_suffix(".json").unlink(),
    "facts cut": lambda store: os.truncate(store.with_suffix(".json"), 30),
    "foreign facts": lambda store: store.with_suffix(".json").write_text("[]"),
    "other shape": lambda store: np.save(store, np.zeros((2, 3, 28, 28), dtype=np.uint8)),
}


class TestStore:
    def test_the_second_call_builds_nothing_and_needs_no_photographs(
        self, online: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = load(tmp_path)
        shutil.rmtree(tmp_path / "BSDS500")
        sized = load(tmp_path, 32)
        forbid_building(monkeypatch)
        second = load(tmp_path)
        assert np.array_equal(first.pixels, second.pixels)
        assert second.names == first.names
        assert load(tmp_path, 16).pixels.shape == (17, 3, 16, 16)
        monkeypatch.setattr(Image.Image, "resize", lambda *arguments: pytest.fail("resized again"))
        again = load(tmp_path, 32)
        assert isinstance(again.pixels, np.memmap)
        assert np.array_equal(again.pixels, sized.pixels)
        assert len(online.requests) == 5

    def test_the_images_of_another_seed_or_version_are_not_taken_at_another_size(
        self, online: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        load(tmp_path, 16)
        load(tmp_path, 16, seed=1)
        monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
        load(tmp_path, 16)
        sizes = [json.loads(facts.read_text())["size"] for facts in (tmp_path / "cache" / "pixels").glob("[!.]*.json")]
        assert sorted(sizes) == [16, 16, 16, 28]  # that of 28 is MNIST

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_a_damaged_one_is_built_anew(
        self, online: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
    ) -> None:
        expected = np.array(load(tmp_path).pixels)
        DAMAGES[damage](store_of(tmp_path))
        assert np.array_equal(load(tmp_path).pixels, expected)
        forbid_building(monkeypatch)
        assert np.array_equal(load(tmp_path).pixels, expected)  # mended on disk

    def test_what_it_was_made_from_lies_beside_it(self, online: ArchiveServer, tmp_path: Path) -> None:
        load(tmp_path, seed=7)
        facts = json.loads(store_of(tmp_path, 7).with_suffix(".json").read_text())
        assert (facts["seed"], facts["counts"], len(facts["digest"])) == (7, COUNTS, 32)
        assert facts["sources"]["BSR_bsds500.tgz"] == f"md5 {bsds500.ARCHIVE.md5}"
        assert len(facts["sources"]) == 3
        left = {path.suffix for path in (tmp_path / "MNIST-M").iterdir()}
        assert left <= {".npy", ".json", ".lock"}

    @pytest.mark.parametrize("change", ["version", "photographs"])
    def test_other_sources_or_another_version_are_another_store(
        self, online: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
    ) -> None:
        load(tmp_path)
        if change == "version":
            monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
        else:
            monkeypatch.setattr(bsds500, "ARCHIVE", replace(bsds500.ARCHIVE, md5="0" * 32))
        load(tmp_path)
        assert len(list((tmp_path / "MNIST-M").glob("*.npy"))) == 2

    def test_remains_of_a_killed_process_are_removed(self, online: ArchiveServer, tmp_path: Path) -> None:
        load(tmp_path)
        store = store_of(tmp_path)
        part = store.with_name(f".{store.name}.123")
        part.write_bytes(b"half")
        store.unlink()
        load(tmp_path)
        assert not part.exists()


@pytest.fixture
def pictures() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(2)
    return {split: draw.integers(0, 256, (count, 28, 28, 3), dtype=np.uint8) for split, count in COUNTS.items()}


@pytest.fixture
def ganin(tmp_path: Path, pictures: dict[str, np.ndarray]) -> Path:
    """Write a copy in Ganin's layout, labels 0, 1, 2, ... in each split; return the folder around `mnist_m`."""
    for split, images in pictures.items():
        folder = tmp_path / "ganin" / "mnist_m" / f"mnist_m_{split}"
        folder.mkdir(parents=True)
        lines = [f"{row:08d}.png {row % 10}" for row in range(len(images))]
        (folder.parent / f"mnist_m_{split}_labels.txt").write_text("\n".join(lines) + "\n")
        for row, image in enumerate(images):
            Image.fromarray(image).save(folder / f"{row:08d}.png")
    return tmp_path / "ganin"


def save_tensors(folder: Path, pictures: dict[str, np.ndarray], form: str = "last", **options: Any) -> Path:
    folder.mkdir()
    for split, images in pictures.items():
        shown = {"last": images, "first": images.transpose(0, 3, 1, 2), "gray": images[..., 0]}[form]
        pair = (torch.from_numpy(shown.copy()), torch.arange(len(images)) % 10)
        torch.save(pair if form == "last" else list(pair), folder / f"mnist_m_{split}.pt", **options)
    return folder


class TestCopy:
    @pytest.mark.parametrize("inside", ["", "mnist_m"])
    def test_the_folder_of_ganin(
        self, ganin: Path, pictures: dict[str, np.ndarray], tmp_path: Path, inside: str
    ) -> None:
        images = load(tmp_path / "data", copy=str(ganin / inside))
        assert np.array_equal(images.pixels, np.concatenate(list(pictures.values())).transpose(0, 3, 1, 2))
        assert images.labels.tolist() == [*range(10), 0, 1, *range(5)]
        assert images.is_test.tolist() == [False] * 12 + [True] * 5
        assert (images.names[0], images.names[-1]) == ("mnist_m_train/00000000.png", "mnist_m_test/00000004.png")
        assert len(set(images.names)) == 17
        assert load(tmp_path / "data", 32, copy=str(ganin / inside)).pixels.shape == (17, 3, 32, 32)

    @pytest.mark.parametrize("form", ["last", "first", "gray"])
    def test_two_files_of_torch(self, pictures: dict[str, np.ndarray], tmp_path: Path, form: str) -> None:
        folder = save_tensors(tmp_path / "tensors", pictures, form)
        images = load(tmp_path / "data", copy=str(folder))
        expected = np.concatenate(list(pictures.values())).transpose(0, 3, 1, 2)
        assert np.array_equal(images.pixels, expected if form != "gray" else expected[:, [0, 0, 0]])
        assert images.labels.tolist() == [*range(10), 0, 1, *range(5)]
        assert (images.names[0], images.names[-1]) == ("train_00000", "test_00004")
        assert load(tmp_path / "data", 16, copy=str(folder)).pixels.shape == (17, 3, 16, 16)

    def test_files_of_an_old_torch(self, pictures: dict[str, np.ndarray], tmp_path: Path) -> None:
        folder = save_tensors(tmp_path / "tensors", pictures, _use_new_zipfile_serialization=False)
        assert load(tmp_path, copy=str(folder)).pixels.shape == (17, 3, 28, 28)

    @pytest.mark.parametrize("name", ["keras_mnistm.pkl.gz", "mnistm_data.pkl", "M.PKL"])
    def test_a_pickle_is_refused_in_one_line_and_not_opened(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_bytes(pickle.dumps({"train": []}))
        for path in (tmp_path / name, tmp_path) if name != "M.PKL" else (tmp_path / name,):
            with pytest.raises(
                LabsError, match=r"datamodule\.target\.copy=.*pickles are not read.*\.pt.*<folder>"
            ) as e:
                load(tmp_path / "data", copy=str(path))
            assert "\n" not in str(e.value)

    @pytest.mark.parametrize("kind", ["missing", "empty", "other", "half", "file"])
    def test_what_is_no_copy_is_described_in_one_line(
        self, pictures: dict[str, np.ndarray], tmp_path: Path, kind: str
    ) -> None:
        path = tmp_path / kind
        if kind == "half":
            (save_tensors(path, pictures) / "mnist_m_test.pt").unlink()
        elif kind == "file":
            path.write_bytes(b"packed")
        elif kind != "missing":
            path.mkdir()
        if kind == "other":
            for number in range(9):
                (path / f"{number}.txt").touch()
        found = {
            "missing": "no such folder",
            "empty": "found an empty folder",
            "other": r"found 0\.txt, .*5\.txt, \.\.\.",
            "half": r"found mnist_m_train\.pt;",
            "file": "this is a file; unpack it first",
        }[kind]
        pattern = (
            rf"^datamodule\.target\.copy={path}: {found}.*mnist_m_test_labels\.txt.*datamodule\.target\.copy=<folder>"
        )
        with pytest.raises(LabsError, match=pattern) as caught:
            load(tmp_path / "data", copy=str(path))
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("00000003.png", r"test_labels\.txt, line 6: expected a name and a digit"),
            ("00000003.png ten", r"line 6: expected a name and a digit"),
            ("99999999.png 4", r"line 6: .*mnist_m_test has no 99999999\.png"),
            ("../mnist_m_train/00000003.png 4", r"line 6: .* has no \.\./"),
            ("00000003.png 4", r"line 6: 00000003\.png is listed twice"),
        ],
    )
    def test_a_list_that_makes_no_sense(self, ganin: Path, tmp_path: Path, line: str, message: str) -> None:
        with (ganin / "mnist_m" / "mnist_m_test_labels.txt").open("a") as file:
            file.write(f"{line}\n")
        with pytest.raises(LabsError, match=message):
            load(tmp_path / "data", copy=str(ganin))

    def test_what_no_list_names_is_said(self, ganin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        folder = ganin / "mnist_m" / "mnist_m_train"
        for name in ("00000003 copy.png", "._00000003.png", "notes.txt"):
            (folder / name).touch()
        Image.open(folder / "00000004.png").convert("L").save(folder / "00000004.png")
        assert len(load(tmp_path / "data", copy=str(ganin)).pixels) == 17
        said = " ".join(capsys.readouterr().out.split())
        assert "skipped: 1 hidden, 1 .txt, 1 not in a list; converted: 1 gray" in said

    def test_a_list_of_nothing(self, ganin: Path, tmp_path: Path) -> None:
        (ganin / "mnist_m" / "mnist_m_test_labels.txt").write_text("\n")
        with pytest.raises(LabsError, match=r"mnist_m_test_labels\.txt: the list is empty"):
            load(tmp_path / "data", copy=str(ganin))

    @pytest.mark.filterwarnings("error")
    def test_a_picture_that_cannot_be_read(self, ganin: Path, tmp_path: Path) -> None:
        os.truncate(ganin / "mnist_m" / "mnist_m_train" / "00000004.png", 100)
        for _ in range(2):
            with pytest.raises(
                LabsError, match=r"1 of 17 images cannot be read(.|\n)*00000004\.png: truncated(.|\n)*Unpack"
            ):
                load(tmp_path / "data", copy=str(ganin))

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (torch.zeros(3), "expected a pair of tensors"),
            ({"images": 1, "labels": 2}, "expected uint8 images"),
            (
                (torch.zeros(2, 3, 28, 28), torch.zeros(2).long()),
                r"expected uint8 images .* found float32 \(2, 3, 28, 28\)",
            ),
            ((torch.zeros(2, 28, 14, 3).byte(), torch.zeros(2).long()), "expected uint8 images"),
            ((torch.zeros(0, 28, 28, 3).byte(), torch.zeros(0).long()), "expected uint8 images"),
            ((torch.zeros(2, 28, 28, 3).byte(), torch.zeros(3).long()), "expected 2 labels from 0 to 9"),
            ((torch.zeros(2, 28, 28, 3).byte(), torch.tensor([0, 10])), "expected 2 labels from 0 to 9"),
            ((torch.zeros(2, 28, 28, 3).byte(), Path("code")), "more than tensors"),
        ],
    )
    def test_tensors_that_make_no_sense(
        self, pictures: dict[str, np.ndarray], tmp_path: Path, content: Any, message: str
    ) -> None:
        folder = save_tensors(tmp_path / "tensors", pictures)
        torch.save(content, folder / "mnist_m_test.pt")
        with pytest.raises(LabsError, match=rf"mnist_m_test\.pt: .*{message}") as caught:
            load(tmp_path, copy=str(folder))
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("body", [b"", b"no such thing"])
    def test_a_damaged_file_of_torch(self, pictures: dict[str, np.ndarray], tmp_path: Path, body: bytes) -> None:
        folder = save_tensors(tmp_path / "tensors", pictures)
        (folder / "mnist_m_train.pt").write_bytes(body)
        with pytest.raises(LabsError, match=r"mnist_m_train\.pt: "):
            load(tmp_path, copy=str(folder))


class TestEmbedded:
    def test_labels_names_and_splits_are_those_of_the_digits(self, tmp_path: Path) -> None:
        images = load(tmp_path, embedded=True)
        _, labels, is_test = read_mnist_digits()
        assert (images.pixels.shape, images.pixels.dtype) == ((5000, 3, 28, 28), np.uint8)
        assert np.array_equal(images.labels, labels)
        assert np.array_equal(images.is_test, is_test)
        assert images.classes == list("0123456789")

    def test_each_is_a_patch_of_a_photograph_of_its_split_with_the_digit_inverted(self, tmp_path: Path) -> None:
        images = load(tmp_path, embedded=True, seed=3)
        digits, _, _ = read_mnist_digits()
        for split, is_test in (("train", False), ("test", True)):
            rows = np.flatnonzero(images.is_test == is_test)[::400]
            inverted = digits[rows, None] > 0
            patches = np.where(inverted, 255 - images.pixels[rows], images.pixels[rows])  # |patch - 255|, undone
            pictures = [np.asarray(Image.open(PHOTOGRAPHS[n].path).convert("RGB")) for n in PHOTOGRAPHS_OF[split]]
            assert all(any(is_part(patch.transpose(1, 2, 0), picture) for picture in pictures) for patch in patches)

    def test_no_photograph_lies_behind_training_and_test_digits(self) -> None:
        assert not set(PHOTOGRAPHS_OF["train"]) & set(PHOTOGRAPHS_OF["test"])

    def test_the_seed_chooses_the_patches(self, tmp_path: Path) -> None:
        first, again, other = (load(tmp_path, 32, embedded=True, seed=seed) for seed in (0, 0, 1))
        assert np.array_equal(first.pixels, again.pixels)
        assert (first.pixels != other.pixels).any(axis=(1, 2, 3)).mean() > 0.99
        assert np.array_equal(first.labels, other.labels)

    def test_mistakes(self, tmp_path: Path) -> None:
        with pytest.raises(LabsError, match=r"datamodule\.target\.seed=-1: expected 0 or more"):
            MNISTM(embedded=False, folder=str(tmp_path), seed=-1)
        with pytest.raises(LabsError, match=r"\.copy=x: a copy cannot be combined with data=embedded"):
            MNISTM(embedded=True, folder=str(tmp_path), copy="x")


def is_part(patch: np.ndarray, picture: np.ndarray) -> bool:
    """Say whether a patch (28, 28, 3) stands anywhere in a picture (height, width, 3)."""
    windows = np.lib.stride_tricks.sliding_window_view(picture, (28, 28), axis=(0, 1))
    height, width = windows.shape[:2]
    # Few places have the patch's first and last pixels; only these are compared whole.
    same = (picture[:height, :width] == patch[0, 0]).all(-1) & (picture[27:, 27:] == patch[-1, -1]).all(-1)
    return any(np.array_equal(picture[y : y + 28, x : x + 28], patch) for y, x in np.argwhere(same))


def test_the_name_says_what_it_is(tmp_path: Path) -> None:
    built, embedded = (MNISTM(embedded=embedded, folder=str(tmp_path)) for embedded in (False, True))
    assert (built.name, built.credits, built.channels) == ("MNIST-M", [], 3)
    assert embedded.name == "5,000 digits of MNIST on photographs"
    assert any("danielbuechele" in line for line in embedded.credits)
    assert embedded.cache == tmp_path / "cache"
    assert MNISTM(embedded=False, folder="data", copy="my/copy").name == "MNIST-M (my/copy)"
