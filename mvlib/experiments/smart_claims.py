"""What the records of SMART's chapter allow one to say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mvlib.experiments.statistics import paired_comparisons
from mvlib.experiments.tables import results_frame

if TYPE_CHECKING:
    import pandas as pd

FLOORS = (
    "k-means, view 1",
    "k-means, view 2",
    "k-means, concatenation as given",
    "spectral, concatenation as given",
)


def beside_floors(
    aligned_ratio: float = 0.5, profile: str = "reduced", root: Path | None = None
) -> pd.DataFrame:
    """Return SMART's last epoch, from one and twenty starts of k-means, and four floors.

    Parameters
    ----------
    aligned_ratio : float, default=0.5
        Share of rows whose partner is known.
    profile : {"quick", "reduced", "full"}, default="reduced"
        Whose records.
    root : Path, optional
        The project; the one that the caller works in by default.

    Returns
    -------
    DataFrame
        As `results_frame` gives it; `method` is "SMART, 1 start", "SMART, 20 starts" or one
        of `FLOORS`.
    """
    frame = results_frame("smart", profile, "method", root, variants=True)
    frame = frame[frame["aligned_ratio"] == aligned_ratio]
    last = (frame["rule"] == "last") & (frame["features"] == "eval")
    starts = frame["starts"].map({1: "SMART, 1 start", 20: "SMART, 20 starts"})
    frame = frame.assign(method=starts.where(last & starts.notna(), frame["method"]))
    kept = ["SMART, 1 start", "SMART, 20 starts", *FLOORS]
    return frame[frame["method"].isin(kept)].reset_index(drop=True)


def epoch_choices(profile: str = "reduced", root: Path | None = None) -> pd.DataFrame:
    """Return SMART's trainings under every choice of epoch, mode of features and starts.

    Parameters
    ----------
    profile, root
        As for `beside_floors`.

    Returns
    -------
    DataFrame
        As `results_frame` gives it; `method` names the choice, such as "last, eval, 1".
    """
    frame = results_frame("smart", profile, "method", root, variants=True)
    frame = frame[frame["starts"].notna() & frame["features"].notna()]
    starts = frame["starts"].astype(int).astype(str)
    return frame.assign(method=frame["rule"] + ", " + frame["features"] + ", " + starts)


def oracle_gaps(
    choices: Sequence[str] = ("oracle, train, 1", "last, eval, 1"),
    profile: str = "full",
    root: Path | None = None,
) -> pd.DataFrame:
    """Return how far the oracle epoch stands above the last one, set by set.

    It cannot stand below the last epoch of the same features: this is a size, and no test.

    Parameters
    ----------
    choices : sequence of str
        Two names that `epoch_choices` gives.
    profile, root
        As for `beside_floors`; by default full settings.

    Returns
    -------
    DataFrame
        data set, aligned rows, n (seeds), the two means, the difference, ci_low and ci_high
        (95 % Student's t interval over seeds, on this set); in points.
    """
    import pandas as pd

    frame = epoch_choices(profile, root)
    frame = frame[frame["method"].isin(choices)]
    rows = []
    for (dataset, ratio), some in frame.groupby(["dataset", "aligned_ratio"], sort=False):
        means = 100 * some.groupby("method")["acc"].mean()
        found = paired_comparisons(some, [tuple(choices)], ("split", "seed")).iloc[0]
        rows.append(
            {"data set": dataset, "aligned": f"{ratio:.0%}", "n": found["n"]}
            | {name: means[name] for name in choices}
            | {name: found[name] for name in ("difference", "ci_low", "ci_high")}
        )
    return pd.DataFrame(rows)
