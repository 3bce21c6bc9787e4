"""Two parts of a net, one after the other, are the net; and the first of them never changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from labs.callbacks.freeze import Freeze
from labs.inspection.fixed_front import CannotCutError, Cut, fixed_cuts, resume_from, whole_again
from labs.nets.eval_mode import evaluating
from labs.nets.torchvision_nets import _NETS, build_net

SIZES = dict.fromkeys(_NETS, 64) | dict.fromkeys(("resnet34", "resnet50", "vgg16", "vgg19"), 32)
BATCH = 2
RESNET = ["conv1", "bn1", "layer1"]
FIRE = ["features.0", "features.3", "features.4", "features.6"]
VGG = ["features.0", "features.2", "features.5", "features.7", "features.10"]

# net, what is frozen: what the last cut ends, and what trains or moves behind it
DEEPEST: list[tuple[str, list[str], str, str]] = [
    ("resnet18", ["backbone"], "avgpool", "fc.weight is trainable."),
    ("resnet18", RESNET, "layer1", "layer2.0.conv1.weight is trainable."),
    ("resnet18", ["stem", "bn1"], "maxpool", "layer1.0.conv1.weight is trainable."),
    ("resnet34", ["backbone"], "avgpool", "fc.weight is trainable."),
    ("resnet34", [*RESNET, "layer2", "layer3.[01]"], "layer3.1", "layer3.2.conv1.weight is trainable."),
    ("resnet50", ["backbone"], "avgpool", "fc.weight is trainable."),
    ("resnet50", [*RESNET, "layer2", "layer4"], "layer2", "layer3.0.conv1.weight is trainable."),
    ("resnet_small", ["backbone"], "avgpool", "fc.weight is trainable."),
    ("resnet_small", [*RESNET, "layer2"], "layer2", "layer3.0.conv1.weight is trainable."),
    ("alexnet", ["backbone"], "classifier.5", "classifier.6.weight is trainable."),
    ("alexnet", ["features.0", "features.3"], "features.5", "features.6.weight is trainable."),
    ("alexnet", ["features"], "avgpool", "dropout is in train mode (classifier.0)."),
    ("vgg16", ["backbone"], "classifier.4", "dropout is in train mode (classifier.5)."),
    ("vgg19", VGG, "features.11", "features.12.weight is trainable."),
    ("squeezenet1_0", ["features"], "features", "dropout is in train mode (classifier.0)."),
    ("squeezenet1_1", ["backbone"], "features", "dropout is in train mode (classifier.0)."),
    ("efficientnet_lite0", ["backbone"], "global_pool", "classifier.weight is trainable."),
    ("efficientnet_lite0", ["conv_stem", "bn1", "blocks.[0-3]"], "blocks.3", "blocks.4.0.conv_pw.weight is trainable."),
    ("squeezenet1_1", FIRE, "features.6", "features.7.squeeze.weight is trainable."),
]


def built(name: str) -> nn.Module:
    """Build a net with weights that are quickly made: initialising a VGG takes seconds."""
    with torch.device("meta"):
        net = build_net(name=name, num_classes=5, image_size=SIZES[name])
    net.to_empty(device="cpu")
    strip = torch.randn(2**16, generator=torch.Generator().manual_seed(0))
    for parameter in net.parameters():
        values = strip.repeat(parameter.numel() // len(strip) + 1)[: parameter.numel()].view_as(parameter)
        fan_in = parameter[0].numel()
        parameter.data.copy_(values.mul_((2 / fan_in) ** 0.5) if parameter.dim() > 1 else values.mul_(0.1).add_(0.5))
    for place, buffer in net.named_buffers():
        buffer.fill_({"running_mean": 0.1, "running_var": 0.8}.get(place.rpartition(".")[2], 0))
    return net


@pytest.fixture(scope="module")
def nets() -> Callable[[str], nn.Module]:
    held: dict[str, nn.Module] = {}

    def get(name: str) -> nn.Module:
        if name not in held:
            held.clear()  # one at a time: VGG is large, and its tests follow each other
            held[name] = built(name)
        return held[name]

    return get


def images_of(size: int, count: int = BATCH) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def freeze(
    net: nn.Module, patterns: Sequence[str], batch_norm: Literal["eval", "affine", "train"] = "eval"
) -> Callable[[str], bool]:
    """Put a net in the modes in which it trains, and return which of its parameters do."""
    policy = Freeze(patterns=patterns, batch_norm=batch_norm)
    net.train()
    policy.apply(net, epoch=0)
    frozen = policy.frozen_parameters(net, epoch=0)
    return lambda name: name not in frozen


def none_changes(name: str) -> bool:
    return False


def cut_of(net: nn.Module, size: int = 8, changing: Callable[[str], bool] = none_changes) -> list[Cut]:
    return fixed_cuts(net, images_of(size, 1), changing)[0]


@pytest.mark.parametrize(
    ("name", "patterns", "last", "blocker"), DEEPEST, ids=[f"{name} through {last}" for name, _, last, _ in DEEPEST]
)
class TestEveryNet:
    def test_its_parts_are_the_net(
        self, nets: Callable[[str], nn.Module], name: str, patterns: list[str], last: str, blocker: str
    ) -> None:
        net, images = nets(name), images_of(SIZES[name])
        changing = freeze(net, patterns)
        modes = [module.training for module in net.modules()]
        cuts, why = fixed_cuts(net, images[:1], changing)
        assert [module.training for module in net.modules()] == modes
        assert why.startswith(blocker)
        assert cuts[-1].name == last
        assert [cut.last for cut in cuts] == sorted({cut.last for cut in cuts}), "in the order of the net"
        assert [cut.flops for cut in cuts] == sorted(cut.flops for cut in cuts)
        with torch.no_grad(), evaluating(net):
            expected = net(images)
            assert expected.std() > 0.01
            for cut in cuts:
                prefix, suffix = cut.parts()
                with FlopCounterMode(display=False) as counter:
                    features = prefix(images)
                assert (tuple(features.shape[1:]), features.dtype) == (cut.shape, cut.dtype)
                assert counter.get_total_flops() == BATCH * cut.flops
                assert cut.bytes * BATCH == features.nbytes
                assert torch.equal(suffix(features), expected), cut.name

    def test_the_first_part_holds_what_is_frozen_and_stays_in_training(
        self, nets: Callable[[str], nn.Module], name: str, patterns: list[str], last: str, blocker: str
    ) -> None:
        net, images = nets(name), images_of(SIZES[name])
        changing = freeze(net, patterns)
        prefix, suffix = fixed_cuts(net, images[:1], changing)[0][-1].parts()
        own = {id(parameter): name for name, parameter in net.named_parameters()}
        held, later = ({own[id(p)] for p in part.parameters()} for part in (prefix, suffix))
        assert held | later == set(own.values())
        assert not held & later
        assert not any(map(changing, held))
        buffers = {name: buffer.clone() for name, buffer in prefix.named_buffers()}
        with torch.no_grad():
            first, alone = prefix(images), prefix(images[:1])
            with evaluating(net):
                assert torch.equal(prefix(images), first)
        torch.testing.assert_close(alone, first[:1], rtol=1e-5, atol=1e-4)
        assert all(torch.equal(buffer, buffers[name]) for name, buffer in prefix.named_buffers())


def test_every_net_that_can_be_built_is_looked_at() -> None:
    assert {name for name, *_ in DEEPEST} == set(_NETS)


@pytest.fixture
def resnet() -> nn.Module:
    return built("resnet_small")


class TestWhatEndsThePrefix:
    @pytest.mark.parametrize("patterns", [[], ["head"], ["layer1"], ["bn1", "layer1", "layer2"]], ids=str)
    def test_a_first_layer_that_trains(self, resnet: nn.Module, patterns: list[str]) -> None:
        with pytest.raises(CannotCutError, match=r"^conv1\.weight is trainable\.$"):
            fixed_cuts(resnet, images_of(16, 1), freeze(resnet, patterns))

    @pytest.mark.parametrize(
        ("patterns", "batch_norm", "blocker"),
        [
            (
                ["backbone"],
                "train",
                "batch norm is in train mode (bn1; freeze.batch_norm=eval would keep its statistics).",
            ),
            (["backbone"], "affine", "bn1.weight is trainable."),
            (["stem"], "eval", "bn1.weight is trainable."),
            (["convs"], "eval", "bn1.weight is trainable."),
        ],
    )
    def test_batch_norm_that_moves_or_trains(
        self, resnet: nn.Module, patterns: list[str], batch_norm: Literal["train", "affine", "eval"], blocker: str
    ) -> None:
        cuts, found = fixed_cuts(resnet, images_of(16, 1), freeze(resnet, patterns, batch_norm))
        assert [cut.name for cut in cuts] == ["conv1"]
        assert found == blocker

    def test_dropout_that_is_on(self) -> None:
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 2))
        cuts, blocker = fixed_cuts(net, images_of(8, 1), none_changes)
        assert [cut.name for cut in cuts] == ["0", "1"]
        assert blocker == "dropout is in train mode (2)."
        net[2].eval()
        cuts, blocker = fixed_cuts(net, images_of(8, 1), lambda name: name.startswith("4"))
        assert [cut.name for cut in cuts] == ["0", "1", "2", "3"]
        assert blocker == "4.weight is trainable."

    def test_any_parameter_of_a_layer(self) -> None:
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Flatten())
        cuts, blocker = fixed_cuts(net, images_of(8, 1), lambda name: name == "1.bias")
        assert [cut.name for cut in cuts] == ["0"]
        assert blocker == "1.bias is trainable."

    @pytest.mark.parametrize("layer", [nn.RReLU(), nn.InstanceNorm2d(4), nn.FractionalMaxPool2d(2, output_size=3)])
    def test_a_layer_that_is_not_known(self, layer: nn.Module) -> None:
        net = nn.Sequential(nn.Conv2d(3, 4, 3), layer, nn.Flatten())
        cuts, blocker = fixed_cuts(net, images_of(8, 1), none_changes)
        assert [cut.name for cut in cuts] == ["0"]
        assert blocker == f"the output of 1 ({type(layer).__name__}) may change."

    def test_a_net_that_never_changes_is_cut_up_to_its_last_operation(self) -> None:
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten())
        cuts, blocker = fixed_cuts(net, images_of(8, 1), none_changes)
        assert [cut.name for cut in cuts] == ["0", "1"]
        assert blocker == ""


class Scaled(nn.Module):
    """Multiply by a parameter that no layer holds."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = (self.conv(images) * self.scale).mean(dim=(2, 3))
        return self.fc(features)


