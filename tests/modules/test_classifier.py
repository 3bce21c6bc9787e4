import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import accuracy_score, log_loss
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader

from labs import LabsError
from labs.callbacks.freeze import Freeze
from labs.datamodules.batches import Batch
from labs.functional.schedules import warmup_cosine
from labs.modules.classifier import Classifier
from labs.nets.small_resnet import SmallResNet

CLASSES = 5
LENGTHS = (7, 7, 7, 1)  # a last batch of one image, which a mean over batches would count seven times
STILL = partial(torch.optim.SGD, lr=0.0)
SGD = partial(torch.optim.SGD, lr=0.1)


pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),  # of Lightning, about itself
    pytest.mark.filterwarnings("ignore:You defined a `validation_step`"),  # some runs here do not validate
]


def batches() -> list[Batch]:
    draw = torch.Generator().manual_seed(3)
    starts = np.cumsum((0, *LENGTHS[:-1]))
    return [
        Batch(
            torch.randn(length, 3, 2, 2, generator=draw),
            torch.randint(CLASSES, (length,), generator=draw),
            torch.arange(start, start + length),
        )
        for start, length in zip(starts, LENGTHS)
    ]


def loader() -> DataLoader[Any]:
    return DataLoader(batches(), batch_size=None)  # type: ignore[arg-type]


def linear_net() -> nn.Module:
    torch.manual_seed(4)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, CLASSES))


def classifier(net: nn.Module | None = None, **options: Any) -> Classifier:
    arguments: dict[str, Any] = {"net": net or linear_net(), "num_classes": CLASSES, "optimizer": STILL}
    return Classifier(**(arguments | options))


class Outputs(pl.Callback):
    """Keep what the steps return."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self.tested: list[dict[str, Tensor]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        self.losses.append(outputs["loss"].detach().clone())

    def on_test_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        self.tested.append(outputs)


def trainer_for(folder: Path, *callbacks: pl.Callback, epochs: int = 1) -> pl.Trainer:
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=list(callbacks),
    )


def everything(net: nn.Module) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities of all images, and their labels."""
    with torch.no_grad():
        probabilities = torch.cat([net(batch.images) for batch in batches()]).double().softmax(dim=1)
    return probabilities.numpy(), torch.cat([batch.labels for batch in batches()]).numpy()


class TestLoss:
    def losses(self, folder: Path, module: Classifier) -> list[float]:
        outputs = Outputs()
        trainer_for(folder, outputs).fit(module, loader(), loader())
        return [loss.item() for loss in outputs.losses]

    def test_it_is_torch_s_cross_entropy(self, tmp_path: Path) -> None:
        net = linear_net()
        expected = [F.cross_entropy(net(batch.images), batch.labels).item() for batch in batches()]
        assert self.losses(tmp_path, classifier(net)) == pytest.approx(expected, rel=1e-6)

    @pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
    def test_label_smoothing_is_the_formula_of_the_docstring(self, tmp_path: Path, smoothing: float) -> None:
        net = linear_net()
        expected = []
        for batch in batches():
            logits = net(batch.images).detach().double().numpy()
            log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            target = np.full_like(logits, smoothing / CLASSES)
            target[np.arange(len(logits)), batch.labels] += 1 - smoothing
            expected.append(-(target * log_probabilities).sum(axis=1).mean())
        assert self.losses(tmp_path, classifier(net, label_smoothing=smoothing)) == pytest.approx(expected, rel=1e-5)

    @pytest.mark.parametrize("smoothing", [-0.1, 1.0, math.nan])
    def test_a_share_outside_of_its_range(self, smoothing: float) -> None:
        with pytest.raises(LabsError, match=r"module\.label_smoothing"):
            classifier(label_smoothing=smoothing)

    def test_training_is_plain_gradient_descent(self, tmp_path: Path) -> None:
        ours, theirs = linear_net(), linear_net()
        optimizer = SGD(theirs.parameters())
        for batch in batches():
            optimizer.zero_grad()
            F.cross_entropy(theirs(batch.images), batch.labels).backward()
            optimizer.step()
        trainer_for(tmp_path).fit(classifier(ours, optimizer=SGD), loader())
        for mine, other in zip(ours.parameters(), theirs.parameters()):
            torch.testing.assert_close(mine, other, rtol=0, atol=1e-7)


