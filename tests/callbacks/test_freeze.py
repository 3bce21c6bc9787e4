import hashlib
from collections.abc import Callable, Iterable
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from labs import LabsError
from labs.callbacks.freeze import Freeze, digests
from labs.datamodules.batches import Batch
from labs.modules.classifier import Classifier
from labs.nets.small_resnet import SmallResNet
from labs.nets.torchvision_nets import build_net

# Weight decay and momentum move whatever an optimizer gets hold of, even without a gradient of its own.
SGD = partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.01)
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
State = dict[str, Tensor]


pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),  # of Lightning, about itself
    pytest.mark.filterwarnings("ignore:Found .* in eval mode"),  # what freezing is for
]


class Data(pl.LightningDataModule):
    """Three batches of four random images of three classes, the same in every epoch."""

    def __init__(self, size: int = 8) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        images, labels = torch.rand(12, 3, size, size, generator=draw), torch.arange(12) % 3
        self.batches = [Batch(images[i : i + 4], labels[i : i + 4], torch.arange(i, i + 4)) for i in (0, 4, 8)]

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.batches, batch_size=None)  # type: ignore[arg-type]

    val_dataloader = train_dataloader


class Spy(pl.Callback):
    """Stand behind Freeze and note the net's state around each epoch, and the modes in every training step."""

    def __init__(self) -> None:
        self.before: list[State] = []
        self.after: list[State] = []
        self.trainable: list[set[str]] = []
        self.modes: list[dict[str, bool]] = []  # one a step: whether each layer is in training mode
        self.optimized: set[int] = set()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.optimized = {id(p) for group in trainer.optimizers[0].param_groups for p in group["params"]}

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.before.append(state_of(pl_module.net))
        net: Any = pl_module.net
        self.trainable.append({name for name, p in net.named_parameters() if p.requires_grad})

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        net: Any = pl_module.net
        self.modes.append({name: layer.training for name, layer in net.named_modules()})

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.after.append(state_of(pl_module.net))

    def changed(self, epoch: int) -> set[str]:
        before, after = self.before[epoch], self.after[epoch]
        return {name for name in before if not torch.equal(before[name], after[name])}


class Tamper(pl.Callback):
    """Change a tensor of the net in one epoch, by one unit in the last place."""

    def __init__(self, name: str, epoch: int = 0) -> None:
        self.name, self.epoch = name, epoch

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if trainer.current_epoch == self.epoch:
            tensor = state_of(pl_module.net, copy=False)[self.name]
            tensor.view(-1)[0] = (
                torch.nextafter(tensor.view(-1)[0], torch.tensor(torch.inf)) if tensor.is_floating_point() else 77
            )


def state_of(net: Any, copy: bool = True) -> State:
    return {name: tensor.detach().clone() if copy else tensor.detach() for name, tensor in net.state_dict().items()}


def small_net() -> SmallResNet:
    torch.manual_seed(1)
    return SmallResNet(num_classes=3, width=4, blocks=1)


def trainer_for(folder: Path, callbacks: Iterable[pl.Callback], epochs: int = 1, **options: Any) -> pl.Trainer:
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        default_root_dir=folder,
        callbacks=list(callbacks),
        **(quiet | options),
    )


def train(folder: Path, net: nn.Module, freeze: Freeze, epochs: int = 1, size: int = 8, **options: Any) -> Spy:
    spy = Spy()
    classes = options.pop("num_classes", 3)
    trainer_for(folder, [freeze, spy], epochs, **options).fit(
        Classifier(net=net, num_classes=classes, optimizer=SGD), Data(size)
    )
    return spy


def batch_norms(net: nn.Module) -> list[str]:
    return [name for name, layer in net.named_modules() if isinstance(layer, nn.BatchNorm2d)]


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Freeze, Spy, Path]:
    folder = tmp_path_factory.mktemp("probe")
    net, freeze = build_net(name="resnet18", num_classes=200), Freeze(patterns=["backbone"])
    return net, freeze, train(folder, net, freeze, size=32, num_classes=200), folder


