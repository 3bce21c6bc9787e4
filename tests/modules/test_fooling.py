"""`Fooling` in Lightning's trainer and alone, beside Captum and the hand-out's loop, on small nets and SqueezeNet."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from labs import LabsError
from labs.datamodules.batches import Batch
from labs.functional.normalization import Normalization, Normalizer
from labs.functional.saved_pixels import in_8_bits, through_jpeg
from labs.inspection.undisturbed import undisturbed
from labs.modules.fooling import Fooling
from labs.runs.trained_net import TrainedNet, trained_net

SIZE = 16
CLASSES = ["cat", "tabby cat", "dog", "stingray", "snail"]
STD = 0.25


def small_net(seed: int = 0) -> TrainedNet:
    """A net with all that `undisturbed` must put back: batch norm, dropout, ReLUs in place."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Dropout(0.5),
            nn.Conv2d(8, 8, 3, stride=2), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(8 * 36, 5),
        )  # fmt: skip
    normalizer = Normalizer(Normalization("some", (0.5,) * 3, (STD,) * 3))
    return TrainedNet("small", layers.eval().requires_grad_(False), CLASSES, normalizer, SIZE, None, [], None)


def pictures(count: int = 6) -> Tensor:
    return in_8_bits(torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3)))


class Images(pl.LightningDataModule):
    """Serve images two at a time."""

    def test_dataloader(self) -> DataLoader[Any]:
        def batched(rows: Any) -> Batch:
            return Batch(*(torch.stack(column) for column in zip(*rows, strict=True)))

        rows = TensorDataset(pictures(), torch.full((6,), -1), torch.arange(6))
        return DataLoader(rows, 2, collate_fn=batched)


class Kept(pl.Callback):
    """Keep what each batch came to."""

    def __init__(self) -> None:
        self.results: list[Any] = []

    def on_test_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.results += pl_module.results  # type: ignore[arg-type]


def results_of(method: Fooling, **options: Any) -> tuple[list[Any], dict[str, float]]:
    kept = Kept()
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, callbacks=[kept],
        enable_model_summary=False, **options,
    )  # fmt: skip
    (metrics,) = trainer.test(method, Images(), verbose=False)
    return kept.results, dict(metrics)


def fooled(method: Fooling, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    with undisturbed(method.net):
        return method.fool(images, targets)


@pytest.mark.parametrize("inference_mode", [True, False])
@pytest.mark.parametrize("name", ["fgsm", "pgd"])
def test_every_method_works_in_a_test(name: Any, inference_mode: bool) -> None:
    method = Fooling(net=small_net(), target=["stingray", 4], method=name, steps=3, epsilon=0.2)
    results, metrics = results_of(method, inference_mode=inference_mode)
    assert {result.steps for result in results} == {1 if name == "fgsm" else 3}
    assert metrics["test/fooled_png"] > 0


@pytest.mark.parametrize("inference_mode", [True, False])
def test_it_works_in_a_test_and_leaves_the_net_as_it_was(inference_mode: bool) -> None:
    net = small_net()
    before = copy.deepcopy(net.net.state_dict())
    results, metrics = results_of(Fooling(net=net, target=["stingray", 4], steps=50), inference_mode=inference_mode)
    assert len(results) == 12
    assert [result.position for result in results] == [place for place in range(6) for _ in range(2)]
    assert [result.target for result in results] == [3, 4] * 6
    assert all(torch.equal(value, before[name]) for name, value in net.net.state_dict().items())
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in net.net.parameters())
    assert all(module.inplace for module in net.net.modules() if isinstance(module, nn.ReLU))
    assert not net.net.training
    posed = [result for result in results if not result.already]
    assert metrics["test/problems"] == len(posed)
    assert metrics["test/already"] == 12 - len(posed)
    assert metrics["test/fooled_png"] == 1.0
    for key, form in {"fooled": "png", "fooled_float": "float", "fooled_jpeg": "jpeg"}.items():
        assert metrics[f"test/{key}"] == pytest.approx(sum(result.fools(form) for result in posed) / len(posed))
    assert metrics["test/steps"] == pytest.approx(sum(result.steps for result in posed) / len(posed))


def test_images_that_are_the_target_already_are_counted_apart() -> None:
    net = small_net()
    seen = net(pictures()).argmax(1)
    commonest = int(seen.mode().values)
    results, metrics = results_of(Fooling(net=net, target=commonest, steps=50))
    there = [result for result in results if result.already]
    assert len(there) == int((seen == commonest).sum()) == metrics["test/already"] > 0
    assert all(result.steps == 0 and torch.equal(result.changed, result.original) for result in there)
    assert metrics["test/problems"] == 6 - len(there)


def test_where_every_image_is_the_target_already_nothing_is_measured() -> None:
    net = small_net()
    net.net[-1].bias.data[2] = 1e6  # type: ignore[union-attr, index, operator]
    _, metrics = results_of(Fooling(net=net, target="dog"))
    assert metrics == {"test/problems": 0.0, "test/already": 6.0}


