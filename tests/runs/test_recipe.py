"""One recipe, one identity: what counts, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from project import ROOT

from labs.runs.recipe import flat, is_part, key_of, normal_form, of_every_seed, typed_settings

# Callbacks of conf/callbacks/ that decide what is computed or measured. (`images` shows, but runs are known by it.)
COUNTED = (
    *("best", "by_oracle", "by_source_acc", "by_target_density", "by_target_entropy", "execution", "images", "last"),
    *("quality", "reseed", "selections", "variants"),
)
SETTINGS = {
    "experiment": "cub_full",
    "paths": {"data": "/here"},
    "callbacks": {"pictures": {"num_images": 16}, "best": {"monitor": "val/acc", "dirpath": "/here/checkpoints"}},
    "module": {"optimizer": {"lr": 0.1}, "scheduler": None},
}


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("module.optimizer.lr", True),
        ("seed", True),
        ("trainer.max_epochs", True),
        ("trainer.devices", True),  # more devices are a larger batch
        ("callbacks.best.monitor", True),
        ("callbacks.freeze", True),
        ("data", True),
        ("debug", True),
        ("feature_cache", False),
        ("callbacks.feature_cache.mode", False),
        ("logger", False),
        ("logger.tensorboard.save_dir", False),
        ("draw_architecture", False),
        ("callbacks.pictures.num_images", False),
        ("callbacks.best.dirpath", False),
        ("datamodule.source.folder", False),
        ("trainer.accelerator", False),
        ("+trainer.enable_progress_bar", False),
        ("hydra.run.dir", False),
        ("hydra/launcher", False),
        ("sweep.on_error", False),
        ("paths", False),
    ],
)
def test_what_is_part_of_a_recipe(name: str, part: bool) -> None:
    assert is_part(name) is part


def test_the_normal_form_says_what_counts_sorted_and_nothing_else() -> None:
    assert normal_form(SETTINGS, 3) == (
        "seed: 3\n---\n"
        "callbacks:\n  best:\n    monitor: val/acc\nexperiment: cub_full\nmodule:\n  optimizer:\n    lr: 0.1\n"
    )


def test_order_and_spelling_of_numbers_do_not_count() -> None:
    one = normal_form({"a": 1.0, "b": {"c": 2, "d": 0.5}}, 0)
    assert one == normal_form({"b": {"d": 0.5, "c": 2.0}, "a": 1}, 0)
    assert one != normal_form({"b": {"d": 0.5, "c": 2.5}, "a": 1}, 0)
    assert one != normal_form({"b": {"d": 0.5, "c": "2"}, "a": 1}, 0), "a word is no number"


def test_recipes_of_several_seeds_share_all_but_the_seed_and_the_start() -> None:
    texts = [normal_form(SETTINGS, 0, "abc"), normal_form(SETTINGS, 1, "def"), normal_form(SETTINGS, 1)]
    assert len({key_of(text) for text in texts}) == 3
    assert len({of_every_seed(text) for text in texts}) == 1
    assert flat(texts[0]) == {
        "callbacks.best.monitor": "val/acc",
        "experiment": "cub_full",
        "module.optimizer.lr": "0.1",
    }
    assert flat("") == {}


def test_a_weight_file_counts_by_its_content(tmp_path: Path) -> None:
    for name, content in (("a.pth", b"weights"), ("b.pth", b"weights"), ("c.pth", b"others")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (normal_form({"inception_weights": str(tmp_path / f"{name}.pth")}, 0) for name in "abc")
    assert a == b != c


def test_a_run_whose_net_is_asked_counts_by_its_weights(tmp_path: Path) -> None:
    for name, content in (("a", b"weights"), ("b", b"weights"), ("c", b"others")):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "checkpoints" / "best.ckpt").write_bytes(content)
    a, b, c = (normal_form({"module": {"judge": {"weights": str(tmp_path / name)}}}, 0) for name in "abc")
    assert a == b != c
    assert str(tmp_path) not in a
    assert "weights: imagenet" in normal_form({"module": {"judge": {"weights": "imagenet"}}}, 0)


def test_what_a_command_sets_beyond_the_words() -> None:
    command = (
        "python train.py -m experiment=cub_full seed=1 data=embedded freeze=layer1 +module.x=2 '~callbacks.best' "
        "paths.data=d logger=none trainer.devices=1 'module.optimizer.lr=0.1'"
    )
    assert typed_settings(command, ["freeze"]) == {"module.x": "2", "~callbacks.best": "", "module.optimizer.lr": "0.1"}
    assert typed_settings(command.replace("devices=1", "devices=2"), [])["trainer.devices"] == "2"
    assert typed_settings("python train.py 'a=1", []) == {"'a": "1"}


def test_every_callback_of_conf_is_known_to_change_numbers_or_not_to() -> None:
    """A new callback that only shows something is added to `SHOWN`; else it would tell runs apart that are the same."""
    files = sorted((ROOT / "conf" / "callbacks").rglob("*.yaml"))
    nodes = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]
    names = {name for node in nodes for name, value in node.items() if isinstance(value, dict)}
    assert {name for name in names if is_part(f"callbacks.{name}")} == set(COUNTED)
