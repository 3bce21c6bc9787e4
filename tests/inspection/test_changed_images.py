"""What is measured of a changed image, beside the same written out for one image."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from labs.functional.normalization import Normalization, Normalizer
from labs.functional.saved_pixels import in_8_bits, through_jpeg
from labs.inspection.changed_images import measure_changes
from labs.runs.trained_net import TrainedNet


@pytest.fixture
def net() -> TrainedNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 5)).requires_grad_(False)
    normalizer = Normalizer(Normalization("some", (0.5,) * 3, (0.25,) * 3))
    return TrainedNet("linear", layers, list("abcde"), normalizer, 16, None, [], None)


@pytest.mark.parametrize("at_once", [1, 4, 99])
def test_it_is_what_the_net_says_of_each_form(net: TrainedNet, at_once: int) -> None:
    generator = torch.Generator().manual_seed(0)
    originals = in_8_bits(torch.rand(6, 3, 16, 16, generator=generator))
    changed = originals + 0.2 * torch.randn(originals.shape, generator=generator)
    targets = torch.tensor([0, 1, 2, 3, 4, int(net(originals)[5].argmax())])
    found = measure_changes(
        net, originals, changed, positions=torch.arange(6) // 2, targets=targets, steps=torch.arange(6),
        quality=30, at_once=at_once,
    )  # fmt: skip
    for place, result in enumerate(found):
        forms = {"float": changed, "png": in_8_bits(changed), "jpeg": through_jpeg(changed, 30)}
        for form, images in forms.items():
            shares = net(images[place : place + 1]).softmax(1)[0]
            assert result.after[form][0] == int(shares.argmax())
            assert result.after[form][1] == pytest.approx(float(shares.max()), rel=1e-5)
            assert result.fools(form) == (int(shares.argmax()) == targets[place])
        difference = changed[place] - originals[place]
        assert (result.position, result.target, result.steps) == (place // 2, int(targets[place]), place)
        assert result.l2 == pytest.approx(float(difference.square().sum().sqrt()), rel=1e-5)
        assert result.l2_share == pytest.approx(result.l2 / float(originals[place].square().sum().sqrt()), rel=1e-5)
        assert result.linf == pytest.approx(float(difference.abs().max()))
    assert [result.already for result in found][-1]
    assert any(len({answer[0] for answer in result.after.values()}) > 1 for result in found), "forms can differ"


def test_a_black_image_has_a_size_all_the_same(net: TrainedNet) -> None:
    black = torch.zeros(1, 3, 16, 16)
    one = torch.ones(1, dtype=torch.int64)
    (found,) = measure_changes(net, black, black, positions=one, targets=one, steps=one, quality=90, at_once=1)
    assert found.l2 == found.l2_share == found.linf == 0
