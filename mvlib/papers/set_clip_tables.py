"""Tables of how well modalities find each other, chance beside every number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mvlib.check import check_choice
from mvlib.records.tables import spread

if TYPE_CHECKING:
    import pandas as pd

CHANCE = "chance level"
_BATCH = 50
_DEPTHS = (1, 5, 10)
_DIRECTIONS = ("first", "second")


def retrieval_table(frame: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return recall, median rank and top-1 in batches, a row a group and direction."""
    import pandas as pd

    if frame.empty:
        return frame
    rows = []
    for place, some in frame.groupby(list(by), sort=False, dropna=False):
        n = _gallery(some)
        for direction in _DIRECTIONS:
            row = dict(zip(by, place, strict=True))
            row |= {"queries": direction, "n": len(some), "gallery": n}
            for depth in _DEPTHS:
                values = some[f"measure_r{depth}_{direction}"]
                row[f"R@{depth}"] = _with_chance(values, min(1, depth / n))
            row["median rank"] = _with_chance(
                some[f"measure_rank_{direction}"], (n + 1) / 2, scale=1
            )
            row["top-1 of 50"] = _with_chance(
                some[f"measure_batch_{direction}"], 1 / min(_BATCH, n)
            )
            rows.append(row)
    return pd.DataFrame(rows)


def recall_table(
    frame: pd.DataFrame, rows: Sequence[str], columns: str, measure: str = "r10"
) -> pd.DataFrame:
    """Return one measure, mean of both directions, spread over groups of two kinds."""
    import pandas as pd

    check_choice("measure", measure, ("r10", "class_r1"))
    if f"measure_{measure}" not in frame:
        return pd.DataFrame()
    frame = frame.dropna(subset=[f"measure_{measure}"])
    values = sorted(frame[columns].unique())
    table = []
    for place, some in frame.groupby(list(rows), sort=False, dropna=False):
        groups = {value: some[some[columns] == value] for value in values}
        row = dict(zip(rows, place, strict=True))
        row["n"] = max(map(len, groups.values()))
        row["chance"] = f"{100 * chance_of(some, measure).mean():.1f}"
        for value, group in groups.items():
            title = f"{value:.0%}" if columns == "ratio" else str(value)
            row[title] = _points(group[f"measure_{measure}"]) if len(group) else None
        table.append(row)
    return pd.DataFrame(table)


def unpaired_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what methods find without a known pair, chance beside it."""
    import pandas as pd

    rows = []
    without = frame[(frame["ratio"] == 0) | frame["ratio"].isna()]
    keys = ["dataset", "method", "draws"]
    for place, some in without.groupby(keys, sort=False, dropna=False):
        row = dict(zip(("data set", "method", "draws"), place, strict=True)) | {"n": len(some)}
        for title, measure in (("R@10", "r10"), ("same class", "class_r1")):
            values = some.get(f"measure_{measure}", pd.Series(dtype=float)).dropna()
            row[title] = _points(values) if len(values) else None
            chance = chance_of(some, measure).mean() if len(values) else None
            row[f"chance of {title}"] = None if chance is None else f"{100 * chance:.1f}"
            gain = None if chance is None else values.mean() / chance - 1
            row[f"{title} over chance"] = None if gain is None else f"{round(gain, 2) + 0:+.0%}"
        rows.append(row)
    return pd.DataFrame(rows)


def chance_of(frame: pd.DataFrame, measure: str = "r10") -> pd.Series:
    """Return what guessing gives in each row of a frame, from 0 to 1."""
    if measure == "class_r1":
        return frame["measure_class_chance"].astype(float)
    return (10 / frame["measure_gallery"].astype(float)).clip(upper=1)


def with_chance(frame: pd.DataFrame, column: str = "method") -> pd.DataFrame:
    """Return a frame with rows "chance level", for `paired_comparisons`."""
    import pandas as pd

    if frame.empty:
        return frame
    cells = frame.dropna(subset=["seed"]).drop_duplicates(["dataset", "split", "seed"])
    added = cells.assign(**{column: CHANCE, "measure_r10": chance_of(cells)})
    if "measure_class_r1" in cells:
        added["measure_class_r1"] = cells["measure_class_chance"]
    return pd.concat([frame, added], ignore_index=True)


def _gallery(some: pd.DataFrame) -> int:
    sizes = sorted(set(some["measure_gallery"].astype(int)))
    if len(sizes) != 1:
        raise ValueError(f"frame has galleries of {sizes} rows in one group: expected one size")
    return sizes[0]


def _points(values: pd.Series) -> str:
    points = 100 * values.astype(float)
    return spread(points.mean(), points.std(ddof=1))


def _with_chance(values: pd.Series, chance: float, scale: int = 100) -> str:
    scaled = scale * values.astype(float)
    return f"{spread(scaled.mean(), scaled.std(ddof=1))} ({scale * chance:.1f})"