class TestMetrics:
    def test_the_batches_tell_means_apart(self) -> None:
        probabilities, labels = everything(linear_net())
        right = np.split(probabilities.argmax(axis=1) == labels, np.cumsum(LENGTHS)[:-1])
        assert (
            abs(np.mean([part.mean() for part in right]) - accuracy_score(labels, probabilities.argmax(axis=1))) > 0.02
        )

    @pytest.mark.parametrize("stage", ["train", "val", "test"])
    def test_they_are_scikit_learn_s_over_all_images(self, tmp_path: Path, stage: str) -> None:
        net = linear_net()
        probabilities, labels = everything(net)
        trainer, module = trainer_for(tmp_path), classifier(net)
        if stage == "test":
            trainer.test(module, loader(), verbose=False)
        else:
            trainer.fit(module, loader(), loader())
        accuracy, loss = (trainer.callback_metrics[f"{stage}/{name}"].item() for name in ("acc", "loss"))
        assert accuracy == pytest.approx(accuracy_score(labels, probabilities.argmax(axis=1)), abs=1e-6)
        assert loss == pytest.approx(log_loss(labels, probabilities, labels=range(CLASSES)), rel=1e-6)

    def test_they_start_anew_each_epoch(self, tmp_path: Path) -> None:
        net = linear_net()
        probabilities, labels = everything(net)
        trainer = trainer_for(tmp_path, epochs=3)
        trainer.fit(classifier(net), loader(), loader())
        assert trainer.callback_metrics["val/loss"].item() == pytest.approx(
            log_loss(labels, probabilities, labels=range(CLASSES)), rel=1e-6
        )

    def test_evaluation_is_not_smoothed(self, tmp_path: Path) -> None:
        net = linear_net()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.mul_(5)  # sure of itself, so that smoothing costs
        probabilities, labels = everything(net)
        trainer = trainer_for(tmp_path)
        trainer.fit(classifier(net, label_smoothing=0.5), loader(), loader())
        plain = log_loss(labels, probabilities, labels=range(CLASSES))
        assert trainer.callback_metrics["val/loss"].item() == pytest.approx(plain, rel=1e-6)
        assert trainer.callback_metrics["train/loss"].item() != pytest.approx(plain, rel=1e-3)

    def test_predictions_are_handed_on(self, tmp_path: Path) -> None:
        net, outputs = linear_net(), Outputs()
        probabilities, labels = everything(net)
        trainer_for(tmp_path, outputs).test(classifier(net), loader(), verbose=False)
        joined = {name: torch.cat([output[name] for output in outputs.tested]).numpy() for name in outputs.tested[0]}
        assert joined["positions"].tolist() == list(range(sum(LENGTHS)))
        assert joined["labels"].tolist() == labels.tolist()
        assert joined["preds"].tolist() == probabilities.argmax(axis=1).tolist()
        np.testing.assert_allclose(joined["confidence"], probabilities.max(axis=1), rtol=1e-5)

    def test_another_number_of_logits_is_not_counted(self) -> None:
        module = classifier(num_classes=CLASSES - 1)
        with pytest.raises(LabsError, match=f"Type module.num_classes={CLASSES}"):
            module.validation_step(batches()[0], 0)


