import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from labs import LabsError
from labs.datamodules.embedded import birds
from labs.datamodules.embedded.bird_species import SPECIES_PER_GROUP

ALL = {group: [birds.species(group, i) for i in range(SPECIES_PER_GROUP)] for group in ("upstream", "downstream")}


def pictures(images: Path) -> list[Path]:
    return sorted(path for path in images.glob("*/*.jpg") if not path.name.startswith("._"))


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def cub2010(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("birds") / "cub2010"
    birds.write_cub200(root, num_classes=5, images_per_class=9, progress=False)
    return root


@pytest.fixture(scope="module")
def cub2011(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("birds") / "cub2011"
    birds.write_cub200(root, edition="2011", num_classes=3, images_per_class=6, progress=False)
    return root


def test_groups_share_no_species_and_no_name() -> None:
    for what in ("traits", "name"):
        upstream, downstream = ({getattr(bird, what) for bird in ALL[group]} for group in ("upstream", "downstream"))
        assert len(upstream) == len(downstream) == SPECIES_PER_GROUP
        assert not upstream & downstream


@pytest.mark.parametrize("group", ["upstream", "downstream"])
def test_species_differ_in_several_traits_but_share_most_with_a_sibling(group: str) -> None:
    traits = np.array([[str(trait) for trait in bird.traits] for bird in ALL[group]])
    differences = {
        pair: int((traits[pair[0]] != traits[pair[1]]).sum()) for pair in combinations(range(len(traits)), 2)
    }
    assert min(differences.values()) >= 3
    nearest = [min(d for pair, d in differences.items() if i in pair) for i in range(20)]
    assert np.median(nearest) <= traits.shape[1] / 2


def test_drawing_is_a_pure_function_of_its_seed() -> None:
    first, second = (birds.draw_bird(ALL["downstream"][3], np.random.default_rng([7, 1])) for _ in range(2))
    np.testing.assert_array_equal(np.asarray(first), np.asarray(second))


def test_pictures_vary_in_size_and_format_within_a_species() -> None:
    images = [birds.draw_bird(ALL["downstream"][0], np.random.default_rng([0, i])) for i in range(25)]
    assert {image.mode for image in images} == {"RGB"}
    assert all(120 <= max(image.size) <= 180 for image in images)
    assert {image.width > image.height for image in images} == {True, False}
    assert len({image.size for image in images}) > 15


def test_one_trait_changes_the_picture_locally() -> None:
    bird = ALL["downstream"][0]
    other = birds.Species(**(vars(bird) | {"leg_color": "ember" if bird.leg_color != "ember" else "ink"}))
    pair = [np.asarray(birds.draw_bird(b, np.random.default_rng([5]))).astype(int) for b in (bird, other)]
    changed = (np.abs(pair[0] - pair[1]).max(axis=2) > 12).mean()
    assert 0 < changed < 0.05


def test_2010_layout_has_the_expected_pictures_and_names(cub2010: Path) -> None:
    files = pictures(cub2010 / "images")
    assert len(files) == birds.expected_count(5, 9)
    for file in files:
        number, name = file.parent.name.split(".")
        assert re.fullmatch(r"\d{3}", number)
        assert re.fullmatch(rf"{name}_\d{{4}}_\d+\.jpg", file.name)
        assert re.match(r"(\d*).(\w*)/(\w*.jpg)", f"{file.parent.name}/{file.name}")
    sizes = [
        len(list(folder.glob("[!.]*.jpg"))) for folder in sorted((cub2010 / "images").iterdir()) if folder.is_dir()
    ]
    assert min(sizes) >= 7
    assert len(set(sizes)) > 1


def test_2010_lists_partition_the_pictures(cub2010: Path) -> None:
    train, test = ((cub2010 / "lists" / f"{split}.txt").read_text().splitlines() for split in ("train", "test"))
    assert sorted(train + test) == [f"{p.parent.name}/{p.name}" for p in pictures(cub2010 / "images")]
    for folder in {name.split("/")[0] for name in train + test}:
        n_train, n_test = (sum(name.startswith(folder) for name in names) for names in (train, test))
        assert n_train == (n_train + n_test) // 2


def test_2010_strays_come_first_and_are_no_pictures(cub2010: Path) -> None:
    strays = [path for path in (cub2010 / "images").glob("*/*.jpg") if path.name.startswith("._")]
    assert strays
    assert (cub2010 / "._images").is_file()
    for stray in strays:
        assert min(path.name for path in stray.parent.iterdir()).startswith("._")
        with pytest.raises(UnidentifiedImageError):
            Image.open(stray)


def test_exactly_one_picture_is_grayscale(cub2010: Path) -> None:
    modes = []
    for path in pictures(cub2010 / "images"):
        with Image.open(path) as image:
            modes.append(image.mode)
    assert modes.count("L") == 1
    assert set(modes) == {"L", "RGB"}


def test_2011_lists_agree_with_the_folders(cub2011: Path) -> None:
    top = cub2011 / "CUB_200_2011"
    tables = {
        name: dict(line.split(" ") for line in (top / f"{name}.txt").read_text().splitlines())
        for name in ("images", "classes", "image_class_labels", "train_test_split")
    }
    assert list(tables["images"]) == [str(i + 1) for i in range(birds.expected_count(3, 6))]
    assert sorted(tables["images"].values()) == [f"{p.parent.name}/{p.name}" for p in pictures(top / "images")]
    for key, name in tables["images"].items():
        assert tables["classes"][tables["image_class_labels"][key]] == name.split("/")[0]
    assert set(tables["train_test_split"].values()) == {"0", "1"}
    assert (cub2011 / "attributes.txt").is_file()


def test_same_arguments_same_bytes_and_another_seed_other_bytes(tmp_path: Path, cub2011: Path) -> None:
    for name, seed in (("again", 0), ("other", 1)):
        birds.write_cub200(
            tmp_path / name, edition="2011", num_classes=3, images_per_class=6, seed=seed, progress=False
        )
    assert contents(tmp_path / "again") == contents(cub2011)
    assert contents(tmp_path / "other") != contents(cub2011)


def test_an_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def interrupted(bird: birds.Species, rng: np.random.Generator) -> Image.Image:
        drawn.append(bird)
        if len(drawn) == 4:
            raise KeyboardInterrupt
        return Image.new("RGB", (8, 8))

    monkeypatch.setattr(birds, "draw_bird", interrupted)
    with pytest.raises(KeyboardInterrupt):
        birds.write_cub200(tmp_path / "cub", num_classes=1, images_per_class=6, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(LabsError, match="new or empty"):
        birds.write_cub200(tmp_path, num_classes=1, images_per_class=4, progress=False)
    assert (tmp_path / "precious.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "wrong", [{"edition": "2012"}, {"group": "midstream"}, {"num_classes": 201}, {"images_per_class": 3}]
)
def test_wrong_arguments_say_what_was_expected(tmp_path: Path, wrong: dict) -> None:
    with pytest.raises(LabsError, match="Expected"):
        birds.write_cub200(tmp_path / "cub", progress=False, **wrong)
