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
