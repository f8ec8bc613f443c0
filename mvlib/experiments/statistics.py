"""What recorded results allow one to say: which method beats which, and what spreads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mvlib._validation import check_choice, check_number
from mvlib.experiments.cells import (
    DECIMALS,
    check_cells,
    check_columns,
    check_metric,
    mean_scores,
    name_cell,
)
from mvlib.experiments.verdicts import CONFIDENCE

if TYPE_CHECKING:
    import pandas as pd

UNDECIDED = "not told apart"
# Up to here scipy tries all 2^n signs of tied ranks, whose distribution no formula gives.
_MOST_FLIPPED = 16


def paired_comparisons(
    frame: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    by: Sequence[str] = ("dataset", "split", "seed"),
    metric: str = "acc",
    alpha: float = 0.05,
    column: str = "method",
) -> pd.DataFrame:
    r"""Test for each pair of methods whether one beats the other, cell by cell.

    The test is Wilcoxon's signed-rank test, two-sided; cells without a difference do not
    count. The effect is the matched-pairs rank-biserial correlation
    :math:`(R_+ - R_-) / (R_+ + R_-)` [1]_, where :math:`R_+` sums the ranks of the cells in
    which A is ahead. Over the rows of the table, p is corrected by Holm's method.

    Parameters
    ----------
    frame : DataFrame
        As `results_frame` or `Recorder.frame` gives it, of one setting and rule.
    pairs : sequence of (str, str)
        Names A and B in `column`.
    by : sequence of str
        What a cell is; columns that the frame lacks do not count. Where a column is empty in
        all rows of a name, such as the split of a floor that ignores it, its rows count for
        every value of that column.
    metric : {"acc", "nmi", "ari", "purity"}, default="acc"
        Or a column of measures that are shares, such as "measure_r10".
    alpha : float, default=0.05
        In (0, 1].
    column : str, default="method"
        The column of text that A and B are in.

    Returns
    -------
    DataFrame
        A row a pair. Columns: A, B, n (cells that both have), difference (mean of A minus B),
        sd (of the differences), ci_low, ci_high (95 % Student's t interval of their mean),
        these four in points, ahead (cells in which A is ahead), effect (-1 to 1, 0 without
        a difference), p, p_holm, verdict, detail. The verdict is "A beats B" or "B beats A",
        with their names, where p_holm < alpha, by the sign of the effect; else "not told
        apart". sd and the interval are missing where n is 1.

    Raises
    ------
    ValueError
        If a name, column or metric is unknown, a name has two rows in a cell or a value is
        missing, or a pair has no cell in common.

    Notes
    -----
    Of n cells that differ, the smallest p is :math:`2^{1 - n}`: below 0.05 from n = 6 on,
    where it is 0.03125. `detail` says where there are too few for any verdict, before Holm's
    correction, and where the mean points away from the verdict. p is exact up to 50 cells
    that differ, with tied ranks up to 16; beyond, it is scipy's normal approximation.

    The test speaks for the cells that it is given. Seeds and splits of one data set are no
    independent data sets: with cells of one data set, a verdict holds for that set alone, and
    many seeds on few sets say little about other sets.

    References
    ----------
    .. [1] Kerby, D. S. (2014). The simple difference formula. Comprehensive Psychology, 3.
    """
    import pandas as pd
    from statsmodels.stats.multitest import multipletests

    check_choice("column", column, frame.columns)
    check_metric(frame, metric)
    check_number("alpha", alpha, low=0, high=1, open_low=True)
    pairs = _check_pairs(pairs, frame[column].dropna().unique())
    keys = [name for name in by if name in frame and name != column]
    if not keys:
        raise ValueError(
            f"by={list(by)!r} has no column of the frame: expected some of "
            f"{', '.join(frame.columns)}"
        )
    rows = []
    for a, b in pairs:
        differences = _differences(frame, column, (a, b), keys, metric)
        rows.append({"A": a, "B": b, **_signed_rank(differences)})
    corrected = multipletests([row["p"] for row in rows], alpha, method="holm")[1]
    for row, p_holm in zip(rows, corrected, strict=True):
        row["p_holm"] = float(p_holm)
        row |= _verdict(row, alpha)
    return pd.DataFrame(rows).drop(columns="differing")


def variance_shares(frame: pd.DataFrame, metric: str = "acc") -> pd.DataFrame:
    r"""Return how much of the spread of results comes from seeds, and how much from splits.

    Each seed must have run on each split. The model has two crossed random effects,
    :math:`y_{ij} = \mu + a_i + b_j + e_{ij}` for split i of I and seed j of J, estimated by
    the analysis of variance [1]_.

    Parameters
    ----------
    frame : DataFrame
        As `results_frame` gives it, with the columns `split` and `seed`.
    metric : {"acc", "nmi", "ari", "purity"}, default="acc"

    Returns
    -------
    DataFrame
        A row for each data set, aligned ratio, method and rule, as far as the frame has these
        columns; then n_splits, n_seeds, and in points

        - seed_sd: the spread of seeds on one split, the root of the mean over splits of the
          variance within a split. It estimates :math:`\sigma_b^2 + \sigma_e^2`, so that what
          a seed does on one split alone is in it;
        - split_sd: the root of the component of splits, :math:`\hat\sigma_a^2`, which is the
          variance of the I split means less :math:`MS_e / J`, clipped at 0;
        - total_sd: the root of the sum of both, the spread of a run with a new seed on a new
          split;

        and split_share, the splits' part of the total variance, 0 to 1, missing where nothing
        varies.

    Raises
    ------
    ValueError
        If a column is missing, a group has fewer than two splits or two seeds, or a cell has
        no row, more than one, or no value.

    References
    ----------
    .. [1] Searle, S. R., Casella, G., McCulloch, C. E. (1992). Variance Components. Chapter 4.
    """
    import pandas as pd

    check_columns(frame, ("dataset", "method", "split", "seed"))
    check_metric(frame, metric)
    by = [name for name in ("dataset", "aligned_ratio", "method", "rule") if name in frame]
    rows = []
    for group, cells in frame.groupby(by, sort=False, dropna=False):
        known = dict(zip(by, group, strict=True))
        check_cells(cells, ["split", "seed"], metric, f" of {name_cell(known)}")
        grid = cells.pivot(index="split", columns="seed", values=metric)
        if min(grid.shape) < 2 or grid.isna().to_numpy().any():
            raise ValueError(
                f"frame has {len(cells)} results of {name_cell(known)}, on {grid.shape[0]} "
                f"splits and {grid.shape[1]} seeds: expected at least 2 of each, every seed "
                "on every split"
            )
        rows.append(known | _components(100 * grid.to_numpy(dtype=float)))
    return pd.DataFrame(rows)


def rank_table(frame: pd.DataFrame, metric: str = "acc") -> pd.DataFrame:
    """Return the rank of every method on every data set, by its mean over seeds.

    Parameters
    ----------
    frame : DataFrame
        As `results_frame` gives it, of one setting and rule.
    metric : {"acc", "nmi", "ari", "purity"}, default="acc"

    Returns
    -------
    DataFrame
        A row a method, the best first. Columns: method, mean_rank, and for each data set the
        rank there: 1 is best, ties share the mean of their ranks.

    Raises
    ------
    ValueError
        If a method has no result on a data set, or two of one seed and split.
    """
    scores = mean_scores(frame, metric)
    ranks = scores.rank(axis="columns", ascending=False).T
    ranks.insert(0, "mean_rank", ranks.mean(axis="columns"))
    table = ranks.sort_values("mean_rank", kind="stable").reset_index()
    return table.rename_axis(columns=None)


def _differences(
    frame: pd.DataFrame, column: str, pair: tuple[str, str], keys: list[str], metric: str
) -> np.ndarray:
    """Return A minus B in points, in the cells that both have."""
    sides, known = [], []
    for name, side in zip(pair, "AB", strict=True):
        rows = frame[frame[column] == name]
        own = [key for key in keys if rows[key].notna().any()]
        check_cells(rows, own, metric, f" of {column} {name!r}")
        sides.append(rows[own].assign(**{side: 100 * rows[metric].astype(float)}))
        known.append(set(own))
    shared = [key for key in keys if key in known[0] & known[1]]
    cells = sides[0].iloc[:0]
    if known[0] <= known[1] or known[1] <= known[0]:
        cells = sides[0].merge(sides[1], **({"on": shared} if shared else {"how": "cross"}))
    if cells.empty:
        raise ValueError(
            f"pairs={pair!r} have no cell in common: expected both with some of the same "
            f"{', '.join(keys)}"
        )
    return (cells["A"] - cells["B"]).to_numpy().round(DECIMALS)


def _signed_rank(differences: np.ndarray) -> dict[str, Any]:
    """Return the columns that a pair's differences give alone, and how many are not zero."""
    from scipy import stats

    n, mean = len(differences), differences.mean()
    sd = half = np.nan
    if n > 1:
        sd = differences.std(ddof=1)
        half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * sd / np.sqrt(n)
    moved = differences[differences != 0]
    effect, p = 0.0, 1.0
    if len(moved):
        ranks = stats.rankdata(np.abs(moved))
        signed = ranks * np.sign(moved)
        effect = signed.sum() / ranks.sum()
        tied = len(np.unique(ranks)) < len(ranks)
        if tied and len(moved) <= _MOST_FLIPPED:
            flips = {"permutation_type": "samples", "n_resamples": 2**_MOST_FLIPPED}
            p = stats.permutation_test((signed,), np.sum, vectorized=True, **flips).pvalue
        else:
            p = stats.wilcoxon(moved).pvalue
    return {
        "n": n,
        "difference": mean,
        "sd": sd,
        "ci_low": mean - half,
        "ci_high": mean + half,
        "ahead": int((differences > 0).sum()),
        "effect": effect,
        "p": p,
        "differing": len(moved),
    }


def _verdict(row: dict[str, Any], alpha: float) -> dict[str, str]:
    n, differing = row["n"], row["differing"]
    if 2.0 ** (1 - differing) >= alpha:
        few = f"{differing} of {n} pairs differ and" if differing < n else f"{n} pairs"
        few = "1 pair" if n == differing == 1 else few
        return {"verdict": UNDECIDED, "detail": f"{few} cannot reach p < {alpha:g}"}
    if row["p_holm"] >= alpha:
        return {"verdict": UNDECIDED, "detail": ""}
    winner, loser = (row["A"], row["B"]) if row["effect"] > 0 else (row["B"], row["A"])
    agree = row["difference"] * row["effect"] > 0
    detail = "" if agree else "the mean points the other way"
    return {"verdict": f"{winner} beats {loser}", "detail": detail}


def _components(grid: np.ndarray) -> dict[str, Any]:
    """Return the spreads in a grid of splits (rows) by seeds (columns)."""
    n_splits, n_seeds = grid.shape
    splits, seeds = grid.mean(axis=1, keepdims=True), grid.mean(axis=0, keepdims=True)
    rest = ((grid - splits - seeds + grid.mean()) ** 2).sum() / (n_splits - 1) / (n_seeds - 1)
    within = grid.var(axis=1, ddof=1).mean()
    between = max(0.0, splits.var(ddof=1) - rest / n_seeds)
    total = within + between
    return {
        "n_splits": n_splits,
        "n_seeds": n_seeds,
        "seed_sd": np.sqrt(within),
        "split_sd": np.sqrt(between),
        "total_sd": np.sqrt(total),
        "split_share": between / total if total > 0 else np.nan,
    }


def _check_pairs(pairs: Sequence[Any], names: Sequence[str]) -> list[tuple[str, str]]:
    pairs = list(pairs)
    if not pairs:
        raise ValueError("pairs is empty: expected at least one (A, B)")
    for pair in pairs:
        if isinstance(pair, str) or len(pair) != 2:
            raise ValueError(f"pairs holds {pair!r}: expected two names, (A, B)")
        for name in pair:
            check_choice("pairs' name", name, names)
    return [tuple(pair) for pair in pairs]