class TestLinearProbe:
    def test_resnet18_trains_102600_parameters(self, probe: tuple[nn.Module, Freeze, Spy, Path]) -> None:
        net, _, spy, folder = probe
        assert sum(p.numel() for p in net.parameters() if p.requires_grad) == 102_600
        assert spy.optimized == {id(p) for p in net.get_submodule("fc").parameters()}
        words = (folder / "freeze.txt").read_text().split()
        assert "102,600" in words
        assert f"{11_279_112 - 102_600:,}" in words

    def test_all_but_the_head_is_bit_identical_buffers_too(self, probe: tuple[nn.Module, Freeze, Spy, Path]) -> None:
        net, freeze, spy, _ = probe
        assert spy.changed(0) == {"fc.weight", "fc.bias"}
        assert set(freeze.digests) == set(net.state_dict()) - {"fc.weight", "fc.bias"}

    def test_every_batch_norm_is_in_eval_mode_in_every_step(self, probe: tuple[nn.Module, Freeze, Spy, Path]) -> None:
        net, _, spy, _ = probe
        assert len(spy.modes) == 3
        assert len(batch_norms(net)) == 20
        assert not any(modes[name] for modes in spy.modes for name in batch_norms(net))

    def test_it_is_softmax_regression_on_fixed_features(self, tmp_path: Path) -> None:
        # An oracle without the callback: the features once, in eval mode, then a linear layer and torch's own SGD.
        net, data = small_net(), Data()
        head = nn.Linear(16, 3)
        head.load_state_dict(net.fc.state_dict())
        features: list[Tensor] = []
        net.fc.register_forward_hook(lambda _, inputs, __: features.append(inputs[0].detach()))
        net.eval()
        with torch.no_grad():
            for batch in data.batches:
                net(batch.images)
        optimizer, fixed = SGD(head.parameters()), list(features)
        for _ in range(2):
            for inputs, batch in zip(fixed, data.batches, strict=True):
                optimizer.zero_grad()
                F.cross_entropy(head(inputs), batch.labels).backward()
                optimizer.step()
        net.train()
        train(tmp_path, net, Freeze(patterns=["backbone"]), epochs=2)
        torch.testing.assert_close(net.fc.weight, head.weight, rtol=0, atol=1e-6)
        torch.testing.assert_close(net.fc.bias, head.bias, rtol=0, atol=1e-6)


class TestOneEpoch:
    @pytest.mark.parametrize(
        "patterns",
        [
            ["stem"],
            ["layer1"],
            ["conv1", "bn1", "layer1"],
            ["layer2.0.conv?"],
            ["head"],
            ["convs"],
            ["fc.bias"],
            [],
        ],
    )
    def test_what_is_frozen_stays_and_all_else_moves(self, tmp_path: Path, patterns: list[str]) -> None:
        net, freeze = small_net(), Freeze(patterns=patterns)
        frozen = freeze.frozen_parameters(net, 0)
        whole = {name for name in batch_norms(net) if f"{name}.weight" in frozen}
        still = frozen | {f"{name}.{buffer}" for name in whole for buffer in BUFFERS}
        spy = train(tmp_path, net, freeze)
        assert spy.changed(0) == set(net.state_dict()) - still
        assert set(freeze.digests) == still

    def test_resnet18_through_layer1(self, tmp_path: Path) -> None:
        net = build_net(name="resnet18", num_classes=3)
        spy = train(tmp_path, net, Freeze(patterns=["conv1", "bn1", "layer1"]), size=32)
        assert spy.changed(0) == {name for name in net.state_dict() if not name.startswith(("conv1", "bn1", "layer1"))}


