"""Figures of images, of the words beside them, and of what the words are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mvlib.plots.style import WIDTH

if TYPE_CHECKING:
    import pandas as pd


def plot_pile(images: Sequence[Any], rows: Sequence[int], columns: int = 14) -> Figure:
    """Draw some images as one sheet, in the order given."""
    lines = -(-len(rows) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(WIDTH * 1.25, WIDTH * 1.25 * lines / columns), squeeze=False
    )
    for ax in axes.flat:
        ax.axis("off")
    for ax, row in zip(axes.flat, rows, strict=False):
        ax.imshow(_pixels(images[row]))
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01)
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
    n = len(titles)
    figure, axes = plt.subplots(
        n, per_group + 3, figsize=(WIDTH * 1.3, 0.66 * n), squeeze=False
    )
    for group, title in enumerate(titles):
        for ax in axes[group]:
            ax.axis("off")
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
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01)
    return figure


def plot_weights(
    images: Sequence[Any],
    weights: Mapping[str, Sequence[Mapping[str, float]]],
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


def plot_gain(frame: pd.DataFrame, x: str, y: str, hue: str = "encoder") -> Figure:
    """Draw a gain in points against a gap in points, with the line y = x and both zeros."""
    figure, ax = plt.subplots(figsize=(WIDTH, 4.2))
    sns.scatterplot(frame, x=x, y=y, hue=hue, style=hue, s=55, ax=ax)
    ax.axhline(0, color="0.4", linewidth=1)
    ax.axvline(0, color="0.4", linewidth=1)
    ax.axline((0, 0), slope=1, color="0.6", linestyle=":", linewidth=1)
    ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def plot_curves(
    frame: pd.DataFrame, x: str, ys: Mapping[str, str], label: str, hue: str
) -> Figure:
    """Draw several measures against a setting on a logarithmic axis, a panel a measure."""
    figure, axes = plt.subplots(1, len(ys), figsize=(WIDTH * 1.35, 3.2), squeeze=False)
    shown = frame.assign(acc=100 * frame["acc"]) if "acc" in frame else frame
    for place, (ax, (column, title)) in enumerate(zip(axes[0], ys.items(), strict=True)):
        last = place == len(ys) - 1
        sns.lineplot(
            shown, x=x, y=column, hue=hue, style=hue, markers=True, errorbar="sd", ax=ax,
            legend=last,
        )  # fmt: skip
        ax.set(xscale="log", xlabel=label, ylabel="", title=title)
    axes[0, -1].legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def plot_loss(history: Sequence[float], chance: float) -> Figure:
    """Draw a loss by epoch, and the level of chance."""
    figure, ax = plt.subplots(figsize=(WIDTH, 3))
    ax.plot(range(1, len(history) + 1), history)
    ax.axhline(chance, color="0.4", linestyle=":", label="chance")
    ax.set(xlabel="epoch", ylabel="contrastive loss")
    ax.set_ylim(bottom=0)
    ax.legend()
    return figure


def _pixels(image: Any) -> np.ndarray:
    if isinstance(image, str | Path):
        from PIL import Image

        with Image.open(image) as opened:
            return np.asarray(opened.convert("RGB"))
    return np.asarray(image)