def test_as_computed_it_is_the_hand_outs_loop() -> None:
    net = small_net()
    method = Fooling(net=net, target="snail", survive="float", lr=0.5)
    found, steps = fooled(method, pictures(), torch.full((6,), 4))
    for place in range(6):
        x = net.normalizer(pictures()[place : place + 1])
        taken = 0
        while (scores := net.net(x.requires_grad_())).argmax() != 4:
            taken += 1
            (gradient,) = torch.autograd.grad(scores[0, 4], x)
            x = (x + 0.5 * gradient / gradient.norm()).detach()
        assert steps[place] == taken
        torch.testing.assert_close(net.normalizer(found[place : place + 1]), x.detach(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("survive", ["png", "jpeg"])
def test_what_is_saved_fools(survive: Any) -> None:
    net = small_net(1)
    method = Fooling(net=net, target="snail", survive=survive, lr=0.3, jpeg_quality=60)
    targets = torch.full((6,), 4)
    found, steps = fooled(method, pictures(), targets)
    assert (steps < 100).all()
    assert torch.equal(found, in_8_bits(found)), "in [0, 1] and 256 steps"
    kept = found if survive == "png" else through_jpeg(found, 60)
    assert torch.equal(net(kept).argmax(1), targets)


def test_plain_images_do_not_always_survive() -> None:
    """Why the option is there: steps that are smaller than a level of 8 bits are lost."""
    net = small_net(1)
    targets = torch.full((6,), 4)
    found, _ = fooled(Fooling(net=net, target="snail", survive="float", lr=0.02), pictures(), targets)
    there = net(found).argmax(1) == targets
    assert (net(in_8_bits(found)).argmax(1) == targets)[there].float().mean() < 1


@pytest.mark.parametrize("at_once", [1, 2, 16])
@pytest.mark.parametrize("name", ["fgsm", "pgd"])
def test_fgsm_and_pgd_are_captums(name: Any, at_once: int) -> None:
    net = small_net()
    method = Fooling(net=net, target=3, method=name, survive="float", epsilon=0.1, steps=5, at_once=at_once)
    targets = torch.full((6,), 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, steps = fooled(method, pictures(), targets)
    assert set(steps.tolist()) == {1 if name == "fgsm" else 5}
    size = 0.1 if name == "fgsm" else 0.05
    x = pictures()
    for _ in range(int(steps[0])):  # written out
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(net(x), targets, reduction="sum"), x)
        moved = x.detach() - size * gradient.sign() * (gradient.abs() > 1e-6)
        x = torch.max(torch.min(moved, pictures() + 0.1), pictures() - 0.1).clamp(0, 1)
    torch.testing.assert_close(found, x)
    assert (found - pictures()).abs().max() <= 0.1 + 1e-6


def test_on_a_linear_net_the_direction_is_that_of_the_weights() -> None:
    net = small_net()
    net.net = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE * SIZE, 5)).requires_grad_(False)
    method = Fooling(net=net, target=3, survive="float", lr=0.01, steps=3)
    found, steps = fooled(method, pictures(), torch.full((6,), 3))
    weights = net.net[1].weight[3]
    for place in range(6):
        expected = 0.01 * steps[place] * weights / weights.norm() * STD
        torch.testing.assert_close((found[place] - pictures()[place]).flatten(), expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target": "stingrai"}, r"module.target=stingrai: the net has no such class.*stingray"),
        ({"target": 5}, r"module.target=5: expected 0 to 4"),
        ({"target": ["snail", "cats"]}, r"module.target=cats"),
        ({"target": []}, r"module.target=\[\]: expected a class, such as 6, or several"),
        ({"lr": 0.0}, r"module.lr=0.0: expected a length above 0"),
        ({"lr": float("inf")}, r"module.lr=inf"),
        ({"steps": 0}, r"module.steps=0: expected 1 or more"),
        ({"at_once": 0}, r"module.at_once=0: expected 1 or more"),
        ({"epsilon": 0.0}, r"module.epsilon=0.0: expected a number above 0, up to 1"),
        ({"epsilon": 8.0}, r"module.epsilon=8.0"),
        ({"jpeg_quality": 101}, r"module.jpeg_quality=101: expected 1 to 100"),
    ],
)
def test_a_mistake_gets_one_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(LabsError, match=said) as found:
        Fooling(net=small_net(), **{"target": "snail", **options})
    assert "\n" not in str(found.value)


def test_a_target_that_is_typed_twice_is_one() -> None:
    assert Fooling(net=small_net(), target=["snail", "4", 4, "dog"]).targets == [4, 2]


@pytest.fixture(scope="module")
def squeezenet() -> TrainedNet:
    return trained_net()


def test_a_real_net_is_fooled_by_a_change_of_two_percent(squeezenet: TrainedNet) -> None:
    from labs.datamodules.read_picture import cover, read_picture, to_tensor

    cat = to_tensor(cover(read_picture("chelsea", key="")[0], 224, 224))[None]
    method = Fooling(net=squeezenet, target="stingray")
    found, steps = fooled(method, cat, torch.tensor([6]))
    assert squeezenet.classes[int(squeezenet(cat).argmax())] == "Egyptian cat"
    assert squeezenet(found).argmax() == 6
    assert 0 < steps < 30
    assert (found - cat).norm() < 0.02 * cat.norm()
