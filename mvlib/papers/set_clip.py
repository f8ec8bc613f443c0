"""Set-CLIP's chapter: tables with chance beside every number, tests of arms, toy clouds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mvlib.check import check_choice, check_number
from mvlib.ops.adam import Adam
from mvlib.records.statistics import paired_comparisons
from mvlib.records.tables import results_frame, spread

CHANCE = "chance level"
_BATCH = 50
_DEPTHS = (1, 5, 10)


def retrieval_table(frame: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return recall, median rank and top-1 in batches, a row a group and direction."""
    if frame.empty:
        return frame
    rows = []
    for place, some in frame.groupby(list(by), sort=False, dropna=False):
        n = _gallery(some)
        # Column, measure, and what chance gives, in points or ranks.
        shown = [(f"R@{depth}", f"r{depth}", 100 * min(1, depth / n)) for depth in _DEPTHS]
        shown += [("median rank", "rank", (n + 1) / 2)]
        shown += [("top-1 of 50", "batch", 100 / min(_BATCH, n))]
        for direction in ("first", "second"):
            row = dict(zip(by, place, strict=True))
            row |= {"queries": direction, "n": len(some), "gallery": n}
            for title, measure, chance in shown:
                values = some[f"measure_{measure}_{direction}"]
                said = _points(values, 1 if measure == "rank" else 100)
                row[title] = f"{said} ({chance:.1f})"
            rows.append(row)
    return pd.DataFrame(rows)


def recall_table(
    frame: pd.DataFrame, rows: Sequence[str], columns: str, measure: str = "r10"
) -> pd.DataFrame:
    """Return one measure, mean of both directions, spread over groups of two kinds."""
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


def chance_of(frame: pd.DataFrame, measure: str = "r10") -> pd.Series:
    """Return what guessing gives in each row of a frame, from 0 to 1."""
    if measure == "class_r1":
        return frame["measure_class_chance"].astype(float)
    return (10 / frame["measure_gallery"].astype(float)).clip(upper=1)


def with_chance(frame: pd.DataFrame, column: str = "method") -> pd.DataFrame:
    """Return a frame with rows "chance level", for `paired_comparisons`."""
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


def _points(values: pd.Series, unit: int = 100) -> str:
    scaled = unit * values.astype(float)
    return spread(scaled.mean(), scaled.std(ddof=1))


_COLUMNS = ("split", "ratio", "draws", "n_steps")


def alignment_results(
    experiment: str, profile: str = "reduced", root: Path | None = None
) -> pd.DataFrame:
    """Return recorded results of the Set-CLIP chapter."""
    frame = results_frame("set_clip", profile, experiment, root)
    return frame.reindex(columns=list(dict.fromkeys([*frame.columns, *_COLUMNS])))


def compare_recall(
    frame: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    by: Sequence[str],
    measure: str = "r10",
) -> pd.DataFrame:
    """Compare a measure, mean of both directions, of arms that were recorded."""
    check_choice("measure", measure, ("r10", "class_r1"))
    column = f"measure_{measure}"
    frame = frame.dropna(subset=[column]) if column in frame else frame.iloc[:0]
    recorded = set() if frame.empty else set(frame["arm"])
    known = [pair for pair in pairs if recorded.issuperset(pair)]
    if not known:
        return pd.DataFrame()
    table = paired_comparisons(frame, known, by, column, column="arm")
    shown = ["A", "B", "n", "ahead", "difference", "ci_low", "ci_high", "p_holm", "verdict"]
    return table[shown]


Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
# Share of the points, distance of the middle from the origin, and spread, by group.
_GROUPS = ((0.5, 0.3, 0.2), (1.0, 1.6, 2.2), (0.15, 0.3, 0.45))
_ALIKE = ((1 / 3,) * 3, (1.6,) * 3, (0.3,) * 3)


def three_groups(
    n_samples: int, symmetric: bool = False, random_state: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return points of the plane in three groups, a third of a turn apart."""
    check_number("n_samples", n_samples, low=3, integer=True)
    rng = np.random.default_rng(random_state)
    shares, radii, spreads = np.array(_ALIKE if symmetric else _GROUPS)
    edges = np.round(np.cumsum(shares) * n_samples).astype(int)
    groups = np.searchsorted(edges, np.arange(n_samples), side="right")
    angles = 2 * math.pi * groups / 3
    middles = radii[groups, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return middles + spreads[groups, None] * rng.normal(size=(n_samples, 2)), groups


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    """Return points of the plane turned about the origin, anticlockwise."""
    return points @ _rotation(torch.tensor(math.radians(degrees))).numpy().T


def losses_by_angle(
    first: np.ndarray, second: np.ndarray, losses: Mapping[str, Loss], angles: Sequence[float]
) -> pd.DataFrame:
    """Return the losses of a cloud and another one turned by each of some angles."""
    rows = []
    A = torch.from_numpy(first)
    for name, loss in losses.items():
        values = [float(loss(A, torch.from_numpy(turned(second, angle)))) for angle in angles]
        low, span = min(values), (max(values) - min(values)) or 1.0
        for angle, value in zip(angles, values, strict=True):
            scaled = (value - low) / span
            rows.append({"loss": name, "angle": angle, "value": value, "scaled": scaled})
    return pd.DataFrame(rows)


def descend(
    first: np.ndarray, second: np.ndarray, loss: Loss, start: float, n_steps: int = 50
) -> np.ndarray:
    """Follow the gradient of a loss with respect to the angle alone, by Adam."""
    A, B = torch.from_numpy(first), torch.from_numpy(second)
    angle = torch.tensor(math.radians(start), dtype=torch.float64, requires_grad=True)
    optimizer = Adam([angle], lr=0.15)
    path = [angle.item()]
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss(A, B @ _rotation(angle).T).backward()
        optimizer.step()
        path.append(angle.item())
    return np.degrees(path) % 360


def group_agreement(
    first: np.ndarray, second: np.ndarray, groups: np.ndarray, groups_second: np.ndarray
) -> float:
    """Return the share of points whose nearest point of the other cloud is of their group."""
    distances = ((first[:, None] - second[None]) ** 2).sum(axis=2)
    return float((groups_second[distances.argmin(axis=1)] == groups).mean())


def _rotation(angle: torch.Tensor) -> torch.Tensor:
    angle = angle.double()
    cosine, sine = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cosine, -sine]), torch.stack([sine, cosine])])
