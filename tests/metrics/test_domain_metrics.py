"""What is measured between two domains, where a net has diverged."""

from __future__ import annotations

import math

import torch

from labs.metrics.domain_metrics import DomainMetrics


def test_predictions_that_are_no_numbers_are_not_left_out() -> None:
    """One image of four, and all of them: a mean over the others would look like that of a net that works."""
    for lost in (1, 4):
        metrics = DomainMetrics(num_classes=3)
        logits = torch.zeros(4, 3)
        logits[:lost] = math.nan
        for domain in ("source", "target"):
            metrics.update(domain, logits, torch.zeros(4, dtype=torch.long), logits[:, 0], unlabeled=domain == "target")
        measured = metrics.compute()
        assert measured["target_entropy"].isnan()
        assert measured["target_density"].isnan()
        assert 0 <= measured["target_acc"] <= 1