class Noisy(Scaled):
    def forward(self, images: Tensor) -> Tensor:
        return self.fc(F.dropout(self.conv(images), 0.5, training=self.training).mean(dim=(2, 3)))


class AlwaysNoisy(Scaled):
    def forward(self, images: Tensor) -> Tensor:
        return self.fc(F.dropout(self.conv(images), 0.5, training=True).mean(dim=(2, 3)))


class Branching(Scaled):
    def forward(self, images: Tensor) -> Tensor:
        features = self.conv(images).mean(dim=(2, 3))
        return self.fc(features if features.sum() > 0 else -features)


class Skipping(Scaled):
    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.conv(images).mean(dim=(2, 3))) + images.mean(dim=(1, 2, 3))[:, None]


class TwoOutputs(Scaled):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        features = self.conv(images).mean(dim=(2, 3))
        return self.fc(features), features


class TestOwnNets:
    def test_a_hidden_parameter_that_trains(self) -> None:
        net, images = Scaled().eval(), images_of(8)
        fixed, blocker = fixed_cuts(net, images[:1], lambda name: name.startswith("fc"))
        assert blocker == "fc.weight is trainable."
        assert fixed[-1].shape == (4,)
        prefix, suffix = fixed[-1].parts()
        assert torch.equal(suffix(prefix(images)), net(images))
        assert {id(p) for p in prefix.parameters()} == {id(net.scale), *map(id, net.conv.parameters())}
        cuts, blocker = fixed_cuts(net, images[:1], lambda name: name in ("scale", "fc.weight"))
        assert blocker == "scale is trainable."
        assert [cut.name for cut in cuts] == ["conv"]
        prefix, suffix = cuts[0].parts()
        assert torch.equal(suffix(prefix(images)), net(images))
        assert any(p is net.scale for p in suffix.parameters())
        assert not any(p is net.scale for p in prefix.parameters())

    @pytest.mark.parametrize(
        ("net", "message"),
        [
            (Noisy(), "Noisy does not run the same operations in training and in evaluation."),
            (Branching(), r"the operations of Branching depend on its data \(TraceError\)."),
        ],
    )
    def test_a_net_whose_operations_are_not_always_the_same(self, net: nn.Module, message: str) -> None:
        modes = [module.training for module in net.modules()]
        with pytest.raises(CannotCutError, match=message):
            fixed_cuts(net, images_of(8, 1), none_changes)
        assert [module.training for module in net.modules()] == modes

    def test_in_eval_mode_functional_dropout_is_no_obstacle(self) -> None:
        net, images = Noisy().eval(), images_of(8)
        prefix, suffix = cut_of(net)[-1].parts()
        assert torch.equal(suffix(prefix(images)), net(images))

    def test_functional_dropout_that_is_always_on(self) -> None:
        cuts, blocker = fixed_cuts(AlwaysNoisy(), images_of(8, 1), none_changes)
        assert [cut.name for cut in cuts] == ["conv"]
        assert blocker == "the output of dropout may change."

    @pytest.mark.parametrize("trains", ["fc.weight", "nothing"])
    def test_a_way_around_from_the_images_to_the_end(self, trains: str) -> None:
        with pytest.raises(CannotCutError):
            fixed_cuts(Skipping(), images_of(8, 1), lambda name: name == trains)

    def test_what_is_returned_is_behind_every_cut(self) -> None:
        net, images = TwoOutputs().eval(), images_of(8)
        cuts = cut_of(net, changing=lambda name: name.startswith("fc"))
        assert [cut.shape for cut in cuts] == [(4, 6, 6)]
        prefix, suffix = cuts[0].parts()
        for ours, theirs in zip(suffix(prefix(images)), net(images), strict=True):
            assert torch.equal(ours, theirs)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
    def test_the_type_of_the_features(self, dtype: torch.dtype) -> None:
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2)).to(dtype)
        cuts = fixed_cuts(net, images_of(8, 1).to(dtype), none_changes)[0]
        assert [cut.dtype for cut in cuts] == [dtype] * 2
        assert [cut.bytes for cut in cuts] == [144 * dtype.itemsize] * 2

    def test_under_autocast_the_features_are_half_as_large(self) -> None:
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2))
        with torch.autocast("cpu", torch.bfloat16):
            assert {cut.dtype for cut in cut_of(net)} == {torch.bfloat16}

    def test_only_the_shape_of_the_image_matters(self) -> None:
        net = Scaled()
        for image in (images_of(8, 1), torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), float("nan"))):
            cuts, _ = fixed_cuts(net, image, none_changes)
            assert [(c.name, c.shape, c.flops) for c in cuts] == [(c.name, c.shape, c.flops) for c in cut_of(net)]

    def test_looking_for_cuts_changes_nothing(self, resnet: nn.Module) -> None:
        changing = freeze(resnet, ["backbone"])
        before = {name: value.clone() for name, value in resnet.state_dict().items()}
        state = torch.random.get_rng_state()
        cut_of(resnet, 16, changing)
        assert all(torch.equal(value, before[name]) for name, value in resnet.state_dict().items())
        assert torch.equal(torch.random.get_rng_state(), state)
        assert all(parameter.grad is None for parameter in resnet.parameters())


