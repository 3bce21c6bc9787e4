"""Attribution maps of any net: the pixels that the score of a class depends on, by gradients.

Most methods come from Captum (N. Kokhlikyan et al. 2020). The score is the logit, before softmax.
"""

import difflib
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labs import LabsError
from labs.inspection.guided import GuidedReLUs
from labs.inspection.undisturbed import undisturbed
from labs.nets.torchvision_nets import did_you_mean, head_name

# The kinds of maps, with their authors.
MAPS = {
    "gradient": "gradient (Simonyan et al. 2014)",
    "guided": "guided backpropagation (Springenberg et al. 2015)",
    "integrated_gradients": "integrated gradients (Sundararajan et al. 2017)",
    "smoothgrad": "SmoothGrad (Smilkov et al. 2017)",
    "grad_cam": "Grad-CAM (Selvaraju et al. 2017)",
}


def maps_of(
    net: nn.Module,
    images: Tensor,
    classes: Tensor,
    *,
    method: str = "gradient",
    chunk: int = 16,
    steps: int = 32,
    samples: int = 25,
    noise: float = 0.15,
    layer: str | None = None,
    seed: int = 0,
) -> Tensor:
    """Return a map of each image, (batch, height, width), 0 or more; the net does not change.

    `gradient` and `guided` are the largest absolute gradient over the channels, `smoothgrad` the same for the mean
    gradient of noisy images. `integrated_gradients` is the absolute value of the sum over the channels. `grad_cam` is
    enlarged from the maps of a layer.

    Args:
        net: Maps images to logits (batch, classes).
        images: (batch, channels, height, width), normalized.
        classes: Classes to explain, (batch,) int64.
        method: A key of `MAPS`.
        chunk: Number of images that go through the net together; a smaller number needs less memory.
        steps: Steps of integrated gradients, from an image of zeros, which is the mean color.
        samples: Number of noisy images for SmoothGrad.
        noise: Standard deviation of that noise, relative to the range of an image.
        layer: Name of the layer for Grad-CAM. None: the last layer before the head that has feature maps.
        seed: Seed of the noise.

    Raises:
        LabsError: If the method or the layer is unknown, or for guided backpropagation if the net has no ReLU.
    """
    if method not in MAPS:
        raise LabsError(f"method={method}: there is no such map{did_you_mean(method, MAPS)}: {', '.join(MAPS)}.")
    if chunk < 1 or steps < 1 or samples < 1 or noise < 0:
        raise LabsError(
            f"chunk={chunk} steps={steps} samples={samples}: expected 1 or more, and noise={noise} 0 or more."
        )
    with undisturbed(net):
        images, classes = images.detach().clone(), classes.clone()
        if method == "integrated_gradients":
            return _integrated(net, images, classes, steps=steps, chunk=chunk)
        if method == "smoothgrad":
            return _smooth(net, images, classes, samples=samples, noise=noise, chunk=chunk, seed=seed)
        parts = zip(images.split(chunk), classes.split(chunk), strict=True)
        if method == "grad_cam":
            name = layer or last_maps(net, images[:1])
            return torch.cat([_grad_cam(net, name, some, some_classes) for some, some_classes in parts])
        gradient = _guided if method == "guided" else _gradient
        return torch.cat([gradient(net, some, some_classes).abs().amax(1) for some, some_classes in parts])


def last_maps(net: nn.Module, image: Tensor) -> str:
    """Return the name of the last module before the head whose output is maps of more than one pixel.

    Raises:
        LabsError: If there is none.
    """
    names: list[str] = []
    head = net.get_submodule(head_name(net))
    reached: list[bool] = []

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def after(module: nn.Module, _: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.dim() == 4 and min(output.shape[-2:]) > 1 and not reached:
                names.append(name)

        return after

    handles = [module.register_forward_hook(note(name)) for name, module in net.named_modules() if name]
    handles.append(head.register_forward_pre_hook(lambda *_: reached.append(True)))
    try:
        with torch.no_grad():
            net(image)
    finally:
        for handle in handles:
            handle.remove()
    if not names:
        raise LabsError(
            f"{type(net).__name__} has no layer with feature maps, which Grad-CAM needs; use another method, such as "
            "gradient."
        )
    return names[-1]


def module_named(net: nn.Module, layer: str, key: str) -> nn.Module:
    """Return a module by its name.

    Raises:
        LabsError: If there is no such module. The message lists similar names.
    """
    modules = dict(net.named_modules())
    if layer in modules and layer:
        return modules[layer]
    near = _near(layer, list(modules))
    raise LabsError(f"{key}={layer}: the net has no such layer; similar names: {', '.join(near)}.")


def _near(layer: str, names: Sequence[str]) -> list[str]:
    close = difflib.get_close_matches(layer, names, n=4, cutoff=0.4)
    return close or [name for name in names if name and "." not in name][:6]


def _gradient(net: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    from captum.attr import Saliency  # slow to import, so only where it is used

    result: Tensor = Saliency(net).attribute(images.requires_grad_(), classes, abs=False)
    return result.detach()


def _guided(net: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    with torch.no_grad():
        plain = net(images)
    with GuidedReLUs() as relus:
        gradients = _gradient(net, images, classes)
        with torch.no_grad():
            same = torch.equal(net(images), plain)
    if not relus.calls:
        raise LabsError(
            f"{type(net).__name__} has no ReLU, which guided backpropagation needs; use another method than guided, "
            "such as gradient."
        )
    if not same:
        raise LabsError(
            "the net gives a different output each time, so guided backpropagation cannot be verified; use another "
            "method, such as gradient."
        )
    return gradients


def _integrated(net: nn.Module, images: Tensor, classes: Tensor, *, steps: int, chunk: int) -> Tensor:
    from captum.attr import IntegratedGradients

    integrated = IntegratedGradients(net)
    parts = [
        integrated.attribute(image[None], target=int(label), n_steps=steps, internal_batch_size=chunk)
        for image, label in zip(images, classes, strict=True)
    ]
    return torch.cat(parts).sum(1).abs().detach().to(images.dtype)


def _smooth(
    net: nn.Module, images: Tensor, classes: Tensor, *, samples: int, noise: float, chunk: int, seed: int
) -> Tensor:
    from captum.attr import NoiseTunnel, Saliency

    tunnel, maps = NoiseTunnel(Saliency(net)), []
    devices = [images.device] if images.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        for image, label in zip(images, classes, strict=True):
            torch.manual_seed(seed)  # the map of an image does not depend on the other images
            mean = tunnel.attribute(
                image[None].requires_grad_(),
                nt_type="smoothgrad",
                nt_samples=samples,
                nt_samples_batch_size=min(chunk, samples),
                stdevs=noise * float(image.max() - image.min()),
                target=int(label),
                abs=False,
            )
            maps.append(mean.detach().abs().amax(1))
    return torch.cat(maps)


def _grad_cam(net: nn.Module, layer: str, images: Tensor, classes: Tensor) -> Tensor:
    from captum.attr import LayerGradCam

    module = module_named(net, layer, "module.layer")
    try:
        coarse = LayerGradCam(net, module).attribute(images, classes, relu_attributions=True)
    except (AssertionError, RuntimeError, IndexError, ValueError) as error:
        raise LabsError(f"module.layer={layer}: Grad-CAM needs a layer with feature maps ({error}).") from error
    if not isinstance(coarse, Tensor) or coarse.dim() != 4:
        raise LabsError(f"module.layer={layer} has no feature maps, which Grad-CAM needs; type an earlier layer.")
    size: Any = images.shape[-2:]
    return F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)[:, 0].detach()
