"""Lines: what changes with the epoch, a setting or the size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, MultipleLocator, NullFormatter

from mvlib.check import check_choice
from mvlib.papers.set_clip import chance_of
from mvlib.plots.style import BESIDE, WIDTH, panels

_TITLES = {"r10": "R@10, both directions (%)", "class_r1": "nearest is of the same class (%)"}
_BOOTSTRAPS = 500


def plot_parts(history: Mapping[str, np.ndarray]) -> Figure:
    """Draw parts of a loss against the epoch, a panel a part."""
    figure, axes = panels(len(history), 2.3, 1.2)
    for ax, (name, values) in zip(axes, history.items(), strict=True):
        ax.plot(range(1, len(values) + 1), values)
        ax.set(title=name, xlabel="epoch")
        ax.set_ylim(bottom=0)
    return figure


def plot_losses(history: Mapping[str, np.ndarray]) -> Figure:
    """Draw the three losses of a training run and its threshold against the epoch."""
    titles = {
        "reconstruction": "L_rec",
        "distribution_alignment": "L_vda",
        "semantic_matching": "L_smc",
        "threshold": "threshold T",
    }
    figure, axes = panels(4, 2.3, 1.2)
    for ax, (key, title) in zip(axes, titles.items(), strict=True):
        ax.plot(history[key])
        ax.set(title=title, xlabel="epoch")
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
    ax.legend(**BESIDE)
    return figure


def plot_diffusion(objective: np.ndarray, steps: Sequence[str], weights: np.ndarray) -> Figure:
    """Draw a diffusion's objective above its end, by step, and the weights of the prompts."""
    figure, (left, right) = panels(2, 3, 1.25, width_ratios=[1.7, 1])
    # The last record is the level the others are drawn above.
    above, kinds = (objective - objective[-1])[:-1], np.array(steps)[:-1]
    places = np.arange(len(above))
    left.plot(places, above, color="0.6", linewidth=1)
    palette = sns.color_palette("colorblind")
    for kind, marker, colour in (("diffusion", "o", palette[0]), ("weights", "D", palette[1])):
        x, y = places[kinds == kind], above[kinds == kind]
        left.plot(x, y, marker, color=colour, markersize=5, label=f"after {kind}")
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


def plot_landscape(
    frames: Mapping[str, pd.DataFrame],
    truth: float,
    paths: Mapping[str, Sequence[np.ndarray]] | None = None,
) -> Figure:
    """Draw losses against the angle of a rotation, a panel a case, the truth as a line."""
    figure, axes = panels(len(frames), 3.2, 1.35, sharey=True)
    for ax, (title, frame) in zip(axes, frames.items(), strict=True):
        _lines(ax, frame, "angle", "scaled", "loss", None, markers=False, legend=ax is axes[-1])
        ax.axvline(truth, color="0.4", linestyle=":")
        ends = [path[-1] for path in (paths or {}).get(title, [])]
        ax.plot(ends, np.full(len(ends), -0.08), "^", color="0.2", markersize=6, clip_on=False)
        ax.set(xlabel="angle (degrees)", ylabel="loss, from least to most", title=title)
        ax.xaxis.set_major_locator(MultipleLocator(90))
    axes[-1].legend(**BESIDE)
    return figure


def _lines(
    ax: plt.Axes, frame: pd.DataFrame, x: str, y: str, hue: str, errorbar: Any, **more: Any
) -> None:
    """Draw means, a line a kind, each with a dash and a marker of its own."""
    options = {"markers": True} | more
    sns.lineplot(frame, x=x, y=y, hue=hue, style=hue, errorbar=errorbar, ax=ax, **options)


def _label_ticks(ax: plt.Axes, ticks: Sequence[float], style: str = "g") -> None:
    """Put ticks of an axis at these values and nowhere else."""
    ax.set_xticks(ticks, [f"{tick:{style}}" for tick in ticks])
    ax.minorticks_off()


def plot_accuracy_by_ratio(frame: pd.DataFrame, ratio: str = "aligned_ratio") -> Figure:
    """Draw mean accuracy against the aligned share, a line a method, bands of one sd."""
    shown = frame.assign(acc=100 * frame["acc"], share=100 * frame[ratio])
    figure, ax = plt.subplots()
    _lines(ax, shown, "share", "acc", "method", "sd")
    ax.set(xlabel="rows aligned (%)", ylabel="ACC (%)", xscale="log")
    ticks = [float(shown["share"].max())]
    for share in sorted(shown["share"].unique(), reverse=True):
        # On a logarithmic axis the high shares crowd; their labels must not touch.
        if share < 0.75 * ticks[0]:
            ticks.insert(0, float(share))
    _label_ticks(ax, ticks)
    ax.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    return figure


