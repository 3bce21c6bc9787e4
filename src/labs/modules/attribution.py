"""Attribution: which pixels of an image the score of a class depends on, and whether the map can be trusted.

K. Simonyan, A. Vedaldi and A. Zisserman, "Deep Inside Convolutional Networks", ICLR 2014 workshop, section 3: with the
score S_c of class c before softmax, and an image I,

    map_ij = max over channels of |dS_c / dI_ij|

`method` selects the kind of map (`labs.inspection.maps`). Every map passes two tests (`labs.inspection.map_checks`): it
is compared with the maps of the same net as its layers are randomized, and pixels are deleted and inserted in the order
of the map.
"""

import math
from functools import partial
from typing import Literal

import lightning.pytorch as pl
import torch
from torch import Tensor
from torchmetrics import MeanMetric, MetricCollection

from labs import LabsError
from labs.datamodules.batches import Batch
from labs.inspection.map_checks import CheckedMap, check_maps
from labs.inspection.maps import maps_of
from labs.runs.trained_net import TrainedNet

NUMBERS = ("confidence", "spearman", "ssim", "deletion", "random_deletion", "insertion", "random_insertion")


class Attribution(pl.LightningModule):
    """Compute an attribution map of every image, and check it. Nothing is trained.

    Args:
        net: The trained net to explain.
        method: The kind of map, a key of `labs.inspection.maps.MAPS`.
        target: The class to explain, by name or number. None: the predicted class. `label`: the true class, which is
            known only for images of a run.
        layer: Layer for Grad-CAM. None: the last layer before the head that has feature maps.
        steps: Number of steps for integrated gradients.
        samples: Number of noisy images for SmoothGrad.
        noise: Standard deviation of SmoothGrad's noise, relative to the range of an image.
        stages: Number of stages of the cascading randomization.
        points: Number of points of the deletion and insertion curves.
        orders: Number of random pixel orders that these curves are compared with.
        chunk: Number of images that go through the net together; a smaller number needs less memory.
        seed: Seed of the noise, the random weights and the random orders.

    Raises:
        LabsError: If a value is out of range, or if the net has no such class, layer or map.
    """

    def __init__(
        self,
        *,
        net: TrainedNet,
        method: Literal["gradient", "guided", "integrated_gradients", "smoothgrad", "grad_cam"] = "gradient",
        target: str | int | None = None,
        layer: str | None = None,
        steps: int = 32,
        samples: int = 25,
        noise: float = 0.15,
        stages: int = 8,
        points: int = 28,
        orders: int = 3,
        chunk: int = 16,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value in {"steps": steps, "samples": samples, "stages": stages, "points": points, "orders": orders,
                            "chunk": chunk}.items():  # fmt: skip
            if value < 1:
                raise LabsError(f"module.{name}={value}: expected 1 or more.")
        if not 0 <= noise < math.inf:
            raise LabsError(f"module.noise={noise}: expected 0 or more, such as 0.15.")
        self.looked_into, self.net, self.method = net, net.net, method
        self.target = None if target in (None, "label") else net.index(target)
        self.of_label = target == "label"
        self.make = partial(
            maps_of, method=method, chunk=chunk, steps=steps, samples=samples, noise=noise, layer=layer, seed=seed
        )
        if method in ("guided", "grad_cam"):  # fail before the run starts if the net or layer has no such map
            self.make(net.net, torch.zeros(1, 3, net.image_size, net.image_size), torch.zeros(1, dtype=torch.int64))
        self.checks = {"stages": stages, "points": points, "orders": orders, "chunk": chunk, "seed": seed}
        self.means = MetricCollection({name: MeanMetric() for name in (*NUMBERS, "passed")}, prefix="test/")
        self.results: list[CheckedMap] = []  # of the last batch

    @property
    def labels(self) -> list[str]:
        """Notes that every number and picture of this run must carry."""
        return self.looked_into.labels

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, classes) of images (batch, 3, height, width) in [0, 1]."""
        return self.looked_into(images)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Compute and check the maps of a batch, and keep the results for the callbacks that draw them."""
        with torch.no_grad():
            probabilities = self(batch.images).softmax(dim=1)
        targets = self._targets(probabilities, batch.labels)
        images = self.looked_into.normalizer(batch.images)
        maps, found = check_maps(self.net, images, targets, self.make, **self.checks)
        columns = {"probabilities": probabilities, "map": maps, **found}
        places = zip(batch.positions.tolist(), batch.labels.tolist(), targets.tolist(), strict=True)
        self.results = [
            CheckedMap(position, label, target, **{name: values[row].cpu() for name, values in columns.items()})
            for row, (position, label, target) in enumerate(places)
        ]
        for result in self.results:
            for name, value in {**result.numbers, "passed": float(not result.faults)}.items():
                self.means[name].update(value)
        if batch_idx == 0:  # Lightning computes and resets them at the end of the epoch
            self.log_dict(dict(self.means.items()), on_epoch=True)

    def _targets(self, probabilities: Tensor, labels: Tensor) -> Tensor:
        if self.of_label and (labels < 0).any():
            raise LabsError(
                "module.target=label: these images have no labels. Type a class, such as module.target=0, or take "
                "the images of a run: run=<run directory>."
            )
        if self.of_label:
            return labels
        return probabilities.argmax(dim=1) if self.target is None else torch.full_like(labels, self.target)
