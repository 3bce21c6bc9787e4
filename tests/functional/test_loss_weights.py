import math

import pytest
import torch
from torchmetrics.functional.image import total_variation

from labs import LabsError
from labs.functional.loss_weights import BALANCED_STYLE_UNIT, LossWeights


def test_each_term_counts_with_its_factor() -> None:
    content, style = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    pictures = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    pictures[1, :, 0, 0] = torch.tensor([1.5, -0.5, 0.5])  # two values that are 0.5 outside [0, 1]

    plain = LossWeights(content=2.0, style=10.0).total(content, style, pictures, balanced=False)
    torch.testing.assert_close(plain, torch.tensor([32.0, 44.0]))

    outside = LossWeights(content=0.0, style=0.0, range=6.0).total(content, style, pictures, balanced=False)
    torch.testing.assert_close(outside, torch.tensor([0.0, 6.0 * (2 * 0.5**2) / (3 * 8 * 8)]))

    rough = LossWeights(content=0.0, style=0.0, tv=1.0).total(content, style, pictures, balanced=False)
    oracle = total_variation(pictures, reduction="none")
    torch.testing.assert_close(rough / rough[0], oracle / oracle[0])


def test_balanced_style_losses_count_in_their_own_unit() -> None:
    losses = {
        balanced: LossWeights(0.0, 1e6).total(*torch.ones(2, 1), torch.rand(1, 3, 4, 4), balanced=balanced)
        for balanced in (True, False)
    }
    assert losses[True] / losses[False] == pytest.approx(BALANCED_STYLE_UNIT)


@pytest.mark.parametrize("name", ["content", "style", "tv", "range"])
@pytest.mark.parametrize("factor", [-1.0, math.inf, math.nan])
def test_a_factor_that_cannot_be_is_named(name: str, factor: float) -> None:
    with pytest.raises(LabsError, match=rf"^module\.{name}_weight={factor}: expected 0 or more"):
        LossWeights(**{"content": 1.0, "style": 1.0, name: factor})
