import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from labs import LabsError
from labs.datamodules.cub200 import list_images
from labs.datamodules.domain_splits import cut_domain
from labs.datamodules.sources import LabeledImages
from labs.datamodules.splits import first_k, folds_of, split_hash, stratified_holdout, three_splits

CLASSES = ("001.Black_footed_Albatross", "002.Laysan_Albatross", "003.Sooty_Albatross")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three classes of 18 pictures, whose names sort as strings otherwise than as numbers, and two strays each."""
    for folder in CLASSES:
        (tmp_path / folder).mkdir()
        names = [f"{'aB'[n % 2]}_{n}.{'JPG' if n == 3 else 'jpg'}" for n in range(18)]
        random.Random(folder).shuffle(names)  # the order of creation, which some file systems list by
        for name in [*names, ".DS_Store", "._x.jpg"]:
            (tmp_path / folder / name).touch()
    return tmp_path


class TestFirstK:
    def test_the_15_smallest_names_of_each_class_are_for_testing(self, tree: Path) -> None:
        files, labels, classes, _ = list_images(tree, 3)
        names = [f"{file.parent.name}/{file.name}" for file in files]
        is_test = first_k(names, labels)
        assert classes == list(CLASSES)
        assert len(files) == 3 * 18
        for label, folder in enumerate(CLASSES):
            visible = [path.name for path in (tree / folder).glob("[!.]*")]
            by_code_point = sorted(visible, key=lambda name: [ord(letter) for letter in name])
            chosen = {name for name, row_label, test in zip(names, labels, is_test) if test and row_label == label}
            assert chosen == {f"{folder}/{name}" for name in by_code_point[:15]}
        assert by_code_point[:2] == ["B_1.jpg", "B_11.jpg"]  # strings: capitals first, 11 before 3
        assert (is_test.sum(), (~is_test).sum()) == (45, 9)

    def test_it_depends_on_names_alone_not_on_their_order(self, tree: Path) -> None:
        files, labels, *_ = list_images(tree, 3)
        names = [f"{file.parent.name}/{file.name}" for file in files]
        expected = {name for name, test in zip(names, first_k(names, labels)) if test}
        order = np.random.default_rng(0).permutation(len(names))
        shuffled = [names[row] for row in order]
        assert {name for name, test in zip(shuffled, first_k(shuffled, labels[order])) if test} == expected

    def test_adding_a_class_changes_no_other(self, tree: Path) -> None:
        files, labels, *_ = list_images(tree, 3)
        names = [file.name for file in files]
        two = labels < 2
        assert np.array_equal(first_k(names[: two.sum()], labels[two]), first_k(names, labels)[two])

    @pytest.mark.parametrize("k", [18, 19])
    def test_a_class_without_a_training_image_is_refused(self, tree: Path, k: int) -> None:
        files, labels, classes, _ = list_images(tree, 3)
        with pytest.raises(LabsError, match=f"class {CLASSES[0]} has 18 images.* first {k}"):
            first_k([file.name for file in files], labels, k, classes)


class TestListImages:
    def test_only_the_first_classes_are_listed(self, tree: Path) -> None:
        files, labels, classes, _ = list_images(tree, 2)
        assert classes == list(CLASSES[:2])
        assert labels.tolist() == [0] * 18 + [1] * 18
        assert labels.dtype == np.int64
        assert [file.parent.name for file in files] == [classes[label] for label in labels]

    def test_folders_that_are_no_class_are_passed_over(self, tree: Path) -> None:
        for stray in (".002.hidden", "__MACOSX", "lists", "12.short"):
            (tree / stray).mkdir()
            (tree / stray / "a.jpg").touch()
        (tree / "000.a_file").touch()
        *_, classes, others = list_images(tree, 3)
        assert classes == list(CLASSES)
        assert others == {"hidden": 7, "folder without a class": 3, "file outside the classes": 1}

    @pytest.mark.parametrize(
        ("stray", "message"),
        [
            (
                "001.Black_footed_Albatross copy",
                r"001\.Black_footed_Albatross copy after 001\.Black.*, expected number 002",
            ),
            ("003.Another", r"class folder 003\.Sooty_Albatross after 003\.Another, expected number 004"),
            ("000.Zero", r"found the class folder 000\.Zero, expected number 001"),
            ("005.Gap", r"005\.Gap after 003.*, expected number 004"),
        ],
    )
    @pytest.mark.parametrize("num_classes", [2, 3])
    def test_a_copy_of_a_class_is_no_class(self, tree: Path, stray: str, message: str, num_classes: int) -> None:
        (tree / stray).mkdir()
        with pytest.raises(LabsError, match=message):
            list_images(tree, num_classes)

    def test_images_of_any_format_count(self, tree: Path) -> None:
        (tree / CLASSES[0] / "a.jpeg").touch()
        (tree / CLASSES[0] / "b.WebP").touch()
        (tree / CLASSES[0] / "c.txt").touch()
        (tree / CLASSES[0] / "d").mkdir()
        files, *_, others = list_images(tree, 2)
        assert len(files) == 38
        assert others == {"hidden": 4, ".txt": 1, "folder": 1}

    def test_too_few_classes(self, tree: Path) -> None:
        with pytest.raises(LabsError, match=r"found 3 class folders .* expected 4"):
            list_images(tree, 4)

    def test_no_tree(self, tmp_path: Path) -> None:
        with pytest.raises(LabsError, match="found 0 class folders"):
            list_images(tmp_path / "nowhere", 2)

    def test_a_class_of_strays_only_is_empty(self, tree: Path) -> None:
        for path in (tree / CLASSES[1]).glob("[!.]*"):
            path.unlink()
        with pytest.raises(LabsError, match=r"002\.Laysan_Albatross: the class has no images"):
            list_images(tree, 3)


class TestHoldout:
    labels = np.random.default_rng(5).permutation(np.repeat(np.arange(6), [2, 3, 10, 30, 41, 100]))

    @pytest.mark.parametrize("fraction", [0.01, 0.1, 0.25, 0.5, 0.9, 0.99])
    def test_each_class_gives_its_share_and_keeps_one(self, fraction: float) -> None:
        held_out = stratified_holdout(self.labels, fraction, seed=3)
        for label in range(6):
            members = held_out[self.labels == label]
            assert 1 <= members.sum() <= len(members) - 1
            assert abs(members.sum() - fraction * len(members)) <= 1

    def test_shares_are_those_of_scikit_learn(self) -> None:
        labels = np.repeat(np.arange(5), [20, 40, 60, 80, 100])  # whole images at a tenth: no rounding to differ in
        _, theirs = train_test_split(np.arange(300), test_size=0.1, stratify=labels, random_state=0)
        ours = stratified_holdout(labels, 0.1, seed=0)
        assert np.bincount(labels[ours]).tolist() == np.bincount(labels[theirs]).tolist() == [2, 4, 6, 8, 10]

    def test_the_same_seed_draws_the_same_images(self) -> None:
        first = stratified_holdout(self.labels, 0.2, seed=1)
        np.random.default_rng().random()
        assert np.array_equal(stratified_holdout(self.labels, 0.2, seed=1), first)
        assert not np.array_equal(stratified_holdout(self.labels, 0.2, seed=2), first)

    def test_every_image_can_be_drawn(self) -> None:
        labels = np.zeros(10, dtype=np.int64)
        drawn = sum(stratified_holdout(labels, 0.2, seed).astype(int) for seed in range(300))
        assert drawn.min() > 30  # expected 60 of 300, deviation 7
        assert drawn.max() < 90

    @pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5, float("nan")])
    def test_a_share_of_nothing_or_all(self, fraction: float) -> None:
        with pytest.raises(LabsError, match="validation_fraction"):
            stratified_holdout(self.labels, fraction, seed=0)

    def test_a_class_of_one_image(self) -> None:
        with pytest.raises(LabsError, match="class wren has one training image"):
            stratified_holdout(np.array([0, 0, 1]), 0.5, 0, ["owl", "wren"])

    @pytest.mark.parametrize(
        "cut",
        [
            lambda images: cut_domain(images, 0.5, 0),
            lambda images: three_splits(images, "train", 0.5, 0),
        ],
        ids=["cut_domain", "three_splits"],
    )
    def test_errors_name_the_class(self, cut: Callable[[LabeledImages], object]) -> None:
        pixels, labels, is_test = np.zeros((4, 3, 2, 2), np.uint8), np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]) == 1
        images = LabeledImages(pixels, labels, list("abcd"), ["owl", "wren"], is_test)
        with pytest.raises(LabsError, match="class wren has one training image"):
            cut(images)


class TestHash:
    names = tuple(f"class/{number}.jpg" for number in range(8))

    def digest(self, train: list[int], test: list[int], names: tuple[str, ...] | None = None) -> str:
        return split_hash(names or self.names, {"train": np.array(train), "test": np.array(test)})

    def test_it_changes_when_one_image_changes_sides(self) -> None:
        digests = {
            self.digest([0, 1, 2, 3], [4, 5, 6, 7]),
            self.digest([0, 1, 2], [3, 4, 5, 6, 7]),
            self.digest([0, 1, 2, 4], [3, 5, 6, 7]),
        }
        assert len(digests) == 3

    def test_it_changes_when_sides_are_swapped_or_an_image_is_renamed_or_left_out(self) -> None:
        digests = {
            self.digest([0, 1], [2, 3]),
            self.digest([2, 3], [0, 1]),
            self.digest([0, 1], [2]),
            self.digest([0, 1], [2, 3], names=("other", *self.names[1:])),
        }
        assert len(digests) == 4

    def test_it_does_not_depend_on_order(self) -> None:
        expected = self.digest([0, 1, 2], [4, 5])
        assert self.digest([2, 0, 1], [5, 4]) == expected
        turned = split_hash(self.names[::-1], {"test": np.array([3, 2]), "train": np.array([7, 6, 5])})
        assert turned == expected


class TestFolds:
    def test_folds_share_no_image_and_hold_all(self) -> None:
        labels = np.repeat(np.arange(4), [20, 54, 63, 7])
        folds = folds_of(labels, 5, seed=3)
        for label in range(4):
            sizes = np.bincount(folds[labels == label], minlength=5)
            assert sizes.max() - sizes.min() <= 1
        assert np.ptp(np.bincount(folds)[1:]) <= 1
        assert (folds == folds_of(labels, 5, seed=3)).all()
        assert (folds != folds_of(labels, 5, seed=4)).any()

    def test_the_paintings_fold_0_is_the_originals_split(self) -> None:
        counts = [20, 54, 63, 70, 40, 40, 37, 36, 28, 40, 23]
        sizes = np.bincount(folds_of(np.repeat(np.arange(11), counts), 5, seed=0))
        assert sizes.tolist() == [sum(int(0.2 * n) for n in counts), 91, 91, 91, 91] == [87, 91, 91, 91, 91]

    def test_of_a_group_all_are_in_one_fold(self) -> None:
        labels, groups = np.repeat([0, 1], 30), np.repeat(np.arange(12), 5)
        folds = folds_of(labels, 3, seed=0, groups=groups)
        assert all(len(set(folds[groups == group])) == 1 for group in range(12))

    def test_unstratified_folds_are_of_one_size_whatever_they_show(self) -> None:
        labels = np.repeat([0, 1], [50, 5])
        folds = folds_of(labels, 5, seed=0, stratified=False)
        assert np.bincount(folds).tolist() == [11] * 5
        assert len({int((labels[folds == fold] == 1).sum()) for fold in range(5)}) > 1
