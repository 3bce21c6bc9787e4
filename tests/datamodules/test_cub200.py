from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archive_server import ArchiveServer
from PIL import Image

from labs import LabsError
from labs.datamodules import cub200 as module
from labs.datamodules import pixels
from labs.datamodules.cub200 import ARCHIVE_2011, COUNTS, CUB200, IMAGES_2010, LISTS_2010
from labs.datamodules.embedded.birds import write_cub200
from labs.datamodules.pixels import read_image
from labs.datamodules.sources import LabeledImages
from labs.storage.fetch import Archive

SIZE = 16
COUNT = 18 + 19 + 17  # classes are of slightly different sizes
EDITIONS = (2010, 2011)


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both editions of three drawn species, as the archives unpack."""
    root = tmp_path_factory.mktemp("trees")
    for edition in EDITIONS:
        write_cub200(root / str(edition), edition=str(edition), num_classes=3, images_per_class=18, progress=False)
    return root


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABS_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def embedded(folder: Path, edition: int = 2010, **options: Any) -> CUB200:
    arguments = {"num_classes": 3, "images_per_class": 18, "embedded": True} | options
    return CUB200(folder=str(folder), edition=edition, **arguments)


def planted(
    folder: Path, trees: Path, edition: int = 2010, tree: int | None = None, **options: Any
) -> tuple[CUB200, Path]:
    """Put a drawn tree where the source looks for it; return the source and the folder of images."""
    source = embedded(folder, edition, **options)
    name = f"birds_{edition}_downstream_3x18_v{module.BIRDS_VERSION}"
    root = folder / "embedded" / name
    shutil.copytree(trees / str(tree or edition), root)
    return source, root / ("CUB_200_2011/images" if (tree or edition) == 2011 else "images")


def check_rows_belong_together(loaded: LabeledImages, images: Path, size: int = SIZE) -> None:
    assert len(loaded.pixels) == len(loaded.labels) == len(loaded.names) == len(loaded.is_test)
    assert len(set(loaded.names)) == len(loaded.names)
    for row, name in enumerate(loaded.names):
        assert loaded.classes[loaded.labels[row]] == name.split("/")[0]
        assert np.array_equal(loaded.pixels[row], read_image(images / name, size)[0])


class TestEmbedded:
    @pytest.mark.parametrize("edition", EDITIONS)
    def test_it_is_drawn_once_and_read_through_the_real_code(
        self, tmp_path: Path, edition: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = embedded(tmp_path, edition)
        loaded = source.load(SIZE)
        assert loaded.pixels.shape == (COUNT, 3, SIZE, SIZE)
        assert np.bincount(loaded.labels).tolist() == [18, 19, 17]
        (images,) = tmp_path.glob("embedded/*/CUB_200_2011/images" if edition == 2011 else "embedded/*/images")
        assert loaded.classes == sorted(path.name for path in images.iterdir() if path.is_dir())
        check_rows_belong_together(loaded, images)
        monkeypatch.setattr(module, "write_cub200", None)
        monkeypatch.setattr(pixels, "read_image", None)
        again = embedded(tmp_path, edition).load(SIZE)
        assert np.array_equal(again.pixels, loaded.pixels)
        assert again.names == loaded.names

    def test_strays_are_passed_over(self, tmp_path: Path, trees: Path) -> None:
        source, images = planted(tmp_path, trees)
        strays = [path for path in images.rglob(".*") if path.is_file()]
        assert any(stray.suffix == ".jpg" for stray in strays)  # as in the real archive
        loaded = source.load(SIZE)
        assert len(loaded.names) == COUNT
        assert not any(Path(name).name.startswith(".") for name in loaded.names)

    def test_it_says_what_it_passed_over_and_converted(
        self, tmp_path: Path, trees: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source, images = planted(tmp_path, trees)
        (images / "README.txt").touch()
        for _ in range(2):  # the second time from the store
            source.load(SIZE)
            said = " ".join(capsys.readouterr().out.split())
            found = "1 file outside the classes; converted: 1 gray)"
            assert f"drawn birds (2010 layout): read {COUNT} images of 3 classes (skipped: " in said
            assert said.endswith(found)

    @pytest.mark.parametrize("edition", EDITIONS)
    def test_the_grayscale_image_gets_three_equal_channels(self, tmp_path: Path, trees: Path, edition: int) -> None:
        source, images = planted(tmp_path, trees, edition)
        loaded = source.load(SIZE)
        modes = []
        for name in loaded.names:
            with Image.open(images / name) as image:
                modes.append(image.mode)
        equal = [bool((pixels == pixels[:1]).all()) for pixels in loaded.pixels]
        assert modes.count("L") == 1
        assert equal == [mode == "L" for mode in modes]

    def test_the_groups_hold_other_species(self, tmp_path: Path) -> None:
        down = embedded(tmp_path, num_classes=2).load(8)
        up = embedded(tmp_path, num_classes=2, group="upstream").load(8)
        assert not set(down.classes) & set(up.classes)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"num_classes": 1}, "num_classes=1.*type 2 to 200"),
            ({"num_classes": 201}, "num_classes=201.*type 2 to 200"),
            ({"images_per_class": 17}, "images_per_class=17: expected 18 to 100"),
            ({"images_per_class": 101}, "images_per_class=101: expected 18 to 100"),
        ],
    )
    def test_mistakes(self, tmp_path: Path, options: dict[str, int], message: str) -> None:
        with pytest.raises(LabsError, match=message):
            embedded(tmp_path, **options)

    def test_two_runs_that_start_together(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        start = threading.Barrier(2)
        results: list[np.ndarray | BaseException] = []

        def together(*arguments: Any, **options: Any) -> None:
            with suppress(threading.BrokenBarrierError):  # one that draws alone goes on after half a second
                start.wait(0.5)
            write_cub200(*arguments, **options, progress=False)

        def run() -> None:
            try:
                results.append(np.array(embedded(tmp_path, num_classes=2).load(8).pixels))
            except BaseException as error:
                results.append(error)

        monkeypatch.setattr(module, "write_cub200", together)
        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        first, second = results
        assert isinstance(first, np.ndarray), first
        assert isinstance(second, np.ndarray), second
        assert np.array_equal(first, second)


class TestSplits:
    @pytest.mark.parametrize("edition", EDITIONS)
    def test_first15(self, tmp_path: Path, trees: Path, edition: int) -> None:
        loaded = planted(tmp_path, trees, edition)[0].load(SIZE)
        for label in range(3):
            names = [name for name, row in zip(loaded.names, loaded.labels) if row == label]
            test = [
                name
                for name, row, is_test in zip(loaded.names, loaded.labels, loaded.is_test)
                if row == label and is_test
            ]
            assert sorted(test) == sorted(names)[:15]

    def test_official_of_2010(self, tmp_path: Path, trees: Path) -> None:
        source, images = planted(tmp_path, trees, split="official")
        loaded = source.load(SIZE)
        lists = images.parent / "lists"
        sides = {
            side: {name for name, test in zip(loaded.names, loaded.is_test) if test == side} for side in (True, False)
        }
        assert sides[True] == set((lists / "test.txt").read_text().split())
        assert sides[False] == set((lists / "train.txt").read_text().split())
        assert all(sides.values())

    def test_official_of_2011(self, tmp_path: Path, trees: Path) -> None:
        source, images = planted(tmp_path, trees, 2011, split="official")
        loaded = source.load(SIZE)
        table = np.loadtxt(images.parent / "train_test_split.txt", dtype=int)
        numbers = dict(line.split()[::-1] for line in (images.parent / "images.txt").read_text().splitlines())
        is_train = dict(table.tolist())
        assert [is_train[int(numbers[name])] for name in loaded.names] == (~loaded.is_test).astype(int).tolist()
        assert 0 < loaded.is_test.sum() < COUNT

    @pytest.mark.parametrize(
        ("edition", "file"), [(2010, "lists/train.txt"), (2010, "lists/test.txt"), (2011, "images.txt")]
    )
    def test_an_image_without_a_side_is_named(self, tmp_path: Path, trees: Path, edition: int, file: str) -> None:
        source, images = planted(tmp_path, trees, edition, split="official")
        lines = (images.parent / file).read_text().splitlines()
        (images.parent / file).write_text("\n".join(lines[1:]) + "\n")
        with pytest.raises(LabsError, match="lacks 1 image,") as raised:
            source.load(SIZE)
        assert lines[0].split()[-1] in str(raised.value)


class TestIncomplete:
    @pytest.mark.parametrize("edition", EDITIONS)
    def test_a_missing_image_is_noticed(self, tmp_path: Path, trees: Path, edition: int) -> None:
        source, images = planted(tmp_path, trees, edition)
        next(images.glob("002*/[!.]*.jpg")).unlink()
        with pytest.raises(LabsError, match=f"found {COUNT - 1} images; expected {COUNT}"):
            source.load(SIZE)

    def test_an_empty_class_is_named(self, tmp_path: Path, trees: Path) -> None:
        source, images = planted(tmp_path, trees)
        folder = next(images.glob("002*"))
        for path in folder.glob("[!.]*"):
            path.unlink()
        with pytest.raises(LabsError, match=f"{folder.name}: the class has no images"):
            source.load(SIZE)

    @pytest.mark.parametrize(("wanted", "there"), [(2010, 2011), (2011, 2010)])
    def test_the_other_edition_is_refused(self, tmp_path: Path, trees: Path, wanted: int, there: int) -> None:
        source, _ = planted(tmp_path, trees, wanted, tree=there)
        with pytest.raises(LabsError, match=r"found 0 class folders .* expected 3"):
            source.load(SIZE)

    @pytest.mark.parametrize(("wanted", "there"), [(2010, 2011), (2011, 2010)])
    def test_the_other_edition_in_the_right_place_is_refused_by_its_count(
        self, tmp_path: Path, wanted: int, there: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "COUNTS", {2010: 400, 2011: 600})
        inner = {2010: "images/images", 2011: "CUB_200_2011/CUB_200_2011/images"}[wanted]
        for number in range(1, 201):
            folder = tmp_path / f"cub200_{wanted}" / inner / f"{number:03d}.Bird"
            folder.mkdir(parents=True)
            for image in range(module.COUNTS[there] // 200):
                (folder / f"{image}.jpg").touch()
        with pytest.raises(
            LabsError,
            match=rf"found {module.COUNTS[there]} images; expected {module.COUNTS[wanted]} of CUB-200 \({wanted}\)",
        ):
            CUB200(folder=str(tmp_path), edition=wanted).load(SIZE)


class TestUnreadable:
    @pytest.fixture
    def broken(self, trees: Path, tmp_path: Path) -> tuple[str, Path]:
        """Cut a test image of the second class short; return its name and the folder of images."""
        _, images = planted(tmp_path, trees)
        file = sorted(images.glob("002*/[!.]*.jpg"))[3]
        file.write_bytes(file.read_bytes()[:200])
        return f"{file.parent.name}/{file.name}", images

    def test_it_is_named(self, broken: tuple[str, Path], tmp_path: Path) -> None:
        with pytest.raises(LabsError, match="1 of 54 images cannot be read") as raised:
            embedded(tmp_path).load(SIZE)
        assert broken[0] in str(raised.value)
        assert "skip_unreadable=true" in str(raised.value)

    @pytest.mark.parametrize("split", ["first15", "official"])
    def test_it_is_left_out_if_asked_and_the_rest_stays_together(
        self, broken: tuple[str, Path], trees: Path, tmp_path: Path, split: str
    ) -> None:
        whole = planted(tmp_path / "whole", trees, split=split)[0].load(SIZE)
        with pytest.warns(UserWarning, match="skipped 1 unreadable images"):
            loaded = embedded(tmp_path, skip_unreadable=True, split=split).load(SIZE)
        assert set(whole.names) - set(loaded.names) == {broken[0]}
        assert loaded.names == [name for name in whole.names if name != broken[0]]
        check_rows_belong_together(loaded, broken[1])
        side = dict(zip(whole.names, whole.is_test))
        assert [side[name] for name in loaded.names] == loaded.is_test.tolist()

    @pytest.mark.filterwarnings("ignore:skipped")
    def test_it_is_mentioned_by_every_run(self, broken: tuple[str, Path], tmp_path: Path) -> None:
        embedded(tmp_path, skip_unreadable=True).load(SIZE)
        with pytest.warns(UserWarning, match="skipped 1 unreadable images"):
            embedded(tmp_path, skip_unreadable=True).load(SIZE)

    @pytest.mark.filterwarnings("ignore:skipped")
    @pytest.mark.parametrize(("side", "rows"), [("test", slice(0, 15)), ("training", slice(15, None))])
    def test_a_class_that_would_lose_one_side_is_named(
        self, trees: Path, tmp_path: Path, side: str, rows: slice
    ) -> None:
        _, images = planted(tmp_path, trees)
        files = sorted(images.glob("003*/[!.]*.jpg"))[rows]
        for file in files:
            file.write_bytes(b"")
        with pytest.raises(LabsError, match=rf"class 003\..* has no {side} image that can be read"):
            embedded(tmp_path, skip_unreadable=True).load(SIZE)

    def test_a_link_to_nothing_is_named(self, trees: Path, tmp_path: Path) -> None:
        _, images = planted(tmp_path, trees)
        file = sorted(images.glob("002*/[!.]*.jpg"))[3]
        file.unlink()
        file.symlink_to("nowhere.jpg")
        with pytest.raises(LabsError, match=rf"1 of 54 images cannot be read:\n  {file}: a broken link"):
            embedded(tmp_path).load(SIZE)


def packed(folder: Path, *names: str) -> bytes:
    """Pack files and folders of `folder` into a .tgz, as the archives on the web are."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
        for name in names:
            tar.add(folder / name, name)
    return buffer.getvalue()


