"""How many bytes a training step keeps for its gradients, without computing anything."""

import torch
from torch import Tensor, nn
from torch.func import functional_call


def bytes_saved(net: nn.Module, images: Tensor) -> int | None:
    """Return the bytes that the backward pass of a net needs from its forward pass: activations, masks, indices.

    The forward pass runs on PyTorch's `meta` device, where tensors have shapes but no values: it takes milliseconds and
    changes no weight, buffer or random number generator. Weights do not count.

    Args:
        net: The net, in the modes and with the trainable parameters of the step.
        images: The images of a step; only their shape and type matter.

    Returns:
        None for a net that cannot run without values, takes something else than images, or is compiled.
    """
    if net._compiled_call_impl is not None:  # it would be compiled for this, too
        return None
    own = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    shapes = {name: tensor.detach().to("meta").requires_grad_(tensor.requires_grad) for name, tensor in own.items()}
    weights = {tensor.untyped_storage()._cdata for tensor in shapes.values()}
    kept: dict[int, tuple[torch.UntypedStorage, int]] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage, tensor.numel() * tensor.element_size()
        return tensor

    gpus = [images.device] if images.device.type == "cuda" else []
    try:  # a net is any code
        with (
            torch.random.fork_rng(devices=gpus),
            torch.enable_grad(),
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        ):
            output = functional_call(net, shapes, (images.detach().to("meta"),))
    except Exception:
        return None
    del output
    return sum(count for _, count in kept.values())
