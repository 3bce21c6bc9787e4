"""`PictureLosses` beside a plain loop: one pair at a time, activations first, then the functional losses."""

from typing import Any

import pytest
import torch
from torch import Tensor

from labs.functional.style import content_loss, gram, style_loss
from labs.nets.layer_features import LayerFeatures
from labs.nets.picture_losses import PictureLosses

CONTENT_LAYERS, STYLE_LAYERS = ("conv_3", "relu1_2"), ("conv_1", "conv_2", "conv_3")
PAIRS = 3


def pictures(seed: int, count: int = PAIRS) -> Tensor:
    """Pictures that differ in brightness and contrast, so that no two pairs have equal losses."""
    images = torch.rand(count, 3, 16, 20, generator=torch.Generator().manual_seed(seed))
    return images * torch.linspace(0.2, 1, count).view(-1, 1, 1, 1)


CONTENTS, STYLES, IMAGES = pictures(0), pictures(1).flip(0), pictures(2)


@pytest.fixture(scope="module")
def net() -> LayerFeatures:
    return LayerFeatures(layers=[*dict.fromkeys((*CONTENT_LAYERS, *STYLE_LAYERS))])


def losses_of(
    net: LayerFeatures, contents: Tensor = CONTENTS, styles: Tensor = STYLES, **options: Any
) -> PictureLosses:
    layers = {"content_layers": CONTENT_LAYERS, "style_layers": STYLE_LAYERS}
    return PictureLosses(net, contents, styles, **(layers | options))


def plain_losses(
    net: LayerFeatures, image: Tensor, content: Tensor, style: Tensor, *, convention: str, balance: bool
) -> tuple[Tensor, Tensor]:
    """Compute the losses of one pair, (1, 3, height, width) each."""
    seen, of_content, of_style = net(image), net(content), net(style)
    sums = [torch.zeros(()), torch.zeros(())]
    for layer in CONTENT_LAYERS:
        loss = content_loss(seen[layer], of_content[layer], convention=convention).squeeze()
        between = content_loss(of_style[layer], of_content[layer], convention=convention).squeeze()
        sums[0] = sums[0] + (loss / between if balance else loss)
    for layer in STYLE_LAYERS:
        target = gram(of_style[layer])
        loss = style_loss(seen[layer], target, convention=convention).squeeze()
        between = style_loss(of_content[layer], target, convention=convention).squeeze()
        sums[1] = sums[1] + (loss / between if balance else loss)
    return sums[0], sums[1]


@pytest.mark.parametrize("at_once", [1, 2, PAIRS])
@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("convention", ["tutorial", "gatys", "handout_004"])
def test_losses_and_gradients_are_those_of_a_plain_loop(
    net: LayerFeatures, at_once: int, balance: bool, convention: str
) -> None:
    options: dict[str, Any] = {"convention": convention, "balance": balance}
    losses = losses_of(net, at_once=at_once, **options)
    ours, theirs = IMAGES.clone().requires_grad_(), IMAGES.clone().requires_grad_()
    found: tuple[list[Tensor], list[Tensor]] = ([], [])
    for rows in losses.chunks:
        for parts, part in zip(found, losses(ours[rows], rows)):
            parts.append(part)
    expected: tuple[list[Tensor], list[Tensor]] = ([], [])
    for pair in range(PAIRS):
        one = slice(pair, pair + 1)
        for parts, part in zip(expected, plain_losses(net, theirs[one], CONTENTS[one], STYLES[one], **options)):
            parts.append(part)
    gradients = []
    for kind in range(2):  # one after the other: the larger would hide the smaller
        one, other = torch.cat(found[kind]), torch.stack(expected[kind])
        torch.testing.assert_close(one, other, rtol=1e-4, atol=0)
        assert len(set(one.tolist())) == PAIRS
        for loss, leaf in ((one, ours), (other, theirs)):
            (gradient,) = torch.autograd.grad(loss.sum(), leaf, retain_graph=True)
            gradients.append(gradient.flatten(1))
        error = (gradients[-2] - gradients[-1]).norm(dim=1) / gradients[-1].norm(dim=1)
        assert (error < 1e-4).all()


def test_chunks_cover_every_pair_once(net: LayerFeatures) -> None:
    for at_once in (1, 2, 3, 10):
        chunks = losses_of(net, at_once=at_once).chunks
        assert [pair for rows in chunks for pair in range(PAIRS)[rows]] == list(range(PAIRS))
        assert all(len(range(PAIRS)[rows]) <= at_once for rows in chunks)