class TestLearningRates:
    def net(self) -> SmallResNet:
        return SmallResNet(num_classes=CLASSES, width=4, blocks=1)

    def rates(self, net: nn.Module, lr_scale: Mapping[str, float], **options: Any) -> dict[str, float]:
        """Return the learning rate of each parameter by name; none may be there twice."""
        optimizer = classifier(net, optimizer=SGD, lr_scale=lr_scale, **options).configure_optimizers()["optimizer"]
        names = {id(parameter): name for name, parameter in net.named_parameters()}
        rates = [(names[id(p)], group["lr"]) for group in optimizer.param_groups for p in group["params"]]
        assert len({name for name, _ in rates}) == len(rates)
        return dict(rates)

    def test_without_scales_there_is_one_group(self) -> None:
        net = self.net()
        assert self.rates(net, {}) == {name: 0.1 for name, _ in net.named_parameters()}

    def test_each_pattern_has_its_rate_and_the_rest_the_full_one(self) -> None:
        net = self.net()
        rates = self.rates(net, {"layer1": 0.01, "stem": 0.001, "head": 10})
        for name, _ in net.named_parameters():
            factor = (
                0.01
                if name.startswith("layer1.")
                else 0.001
                if name == "conv1.weight"
                else 10
                if name.startswith("fc.")
                else 1
            )
            assert rates.pop(name) == pytest.approx(0.1 * factor)
        assert rates == {}

    def test_the_first_pattern_that_matches_counts(self) -> None:
        net = self.net()
        rates = self.rates(net, {"layer1.0.conv1": 0.5, "layer1": 0.2, "backbone": 0.1, "*": 3})
        for name, _ in net.named_parameters():
            expected = (
                0.5
                if name.startswith("layer1.0.conv1.")
                else 0.2
                if name.startswith("layer1.")
                else 3
                if name.startswith("fc.")
                else 0.1
            )
            assert rates[name] == pytest.approx(0.1 * expected), name
        turned = self.rates(net, {"*": 3, "layer1": 0.2})
        assert list(turned.values()) == pytest.approx([0.3] * len(turned))

    def test_frozen_parameters_are_absent(self) -> None:
        net = self.net()
        net.layer1.requires_grad_(False)
        net.conv1.requires_grad_(False)
        rates = self.rates(net, {"layer1": 0.5, "layer2": 0.5})
        assert set(rates) == {name for name, _ in net.named_parameters() if not name.startswith(("layer1", "conv1"))}

    def test_the_first_group_has_the_full_rate(self) -> None:
        # What is logged as the run's learning rate is that of the first group.
        optimizer = classifier(
            self.net(), optimizer=SGD, lr_scale={"backbone": 0.5, "fc.bias": 2}
        ).configure_optimizers()["optimizer"]
        assert optimizer.param_groups[0]["lr"] == 0.1

    def test_a_step_moves_each_part_at_its_rate(self, tmp_path: Path) -> None:
        net, still = linear_net(), linear_net()
        F.cross_entropy(still(batches()[0].images), batches()[0].labels).backward()
        module = classifier(net, optimizer=SGD, lr_scale={"*.bias": 0.25})
        trainer_for(tmp_path).fit(module, DataLoader(batches()[:1], batch_size=None))  # type: ignore[arg-type]
        for name, parameter in net.named_parameters():
            old = still.get_parameter(name)
            assert old.grad is not None
            torch.testing.assert_close(
                parameter, old - 0.1 * (0.25 if name.endswith("bias") else 1) * old.grad, rtol=0, atol=1e-7
            )

    def test_a_schedule_keeps_the_proportions(self, tmp_path: Path) -> None:
        seen: list[list[float]] = []

        class Rates(pl.Callback):
            def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
                seen.append([group["lr"] for group in trainer.optimizers[0].param_groups])

        schedule = partial(warmup_cosine, warmup_epochs=1, max_epochs=4)
        module = classifier(optimizer=SGD, scheduler=schedule, lr_scale={"*.bias": 0.01})
        trainer_for(tmp_path, Rates(), epochs=4).fit(module, loader())
        assert [full for full, _ in seen] == pytest.approx([0.05, 0.1, 0.075, 0.025])
        assert all(scaled == pytest.approx(0.01 * full) for full, scaled in seen)

    def test_a_plateau_is_seen_in_the_validation_loss(self, tmp_path: Path) -> None:
        plateau = partial(ReduceLROnPlateau, factor=0.5, patience=0, threshold=10, threshold_mode="abs")
        module = classifier(optimizer=SGD, scheduler=plateau)
        trainer = trainer_for(tmp_path, epochs=4)
        trainer.fit(module, loader(), loader())  # no epoch gains 10: each but the first halves the rate
        assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.1 / 8)


