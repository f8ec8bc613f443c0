"""Checks that a results frame holds one value a cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mvlib._validation import check_choice
from mvlib.experiments.recorder import METRICS

if TYPE_CHECKING:
    import pandas as pd


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
