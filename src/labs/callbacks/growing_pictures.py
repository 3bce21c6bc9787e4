"""Save the results of class visualization: pictures, a sheet, an animation, and the predictions of the nets."""

import json
from pathlib import Path

import lightning.pytorch as pl
import pandas as pd
import torch
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image
from torchvision.utils import make_grid

from labs import LabsError
from labs.callbacks.notes import of_the_run
from labs.callbacks.tensorboard import images_folder, picture_is_due, show_picture, writer
from labs.datamodules.protocols import GrowsPictures, ShowsImages, handed_over, needed
from labs.drawing.class_sheets import COLUMNS, classes_sheet, on_white
from labs.drawing.picture_files import as_image, save_png, small
from labs.drawing.picture_sheets import growth_gif
from labs.functional.tiles import as_bytes
from labs.quantities import quantity
from labs.runs.directory import read_facts
from labs.runs.signals import is_in_a_hurry
from labs.storage.files import write_text


class GrowingPictures(pl.Callback):
    """Save the pictures of a run while they develop, and at the end or on interruption.

    `images/<name>.png` is the measured picture, with its recipe in the metadata. Some methods also write
    `images/<name>-opacity.png`, which is transparent where pixels did not matter. `images/growth/<steps>.png` are the
    frames of `images/growth.gif`. `pictures.tsv` has one row per picture.

    Args:
        frame_size: Size of a picture in the frames and in TensorBoard, in pixels.
    """

    def __init__(self, *, frame_size: int = 224) -> None:
        if frame_size < 16:
            raise LabsError(f"callbacks.pictures.frame_size={frame_size}: expected 16 pixels or more.")
        self.frame_size, self.began = frame_size, False

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Delete the frames of steps that this run repeats, and save the first frame."""
        method = needed(pl_module, GrowsPictures, by=self)
        for frame in images_folder(trainer, "growth").glob("*.png"):
            if int(frame.stem) > method.evaluations or not method.evaluations:
                frame.unlink()
        if not method.evaluations:
            self._frame(trainer, method)

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save a frame."""
        self.began = True
        if picture_is_due(trainer):
            self._frame(trainer, needed(pl_module, GrowsPictures, by=self))

    @rank_zero_only
    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the finished pictures and their metrics."""
        method = needed(pl_module, GrowsPictures, by=self)
        results = {name: values.tolist() for name, values in method.results.items()}
        table = pd.DataFrame({"picture": method.names, "title": method.titles, **results, "seen": method.captions})
        file = Path(trainer.default_root_dir, "pictures.tsv")
        write_text(file, table.replace("\n", "; ", regex=True).to_csv(sep="\t", index=False, na_rep="nan"))
        self._save(trainer, method, table)

    @rank_zero_only
    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Save the pictures so far, if there are any and there is time."""
        if self.began and not is_in_a_hurry(exception):
            method = needed(pl_module, GrowsPictures, by=self)
            self._save(trainer, method, pd.DataFrame({"picture": method.names}))

    def _frame(self, trainer: pl.Trainer, method: GrowsPictures) -> None:
        pictures = small(method.pictures().cpu(), self.frame_size)
        grid = make_grid(pictures, nrow=min(len(pictures), COLUMNS), padding=4, pad_value=1.0)
        save_png(grid, images_folder(trainer, "growth") / f"{method.evaluations:06d}.png", {})
        writer(trainer).add_images("pictures", pictures, method.evaluations)

    def _save(self, trainer: pl.Trainer, method: GrowsPictures, table: pd.DataFrame) -> None:
        data, folder, done = handed_over(trainer, ShowsImages, to=self), images_folder(trainer), method.evaluations
        pictures, opacity, facts = method.pictures().cpu(), method.opacity(), read_facts(Path(trainer.default_root_dir))
        labels = of_the_run(trainer, [*data.labels, *method.labels])
        columns: list[list[Image.Image]] = []
        titles: list[str] = []
        captions: list[str] = []
        for place, name in enumerate(method.names):
            texts = {
                "Title": method.titles[place],
                "Software": "labs",
                "Comment": ", ".join(labels),
                "command": facts.get("command", ""),
                "settings": json.dumps({"steps done": done, **method.settings}),
                "measured": table.iloc[place].to_json(),
                "credits": "; ".join(data.credits),
            }
            save_png(pictures[place], folder / f"{name}.png", texts)
            if len(method.starts):  # to the left of its result
                columns.append([as_image(method.starts[place])])
                titles, captions = [*titles, "start"], [*captions, ""]
            columns.append([as_image(pictures[place])])
            titles.append(method.titles[place])
            captions.append(method.captions[place] if method.captions else "")
            if opacity is not None:
                alpha = opacity[place].cpu()
                save_png(torch.cat([pictures[place], alpha]), folder / f"{name}-opacity.png", texts)
                mask = Image.fromarray(as_bytes(alpha)[0].numpy())
                columns[-1].append(on_white(columns[-1][-1], mask))
        title = f"{facts.get('experiment', '')}: pictures for {method.settings['net']} after {quantity(done, 'step')}"
        title = "\n".join(filter(None, (title, method.note)))
        classes_sheet(columns, titles, captions, folder / "sheet.png", title, labels)
        growth_gif(sorted((folder / "growth").glob("*.png")), folder / "growth.gif", labels, "steps")
        show_picture(trainer, "sheet", folder / "sheet.png", done)
