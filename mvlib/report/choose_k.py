"""A suggestion of how many groups there are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import silhouette_score

from mvlib.check import check_number, check_views
from mvlib.ops import cosine_kmeans, unit_rows

HIGHEST = 20
SUBSAMPLE = 2000
_STARTS = 4


@dataclass(frozen=True)
class NumberOfClusters:
    """What `choose_n_clusters` found."""

    n_clusters: int
    candidates: tuple[int, ...]
    silhouettes: tuple[float, ...]
    n_samples: int


def highest_candidate(n_samples: int) -> int:
    """Return the largest number of clusters to try: 20, or a third of the points."""
    if n_samples < 6:
        raise ValueError(
            f"n_clusters='auto' has {n_samples} images to choose by: expected at least 6; "
            "give the number of groups instead"
        )
    return min(HIGHEST, n_samples // 3)


def choose_n_clusters(
    X: np.ndarray, *, subsample: int = SUBSAMPLE, random_state: int | None = None
) -> NumberOfClusters:
    """Return the number of clusters with the largest mean silhouette.

    For each k from 2 to min(20, n_samples / 3): spherical k-means, the best of four starts,
    and the mean of (b - a) / max(a, b) over the points, where a is the mean cosine distance
    to the others of the own cluster and b that to the nearest other cluster (Rousseeuw,
    1987). It favours few, well separated clusters, and is a suggestion.
    """
    (X,) = check_views([X], argument="X")
    check_number("subsample", subsample, low=6, integer=True)
    if len(X) > subsample:
        generator = np.random.default_rng(random_state)
        X = X[np.sort(generator.choice(len(X), subsample, replace=False))]
    unit = unit_rows(X)
    distances = np.clip(1 - unit @ unit.T, 0, 2)
    np.fill_diagonal(distances, 0)
    candidates = range(2, highest_candidate(len(X)) + 1)
    silhouettes = []
    for k in candidates:
        labels = cosine_kmeans(X, k, n_init=_STARTS, random_state=random_state).labels
        found = len(np.unique(labels))
        # Copies of fewer than k images: the silhouette is not defined for them.
        defined = 2 <= found < len(X)
        score = silhouette_score(distances, labels, metric="precomputed") if defined else -1.0
        silhouettes.append(float(score))
    best = candidates[int(np.argmax(silhouettes))]
    return NumberOfClusters(best, tuple(candidates), tuple(silhouettes), len(X))
