"""What the papers claim in sentences, and what records here say to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mvlib.papers.set_clip import CHANCE, with_chance
from mvlib.records import load_claims, load_records, results_frame

SUPPORTED, CONTRADICTED, OPEN = "supported", "contradicted", "open"
REDUCED = "at reduced scale only"
# One-sided 5 %, as in the verdicts on numbers.
_QUANTILE = 0.95
_NOTHING = pd.DataFrame(columns=["dataset", "seed", "split", "key", "started"])


class Judged(NamedTuple):
    """A claim, the word on it, what the word rests on, how to repeat it, and its results."""

    claim: Mapping[str, Any]
    verdict: str
    said: str
    command: str
    results: pd.DataFrame


def judge_claims(paper: str, root: Path | None = None) -> list[Judged]:
    """Return each claim of a paper with its verdict.

    A claim that has a test holds on a data set where the 90 % interval of the difference,
    Student's t over seeds, lies above 0, and fails where it lies below. It is *supported* if
    it holds on some sets and fails on none, *contradicted* the other way round, and *open*
    else; without runs at full settings the same *at reduced scale only*.
    """
    return [_judge(paper, claim, root) for claim in load_claims(paper, root)]


def claims_as_data(paper: str, root: Path | None = None) -> list[dict[str, Any]]:
    """Return each claim with its verdict and all that this rests on, as JSON can hold it."""
    return [_as_data(paper, judged, root) for judged in judge_claims(paper, root)]


def _as_data(paper: str, judged: Judged, root: Path | None) -> dict[str, Any]:
    claim, results = judged.claim, judged.results
    test = claim.get("test", {})
    used = set(results["key"])
    known = [
        record["datasets"] for record in load_records(paper, root=root) if record["key"] in used
    ]
    sums = {name: found[name] for found in known for name in sorted(found)}
    n = _differences(results, test).groupby("dataset").size()
    return {
        "paper": paper,
        "claim": claim["text"],
        "source": claim["source"],
        "where": claim["where"],
        "verdict": judged.verdict,
        "rests_on": judged.said,
        "metric": test.get("measure", "acc").removeprefix("measure_") if test else None,
        "direction": ("lower" if test.get("less") else "higher") if test else None,
        "given": dict(test.get("where", {})),
        "split": sorted({int(split) for split in results["split"].dropna()}),
        "checksum": {name: sums.get(name) for name in n.index},
        "n": n.to_dict(),
        "date": None if results.empty else results["started"].max(),
        "command": judged.command or None,
    }


def _judge(paper: str, claim: Mapping[str, Any], root: Path | None) -> Judged:
    test = claim.get("test")
    if test is None:
        return Judged(claim, OPEN, f"unknown: {'; '.join(claim['unknown'])}", "", _NOTHING)
    for profile in ("full", "reduced"):
        results = _arms(paper, profile, test, root)
        cells = _differences(results, test)
        if len(cells):
            sets = cells.groupby("dataset")["difference"].apply(_where_it_lies)
            holds, fails = int((sets > 0).sum()), int((sets < 0).sum())
            word = (
                SUPPORTED
                if holds > fails == 0
                else CONTRADICTED
                if fails > holds == 0
                else OPEN
            )
            if profile == "reduced" and word != OPEN:
                word = f"{word}, {REDUCED}"
            seeds = cells.groupby("dataset").size().min()
            said = (
                f"{test['ahead']} against {test['of']}: holds on {holds}, fails on {fails} of "
                f"{len(sets)} sets (n = {seeds})"
            )
            command = f"mvlib run {paper}/{test['experiment']} --profile {profile}"
            return Judged(claim, word, said, command, results)
    return Judged(claim, OPEN, "not run", "", _NOTHING)


def _arms(paper: str, profile: str, test: Mapping[str, Any], root: Path | None) -> pd.DataFrame:
    """Return the results of the two arms, none where one of them has none."""
    frame = results_frame(paper, profile, test["experiment"], root, variants=True)
    arms, measure = test.get("arms", "method"), test.get("measure", "acc")
    for name, value in test.get("where", {}).items():
        frame = frame[frame[name] == value] if name in frame else frame.iloc[:0]
    if frame.empty or not {arms, measure} <= set(frame.columns):
        return _NOTHING
    frame = frame[frame[measure].notna()].astype({measure: float})
    if test["of"] == CHANCE:
        frame = with_chance(frame, arms)
    frame = frame[frame[arms].isin([test["ahead"], test["of"]])]
    columns = [*_NOTHING.columns, *(name for name in frame if name not in _NOTHING)]
    return frame.reindex(columns=columns) if frame[arms].nunique() == 2 else _NOTHING


def _differences(results: pd.DataFrame, test: Mapping[str, Any]) -> pd.DataFrame:
    """Return by data set and seed how far the one arm is ahead of the other."""
    if results.empty:
        return results
    arms, measure = test.get("arms", "method"), test.get("measure", "acc")
    wide = results.pivot_table(measure, ["dataset", "seed"], arms)
    sign = -1 if test.get("less") else 1
    difference = (sign * (wide[test["ahead"]] - wide[test["of"]])).dropna()
    return difference.rename("difference").reset_index()


def _where_it_lies(values: pd.Series) -> int:
    """Return 1 if the interval of the mean lies above 0, -1 if below, else 0."""
    from scipy.stats import t

    n, mean = len(values), values.mean()
    if n < 2:
        return 0
    reach = t.ppf(_QUANTILE, n - 1) * values.std(ddof=1) / np.sqrt(n)
    return int(np.sign(mean)) if abs(mean) > reach else 0
