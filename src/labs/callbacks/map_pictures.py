"""Figures of attribution maps: one sheet per image, one of all images, and a table."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pandas as pd
from lightning.pytorch.utilities import rank_zero_only

from labs.callbacks.notes import of_the_run
from labs.callbacks.tensorboard import images_folder, save_picture, show_picture
from labs.datamodules.protocols import MakesMaps, ShowsImages, handed_over, needed
from labs.drawing.map_sheets import MOST, ShownMap, map_picture, overlay, sheet_of_map, sheet_of_maps
from labs.drawing.picture_files import save_png
from labs.inspection.map_checks import CheckedMap
from labs.inspection.maps import MAPS
from labs.runs.directory import read_facts
from labs.runs.trained_net import top_classes
from labs.storage.files import write_text


class MapPictures(pl.Callback):
    """Draw each image as soon as its map is computed, and all of them at the end.

    `images/<name>.png` is the sheet of an image; `images/maps/`, `images/overlays/` and `images/inputs/` hold its
    parts. `images/sheet.png` shows up to eight images, `maps.tsv` has one row for each image.
    """

    def __init__(self) -> None:
        self.shown: list[ShownMap] = []  # the first of them
        self.rows: list[dict[str, Any]] = []

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Clear the results."""
        self.shown, self.rows = [], []

    @rank_zero_only
    def on_test_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Draw the images of a batch."""
        method, data = needed(pl_module, MakesMaps, by=self), handed_over(trainer, ShowsImages, to=self)
        title, labels = _words(trainer, method, data)
        for checked in method.results:
            shown = _shown(checked, method, data)
            self.shown += [shown] if len(self.shown) < MOST else []
            save_png(shown.image, _folder(trainer, "inputs", shown.name), {})
            save_picture(map_picture(checked.map), _folder(trainer, "maps", shown.name))
            save_picture(overlay(shown.image, checked.map), _folder(trainer, "overlays", shown.name))
            sheet = images_folder(trainer) / f"{shown.name}.png"
            sheet_of_map(shown, sheet, title, labels)
            show_picture(trainer, f"maps/{shown.name}", sheet)
            self.rows.append(_row(shown))
        write_text(Path(trainer.default_root_dir, "maps.tsv"), pd.DataFrame(self.rows).to_csv(sep="\t", index=False))

    @rank_zero_only
    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the sheet of all images."""
        method, data = needed(pl_module, MakesMaps, by=self), handed_over(trainer, ShowsImages, to=self)
        sheet = images_folder(trainer) / "sheet.png"
        sheet_of_maps(self.shown, sheet, *_words(trainer, method, data))
        show_picture(trainer, "sheet", sheet)


def _words(trainer: pl.Trainer, method: MakesMaps, data: ShowsImages) -> tuple[str, list[str]]:
    """Return the title and the notes of a sheet."""
    experiment = read_facts(Path(trainer.default_root_dir)).get("experiment", "")
    words = MAPS[method.method]
    return f"{words} of {method.looked_into.name}", of_the_run(trainer, [experiment, *data.labels, *method.labels])


def _folder(trainer: pl.Trainer, kind: str, name: str) -> Path:
    return images_folder(trainer, kind) / f"{name}.png"


def _shown(checked: CheckedMap, method: MakesMaps, data: ShowsImages) -> ShownMap:
    classes = method.looked_into.classes
    return ShownMap(
        name=data.names[checked.position],
        image=data.pixels[checked.position],
        top=top_classes(method.looked_into, checked.probabilities),
        target=classes[checked.target],
        label=classes[checked.label] if checked.label >= 0 else "",
        checked=checked,
    )


def _row(shown: ShownMap) -> dict[str, Any]:
    answer, confidence = shown.top[0]
    numbers = {name: round(value, 6) for name, value in shown.checked.numbers.items() if name != "confidence"}
    return {
        "image": shown.name, "label": shown.label, "answer": answer, "confidence": round(confidence, 6),
        "target": shown.target, **numbers, "fails": "; ".join(shown.checked.faults),
    }  # fmt: skip
