"""A fixed net that returns the activations of chosen layers, by name.

Style transfer uses VGG19 (K. Simonyan and A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", 2015) with the changes of Gatys et al. 2016: ReLUs are not in place, and average pooling is optional. In
other nets, certain layers take the place of VGG's (`labs.nets.layer_names`).
"""

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from labs import LabsError
from labs.functional.normalization import IMAGENET
from labs.nets.layer_names import STAND_INS, is_vgg, layer_names, stand_ins
from labs.nets.torchvision_nets import build_net, did_you_mean, head_name

TIMM = "timm/"  # prefix of the names of timm nets
_POOLINGS = ("max", "average")
_PROBE = (1, 3, 64, 64)  # the smallest pictures that all nets accept


class LayerFeatures(nn.Module):
    """Activations of chosen layers of a frozen net; gradients change the picture alone.

    The net stops after the last chosen layer, and later layers are removed. If a layer runs several times, its first
    output counts. If the first convolution has no padding (SqueezeNet), pictures are mirrored at their edges; otherwise
    the last row and column would get no gradient.

    Args:
        layers: Names of modules such as `features.4`, or the tutorial's `conv_1` to `conv_5`, for which other nets than
            VGG have substitutes. For VGG, all names in `layer_names` work.
        name: As in `build_net`, or `timm/` and a name as in `labs.nets.timm_nets`.
        pooling: `max`, as the nets were trained, or `average`, as in Gatys et al.
        weights: `random`: He initialization of all convolutions (normal with variance 2 / fan-in, zero biases), which
            keeps the scale of the activations constant through all layers. Otherwise as in `build_net`: `imagenet`, a
            run directory, or a file with a state dict. Random nets of timm keep timm's initialization.
        seed: Seed of the random weights.
        weights_folder: As in `build_net`.
        stands_in: Five modules to use as `conv_1` to `conv_5`. None: those in `labs.nets.layer_names`.

    Raises:
        LabsError: If a name is unknown, there is no layer, a layer has no maps, or weights are missing or do not fit.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        layers: Sequence[str],
        name: str = "vgg19",
        pooling: str = "max",
        weights: str = "random",
        seed: int = 0,
        weights_folder: str | None = None,
        stands_in: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        if pooling not in _POOLINGS:
            raise LabsError(f"net.pooling={pooling}: expected {' or '.join(_POOLINGS)}.")
        if not layers:
            raise LabsError("LayerFeatures needs at least one layer; type a list such as [conv_4].")
        if stands_in is not None and len(stands_in) != STAND_INS:
            raise LabsError(f"net.stands_in={list(stands_in)}: expected {STAND_INS} modules, from shallow to deep.")
        self.layers = tuple(layers)
        self.name, self.weights = name, weights
        self.net = net = _built(name, weights, weights_folder, seed)
        self.known = stand_ins(name, stands_in)
        for layer in stands_in or ():
            self._module(layer)
        self.places = {layer: self._module(layer) for layer in layers}  # names of modules of `net`
        self.margin = _margin(net)  # mirrored pixels added on each side
        _leave_inputs_alone(net, pooling)
        self.requires_grad_(False)
        self.eval()
        self.overwritten = self._cut()
        if next(net.parameters()).is_meta:
            _initialize(net, seed)
        for statistic in ("mean", "std"):
            values = torch.tensor(getattr(IMAGENET, statistic)).view(3, 1, 1)
            self.register_buffer(statistic, values, persistent=False)
        net.to(memory_format=torch.channels_last)  # makes pooling and bfloat16 much faster

    def forward(
        self, images: Tensor, visit: Mapping[str, Callable[[Tensor], Tensor]] | None = None
    ) -> dict[str, Tensor]:
        """Compute the activations.

        Args:
            images: RGB in [0, 1], (batch, 3, height, width); ImageNet's normalization is applied here.
            visit: Functions by layer name. Each is called with the activations of its layer, and the net continues with
                its result, like the loss layers of PyTorch's tutorial. Only these layers are returned, and the net
                stops after the last one. By default, all of `layers` are returned unchanged.

        Returns:
            The activations (batch, channels, height, width) by layer name, in the given order.
        """
        names = self.layers if visit is None else tuple(visit)
        calls: dict[str, list[Callable[[Tensor], Tensor]]] = {self.places[name]: [] for name in names}
        for name, call in (visit or {}).items():
            calls[self.places[name]].append(call)
        activations: dict[str, Tensor] = {}

        def see(place: str, features: Tensor) -> Tensor:
            for call in calls[place]:
                features = call(features)
            activations[place] = features
            return features.clone() if place in self.overwritten else features

        normalized = (images - self.mean) / self.std
        if self.margin:
            normalized = F.pad(normalized, (self.margin,) * 4, mode="reflect")
        self._run(normalized, list(calls), see)
        return {name: activations[self.places[name]] for name in names}

    def both_names(self, layer: str) -> str:
        """Return a layer's name, with its second name if there is one: `conv_4 (conv2_2)`, `conv_4 (features.6)`."""
        others = layer_names(self.name) if is_vgg(self.name) else self.known
        back = {other: one for one, other in reversed(others.items())}
        other = others.get(layer) or back.get(layer)
        return f"{layer} ({other})" if other else layer

    def _module(self, layer: str) -> str:
        """Find a layer by any of its names; the error message for an unknown one lists them."""
        modules = [module for module, _ in self.net.named_modules() if module]
        vgg = {name: self.known[one] for one, name in layer_names(self.name).items()} if is_vgg(self.name) else {}
        places = {**{module: module for module in modules}, **self.known, **vgg}
        if places.get(layer) in modules:
            return places[layer]
        others = layer_names(self.name) if vgg else {n: place for n, place in self.known.items() if "conv" in n}
        pairs = ", ".join(f"{one} = {other}" for one, other in others.items())
        missing = f"{self.name} has no layer {layer!r}{did_you_mean(layer, places)}"
        if not others and layer.startswith(("conv_", "relu_")):
            pairs = f"none is assigned to {layer}: type net.stands_in=[...] with five modules, from shallow to deep"
        shallow = ", ".join(module for module in modules if module.count(".") < 2)
        raise LabsError(f"{missing}. Its layers: {pairs}; and its modules: {shallow}.")

    def _run(self, images: Tensor, places: Sequence[str], see: Callable[[str, Tensor], Tensor]) -> None:
        """Run the net until it has reached all places; it continues with what `see` returns."""
        left = set(places)

        def hook(place: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor | None]:
            def after(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
                if place not in left:
                    return None  # not the first run
                left.discard(place)
                output = see(place, output)
                if not left:
                    raise _AllSeen
                return output

            return after

        handles = [self.net.get_submodule(place).register_forward_hook(hook(place)) for place in places]
        try:
            self.net(images)
        except _AllSeen:
            pass
        except RuntimeError as error:
            if min(images.shape[-2:]) > min(_PROBE[-2:]):
                raise
            size = "x".join(map(str, images.shape[-2:]))
            raise LabsError(
                f"{self.name} does not accept pictures of {size} pixels (height x width): {error}. Type a larger "
                "datamodule.image_size, or module.scales=[1.0]."
            ) from error
        finally:
            for handle in handles:
                handle.remove()

    def _cut(self) -> set[str]:
        """Remove the layers after the last chosen one; return those whose activations are overwritten later.

        For example, a ResNet adds in place to the output of its second batch norm.
        """
        begun: set[nn.Module] = set()
        done: set[nn.Module] = set()
        handles: list[RemovableHandle] = []
        for module in self.net.modules():
            handles.append(module.register_forward_pre_hook(lambda module, _: begun.add(module)))
            handles.append(module.register_forward_hook(lambda module, *_: done.add(module)))
        seen: dict[str, tuple[Tensor, int]] = {}

        def see(place: str, features: Tensor) -> Tensor:
            if not isinstance(features, Tensor) or features.dim() != 4:
                raise LabsError(f"layer {place} of {self.name} has no feature maps; type an earlier layer.")
            seen[place] = (features, features._version)
            return features

        device = next(self.net.parameters()).device
        with torch.no_grad():
            self._run(torch.zeros(_PROBE, device=device), list(dict.fromkeys(self.places.values())), see)
        for handle in handles:
            handle.remove()
        missed = [layer for layer, place in self.places.items() if place not in seen]
        if missed:
            raise LabsError(f"layer {missed[0]} of {self.name} is never called; type the layer that contains it.")
        if self.net.get_submodule(head_name(self.net)) in begun:
            raise LabsError(f"{head_name(self.net)} is the untrained head of {self.name}; type an earlier layer.")
        _drop(self.net, begun, done)
        return {place for place, (features, version) in seen.items() if features._version != version}


def _built(name: str, weights: str, weights_folder: str | None, seed: int) -> nn.Module:
    if name.startswith(TIMM):
        from labs.nets.timm_nets import build_net as build_of_timm  # slow to import, so only where it is used

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            name = name.removeprefix(TIMM)
            return build_of_timm(name=name, num_classes=2, weights=weights, weights_folder=weights_folder)
    # Nine tenths of VGG are linear layers, which need no memory if there are no weights to load.
    with torch.device("meta" if weights == "random" else "cpu"):
        return build_net(name=name, num_classes=2, weights=weights, weights_folder=weights_folder)


class _AllSeen(Exception):  # noqa: N818 - not an error: the net can stop
    """The net has reached the last layer that is needed."""


def _margin(net: nn.Module) -> int:
    """Return the padding that the first convolution lacks, without which no window covers some pixels at the edge."""
    first = next((module for module in net.modules() if isinstance(module, nn.Conv2d)), None)
    if type(first) is not nn.Conv2d or first.padding != (0, 0):  # a subclass pads by itself, as TensorFlow does
        return 0
    return first.kernel_size[0] // 2 if first.kernel_size[0] > first.stride[0] else 0  # patches cover a picture


def _leave_inputs_alone(net: nn.Module, pooling: str) -> None:
    for module in net.modules():
        if getattr(module, "inplace", False) is True:
            module.inplace = False  # type: ignore[assignment]
        for name, child in module.named_children():
            if pooling == "average" and isinstance(child, nn.MaxPool2d):
                options = {word: getattr(child, word) for word in ("kernel_size", "stride", "padding", "ceil_mode")}
                setattr(module, name, nn.AvgPool2d(**options))


def _drop(module: nn.Module, begun: set[nn.Module], done: set[nn.Module]) -> None:
    """Remove the parts of a module that never ran; a finished module may use its parts without calling them."""
    for name, child in list(module.named_children()):
        if child in done:
            continue
        if any(part in begun for part in child.modules()):
            _drop(child, begun, done)
        elif isinstance(module, nn.Sequential):
            del module._modules[name]
        else:  # its code may access the part before the net stops
            setattr(module, name, nn.Identity())


def _initialize(net: nn.Module, seed: int) -> None:
    net.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu", generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif callable(reset := getattr(module, "reset_parameters", None)):
                reset()
