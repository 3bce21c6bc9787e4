"""Save the results of a run that fools a net: the changed images, a table, and sheets."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch.nn.functional as F
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image
from torch import Tensor

from labs import LabsError
from labs.callbacks.notes import of_the_run
from labs.callbacks.record import tsv
from labs.callbacks.tensorboard import images_folder, show_picture
from labs.datamodules.protocols import ChangesImages, LooksIntoNet, ShowsImages, handed_over, needed
from labs.datamodules.read_picture import file_name, numbered
from labs.drawing.before_after import Shown, changes_sheet
from labs.functional.tiles import as_bytes
from labs.inspection.changed_images import ChangedImage, Form
from labs.quantities import quantity
from labs.runs.trained_net import TrainedNet
from labs.storage.files import replacing, write_text

FORMS: dict[Form, str] = {"float": "computed", "png": "PNG", "jpeg": "JPEG"}


class ChangedPictures(pl.Callback):
    """Save every changed image with a row of `fooled.tsv`, and draw them at the end.

    `predict.py` and `datamodule.images=` read exactly the measured pixels from `images/<image>_<target>.png` (`.jpg` if
    the JPEG must fool the net). `images/sheet.png` shows each image with its first target that differs from the
    prediction. `images/targets/<image>.png` shows one image with every target.

    Args:
        most: Largest number of images on a sheet.
    """

    def __init__(self, *, most: int = 14) -> None:
        if most < 1:
            raise LabsError(f"callbacks.images.most={most}: expected 1 image or more.")
        self.most = most
        self.rows: list[dict[str, Any]] = []
        self.first: list[Shown] = []  # one per image: the first target that differs from the original prediction

    @rank_zero_only
    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Save the changed images of a batch."""
        data, method = handed_over(trainer, ShowsImages, to=self), needed(pl_module, ChangesImages, by=self)
        net = needed(pl_module, LooksIntoNet, by=self).looked_into
        names = _names(data.names, [net.classes[target] for target in method.targets])
        by_image: dict[int, list[ChangedImage]] = {}
        for result in method.results:
            by_image.setdefault(result.position, []).append(result)
        for position, results in by_image.items():
            for result, name in zip(results, names[position], strict=True):
                _save(result, images_folder(trainer) / name, net, method.survive, method.jpeg_quality)
                self.rows.append(_row(result, data.names[position], net))
            columns = [_shown(result, net, method.survive) for result in results]
            posed = (column for column, result in zip(columns, results) if not result.already)
            self.first.append(next(posed, columns[0]))
            if len(columns) > 1:
                file = images_folder(trainer, "targets") / f"{data.names[position]}.png"
                self._draw(columns[: self.most], file, trainer, pl_module)
        write_text(Path(trainer.default_root_dir, "fooled.tsv"), tsv(self.rows))

    @rank_zero_only
    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw all images on one sheet."""
        if self.first:
            self._draw(self.first[: self.most], images_folder(trainer) / "sheet.png", trainer, pl_module)
            show_picture(trainer, "sheet", images_folder(trainer) / "sheet.png")

    def _draw(self, columns: list[Shown], file: Path, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        net = needed(pl_module, LooksIntoNet, by=self).looked_into
        labels = of_the_run(trainer, [*handed_over(trainer, ShowsImages, to=self).labels, *net.labels])
        form = FORMS[needed(pl_module, ChangesImages, by=self).survive]
        title = f"Predictions of {net.name} before and after the change (image tested as {form})"
        changes_sheet(columns, file, title, labels)


def _names(images: list[str], targets: list[str]) -> list[list[str]]:
    """Return a name for each image and target, without a file extension."""
    whole = numbered([f"{image}_{file_name(target)}" for image in images for target in targets])
    return [whole[start : start + len(targets)] for start in range(0, len(whole), len(targets))]


def _save(result: ChangedImage, path: Path, net: TrainedNet, form: Form, quality: int) -> None:
    """Save an image so that reading it for this net gives exactly these pixels.

    If the net's run crops the center of an image, the saved image gets a border that this crop removes again.
    """
    pixels = as_bytes(framed(result.changed.clamp(0, 1), net))
    picture = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    jpeg = form == "jpeg"
    with replacing(path.with_name(f"{path.name}.{'jpg' if jpeg else 'png'}")) as staged:
        picture.save(staged, format="JPEG" if jpeg else "PNG", **({"quality": quality} if jpeg else {}))


def framed(image: Tensor, net: TrainedNet) -> Tensor:
    """Pad an image (3, size, size) to the size that a run resizes files to before its center crop."""
    missing = (net.resize or net.image_size) - net.image_size
    before = missing // 2
    return F.pad(image[None], (before, missing - before, before, missing - before), mode="replicate")[0]


def _row(result: ChangedImage, name: str, net: TrainedNet) -> dict[str, Any]:
    """Return a row of `fooled.tsv`."""
    after = {
        f"{key}_{form}": value
        for form, (pred, confidence) in result.after.items()
        for key, value in (("after", net.classes[pred]), ("confidence", f"{confidence:.6f}"))
    }
    return {
        "image": name,
        "target": net.classes[result.target],
        "before": net.classes[result.before[0]],
        "confidence": f"{result.before[1]:.6f}",
        "already": int(result.already),
        "steps": result.steps,
        **{f"fooled_{form}": int(result.fools(form)) for form in result.after},
        **after,
        "l2": f"{result.l2:.6f}",
        "l2_share": f"{result.l2_share:.6f}",
        "linf": f"{result.linf:.6f}",
    }


def _shown(result: ChangedImage, net: TrainedNet, form: Form) -> Shown:
    """Return a column of a sheet."""
    original, changed = (image.permute(1, 2, 0).numpy() for image in (result.original, result.changed))
    before = _answer(net, result.before)
    if result.already:
        return Shown(original, changed, (before, "already the target", "not changed"), good=None)
    marks = "  ".join(f"{word} {'✓' if result.fools(kind) else '✗'}" for kind, word in FORMS.items() if kind != "float")
    size = f"{quantity(result.steps, 'step')}, size {100 * result.l2_share:.2g} %"
    words = (before, _answer(net, result.after[form]), f"{size}\n{marks}")
    return Shown(original, changed, words, good=result.fools(form))


def _answer(net: TrainedNet, answer: tuple[int, float]) -> str:
    return f"{net.classes[answer[0]]}\n{100 * answer[1]:.0f} %"
