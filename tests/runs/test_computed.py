"""What conf/ computes, and what a run records of it."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf
from test_experiments import composed

from labs.runs.computed import register_arithmetic, without_resolvers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${multiply:3,4}", 12),
        ("${multiply:0.1,1.0}", 0.1), ("${multiply:0.01,0.03}", 0.0003), ("${multiply:0.1,true}", 0.1),
        ("${labs_times:3,4}", 12), ("${multiply:many,4}", "many"),
        ("${divide_rounding_up:10,3}", 4), ("${labs_epochs:10,3}", 4), ("${divide_rounding_up:many,3}", 1),
        ("${divide_rounding_up:1,0}", 1),
    ],
)  # fmt: skip
def test_numbers(text: str, value: object) -> None:
    register_arithmetic()
    assert OmegaConf.create({"a": text}).a == value


@pytest.mark.parametrize("experiment", ["dann_mnistm", "dcgan_mnist", "nst_a", "cub_full"])
def test_a_recorded_recipe_needs_no_resolver_of_ours(experiment: str) -> None:
    cfg = composed(f"experiment={experiment}", "data=embedded", "scheduler=cosine")
    recorded = OmegaConf.to_yaml(without_resolvers(cfg))
    assert "T_max: ${trainer.max_epochs}" in recorded, "references stay"
    assert not any(name in recorded for name in ("${multiply", "${divide", "${hydra", "${oc."))
    again = OmegaConf.create(recorded)
    assert OmegaConf.to_container(again, resolve=True) == OmegaConf.to_container(cfg, resolve=True)
