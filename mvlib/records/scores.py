"""Means and spreads of results, in points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mvlib.check import check_choice
from mvlib.records.recorder import METRICS

if TYPE_CHECKING:
    import pandas as pd
_FIXED = {
    "paper", "experiment", "profile", "method", "dataset", "seed", "rule", *METRICS,
    "seconds", "device", "started", "cell", "key",
}  # fmt: skip


def parameters_of(frame: pd.DataFrame) -> list[str]:
    """Return the columns of a results frame that are parameters, such as `aligned_ratio`."""
    return [
        name for name in frame.columns if name not in _FIXED and not name.startswith("measure_")
    ]


def summarise(frame: pd.DataFrame, by: Sequence[str] | None = None) -> pd.DataFrame:
    """Return mean and standard deviation over seeds, in points (per cent)."""
    if by is None:
        experiment = ["experiment"] if "experiment" in frame else []
        by = [*experiment, "dataset", *parameters_of(frame), "method", "rule"]
    points = frame.assign(**{metric: 100 * frame[metric].astype(float) for metric in METRICS})
    points = points.assign(**{name: _whole(points[name]) for name in by})
    groups = points.groupby(list(by), sort=False, dropna=False)
    table = groups.size().rename("n").to_frame()
    for metric in METRICS:
        table[metric] = groups[metric].mean()
        table[f"{metric}_sd"] = groups[metric].std(ddof=1)
    return table.reset_index()


def _whole(column: pd.Series) -> pd.Series:
    """Return a column of counts as integers, which missing ones made floats."""
    known = column.dropna()
    if column.dtype.kind != "f" or not (known == known.round()).all():
        return column
    return column.astype("Int64")


def score_table(
    frame: pd.DataFrame, by: Sequence[str] | None = None, metrics: Sequence[str] = METRICS
) -> pd.DataFrame:
    """Return results for reading: mean and spread over seeds, as text."""
    for metric in metrics:
        check_choice("metrics", metric, METRICS)
    table = summarise(frame, by)
    for metric in metrics:
        pairs = zip(table[metric], table[f"{metric}_sd"], strict=True)
        table[metric] = [spread(mean, sd) for mean, sd in pairs]
    hidden = [name for m in METRICS for name in (m, f"{m}_sd") if name not in metrics]
    return table.drop(columns=hidden)


def spread(mean: float, sd: float | None) -> str:
    """Return "93.2 ± 0.4", without the spread where there is none."""
    return f"{mean:.1f}" if sd is None or sd != sd else f"{mean:.1f} ± {sd:.1f}"