@pytest.mark.parametrize("at_once", [1, 2, PAIRS])
def test_pictures_go_through_the_net_so_many_at_once(
    net: LayerFeatures, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    forward = net.forward
    monkeypatch.setattr(net, "forward", lambda images, visit: sizes.append(len(images)) or forward(images, visit))
    losses_of(net, at_once=at_once, balance=True).of_all(IMAGES)
    assert max(sizes) == at_once


@pytest.mark.parametrize("at_once", [1, 2, PAIRS])
def test_all_pictures_have_the_losses_of_the_chunks(net: LayerFeatures, at_once: int) -> None:
    losses = losses_of(net, at_once=at_once, balance=True)
    images = IMAGES.clone().requires_grad_()
    content, style = losses.of_all(images)
    assert content.shape == style.shape == (PAIRS,)
    assert not content.requires_grad
    assert not style.requires_grad
    for rows in losses.chunks:
        for whole, part in zip((content, style), losses(images[rows], rows)):
            assert torch.equal(whole[rows], part)


@pytest.mark.parametrize("at_once", [1, 2, PAIRS])
@pytest.mark.parametrize("convention", ["tutorial", "gatys", "handout_004"])
def test_balanced_layers_count_one_between_the_pictures_of_a_pair(
    net: LayerFeatures, at_once: int, convention: str
) -> None:
    losses = losses_of(net, at_once=at_once, balance=True, convention=convention)
    assert losses.of_all(CONTENTS)[1].tolist() == [len(STYLE_LAYERS)] * PAIRS
    assert losses.of_all(STYLES)[0].tolist() == [len(CONTENT_LAYERS)] * PAIRS


@pytest.mark.parametrize("balance", [False, True])
def test_the_content_has_no_content_loss_and_the_style_no_style_loss(net: LayerFeatures, balance: bool) -> None:
    losses = losses_of(net, balance=balance)
    content, style = losses.of_all(CONTENTS)
    assert not content.any()
    assert style.all()
    content, style = losses.of_all(STYLES)
    assert content.all()
    assert not style.any()


@pytest.mark.parametrize("at_once", [1, PAIRS])
def test_a_pair_of_equal_pictures_has_zero_losses_and_gradients(net: LayerFeatures, at_once: int) -> None:
    styles = STYLES.clone()
    styles[1] = CONTENTS[1]
    losses = losses_of(net, CONTENTS, styles, balance=True, at_once=at_once)
    images = CONTENTS.clone().requires_grad_()
    for rows in losses.chunks:
        content, style = losses(images[rows], rows)
        (content + style).sum().backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()
    assert images.grad.flatten(1).any(1).tolist() == [True, False, True]
    content, style = losses.of_all(CONTENTS)
    assert not content.any()
    assert style.tolist() == [len(STYLE_LAYERS), 0, len(STYLE_LAYERS)]
    assert torch.stack(losses.of_all(IMAGES)).isfinite().all()


@pytest.mark.parametrize(("absent", "place"), [("content_layers", 0), ("style_layers", 1)])
@pytest.mark.parametrize("balance", [False, True])
def test_without_layers_of_a_kind_that_loss_is_zero(net: LayerFeatures, absent: str, place: int, balance: bool) -> None:
    found = losses_of(net, balance=balance, **{absent: ()}).of_all(IMAGES)
    assert not found[place].any()
    whole = losses_of(net, balance=balance).of_all(IMAGES)
    assert torch.equal(found[1 - place], whole[1 - place])


def test_two_names_of_one_layer_are_measured_both(net: LayerFeatures) -> None:
    aliases = LayerFeatures(layers=["conv_3", "conv2_1"])
    one = losses_of(aliases, content_layers=("conv_3",), style_layers=("conv2_1",)).of_all(IMAGES)
    other = losses_of(net, content_layers=("conv_3",), style_layers=("conv_3",)).of_all(IMAGES)
    for ours, theirs in zip(one, other):
        assert ours.all()
        torch.testing.assert_close(ours, theirs)


def test_a_layer_of_both_kinds_is_measured_for_both(net: LayerFeatures) -> None:
    both = losses_of(net, content_layers=("conv_2",), style_layers=("conv_2",)).of_all(IMAGES)
    content = losses_of(net, content_layers=("conv_2",), style_layers=()).of_all(IMAGES)[0]
    style = losses_of(net, content_layers=(), style_layers=("conv_2",)).of_all(IMAGES)[1]
    assert torch.equal(both[0], content)
    assert torch.equal(both[1], style)
