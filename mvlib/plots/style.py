"""One look for all figures."""

from __future__ import annotations

import io
from typing import Any

import matplotlib.pyplot as plt
import seaborn as sns
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.pylabtools import retina_figure
from matplotlib.figure import Figure
from matplotlib_inline.backend_inline import set_matplotlib_formats
from PIL import Image

WIDTH = 6.4
# Where a legend stands that would hide what is drawn.
BESIDE = {"fontsize": "small", "loc": "upper left", "bbox_to_anchor": (1, 1)}


def use_style() -> None:
    """Set the book's figure style: colours that colour-blind readers tell apart, sharp PNG."""
    sns.set_theme(style="whitegrid", palette="colorblind", font_scale=0.95)
    plt.rcParams.update(
        {
            "figure.figsize": (WIDTH, 3.6),
            "figure.dpi": 100,
            "figure.constrained_layout.use": True,
            "legend.frameon": False,
            "axes.titlesize": "medium",
        }
    )
    set_matplotlib_formats("retina")
    # A cell's end shows its figures; pyplot would first draw each once more, for nobody.
    plt.switch_backend(plt.get_backend())
    plt.uninstall_repl_displayhook()
    formatter = InteractiveShell.instance().display_formatter.formatters["image/png"]
    formatter.for_type(Figure, _show_in_palette)


def panels(
    n: int, height: float, width: float = 1.0, **options: Any
) -> tuple[Figure, list[plt.Axes]]:
    """Return a figure of some axes side by side, its width in widths of the page."""
    figure, axes = plt.subplots(1, n, figsize=(WIDTH * width, height), squeeze=False, **options)
    return figure, list(axes[0])


def in_palette(png: bytes) -> bytes:
    """Return a PNG with 256 colours of its own choice."""
    with Image.open(io.BytesIO(png)) as image:
        small = image.convert("RGB").quantize(dither=Image.Dither.NONE)
    found = io.BytesIO()
    small.save(found, "png", optimize=True)
    # Few pixels of many colours are smaller as they are.
    return min(found.getvalue(), png, key=len)


def _show_in_palette(figure: Figure) -> tuple[bytes, dict[str, int]] | None:
    shown = retina_figure(figure)
    return None if shown is None else (in_palette(shown[0]), shown[1])
