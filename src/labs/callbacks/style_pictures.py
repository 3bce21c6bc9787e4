"""Save the results of style transfer: pictures at full size, a sheet, an animation, and the losses."""

import json
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from labs import LabsError
from labs.callbacks.notes import of_the_run
from labs.callbacks.tensorboard import images_folder, picture_is_due, show_picture, writer
from labs.datamodules.image_pair import Pairs
from labs.datamodules.protocols import MakesPictures, PicturePairs, handed_over, needed
from labs.drawing.picture_files import as_image, save_png, small
from labs.drawing.picture_sheets import growth_gif, losses_png, pairs_sheet
from labs.quantities import quantity
from labs.runs.directory import read_facts
from labs.runs.signals import is_in_a_hurry
from labs.storage.files import write_text


class StylePictures(pl.Callback):
    """Save the pictures of a run while they develop, and at the end or on interruption.

    `images/<pair>.png` has the recipe, the losses and the credits in its metadata. `images/growth/<evaluations>.png`
    are the frames of `images/growth.gif`. `losses.tsv` has one row per evaluation and pair, `pictures.tsv` one row per
    pair.

    Args:
        frame_size: Longer side of a picture in the frames and in TensorBoard, in pixels.
    """

    def __init__(self, *, frame_size: int = 256) -> None:
        if frame_size < 16:
            raise LabsError(f"callbacks.pictures.frame_size={frame_size}: expected 16 pixels or more.")
        self.frame_size = frame_size
        self.rows: list[tuple[int, str, float, float, float]] = []  # evaluation, pair, content, style, total
        self.began = False

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Delete the frames of evaluations that this run repeats, and save the first frame."""
        data = handed_over(trainer, PicturePairs, to=self)
        self.began, done = True, needed(pl_module, MakesPictures, by=self).evaluations
        for frame in images_folder(trainer, "growth").glob("*.png"):
            if int(frame.stem) > done or not done:
                frame.unlink()
        for kind, pictures in data.pictures._asdict().items():  # contents, styles
            for name, picture in zip(data.names, pictures, strict=True):
                save_png(picture, images_folder(trainer, "inputs") / f"{name}-{kind.removesuffix('s')}.png", {})
            if not done:
                writer(trainer).add_images(kind, small(pictures, self.frame_size), 0)

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save a frame and the losses of the evaluations since the last one."""
        assert isinstance(pl_module, MakesPictures)
        data = handed_over(trainer, PicturePairs, to=self)
        trace = torch.stack(pl_module.trace).cpu()  # (evaluations, 3, pairs)
        first = pl_module.evaluations - len(trace) + 1
        self.rows += [
            (number, name, *trace[place, :, pair].tolist())
            for place, number in enumerate(range(first, pl_module.evaluations + 1))
            for pair, name in enumerate(data.names)
        ]
        write_text(
            Path(trainer.default_root_dir, "losses.tsv"), _losses(self.rows).to_csv(sep="\t", index=False, na_rep="nan")
        )
        if not picture_is_due(trainer):
            return
        frames = small(_pictures(pl_module, data.pictures), self.frame_size)
        strip = torch.cat(list(frames), dim=2)
        save_png(strip, images_folder(trainer, "growth") / f"{pl_module.evaluations:06d}.png", {})
        writer(trainer).add_images("generated", frames, pl_module.evaluations)

    @rank_zero_only
    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the finished pictures and their metrics."""
        assert isinstance(pl_module, MakesPictures)
        results = {name: values.tolist() for name, values in pl_module.results.items()}
        table = pd.DataFrame({"picture": handed_over(trainer, PicturePairs, to=self).names, **results})
        write_text(Path(trainer.default_root_dir, "pictures.tsv"), table.to_csv(sep="\t", index=False, na_rep="nan"))
        self._save(trainer, pl_module, table)

    @rank_zero_only
    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Save the best pictures so far, if the run has started and there is time."""
        if self.rows and self.began and not is_in_a_hurry(exception):
            self._save(trainer, pl_module, pd.DataFrame({"picture": handed_over(trainer, PicturePairs, to=self).names}))

    def state_dict(self) -> dict[str, Any]:
        """Save the losses with the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the losses of the resumed run."""
        self.rows = [tuple(row) for row in state_dict["rows"]]

    def _save(self, trainer: pl.Trainer, pl_module: pl.LightningModule, table: pd.DataFrame) -> None:
        assert isinstance(pl_module, MakesPictures)
        data, folder, done = handed_over(trainer, PicturePairs, to=self), images_folder(trainer), pl_module.evaluations
        pictures = _pictures(pl_module, data.pictures)
        facts = read_facts(Path(trainer.default_root_dir))
        labels = of_the_run(trainer, [*data.labels, *pl_module.labels])
        for place, name in enumerate(data.names):
            settings = {
                "Title": f"{data.contents[place]} in the style of {data.styles[place]}",
                "Software": "labs",
                "Comment": ", ".join(labels),
                "command": facts.get("command", ""),
                "settings": json.dumps({"evaluations": done, **pl_module.settings}),
                "measured": table.iloc[place].drop("picture").to_json(),
                "credits": "; ".join(data.credits),
            }
            save_png(pictures[place], folder / f"{name}.png", settings)
        rows = [[as_image(picture) for picture in row] for row in zip(*data.pictures, pictures, strict=True)]
        pairs_sheet(rows, table.to_dict("records"), folder / "sheet.png", _title(facts, done), labels)
        losses_png(_losses(self.rows), folder / "losses.png", _title(facts, done), labels)
        growth_gif(sorted((folder / "growth").glob("*.png")), folder / "growth.gif", labels)
        show_picture(trainer, "sheet", folder / "sheet.png", done)


def _title(facts: dict[str, Any], done: int) -> str:
    return f"{facts.get('experiment', '')}, {quantity(done, 'evaluation')}"


def _losses(rows: list[tuple[int, str, float, float, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["evaluation", "picture", "content", "style", "total"])


@torch.no_grad()
def _pictures(module: pl.LightningModule, pairs: Pairs) -> Tensor:
    assert isinstance(module, MakesPictures)
    return module.pictures(Pairs(*(tensor.to(module.device) for tensor in pairs))).cpu()