class TestBatchNorm:
    def test_train_moves_the_statistics_but_not_the_weights(self, tmp_path: Path) -> None:
        net = small_net()
        spy = train(tmp_path, net, Freeze(patterns=["backbone"], batch_norm="train"))
        buffers = {f"{name}.{buffer}" for name in batch_norms(net) for buffer in BUFFERS}
        assert spy.changed(0) == buffers | {"fc.weight", "fc.bias"}
        assert all(modes[name] for modes in spy.modes for name in batch_norms(net))

    def test_affine_trains_weight_and_bias_but_keeps_the_statistics(self, tmp_path: Path) -> None:
        net = small_net()
        spy = train(tmp_path, net, Freeze(patterns=["backbone"], batch_norm="affine"))
        affine = {f"{name}.{part}" for name in batch_norms(net) for part in ("weight", "bias")}
        assert spy.changed(0) == spy.trainable[0] == affine | {"fc.weight", "fc.bias"}
        assert not any(modes[name] for modes in spy.modes for name in batch_norms(net))

    @pytest.mark.parametrize("batch_norm", ["eval", "affine", "train"])
    def test_batch_norm_outside_of_the_policy_trains(self, tmp_path: Path, batch_norm: Any) -> None:
        net = small_net()
        spy = train(tmp_path, net, Freeze(patterns=["layer1"], batch_norm=batch_norm))
        assert {name for name in net.state_dict() if not name.startswith("layer1")} <= spy.changed(0)

    def test_validation_within_the_epoch_does_not_wake_it(self, tmp_path: Path) -> None:
        net = small_net()
        spy = train(
            tmp_path,
            net,
            Freeze(patterns=["backbone"]),
            epochs=2,
            val_check_interval=1,
            num_sanity_val_steps=2,
        )
        assert len(spy.modes) == 6
        assert not any(modes[name] for modes in spy.modes for name in batch_norms(net))
        assert spy.changed(0) | spy.changed(1) == {"fc.weight", "fc.bias"}


class Dropping(nn.Sequential):
    """A net in the shape of AlexNet: dropout before each of two linear layers, none before the head."""

    def __init__(self) -> None:
        torch.manual_seed(2)
        features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
        classifier = nn.Sequential(
            nn.Dropout(),
            nn.Linear(16, 8),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(8, 8),
            nn.ReLU(),
            nn.Linear(8, 3),
        )
        super().__init__(features, nn.Flatten(), classifier)


class TestDropout:
    def modes(self, name: str, patterns: list[str]) -> dict[str, bool]:
        with torch.device("meta"):
            net = build_net(name=name, num_classes=200)
        Freeze(patterns=patterns).apply(net, 0)
        return {n: layer.training for n, layer in net.named_modules() if isinstance(layer, nn.Dropout)}

    @pytest.mark.parametrize(
        ("patterns", "fc6", "fc7"),
        [
            ([], True, True),
            (["features"], True, True),  # what drops feeds layers that train
            (["features", "classifier.1"], False, True),
            (["backbone"], False, False),
            (["features", "classifier.1", "classifier.4"], False, False),
            (["classifier.4"], True, False),
            (["classifier.1.weight"], True, True),  # the layer's bias still trains
        ],
    )
    def test_alexnet(self, patterns: list[str], fc6: bool, fc7: bool) -> None:
        assert self.modes("alexnet", patterns) == {"classifier.0": fc6, "classifier.3": fc7}

    def test_vgg16_drops_before_its_head(self) -> None:
        assert self.modes("vgg16", ["backbone"]) == {"classifier.2": False, "classifier.5": True}

    @pytest.mark.parametrize(
        ("patterns", "on"), [(["backbone"], True), ([], True), (["features"], True), (["head"], False)]
    )
    def test_squeezenet(self, patterns: list[str], on: bool) -> None:
        assert self.modes("squeezenet1_0", patterns) == {"classifier.0": on}

    def test_in_every_step_of_a_run(self, tmp_path: Path) -> None:
        freeze = Freeze(patterns=["0", "2.1", "2.4"], unfreeze={1: ["2.4"]})
        spy = train(tmp_path, Dropping(), freeze, epochs=2, val_check_interval=1)
        assert [(modes["2.0"], modes["2.3"]) for modes in spy.modes] == [(False, False)] * 3 + [(False, True)] * 3


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Freeze, Spy]:
    """Three epochs, of which the second and the third set a part free."""
    net, freeze = small_net(), Freeze(patterns=["backbone"], unfreeze={1: ["layer3"], 2: ["layer2", "layer1.0.conv1"]})
    return net, freeze, train(tmp_path_factory.mktemp("run"), net, freeze, epochs=3)


class TestUnfreezing:
    def test_each_part_changes_from_its_epoch_on(self, run: tuple[nn.Module, Freeze, Spy]) -> None:
        net, _, spy = run
        head = {"fc.weight", "fc.bias"}
        layer3 = {name for name in net.state_dict() if name.startswith("layer3.")}
        layer2 = {name for name in net.state_dict() if name.startswith("layer2.")}
        assert spy.changed(0) == head
        assert spy.changed(1) == head | layer3
        assert spy.changed(2) == head | layer3 | layer2 | {"layer1.0.conv1.weight"}

    def test_batch_norm_wakes_with_its_layer(self, run: tuple[nn.Module, Freeze, Spy]) -> None:
        net, _, spy = run
        for step, modes in enumerate(spy.modes):
            awake = {name for name in batch_norms(net) if modes[name]}
            assert awake == {
                name for name in batch_norms(net) if name.startswith([(), ("layer3",), ("layer3", "layer2")][step // 3])
            }

    def test_the_optimizer_holds_all_that_will_train_from_the_start(self, run: tuple[nn.Module, Freeze, Spy]) -> None:
        net, _, spy = run
        expected = {
            n
            for n, _ in net.named_parameters()
            if n.startswith(("layer3.", "layer2.", "fc.")) or n == "layer1.0.conv1.weight"
        }
        assert {name for name, p in net.named_parameters() if id(p) in spy.optimized} == expected
        assert spy.trainable[2] == expected
        assert spy.trainable[0] == {"fc.weight", "fc.bias"}

    def test_what_stays_frozen_is_still_watched(self, run: tuple[nn.Module, Freeze, Spy]) -> None:
        net, freeze, spy = run
        assert set(freeze.digests) == set(net.state_dict()) - spy.changed(2)
        assert freeze.digests == digests(net, set(freeze.digests))

    def test_it_is_a_pure_function_of_the_epoch(self) -> None:
        freeze = Freeze(patterns=["backbone"], unfreeze={2: ["layer3"], 1: ["layer2"]})
        expected = []
        for epoch in range(3):
            net = small_net()
            freeze.apply(net, epoch)
            expected.append(
                (
                    {n for n, p in net.named_parameters() if p.requires_grad},
                    [m.training for m in net.modules()],
                )
            )
        assert len({len(trainable) for trainable, _ in expected}) == 3
        for order in permutations(range(3)):
            net = small_net()
            for epoch in order:
                freeze.apply(net, epoch)
                assert (
                    {n for n, p in net.named_parameters() if p.requires_grad},
                    [m.training for m in net.modules()],
                ) == expected[epoch]

    def test_affine_batch_norm_keeps_its_statistics_until_its_epoch(self, tmp_path: Path) -> None:
        net = small_net()
        spy = train(
            tmp_path,
            net,
            Freeze(patterns=["backbone"], batch_norm="affine", unfreeze={1: ["layer3"]}),
            epochs=2,
        )
        moved = [{name for name in spy.changed(epoch) if name.endswith(BUFFERS)} for epoch in (0, 1)]
        assert moved == [
            set(),
            {name for name in net.state_dict() if name.startswith("layer3.") and name.endswith(BUFFERS)},
        ]

    @pytest.mark.parametrize(
        ("unfreeze", "message"),
        [
            ({0: ["layer3"]}, "'0' is not an epoch"),
            ({True: ["layer3"]}, "'True' is not an epoch"),
            ({"1": ["layer3"]}, "'1' is not an epoch"),
            ({1: "layer3"}, "expected a list of patterns"),
            ({1: [3]}, "expected a list of patterns"),
        ],
    )
    def test_mistakes(self, unfreeze: dict[Any, Any], message: str) -> None:
        with pytest.raises(LabsError, match=message):
            Freeze(patterns=["backbone"], unfreeze=unfreeze)

    def test_nothing_frozen_to_unfreeze(self) -> None:
        with pytest.raises(LabsError, match="freeze=backbone"):
            Freeze(unfreeze={1: ["layer3"]})

    def test_unfreezing_what_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(LabsError, match=r"freeze\.unfreeze: 'layer9' matches no parameter"):
            train(tmp_path, small_net(), Freeze(patterns=["backbone"], unfreeze={1: ["layer9"]}), epochs=2)

    def test_unfreezing_what_is_not_frozen(self, tmp_path: Path) -> None:
        with pytest.raises(LabsError, match=r"freeze\.unfreeze"):
            train(tmp_path, small_net(), Freeze(patterns=["layer1"], unfreeze={1: ["layer3"]}), epochs=2)


class TestNothingLeft:
    @pytest.mark.parametrize("patterns", [["*"], ["backbone", "head"]])
    def test_everything_frozen(self, tmp_path: Path, patterns: list[str]) -> None:
        with pytest.raises(LabsError, match=r"every parameter is frozen.*freeze=backbone"):
            train(tmp_path, small_net(), Freeze(patterns=patterns))

    def test_everything_but_affine_batch_norm(self, tmp_path: Path) -> None:
        net = small_net()
        spy = train(tmp_path, net, Freeze(patterns=["*"], batch_norm="affine"))
        assert spy.changed(0) == {f"{name}.{part}" for name in batch_norms(net) for part in ("weight", "bias")}

    def test_everything_frozen_at_first(self, tmp_path: Path) -> None:
        try:
            train(tmp_path, small_net(), Freeze(patterns=["*"], unfreeze={1: ["fc"]}), epochs=2)
        except RuntimeError as error:
            pytest.fail(str(error))
        except LabsError as error:
            assert "freeze" in str(error)  # noqa: PT017 - idling through the epoch would do as well

    def test_a_pattern_that_matches_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(LabsError, match=r"freeze\.patterns: 'layer9' matches no parameter"):
            train(tmp_path, small_net(), Freeze(patterns=["layer9"]))


class TestTampering:
    @pytest.mark.parametrize(
        "name", ["conv1.weight", "layer2.0.bn1.bias", "layer1.0.bn2.running_mean", "bn1.num_batches_tracked"]
    )
    def test_one_bit_of_a_frozen_tensor_is_noticed(self, tmp_path: Path, name: str) -> None:
        trainer = trainer_for(tmp_path, [Freeze(patterns=["backbone"]), Tamper(name)])
        with pytest.raises(RuntimeError, match=f"1 frozen tensors changed during training, such as {name}"):
            trainer.fit(Classifier(net=small_net(), num_classes=3, optimizer=SGD), Data())

    def test_it_is_noticed_before_the_layer_is_set_free(self, tmp_path: Path) -> None:
        freeze = Freeze(patterns=["backbone"], unfreeze={1: ["layer3"]})
        trainer = trainer_for(tmp_path, [freeze, Tamper("layer3.0.conv1.weight")], epochs=2)
        with pytest.raises(RuntimeError, match=r"layer3\.0\.conv1\.weight"):
            trainer.fit(Classifier(net=small_net(), num_classes=3, optimizer=SGD), Data())
        assert trainer.current_epoch == 1

    @pytest.mark.parametrize(
        ("name", "epoch"), [("fc.weight", 0), ("layer3.0.conv1.weight", 1), ("layer3.0.bn1.running_var", 1)]
    )
    def test_what_trains_may_change(self, tmp_path: Path, name: str, epoch: int) -> None:
        freeze = Freeze(patterns=["backbone"], unfreeze={1: ["layer3"]})
        trainer_for(tmp_path, [freeze, Tamper(name, epoch)], epochs=2).fit(
            Classifier(net=small_net(), num_classes=3, optimizer=SGD), Data()
        )

    def test_statistics_may_run_where_the_policy_says_so(self, tmp_path: Path) -> None:
        freeze = Freeze(patterns=["backbone"], batch_norm="train")
        trainer_for(tmp_path, [freeze, Tamper("bn1.running_mean")]).fit(
            Classifier(net=small_net(), num_classes=3, optimizer=SGD), Data()
        )


class TestResume:
    def freeze(self) -> Freeze:
        return Freeze(patterns=["backbone"], unfreeze={1: ["layer3"]})

    def first_epoch(self, folder: Path) -> Path:
        trainer = trainer_for(folder, [self.freeze()])
        trainer.fit(Classifier(net=small_net(), num_classes=3, optimizer=SGD), Data())
        trainer.save_checkpoint(folder / "one.ckpt")
        return folder / "one.ckpt"

    def resume(self, folder: Path, checkpoint: Path) -> tuple[State, Freeze]:
        net, freeze = SmallResNet(num_classes=3, width=4, blocks=1), self.freeze()
        trainer = trainer_for(folder, [freeze], epochs=3)
        trainer.fit(Classifier(net=net, num_classes=3, optimizer=SGD), Data(), ckpt_path=checkpoint)
        return state_of(net), freeze

    def test_the_state_goes_round(self) -> None:
        net, first, second = small_net(), self.freeze(), self.freeze()
        first.digests = digests(net, {"conv1.weight", "bn1.running_mean"})
        second.load_state_dict(first.state_dict())
        assert second.digests == first.digests
        first.digests.clear()
        assert len(second.digests) == 2  # a copy

    def test_it_ends_like_a_run_that_was_not_interrupted(self, tmp_path: Path) -> None:
        net, whole = small_net(), self.freeze()
        train(tmp_path, net, whole, epochs=3)
        resumed, freeze = self.resume(tmp_path, self.first_epoch(tmp_path))
        expected = state_of(net)
        assert all(torch.equal(resumed[name], expected[name]) for name in expected)
        assert freeze.digests == whole.digests

    @pytest.mark.parametrize("name", ["conv1.weight", "layer1.0.bn1.running_var", "layer3.0.conv1.weight"])
    def test_a_frozen_tensor_that_changed_in_between_is_noticed(self, tmp_path: Path, name: str) -> None:
        checkpoint = self.first_epoch(tmp_path)
        content = torch.load(checkpoint, weights_only=True)
        content["state_dict"][f"net.{name}"].view(-1)[0] += 1
        torch.save(content, checkpoint)
        with pytest.raises(RuntimeError, match=f"such as {name}"):
            self.resume(tmp_path, checkpoint)


@pytest.mark.parametrize("change", [lambda t: t, lambda t: t.half(), lambda t: t.t().contiguous().t()])
def test_digests_are_those_of_the_bytes(change: Callable[[Tensor], Tensor]) -> None:
    net = nn.Linear(3, 2)
    net.weight = nn.Parameter(change(net.weight.detach()))
    expected = hashlib.sha256(net.weight.detach().numpy().tobytes()).hexdigest()
    assert digests(net, {"weight"}) == {"weight": expected}


class TestTable:
    def rows(self, freeze: Freeze, net: nn.Module, epoch: int) -> dict[str, list[str]]:
        table = freeze.table(net, epoch)
        columns = [list(column.cells) for column in table.columns]
        return {str(cells[0]): [str(cell) for cell in cells[1:]] for cells in zip(*columns)}

    def test_it_tells_the_truth_of_each_epoch(self) -> None:
        net, freeze = small_net(), Freeze(patterns=["backbone"], unfreeze={1: ["layer3"]})
        for epoch in range(2):
            freeze.apply(net, epoch)
            rows = self.rows(freeze, net, epoch)
            for part in ("conv1", "bn1", "layer1", "layer2", "layer3", "fc"):
                parameters = list(net.get_submodule(part).parameters())
                trainable, frozen = (
                    sum(p.numel() for p in parameters if p.requires_grad == side) for side in (True, False)
                )
                assert rows[part][:2] == [
                    f"{trainable:,}" if trainable else "-",
                    f"{frozen:,}" if frozen else "-",
                ]
                norms = [m.training for m in net.get_submodule(part).modules() if isinstance(m, nn.BatchNorm2d)]
                assert rows[part][2] == ("-" if not norms else "train" if all(norms) else "eval")
            assert rows["all"][:2] == [
                f"{sum(p.numel() for p in net.parameters() if p.requires_grad == side):,}" for side in (True, False)
            ]

    def test_it_counts_epochs_from_zero_as_the_setting_does(self) -> None:
        rows = self.rows(Freeze(patterns=["backbone"], unfreeze={1: ["layer3"]}), small_net(), 0)
        assert {part: cells[4] for part, cells in rows.items() if part in ("layer2", "layer3", "fc")} == {
            "layer2": "-",
            "layer3": "1",
            "fc": "0",
        }
