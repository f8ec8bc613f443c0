"""What the records of the NTK chapter allow one to say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mvlib.records.statistics import differences_by_set, paired_comparisons
from mvlib.records.tables import results_frame

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["A", "B", "n", "difference", "ci_low", "ci_high", "p_holm", "verdict"]


def recorded_comparisons(
    experiment: str,
    pairs: Sequence[tuple[str, str]],
    profile: str = "reduced",
    datasets: Sequence[str] | None = None,
    root: Path | None = None,
) -> pd.DataFrame:
    """Compare pairs of methods on what is recorded of an experiment."""
    frame = results_frame("ntk_spectral", profile, experiment, root)
    if datasets is not None:
        frame = frame[frame["dataset"].isin(datasets)]
    known = set(frame["method"])
    pairs = [pair for pair in pairs if known.issuperset(pair)]
    if not pairs:
        return frame.iloc[:0]
    table = paired_comparisons(frame, pairs)[COLUMNS]
    return table.merge(differences_by_set(frame, pairs), on=["A", "B"])


def recorded_losses(profile: str = "reduced", root: Path | None = None) -> pd.DataFrame:
    """Return what each affinity loses under each shift, from the records."""
    frame = results_frame("ntk_spectral", profile, "domain_shift", root)
    if frame.empty:
        return frame
    points = frame.assign(acc=100 * frame["acc"].astype(float))
    whole = points[points["shift"] == "none"]
    pairs = points[points["shift"] != "none"].merge(
        whole, on=["dataset", "method", "seed"], suffixes=("", "_whole")
    )
    pairs["loss"] = pairs["acc_whole"] - pairs["acc"]
    losses = pairs.pivot_table("loss", ["dataset", "shift"], "method", sort=False)
    losses.insert(0, "n", pairs.groupby(["dataset", "shift"])["seed"].nunique())
    return losses.reset_index().rename_axis(columns=None)
