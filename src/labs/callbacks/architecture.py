"""Say what the net is: a table of its layers in the run directory, and a picture on request."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_only

from labs.callbacks.tensorboard import show_picture
from labs.datamodules.protocols import SizedImages, handed_over
from labs.inspection.picture import draw_architecture
from labs.inspection.summary import summarize
from labs.storage.files import replacing, write_text


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
        net, run_dir = pl_module.get_submodule("net"), Path(trainer.default_root_dir)
        parts: Any = getattr(net, "views", None)
        size = 0 if parts else handed_over(trainer, SizedImages, to=self).image_size
        views = parts() if parts else {"": (net, (3, size, size))}
        texts = []
        for name, (view, shape) in views.items():
            texts.append(f"{name}\n\n" * bool(name) + summarize(view, shape).to_text() + "\n")
            if self.picture:
                path = run_dir / f"{'_'.join(filter(None, ('architecture', name)))}.png"
                with replacing(path) as staged:
                    draw_architecture(view, shape, staged, title=name or type(net).__name__)
                show_picture(trainer, path.stem, path)
        write_text(run_dir / "net.txt", "\n".join(texts))
