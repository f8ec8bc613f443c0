"""One value a cell of a results frame: checks of it, and means over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mvlib.check import check_choice
from mvlib.records.recorder import METRICS

if TYPE_CHECKING:
    import pandas as pd

# Two results that differ by less, in points, are equal: a float's last bit makes no rank.
DECIMALS = 9


def mean_scores(frame: pd.DataFrame, metric: str = "acc") -> pd.DataFrame:
    """Return the means over seeds and splits in points, a row a data set, a column a method."""
    check_columns(frame, ("dataset", "method"))
    check_metric(frame, metric)
    keys = [name for name in ("dataset", "method", "split", "seed") if name in frame]
    check_cells(frame, keys, metric)
    points = 100 * frame[metric].astype(float)
    means = points.groupby([frame["dataset"], frame["method"]]).mean().round(DECIMALS)
    table = means.unstack()
    table = table.reindex(index=frame["dataset"].unique(), columns=frame["method"].unique())
    missing = np.argwhere(table.isna())
    if len(missing):
        row, column = missing[0]
        raise ValueError(
            f"frame has no {metric} of {table.columns[column]!r} on {table.index[row]!r}: "
            "expected every method on every data set"
        )
    return table


def check_columns(frame: pd.DataFrame, names: Sequence[str]) -> None:
    """Raise a ValueError if a results frame lacks one of these columns."""
    for name in names:
        if name not in frame:
            raise ValueError(
                f"frame has no column {name!r}: expected {', '.join(names)}; "
                f"it has {', '.join(frame.columns)}"
            )


def check_metric(frame: pd.DataFrame, metric: str) -> None:
    """Raise a ValueError if there is no such metric, or the frame lacks it."""
    if not metric.startswith("measure_"):
        check_choice("metric", metric, METRICS)
    check_columns(frame, (metric,))


def check_cells(frame: pd.DataFrame, keys: Sequence[str], metric: str, of: str = "") -> None:
    """Raise a ValueError if a row has no value, or the same `keys` as another row."""
    empty = frame[frame[metric].isna()]
    if len(empty):
        where = name_cell(empty.iloc[0][list(keys)])
        raise ValueError(f"frame has a row{of} without {metric} at {where}: expected a number")
    again = frame[frame.duplicated(list(keys))] if keys else frame.iloc[1:]
    if len(again):
        where = name_cell(again.iloc[0][list(keys)])
        raise ValueError(
            f"frame has two rows{of} at {where}: expected one a cell; keep one setting and rule"
        )


def name_cell(known: Mapping[str, Any]) -> str:
    """Return "dataset=wiki, seed=5"."""
    return ", ".join(f"{name}={value}" for name, value in known.items())
