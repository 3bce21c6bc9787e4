"""Figures of the layers of a net: filters, activation maps, and the images that activate units most."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn

from labs import LabsError
from labs.callbacks.notes import of_the_run
from labs.callbacks.tensorboard import images_folder, show_picture
from labs.datamodules.protocols import ShowsImages, WatchesLayers, handed_over, needed
from labs.datamodules.sources import say
from labs.drawing.tile_sheets import Section, Tile, filter_colors, map_colors, tile_sheet
from labs.inspection.graph import trace_net
from labs.inspection.layers import layer_field, seen_by
from labs.runs.trained_net import top_classes
from labs.storage.files import write_text

OVERVIEW = 8  # channels per layer in the overview
LONGEST = 18  # characters of an image's name below it


class LayerMaps(pl.Callback):
    """Draw the recorded activations, each sheet as soon as possible.

    `images/filters.png` shows the filters of the first convolution, `images/maps/<image>-<layer>.png` the maps of an
    image, `images/overview.png` the maps of the first image in all layers, and `images/units-<layer>.png` the images
    that activate units most. `layers.tsv` has one row per layer, `units.tsv` one row per unit and image.

    Args:
        channels: Largest number of channels on a sheet of maps: those with the highest peaks.
    """

    def __init__(self, *, channels: int = 64) -> None:
        if channels < 1:
            raise LabsError(f"callbacks.pictures.channels={channels}: expected 1 or more.")
        self.channels = channels

    @rank_zero_only
    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the filters, and compute the receptive fields of all layers."""
        method = needed(pl_module, WatchesLayers, by=self)
        net, size = method.looked_into, method.looked_into.image_size
        self.labels = of_the_run(trainer, handed_over(trainer, ShowsImages, to=self).labels)
        with torch.inference_mode(False):
            graph = trace_net(net.net, (3, size, size))
        self.fields = {layer: layer_field(graph, layer, shape) for layer, shape in method.shapes.items()}
        self.overview = images_folder(trainer) / "overview.png"
        self.drawn = False
        name, first = next(((n, m) for n, m in net.net.named_modules() if isinstance(m, nn.Conv2d)), ("", None))
        if first is None or first.weight.shape[1] not in (1, 3):
            why = f"{name} has {first.weight.shape[1]} input channels, not 1 or 3" if first else "it has no convolution"
            say(f"The filters of {net.name} are not drawn: {why}.", self.labels)
            return
        weights = first.weight.detach().float().cpu().numpy()
        tiles = [Tile(filter_colors(weights[place]), str(place)) for place in range(len(weights))][: self.channels * 2]
        kernel = "x".join(map(str, weights.shape[2:]))
        title = f"First convolution of {net.name}: {len(weights)} filters of {kernel} pixels ({name})"
        note = "Gray is zero; each filter is scaled by its own largest weight."
        self._save(trainer, "filters", [Section("", tiles)], title, note)

    @rank_zero_only
    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: int
    ) -> None:
        """Draw the maps of a batch's selected images."""
        assert isinstance(pl_module, WatchesLayers)
        data = handed_over(trainer, ShowsImages, to=self)
        for position, layers in pl_module.maps.items():
            name, image = data.names[position], _picture(data.pixels[position])
            answer = top_classes(pl_module.looked_into, pl_module.probabilities[position], count=1)[0]
            label, classes = int(data.classes[position]), pl_module.looked_into.classes
            truth = f"\nis {classes[label]}" if label >= 0 and classes[label] != answer[0] else ""
            aside = Tile(image, f"{name}\n{answer[0]}, {answer[1]:.0%}{truth}")
            if not self.drawn:
                self._draw_overview(trainer, pl_module, layers, aside)
            for layer, maps in layers.items():
                if maps.shape[1] == 1:
                    continue  # a vector has no map
                sections = [Section("", self._tiles(maps, self.channels))]
                part = f": the {self.channels} of {len(maps)} channels with the highest peaks" * (
                    len(maps) > self.channels
                )
                title = f"{layer} of {pl_module.looked_into.name}{part}"
                self._save(trainer, f"maps/{name}-{layer}", sections, title, _scale([maps]), aside=aside)

    @rank_zero_only
    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the images that activate units most, and write the tables."""
        assert isinstance(pl_module, WatchesLayers)
        data = handed_over(trainer, ShowsImages, to=self)
        classes = pl_module.looked_into.classes
        layers, units = [], []
        for layer, (channels, height, width) in pl_module.shapes.items():
            field, peaks = self.fields[layer], pl_module.peaks[layer]
            layers.append(
                {
                    "layer": layer,
                    "channels": channels,
                    "height": height,
                    "width": width,
                    "sees_pixels": field[0].extent if field else "",
                    "images": peaks.images,
                    "active": f"{peaks.active_share.mean():.6f}",
                    "dead": int(peaks.dead.sum()),
                    "peak": f"{peaks.values[0].max():.6g}",
                }
            )
            sections = []
            for unit in pl_module.units_of(layer):
                rows = self._images_of(pl_module, data, layer, unit)
                units += [{"layer": layer, "unit": unit, "place": place, **row} for place, row in enumerate(rows, 1)]
                tiles = [_marked(data, row, dotted=width > 1) for row in rows]
                named = f": {classes[unit]}" if channels == len(classes) else ""  # a layer of the head
                sections.append(Section(f"unit {unit}{named}", tiles))
            title = f"Images that activate units of {layer} most, of {peaks.images} ({pl_module.looked_into.name})"
            sees = (
                "The frame shows the receptive field of the peak, a dot its center."
                if field
                else "The receptive field is not known."
            )
            note = f"The number below an image is the unit's peak. {sees}"
            self._save(trainer, f"units-{layer}", sections, title, note, columns=max(6, len(peaks.values)))
        run_dir = Path(trainer.default_root_dir)
        for file, table in {"layers.tsv": layers, "units.tsv": units}.items():
            write_text(run_dir / file, pd.DataFrame(table).to_csv(sep="\t", index=False))

    def _images_of(self, method: WatchesLayers, data: ShowsImages, layer: str, unit: int) -> list[dict[str, Any]]:
        """Return the images that activate a unit most, each with its peak and its receptive field in pixels."""
        peaks, field, width = method.peaks[layer], self.fields[layer], method.shapes[layer][2]
        columns = (getattr(peaks, name)[:, unit].tolist() for name in ("values", "positions", "places"))
        rows = []
        for value, position, flat in zip(*columns, strict=True):
            row, column = divmod(flat, width)
            seen = seen_by(field, row, column) if field else None
            edges = dict(zip(("left", "top", "right", "bottom"), seen or ("",) * 4, strict=True))
            found = {"position": position, "image": data.names[position], "peak": value, "row": row, "column": column}
            rows.append({**found, **edges})
        return rows

    def _draw_overview(
        self, trainer: pl.Trainer, method: WatchesLayers, layers: dict[str, Tensor], aside: Tile
    ) -> None:
        self.drawn = True
        sections = []
        for layer, maps in ((layer, maps) for layer, maps in layers.items() if maps.shape[1] > 1):
            shape = " x ".join(map(str, maps.shape))
            field = self.fields[layer]
            sees = f", receptive field {field[0].extent} x {field[1].extent} pixels" if field else ""
            sections.append(Section(f"{layer}: {shape}{sees}", self._tiles(maps, OVERVIEW)))
        title = f"Layers of {method.looked_into.name}: the {OVERVIEW} channels with the highest peaks"
        if sections:
            self._save(trainer, "overview", sections, title, _scale(layers.values()), aside=aside, columns=OVERVIEW)

    def _tiles(self, maps: Tensor, count: int) -> list[Tile]:
        """Return the maps with the highest peaks in channel order, each with its number, active share and peak."""
        peaks = maps.flatten(1).amax(1)
        chosen = sorted(peaks.argsort(descending=True, stable=True)[:count].tolist())
        tiles = []
        for channel in chosen:
            values = maps[channel].numpy()
            tiles.append(
                Tile(map_colors(values), f"{channel}  {(values > 0).mean():.0%}  {_short(float(peaks[channel]))}")
            )
        return tiles

    def _save(self, trainer: pl.Trainer, name: str, sections: list[Section], title: str, note: str, **how: Any) -> None:
        path = images_folder(trainer, *Path(name).parent.parts) / f"{Path(name).name}.png"
        tile_sheet(sections, path, title, self.labels, note=note, **how)
        show_picture(trainer, name, path)


def _scale(drawn: Iterable[Tensor]) -> str:
    """Return a note on how to read maps."""
    below = "; blue is below zero" * any(bool((maps < 0).any()) for maps in drawn)
    return f"Below each map: channel, share above zero, peak. Each map has its own color scale{below}."


def _short(value: float) -> str:
    """Format a peak in three or four characters."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2g}"


def _picture(pixels: Tensor) -> Any:
    return pixels.permute(1, 2, 0).numpy()


def _marked(data: ShowsImages, row: dict[str, Any], *, dotted: bool) -> Tile:
    unmarked = row["left"] == "" or row["peak"] <= 0  # an image that does not activate the unit has no peak to show
    box = None if unmarked else (row["left"], row["top"], row["right"], row["bottom"])
    dot = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) if box and dotted else None
    name = row["image"] if len(row["image"]) <= LONGEST else f"{row['image'][: LONGEST - 8]}…{row['image'][-7:]}"
    return Tile(_picture(data.pixels[row["position"]]), f"{name}\n{_short(row['peak'])}", box, dot)
