"""Content and style losses of generated pictures, computed from the activations of a fixed net."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from labs.functional.style import content_loss, gram, pass_style_loss
from labs.nets.layer_features import LayerFeatures

# The layers of PyTorch's tutorial, by which every run is measured, whatever loss it minimized.
YARDSTICK: dict[str, Any] = {
    "content_layers": ("conv_4",),
    "style_layers": ("conv_1", "conv_2", "conv_3", "conv_4", "conv_5"),
    "balance": True,
}


class PictureLosses:
    """Content and style losses of pictures; the targets are computed once, at the beginning.

    Args:
        net: A net that returns at least the layers below.
        contents: RGB in [0, 1], (pairs, 3, height, width).
        styles: RGB in [0, 1], (pairs, 3, height, width).
        content_layers: Layers whose activations are compared.
        style_layers: Layers whose Gram matrices are compared.
        convention: Definition of the losses, as in `labs.functional.style`.
        balance: Whether each layer's loss is divided by its value between the two pictures of the pair, so that all
            layers have the same weight. K. He, Y. Wang and J. Hopcroft, "A Powerful Generative Model Using Random
            Weights for the Deep Image Representation", 2016, found that nets with random weights need this.
        at_once: Number of pictures that go through the net together.
    """

    def __init__(
        self,
        net: LayerFeatures,
        contents: Tensor,
        styles: Tensor,
        *,
        content_layers: Sequence[str],
        style_layers: Sequence[str],
        convention: str = "tutorial",
        balance: bool = False,
        at_once: int = 1,
    ) -> None:
        self.net, self.convention = net, convention
        self.content_layers, self.style_layers = tuple(content_layers), tuple(style_layers)
        self.chunks = [slice(first, first + at_once) for first in range(0, len(contents), at_once)]
        self.content_targets: dict[str, Tensor] = {}
        self.style_targets: dict[str, Tensor] = {}
        self.divisors: dict[str, dict[str, Tensor]] = {"content": {}, "style": {}}
        with torch.no_grad():
            self._look_at(contents, styles)
            if balance:
                style = [self._layer_by_layer(contents[rows], rows)["style"] for rows in self.chunks]
                content = [self._layer_by_layer(styles[rows], rows)["content"] for rows in self.chunks]
                for kind, parts in (("style", style), ("content", content)):
                    for layer in parts[0]:
                        # the loss between two equal pictures is zero
                        self.divisors[kind][layer] = torch.cat([part[layer] for part in parts]).clamp_min(1e-12)

    def __call__(self, images: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        """Return the content and the style losses, each summed over its layers, (pictures,).

        Args:
            images: Some of the pictures, RGB in [0, 1], (pictures, 3, height, width).
            rows: Their pairs; one of `chunks`.
        """
        sums = []
        for kind, losses in self._layer_by_layer(images, rows).items():
            divisors = self.divisors[kind]
            parts = [loss / divisors[layer][rows] if divisors else loss for layer, loss in losses.items()]
            sums.append(torch.stack(parts).sum(0) if parts else images.new_zeros(len(images)))
        return sums[0], sums[1]

    def of_all(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the losses of all pictures, without gradients."""
        with torch.no_grad():
            content, style = zip(*(self(images[rows], rows) for rows in self.chunks), strict=True)
        return torch.cat(content), torch.cat(style)

    def _look_at(self, contents: Tensor, styles: Tensor) -> None:
        for pictures, layers, targets, keep in (
            (contents, self.content_layers, self.content_targets, lambda features: features),
            (styles, self.style_layers, self.style_targets, gram),
        ):
            seen = []
            for rows in self.chunks if layers else ():
                features = self.net(pictures[rows], dict.fromkeys(layers, lambda untouched: untouched))
                seen.append({layer: keep(features[layer]) for layer in layers})
            targets |= {layer: torch.cat([parts[layer] for parts in seen]) for layer in layers}

    def _layer_by_layer(self, images: Tensor, rows: slice) -> dict[str, dict[str, Tensor]]:
        losses: dict[str, dict[str, Tensor]] = {"content": {}, "style": {}}

        def visit(layer: str, features: Tensor) -> Tensor:
            if layer in self.content_targets:
                target = self.content_targets[layer][rows]
                losses["content"][layer] = content_loss(features, target, convention=self.convention)
            if layer in self.style_targets:
                target = self.style_targets[layer][rows]
                features, losses["style"][layer] = pass_style_loss(features, target, convention=self.convention)
            return features

        self.net(images, {layer: partial(visit, layer) for layer in (*self.content_layers, *self.style_layers)})
        return losses
