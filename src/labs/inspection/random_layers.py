"""Cascading randomization: the layers of a net get random weights one after the other, starting at its head.

J. Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018: a map that does not change does not show what a net
has learned.
"""

import copy
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from labs.nets.eval_mode import evaluating


def learned_layers(net: nn.Module, image: Tensor) -> list[str]:
    """Return the names of the modules with own parameters, in the order in which they first run; unused ones last."""
    own = {name: module for name, module in net.named_modules() if any(True for _ in module.parameters(recurse=False))}
    order: list[str] = []

    def note(name: str) -> Callable[..., None]:
        return lambda *_: order.append(name)

    handles = [module.register_forward_pre_hook(note(name)) for name, module in own.items()]
    try:
        with evaluating(net), torch.no_grad():
            net(image)
    finally:
        for handle in handles:
            handle.remove()
    return list(dict.fromkeys([*order, *own]))


def cascade(net: nn.Module, image: Tensor, *, stages: int, seed: int) -> Iterator[tuple[float, str, nn.Module]]:
    """Yield a copy of a net in which more and more layers have random weights, from the head to the first layer.

    Layers are initialized as PyTorch does, including the running statistics of batch norm. Parameters without such an
    initialization get normal values with their own mean and standard deviation. The net itself does not change.

    Args:
        net: The net, in any mode; the copy is in eval mode.
        image: An input (1, channels, height, width).
        stages: Number of copies; in the last one all layers are random.
        seed: Seed of the random weights.

    Yields:
        The fraction of random layers, the name of the last one, and the copy, which later stages change further.
    """
    names = learned_layers(net, image)[::-1]
    with torch.inference_mode(False):  # copies made in inference mode, as in a test, could not have gradients
        changing = copy.deepcopy(net).eval()
    ends = sorted({max(round(stage / stages * len(names)), 1) for stage in range(1, stages + 1)})
    devices = [image.device] if image.device.type == "cuda" else []
    done = 0
    for end in ends:
        with torch.random.fork_rng(devices=devices), torch.inference_mode(False):
            torch.manual_seed(seed * 1_000_003 + end)
            for name in names[done:end]:
                _randomize(changing.get_submodule(name))
        done = end
        yield end / len(names), names[end - 1], changing


@torch.no_grad()
def _randomize(layer: nn.Module) -> None:
    if callable(reset := getattr(layer, "reset_parameters", None)):
        reset()
        return
    for parameter in layer.parameters(recurse=False):
        spread = parameter.std() if parameter.numel() > 1 else parameter.abs()
        parameter.copy_(parameter.mean() + spread.squeeze() * torch.randn_like(parameter))
