"""Describe the net: a table of its layers in the run directory and, on request, a picture."""

from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_only
from torch import nn

from labs.callbacks.tensorboard import show_picture
from labs.datamodules.protocols import LooksIntoNet, SizedImages, handed_over
from labs.inspection.picture import draw_architecture
from labs.inspection.summary import summarize
from labs.storage.files import replacing, write_text


class Architecture(pl.Callback):
    """Write `net.txt` (layers, shapes, parameters, receptive fields) and, if asked, `architecture.png`.

    Args:
        picture: Whether to draw the architecture for the run directory and TensorBoard.
    """

    def __init__(self, *, picture: bool = False) -> None:
        self.picture = picture
        self.described = False

    @rank_zero_only
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Describe the net at the start of training."""
        self._describe(trainer, pl_module)

    @rank_zero_only
    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Describe the net of a run that trains nothing."""
        if not self.described:
            self._describe(trainer, pl_module)

    def _describe(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.described = True
        run_dir, texts = Path(trainer.default_root_dir), []
        for name, (view, shape) in self._views(trainer, pl_module).items():
            texts.append(f"{name}\n\n" * bool(name) + summarize(view, shape).to_text() + "\n")
            if self.picture:
                path = run_dir / f"{'_'.join(filter(None, ('architecture', name)))}.png"
                with replacing(path) as staged:
                    draw_architecture(view, shape, staged, title=name or type(view).__name__)
                show_picture(trainer, path.stem, path)
        if texts:
            write_text(run_dir / "net.txt", "\n".join(texts))

    def _views(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, tuple[nn.Module, tuple[int, int, int]]]:
        """Return the nets of a method by name, each with the shape of its images; empty if it has none."""
        if isinstance(pl_module, LooksIntoNet):
            size = pl_module.looked_into.image_size
            return {"": (pl_module.looked_into.net, (3, size, size))}
        net = getattr(pl_module, "net", None)
        if not isinstance(net, nn.Module):
            return {}
        if views := getattr(net, "views", None):
            several: dict[str, tuple[nn.Module, tuple[int, int, int]]] = views()
            return several
        size = handed_over(trainer, SizedImages, to=self).image_size
        return {"": (net, (3, size, size))}
