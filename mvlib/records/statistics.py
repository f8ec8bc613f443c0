"""What recorded results allow one to say: how far methods are apart, and what spreads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mvlib.check import check_choice, check_number
from mvlib.records.recorder import METRICS

if TYPE_CHECKING:
    import pandas as pd

# Two results that differ by less, in points, are equal: a float's last bit makes no rank.
_DECIMALS = 9
UNDECIDED = "not told apart"
# Of fewer data sets the smallest p of all flips of signs is above 0.05.
FEWEST_SETS = 6
_CONFIDENCE = 0.95
# So many flips of signs are tried: all of them up to 16 data sets.
_FLIPS = 2**16


def paired_comparisons(
    frame: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    by: Sequence[str] = ("dataset", "split", "seed"),
    metric: str = "acc",
    alpha: float = 0.05,
    column: str = "method",
) -> pd.DataFrame:
    r"""Say for each pair of methods how far apart they are, and what that is worth.

    A difference is taken in each cell of `by` that both A and B, two names in `column`, have; a
    column that is empty in all rows of a name, such as the split of a floor that ignores it,
    counts for every value. The book's page on limits tells the rule. From six data sets on, p
    is that of all flips of the signs of the sets' means (Fisher, 1935, The Design of
    Experiments, section 21; 65,536 random ones beyond 16 sets). Of fewer, the model is
    :math:`y_{ks} = \mu_k + b_s + e_{ks}` for set and split k, fixed, and seed s, random.
    """
    import pandas as pd

    check_number("alpha", alpha, low=0, high=1, open_low=True)
    table = pd.DataFrame(
        {"A": a, "B": b, **_estimate(cells)}
        for (a, b), cells in _differences(frame, pairs, by, metric, column)
    )
    tested = table["p"].notna()
    table["p_holm"] = np.nan
    if tested.any():
        table.loc[tested, "p_holm"] = _holm(table.loc[tested, "p"].to_numpy())
    rows = table.to_dict("records")
    verdicts = [_verdict(row, alpha, int(tested.sum())) for row in rows]
    return table.drop(columns="seeds").join(pd.DataFrame(verdicts))


def _holm(p: np.ndarray) -> np.ndarray:
    # The function of statsmodels collects garbage at each call: seconds of a book.
    order = np.argsort(p)
    steps = p[order] * np.arange(len(p), 0, -1)
    return np.minimum(np.maximum.accumulate(steps), 1)[np.argsort(order)]


def differences_by_set(
    frame: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    by: Sequence[str] = ("dataset", "split", "seed"),
    metric: str = "acc",
    column: str = "method",
) -> pd.DataFrame:
    """Return each pair's "-16.6 (0 of 3)" by data set: points, and the cells with A ahead."""
    import pandas as pd

    _check_columns(frame, ("dataset",))
    rows = []
    for (a, b), cells in _differences(frame, pairs, by, metric, column):
        row = {"A": a, "B": b}
        for dataset, some in cells.groupby("dataset", sort=False)["difference"]:
            ahead = f"{(some > 0).sum()} of {len(some)}"
            row[dataset] = f"{some.mean():+.1f} ({ahead})"
        rows.append(row)
    return pd.DataFrame(rows).fillna("")


