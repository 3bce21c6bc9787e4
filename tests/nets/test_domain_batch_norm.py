"""Batch norm of two domains beside two of torch's batch norms whose weights are one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from labs import LabsError
from labs.nets.dann_mnist import dann_mnist
from labs.nets.domain_batch_norm import DomainBatchNorm2d, other_domain, separate_batch_norm
from labs.nets.torchvision_nets import build_net, load_weights

CHANNELS = 3


def batches() -> list[Tensor]:
    """Draw batches of the two domains by turns; the second domain's are brighter and wider."""
    draw = torch.Generator().manual_seed(0)
    return [(1 + 3 * (n % 2)) * torch.randn(4, CHANNELS, 5, 5, generator=draw) + 7 * (n % 2) for n in range(6)]


def drawn_norm(momentum: float = 0.3) -> nn.BatchNorm2d:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(CHANNELS, eps=1e-3, momentum=momentum)
    for tensor in norm.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    return norm


def test_it_is_two_batch_norms_with_one_weight_and_bias() -> None:
    first, second = drawn_norm(), drawn_norm()
    second.weight, second.bias = first.weight, first.bias
    both = DomainBatchNorm2d(drawn_norm())
    for training in (True, False):
        for layer in (first, second, both):
            layer.train(training)
        for number, images in enumerate(batches()):
            with other_domain(both, number % 2 == 1):
                out = both(images)
            expected = (first, second)[number % 2](images)
            assert torch.equal(out, expected)
            out.pow(2).sum().backward()
            expected.pow(2).sum().backward()
    for prefix, theirs in (("running", first), ("other_running", second)):
        assert torch.equal(getattr(both, f"{prefix}_mean"), theirs.running_mean)
        assert torch.equal(getattr(both, f"{prefix}_var"), theirs.running_var)
    for name in ("weight", "bias"):
        assert torch.equal(getattr(both, name).grad, getattr(first, name).grad), "the gradients of both add up"


def test_evaluation_changes_no_statistics() -> None:
    both = DomainBatchNorm2d(drawn_norm()).eval()
    before = {name: tensor.clone() for name, tensor in both.state_dict().items()}
    for number, images in enumerate(batches()):
        with other_domain(both, number % 2 == 1):
            both(images)
    assert all(torch.equal(tensor, before[name]) for name, tensor in both.state_dict().items())


@pytest.mark.parametrize("other", [False, True])
def test_training_in_one_domain_leaves_the_others_statistics(other: bool) -> None:
    net = dann_mnist(num_classes=4, image_size=16, batch_norm=True).train()
    separate_batch_norm(net)
    before = {name: tensor.clone() for name, tensor in net.named_buffers()}
    with other_domain(net, other):
        net(torch.rand(4, 3, 16, 16))
    for name, tensor in net.named_buffers():
        if name.endswith("num_batches_tracked"):
            continue
        assert torch.equal(tensor, before[name]) != (("other_running" in name) == other), name


def test_names_and_values_of_parameters_stay() -> None:
    net, plain = (build_net(name="resnet_small", num_classes=4, image_size=16) for _ in range(2))
    plain.load_state_dict(net.state_dict())
    separate_batch_norm(net)
    names = [name for name, _ in net.named_parameters()]
    assert names == [name for name, _ in plain.named_parameters()]
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), plain.parameters(), strict=True))
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert all(isinstance(norm, DomainBatchNorm2d) for norm in norms)
    extra = set(net.state_dict()) - set(plain.state_dict())
    assert len(extra) == 2 * len(norms)
    assert all(".other_running_" in name for name in extra)


def test_a_net_begins_alike_for_both_domains() -> None:
    net = dann_mnist(num_classes=4, image_size=16, batch_norm=True)
    net(torch.rand(8, 3, 16, 16))  # its statistics are not the initial ones
    separate_batch_norm(net)
    net.eval()
    images = torch.rand(2, 3, 16, 16)
    with other_domain(net):
        other = net(images)
    assert torch.equal(net(images), other)


def test_the_domain_is_the_first_again_afterwards_even_after_an_error() -> None:
    net = dann_mnist(num_classes=4, image_size=16, batch_norm=True)
    separate_batch_norm(net)
    norms = [module for module in net.modules() if isinstance(module, DomainBatchNorm2d)]
    with other_domain(net):
        assert all(norm.other for norm in norms)
    assert not any(norm.other for norm in norms)
    with pytest.raises(ZeroDivisionError), other_domain(net):
        raise ZeroDivisionError
    assert not any(norm.other for norm in norms)


def test_a_net_without_batch_norm_is_refused() -> None:
    with pytest.raises(LabsError, match=r"module\.batch_norm=separate: the net has no batch norm") as refused:
        separate_batch_norm(dann_mnist(num_classes=4, image_size=16))
    assert "\n" not in str(refused.value)


def test_weights_of_a_separate_run_fit_a_plain_net(tmp_path: Path) -> None:
    """Its statistics are the first domain's; the other's have no place there."""
    net = dann_mnist(num_classes=4, image_size=16, batch_norm=True)
    separate_batch_norm(net)
    for other in (False, True):
        with other_domain(net, other):
            net(torch.rand(8, 3, 16, 16) + other)
    file = tmp_path / "separate.ckpt"
    torch.save({"state_dict": {f"net.{name}": tensor for name, tensor in net.state_dict().items()}}, file)
    plain = dann_mnist(num_classes=4, image_size=16, batch_norm=True)
    load_weights(plain, str(file), keep_head=False)
    images = torch.rand(2, 3, 16, 16)
    assert torch.equal(plain.backbone.eval()(images), net.backbone.eval()(images))
    with pytest.raises(LabsError, match=r"separate batch norm for each domain; type module\.batch_norm=separate"):
        load_weights(plain, str(file), keep_head=True)
    again = dann_mnist(num_classes=4, image_size=16, batch_norm=True)
    separate_batch_norm(again)
    load_weights(again, str(file), keep_head=True)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in net.state_dict().items())


def test_weights_of_a_plain_run_give_both_domains_its_statistics(tmp_path: Path) -> None:
    plain, net = (dann_mnist(num_classes=4, image_size=16, batch_norm=True) for _ in range(2))
    plain(torch.rand(8, 3, 16, 16))
    torch.save(plain.state_dict(), tmp_path / "plain.pt")
    separate_batch_norm(net)
    load_weights(net, str(tmp_path / "plain.pt"), keep_head=True)
    images = torch.rand(2, 3, 16, 16)
    for other in (False, True):
        with other_domain(net.eval(), other):
            assert torch.equal(net(images), plain.eval()(images))
