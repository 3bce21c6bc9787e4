"""`DANN` beside a plain PyTorch computation of the paper's equations, and in Lightning's trainer on tiny domains."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, cast

import lightning.pytorch as pl
import pytest
import torch
from fake_domains import CLASSES, SGD, SIZE, domains, small_net, small_trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn

from labs import LabsError
from labs.datamodules.batches import Batch, DomainBatch, Unlabeled
from labs.datamodules.domains import Domains
from labs.functional.gradient_reversal import ReversalWeight
from labs.functional.schedules import inverse_decay, inverse_decay_factor
from labs.modules.dann import DANN
from labs.nets.domain_batch_norm import other_domain

Gradients = dict[str, Tensor]
DOUBLE = torch.float64


def constant(weight: float) -> ReversalWeight:
    return ReversalWeight(weight=weight, gamma=None)


def drawn_batch(count: int = 6) -> DomainBatch:
    draw, positions = torch.Generator().manual_seed(0), torch.arange(count)
    images = [torch.randn(count, 3, SIZE, SIZE, dtype=DOUBLE, generator=draw) for _ in range(2)]
    return DomainBatch(Batch(images[0], positions % CLASSES, positions), Unlabeled(images[1] + 1, positions))


def alone(weight: float, labeled: str = "source", **options: Any) -> DANN:
    """Build a module of double precision that takes a step without a trainer."""
    batch_norm = options.get("batch_norm") == "separate"
    module = DANN(
        net=small_net(batch_norm=batch_norm), num_classes=CLASSES, optimizer=SGD, reversal=constant(weight), **options
    ).double()
    data = domains(Path("unused"), labeled=labeled, normalization="half")
    data.setup("fit")
    cast(Any, module)._trainer = SimpleNamespace(datamodule=data, global_step=0, estimated_stepping_batches=10)
    cast(Any, module).log = lambda *_, **__: None
    return module


def step(module: DANN, batch: DomainBatch) -> tuple[Tensor, Gradients]:
    module.zero_grad()
    loss = module.training_step(batch, 0)
    loss.backward()
    found = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
    return loss.detach(), found


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return -(logits - logits.exp().sum(dim=1, keepdim=True).log())[torch.arange(len(labels)), labels].mean()


def by_hand(
    module: DANN, batch: DomainBatch, weight: float, features: Tensor | None = None
) -> tuple[Tensor, Gradients]:
    """Write equations 9 to 15 out: two losses, differentiated apart, and each gradient where it belongs."""
    net, head = cast(Any, module.net), module.domain_head
    if features is None:
        features = net.backbone(torch.cat([batch.labeled.images, batch.unlabeled.images]))
    labeled = len(batch.labeled.labels)
    label_loss = cross_entropy(net.label_head(features[:labeled]), batch.labeled.labels)
    said = head(features).sigmoid()  # the probability of the unlabelled domain
    domain_loss = -(1 - said[:labeled]).log().mean() - said[labeled:].log().mean()  # a mean over each domain

    gradients: Gradients = {}
    for prefix, of in (("net.backbone", net.backbone), ("net.label_head", net.label_head)):
        names, parameters = zip(*of.named_parameters(), strict=True)
        slopes = torch.autograd.grad(label_loss, parameters, retain_graph=True)
        gradients |= {f"{prefix}.{name}": slope for name, slope in zip(names, slopes, strict=True)}
    names, parameters = zip(*net.backbone.named_parameters(), strict=True)
    for name, slope in zip(names, torch.autograd.grad(domain_loss, parameters, retain_graph=True), strict=True):
        gradients[f"net.backbone.{name}"] = gradients[f"net.backbone.{name}"] - weight * slope
    names, parameters = zip(*head.named_parameters(), strict=True)
    slopes = torch.autograd.grad(domain_loss, parameters)
    gradients |= {f"domain_head.{name}": slope for name, slope in zip(names, slopes, strict=True)}
    return (label_loss + domain_loss).detach(), gradients


def assert_close(found: Gradients, expected: Gradients) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        assert torch.allclose(gradient, expected[name], rtol=1e-9, atol=1e-13), name


def measured_by(trainer: pl.Trainer, module: DANN, data: Domains) -> dict[str, float]:
    trainer.test(module, data, verbose=False)
    return {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith("test/")}


class TestStep:
    @pytest.mark.parametrize("weight", [-1.0, 0.0, 0.3, 1.0, 4.0])
    @pytest.mark.parametrize("hidden", [(), (100,), (9, 8)])
    def test_loss_and_gradients_are_the_papers(self, weight: float, hidden: tuple[int, ...]) -> None:
        module, batch = alone(weight, domain_hidden=hidden), drawn_batch()
        loss, found = step(module, batch)
        expected_loss, expected = by_hand(module, batch, weight)
        assert loss.item() == pytest.approx(expected_loss.item(), rel=1e-6)
        assert_close(found, expected)

    def test_lambda_zero_is_training_on_the_source_alone(self) -> None:
        module, batch = alone(0.0), drawn_batch()
        _, found = step(module, batch)
        logits = module.net(torch.cat([batch.labeled.images, batch.unlabeled.images]))
        loss = nn.functional.cross_entropy(logits[: len(batch.labeled.labels)], batch.labeled.labels)
        module.zero_grad()
        loss.backward()
        for name, parameter in module.net.named_parameters():
            assert torch.equal(found[f"net.{name}"], cast(Tensor, parameter.grad)), name
        module.zero_grad()  # and of a batch that never saw the target
        nn.functional.cross_entropy(module.net(batch.labeled.images), batch.labeled.labels).backward()
        for name, parameter in module.net.named_parameters():
            assert torch.allclose(found[f"net.{name}"], cast(Tensor, parameter.grad), rtol=1e-9, atol=1e-14), name

    def test_the_domain_head_learns_at_full_rate_whatever_lambda_is(self) -> None:
        batch = drawn_batch()
        seen = [step(alone(weight), batch)[1] for weight in (0.0, 0.3, -1.0, 1.0, 50.0)]
        for name in [name for name in seen[0] if name.startswith("domain_head")]:
            assert seen[0][name].abs().max() > 0
            assert all(torch.equal(one[name], seen[0][name]) for one in seen), name

    def test_lambda_is_applied_once_and_not_to_the_loss(self) -> None:
        batch = drawn_batch()
        losses, (none, some, all_) = zip(*(step(alone(weight), batch) for weight in (0.0, 0.5, 1.0)), strict=True)
        assert losses[0] == losses[1] == losses[2]
        moved = 0.0
        for name in none:
            assert torch.allclose(some[name] - none[name], 0.5 * (all_[name] - none[name]), rtol=1e-7, atol=1e-12), name
            moved += float((all_[name] - none[name]).abs().sum())
        assert moved > 0

    def test_the_label_head_hears_nothing_of_the_domains(self) -> None:
        one, other = drawn_batch(), drawn_batch()
        other = other._replace(unlabeled=other.unlabeled._replace(images=-other.unlabeled.images))
        found = [step(alone(1.0), batch)[1] for batch in (one, other)]
        for name in [name for name in found[0] if name.startswith("net.label_head")]:
            assert torch.equal(found[0][name], found[1][name]), name
        assert not torch.equal(found[0]["net.backbone.0.weight"], found[1]["net.backbone.0.weight"])

    @pytest.mark.parametrize("labeled", ["source", "target"])
    def test_separate_batch_norm_is_two_passes(self, labeled: str) -> None:
        module, batch = alone(0.3, labeled, batch_norm="separate"), drawn_batch()
        before = copy.deepcopy(module.net.state_dict())
        _, found = step(module, batch)
        after = copy.deepcopy(module.net.state_dict())
        module.net.load_state_dict(before)
        net = cast(Any, module.net)
        features = []
        for images, is_target in (
            (batch.labeled.images, labeled == "target"),
            (batch.unlabeled.images, labeled == "source"),
        ):
            with other_domain(net, is_target):
                features.append(net.backbone(images))
        assert_close(found, by_hand(module, batch, 0.3, torch.cat(features))[1])
        for name, tensor in net.state_dict().items():
            assert torch.allclose(tensor, after[name]), name
        mean = nn.functional.conv2d(
            batch.unlabeled.images, net.backbone[0].weight, net.backbone[0].bias
        ).mean(dim=(0, 2, 3))  # fmt: skip
        prefix = "other_running" if labeled == "source" else "running"
        assert torch.allclose(after[f"backbone.1.{prefix}_mean"], 0.1 * mean)

    def test_mixed_batch_norm_is_one_pass_over_both(self) -> None:
        module, batch = alone(0.3), drawn_batch()
        module.net = small_net(batch_norm=True).double()
        separate = alone(0.3, batch_norm="separate")
        separate.net.load_state_dict(module.net.state_dict(), strict=False)
        separate.domain_head.load_state_dict(module.domain_head.state_dict())
        _, found = step(module, batch)
        assert_close(found, by_hand(module, batch, 0.3)[1])
        _, apart = step(separate, batch)
        assert not torch.allclose(found["net.backbone.0.weight"], apart["net.backbone.0.weight"], rtol=1e-3)

    @pytest.mark.parametrize("domain", ["source", "target"])
    def test_predictions_use_the_statistics_of_their_domain(self, domain: str) -> None:
        module = alone(0.3, batch_norm="separate")
        step(module, drawn_batch())
        module.eval()
        images = drawn_batch().labeled.images
        with other_domain(module.net, domain == "target"):
            expected = module.net(images)
        assert torch.equal(module(images, domain), expected)
        assert torch.equal(module(images), module(images, "target"))
        assert not torch.equal(module(images, "source"), module(images, "target"))


class TestRefused:
    def test_a_target_that_comes_with_labels(self) -> None:
        batch = drawn_batch()
        with_labels = DomainBatch(batch.labeled, cast(Any, batch.labeled))
        with pytest.raises(LabsError, match="the target images have labels") as said:
            alone(1.0).training_step(with_labels, 0)
        assert "\n" not in str(said.value)

    def test_a_batch_of_one_domain(self) -> None:
        with pytest.raises(LabsError, match=r"needs images of two domains. Type datamodule=domains"):
            alone(1.0).training_step(cast(Any, drawn_batch().labeled), 0)

    def test_separate_statistics_of_a_net_without_any(self) -> None:
        with pytest.raises(LabsError, match=r"module\.batch_norm=separate: the net has no batch norm"):
            DANN(net=small_net(), num_classes=CLASSES, optimizer=SGD, batch_norm="separate")

    def test_statistics_apart_that_would_be_synchronised(self, tmp_path: Path) -> None:
        net = small_net(batch_norm=True)
        module = DANN(net=net, num_classes=CLASSES, optimizer=SGD, batch_norm="separate")
        module.net = nn.SyncBatchNorm.convert_sync_batchnorm(net)  # what trainer.sync_batchnorm=true does
        with pytest.raises(LabsError, match=r"trainer\.sync_batchnorm=true .* mixes the statistics of the domains"):
            small_trainer(tmp_path).fit(module, domains(tmp_path))

    def test_checkpoints_that_wait_for_another_practicals_metric(self, tmp_path: Path) -> None:
        module, best = DANN(net=small_net(), num_classes=CLASSES, optimizer=SGD), ModelCheckpoint(monitor="val/acc")
        trainer = small_trainer(tmp_path, callbacks=[best], enable_checkpointing=True)
        with pytest.raises(LabsError, match=r"callbacks=default does not work with two domains.*Leave callbacks= out"):
            trainer.fit(module, domains(tmp_path))

    def test_a_run_without_an_end(self, tmp_path: Path) -> None:
        module = DANN(net=small_net(), num_classes=CLASSES, optimizer=SGD)
        with pytest.raises(LabsError, match=r"trainer\.max_epochs=-1: lambda depends on the length of the run"):
            small_trainer(tmp_path, epochs=-1).fit(module, domains(tmp_path))


class Steps(pl.Callback):
    """Note progress, lambda and learning rate of every step."""

    def __init__(self) -> None:
        self.progress: list[float] = []
        self.rates: list[float] = []
        self.lambdas: list[float] = []

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        module = cast(DANN, pl_module)
        self.progress.append(module.progress)
        self.lambdas.append(module.reversal(module.progress))
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


class TestRun:
    def test_progress_lambda_and_rate_over_a_run(self, tmp_path: Path) -> None:
        steps = Steps()
        module = DANN(net=small_net(), num_classes=CLASSES, optimizer=SGD, scheduler=inverse_decay)
        trainer = small_trainer(tmp_path, epochs=2, callbacks=[steps])
        trainer.fit(module, domains(tmp_path))
        total = 2 * 7
        expected = [n / total for n in range(total)]
        assert steps.progress == pytest.approx(expected, rel=1e-12)
        assert steps.lambdas == pytest.approx([2 / (1 + 2.718281828459045 ** (-10 * p)) - 1 for p in expected])
        assert steps.rates == pytest.approx([0.02 * inverse_decay_factor(p, 10, 0.75) for p in expected])
        logged = sum(steps.lambdas[7:]) / 7
        assert trainer.callback_metrics["train/lambda"].item() == pytest.approx(logged, rel=1e-5)

    def test_a_schedule_of_epochs_steps_by_epochs(self, tmp_path: Path) -> None:
        steps, halve = Steps(), partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
        module = DANN(net=small_net(), num_classes=CLASSES, optimizer=SGD, scheduler=halve)
        small_trainer(tmp_path, epochs=2, callbacks=[steps]).fit(module, domains(tmp_path))
        assert steps.rates == [0.02] * 7 + [0.01] * 7

    def test_a_plateau_is_one_of_the_source(self, tmp_path: Path) -> None:
        steps = Steps()
        plateau = partial(
            torch.optim.lr_scheduler.ReduceLROnPlateau, patience=0, factor=0.5, threshold=9, threshold_mode="abs"
        )
        module = DANN(net=small_net(), num_classes=CLASSES, optimizer=SGD, scheduler=plateau)
        small_trainer(tmp_path, epochs=3, callbacks=[steps]).fit(module, domains(tmp_path))
        assert steps.rates == [0.02] * 14 + [0.01] * 7, "only the first is better than infinity by 9"

    @pytest.mark.parametrize("labeled", ["source", "target"])
    @pytest.mark.parametrize("batch_norm", ["mixed", "separate"])
    def test_metrics_equal_an_own_count(
        self, labeled: Literal["source", "target"], batch_norm: Any, tmp_path: Path
    ) -> None:
        net = small_net(batch_norm=True)
        module = DANN(net=net, num_classes=CLASSES, optimizer=SGD, reversal=constant(0.1), batch_norm=batch_norm)
        trainer, data = small_trainer(tmp_path, epochs=2), domains(tmp_path, labeled=labeled, batch_size=3)
        trainer.fit(module, data)
        seen = {name: value.item() for name, value in trainer.callback_metrics.items()}
        tested = measured_by(trainer, module, data)
        module.eval()
        for split, found in (("val", seen), ("test", tested)):
            right, told = {}, {}
            for domain in ("source", "target"):
                batch = data.batch(split, domain, torch.arange(data.count(split, domain)))  # type: ignore[arg-type]
                with torch.no_grad(), other_domain(net, domain == "target" and batch_norm == "separate"):
                    features = net.backbone(batch.images)
                    logits, says = net.label_head(features), module.domain_head(features) > 0
                right[domain] = (logits.argmax(dim=1) == batch.labels).float().mean().item()
                told[domain] = (says == (domain != labeled)).float().mean().item()
            target = {"val": "val/oracle_target_acc", "test": "test/target_acc"}[split]
            assert found[f"{split}/source_acc"] == pytest.approx(right["source"], abs=1e-6)
            assert found[target] == pytest.approx(right["target"], abs=1e-6)
            assert found[f"{split}/domain_acc"] == pytest.approx((told["source"] + told["target"]) / 2, abs=1e-6)
            shares = logits.softmax(dim=1)
            entropy = -(shares * shares.log()).sum(dim=1).mean().item()
            assert found[f"{split}/target_entropy"] == pytest.approx(entropy, rel=1e-4)
            assert f"{split}/target_density" in found
        assert "val/target_acc" not in seen, "in validation it is called an oracle"

    def test_without_the_reversal_the_domains_are_told_apart_and_the_source_is_learnt(self, tmp_path: Path) -> None:
        module = DANN(net=small_net(), num_classes=CLASSES, optimizer=SGD, reversal=constant(-1.0))
        trainer, data = small_trainer(tmp_path, epochs=6), domains(tmp_path)
        trainer.fit(module, data)
        tested = measured_by(trainer, module, data)
        assert tested["test/domain_acc"] > 0.9
        assert tested["test/source_acc"] > 0.9

    def test_predictions_are_handed_on_for_the_target_alone(self, tmp_path: Path) -> None:
        seen: list[tuple[int, Any]] = []

        class Kept(pl.Callback):
            def on_test_batch_end(self, *given: Any) -> None:  # trainer, module, outputs, batch, index, loader
                seen.append((given[5], given[2]))

        module = DANN(net=small_net(), num_classes=CLASSES, optimizer=SGD)
        data = domains(tmp_path, batch_size=2)
        small_trainer(tmp_path, callbacks=[Kept()]).test(module, data, verbose=False)
        assert all((outputs is None) == (loader == 0) for loader, outputs in seen)
        handed = [outputs for loader, outputs in seen if loader == 1]
        assert len(handed) > 1
        assert torch.equal(torch.cat([one["positions"] for one in handed]), torch.arange(28))
        batch = data.batch("test", "target", torch.arange(28))
        confidence, preds = module.eval()(batch.images).softmax(dim=1).max(dim=1)
        assert torch.equal(torch.cat([one["labels"] for one in handed]), batch.labels)
        assert torch.equal(torch.cat([one["preds"] for one in handed]), preds)
        assert torch.allclose(torch.cat([one["confidence"] for one in handed]), confidence)
