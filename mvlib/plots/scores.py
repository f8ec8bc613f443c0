"""Scores and tests: dots a result, methods by rank, differences with their intervals."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from mvlib.check import check_choice
from mvlib.plots.style import BESIDE, WIDTH, panels
from mvlib.records.statistics import UNDECIDED, mean_scores, paired_comparisons, rank_table

_ALPHA = 0.05
_LINE = 32
_TESTS = {
    "flips-holm": "a test of sign flips with Holm's correction",
    "nemenyi": "Nemenyi's test",
}


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
        whole = isinstance(kind, float) and kind.is_integer()
        label = None if hue is None else f"{hue} {int(kind) if whole else kind}"
        style = {"color": palette[number], "markersize": 5, "label": label}
        _dots_and_means(
            ax, some[by].map(groups.index) + offset, some["acc"], 0.45 * height, style
        )
    ax.set(xlabel="ACC (%)", yticks=range(len(groups)), yticklabels=groups)
    ax.set_ylim(len(groups) - 0.5, -0.5)
    if hue:
        ax.legend(**BESIDE)
    return figure


def _dots_and_means(
    ax: plt.Axes, rows: pd.Series, values: pd.Series, reach: float, style: dict[str, Any]
) -> None:
    """Draw each value as a dot in its row, and a row's mean as a line."""
    ax.plot(values, rows, "o", **style)
    means = values.groupby(rows).mean()
    ax.vlines(means, means.index - reach, means.index + reach, color="0.2")


def plot_measures(
    frame: pd.DataFrame, measures: Mapping[str, str], by: str = "method"
) -> Figure:
    """Draw several measures side by side, every result a dot and the mean a line."""
    groups = list(dict.fromkeys(frame[by]))
    figure, axes = panels(len(measures), 0.9 + 0.4 * len(groups), 1.3, sharey=True)
    style = {"color": sns.color_palette("colorblind")[0]}
    for ax, (column, title) in zip(axes, measures.items(), strict=True):
        _dots_and_means(ax, frame[by].map(groups.index), frame[column], 0.3, style)
        ax.set(title=title, yticks=range(len(groups)), yticklabels=groups)
        left, right = min(0, ax.get_xlim()[0]), frame[column].max()
        # Counted from zero, the usual margin would cut the last dots.
        ax.set_xlim(left, right + 0.06 * (right - left or 1))
    axes[0].set_ylim(len(groups) - 0.5, -0.5)
    return figure


def plot_edges(frame: pd.DataFrame, by: str = "method") -> Figure:
    """Draw the precision of a graph's edges against their recall, a point a group."""
    means = frame.groupby(by, sort=False)[["measure_precision", "measure_recall"]].mean()
    figure, ax = plt.subplots(figsize=(WIDTH, 4.2))
    palette = sns.color_palette("colorblind")
    markers = "osD^vP*Xph"
    for place, (name, (precision, recall)) in enumerate((100 * means).iterrows()):
        marker, colour = markers[place % len(markers)], palette[place % len(palette)]
        ax.plot(recall, precision, marker, color=colour, markersize=9, label=name)
    ax.set(xlabel="recall of same-class pairs (%)", ylabel="precision of edges (%)")
    ax.legend(**BESIDE)
    return figure


def plot_gain(frame: pd.DataFrame, x: str, y: str, hue: str = "encoder") -> Figure:
    """Draw a gain in points against a gap in points, with the line y = x and both zeros."""
    figure, ax = plt.subplots(figsize=(WIDTH, 4.2))
    sns.scatterplot(frame, x=x, y=y, hue=hue, style=hue, s=55, ax=ax)
    ax.axhline(0, color="0.4", linewidth=1)
    ax.axvline(0, color="0.4", linewidth=1)
    ax.axline((0, 0), slope=1, color="0.6", linestyle=":", linewidth=1)
    ax.legend(**BESIDE)
    return figure


