"""A Matplotlib figure that uses all fonts of this machine, so that class names may have letters of any script.

It is on a canvas that draws pixels, and is saved as a PNG.
"""

import io
import warnings
from pathlib import Path
from typing import Any, Literal

import matplotlib
import matplotlib.figure
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.font_manager import fontManager
from matplotlib.text import Text
from matplotlib.ticker import LogFormatter

from labs.storage.files import replacing

# Fonts with many letters on Linux, Windows and macOS. Matplotlib's font has Latin, Greek, Cyrillic and Arabic letters.
WITH_MORE_LETTERS = (
    *(f"Noto Sans CJK {place}" for place in ("SC", "JP", "KR", "TC", "HK")),
    *("Source Han Sans SC", "Source Han Sans CN", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback"),
    *("Microsoft YaHei", "SimHei", "Yu Gothic", "Meiryo", "Malgun Gothic", "Nirmala UI", "Leelawadee UI"),
    *("PingFang SC", "Hiragino Sans GB", "Hiragino Sans", "Heiti TC", "Apple SD Gothic Neo", "Arial Unicode MS"),
    *(f"Noto Sans {script}" for script in ("Devanagari", "Bengali", "Tamil", "Thai", "Hebrew", "Arabic", "Symbols")),
)


class Figure(matplotlib.figure.Figure):
    r"""A figure that shows every name as it is.

    It does not warn about letters without a font, which are drawn as boxes, and takes no dollar signs for mathematics:
    a name such as `$\frac{$` could not be drawn at all.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        FigureCanvasAgg(self)

    def png(self, *, dpi: float) -> bytes:
        """Return the figure as a PNG."""
        output = io.BytesIO()
        self.savefig(output, format="png", dpi=dpi)
        return output.getvalue()

    def write(self, path: Path, *, dpi: float | Literal["figure"] = "figure") -> None:
        """Write the figure to a PNG file, which is replaced as a whole; by default with the figure's own resolution."""
        with replacing(path) as staged:
            self.savefig(staged, format="png", dpi=dpi)

    def draw(self, renderer: Any) -> None:
        """Draw all texts as they are; only the powers of ten at a logarithmic axis are set as mathematics."""
        for text in self.findobj(Text):
            text.set_parse_math(False)
        for axis in (axis for axes in self.axes for axis in (axes.xaxis, axes.yaxis)):
            if isinstance(axis.get_major_formatter(), LogFormatter):
                for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                    tick.label1.set_parse_math(True)
        super().draw(renderer)

    def savefig(self, *args: Any, **options: Any) -> None:
        """Save the figure."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
            super().savefig(*args, **options)


def shortened(name: str, longest: int) -> str:
    """Return a name with at most so many letters; the last one is … if there were more.

    Examples:
        >>> shortened("Black footed Albatross", 13)
        'Black footed…'
    """
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def use_more_letters() -> None:
    """Let Matplotlib take letters that its font lacks from the other fonts of this machine."""
    here = {font.name for font in fontManager.ttflist}
    families = matplotlib.rcParams["font.family"]
    matplotlib.rcParams["font.family"] = [
        *families,
        *(name for name in WITH_MORE_LETTERS if name in here and name not in families),
    ]


use_more_letters()
