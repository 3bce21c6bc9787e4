"""`PseudoLabel`: when labels are given and by what, what is learnt from them, and that nothing else is known."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import lightning.pytorch as pl
import pytest
import torch
from fake_domains import CLASSES, SGD, SIZE, domains, small_net, small_trainer
from torch import Tensor, nn

from labs import LabsError
from labs.callbacks.freeze import Freeze
from labs.datamodules.batches import Batch, Unlabeled
from labs.functional.gradient_reversal import ReversalWeight
from labs.functional.pseudo_labels import NO_LABEL, pseudo_labels
from labs.modules.dann import DANN
from labs.modules.pseudo_label import PseudoLabel
from labs.nets.domain_batch_norm import other_domain

NONE = ReversalWeight(weight=0.0, gamma=None)


def module(net: nn.Module | None = None, **options: Any) -> PseudoLabel:
    given = {"threshold": 0.4, "rounds": 2, "reversal": NONE, **options}
    return PseudoLabel(net=net or small_net(), num_classes=CLASSES, optimizer=SGD, **given)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a run with batch norm apart."""
    folder = tmp_path_factory.mktemp("start")
    dann = DANN(net=small_net(3, batch_norm=True), num_classes=CLASSES, optimizer=SGD, batch_norm="separate")
    trainer = small_trainer(folder, epochs=3)
    trainer.fit(dann, domains(folder))
    trainer.save_checkpoint(folder / "start.ckpt")
    return folder / "start.ckpt"


def with_epochs(epochs: int, **options: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"max_epochs": epochs, "fast_dev_run": False, "limit_train_batches": 1.0} | options)


class Watch(pl.Callback):
    """Before each epoch, say what labels the net would give; at its first batch, note the labels there are."""

    def __init__(self) -> None:
        self.given: list[Tensor] = []
        self.expected: list[Tensor] = []
        self.states: list[dict[str, Tensor]] = []
        self.momenta: list[int] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data, net = cast(Any, trainer).datamodule, copy.deepcopy(cast(Any, pl_module).net).eval()
        with torch.no_grad(), other_domain(net):
            logits = net(data.unlabeled_images(torch.arange(60)).images)
        self.expected.append(pseudo_labels(logits.softmax(dim=1), 0.4, balanced=True))

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, _: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            self.given.append(cast(Any, pl_module).pseudo.clone())
            self.states.append(copy.deepcopy(cast(Any, pl_module).net.state_dict()))
            self.momenta.append(len(trainer.optimizers[0].state))


class TestRounds:
    @pytest.mark.parametrize(
        ("start", "rounds", "epochs", "expected"),
        [
            (False, 2, 6, [0, 0, 1, 1, 2, 2]),
            (False, 4, 5, [0, 1, 2, 3, 4]),
            (False, 1, 4, [0, 0, 1, 1]),
            (False, 2, 7, [0, 0, 0, 1, 1, 2, 2]),
            (True, 2, 6, [1, 1, 1, 2, 2, 2]),
            (True, 3, 3, [1, 2, 3]),
            (True, 1, 2, [1, 1]),
        ],
    )
    def test_they_share_the_epochs(self, start: bool, rounds: int, epochs: int, expected: list[int]) -> None:
        pseudo = module(rounds=rounds)
        pseudo.warm_up = int(not start)
        cast(Any, pseudo)._trainer = with_epochs(epochs)
        assert [pseudo.round_of(epoch) for epoch in range(epochs)] == expected

    @pytest.mark.parametrize("epochs", range(3, 30))
    def test_none_is_left_out_and_none_is_much_longer(self, epochs: int) -> None:
        pseudo = module(rounds=2)
        cast(Any, pseudo)._trainer = with_epochs(epochs)
        seen = [pseudo.round_of(epoch) for epoch in range(epochs)]
        assert seen == sorted(seen)
        lengths = [seen.count(number) for number in range(3)]
        assert max(lengths) - min(lengths) <= 1

    def test_a_try_out_has_as_many_as_it_has_epochs(self) -> None:
        pseudo = module(rounds=9)
        cast(Any, pseudo)._trainer = with_epochs(3, limit_train_batches=2)
        assert [pseudo.round_of(epoch) for epoch in range(3)] == [0, 1, 2]

    def test_a_run_without_an_end(self) -> None:
        pseudo = module()
        cast(Any, pseudo)._trainer = with_epochs(-1)
        with pytest.raises(LabsError, match=r"trainer\.max_epochs=-1: the epochs are divided into rounds"):
            pseudo.round_of(0)

    def test_more_rounds_than_epochs(self, tmp_path: Path) -> None:
        with pytest.raises(LabsError, match=r"rounds=2: 2 epochs are too few for 3 rounds\. Type module\.rounds=1 or"):
            small_trainer(tmp_path, epochs=2).fit(module(), domains(tmp_path))

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"rounds": 0}, r"module\.rounds=0: expected 1 or more"),
            ({"threshold": 1.1}, r"module\.threshold=1\.1: expected a probability from 0 to 1"),
            ({"threshold": -0.1}, r"module\.threshold=-0\.1"),
            ({"start": "nowhere"}, "weights=nowhere"),
        ],
    )
    def test_what_makes_no_sense(self, wrong: dict[str, Any], said: str) -> None:
        with pytest.raises(LabsError, match=said) as refused:
            module(**wrong)
        assert "\n" not in str(refused.value)


