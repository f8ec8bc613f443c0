"""Matrices and clouds: affinities by class, transitions, heat maps, points of the plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from mvlib.plots.style import WIDTH, panels

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def _draw_by_class(
    ax: plt.Axes, matrix: np.ndarray, y: np.ndarray, order: np.ndarray, low: float, high: float
) -> None:
    """Draw rows and columns of a matrix in an order by class, borders of classes in white."""
    shown = matrix[np.ix_(order, order)]
    ax.imshow(shown, cmap="cividis", vmin=low, vmax=high, interpolation="nearest")
    for border in np.flatnonzero(np.diff(y[order])) + 0.5:
        ax.axhline(border, color="white", linewidth=0.4)
        ax.axvline(border, color="white", linewidth=0.4)


def plot_affinities(
    matrices: Mapping[str, np.ndarray], y: np.ndarray, columns: int = 2, most: int = 180
) -> Figure:
    """Draw affinity matrices with the images sorted by class, borders of classes in white."""
    order = np.argsort(y, kind="stable")
    order = order[:: -(-len(order) // most)]
    lines = -(-len(matrices) // columns)
    side = WIDTH * 1.2 / columns
    figure, axes = plt.subplots(lines, columns, figsize=(WIDTH * 1.2, side * lines + 0.2))
    for ax, (title, matrix) in zip(np.ravel(axes), matrices.items(), strict=True):
        _draw_by_class(ax, matrix, y, order, *np.percentile(matrix, [50, 99]))
        ax.set(title=title, xticks=[], yticks=[])
    return figure


def plot_graph(graphs: Mapping[str, np.ndarray], y: np.ndarray, max_rows: int = 250) -> Figure:
    """Draw matrices between samples, their rows and columns sorted by class."""
    order = np.argsort(y, kind="stable")
    if len(order) > max_rows:
        order = order[np.linspace(0, len(order) - 1, max_rows).astype(int)]
    figure, axes = panels(len(graphs), 3.3)
    for ax, (title, graph) in zip(axes, graphs.items(), strict=True):
        _draw_by_class(ax, graph, y, order, 0, 1)
        ax.set(title=title, xticks=[], yticks=[], xlabel="view 2, by class")
        ax.grid(False)
    axes[0].set_ylabel("view 1, by class")
    return figure


def plot_transitions(steps: Mapping[str, np.ndarray], class_names: Sequence[str]) -> Figure:
    """Draw where random steps lead, class by class, a panel a method."""
    height = 0.9 + WIDTH * 1.3 / (len(steps) + 0.5)
    figure, axes = panels(len(steps), height, 1.35, sharey=True)
    for ax, (title, table) in zip(axes, steps.items(), strict=True):
        shown = ax.imshow(table, cmap="cividis", vmin=0, vmax=1)
        ax.set_title(title, fontsize="small")
        ax.set_xticks(range(len(class_names)), class_names, rotation=90, fontsize="x-small")
        ax.set_yticks(range(len(class_names)), class_names, fontsize="x-small")
        ax.grid(False)
    figure.colorbar(shown, ax=axes[-1], label="probability", fraction=0.05)
    return figure


def plot_heatmaps(
    frames: Mapping[tuple[str, str], pd.DataFrame], mark: Mapping[str, Any], value: str = "acc"
) -> Figure:
    """Draw a heat map for each two settings, the paper's point framed."""
    tables = [
        100 * frame.pivot_table(value, index=row, columns=column, aggfunc="mean")
        for (row, column), frame in frames.items()
    ]
    low = min(table.min().min() for table in tables)
    high = max(table.max().max() for table in tables)
    figure, axes = panels(len(tables), 2.9, 1.35)
    options = {"cmap": "cividis", "annot": True, "fmt": ".0f", "cbar": False, "linewidths": 0.5}
    for ax, table in zip(axes, tables, strict=True):
        ticks = [[f"{value:g}" for value in axis] for axis in (table.columns, table.index)]
        options |= dict(zip(("xticklabels", "yticklabels"), ticks, strict=True))
        sns.heatmap(table, ax=ax, vmin=low, vmax=high, **options)
        row, column = mark.get(table.index.name), mark.get(table.columns.name)
        if row in table.index and column in table.columns:
            corner = table.columns.get_loc(column), table.index.get_loc(row)
            frame = plt.Rectangle(corner, 1, 1, fill=False, edgecolor="#d55e00", linewidth=3)
            ax.add_patch(frame)
        ax.tick_params(axis="y", rotation=0)
    return figure


def plot_clouds(clouds: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw clouds of points of the plane side by side, groups by colour and marker."""
    reach = 1.1 * max(np.abs(points).max() for points, _ in clouds.values())
    figure, axes = panels(len(clouds), 2.8, 1.2, sharex=True, sharey=True)
    palette = sns.color_palette("colorblind")
    for ax, (title, (points, groups)) in zip(axes, clouds.items(), strict=True):
        for group in np.unique(groups):
            some = points[groups == group]
            ax.plot(*some.T, _MARKERS[group], color=palette[group], markersize=3.5, alpha=0.8)
        ax.set(title=title, xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        ax.tick_params(labelbottom=False, labelleft=False)
    return figure
