"""Figures of the Set-CLIP chapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from mvlib.check import check_choice
from mvlib.papers.set_clip import chance_of
from mvlib.plots.style import WIDTH

if TYPE_CHECKING:
    import pandas as pd

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_TITLES = {
    "r10": "R@10, both directions (%)",
    "class_r1": "nearest is of the same class (%)",
}
_BOOTSTRAPS = 500


def plot_clouds(clouds: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw clouds of points of the plane side by side, groups by colour and marker."""
    reach = 1.1 * max(np.abs(points).max() for points, _ in clouds.values())
    figure, axes = plt.subplots(
        1, len(clouds), figsize=(WIDTH * 1.2, 2.8), sharex=True, sharey=True, squeeze=False
    )
    palette = sns.color_palette("colorblind")
    for ax, (title, (points, groups)) in zip(axes[0], clouds.items(), strict=True):
        for group in np.unique(groups):
            some = points[groups == group]
            ax.plot(*some.T, _MARKERS[group], color=palette[group], markersize=3.5, alpha=0.8)
        ax.set(title=title, xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        ax.set_xticklabels([])
        ax.set_yticklabels([])
    return figure


def plot_landscape(
    frames: Mapping[str, pd.DataFrame],
    truth: float,
    paths: Mapping[str, Sequence[np.ndarray]] | None = None,
) -> Figure:
    """Draw losses against the angle of a rotation, a panel a case, the truth as a line."""
    figure, axes = plt.subplots(
        1, len(frames), figsize=(WIDTH * 1.35, 3.2), sharey=True, squeeze=False
    )
    for place, (ax, (title, frame)) in enumerate(zip(axes[0], frames.items(), strict=True)):
        sns.lineplot(
            frame, x="angle", y="scaled", hue="loss", style="loss", errorbar=None, ax=ax,
            legend=place == len(frames) - 1,
        )  # fmt: skip
        ax.axvline(truth, color="0.4", linestyle=":")
        ends = [path[-1] for path in (paths or {}).get(title, [])]
        ax.plot(ends, np.full(len(ends), -0.08), "^", color="0.2", markersize=6, clip_on=False)
        ax.set(xlabel="angle (degrees)", ylabel="loss, from least to most", title=title)
        ax.xaxis.set_major_locator(MultipleLocator(90))
    axes[0, -1].legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def plot_parts(history: Mapping[str, np.ndarray]) -> Figure:
    """Draw parts of a loss against the epoch, a panel a part."""
    figure, axes = plt.subplots(1, len(history), figsize=(WIDTH * 1.2, 2.3), squeeze=False)
    for ax, (name, values) in zip(axes[0], history.items(), strict=True):
        ax.plot(range(1, len(values) + 1), values)
        ax.set(title=name, xlabel="epoch")
        ax.set_ylim(bottom=0)
    return figure


def plot_recall(
    frame: pd.DataFrame,
    x: str,
    hue: str,
    label: str,
    measure: str = "r10",
    panel: str | None = None,
) -> Figure:
    """Draw a measure against a setting: mean lines, 95 % bands, chance dotted."""
    check_choice("measure", measure, _TITLES)
    frame = frame.dropna(subset=[x, f"measure_{measure}"])
    ticks = sorted(frame[x].unique())
    shown = frame.assign(
        place=[ticks.index(value) for value in frame[x]],
        points=100 * frame[f"measure_{measure}"].astype(float),
    )
    names = [None] if panel is None else list(dict.fromkeys(frame[panel]))
    figure, axes = plt.subplots(
        1, len(names), figsize=(WIDTH * (1 if len(names) == 1 else 1.35), 3.6), squeeze=False
    )
    kinds = list(dict.fromkeys(frame[hue]))
    for number, (ax, name) in enumerate(zip(axes[0], names, strict=True)):
        some = shown if name is None else shown[shown[panel] == name]
        sns.lineplot(
            some, x="place", y="points", hue=hue, style=hue, hue_order=kinds,
            style_order=kinds, markers=True, errorbar=("ci", 95), n_boot=_BOOTSTRAPS, seed=0,
            ax=ax, legend=number == len(names) - 1,
        )  # fmt: skip
        chance = 100 * chance_of(some, measure).mean()
        ax.axhline(chance, color="0.3", linestyle=":", label="chance")
        ax.set(xlabel=label, ylabel=_TITLES[measure] if number == 0 else "", title=name or "")
        ax.set_xticks(range(len(ticks)), [_tick(value, x) for value in ticks])
        ax.set_ylim(bottom=0)
    axes[0, -1].legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _tick(value: float, x: str) -> str:
    return f"{100 * value:g}" if x == "ratio" else f"{value:g}"