class TestResume:
    @pytest.fixture
    def cut(self, resnet: nn.Module) -> Cut:
        """Return a cut behind `layer1`, with the net in the modes in which it is trainable."""
        changing = freeze(resnet, RESNET)
        cut = cut_of(resnet, 16, changing)[-1]
        assert cut.name == "layer1"
        return cut

    def test_features_take_the_rest_of_the_way_and_images_the_whole(self, resnet: nn.Module, cut: Cut) -> None:
        images = images_of(16)
        with torch.no_grad(), evaluating(resnet):
            expected = resnet(images)
            features = cut.parts()[0](images)
            resume_from(resnet, cut)
            assert torch.equal(resnet(features.clone()), expected)
            assert torch.equal(resnet(images), expected)
            larger = resnet(images_of(24))
            whole_again(resnet)
            assert torch.equal(resnet(images_of(24)), larger)

    def test_no_operation_of_the_first_part_is_run_for_features(self, resnet: nn.Module, cut: Cut) -> None:
        features = torch.rand(BATCH, *cut.shape)
        resume_from(resnet, cut)
        called: list[str] = []
        for name, module in resnet.named_modules():
            module.register_forward_pre_hook(lambda module, inputs, name=name: called.append(name))
        resnet(features)
        assert {name.partition(".")[0] for name in called} == {"", "layer2", "layer3", "avgpool", "fc"}

    def test_the_gradients_are_those_of_the_whole_net(self, resnet: nn.Module, cut: Cut) -> None:
        images = images_of(16)
        resnet.eval()
        gradients = []
        for resumed in (False, True):
            resnet.zero_grad()
            if resumed:
                resume_from(resnet, cut)
            resnet(cut.parts()[0](images).detach() if resumed else images).square().sum().backward()
            gradients.append({n: p.grad.clone() for n, p in resnet.named_parameters() if p.grad is not None})
        assert gradients[0].keys() == gradients[1].keys()
        assert {name.partition(".")[0] for name in gradients[1]} == {"layer2", "layer3", "fc"}
        for name, gradient in gradients[0].items():
            torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-5, atol=1e-6)

    def test_a_training_step_is_that_of_the_whole_net(self, resnet: nn.Module, cut: Cut) -> None:
        images, start = images_of(16, 4), {name: value.clone() for name, value in resnet.state_dict().items()}
        features = cut.parts()[0](images).detach()
        ends = []
        for resumed in (False, True):
            resnet.load_state_dict(start)
            if resumed:
                resume_from(resnet, cut)
            optimizer = torch.optim.SGD([p for p in resnet.parameters() if p.requires_grad], lr=0.1, momentum=0.9)
            for _ in range(2):
                optimizer.zero_grad()
                resnet(features.clone() if resumed else images).square().mean().backward()
                optimizer.step()
            ends.append({name: value.clone() for name, value in resnet.state_dict().items()})
        for name, value in ends[0].items():
            torch.testing.assert_close(ends[1][name], value, rtol=1e-4, atol=1e-5)
            assert torch.equal(value, start[name]) == (name.partition(".")[0] in RESNET), name
        assert torch.equal(cut.parts()[0](images), features)

    def test_parameters_and_state_dict_stay_the_net_s_own(self, resnet: nn.Module, cut: Cut) -> None:
        parameters, state = dict(resnet.named_parameters()), resnet.state_dict()
        modules = dict(resnet.named_modules())
        resume_from(resnet, cut)
        assert dict(resnet.named_modules()) == modules
        assert all(parameter is parameters[name] for name, parameter in resnet.named_parameters())
        assert list(resnet.state_dict()) == list(state)
        assert all(torch.equal(value, state[name]) for name, value in resnet.state_dict().items())
        known = {id(parameter) for parameter in parameters.values()}
        assert {id(p) for part in cut.parts() for p in part.parameters()} == known

    def test_the_modes_of_the_net_reach_the_rest(self, resnet: nn.Module, cut: Cut) -> None:
        features = torch.rand(BATCH, *cut.shape)
        resume_from(resnet, cut)
        with torch.no_grad():
            resnet.eval()
            quiet = resnet(features)
            resnet.train()
            assert not torch.allclose(resnet(features), quiet)
        assert resnet.get_buffer("layer2.0.bn1.num_batches_tracked") == 1
        assert resnet.get_buffer("bn1.num_batches_tracked") == 0

    def test_whole_again_takes_it_back(self, resnet: nn.Module, cut: Cut) -> None:
        whole_again(resnet)
        before = set(vars(resnet))
        resume_from(resnet, cut)
        for _ in range(2):
            whole_again(resnet)
            assert set(vars(resnet)) == before
        with pytest.raises(RuntimeError, match="channels"):
            resnet(torch.rand(BATCH, *cut.shape))

    def test_a_second_cut_takes_the_place_of_the_first(self, resnet: nn.Module, cut: Cut) -> None:
        images, changing = images_of(16), freeze(resnet, [*RESNET, "layer2"])
        deeper = cut_of(resnet, 16, changing)[-1]
        assert deeper.name == "layer2"
        resume_from(resnet, cut)
        resume_from(resnet, deeper)
        with torch.no_grad(), evaluating(resnet):
            assert torch.equal(resnet(deeper.parts()[0](images)), resnet(images))
            with pytest.raises(RuntimeError, match="channels"):
                resnet(torch.rand(BATCH, *cut.shape))


class Returned(nn.Module):
    """A pooling layer that returns two values."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.fc = nn.MaxPool2d(2, return_indices=True), nn.Linear(3 * 32 * 32, 2)

    def forward(self, images: Tensor) -> Tensor:
        values: Tensor = self.pool(images)[0]
        logits: Tensor = self.fc(values.flatten(1))
        return logits


class Around(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        output: Tensor = self.conv(images) + images
        return output


class Centred(nn.Module):
    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.ones(()))
        self.conv, self.fc = nn.Conv2d(3, 4, 1), nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.conv(images.sub(self.mean)).mean(dim=(2, 3)))
        return logits


def frozen_but_the_head(name: str) -> bool:
    return name.startswith("fc")


class TestUnusualNets:
    image = torch.zeros(1, 3, 64, 64)

    def test_batch_norm_without_running_statistics_is_never_fixed(self) -> None:
        norm = nn.BatchNorm2d(3, track_running_stats=False).eval()
        net = nn.Sequential(nn.Conv2d(3, 3, 1), norm, nn.Flatten())
        assert [cut.name for cut in fixed_cuts(net, self.image, lambda name: False)[0]] == ["0"]

    def test_an_operation_that_returns_two_values_is_no_border(self) -> None:
        net = Returned()
        cuts = fixed_cuts(net, self.image, frozen_but_the_head)[0]
        assert cuts
        for cut in cuts:
            prefix, suffix = cut.parts()
            assert torch.equal(suffix(prefix(self.image)), net(self.image))

    def test_a_layer_that_changes_its_weight_before_each_call_is_not_fixed(self) -> None:
        net = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 3, 1)), nn.ReLU())
        with pytest.raises(CannotCutError, match="may change"):
            fixed_cuts(net, self.image, lambda name: False)
        old = nn.Sequential(nn.utils.spectral_norm(nn.Conv2d(3, 3, 1)), nn.ReLU())
        with pytest.raises(CannotCutError, match="may change"):
            fixed_cuts(old, self.image, lambda name: False)

    def test_a_net_with_a_way_around_says_so(self) -> None:
        with pytest.raises(CannotCutError, match="Around cannot be cut at a single layer"):
            fixed_cuts(Around(), self.image, lambda name: False)

    def test_a_constant_of_the_net_is_no_parameter(self) -> None:
        def trains(name: str) -> bool:
            return {"conv.weight": False, "conv.bias": False, "fc.weight": True, "fc.bias": True}[name]

        assert fixed_cuts(Centred(), self.image, trains)[1] == "fc.weight is trainable."
