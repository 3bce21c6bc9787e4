"""Batch norm with separate statistics for two domains and common weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch.nn.functional as F
from torch import Tensor, nn

from labs import LabsError


class DomainBatchNorm2d(nn.BatchNorm2d):
    """Batch norm with two sets of running statistics and one weight and bias; `other` selects the set.

    Y. Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation", 2016 (arXiv:1603.04779): the
    statistics contain what is specific to a domain.
    """

    other_running_mean: Tensor
    other_running_var: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, like: nn.BatchNorm2d) -> None:
        super().__init__(like.num_features, eps=like.eps, momentum=like.momentum, affine=like.affine)
        self.load_state_dict(like.state_dict())
        self.register_buffer("other_running_mean", self.running_mean.clone())
        self.register_buffer("other_running_var", self.running_var.clone())
        self.other = False

    def forward(self, images: Tensor) -> Tensor:
        """Normalize a batch (batch, channels, height, width) with its own statistics in training, else running ones."""
        prefix = "other_running" if self.other else "running"
        mean, variance = getattr(self, f"{prefix}_mean"), getattr(self, f"{prefix}_var")
        momentum = 0.1 if self.momentum is None else self.momentum
        return F.batch_norm(images, mean, variance, self.weight, self.bias, self.training, momentum, self.eps)


def separate_batch_norm(net: nn.Module) -> None:
    """Replace every batch norm of a net, in place, by one with separate statistics; parameter names do not change.

    Raises:
        LabsError: If the net has no batch norm.
    """
    found = [
        (parent, name, child)
        for parent in net.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.BatchNorm2d)
    ]
    if not found:
        raise LabsError(
            "module.batch_norm=separate: the net has no batch norm; type net.batch_norm=true, or leave "
            "module.batch_norm out."
        )
    for parent, name, child in found:
        setattr(parent, name, DomainBatchNorm2d(child))


@contextmanager
def other_domain(net: nn.Module, other: bool = True) -> Iterator[None]:
    """Let every separate batch norm of a net use the other domain's statistics."""
    layers = [layer for layer in net.modules() if isinstance(layer, DomainBatchNorm2d)]
    for layer in layers:
        layer.other = other
    try:
        yield
    finally:
        for layer in layers:
            layer.other = False
