"""What recorded results say of alignment: results by experiment, and tests of arms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mvlib.check import check_choice
from mvlib.records.statistics import paired_comparisons
from mvlib.records.tables import results_frame

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("split", "ratio", "draws", "n_steps")


def alignment_results(
    experiment: str, profile: str = "reduced", root: Path | None = None
) -> pd.DataFrame:
    """Return recorded results of the Set-CLIP chapter.

    Parameters
    ----------
    experiment : str
        Its name in the plan.
    profile : {"quick", "reduced", "full"}, default="reduced"
        Which size.
    root : Path, optional
        The project; the one that the caller works in by default.

    Returns
    -------
    DataFrame
        As `results_frame` gives it, with the columns split, ratio, draws and n_steps also
        where nothing is recorded yet.
    """
    frame = results_frame("set_clip", profile, experiment, root)
    return frame.reindex(columns=list(dict.fromkeys([*frame.columns, *_COLUMNS])))


def compare_recall(
    frame: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    by: Sequence[str],
    measure: str = "r10",
) -> pd.DataFrame:
    """Compare a measure, mean of both directions, of arms that were recorded.

    Parameters
    ----------
    frame : DataFrame
        Results with the measures of `alignment_measures` and a column `arm`.
    pairs : sequence of (str, str)
        Names of arms. A pair of which one was not recorded is left out.
    by : sequence of str
        What a cell is, see `paired_comparisons`. Without "dataset", each arm is of one set.
    measure : {"r10", "class_r1"}, default="r10"
        What is compared. Results without it are left out.

    Returns
    -------
    DataFrame
        A, B, n, ahead, difference, ci_low, ci_high (points), p_holm and the verdict; empty
        without a pair.

    Raises
    ------
    ValueError
        If the measure is unknown, or `paired_comparisons` cannot test.
    """
    import pandas as pd

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
