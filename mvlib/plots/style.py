"""One look for all figures."""

from __future__ import annotations

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib_inline.backend_inline import set_matplotlib_formats

WIDTH = 6.4


def use_style() -> None:
    """Set the book's figure style: colours that colour-blind readers tell apart, sharp PNG.

    Widths are about that of a page on a phone held sideways, so that text stays readable
    when a figure is scaled down.
    """
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