class TestLabels:
    def test_the_first_round_has_none_and_the_others_those_of_the_net_in_eval_mode(self, tmp_path: Path) -> None:
        """The net has dropout and batch norm: in training mode it would say something else."""
        watch = Watch()
        pseudo = module(small_net(batch_norm=True, dropout=0.3), batch_norm="separate")
        small_trainer(tmp_path, epochs=6, callbacks=[watch]).fit(pseudo, domains(tmp_path))
        for epoch in (0, 1):
            assert watch.given[epoch].tolist() == [NO_LABEL] * 60
        for epoch in (2, 4):
            assert torch.equal(watch.given[epoch], watch.expected[epoch])
            assert torch.equal(watch.given[epoch + 1], watch.given[epoch])
            assert (watch.given[epoch] != NO_LABEL).any()
        assert not torch.equal(watch.given[4], watch.given[2])

    @pytest.mark.parametrize("labeled", ["source", "target"])
    def test_what_is_said_of_them(self, labeled: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        pseudo, data = module(threshold=0.0), domains(tmp_path, labeled=labeled)
        trainer = small_trainer(tmp_path, epochs=3)
        trainer.fit(pseudo, data)
        other = "target" if labeled == "source" else "source"
        count = data.count("train", other)  # type: ignore[arg-type]
        used = pseudo.pseudo != NO_LABEL
        assert len(used) == count
        share, precision = used.float().mean().item(), (pseudo.pseudo[used] == data._truth[used]).float().mean().item()
        assert pseudo.measured == pytest.approx({"round": 2, "pseudo_share": share, "pseudo_precision": precision})
        assert trainer.callback_metrics["train/pseudo_share"].item() == pytest.approx(share)
        said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Round ")]
        assert [line.split(":")[0] for line in said] == ["Round 1", "Round 2"]
        assert f"{share:.1%} of {count} {other} images labeled, {precision:.1%} of these correctly" in said[-1]
        trainer.test(pseudo, data, verbose=False)
        tested = {name: value.item() for name, value in trainer.callback_metrics.items()}
        assert tested["test/pseudo_share"] == pytest.approx(share)
        assert tested["test/pseudo_precision"] == pytest.approx(precision)

    def test_the_loss_is_a_mean_over_all_images_with_a_label(self) -> None:
        pseudo = module()
        pseudo.pseudo = torch.tensor([2, NO_LABEL, 0, NO_LABEL, 3])
        labeled = Batch(torch.zeros(3, 3, SIZE, SIZE), torch.tensor([1, 0, 3]), torch.arange(3))
        positions = torch.tensor([4, 1, 0, 3])  # labels 3, none, 2, none
        logits = torch.randn(7, CLASSES, generator=torch.Generator().manual_seed(0))
        shares = logits.double().softmax(dim=1)
        expected = -sum(shares[row, label].log() for row, label in ((0, 1), (1, 0), (2, 3), (3, 3), (5, 2))) / 5
        found = pseudo.label_loss(logits, labeled, Unlabeled(torch.zeros(4, 3, SIZE, SIZE), positions))
        assert found.item() == pytest.approx(float(expected), rel=1e-6)
        pseudo.pseudo = torch.full((5,), NO_LABEL)
        none = pseudo.label_loss(logits, labeled, Unlabeled(torch.zeros(4, 3, SIZE, SIZE), positions))
        assert torch.equal(none, nn.functional.cross_entropy(logits[:3], labeled.labels)), "as on the source alone"

    def test_nothing_certain_is_training_on_the_source_alone(self, tmp_path: Path) -> None:
        pseudo = module(threshold=1.0)
        small_trainer(tmp_path, epochs=3).fit(pseudo, domains(tmp_path))
        dann = DANN(net=small_net(), num_classes=CLASSES, optimizer=SGD, reversal=NONE)
        small_trainer(tmp_path, epochs=3).fit(dann, domains(tmp_path))
        assert (pseudo.pseudo == NO_LABEL).all()
        assert "pseudo_precision" not in pseudo.measured
        assert same(pseudo.state_dict(), dann.state_dict())

    def test_the_labels_of_the_data_are_never_used(self, tmp_path: Path) -> None:
        """With garbage in their place training is the same, bit for bit; only what is reported differs."""
        states, precisions = [], []
        for garbage in (False, True):
            data, pseudo = domains(tmp_path), module(small_net(batch_norm=True))
            data.setup("fit")
            if garbage:
                data._truth = torch.full_like(data._truth, 77)
            small_trainer(tmp_path, epochs=4).fit(pseudo, data)
            states.append({**pseudo.state_dict(), "pseudo": pseudo.pseudo})
            precisions.append(pseudo.measured["pseudo_precision"])
        assert same(*states)
        assert (states[0]["pseudo"] != NO_LABEL).any()
        assert precisions[1] == 0 < precisions[0]


class TestStart:
    def test_it_takes_head_and_statistics_of_both_domains(self, start: Path) -> None:
        pseudo = module(small_net(batch_norm=True), start=str(start), batch_norm="separate")
        saved = torch.load(start, weights_only=True)["state_dict"]
        expected = {name.removeprefix("net."): t for name, t in saved.items() if name.startswith("net.")}
        assert any("other_running" in name for name in expected)
        assert any(name.startswith("label_head") for name in expected)
        assert same(dict(pseudo.net.state_dict()), expected)

    def test_labels_are_there_from_the_first_epoch_on(self, start: Path, tmp_path: Path) -> None:
        watch = Watch()
        pseudo = module(small_net(batch_norm=True), start=str(start), batch_norm="separate")
        small_trainer(tmp_path, epochs=2, callbacks=[watch]).fit(pseudo, domains(tmp_path))
        assert (watch.given[0] != NO_LABEL).any()
        for given, expected in zip(watch.given, watch.expected, strict=True):
            assert torch.equal(given, expected)

    @pytest.mark.parametrize("restart", [True, False])
    def test_a_restart_goes_back_to_the_weights_of_the_start(self, restart: bool, start: Path, tmp_path: Path) -> None:
        watch = Watch()
        pseudo = module(small_net(batch_norm=True), start=str(start), batch_norm="separate", restart=restart)
        initial = copy.deepcopy(dict(pseudo.net.state_dict()))
        small_trainer(tmp_path, epochs=4, callbacks=[watch]).fit(pseudo, domains(tmp_path))
        back = [same(dict(state), initial) for state in watch.states]
        assert back == [True, False, restart, False]
        assert [momenta > 0 for momenta in watch.momenta] == [False, True, not restart, True]
        assert torch.equal(watch.given[2], watch.expected[2]), "labels come from the trained net, before it goes back"

    def test_a_restart_without_a_start_goes_back_to_the_random_ones(self, tmp_path: Path) -> None:
        watch, pseudo = Watch(), module(restart=True)
        initial = copy.deepcopy(dict(pseudo.net.state_dict()))
        small_trainer(tmp_path, epochs=3, callbacks=[watch]).fit(pseudo, domains(tmp_path))
        assert [same(dict(state), initial) for state in watch.states] == [True, True, True]

    def test_statistics_of_one_domain_start_both(self, tmp_path: Path) -> None:
        net = small_net(2, batch_norm=True)
        net(torch.rand(8, 3, SIZE, SIZE))
        torch.save(net.state_dict(), tmp_path / "plain.pt")
        pseudo = module(small_net(batch_norm=True), start=str(tmp_path / "plain.pt"), batch_norm="separate")
        assert torch.equal(pseudo.net.state_dict()["backbone.1.other_running_mean"], net.backbone[1].running_mean)

    def test_results_carry_that_target_labels_made_or_chose_the_start(self, start: Path, tmp_path: Path) -> None:
        for name, labels, expected in (
            ("honest", ["embedded data"], []),
            ("bound", ["embedded data", "trained on target labels"], ["trained on target labels"]),
        ):
            folder = tmp_path / name / "checkpoints"
            folder.mkdir(parents=True)
            facts = {"status": "finished", "metrics": {}, "labels": labels}
            (tmp_path / name / "metrics.json").write_text(json.dumps(facts))
            for file, more in (("last", []), ("by_oracle", ["start selected on target labels"])):
                shutil.copy(start, folder / f"{file}.ckpt")
                options = {"start": str(folder / f"{file}.ckpt"), "batch_norm": "separate"}
                assert module(small_net(batch_norm=True), **options).labels == expected + more
        assert module().labels == []

    @pytest.mark.parametrize("content", ["", '{"labels": ["trained on', "{}"])
    def test_a_start_whose_labels_nobody_can_read_is_refused(self, start: Path, tmp_path: Path, content: str) -> None:
        (tmp_path / "run" / "checkpoints").mkdir(parents=True)
        file = tmp_path / "run" / "checkpoints" / "last.ckpt"
        shutil.copy(start, file)
        (tmp_path / "run" / "metrics.json").write_text(content)
        with pytest.raises(LabsError, match=r"weights=\S+: \S+metrics\.json is missing, cut or without labels"):
            module(small_net(batch_norm=True), start=str(file), batch_norm="separate")


class TestCheckpoint:
    def test_it_keeps_the_labels(self, tmp_path: Path) -> None:
        pseudo, trainer = module(restart=True), small_trainer(tmp_path, epochs=3)
        trainer.fit(pseudo, domains(tmp_path))
        trainer.save_checkpoint(tmp_path / "some.ckpt")
        again = module(restart=True)
        again.on_load_checkpoint(torch.load(tmp_path / "some.ckpt", weights_only=True))
        assert torch.equal(again.pseudo, pseudo.pseudo)
        assert again.measured == pseudo.measured
        assert same(again.initial, pseudo.initial)

    def test_one_of_another_method_is_refused(self, start: Path) -> None:
        with pytest.raises(LabsError, match="the checkpoint has no pseudo-labels"):
            module().on_load_checkpoint(torch.load(start, weights_only=True))


def test_frozen_layers_stay_in_eval_mode_through_labelling(tmp_path: Path) -> None:
    """Freeze compares every frozen tensor, running statistics included, at the end."""
    modes: list[tuple[bool, bool, bool]] = []

    class Modes(pl.Callback):
        def on_train_batch_start(self, _t: Any, pl_module: pl.LightningModule, *_: Any) -> None:
            net = cast(Any, pl_module).net
            modes.append((net.backbone[1].training, net.backbone[5].training, net.label_head[0].training))

    pseudo = module(small_net(batch_norm=True, dropout=0.2))
    before = copy.deepcopy(dict(pseudo.net.backbone[1].state_dict()))  # type: ignore[index, union-attr, operator]
    freeze = Freeze(patterns=["backbone.0", "backbone.1"])
    small_trainer(tmp_path, epochs=4, callbacks=[freeze, Modes()]).fit(pseudo, domains(tmp_path))
    assert set(modes) == {(False, True, True)}
    assert same(dict(pseudo.net.backbone[1].state_dict()), before)  # type: ignore[index, union-attr, operator]
    assert (pseudo.pseudo != NO_LABEL).any()
