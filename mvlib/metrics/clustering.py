"""Clusterings against true classes and against each other, and graphs against classes.

ACC, NMI, ARI and purity all come from one contingency table. They agree with scikit-learn's to
rounding and read the labels once, which at a million samples and a thousand clusters makes
them several times quicker.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from mvlib.check import as_labels, check_labels
from mvlib.ops.contingency import contingency_table, matched_accuracy


def clustering_scores(y_true: np.ndarray, y_pred: np.ndarray) -> dict[str, float]:
    """Return all four scores of a clustering.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        True classes and clusters.

    Returns
    -------
    dict of str to float
        `acc` (best one-to-one matching of clusters to classes), `nmi` (arithmetic mean of
        the entropies), `ari` and `purity`. All are at most 1; chance is 0 for `ari` alone.

    Raises
    ------
    ValueError
        If the labels are not vectors of one length, or hold NaN or infinity.
    """
    table = contingency_table(y_true, y_pred)
    return {
        "acc": matched_accuracy(table),
        "nmi": _nmi(table),
        "ari": _ari(table),
        "purity": _purity(table),
    }


def accuracy(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Return the share of samples whose cluster is matched, at best one to one, to their class.

    Parameters and errors as for `clustering_scores`.
    """
    return matched_accuracy(contingency_table(y_true, y_pred))


def normalized_mutual_information(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Return the mutual information over the mean of both entropies; 1 for two single groups.

    Parameters and errors as for `clustering_scores`.
    """
    return _nmi(contingency_table(y_true, y_pred))


def adjusted_rand_index(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Return the Rand index, corrected so that chance scores 0.

    Parameters and errors as for `clustering_scores`.
    """
    return _ari(contingency_table(y_true, y_pred))


def purity(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Return the share of samples in the largest class of their cluster.

    More clusters score higher by itself. Parameters and errors as for `clustering_scores`.
    """
    return _purity(contingency_table(y_true, y_pred))


def _entropy(counts: np.ndarray, total: int) -> float:
    share = counts[counts > 0] / total
    return float(-(share * np.log(share)).sum())


def _nmi(table: np.ndarray) -> float:
    if table.shape in ((1, 1), (0, 0)):
        return 1.0
    total = int(table.sum())
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    row_entropy, column_entropy = _entropy(rows, total), _entropy(columns, total)
    mutual = row_entropy + column_entropy - _entropy(table, total)
    return float(np.clip(2 * mutual / (row_entropy + column_entropy), 0, 1))


def _ari(table: np.ndarray) -> float:
    # Python integers: the products of pair counts outgrow int64 at a few million samples.
    def pairs(counts: np.ndarray) -> int:
        return sum(int(c) * (int(c) - 1) // 2 for c in counts[counts > 1])

    together = pairs(table)
    in_class, in_cluster = pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    total = int(table.sum())
    everything = total * (total - 1) // 2
    if in_class == in_cluster == together:
        return 1.0
    expected = in_class * in_cluster / everything
    return float((together - expected) / ((in_class + in_cluster) / 2 - expected))


def _purity(table: np.ndarray) -> float:
    return float(table.max(axis=0).sum() / table.sum())


def pairwise_agreement(labelings: Sequence[np.ndarray]) -> np.ndarray:
    """Return the adjusted Rand index between every two of several clusterings.

    Parameters
    ----------
    labelings : sequence of array-like, each (n_samples,), integer
        Clusterings of the same samples; none, or different lengths, are a ValueError.

    Returns
    -------
    ndarray of shape (n_labelings, n_labelings), float64
        1 on the diagonal.
    """
    if len(labelings) == 0:
        raise ValueError("labelings is empty: expected at least one clustering")
    n = len(labelings[0])
    codes = [check_labels(labels, n, argument="labelings") for labels in labelings]
    # All contingency tables at once: one product of stacked indicator matrices.
    one_hot = [np.eye(code.max() + 1, dtype=np.float32)[code] for code in codes]
    starts = np.cumsum([0, *(block.shape[1] for block in one_hot[:-1])])
    stacked = np.concatenate(one_hot, axis=1)
    counts = (stacked.T @ stacked).astype(np.float64)
    pairs = counts * (counts - 1) / 2
    together = np.add.reduceat(np.add.reduceat(pairs, starts, axis=0), starts, axis=1)
    alone = together.diagonal()
    expected = np.outer(alone, alone) / max(n * (n - 1) / 2, 1)
    most = (alone[:, None] + alone[None, :]) / 2
    gap = most - expected
    return np.where(gap == 0, 1.0, (together - expected) / np.where(gap == 0, 1.0, gap))


def central_labeling(labelings: Sequence[np.ndarray]) -> int:
    """Return the place of the clustering of the highest mean agreement, the first of equals.

    `labelings` as for `pairwise_agreement`, such as those of many epochs.
    """
    return int(pairwise_agreement(labelings).mean(axis=1).argmax())


def graph_precision_recall(
    graph: sparse.sparray | sparse.spmatrix | np.ndarray,
    y_rows: np.ndarray,
    y_columns: np.ndarray,
) -> dict[str, float]:
    """Say how many edges join one class, and how many same-class pairs are joined.

    Parameters
    ----------
    graph : array or sparse array of shape (n_rows, n_columns)
        Non-zero entries are edges; their weights are not read. Without an edge, a ValueError.
    y_rows, y_columns : ndarray of shape (n_rows,) and (n_columns,)
        Classes, coded alike; other lengths are a ValueError.

    Returns
    -------
    dict of str to float
        `precision` (edges within a class over edges), `recall` (edges within a class over
        same-class pairs) and `density` (edges over pairs).
    """
    edges = sparse.coo_array(graph)
    y_rows, y_columns = as_labels(y_rows, "y_rows"), as_labels(y_columns, "y_columns")
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
