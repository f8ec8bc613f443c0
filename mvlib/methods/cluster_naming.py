"""Names for clusters: the words on which their images put their weight."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mvlib.check import check_choice, check_number

ORDERS = ("specific", "typical")


def word_scores(mass: np.ndarray, order: str = "specific") -> np.ndarray:
    """Return how well each word names each cluster.

    With p(j|k) the share of cluster k's mass that is on word j, and p(j) the mean of p(j|k)
    over the clusters that have mass:

    - "typical": p(j|k);
    - "specific": p(j|k) log(p(j|k) / p(j)), the word's part in the divergence of the
      cluster from the average cluster. A word that all clusters use equally scores 0, one
      that another cluster uses more scores below 0.

    Parameters
    ----------
    mass : array-like of shape (n_clusters, n_words)
        Weight of each word in each cluster, not negative.
    order : {"specific", "typical"}, default="specific"
        Which.

    Returns
    -------
    ndarray of shape (n_clusters, n_words), float64
        Zero for a cluster without mass.

    Raises
    ------
    ValueError
        If `mass` is not a finite, non-negative matrix, or the order is unknown.

    Notes
    -----
    No paper's: neither TAC nor CAE names its clusters. The average is over clusters, not
    images, so that a large cluster's words are not generic by its size alone.
    """
    check_choice("order", order, ORDERS)
    mass = np.asarray(mass, dtype=np.float64)
    if mass.ndim != 2 or 0 in mass.shape or not np.isfinite(mass).all() or mass.min() < 0:
        raise ValueError(
            f"mass of shape {mass.shape} is not usable: expected a finite, non-negative "
            "matrix (n_clusters, n_words)"
        )
    totals = mass.sum(axis=1, keepdims=True)
    filled = totals[:, 0] > 0
    shares = np.divide(mass, totals, out=np.zeros_like(mass), where=totals > 0)
    if order == "typical" or not filled.any():
        return shares
    average = shares[filled].mean(axis=0)
    ratio = np.divide(shares, average, out=np.ones_like(shares), where=shares > 0)
    return shares * np.log(ratio)


def name_clusters(
    mass: np.ndarray, texts: Sequence[str], *, order: str = "specific", top: int = 5
) -> list[list[tuple[str, float]]]:
    """Return the words that name each cluster, best first.

    Parameters
    ----------
    mass : array-like of shape (n_clusters, n_words)
        Weight of each word in each cluster.
    texts : sequence of str
        The words. Equal ones are taken together.
    order : {"specific", "typical"}, default="specific"
        As in `word_scores`.
    top : int, default=5
        At most so many words a cluster, and none that scores 0 or less.

    Returns
    -------
    list of list of (str, float)
        A list a cluster, of words and their scores; ties go to the word met first. Empty for
        a cluster without mass.

    Raises
    ------
    ValueError
        If the numbers of words differ or an argument is out of range.
    """
    check_number("top", top, low=1, integer=True)
    mass = np.asarray(mass, dtype=np.float64)
    if mass.ndim != 2 or mass.shape[1] != len(texts):
        raise ValueError(
            f"mass has shape {mass.shape} for {len(texts)} texts: expected "
            "(n_clusters, n_words), one text a column"
        )
    numbers: dict[str, int] = {}
    columns = np.array([numbers.setdefault(text, len(numbers)) for text in texts])
    merged = np.zeros((len(mass), len(numbers)))
    np.add.at(merged.T, columns, mass.T)
    scores = word_scores(merged, order)
    unique = list(numbers)
    names = []
    for row in scores:
        best = np.argsort(-row, kind="stable")[:top]
        names.append([(unique[j], float(row[j])) for j in best if row[j] > 0])
    return names
