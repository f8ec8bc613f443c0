"""How sure a grouping is of each image, and where the images lie on a map."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from mvlib.check import check_labels, check_views
from mvlib.ops.rows import unit_rows

MAX_POINTS = 2000
_TSNE_FROM = 30
_EQUAL = 1e-6


def group_confidence(X: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how much nearer each point is to its group than to the next one.

    It is the simplified silhouette with the cosine distance: a quotient, so that loose and
    tight sets of features give comparable numbers. It is no probability.
    """
    (X,) = check_views([X], dtype=np.float64, argument="X")
    labels = check_labels(labels, len(X), argument="labels")
    n_groups = int(labels.max()) + 1
    if n_groups < 2:
        return np.zeros(len(X)), np.full(len(X), -1)
    unit = unit_rows(X)
    centres = unit_rows(
        np.stack([unit[labels == group].mean(axis=0) for group in range(n_groups)])
    )
    distances = np.clip(1 - unit @ centres.T, 0, 2)
    rows = np.arange(len(X))
    own = distances[rows, labels]
    distances[rows, labels] = np.inf
    next_group = distances.argmin(axis=1)
    nearest = distances[rows, next_group]
    ratio = np.divide(own, nearest, out=np.ones_like(own), where=nearest > 0)
    return np.clip(1 - ratio, 0, 1), next_group.astype(np.int64)


def map_positions(
    X: np.ndarray, *, max_points: int = MAX_POINTS, random_state: int | None = None
) -> tuple[np.ndarray, np.ndarray, str]:
    """Return a place on a plane for each point, or for a sample of them."""
    indices = np.arange(len(X))
    if len(X) > max_points:
        generator = np.random.default_rng(random_state)
        indices = np.sort(generator.choice(len(X), max_points, replace=False))
    points = unit_rows(np.asarray(X, dtype=np.float64)[indices])
    plane, method = _plane(points, random_state)
    # The orientation of either method's axes means nothing.
    if np.ptp(plane[:, 1]) > np.ptp(plane[:, 0]):
        plane = plane[:, ::-1]
    middle = (plane.min(axis=0) + plane.max(axis=0)) / 2
    return (plane - middle) / (np.ptp(plane[:, 0]) or 1.0) + [0.5, 0], indices, method


def _plane(points: np.ndarray, random_state: int | None) -> tuple[np.ndarray, str]:
    plane, method = np.zeros((len(points), 2)), "the first two principal components"
    # Copies of one image have no direction to spread in.
    if np.ptp(points, axis=0).max() < _EQUAL:
        return plane, method
    n_components = min(50 if len(points) >= _TSNE_FROM else 2, *points.shape)
    reduced = PCA(n_components, svd_solver="full").fit_transform(points)
    if len(points) < _TSNE_FROM or n_components < 2:
        plane[:, :n_components] = reduced
        return plane, method
    perplexity = min(30.0, (len(points) - 1) / 3)
    # One thread: the same map each time, and no waiting for busy cores at every step.
    with threadpool_limits(1):
        plane = TSNE(perplexity=perplexity, random_state=random_state).fit_transform(reduced)
    return plane, f"PCA to {n_components} dimensions, then t-SNE"
