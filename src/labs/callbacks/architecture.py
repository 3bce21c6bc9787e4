"""Say what the net is: a table of its layers in the run directory, and a picture on request."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image
from torch import nn

from labs.callbacks.tensorboard import writer
from labs.nets.picture import draw_architecture
from labs.nets.summary import summarize


class Architecture(pl.Callback):
    """Write `net.txt` (layers, shapes, parameters, receptive fields) and, if asked, `architecture.png`.

    Args:
        picture: draw the architecture, for the run directory and TensorBoard.
    """

    def __init__(self, *, picture: bool = False) -> None:
        self.picture = picture

    @rank_zero_only
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Describe the net as training begins."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        net = pl_module.net
        assert isinstance(net, nn.Module)
        shape = (3, data.image_size, data.image_size)
        run_dir = Path(trainer.default_root_dir)
        (run_dir / "net.txt").write_text(summarize(net, shape).to_text() + "\n", encoding="utf-8")
        if self.picture:
            path = run_dir / "architecture.png"
            draw_architecture(net, shape, path, title=type(net).__name__)
            if (board := writer(trainer)) is not None:
                board.add_image("architecture", _pixels(path), dataformats="HWC")


def _pixels(path: Path) -> Any:
    import numpy as np

    with Image.open(path) as image:
        image.thumbnail((2000, 4000))
        return np.asarray(image.convert("RGB"))
