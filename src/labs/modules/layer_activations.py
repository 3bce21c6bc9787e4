"""Activations: the outputs of a trained net's layers for an image, and the images that activate a unit most.

Nothing is trained. A unit is a channel of a layer, and its map A_u(x) holds its output at every position of an image x.
The images that activate it most are those with the highest peak

    max over positions p of A_u(x)[p]

(M. Zeiler and R. Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014). A position is active if
its value is above zero. A channel is dead if it has no active position in any image.
"""

from functools import partial

import lightning.pytorch as pl
import torch
from torch import Tensor

from labs import LabsError
from labs.datamodules.batches import Batch
from labs.datamodules.protocols import ShowsImages, handed_over
from labs.functional.peaks import Peaks
from labs.inspection.layers import chosen_layers, layer_shapes, watching
from labs.runs.trained_net import TrainedNet


class LayerActivations(pl.LightningModule):
    """Record the outputs of layers while a net classifies images.

    Args:
        net: The net, which is not changed.
        layers: Names of modules, such as `features.0`. None: the first convolution and up to three later layers
            (`labs.inspection.layers`). A layer's own output is recorded, even where the net later overwrites it.
        units: Channels of every layer whose top images are shown. None: chosen automatically (see `telling`).
        telling: Number of channels chosen per layer: those whose peaks differ most from image to image.
        top: Number of images shown per unit.
        maps: Largest number of images whose maps are drawn, evenly spaced in the data.

    Raises:
        LabsError: If the net has no such layer or unit, or if a value is out of range.
    """

    def __init__(
        self,
        *,
        net: TrainedNet,
        layers: list[str] | None = None,
        units: list[int] | None = None,
        telling: int = 3,
        top: int = 8,
        maps: int = 4,
    ) -> None:
        super().__init__()
        for name, value, least in (("telling", telling, 1), ("top", top, 1), ("maps", maps, 0)):
            if value < least:
                raise LabsError(f"module.{name}={value}: expected {least} or more.")
        self.looked_into, self.net = net, net.net
        shapes = layer_shapes(self.net, torch.zeros(1, 3, net.image_size, net.image_size))
        self.layers = chosen_layers(self.net, shapes, layers, len(net.classes))
        self.shapes = {layer: shapes[layer] for layer in self.layers}
        for layer, (channels, *_) in self.shapes.items():
            if wrong := [unit for unit in units or () if not 0 <= unit < channels]:
                raise LabsError(f"module.units: {layer} has no unit {wrong[0]}. It has the units 0 to {channels - 1}.")
        self.units, self.count, self.top, self.most = units, telling, top, maps
        self.peaks: dict[str, Peaks] = {}  # of each layer, over all images
        self.drawn: set[int] = set()  # positions of the images whose maps are kept
        self.maps: dict[int, dict[str, Tensor]] = {}  # of the last batch: by position and layer, (channels, ...)
        self.probabilities: dict[int, Tensor] = {}  # the same images', (classes,)

    @property
    def labels(self) -> list[str]:
        """Notes that every number and picture of this run must carry."""
        return self.looked_into.labels

    def setup(self, stage: str) -> None:
        """Choose the images whose maps are drawn, and clear the peaks."""
        if self.trainer.world_size > 1:
            raise LabsError("this method runs on one device. Type trainer.devices=1.")
        images = len(handed_over(self.trainer, ShowsImages, to=self).names)
        shown = min(self.most, images)
        self.drawn = {place * images // shown for place in range(shown)}
        self.peaks = {layer: Peaks(self.top) for layer in self.layers}

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, classes) for images (batch, 3, height, width) in [0, 1]."""
        return self.looked_into(images)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Update peaks and active positions of every layer, and keep the maps of the images that are drawn."""
        positions = batch.positions.tolist()
        kept = [row for row, position in enumerate(positions) if position in self.drawn]
        self.maps = {positions[row]: {} for row in kept}

        def see(layer: str, maps: Tensor) -> None:
            self.peaks[layer].update(maps, batch.positions)
            for row in kept:
                self.maps[positions[row]][layer] = maps[row].float().cpu().clone()

        with watching(self.net, {layer: partial(see, layer) for layer in self.layers}):
            probabilities = self(batch.images).softmax(dim=1)
        self.probabilities = {positions[row]: probabilities[row].cpu() for row in kept}
        if batch_idx + 1 == self.trainer.num_test_batches[0]:  # any later, the callbacks would have run already
            self._log()

    def units_of(self, layer: str) -> list[int]:
        """Return the units of a layer whose top images are shown."""
        return self.units if self.units is not None else self.peaks[layer].telling(self.count)

    def _log(self) -> None:
        """Log the share of active positions and the share of dead channels."""
        active = {layer: peaks.active_share.mean() for layer, peaks in self.peaks.items()}
        dead = {layer: peaks.dead.cpu().double() for layer, peaks in self.peaks.items()}
        results = {
            "test/active": torch.stack([*active.values()]).mean(),
            "test/dead": torch.cat([*dead.values()]).mean(),
            **{f"test/active_{layer}": share for layer, share in active.items()},
            **{f"test/dead_{layer}": channels.mean() for layer, channels in dead.items()},
        }
        floats = {name: value.float() for name, value in results.items()}
        self.log_dict(floats, on_step=False, on_epoch=True, batch_size=1)
