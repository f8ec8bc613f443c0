"""What linear maps learnt from pairs reach where Set-CLIP aligns two modalities."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import eigh

from mvlib.check import check_number
from mvlib.methods.alignment_frame import AlignmentMethod
from mvlib.ops.rows import unit_rows


class LinearAlignment(AlignmentMethod):
    """Centre each modality, then one matrix each: `centers_` and `maps_`."""

    def _embed(self, X: np.ndarray, modality: int) -> np.ndarray:
        centred = X.astype(np.float64) - self.centers_[modality]
        return unit_rows(centred @ self.maps_[modality]).astype(np.float32)


class CCA(LinearAlignment):
    """Canonical correlation analysis of the pairs, with a ridge.

    Parameters
    ----------
    n_clusters : int, optional
        Number of clusters in the shared space.
    n_components : int, optional
        Canonical directions; by default 256, or what the pairs and the widths allow.
    regularization : float, default=0.1
        Ridge on each covariance, as a multiple of its mean variance. With more features than
        pairs every direction can be correlated perfectly: without a ridge nothing is learnt.
    random_state : int, optional
        Seed of k-means.

    Attributes
    ----------
    correlations_ : ndarray of shape (n_components,)
        Of the canonical directions on the pairs, from the largest.
    embedding_, embeddings_, labels_, labels_by_modality_
        As in `SetCLIP`. A direction is weighed by its correlation.

    Notes
    -----
    Source: Hotelling 1936; ridge: Vinod 1976; the weights: Gong et al., "A multi-view
    embedding space" (IJCV 2014), section 3.3, with power 1. Rows without a partner are not
    read.
    """

    def __init__(
        self,
        n_clusters: int | None = None,
        *,
        n_components: int | None = None,
        regularization: float = 0.1,
        random_state: int | None = None,
    ):
        self.n_clusters, self.n_components = n_clusters, n_components
        self.regularization, self.random_state = regularization, random_state

    def _check_parameters(self) -> None:
        check_number("regularization", self.regularization, low=0, open_low=True)
        check_components(self.n_components)

    def _fit(self, views: list[np.ndarray], pairs: np.ndarray) -> None:
        _check_known(pairs)
        sides = [view[pairs[:, v]].astype(np.float64) for v, view in enumerate(views)]
        self.centers_ = [side.mean(axis=0) for side in sides]
        sides = [side - center for side, center in zip(sides, self.centers_, strict=True)]
        whitened = [_whitening(side, self.regularization) for side in sides]
        # The product of the pairs first: it is no wider than they are many.
        across = (sides[0] @ whitened[0]).T @ (sides[1] @ whitened[1]) / len(pairs)
        left, correlations, right = np.linalg.svd(across, full_matrices=False)
        n = _components(self.n_components, len(pairs) - 1, *across.shape)
        self.correlations_ = correlations[:n]
        self.maps_ = [
            W @ directions[:, :n] * self.correlations_
            for W, directions in zip(whitened, (left, right.T), strict=True)
        ]


class Procrustes(LinearAlignment):
    """The rotation of one modality onto the other that suits the pairs best.

    Parameters
    ----------
    n_clusters : int, optional
        Number of clusters in the shared space.
    n_components : int, optional
        Principal components, from all rows, that each modality is brought down to, since a
        rotation needs one width; by default 256, or what the rows and widths allow.
    random_state : int, optional
        Seed of k-means.

    Attributes
    ----------
    rotation_ : ndarray of shape (n_components, n_components)
        Orthogonal, onto the first modality's components.
    embedding_, embeddings_, labels_, labels_by_modality_
        As in `SetCLIP`.

    Notes
    -----
    Source: Schoenemann, "A generalized solution of the orthogonal Procrustes problem" (1966).
    """

    def __init__(
        self,
        n_clusters: int | None = None,
        *,
        n_components: int | None = None,
        random_state: int | None = None,
    ):
        self.n_clusters, self.n_components = n_clusters, n_components
        self.random_state = random_state

    def _check_parameters(self) -> None:
        check_components(self.n_components)

    def _fit(self, views: list[np.ndarray], pairs: np.ndarray) -> None:
        _check_known(pairs)
        self.centers_, axes = principal_axes(views, self.n_components)
        parts = [
            unit_rows((view - center) @ axis)[pairs[:, v]]
            for v, (view, center, axis) in enumerate(
                zip(views, self.centers_, axes, strict=True)
            )
        ]
        self.rotation_ = rotation(parts[1].T @ parts[0])
        self.maps_ = [axes[0], axes[1] @ self.rotation_]


def check_components(n_components: Any) -> None:
    """Refuse what is neither None nor a whole number from 1."""
    if n_components is not None:
        check_number("n_components", n_components, low=1, integer=True)


def _check_known(pairs: np.ndarray) -> None:
    if len(pairs) < 2:
        raise ValueError(f"pairs has {len(pairs)} rows: this method needs at least 2 pairs")


def _components(asked: int | None, *limits: int) -> int:
    allowed = min(limits)
    if asked is None:
        return min(256, allowed)
    check_number("n_components", asked, high=allowed)
    return asked


def _whitening(centred: np.ndarray, regularization: float) -> np.ndarray:
    """Return W with W' (C + ridge) W = I, over the directions that the rows span."""
    n, d = centred.shape
    covariance = centred.T @ centred / n
    ridge = regularization * (np.trace(covariance) / d or 1)
    values, vectors = eigh(covariance)
    # Directions without variance carry no correlation.
    kept = values > values[-1] * max(n, d) * np.finfo(np.float64).eps
    kept[-1] = True
    return vectors[:, kept] / np.sqrt(values[kept] + ridge)


def principal_axes(
    views: list[np.ndarray], n_components: int | None
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the mean and the principal axes of each modality, as many for both.

    Parameters
    ----------
    views : list of ndarray, each (n_samples, n_features_v)
        All rows of the modalities.
    n_components : int, optional
        By default 256, or what the rows and widths allow.

    Returns
    -------
    centers, axes : list of ndarray, each (n_features_v,) and (n_features_v, n_components)

    Raises
    ------
    ValueError
        If a modality has one row, or so many components cannot be had.
    """
    limits = [min(len(view) - 1, view.shape[1]) for view in views]
    if min(limits) < 1:
        raise ValueError("Xs has a modality of one row: expected at least 2")
    n = _components(n_components, *limits)
    centers = [view.mean(axis=0, dtype=np.float64) for view in views]
    axes = []
    for view, center in zip(views, centers, strict=True):
        centred = view - center
        axes.append(np.linalg.svd(centred.T @ centred)[0][:, :n])
    return centers, axes


def rotation(product: np.ndarray) -> np.ndarray:
    """Return the orthogonal matrix R that maximises <R, product>."""
    left, _, right = np.linalg.svd(product)
    return left @ right
