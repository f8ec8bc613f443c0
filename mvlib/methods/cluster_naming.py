"""Names for clusters: the words on which their images put weight, or to which they are near."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from mvlib.check import check_choice, check_labels, check_number, check_views
from mvlib.ops.rows import unit_rows

ORDERS = ("specific", "typical")
# Of the images of a group against the others, by their cosine to the word: below, no name.
TELLS_APART = 0.75
_PEOPLE_AMONG = 10


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


@dataclass(frozen=True)
class GroupName:
    """What a group of images is called.

    Attributes
    ----------
    title : str
        No two groups share one. "unsure (group 3)" where no word tells the group apart.
    nouns, captions : tuple of str
        The nearest words, best first; and captions, where a method reads some.
    separation : float
        How often an image of the group is nearer to the first noun than an image of another
        group, from 0 to 1; 0.5 is chance. NaN where there is one group.
    """

    title: str
    nouns: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    separation: float = float("nan")


def name_groups(
    features: Any,
    labels: Any,
    words: Any,
    *,
    kinds: Sequence[str] | None = None,
    n_titles: int | None = None,
    top: int = 6,
) -> list[GroupName]:
    """Return a name for each group of images, from words in the space of their features.

    The score of a word for a group is its cosine to the group's mean direction, less its mean
    cosine to all images: some words are near to all of them.

    Parameters
    ----------
    features : array-like of shape (n_samples, n_features)
        Of the images, from an encoder of images and texts.
    labels : array-like of shape (n_samples,)
        Group of each image, from any method, such as `labels_` of an estimator.
    words : TextBank
        Words, and their features by the same encoder.
    kinds : sequence of str, optional
        One a word, as of `mvlib.data.noun_kinds`. Where a word of kind "people" is among the 10
        best of a group, words of kind "animal" cannot name it.
    n_titles : int, optional
        Only the first so many words can be a title; all by default.
    top : int, default=6
        Words a group.

    Returns
    -------
    list of GroupName
        One a label, in their sorted order; the first noun is the title. Groups of one title
        have their number, from 1, behind it.

    Raises
    ------
    ValueError
        If lengths or widths differ, a value is not finite, or a number is out of range.

    Notes
    -----
    *Use it* for the names of any clustering whose images and words lie in one space. It knows
    nothing of an estimator's own `cluster_names_`, which weigh the words that the method read.
    *Not for* a verdict on what a group is: a name is the best of the words at hand.

    No paper's. The rule was chosen on the drawings that ship and on CIFAR-10, among the cosine
    alone, less a quarter, half, three quarters or all of its mean over the groups or over the
    images, and less its mean over the groups by its spread over them: with the shipped nouns
    and the classes' names as words, for half as many groups as classes to five times as many.
    With 1 group there is nothing to subtract, and the cosines decide.
    """
    (X,) = check_views([features], argument="features")
    labels = check_labels(labels, len(X))
    if words.features.shape[1] != X.shape[1]:
        raise ValueError(
            f"words have width {words.features.shape[1]}: expected {X.shape[1]}, as features"
        )
    check_number("top", top, low=1, integer=True)
    texts = words.texts
    n_titles = len(texts) if n_titles is None else min(n_titles, len(texts))
    check_number("n_titles", n_titles, low=1, integer=True)
    if kinds is not None and len(kinds) != len(texts):
        raise ValueError(f"kinds has {len(kinds)} entries for {len(texts)} words")
    X, W = unit_rows(X), unit_rows(np.asarray(words.features, dtype=np.float32))
    groups = range(int(labels.max()) + 1)
    centres = np.stack([X[labels == group].mean(axis=0) for group in groups])
    scores = unit_rows(centres) @ W.T
    if len(groups) > 1:
        scores -= W @ X.mean(axis=0)
    if kinds is not None:
        people, animal = (np.array([kind == k for kind in kinds]) for k in ("people", "animal"))
        best = np.argsort(-scores, axis=1, kind="stable")[:, :_PEOPLE_AMONG]
        scores[np.ix_(people[best].any(axis=1), animal)] = -np.inf
    named = []
    for group, row in enumerate(scores):
        title = int(np.argmax(row[:n_titles]))
        near = np.argsort(-row, kind="stable")[:top]
        shown = list(dict.fromkeys([title, *near[np.isfinite(row[near])].tolist()]))[:top]
        separation = _separation(X @ W[title], labels == group)
        sure = len(groups) == 1 or separation >= TELLS_APART
        named.append(
            GroupName(
                texts[title] if sure else f"unsure (group {group + 1})",
                tuple(dict.fromkeys(texts[j] for j in shown)),
                separation=separation,
            )
        )
    times = Counter(name.title for name in named)
    return [
        name
        if times[name.title] == 1
        else GroupName(f"{name.title} (group {number})", name.nouns, (), name.separation)
        for number, name in enumerate(named, 1)
    ]


def _separation(nearness: np.ndarray, own: np.ndarray) -> float:
    """Return the share of pairs, one inside and one outside, whose inner one is nearer."""
    n_own, n_other = int(own.sum()), int((~own).sum())
    if not n_own or not n_other:
        return float("nan")
    ranks = rankdata(nearness)[own].sum()
    return float((ranks - n_own * (n_own + 1) / 2) / (n_own * n_other))
