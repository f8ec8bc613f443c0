"""Figures of the SMART chapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from mvlib.plots.style import WIDTH

if TYPE_CHECKING:
    import pandas as pd


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


def plot_graph(graphs: Mapping[str, np.ndarray], y: np.ndarray, max_rows: int = 250) -> Figure:
    """Draw matrices between samples, their rows and columns sorted by class."""
    order = np.argsort(y, kind="stable")
    if len(order) > max_rows:
        order = order[np.linspace(0, len(order) - 1, max_rows).astype(int)]
    borders = np.flatnonzero(np.diff(y[order])) + 0.5
    figure, axes = plt.subplots(1, len(graphs), figsize=(WIDTH, 3.3), squeeze=False)
    for ax, (title, graph) in zip(axes[0], graphs.items(), strict=True):
        ax.imshow(
            graph[np.ix_(order, order)], cmap="cividis", vmin=0, vmax=1, interpolation="nearest"
        )
        for border in borders:
            ax.axhline(border, color="white", linewidth=0.4)
            ax.axvline(border, color="white", linewidth=0.4)
        ax.set(title=title, xticks=[], yticks=[], xlabel="view 2, by class")
        ax.grid(False)
    axes[0, 0].set_ylabel("view 1, by class")
    return figure


def plot_losses(history: Mapping[str, np.ndarray]) -> Figure:
    """Draw the three losses of a training run and its threshold against the epoch."""
    panels = {
        "reconstruction": "L_rec",
        "distribution_alignment": "L_vda",
        "semantic_matching": "L_smc",
        "threshold": "threshold T",
    }
    figure, axes = plt.subplots(1, 4, figsize=(WIDTH * 1.2, 2.3))
    for ax, (key, title) in zip(axes, panels.items(), strict=True):
        ax.plot(history[key])
        ax.set(title=title, xlabel="epoch")
    return figure


def plot_accuracy_by_epoch(
    curves: Mapping[str, np.ndarray],
    floors: Mapping[str, float] | None = None,
    marks: Sequence[tuple[str, int, float]] = (),
) -> Figure:
    """Draw accuracy against the epoch, a line a run, with horizontal floors."""
    palette = sns.color_palette("colorblind")
    figure, ax = plt.subplots()
    for number, (name, curve) in enumerate(curves.items()):
        ax.plot(100 * np.asarray(curve), label=name, color=palette[number], linewidth=1.4)
    styles = ("--", ":", "-.")
    for number, (name, value) in enumerate((floors or {}).items()):
        ax.axhline(100 * value, color="0.25", linestyle=styles[number % 3], label=name)
    for place, (text, epoch, value) in enumerate(marks):
        ax.plot(epoch, 100 * value, "o", color="black", markersize=5)
        # Above and below in turn: two marks may share a point.
        shift = (0, 6) if place % 2 == 0 else (0, -14)
        ax.annotate(text, (epoch, 100 * value), shift, textcoords="offset points", ha="center")
    ax.margins(x=0.08, y=0.12)
    ax.set(xlabel="epoch", ylabel="ACC (%)")
    ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def plot_scores(frame: pd.DataFrame, by: str, hue: str | None = None) -> Figure:
    """Draw the accuracy of every seed as a point and the mean as a line, a row a group."""
    shown = frame.assign(acc=100 * frame["acc"])
    groups = list(dict.fromkeys(shown[by]))
    kinds = [None] if hue is None else list(dict.fromkeys(shown[hue].dropna()))
    palette = sns.color_palette("colorblind")
    figure, ax = plt.subplots(figsize=(WIDTH, 0.8 + 0.38 * len(groups)))
    height = 0.7 / len(kinds)
    for number, kind in enumerate(kinds):
        some = shown if hue is None else shown[shown[hue] == kind]
        offset = (number - (len(kinds) - 1) / 2) * height
        rows = some[by].map(groups.index) + offset
        whole = isinstance(kind, float) and kind.is_integer()
        label = None if hue is None else f"{hue} {int(kind) if whole else kind}"
        ax.plot(some["acc"], rows, "o", color=palette[number], markersize=5, label=label)
        for group, mean in some.groupby(by, sort=False)["acc"].mean().items():
            row = groups.index(group) + offset
            ax.vlines(mean, row - 0.45 * height, row + 0.45 * height, color="0.2")
    ax.set(xlabel="ACC (%)", yticks=range(len(groups)), yticklabels=groups)
    ax.set_ylim(len(groups) - 0.5, -0.5)
    if hue:
        ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def plot_accuracy_by_ratio(frame: pd.DataFrame, ratio: str = "aligned_ratio") -> Figure:
    """Draw mean accuracy against the aligned share, a line a method, bands of one sd."""
    shown = frame.assign(acc=100 * frame["acc"], share=100 * frame[ratio])
    figure, ax = plt.subplots()
    sns.lineplot(
        shown,
        x="share",
        y="acc",
        hue="method",
        style="method",
        markers=True,
        errorbar="sd",
        ax=ax,
    )
    ax.set(xlabel="rows aligned (%)", ylabel="ACC (%)", xscale="log")
    ticks = [float(shown["share"].max())]
    for share in sorted(shown["share"].unique(), reverse=True):
        # On a logarithmic axis the high shares crowd; their labels must not touch.
        if share < 0.75 * ticks[0]:
            ticks.insert(0, float(share))
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    return figure
