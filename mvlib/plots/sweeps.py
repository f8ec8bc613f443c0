"""Figures of what changes with a setting."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from mvlib.check import check_choice
from mvlib.plots.style import WIDTH

if TYPE_CHECKING:
    import pandas as pd


def plot_heatmaps(
    frames: Mapping[tuple[str, str], pd.DataFrame],
    mark: Mapping[str, Any],
    value: str = "acc",
) -> Figure:
    """Draw a heat map for each two settings, the paper's point framed."""
    tables = [
        100 * frame.pivot_table(value, index=row, columns=column, aggfunc="mean")
        for (row, column), frame in frames.items()
    ]
    low = min(table.min().min() for table in tables)
    high = max(table.max().max() for table in tables)
    figure, axes = plt.subplots(1, len(tables), figsize=(WIDTH * 1.35, 2.9), squeeze=False)
    for ax, table in zip(axes[0], tables, strict=True):
        sns.heatmap(
            table,
            ax=ax,
            cmap="cividis",
            vmin=low,
            vmax=high,
            annot=True,
            fmt=".0f",
            cbar=False,
            linewidths=0.5,
            xticklabels=[f"{value:g}" for value in table.columns],
            yticklabels=[f"{value:g}" for value in table.index],
        )
        row, column = mark.get(table.index.name), mark.get(table.columns.name)
        if row in table.index and column in table.columns:
            corner = table.columns.get_loc(column), table.index.get_loc(row)
            frame = plt.Rectangle(corner, 1, 1, fill=False, edgecolor="#d55e00", linewidth=3)
            ax.add_patch(frame)
        ax.tick_params(axis="y", rotation=0)
    return figure


def plot_trend(
    frame: pd.DataFrame, x: str, label: str, hue: str = "method", log: bool = True
) -> Figure:
    """Draw mean accuracy against a setting, a line a group, bands of one sd."""
    shown = frame.assign(acc=100 * frame["acc"])
    figure, ax = plt.subplots()
    sns.lineplot(shown, x=x, y="acc", hue=hue, style=hue, markers=True, errorbar="sd", ax=ax)
    ticks = sorted(shown[x].unique())
    ax.set(xlabel=label, ylabel="ACC (%)", xscale="log" if log else "linear")
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def plot_edges(frame: pd.DataFrame, by: str = "method") -> Figure:
    """Draw the precision of a graph's edges against their recall, a point a group."""
    means = frame.groupby(by, sort=False)[["measure_precision", "measure_recall"]].mean()
    figure, ax = plt.subplots(figsize=(WIDTH, 4.2))
    palette = sns.color_palette("colorblind")
    markers = "osD^vP*Xph"
    for place, (name, row) in enumerate((100 * means).iterrows()):
        ax.plot(
            row["measure_recall"],
            row["measure_precision"],
            markers[place % len(markers)],
            color=palette[place % len(palette)],
            markersize=9,
            label=name,
        )
    ax.set(xlabel="recall of same-class pairs (%)", ylabel="precision of edges (%)")
    ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def plot_measures(
    frame: pd.DataFrame, measures: Mapping[str, str], by: str = "method"
) -> Figure:
    """Draw several measures side by side, every result a dot and the mean a line."""
    groups = list(dict.fromkeys(frame[by]))
    figure, axes = plt.subplots(
        1, len(measures), figsize=(WIDTH * 1.3, 0.9 + 0.4 * len(groups)), sharey=True
    )
    for ax, (column, title) in zip(axes, measures.items(), strict=True):
        rows = frame[by].map(groups.index)
        ax.plot(frame[column], rows, "o", color=sns.color_palette("colorblind")[0])
        for group, mean in frame.groupby(by, sort=False)[column].mean().items():
            row = groups.index(group)
            ax.vlines(mean, row - 0.3, row + 0.3, color="0.2")
        ax.set(title=title, yticks=range(len(groups)), yticklabels=groups)
        left, right = min(0, ax.get_xlim()[0]), frame[column].max()
        # Counted from zero, the usual margin would cut the last dots.
        ax.set_xlim(left, right + 0.06 * (right - left or 1))
    axes[0].set_ylim(len(groups) - 0.5, -0.5)
    return figure


def _decades(limits: tuple[float, float]) -> tuple[float, float]:
    """Return limits widened to whole powers of ten, so that the axis has two numbers."""
    low, high = (math.log10(limit) for limit in limits)
    return 10.0 ** math.floor(low), 10.0 ** math.ceil(high)


def plot_costs(frame: pd.DataFrame, x: str, costs: Sequence[str], label: str) -> Figure:
    """Draw costs against size on logarithmic axes, a panel a cost and a line a method."""
    titles = {
        "seconds_training": "seconds an epoch",
        "seconds_features": "seconds afterwards",
        "memory_mb": "peak memory, MB",
    }
    figure, axes = plt.subplots(1, len(costs), figsize=(WIDTH * 1.35, 3.2), squeeze=False)
    for place, (ax, cost) in enumerate(zip(axes[0], costs, strict=True)):
        sns.lineplot(
            frame,
            x=x,
            y=f"measure_{check_choice('costs', cost, titles)}",
            hue="method",
            style="method",
            markers=True,
            errorbar=None,
            ax=ax,
            legend=place == len(costs) - 1,
        )
        ax.set(xscale="log", yscale="log", xlabel=label, ylabel="", title=titles[cost])
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(LogLocator(numticks=5))
            axis.set_minor_formatter(NullFormatter())
        ax.set_ylim(*_decades(ax.get_ylim()))
    axes[0, -1].legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure
