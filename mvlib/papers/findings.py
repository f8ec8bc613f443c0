"""What a chapter's findings rest on: arms of its records side by side, set by set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mvlib.check import check_choice
from mvlib.data import describe
from mvlib.files import project_root, read_toml
from mvlib.papers.set_clip import CHANCE, with_chance
from mvlib.records import results_frame
from mvlib.records.statistics import differences_by_set, paired_comparisons
from mvlib.records.tables import spread

_BY = ("dataset", "split", "seed")
# So many sets stand side by side; more are rows.
_BESIDE = 3


def finding_table(paper: str, name: str, root: Path | None = None) -> pd.DataFrame:
    """Return one of the tables that a chapter's `findings.toml` asks for.

    `experiment`, `where`, `without` and `measure` choose results, `arms` the columns that name
    what is compared. With `pairs` it has differences, else the mean and spread of each arm.
    """
    root = root or project_root()
    path = f"notebooks/{paper}/findings.toml"
    declared = read_toml(root / path, path)
    asked = declared[check_choice("finding", name, declared)]
    measure = asked.get("measure", "acc")
    frame = results_frame(paper, "reduced", asked["experiment"], root, variants=True)
    frame = frame.sort_values("dataset", kind="stable")
    for column, values in asked.get("where", {}).items():
        kept = values if isinstance(values, list) else [values]
        frame = frame[frame[column].isin(kept)] if column in frame else frame.iloc[:0]
    for column, value in asked.get("without", {}).items():
        frame = frame[frame[column] != value] if column in frame else frame
    if measure not in frame or frame.empty:
        return pd.DataFrame()
    frame = frame[frame[measure].notna()].astype({measure: float})
    names = frame[asked.get("arms", ["method"])].to_numpy(object)
    frame = frame.assign(arm=[", ".join(map(_named, row[row == row])) for row in names])
    pairs = [tuple(pair) for pair in asked.get("pairs", ())]
    if any(CHANCE in pair for pair in pairs):
        frame = with_chance(frame, "arm")
    if not pairs:
        return _levels(frame, measure, ", ".join(asked.get("arms", [""])))
    return comparisons(frame, pairs, _BY, measure, "arm", mark=True)


def comparisons(
    frame: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    by: Sequence[str],
    metric: str = "acc",
    column: str = "method",
    mark: bool = False,
) -> pd.DataFrame:
    """Return pairs' differences as text, by set and over all: a row a pair, or a row a set.

    With a row a set, those on which a pair is told apart can be marked as bold: few sets decide
    nothing over all of them.
    """
    by_set = differences_by_set(frame, pairs, by, metric, column)
    found = paired_comparisons(frame, pairs, by, metric, column=column)
    sets = list(by_set.columns[2:])
    beside = len(sets) <= _BESIDE
    if mark and not beside:
        by_set[sets] = _bold(by_set[sets], frame, pairs, by, metric, column)
    told = by_set.rename(columns={name: title_of(name) for name in sets})
    told["all, 95 %"] = intervals(found)
    if beside:
        return told.assign(verdict=found["verdict"])
    told["sets ahead"] = [f"{row.sets_ahead} of {row.sets}" for row in found.itertuples()]
    first = told["A"].unique()
    if len(first) == 1:
        names, corner = list(told["B"]), f"{first[0]} minus"
    else:
        names, corner = [f"{row.A} minus {row.B}" for row in told.itertuples()], "data set"
    turned = told.drop(columns=["A", "B"]).set_axis(names).T
    return turned.rename_axis(corner).reset_index()


def _bold(
    by_set: pd.DataFrame, frame: pd.DataFrame, pairs: Any, by: Any, metric: str, column: str
) -> pd.DataFrame:
    """Return differences by set, bold where a test on the set's seeds tells the pair apart."""
    arms = frame["dataset"] + ": " + frame[column]
    every = [
        (f"{name}: {a}", f"{name}: {b}")
        for a, b in pairs
        for name in by_set.columns
        if {f"{name}: {a}", f"{name}: {b}"} <= set(arms)
    ]
    found = paired_comparisons(frame.assign(arm=arms), every, by, metric, column="arm")
    told = dict(zip(every, found["told"], strict=True))
    shown = by_set.copy()
    for row, (a, b) in enumerate(pairs):
        for name in by_set.columns:
            if told.get((f"{name}: {a}", f"{name}: {b}")):
                shown.loc[row, name] = f"**{by_set.loc[row, name]}**"
    return shown


def intervals(found: pd.DataFrame) -> list[str]:
    """Return "+4.1 [-11.5, 19.7]" of each row, empty where there is none."""
    columns = ("difference", "ci_low", "ci_high")
    ends = zip(*(found[name].astype(float) for name in columns), strict=True)
    return [
        "" if d != d else f"{d:+.1f}" + (f" [{low:.1f}, {high:.1f}]" if low == low else "")
        for d, low, high in ends
    ]


def title_of(dataset: str) -> str:
    """Return a set's name as tables and figures have room for it."""
    return describe(dataset).short_title


def _levels(frame: pd.DataFrame, measure: str, axis: str) -> pd.DataFrame:
    points = (100 * frame[measure]).groupby([frame["arm"], frame["dataset"]], sort=False)
    said = points.agg(lambda one: spread(one.mean(), one.std(ddof=1))).unstack()
    n = points.size().unstack().min(axis="columns")
    said.columns = [title_of(name) for name in said]
    return said.assign(n=n).rename_axis(axis).reset_index()


def _named(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float | int) else str(value)