class TestOnline:
    def publish(self, server: ArchiveServer, monkeypatch: pytest.MonkeyPatch, constant: str, body: bytes) -> None:
        """Serve an archive in place of the real one that a constant of the module names."""
        real: Archive = getattr(module, constant)
        url = server.serve(real.name, body)
        monkeypatch.setattr(module, constant, Archive(real.name, (url,), hashlib.sha256(body).hexdigest(), len(body)))

    @pytest.mark.parametrize("split", ["first15", "official"])
    def test_2010_from_the_web_to_the_pixels(
        self, server: ArchiveServer, trees: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str
    ) -> None:
        self.publish(server, monkeypatch, "IMAGES_2010", packed(trees / "2010", "._images", "images"))
        self.publish(server, monkeypatch, "LISTS_2010", packed(trees / "2010", "lists"))
        source = CUB200(folder=str(tmp_path), num_classes=3, split=split)
        loaded = source.load(SIZE)
        assert [request.path for request in server.requests] == ["lists.tgz"] * (split == "official") + ["images.tgz"]
        check_rows_belong_together(loaded, trees / "2010" / "images")
        assert len(loaded.names) == COUNT
        expected = planted(tmp_path / "drawn", trees, split=split)[0].load(SIZE)
        assert np.array_equal(loaded.is_test, expected.is_test)
        monkeypatch.setenv("LABS_OFFLINE", "1")  # what is there once needs no network
        again = CUB200(folder=str(tmp_path), num_classes=3, split=split).load(SIZE)
        assert np.array_equal(again.pixels, loaded.pixels)

    @pytest.mark.parametrize("split", ["first15", "official"])
    def test_2011_from_the_web_to_the_pixels(
        self, server: ArchiveServer, trees: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str
    ) -> None:
        self.publish(server, monkeypatch, "ARCHIVE_2011", packed(trees / "2011", "CUB_200_2011", "attributes.txt"))
        loaded = CUB200(folder=str(tmp_path), edition=2011, num_classes=3, split=split).load(SIZE)
        assert [request.path for request in server.requests] == ["CUB_200_2011.tgz"]
        check_rows_belong_together(loaded, trees / "2011" / "CUB_200_2011" / "images")
        expected = planted(tmp_path / "drawn", trees, 2011, split=split)[0].load(SIZE)
        assert np.array_equal(loaded.is_test, expected.is_test)

    def test_all_200_classes_are_counted(
        self, server: ArchiveServer, trees: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tree = tmp_path / "tree"
        jpeg = next((trees / "2010").glob("images/001*/[!.]*.jpg")).read_bytes()
        names = [f"{number:03d}.Bird/{image}.jpg" for number in range(1, 201) for image in range(2)]
        for name in names:
            (tree / "images" / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / "images" / name).write_bytes(jpeg)
        (tree / "lists").mkdir()
        (tree / "lists" / "train.txt").write_text("\n".join(names[::2]) + "\n")
        (tree / "lists" / "test.txt").write_text("\n".join(names[1::2]) + "\n")
        self.publish(server, monkeypatch, "IMAGES_2010", packed(tree, "images"))
        self.publish(server, monkeypatch, "LISTS_2010", packed(tree, "lists"))

        monkeypatch.setattr(module, "COUNTS", {2010: 400, 2011: 800})
        loaded = CUB200(folder=str(tmp_path / "data"), split="official").load(8)
        assert loaded.names == names
        assert loaded.is_test.tolist() == [False, True] * 200
        assert len(loaded.classes) == 200

        next((tmp_path / "data").glob("cub200_2010/images/images/117.Bird/*")).unlink()
        with pytest.raises(LabsError, match=r"found 399 images; expected 400 of CUB-200 \(2010\)"):
            CUB200(folder=str(tmp_path / "data"), split="official").load(8)

        (tmp_path / "data" / "cub200_2010" / "images" / "images" / "117.Bird" / "a.webp").write_bytes(jpeg)
        assert len(CUB200(folder=str(tmp_path / "data"), split="official", num_classes=2).load(8).names) == 4

        (tmp_path / "data" / "cub200_2010" / "images" / "images" / "118.Bird" / "b.jpeg").write_bytes(jpeg)
        with pytest.raises(
            LabsError, match=r"found 401 images; expected 400 of CUB-200 \(2010\)"
        ):  # of all, not of the two
            CUB200(folder=str(tmp_path / "data"), split="official", num_classes=2).load(8)

    @pytest.mark.parametrize("edition", EDITIONS)
    def test_missing_and_offline(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edition: int) -> None:
        monkeypatch.setenv("LABS_OFFLINE", "1")
        with pytest.raises(LabsError, match="data=embedded") as raised:
            CUB200(folder=str(tmp_path), edition=edition).load(SIZE)
        archive = ARCHIVE_2011 if edition == 2011 else IMAGES_2010
        assert str(tmp_path / f"cub200_{edition}" / archive.name) in str(raised.value)
        assert archive.sha256 in str(raised.value)
        assert not [path for path in tmp_path.glob("cub200_*/*") if path.suffix != ".lock"]

    def test_nothing_is_drawn_when_the_web_fails(
        self, server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.publish(server, monkeypatch, "IMAGES_2010", b"a page that says the quota is used up")
        server.entries["images.tgz"].status = 403
        with pytest.raises(LabsError, match=r"(?s)403.*data=embedded"):
            CUB200(folder=str(tmp_path), num_classes=3).load(SIZE)
        assert not (tmp_path / "embedded").exists()

    def test_an_archive_put_there_by_hand_is_used(
        self, trees: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        body = packed(trees / "2010", "images")
        monkeypatch.setattr(
            module, "IMAGES_2010", Archive("images.tgz", (), hashlib.sha256(body).hexdigest(), len(body))
        )
        (tmp_path / "cub200_2010").mkdir()
        (tmp_path / "cub200_2010" / "images.tgz").write_bytes(body)
        monkeypatch.setenv("LABS_OFFLINE", "1")
        assert len(CUB200(folder=str(tmp_path), num_classes=3).load(SIZE).names) == COUNT


def test_the_published_archives_are_pinned() -> None:
    # Image counts: Welinder et al. 2010 and Wah et al. 2011.
    assert COUNTS == {2010: 6033, 2011: 11788}
    for archive in (IMAGES_2010, LISTS_2010, ARCHIVE_2011):
        assert len(archive.sha256) == 64
        assert archive.size
        assert len(archive.urls) >= 2