def plot_trend(
    frame: pd.DataFrame, x: str, label: str, hue: str = "method", log: bool = True
) -> Figure:
    """Draw mean accuracy against a setting, a line a group, bands of one sd."""
    shown = frame.assign(acc=100 * frame["acc"])
    figure, ax = plt.subplots()
    _lines(ax, shown, x, "acc", hue, "sd")
    ax.set(xlabel=label, ylabel="ACC (%)", xscale="log" if log else "linear")
    _label_ticks(ax, sorted(shown[x].unique()))
    ax.legend(**BESIDE)
    return figure


def _measures(
    frame: pd.DataFrame, x: str, ys: Mapping[str, str], label: str, hue: str, errorbar: Any
) -> Figure:
    """Draw measures against a logarithmic axis, a panel a measure and a line a kind."""
    figure, axes = panels(len(ys), 3.2, 1.35)
    for ax, (column, title) in zip(axes, ys.items(), strict=True):
        _lines(ax, frame, x, column, hue, errorbar, legend=ax is axes[-1])
        ax.set(xscale="log", xlabel=label, ylabel="", title=title)
    axes[-1].legend(**BESIDE)
    return figure


def plot_curves(
    frame: pd.DataFrame, x: str, ys: Mapping[str, str], label: str, hue: str
) -> Figure:
    """Draw several measures against a setting on a logarithmic axis, a panel a measure."""
    shown = frame.assign(acc=100 * frame["acc"]) if "acc" in frame else frame
    return _measures(shown, x, ys, label, hue, "sd")


def plot_growth(frame: pd.DataFrame, costs: Mapping[str, str]) -> Figure:
    """Draw costs against the number of images on logarithmic axes, a panel a cost."""
    figure = _measures(frame, "n_samples", costs, "images", "method", None)
    for ax in figure.axes:
        ax.set_yscale("log")
        _label_ticks(ax, sorted(frame["n_samples"].unique()), ",")
    return figure


def plot_costs(frame: pd.DataFrame, x: str, costs: Sequence[str], label: str) -> Figure:
    """Draw costs against size on logarithmic axes, a panel a cost and a line a method."""
    titles = {
        "seconds_training": "seconds an epoch",
        "seconds_features": "seconds afterwards",
        "memory_mb": "peak memory, MB",
    }
    shown = {f"measure_{check_choice('costs', cost, titles)}": titles[cost] for cost in costs}
    figure = _measures(frame, x, shown, label, "method", None)
    for ax in figure.axes:
        ax.set_yscale("log")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(LogLocator(numticks=5))
            axis.set_minor_formatter(NullFormatter())
        # Widened to whole powers of ten, so that the axis has two numbers.
        low, high = (math.log10(limit) for limit in ax.get_ylim())
        ax.set_ylim(10.0 ** math.floor(low), 10.0 ** math.ceil(high))
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
        names_of = [f"{value:g}" for value in values]
        ax.set_xticks(range(len(values)), names_of, fontsize="x-small")
        ax.set_xlabel(name, fontsize="small")
        ax.yaxis.set_major_locator(MaxNLocator(5))
    for row in axes:
        row[0].set_ylabel("ACC (%)")
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
    figure, axes = panels(len(names), 3.6, 1 if len(names) == 1 else 1.35)
    kinds = list(dict.fromkeys(frame[hue]))
    options = {"hue_order": kinds, "style_order": kinds, "n_boot": _BOOTSTRAPS, "seed": 0}
    for ax, name in zip(axes, names, strict=True):
        some = shown if name is None else shown[shown[panel] == name]
        options["legend"] = ax is axes[-1]
        _lines(ax, some, "place", "points", hue, ("ci", 95), **options)
        chance = 100 * chance_of(some, measure).mean()
        ax.axhline(chance, color="0.3", linestyle=":", label="chance")
        ax.set(xlabel=label, ylabel=_TITLES[measure] if ax is axes[0] else "", title=name or "")
        unit = 100 if x == "ratio" else 1
        ax.set_xticks(range(len(ticks)), [f"{unit * value:g}" for value in ticks])
        ax.set_ylim(bottom=0)
    axes[-1].legend(**BESIDE)
    return figure
