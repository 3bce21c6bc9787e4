from __future__ import annotations

import functools
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archive_server import ArchiveServer
from PIL import Image

from labs import LabsError
from labs.datamodules import facescrub as module
from labs.datamodules.embedded.faces import LOST
from labs.datamodules.facescrub import COURSES, FaceScrub, chosen, three_ways
from labs.datamodules.facescrub_lists import read_lists
from labs.storage.manifest import read_manifest

SMALL: dict[str, Any] = {"num_classes": 2, "people": "all", "train_per_person": 6, "rest_per_person": 4}
PER_PERSON = 18
NAMES = ["Ada Quillmoor", "Bram Brindlewick"]


def drawn(folder: Path, **options: Any) -> FaceScrub:
    return FaceScrub(folder=str(folder), embedded=True, drawn_per_person=PER_PERSON, **(SMALL | options))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    drawn(folder).load(16)
    return folder


def lists_of(data: Path) -> Path:
    (folder,) = data.glob("embedded/faces_*_v*/images")
    return folder.parent


class TestEmbedded:
    def test_faces_come_with_three_splits_of_each_person(self, data: Path) -> None:
        images = drawn(data).load(16)
        kept = PER_PERSON - len(LOST)
        assert images.classes == NAMES
        assert images.pixels.shape == (2 * kept, 3, 16, 16)
        assert images.is_val is not None
        for label in range(2):
            mine = images.labels == label
            train = mine & ~images.is_test & ~images.is_val
            assert [int((mine & rows).sum()) for rows in (train, images.is_val, images.is_test)] == [6, 4, 3]
            assert all(images.classes[label].replace(" ", "_") in images.names[row] for row in np.flatnonzero(mine))
        assert not (images.is_test & images.is_val).any()

    def test_the_same_code_reads_what_the_lists_say(self, data: Path) -> None:
        """Each face is the box of its line, cut from the photograph whose SHA-256 stands there."""
        root, images = lists_of(data), drawn(data).load(16)
        faces = {face.crop: face for face in read_lists(root)}
        for row, name in enumerate(images.names):
            content = (root / "images" / faces[name].photograph).read_bytes()
            assert hashlib.sha256(content).hexdigest() == faces[name].sha256
            with Image.open(io.BytesIO(content)) as photograph:
                left, top, right, bottom = faces[name].box
                box = (max(left, 0), max(top, 0), min(right, photograph.width), min(bottom, photograph.height))
                expected = photograph.convert("RGB").crop(box).resize((16, 16), Image.Resampling.BILINEAR)
            assert np.array_equal(images.pixels[row], np.asarray(expected).transpose(2, 0, 1))

    def test_what_is_lost_and_who_has_too_few_images_is_said(self, data: Path) -> None:
        found = drawn(data).load(16).findings
        assert found is not None
        assert {skipped.why for skipped in found.skipped} == set(LOST)
        assert found.skipped[0].name == "facescrub_actors.txt, line 2 (Cleo Fernhollow)"
        assert found.notes == ["Cleo Fernhollow is left out: has 1 of 10 required images"]

    def test_nothing_is_asked_for(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LABS_OFFLINE", "1")
        assert drawn(data, retry=True).load(16).classes == NAMES

    def test_another_number_of_people_is_an_error_that_names_who_is_left_out(self, data: Path) -> None:
        (folder,) = (path for path in data.glob("embedded/faces_*_v*") if path.is_dir())
        source = drawn(data, num_classes=3)
        source._drawn = lambda: folder  # type: ignore[method-assign]
        with pytest.raises(LabsError, match=r"2 people .* built for 3.*1 are left out.*Cleo Fernhollow \(1\).*Type "
                           "datamodule.num_classes=2"):  # fmt: skip
            source.load(16)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"train_per_person": 0}, "train_per_person=0: expected 1 or more"),
            ({"rest_per_person": 1}, "rest_per_person=1: expected 2 or more"),
            ({"workers": 0}, "workers=0: expected 1 or more"),
            ({"near": 1.0}, "near=1.0: expected a fraction"),
            ({"drawn_per_person": 17}, "expected 18 to 1000"),
            ({"people": "csc411"}, "people=csc411: expected csc321_2016, csc411_2017, csc411_2018, all, a number, or"),
            ({"people": "csc411_2018"}, "do not contain Lorraine Bracco, .*They contain 3 people: Ada Quillmoor"),
            ({"people": 4}, "the lists have 3 people; type 2 to 3, or all"),
            ({"people": ["Ada Quillmoor", "Nobody"]}, "do not contain Nobody"),
            ({"people": ["Ada Quillmoor"]}, "expected at least two names"),
        ],
    )
    def test_mistakes(self, data: Path, options: dict[str, Any], message: str) -> None:
        with pytest.raises(LabsError, match=message):
            FaceScrub(folder=str(data), embedded=True, **(SMALL | {"drawn_per_person": PER_PERSON} | options)).load(16)


class TestOnline:
    @pytest.fixture
    def online(
        self, data: Path, tmp_path: Path, server: ArchiveServer, monkeypatch: pytest.MonkeyPatch
    ) -> tuple[Path, ArchiveServer]:
        """The drawn lists, with addresses of a server that has what came, and something else for the rest."""
        monkeypatch.setattr(
            module, "fetch_many", functools.partial(module.fetch_many, allow_private=True, timeout=2.0, progress=False)
        )
        root, here = lists_of(data), tmp_path / "facescrub"
        here.mkdir()
        for face in read_lists(root):
            file = root / "images" / face.photograph
            path = f"{face.image_id}.jpg"
            server.serve(path, file.read_bytes() if file.is_file() else b"<html>gone</html>")
        for name in ("facescrub_actors.txt", "facescrub_actresses.txt"):
            text = (root / name).read_text().replace("https://photographs.invalid", server.url("").rstrip("/"))
            (here / name).write_text(text)
        return here, server

    def test_photographs_are_fetched_checked_cut_and_kept(
        self, online: tuple[Path, ArchiveServer], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here, server = online
        images, offline = FaceScrub(folder=str(tmp_path), **SMALL).load(16), drawn(data).load(16)
        assert images.names == offline.names
        assert np.array_equal(images.pixels, offline.pixels)
        rows = read_manifest(here / "images")
        assert sum(row.status == "ok" for row in rows.values()) == 2 * (PER_PERSON - len(LOST)) + 1
        assert images.findings is not None
        assert {skipped.why.partition(" (")[0] for skipped in images.findings.skipped} == {"wrong SHA-256"}
        asked = len(server.requests)
        monkeypatch.setenv("LABS_OFFLINE", "1")  # what is there once needs no network
        assert FaceScrub(folder=str(tmp_path), **SMALL).load(16).names == images.names
        assert len(server.requests) == asked

    def test_only_the_people_that_are_asked_for_are_fetched(
        self, online: tuple[Path, ArchiveServer], tmp_path: Path
    ) -> None:
        here, server = online
        assert FaceScrub(folder=str(tmp_path), **SMALL | {"people": NAMES}).load(16).classes == NAMES
        assert not (here / "images" / "Cleo_Fernhollow").exists()
        assert len(server.requests) == 2 * PER_PERSON

    def test_without_any_photograph_it_says_why_and_what_to_type(
        self, online: tuple[Path, ArchiveServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here, _ = online
        for file in here.glob("*.txt"):
            file.write_text(file.read_text().replace(".jpg", ".gone"))
        with pytest.raises(LabsError, match=r"0 of 3 people have enough(.|\n)*Most common reason: 404(.|\n)*retry=true"
                           r"(.|\n)*data=embedded"):  # fmt: skip
            FaceScrub(folder=str(tmp_path), **SMALL).load(16)
        monkeypatch.setenv("LABS_OFFLINE", "1")
        (here / "images" / "manifest.tsv").unlink()
        with pytest.raises(LabsError, match=r"LABS_OFFLINE forbids(.|\n)*data=embedded"):
            FaceScrub(folder=str(tmp_path), **SMALL).load(16)

    def test_without_lists_it_says_where_they_go(self, tmp_path: Path) -> None:
        with pytest.raises(LabsError, match=r"facescrub_actors.txt(.|\n)*data=embedded"):
            FaceScrub(folder=str(tmp_path), **SMALL).load(16)


def test_copies_stay_on_one_side_and_the_training_images_are_as_many_as_asked() -> None:
    labels = np.repeat([0, 1], 30)
    groups = np.arange(60)
    groups[[1, 2, 3]] = 0  # four copies of one person
    groups[[31, 5]] = 30  # and one photograph that has two people
    splits = three_ways(labels, groups, 20, seed=3)
    for label in range(2):
        counts = np.bincount(splits[labels == label], minlength=3)
        assert counts[0] in (19, 20, 21)
        assert abs(int(counts[1]) - int(counts[2])) <= 4
    assert all(len(set(splits[groups == group])) == 1 for group in set(groups.tolist()))
    assert np.array_equal(splits, three_ways(labels, groups, 20, seed=3))
    assert not np.array_equal(splits, three_ways(labels, groups, 20, seed=4))


def test_the_courses_have_six_people_each(data: Path) -> None:
    assert all(len(set(people)) == 6 for people in COURSES.values())
    faces = read_lists(lists_of(data))
    assert {face.person for face in chosen(faces, ["ada quillmoor", "Cleo Fernhollow"])} == {
        NAMES[0],
        "Cleo Fernhollow",
    }
    assert {face.person for face in chosen(faces, 2)} == set(NAMES)
