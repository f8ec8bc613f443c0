"""What the choices within a baseline of k-means move, beside what words add to it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import pandas as pd

from mvlib.papers.findings import title_of
from mvlib.records.verdicts import Verdict, verdict

RAW, UNIT, WITH_WORDS = "raw rows", "unit rows", "unit rows and words"
ALL, CAPPED = "all rows", "256 a cluster"
# A change, its column, what is changed to and from; None is the most that were run.
CHANGES: Mapping[str, tuple[str, Any, Any]] = {
    "unit rows": ("features", UNIT, RAW),
    "k-means++": ("init", "k-means++", "random"),
    "more starts": ("starts", None, 1),
    "256 rows a cluster": ("learnt_from", CAPPED, ALL),
    "words": ("features", WITH_WORDS, UNIT),
}
WAY = ["features", "init", "starts", "learnt_from"]


def seed_differences(runs: pd.DataFrame, change: str) -> tuple[pd.Series, pd.Series]:
    """Return points that a change moves, by seed and setting; of k-means, on images alone."""
    column, new, old = CHANGES[change]
    new = runs[column].max() if new is None else new
    others = [name for name in WAY if name != column]
    some = runs if column == "features" else runs[runs["features"].isin([RAW, UNIT])]
    wide = 100 * some.pivot(index=["seed", *others], columns=column, values="acc")
    if not {new, old} <= set(wide.columns):
        return pd.Series(dtype=float), pd.Series(dtype=float)
    gaps = (wide[new] - wide[old]).dropna()
    return gaps.groupby("seed").mean(), gaps.groupby(others).mean()


def change_effects(runs: pd.DataFrame) -> pd.DataFrame:
    """Return by set what each change moves, with the interval of the verdicts, and verdict."""
    rows = []
    for (dataset, some), change in product(runs.groupby("dataset", sort=False), CHANGES):
        seeds, cells = seed_differences(some, change)
        if seeds.empty:
            continue
        found = verdict(seeds, 0.0, digits=9)
        about = {"data set": title_of(dataset), "change": change}
        told = {"points": found.mean, "90 %": interval(found)}
        span = f"{cells.min():+.1f} to {cells.max():+.1f} in {len(cells)} settings"
        rows.append(about | told | {"by setting": span, "n": found.n, "verdict": found.said})
    return pd.DataFrame(rows)


def interval(found: Verdict) -> str:
    """Return a verdict's interval as text, empty where there is none."""
    return "" if found.low is None else f"[{found.low:+.1f}, {found.high:+.1f}]"


def words_or_luck(runs: pd.DataFrame) -> str:
    """Return by set how far settings of k-means are apart, and what words add at the same."""
    said = []
    for dataset, some in runs.groupby("dataset", sort=False):
        cells = 100 * some.groupby(WAY)["acc"].agg(["mean", "std"])
        alone, words = cells[cells.index.isin([RAW, UNIT], level=0)], cells.loc[[WITH_WORDS]]
        found = verdict(seed_differences(some, "words")[0], 0.0, digits=9)
        low, high = alone["mean"].min(), alone["mean"].max()
        least, most = words["mean"].min() - high, words["mean"].max() - low
        said.append(
            f"- {title_of(dataset)}: {len(alone)} ways to run k-means of the same images have "
            f"means from {low:.1f} to {high:.1f}, **{high - low:.1f} points apart**, and one "
            f"way moves by {alone['std'].min():.1f} to {alone['std'].max():.1f} from seed to "
            f"seed (standard deviation). At the same way words add **{found.mean:+.1f} "
            f"points** {interval(found)} ({found.said}, n = {found.n} seeds); with each side "
            f"run in its own way the gain reads {least:+.1f} to {most:+.1f}."
        )
    return "\n".join(said) or "*Not run.*"
