"""Scores of a graph between samples against true classes."""

from __future__ import annotations

import numpy as np
from scipy import sparse


def graph_precision_recall(
    graph: sparse.sparray | sparse.spmatrix | np.ndarray,
    y_rows: np.ndarray,
    y_columns: np.ndarray,
) -> dict[str, float]:
    """Say how many edges join one class, and how many same-class pairs are joined.

    Parameters
    ----------
    graph : array or sparse array of shape (n_rows, n_columns)
        Non-zero entries are edges; their weights are not read.
    y_rows, y_columns : ndarray of shape (n_rows,) and (n_columns,)
        Classes, coded alike.

    Returns
    -------
    dict of str to float
        `precision` (edges within a class over edges), `recall` (edges within a class over
        same-class pairs) and `density` (edges over pairs).

    Raises
    ------
    ValueError
        If the labels' lengths are not the graph's shape, or the graph has no edge.
    """
    edges = sparse.coo_array(graph)
    y_rows, y_columns = np.asarray(y_rows), np.asarray(y_columns)
    if edges.shape != (len(y_rows), len(y_columns)):
        raise ValueError(
            f"graph has shape {edges.shape}: expected ({len(y_rows)}, {len(y_columns)}), "
            "the lengths of y_rows and y_columns"
        )
    if edges.nnz == 0:
        raise ValueError("graph has no edge: expected at least one")
    row, column = edges.coords
    within = int((y_rows[row] == y_columns[column]).sum())
    classes = np.union1d(y_rows, y_columns)
    possible = sum(int((y_rows == c).sum()) * int((y_columns == c).sum()) for c in classes)
    return {
        "precision": within / edges.nnz,
        "recall": within / possible if possible else 0.0,
        "density": edges.nnz / (len(y_rows) * len(y_columns)),
    }
