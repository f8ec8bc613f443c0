"""What joining many clusterings of the same images gains, by what the many are made of."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mvlib.papers.findings import title_of
from mvlib.papers.kmeans_luck import interval
from mvlib.records.verdicts import verdict

SIDE_BY_SIDE, JOINED = "k-means, side by side", "joined by LWGP"
# What the many clusterings are of; those of other methods have no k-means beside them.
SOURCES = ("images", "prompts", "layers", "prompts and layers")
METHODS = "methods"


def seed_gains(runs: pd.DataFrame) -> pd.Series:
    """Return points that joining adds on one set, by source and seed.

    Beside k-means of the same features; of methods, beside the mean of those that are joined.
    """
    acc = 100 * runs.pivot_table("acc", ["bases", "seed"], "method", sort=False)
    return (acc[JOINED] - _without(runs)).dropna()


def _without(runs: pd.DataFrame) -> pd.Series:
    own = runs[(runs["bases"] == METHODS) & (runs["method"] == JOINED)]
    means = own.set_index(["bases", "seed"])["measure_mean"].astype(float)
    acc = runs[runs["method"] == SIDE_BY_SIDE].set_index(["bases", "seed"])["acc"]
    return 100 * pd.concat([acc, means])


def joined_gains(runs: pd.DataFrame) -> pd.DataFrame:
    """Return by set and source what joining adds, with the interval of the verdicts."""
    rows = []
    for dataset, some in runs.groupby("dataset", sort=False):
        gains, without = seed_gains(some), _without(some)
        for source in (one for one in (*SOURCES, METHODS) if one in gains.index):
            found, alone = verdict(gains[source], 0.0, digits=9), without[source].mean()
            about = {"data set": title_of(dataset), "joined": source, "without": alone}
            means = {"ACC joined": alone + found.mean, "points": found.mean}
            told = {"90 %": interval(found), "n": found.n, "verdict": found.said}
            rows.append(about | means | told)
    return pd.DataFrame(rows or {"data set": []})


def many_or_one(runs: pd.DataFrame) -> str:
    """Return by set what joining adds to k-means of the same features, and to methods."""
    said = []
    for name, some in joined_gains(runs).groupby("data set", sort=False):
        told = some.set_index("joined")
        parts = [
            f"{source} {told['points'][source]:+.1f} {told['90 %'][source]}".strip()
            for source in SOURCES
            if source in told.index
        ]
        plain = told["without"].get("images")
        best = told["ACC joined"].drop(METHODS, errors="ignore")
        line = (
            f"- {name}: beside k-means of the same features side by side, joining moves, in "
            f"points: {', '.join(parts)}. **The highest, of {best.idxmax()}, is at "
            f"{best.max():.1f}; the images alone are at {best['images']:.1f} joined, at "
            f"{plain:.1f} by k-means** (n = {told['n']['images']} seeds)."
        )
        if METHODS in told.index:
            line += _of_methods(runs[runs["dataset"].map(title_of) == name], told.loc[METHODS])
        said.append(line)
    return "\n".join(said) or "*Not run.*"


def _of_methods(runs: pd.DataFrame, row: Any) -> str:
    own = runs[runs["bases"] == METHODS]
    best = 100 * own["measure_best"].astype(float).mean()
    return (
        f" {own['measure_joined'].max():.0f} methods joined come to {row['ACC joined']:.1f}, "
        f"{row['points']:+.1f} beside their mean and {row['ACC joined'] - best:+.1f} beside "
        f"the best of them, which labels would choose (n = {row['n']} seeds)."
    )