def plot_critical_difference(
    frame: pd.DataFrame, metric: str = "acc", test: str | None = None
) -> Figure:
    """Draw the mean rank of every method, with a bar over those that no test tells apart.

    Of n data sets and k methods, sign flips tell nothing apart while
    :math:`2^{1 - n} k (k - 1) / 2` is 0.05 or more, whatever the results; the title says so
    then. With six data sets that is so from three methods on, and Nemenyi's test is taken.
    """
    from scikit_posthocs import critical_difference_diagram

    scores = mean_scores(frame, metric)
    n_sets, n_methods = scores.shape
    if n_methods < 3 or n_sets < 2:
        raise ValueError(
            f"frame has {n_methods} methods on {n_sets} data sets: expected at least 3 on 2; "
            "for two methods there is paired_comparisons"
        )
    if test is None:
        smallest = 2.0 ** (1 - n_sets) * n_methods * (n_methods - 1) / 2
        test = "flips-holm" if smallest < _ALPHA else "nemenyi"
    check_choice("test", test, _TESTS)
    title, p = _tests(scores, metric, test)
    ranks = rank_table(frame, metric).set_index("method")["mean_rank"]
    blue, _, _, red = sns.color_palette("colorblind")[:4]
    figure, ax = plt.subplots(figsize=(WIDTH, 1.6 + 0.25 * n_methods))
    critical_difference_diagram(
        ranks.rename(_wrap),
        p.rename(index=_wrap, columns=_wrap),
        alpha=_ALPHA,
        ax=ax,
        label_fmt_left="{label} ({rank:.2f})",
        label_fmt_right="({rank:.2f}) {label}",
        label_props={"fontsize": "small"},
        elbow_props={"color": "0.2", "linewidth": 0.8},
        marker_props={"color": blue},
        crossbar_props={"color": red},
    )
    ax.set_xticks(range(int(np.ceil(ranks.min())), int(ranks.max()) + 1))
    ax.grid(False)
    figure.suptitle(title, fontsize="medium")
    return figure


def plot_forest(table: pd.DataFrame) -> Figure:
    """Draw mean differences with their 95 % intervals, a row a pair."""
    blue = sns.color_palette("colorblind")[0]
    figure, ax = plt.subplots(figsize=(WIDTH, 1.2 + 0.45 * len(table)))
    ax.axvline(0, color="0.4", linewidth=1)
    rows = np.arange(len(table))
    ax.hlines(rows, table["ci_low"], table["ci_high"], color=blue, linewidth=1.6)
    told = table["told"].to_numpy(dtype=bool)
    for some, face, label in ((told, blue, "told apart"), (~told, "white", UNDECIDED)):
        if some.any():
            style = {"color": blue, "markerfacecolor": face, "markersize": 7, "label": label}
            ax.plot(table["difference"][some], rows[some], "o", **style)
    names = [
        f"{a} minus {b}" if len(a + b) < _LINE else f"{_wrap(a)}\n{_wrap(f'minus {b}')}"
        for a, b in zip(table["A"], table["B"], strict=True)
    ]
    ax.set(xlabel="difference (points)")
    ax.set_yticks(rows, names, fontsize="small")
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.grid(False, axis="y")
    ax.legend(fontsize="small", loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return figure


def _tests(scores: pd.DataFrame, metric: str, test: str) -> tuple[str, pd.DataFrame]:
    """Return what to say of the tests, and p of every two methods."""
    from scipy import stats

    n_sets, n_methods = scores.shape
    p = pd.DataFrame(1.0, index=scores.columns, columns=scores.columns)
    # Where every method ties on every set the statistic is 0 / 0: nothing differs.
    with np.errstate(invalid="ignore", divide="ignore"):
        overall = stats.friedmanchisquare(*scores.to_numpy().T).pvalue
    overall = 1.0 if np.isnan(overall) else overall
    said = f"Friedman p = {overall:.2g} over {n_sets} data sets"
    if overall >= _ALPHA:
        return f"{said}: no method is told apart", p
    said += f"\nbars join what {_TESTS[test]} does not tell apart (p ≥ {_ALPHA})"
    if test == "nemenyi":
        from scikit_posthocs import posthoc_nemenyi_friedman

        return said, posthoc_nemenyi_friedman(scores)
    pairs = list(combinations(scores.columns, 2))
    # paired_comparisons takes shares, as frames hold them.
    long = (scores / 100).rename_axis(index="dataset", columns="method")
    long = long.stack().rename(metric).reset_index()
    for row in paired_comparisons(long, pairs, ("dataset",), metric, _ALPHA).itertuples():
        known = not np.isnan(row.p_holm)
        p.loc[row.A, row.B] = p.loc[row.B, row.A] = row.p_holm if known else 1.0
    if 2.0 ** (1 - n_sets) * len(pairs) >= _ALPHA:
        said += f";\n{n_sets} data sets are too few to tell any of {n_methods} methods apart"
    return said, p


def _wrap(name: str) -> str:
    return textwrap.fill(name, _LINE)
