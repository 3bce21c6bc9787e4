"""Attribution maps during training: what a classifier looks at in a few validation images, every few epochs."""

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn

from labs import LabsError
from labs.callbacks.notes import of_the_run
from labs.callbacks.tensorboard import images_folder, picture_is_due, show_picture
from labs.datamodules.batches import Batch
from labs.datamodules.image_classification import ImageClassification
from labs.datamodules.protocols import ImagesOfClasses, handed_over
from labs.drawing.explained import explained_sheet, map_named
from labs.drawing.figures import shortened
from labs.functional.augment import center_crop
from labs.inspection.maps import MAPS, maps_of
from labs.nets.eval_mode import as_built, evaluating

LONGEST = 19  # characters of a class name below an image


class Explain(pl.Callback):
    """Draw maps of validation images to `images/explained-<epoch>.png` and to TensorBoard; epoch 0 is before training.

    A map explains the score of the predicted class. It is computed by the whole net, in float32, from the images
    themselves, even if the run trains on stored features. This changes nothing in the run: neither the net, its modes
    and gradients, nor the random numbers.

    Args:
        every: Number of epochs from one sheet to the next. The last epoch always has one.
        images: Number of validation images, evenly spaced in the split.
        method: A kind of map in `labs.inspection.maps`, such as `saliency` or `guided`.
    """

    def __init__(self, *, every: int = 5, images: int = 6, method: str = "saliency") -> None:
        for name, value in (("every", every), ("images", images)):
            if value < 1:
                raise LabsError(f"callbacks.explain.{name}={value}: expected 1 or more.")
        self.every, self.images, self.word = every, images, method
        self.method = map_named(method, "callbacks.explain.method")

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse runs that do not train a classifier, before training."""
        if not isinstance(handed_over(trainer, ImagesOfClasses, to=self), ImageClassification):
            raise LabsError("callbacks=explain works only for classifiers; leave it out.")

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the maps of the untrained net; a net without such maps fails here, before training."""
        if not trainer.current_epoch:
            self._draw(trainer, pl_module, 0)

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the maps if they are due after this epoch."""
        if picture_is_due(trainer, self.every):
            self._draw(trainer, pl_module, trainer.current_epoch + 1)

    def _draw(self, trainer: pl.Trainer, pl_module: pl.LightningModule, epoch: int) -> None:
        data, net = handed_over(trainer, ImagesOfClasses, to=self), pl_module.get_submodule("net")
        assert isinstance(data, ImageClassification)
        count = len(data.rows["val"])
        places = np.unique(np.linspace(0, count - 1, min(self.images, count)).round().astype(int)).tolist()
        stored: Batch = data.images["val"][places]
        shown = center_crop(stored.images.float().div(255), data.image_size)
        maps, answers, confidence = self._look(net, data, stored, pl_module.device)
        captions = [
            _caption(data.classes, int(label), int(answer), float(sure))
            for label, answer, sure in zip(stored.labels, answers, confidence, strict=True)
        ]
        path = images_folder(trainer) / f"explained-{epoch:03d}.png"
        when = f"After epoch {epoch}" if epoch else "Before training"
        title = f"{when}: {MAPS[self.method]} of validation images"
        explained_sheet(shown, maps, captions, path, title, of_the_run(trainer, data.labels))
        show_picture(trainer, f"explained/{self.word}", path, trainer.global_step)

    def _look(
        self, net: nn.Module, data: ImageClassification, stored: Batch, device: torch.device
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return maps, predictions and their confidence, on the CPU."""
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), as_built(net):
            images = data.transformed(stored.images.to(device), stored.positions.to(device), None)
            images = images.to(next(net.parameters()).dtype)
            with torch.no_grad(), evaluating(net):
                confidence, answers = net(images).float().softmax(dim=1).max(dim=1)
            maps = maps_of(net, images, answers, method=self.method)
        return maps.float().cpu(), answers.cpu(), confidence.cpu()


def _caption(classes: list[str], label: int, answer: int, confidence: float) -> str:
    names = [shortened(name, LONGEST) for name in classes]
    truth = "right" if label == answer else f"is {names[label]}"
    return f"{names[answer]}  {confidence:.0%}\n{truth}"
