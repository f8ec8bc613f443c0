"""Pictures: sheets of images, groups, words beside them, rows of two views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mvlib.plots.style import WIDTH


def plot_pile(images: Sequence[Any], rows: Sequence[int], columns: int = 14) -> Figure:
    """Draw some images as one sheet, in the order given."""
    lines = -(-len(rows) // columns)
    figure, axes = _sheet(lines, columns, 1.25, WIDTH * 1.25 * lines / columns)
    for ax, row in zip(axes.flat, rows, strict=False):
        ax.imshow(_pixels(images[row]))
    return figure


def plot_groups(
    images: Sequence[Any],
    labels: np.ndarray,
    titles: Sequence[str],
    scores: np.ndarray | None = None,
    per_group: int = 10,
) -> Figure:
    """Draw a line of images for each group, its name on the left."""
    scores = -np.arange(len(labels)) if scores is None else scores
    figure, axes = _sheet(len(titles), per_group + 3, 1.3, 0.66 * len(titles))
    for group, title in enumerate(titles):
        members = np.flatnonzero(labels == group)
        best = members[np.argsort(-scores[members], kind="stable")][:per_group]
        name = axes[group, 0].text(
            0, 0.5, fill(f"{title} ({len(members)})", 22), va="center",
            fontsize="x-small", transform=axes[group, 0].transAxes,
        )  # fmt: skip
        # Names are as wide as the columns left free, not the other way round.
        name.set_in_layout(False)
        for ax, row in zip(axes[group, 3:], best, strict=False):
            ax.imshow(_pixels(images[row]))
    return figure


def _sheet(lines: int, columns: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    """Return a figure of pictures close to each other, without frames."""
    figure, axes = plt.subplots(lines, columns, figsize=(WIDTH * width, height), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01)
    return figure, axes


def plot_weights(
    images: Sequence[Any], weights: Mapping[str, Sequence[Mapping[str, float]]]
) -> Figure:
    """Draw images with bars of the words that stand for each."""
    n, columns = len(images), len(weights)
    figure, axes = plt.subplots(
        n,
        columns + 1,
        figsize=(WIDTH * 1.3, 1.05 * n),
        width_ratios=[0.35, *[1] * columns],
        squeeze=False,
    )
    for row, image in enumerate(images):
        axes[row, 0].imshow(_pixels(image))
        axes[row, 0].axis("off")
    palette = sns.color_palette("colorblind")
    for column, (title, found) in enumerate(weights.items(), start=1):
        for row, words in enumerate(found):
            ax = axes[row, column]
            ax.barh(range(len(words)), list(words.values()), color=palette[column - 1])
            names = [f"{word[:26]}…" if len(word) > 27 else word for word in words]
            ax.set_yticks(range(len(words)), names, fontsize="x-small")
            ax.invert_yaxis()
            ax.xaxis.set_major_locator(MaxNLocator(3))
            ax.tick_params(axis="x", labelsize="x-small")
            ax.grid(False)
        axes[0, column].set_title(title)
    return figure


def plot_digit_pairs(
    images: np.ndarray, permutation: np.ndarray, aligned: np.ndarray, rows: Sequence[int]
) -> Figure:
    """Draw what each row of two views really shows, and whether they belong together."""
    right, wrong = sns.color_palette("colorblind")[0], sns.color_palette("colorblind")[3]
    figure, axes = plt.subplots(2, len(rows), figsize=(WIDTH, 2.2))
    for column, row in enumerate(rows):
        for line, sample in enumerate((row, permutation[row])):
            ax = axes[line, column]
            ax.imshow(images[sample], cmap="gray_r", aspect="auto")
            ax.set_xticks([])
            ax.set_yticks([])
            for spine in ax.spines.values():
                spine.set(color=right if aligned[row] else wrong, linewidth=2.5)
        axes[0, column].set_title("known" if aligned[row] else "unknown", fontsize=9)
    axes[0, 0].set_ylabel("view 1")
    axes[1, 0].set_ylabel("view 2")
    return figure


def _pixels(image: Any) -> np.ndarray:
    if isinstance(image, str | Path):
        from PIL import Image

        with Image.open(image) as opened:
            return np.asarray(opened.convert("RGB"))
    return np.asarray(image)
