"""Figures of affinities: as matrices, as blocks, as they are diffused, as they grow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mvlib.plots.style import WIDTH

if TYPE_CHECKING:
    import pandas as pd


def plot_affinities(
    matrices: Mapping[str, np.ndarray], y: np.ndarray, columns: int = 2, most: int = 180
) -> Figure:
    """Draw affinity matrices with the images sorted by class, borders of classes in white."""
    order = np.argsort(y, kind="stable")
    order = order[:: -(-len(order) // most)]
    borders = np.flatnonzero(np.diff(y[order])) + 0.5
    lines = -(-len(matrices) // columns)
    side = WIDTH * 1.2 / columns
    figure, axes = plt.subplots(lines, columns, figsize=(WIDTH * 1.2, side * lines + 0.2))
    for ax, (title, matrix) in zip(np.ravel(axes), matrices.items(), strict=True):
        low, high = np.percentile(matrix, [50, 99])
        ax.imshow(
            matrix[np.ix_(order, order)], cmap="cividis", vmin=low, vmax=high,
            interpolation="nearest",
        )  # fmt: skip
        for border in borders:
            ax.axhline(border, color="white", linewidth=0.4)
            ax.axvline(border, color="white", linewidth=0.4)
        ax.set(title=title, xticks=[], yticks=[])
    return figure


def plot_transitions(steps: Mapping[str, np.ndarray], class_names: Sequence[str]) -> Figure:
    """Draw where random steps lead, class by class, a panel a method."""
    figure, axes = plt.subplots(
        1, len(steps), figsize=(WIDTH * 1.35, 0.9 + WIDTH * 1.3 / (len(steps) + 0.5)),
        sharey=True, squeeze=False,
    )  # fmt: skip
    for ax, (title, table) in zip(axes[0], steps.items(), strict=True):
        shown = ax.imshow(table, cmap="cividis", vmin=0, vmax=1)
        ax.set_title(title, fontsize="small")
        ax.set_xticks(range(len(class_names)), class_names, rotation=90, fontsize="x-small")
        ax.set_yticks(range(len(class_names)), class_names, fontsize="x-small")
        ax.grid(False)
    figure.colorbar(shown, ax=axes[0, -1], label="probability", fraction=0.05)
    return figure


def plot_diffusion(objective: np.ndarray, steps: Sequence[str], weights: np.ndarray) -> Figure:
    """Draw a diffusion's objective above its end, by step, and the weights of the prompts."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH * 1.25, 3), width_ratios=[1.7, 1])
    # The last record is the level the others are drawn above.
    above, kinds = (objective - objective[-1])[:-1], np.array(steps)[:-1]
    places = np.arange(len(above))
    left.plot(places, above, color="0.6", linewidth=1)
    palette = sns.color_palette("colorblind")
    for kind, marker, colour in (("diffusion", "o", palette[0]), ("weights", "D", palette[1])):
        some = kinds == kind
        left.plot(
            places[some], above[some], marker, color=colour, markersize=5,
            label=f"after {kind}",
        )  # fmt: skip
    left.set(xlabel="step", ylabel="J less its last value", yscale="log")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.legend()
    numbers = np.arange(1, len(weights) + 1)
    right.bar(numbers, weights, color=palette[0])
    right.axhline(1 / len(weights), color="0.2", linestyle=":", label="equal")
    right.set(xlabel="prompt", ylabel="weight β", xticks=numbers)
    right.set_ylim(top=1.25 * max(weights))
    right.legend(loc="upper right")
    return figure


def plot_settings(
    frame: pd.DataFrame, paper: Mapping[str, float], names: Mapping[str, str], columns: int = 4
) -> Figure:
    """Draw accuracy against one setting a panel, the paper's value dotted."""
    lines = -(-len(names) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(WIDTH * 1.3, 2.4 * lines), sharey=True, squeeze=False
    )
    blue = sns.color_palette("colorblind")[0]
    for ax in axes.flat[len(names) :]:
        ax.axis("off")
    for ax, (setting, name) in zip(axes.flat, names.items(), strict=False):
        some = frame[frame["setting"] == setting]
        values = sorted(some["value"].unique())
        places = some["value"].map(values.index)
        ax.plot(places, 100 * some["acc"], "o", color=blue, markersize=4)
        means = 100 * some.groupby("value")["acc"].mean()
        ax.plot(range(len(values)), means[values], color=blue)
        if paper.get(setting) in values:
            ax.axvline(values.index(paper[setting]), color="0.3", linestyle=":")
        ax.set_xticks(
            range(len(values)), [f"{value:g}" for value in values], fontsize="x-small"
        )
        ax.set_xlabel(name, fontsize="small")
        ax.yaxis.set_major_locator(MaxNLocator(5))
    for row in axes:
        row[0].set_ylabel("ACC (%)")
    return figure


def plot_growth(frame: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Draw costs against the number of images on logarithmic axes, a panel a cost."""
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH * 1.35, 3.2), squeeze=False)
    for place, (ax, (column, title)) in enumerate(zip(axes[0], panels.items(), strict=True)):
        sns.lineplot(
            frame, x="n_samples", y=column, hue="method", style="method", markers=True,
            errorbar=None, ax=ax, legend=place == len(panels) - 1,
        )  # fmt: skip
        ticks = sorted(frame["n_samples"].unique())
        ax.set(xscale="log", yscale="log", xlabel="images", ylabel="", title=title)
        ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        ax.minorticks_off()
    axes[0, -1].legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure
