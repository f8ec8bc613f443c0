"""Two labellings against each other: the table that every clustering score is read from."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from mvlib.check import as_labels, coded


def _as_codes(labels: np.ndarray, argument: str) -> np.ndarray:
    labels = as_labels(labels, argument)
    if len(labels) == 0:
        raise ValueError(
            f"{argument} has shape {labels.shape}: expected a vector of at least one label"
        )
    # Sorting a million labels costs more than all the scores; small codes need no sort.
    if labels.dtype.kind in "iu" and labels.min() >= 0 and labels.max() <= max(len(labels), 64):
        return labels
    return coded(labels, argument)


def contingency_table(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Count the samples of each pair of labels.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        Labels of any kind that sorts. Their values do not matter, only which are equal.

    Returns
    -------
    ndarray of shape (n_classes, n_clusters), int64
        Rows and columns in sorted order of the labels; none is empty.

    Raises
    ------
    ValueError
        If they are not vectors of one length, or hold NaN or infinity.
    """
    rows, columns = _as_codes(y_true, "y_true"), _as_codes(y_pred, "y_pred")
    if len(rows) != len(columns):
        raise ValueError(
            f"y_true has {len(rows)} labels and y_pred {len(columns)}: expected as many"
        )
    n_columns = int(columns.max()) + 1
    n_rows = int(rows.max()) + 1
    if n_rows * n_columns > max(4 * len(rows), 1 << 24):
        rows = np.unique(rows, return_inverse=True)[1]
        columns = np.unique(columns, return_inverse=True)[1]
        n_rows, n_columns = int(rows.max()) + 1, int(columns.max()) + 1
    cells = rows.astype(np.int64) * n_columns
    cells += columns
    table = np.bincount(cells, minlength=n_rows * n_columns).reshape(n_rows, n_columns)
    return table[table.any(axis=1)][:, table.any(axis=0)]


def best_matching(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Match classes to clusters one to one so that the most samples agree.

    Parameters
    ----------
    table : ndarray of shape (n_classes, n_clusters)
        As `contingency_table` gives it.

    Returns
    -------
    classes, clusters : ndarray of shape (min(n_classes, n_clusters),), int64
        Row and column numbers of the matched pairs.
    """
    return linear_sum_assignment(table, maximize=True)


def matched_accuracy(table: np.ndarray) -> float:
    """Return the share of samples of a `contingency_table` that agree under `best_matching`."""
    return float(table[best_matching(table)].sum() / table.sum())
