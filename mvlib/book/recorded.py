"""Recorded runs as sentences and figures need them: values, gaps, panels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from mvlib.papers.findings import title_of
from mvlib.plots import svg
from mvlib.records import results_frame

VIEW_1 = "k-means, view 1"
ALONE = "view 1 alone"


class Answer(NamedTuple):
    """A sentence with its n, and a figure of panels with how to read it."""

    said: str
    panels: Sequence[str]
    caption: str


def figure(panels: Sequence[str], caption: str) -> str:
    """Return panels side by side, where there is room, above their caption."""
    shown = f'<div class="panels">{"".join(panels)}</div>'
    return (
        f'<figure class="recorded">{shown}<figcaption>{escape(caption)}</figcaption></figure>'
    )


def recorded(
    root: Path, paper: str, experiment: str, profile: str = "reduced", **where: Any
) -> pd.DataFrame:
    """Return an experiment's results, variants too, where columns have some values.

    What older records leave out is what was the only way then: a start of our own.
    """
    frame = results_frame(paper, profile, experiment, root, variants=True)
    frame["init"] = frame["init"].fillna("draws") if "init" in frame else "draws"
    for name, value in where.items():
        frame = frame[frame[name] == value] if name in frame else frame.iloc[:0]
    return frame


def values(frame: pd.DataFrame, column: str = "acc", unit: float = 100) -> pd.Series:
    """Return values in points, each under what a reader may ask of its dot."""
    known = frame[frame[column].notna()]
    said = [
        ", ".join(
            f"{name} {row[name]:g}" for name in ("seed", "split") if pd.notna(row.get(name))
        )
        + f", record {row['key'][:8]}"
        for row in known.to_dict("records")
    ]
    return pd.Series(unit * known[column].astype(float).to_numpy(), said)


def by_method(
    frame: pd.DataFrame,
    order: Sequence[str] | None = None,
    column: str = "acc",
    unit: float = 100,
) -> dict[str, pd.Series]:
    """Return the values of each method, in an order or from the best mean down."""
    found = {name: values(some, column, unit) for name, some in frame.groupby("method")}
    if order is None:
        order = sorted(found, key=lambda name: -found[name].mean())
    return {name: found[name] for name in order if name in found}


def seeds_text(frame: pd.DataFrame) -> str:
    return f"n = {frame['seed'].nunique()} seeds"


def listed(parts: Iterable[str]) -> str:
    parts = list(parts)
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _view_1(root: Path, dataset: str) -> float:
    floor = recorded(root, "smart", "floors", method=VIEW_1, dataset=dataset)
    return 100 * floor["acc"].mean()


def set_panels(
    root: Path, frame: pd.DataFrame, order: Sequence[str] | None, strong: str
) -> list[str]:
    """Return a panel of methods for each set, view 1 alone as a line."""
    panels = []
    for dataset, some in frame.groupby("dataset", sort=False):
        lines = {ALONE: _view_1(root, dataset)}
        rows = by_method(some, order)
        panels.append(svg.strips(title_of(dataset), rows, strong=[strong], lines=lines))
    return panels


def gap_rows(frame: pd.DataFrame, a: str, b: str) -> dict[str, pd.Series]:
    """Return by set A less B in points, in each seed and split that has both."""
    frame = frame[frame["method"].isin([a, b])]
    keys = [name for name in ("split", "seed") if name in frame and frame[name].notna().all()]
    wide = frame.pivot(index=["dataset", *keys], columns="method", values="acc")
    # As in the tables, where the last digit must be the same.
    gap = (100 * wide[a] - 100 * wide[b]).dropna().round(9)
    of = frame[frame["method"] == a].set_index(["dataset", *keys])["key"].str[:8]
    said = [f"{dict(zip(keys, at[1:], strict=True))}, record {of[at]}" for at in gap.index]
    said = [re.sub(r"[{}':]|\.0", "", text) for text in said]
    names = gap.index.get_level_values("dataset")
    return {name: gap.set_axis(said)[names == name] for name in names.unique()}


def beside(
    frame: pd.DataFrame, a: tuple[str, str], rivals: Mapping[str, str], tail: str, again: str
) -> Answer | None:
    """Return on how many sets a method is ahead of each of its rivals, and by how much."""
    if frame.empty:
        return None
    lines, panels = [], []
    for b, title in rivals.items():
        rows = {title_of(of): points for of, points in gap_rows(frame, a[0], b).items()}
        means = pd.DataFrame(rows).mean().sort_values(ascending=False)
        rows, ahead = {of: rows[of] for of in means.index}, list(means.index[means > 0])
        ends = [f"{means[of]:+.1f} points on {of}" for of in means.index[[0, -1]]]
        lines.append(f"- {title} **on {len(ahead)} of {len(means)} sets**: {', '.join(ends)}")
        label = f"{a[1].partition(',')[0]} less {title} (points)"
        panels.append(svg.strips(f"Beside {title}", rows, label, ahead or ["-"], signed=True))
    ends = "; the most and the least" if len(means) > 2 else ""
    text = f"**In the mean {a[1]} is ahead of** ({tail}, {seeds_text(frame)}{ends}):\n\n"
    said = "A dot is a seed, the bar the mean; right of the line the method is ahead."
    caption = f"{said} Reduced profile. Again: mvlib run {again} --profile reduced."
    return Answer(text + "\n".join(lines), panels, caption)


def mean_gaps(frame: pd.DataFrame, a: str, b: str) -> pd.DataFrame:
    """Return by set the mean of A less B over shared seeds and splits, and where A is ahead."""
    rows = pd.DataFrame(gap_rows(frame, a, b))
    return pd.DataFrame({"mean": rows.mean(), "ahead": (rows > 0).sum(), "n": rows.count()})


def gap_text(gaps: pd.DataFrame) -> str:
    return listed(
        [
            f"{row.mean_:+.1f} on {title_of(row.Index)} (ahead in {row.ahead} of {row.n})"
            for row in gaps.rename(columns={"mean": "mean_"}).itertuples()
        ]
    )
