"""What the records of SMART's chapter allow one to say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mvlib.records.statistics import differences_by_set, paired_comparisons
from mvlib.records.tables import results_frame

if TYPE_CHECKING:
    import pandas as pd

# Which experiments compare parts of SMART, and with which of their arms: the paper's choice.
PARTS = {
    "ablation_losses": "all",
    "threshold": "mean-std",
    "biased_alignment": "from all rows",
}
# From what a user gets to what the authors' code keeps, a column each.
STEPS = {
    "last epoch, 1 start": "last, eval, 1",
    "20 starts": "last, eval, 20",
    "central epoch, 20 starts": "central, eval, 20",
    "oracle, 20 starts": "oracle, eval, 20",
    "oracle in training mode, 1 start": "oracle, train, 1",
    "the authors' oracle": "oracle, train, authors",
}
FLOORS = (
    "k-means, view 1",
    "k-means, view 1, unit rows",
    "spectral, view 1, unit rows",
    "k-means, concatenation as given",
    "k-means, concatenation as given, unit rows",
    "spectral, concatenation as given",
    "spectral, concatenation as given, unit rows",
)


def beside_floors(
    aligned_ratio: float = 0.5, profile: str = "reduced", root: Path | None = None
) -> pd.DataFrame:
    """Return SMART's last epoch, from one and twenty starts of k-means, and the floors."""
    import pandas as pd

    choices = epoch_choices(profile, root)
    if choices.empty:
        return choices
    names = {"last, eval, 1": "SMART, 1 start", "last, eval, 20": "SMART, 20 starts"}
    trained = choices.assign(method=choices["method"].map(names))
    floors = results_frame("smart", "reduced", "floors", root)
    frame = pd.concat([trained.dropna(subset=["method"]), floors], ignore_index=True)
    frame = frame[frame["dataset"].isin(trained["dataset"])]
    frame = frame[frame["aligned_ratio"] == aligned_ratio]
    return frame[frame["method"].isin([*names.values(), *FLOORS])].reset_index(drop=True)


def epoch_choices(profile: str = "reduced", root: Path | None = None) -> pd.DataFrame:
    """Return SMART's trainings under every choice of epoch, mode of features and starts."""
    frame = results_frame("smart", profile, "method", root, variants=True)
    if frame.empty:
        return frame
    frame = frame[frame["starts"].notna() & frame["features"].notna()]
    starts = frame["starts"].astype(int).astype(str)
    if "init" in frame:
        starts = starts.mask(frame["init"] == "authors", "authors")
    return frame.assign(method=frame["rule"] + ", " + frame["features"] + ", " + starts)


def oracle_gaps(
    choices: Sequence[str] = ("oracle, train, 1", "last, eval, 1"),
    profile: str = "full",
    root: Path | None = None,
) -> pd.DataFrame:
    """Return how far the oracle epoch stands above the last one, set by set."""
    import pandas as pd

    frame = epoch_choices(profile, root)
    if frame.empty:
        return frame
    frame = frame[frame["method"].isin(choices)]
    rows = []
    for (dataset, ratio), some in frame.groupby(["dataset", "aligned_ratio"], sort=False):
        if not set(choices) <= set(some["method"]):
            continue
        means = 100 * some.groupby("method")["acc"].mean()
        found = paired_comparisons(some, [tuple(choices)], ("split", "seed")).iloc[0]
        rows.append(
            {"data set": dataset, "aligned": f"{ratio:.0%}", "n": found["n"]}
            | {name: means[name] for name in choices}
            | {name: found[name] for name in ("difference", "ci_low", "ci_high")}
        )
    return pd.DataFrame(rows)


def steps_to_the_oracle(profile: str = "full", root: Path | None = None) -> pd.DataFrame:
    """Return what each choice between the last epoch and the authors' oracle gives."""
    import pandas as pd

    choices = epoch_choices(profile, root)
    if choices.empty:
        return choices
    found = [results_frame("smart", profile, "method", root), choices]
    methods = pd.concat(found, ignore_index=True)
    rows = []
    for (dataset, ratio), some in choices.groupby(["dataset", "aligned_ratio"], sort=False):
        here = methods[(methods["dataset"] == dataset) & (methods["aligned_ratio"] == ratio)]
        means = 100 * here.groupby("method")["acc"].mean()
        columns = STEPS | {"k-means of view 1": "k-means, view 1"}
        row = {"data set": dataset, "aligned": f"{ratio:.0%}", "n": some["seed"].nunique()}
        rows.append(row | {title: means.get(name) for title, name in columns.items()})
    # A choice that no record has yet is no column.
    return pd.DataFrame(rows).dropna(axis="columns", how="all")


def part_comparisons(
    experiment: str, profile: str = "reduced", root: Path | None = None
) -> pd.DataFrame:
    """Compare the paper's choice with the other arms of one of `PARTS`."""
    frame = results_frame("smart", profile, experiment, root, variants=True)
    if frame.empty:
        return frame
    frame = frame[frame["acc"].notna() & (frame["starts"].isna() | (frame["starts"] == 20))]
    paper = PARTS[experiment]
    pairs = [(paper, name) for name in frame["method"].unique() if name != paper]
    table = paired_comparisons(frame, pairs)
    return table.merge(differences_by_set(frame, pairs), on=["A", "B"])