class TestMistakes:
    @pytest.mark.parametrize(
        "optimizer",
        [
            partial(torch.optim.SGD, lr=-1),
            partial(torch.optim.SGD, lr=0.1, momentum=-1),
            partial(torch.optim.Adam, betas=(2.0, 0.9)),
        ],
    )
    def test_a_bad_optimizer_fails_at_construction(self, optimizer: Callable[..., torch.optim.Optimizer]) -> None:
        with pytest.raises(ValueError, match="Invalid"):
            classifier(optimizer=optimizer)

    def test_a_bad_schedule_fails_at_construction(self) -> None:
        with pytest.raises(ValueError, match="warmup_epochs=-1"):
            classifier(scheduler=partial(warmup_cosine, warmup_epochs=-1, max_epochs=3))

    def test_a_pattern_that_matches_nothing_fails_at_construction(self) -> None:
        with pytest.raises(LabsError, match=r"module\.lr_scale: 'layer1' matches no parameter"):
            classifier(lr_scale={"layer1": 0.1})

    def test_a_negative_scale_is_refused(self) -> None:
        with pytest.raises((LabsError, ValueError)):
            classifier(optimizer=SGD, lr_scale={"head": -0.1})


def test_weights_alone_are_saved(tmp_path: Path) -> None:
    # Metric objects hold sums of the epoch; they are not what a later run continues from.
    assert all(name.startswith("net.") for name in classifier().state_dict())


class Waits(TorchDispatchMode):
    """Write down the operations that hand a value to Python: on a GPU each would wait for all that came before."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "_unique2", "masked_select"):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def small_batch() -> Batch:
    return Batch(torch.rand(6, 3, 16, 16), torch.arange(6) % CLASSES, torch.arange(6))


class TestWhatAStepDoesNot:
    def module(self, monkeypatch: pytest.MonkeyPatch) -> Classifier:
        module = classifier(SmallResNet(num_classes=CLASSES, width=4, blocks=1), optimizer=SGD)
        monkeypatch.setattr(module, "log_dict", lambda *arguments, **options: None)
        return module

    def test_the_mode_sees_what_waits(self) -> None:
        with Waits() as waits:
            _ = torch.rand(3).sum().item()
        assert waits.found == ["_local_scalar_dense"]

    @pytest.mark.parametrize("step", ["training_step", "validation_step", "test_step"])
    def test_it_waits_for_no_value(self, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
        module, batch = self.module(monkeypatch), small_batch()
        with Waits() as waits:
            for index in range(3):
                getattr(module, step)(batch, index)
        assert waits.found == []

    def test_it_logs_once_an_epoch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module, calls = self.module(monkeypatch), []
        monkeypatch.setattr(module, "log_dict", lambda metrics, **options: calls.append(sorted(metrics)))
        for index in range(4):
            module.training_step(small_batch(), index)
        assert calls == [["train/acc", "train/loss"]]

    def test_backward_has_nothing_of_a_frozen_front(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module = self.module(monkeypatch)
        Freeze(patterns=["conv1", "bn1", "layer1", "layer2"]).apply(module.net, epoch=0)
        waiting, kernels = [module.training_step(small_batch(), 0).grad_fn], 0
        while waiting:
            node = waiting.pop()
            if node is not None:
                kernels += node.name() == "ConvolutionBackward0"
                waiting += [source for source, _ in node.next_functions]
        trained = [m for m in module.net.layer3.modules() if isinstance(m, nn.Conv2d)]  # type: ignore[union-attr, operator]
        assert kernels == len(trained) == 3