def variance_shares(frame: pd.DataFrame, metric: str = "acc") -> pd.DataFrame:
    r"""Return how much of the spread of results comes from seeds, and how much from splits.

    The model has two crossed random effects, :math:`y_{ij} = \mu + a_i + b_j + e_{ij}` for
    split i and seed j, estimated by the analysis of variance (Searle, Casella and McCulloch,
    1992, Variance Components, chapter 4): seed_sd is :math:`\sqrt{\sigma_b^2 + \sigma_e^2}`,
    split_sd :math:`\hat\sigma_a`, clipped at 0, and split_share its part of the variance.
    """
    import pandas as pd

    _check_columns(frame, ("dataset", "method", "split", "seed"))
    _check_metric(frame, metric)
    by = [name for name in ("dataset", "aligned_ratio", "method", "rule") if name in frame]
    rows = []
    for group, cells in frame.groupby(by, sort=False, dropna=False):
        known = dict(zip(by, group, strict=True))
        _check_cells(cells, ["split", "seed"], metric, f" of {_name_cell(known)}")
        grid = cells.pivot(index="split", columns="seed", values=metric)
        if min(grid.shape) < 2 or grid.isna().to_numpy().any():
            raise ValueError(
                f"frame has {len(cells)} results of {_name_cell(known)}, on {grid.shape[0]} "
                f"splits and {grid.shape[1]} seeds: expected at least 2 of each, every seed "
                "on every split"
            )
        rows.append(known | _components(100 * grid.to_numpy(dtype=float)))
    return pd.DataFrame(rows)


def mean_scores(frame: pd.DataFrame, metric: str = "acc") -> pd.DataFrame:
    """Return the means over seeds and splits in points, a row a data set, a column a method."""
    _check_columns(frame, ("dataset", "method"))
    _check_metric(frame, metric)
    keys = [name for name in ("dataset", "method", "split", "seed") if name in frame]
    _check_cells(frame, keys, metric)
    points = 100 * frame[metric].astype(float)
    means = points.groupby([frame["dataset"], frame["method"]]).mean().round(_DECIMALS)
    table = means.unstack()
    table = table.reindex(index=frame["dataset"].unique(), columns=frame["method"].unique())
    missing = np.argwhere(table.isna())
    if len(missing):
        row, column = missing[0]
        raise ValueError(
            f"frame has no {metric} of {table.columns[column]!r} on {table.index[row]!r}: "
            "expected every method on every data set"
        )
    return table


def rank_table(frame: pd.DataFrame, metric: str = "acc") -> pd.DataFrame:
    """Return the rank of every method on every data set, by its mean over seeds."""
    scores = mean_scores(frame, metric)
    ranks = scores.rank(axis="columns", ascending=False).T
    ranks.insert(0, "mean_rank", ranks.mean(axis="columns"))
    table = ranks.sort_values("mean_rank", kind="stable").reset_index()
    return table.rename_axis(columns=None)


def _differences(
    frame: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    by: Sequence[str],
    metric: str,
    column: str,
) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """Yield each pair, and A minus B in points in the cells that both have."""
    check_choice("column", column, frame.columns)
    _check_metric(frame, metric)
    keys = [name for name in by if name in frame and name != column]
    if not keys:
        raise ValueError(
            f"by={list(by)!r} has no column of the frame: expected some of "
            f"{', '.join(frame.columns)}"
        )
    for pair in _check_pairs(pairs, frame[column].dropna().unique()):
        sides = []
        for name, side in zip(pair, "AB", strict=True):
            rows = frame[frame[column] == name]
            own = [key for key in keys if rows[key].notna().any()]
            _check_cells(rows, own, metric, f" of {column} {name!r}")
            sides.append(rows[own].assign(**{side: 100 * rows[metric].astype(float)}))
        known = [set(side.columns) & set(keys) for side in sides]
        shared = [key for key in keys if key in known[0] & known[1]]
        cells = sides[0].iloc[:0]
        if set(shared) in known:
            cells = sides[0].merge(sides[1], **({"on": shared} if shared else {"how": "cross"}))
        if cells.empty:
            raise ValueError(
                f"pairs={pair!r} have no cell in common: expected both with some of the same "
                f"{', '.join(keys)}"
            )
        difference = (cells["A"] - cells["B"]).round(_DECIMALS)
        yield pair, cells.drop(columns=["A", "B"]).assign(difference=difference)


