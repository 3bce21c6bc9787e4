"""What a look at the layers of a net leaves: sheets of filters, of maps, and of the images that excite units most."""

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

OVERVIEW = 8  # channels of each layer in the overview
LONGEST = 18  # letters of the name of an image under it


class LayerMaps(pl.Callback):
    """Draw what a method that watches layers has seen, each sheet as soon as it can be.

    `images/filters.png` shows the first convolution's filters, `images/maps/<image>-<layer>.png` the maps of an image,
    `images/overview.png` those of the first image in all layers, `images/units-<layer>.png` the images that excite
    units most. `layers.tsv` has a row for each layer, `units.tsv` one for each unit and image.

    Args:
        channels: of a layer in a sheet of maps; of more the ones with the highest peaks are drawn.
    """

    def __init__(self, *, channels: int = 64) -> None:
        if channels < 1:
            raise LabsError(f"callbacks.pictures.channels={channels}: expected 1 or more.")
        self.channels = channels

    @rank_zero_only
    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the filters, and find out what the units of each layer see."""
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
            why = f"{name} takes {first.weight.shape[1]} channels" if first else "it has no convolution"
            say(f"no filters are drawn: those of {net.name} are no colors ({why})", self.labels)
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
        """Draw the maps of the images in a batch that are drawn."""
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
                    continue  # a vector has units, and no map to look at
                sections = [Section("", self._tiles(maps, self.channels))]
                part = f": {self.channels} of {len(maps)} channels, with the highest peaks" * (
                    len(maps) > self.channels
                )
                title = f"{layer} of {pl_module.looked_into.name}{part}"
                self._save(trainer, f"maps/{name}-{layer}", sections, title, _scale([maps]), aside=aside)

    @rank_zero_only
    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw which images excite units most, and write the tables."""
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
            title = f"Which of {peaks.images} images excite units of {layer} most ({pl_module.looked_into.name})"
            sees = (
                "Framed: what the unit sees there; a dot is its middle."
                if field
                else "What the unit sees there is not known."
            )
            note = f"Under an image: the unit's peak. {sees}"
            self._save(trainer, f"units-{layer}", sections, title, note, columns=max(6, len(peaks.values)))
        run_dir = Path(trainer.default_root_dir)
        for file, table in {"layers.tsv": layers, "units.tsv": units}.items():
            write_text(run_dir / file, pd.DataFrame(table).to_csv(sep="\t", index=False))

    def _images_of(self, method: WatchesLayers, data: ShowsImages, layer: str, unit: int) -> list[dict[str, Any]]:
        """Return the images that excite a unit most, each with its peak and what is seen there, in pixels."""
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
            sees = f", each value sees {field[0].extent} x {field[1].extent} pixels" if field else ""
            sections.append(Section(f"{layer}: {shape}{sees}", self._tiles(maps, OVERVIEW)))
        title = f"What layers of {method.looked_into.name} give: the {OVERVIEW} channels with the highest peaks"
        if sections:
            self._save(trainer, "overview", sections, title, _scale(layers.values()), aside=aside, columns=OVERVIEW)

    def _tiles(self, maps: Tensor, count: int) -> list[Tile]:
        """Return the maps with the highest peaks, by number, each with its number, active share and peak."""
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
    """Say how to read maps."""
    below = "; blue is below zero" * any(bool((maps < 0).any()) for maps in drawn)
    return f"Under a map: channel, share of it above zero, peak. Each map has a scale of its own{below}."


def _short(value: float) -> str:
    """Write a peak in three or four letters."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2g}"


def _picture(pixels: Tensor) -> Any:
    return pixels.permute(1, 2, 0).numpy()


def _marked(data: ShowsImages, row: dict[str, Any], *, dotted: bool) -> Tile:
    unmarked = row["left"] == "" or row["peak"] <= 0  # an image that does not excite the unit has no place to show
    box = None if unmarked else (row["left"], row["top"], row["right"], row["bottom"])
    dot = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) if box and dotted else None
    name = row["image"] if len(row["image"]) <= LONGEST else f"{row['image'][: LONGEST - 8]}…{row['image'][-7:]}"
    return Tile(_picture(data.pixels[row["position"]]), f"{name}\n{_short(row['peak'])}", box, dot)