def _estimate(cells: pd.DataFrame) -> dict[str, Any]:
    """Return the columns that a pair's differences give alone, and how many seeds it has."""
    from scipy import stats

    if "dataset" not in cells:
        cells = cells.assign(dataset="")
    means = cells.groupby("dataset", sort=False)["difference"].mean()
    few, half, p = len(means) < FEWEST_SETS, np.nan, np.nan
    units = _seed_means(cells) if few else means.to_numpy()
    if len(units) > 1:
        half = stats.t.ppf((1 + _CONFIDENCE) / 2, len(units) - 1) * stats.sem(units)
        p = _p(units, of_seeds=few)
    return {
        "sets": len(means),
        "n": len(cells),
        "seeds": len(units),
        "sets_ahead": int((means > 0).sum()),
        "ahead": int((cells["difference"] > 0).sum()),
        "difference": means.mean(),
        "ci_low": means.mean() - half,
        "ci_high": means.mean() + half,
        "p": p,
    }


def _seed_means(cells: pd.DataFrame) -> np.ndarray:
    """Return each seed's mean over data sets, of the seeds that every set and split has."""
    if "seed" not in cells:
        return cells.groupby("dataset")["difference"].mean().to_numpy()[:1]
    fixed = [name for name in cells if name not in ("seed", "difference")]
    grid = cells.pivot(index=fixed, columns="seed", values="difference").dropna(axis="columns")
    return grid.groupby("dataset").mean().mean().to_numpy()


def _p(units: np.ndarray, of_seeds: bool) -> float:
    from scipy.stats import permutation_test, ttest_1samp

    if not of_seeds:
        options = {"permutation_type": "samples", "n_resamples": _FLIPS, "rng": 0}
        return float(permutation_test((units,), np.mean, vectorized=True, **options).pvalue)
    # Equal differences have no spread: p is 0, or 1 where they are 0.
    if np.ptp(units) == 0:
        return float(units[0] == 0)
    return float(ttest_1samp(units, 0).pvalue)


def _verdict(row: dict[str, Any], alpha: float, tests: int) -> dict[str, Any]:
    told, few = row["p_holm"] < alpha, row["sets"] < FEWEST_SETS
    if told:
        winner, loser = (row["A"], row["B"]) if row["difference"] > 0 else (row["B"], row["A"])
        word = f"{winner} ahead here" if few else f"{winner} beats {loser}"
        return {"verdict": word, "detail": "", "told": True}
    word, detail = UNDECIDED, ""
    if np.isnan(row["p"]):
        word = f"cannot be decided with n = {row['seeds']}"
        detail = "no two seeds that all sets and splits share"
    elif not few and (smallest := min(1.0, 2.0 ** (1 - row["sets"]) * tests)) >= alpha:
        word = f"cannot be decided with n = {row['sets']}"
        among = f" among {tests} comparisons" if tests > 1 else ""
        detail = f"the smallest p of {row['sets']} data sets{among} is {smallest:.3g}"
    return {"verdict": word, "detail": detail, "told": False}


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


def _check_columns(frame: pd.DataFrame, names: Sequence[str]) -> None:
    for name in names:
        check_choice("frame's column", name, frame.columns)


def _check_metric(frame: pd.DataFrame, metric: str) -> None:
    if not metric.startswith("measure_"):
        check_choice("metric", metric, METRICS)
    _check_columns(frame, (metric,))


def _check_cells(frame: pd.DataFrame, keys: Sequence[str], metric: str, of: str = "") -> None:
    empty = frame[frame[metric].isna()]
    if len(empty):
        where = _name_cell(empty.iloc[0][list(keys)])
        raise ValueError(f"frame has a row{of} without {metric} at {where}: expected a number")
    again = frame[frame.duplicated(list(keys))] if keys else frame.iloc[1:]
    if len(again):
        where = _name_cell(again.iloc[0][list(keys)])
        raise ValueError(
            f"frame has two rows{of} at {where}: expected one a cell; keep one setting and rule"
        )


def _name_cell(known: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in known.items())
