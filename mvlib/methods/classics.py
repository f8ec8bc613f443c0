"""Alignment of two modalities by classics, by linear maps, and by chance.

What CCA and Procrustes learn from pairs, and Gromov-Wasserstein without any, where Set-CLIP
aligns two modalities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import eigh

from mvlib.check import check_number, check_view, optional, real, whole
from mvlib.methods.base import narrowed
from mvlib.methods.modalities import ModalityAlignment
from mvlib.ops.rows import unit_rows


@dataclass(eq=False, repr=False, kw_only=True)
class LinearAlignment(ModalityAlignment):
    """Centre each modality, then one matrix each: `centers_` and `maps_`."""

    n_components: int | None = None

    _bounds = {"n_components": optional(whole())}

    def _rows(self, X: Any, v: int) -> np.ndarray:
        return narrowed(check_view(X, f"Xs[{v}]", np.float64))

    def _embed(self, X: np.ndarray, modality: int) -> np.ndarray:
        centred = X.astype(np.float64) - self.centers_[modality]
        return unit_rows(centred @ self.maps_[modality]).astype(np.float32)


@dataclass(eq=False, repr=False, kw_only=True)
class CCA(LinearAlignment):
    """Canonical correlation analysis of the pairs, with a ridge.

    Parameters
    ----------
    n_components : int, optional
        Canonical directions; by default 256, or what the pairs and the widths allow.
    regularization : float, default=0.1
        Ridge on each covariance, as a multiple of its mean variance. With more features than
        pairs every direction can be correlated perfectly: without a ridge nothing is learnt.

    Attributes
    ----------
    correlations_ : ndarray of shape (n_components,)
        Of the canonical directions on the pairs, from the largest.

    Notes
    -----
    *Use it* as the floor where there are at least two pairs; the scale or an offset of a
    modality changes nothing. *Cost*: eigenvectors of the columns, width cubed, or of the pairs
    where they are fewer, pairs squared * width.

    Source: Hotelling 1936; ridge: Vinod 1976; each direction is weighed by its correlation:
    Gong et al., "A multi-view embedding space" (IJCV 2014), section 3.3, with power 1. Rows
    without a partner are not read.
    """

    regularization: float = 0.1

    _bounds = {"regularization": real(0, open_low=True)}

    def _fit(self, views: list[np.ndarray], pairs: np.ndarray, seed: int) -> None:
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


@dataclass(eq=False, repr=False, kw_only=True)
class Procrustes(LinearAlignment):
    """The rotation of one modality onto the other that suits the pairs best.

    Parameters
    ----------
    n_components : int, optional
        Principal components, from all rows, that each modality is brought down to, since a
        rotation needs one width; by default 256, or what the rows and widths allow.

    Attributes
    ----------
    rotation_ : ndarray of shape (n_components, n_components)
        Orthogonal, onto the first modality's components.

    Notes
    -----
    *Use it* as the floor where there are pairs and the distances inside the modalities agree: a
    rotation keeps them. The scale or an offset of a modality changes nothing. *Cost*: axes of
    the columns, width cubed, or of the rows where they are fewer, n squared * width.

    Source: Schoenemann, "A generalized solution of the orthogonal Procrustes problem" (1966).
    """

    def _fit(self, views: list[np.ndarray], pairs: np.ndarray, seed: int) -> None:
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


@dataclass(eq=False, repr=False, kw_only=True)
class GromovWasserstein(LinearAlignment):
    """Alignment without pairs: couple rows so that distances inside each modality agree.

    The plan couples rows of the two modalities; the rotation that suits the plan best takes
    it to rows that were not coupled.

    Parameters
    ----------
    n_components : int, optional
        As in `Procrustes`.
    max_rows : int, default=500
        Rows drawn of each modality, since an iteration costs their number cubed.
    max_iter : int, default=200
        Bound on the iterations.

    Attributes
    ----------
    plan_ : ndarray of shape (n_drawn_first, n_drawn_second)
        The coupling; its sum is 1.
    rows_ : list of two ndarrays
        Rows that were drawn.
    distance_ : float
        The Gromov-Wasserstein loss that is left.

    Notes
    -----
    *Use it* as the floor where no pair is known; not for a last word, since a mirror image fits
    as well. The scale or an offset of a modality changes nothing. *Cost*: `max_rows` cubed an
    iteration, whatever n is, and the axes of `Procrustes`.

    Source: Memoli 2011, solved by POT's conditional gradient from the uniform plan, on
    cosine distances divided by their mean. The problem is not convex, and a mirror image fits
    as well as the truth. Pairs are not read. *Deviations*: rotating by the plan is ours.
    """

    max_rows: int = 500
    max_iter: int = 200

    _bounds = {"max_rows": whole(2), "max_iter": whole()}

    def _fit(self, views: list[np.ndarray], pairs: np.ndarray, seed: int) -> None:
        import ot

        self.centers_, axes = principal_axes(views, self.n_components)
        rng = np.random.default_rng(seed)
        self.rows_, parts, costs = [], [], []
        for view, center, axis in zip(views, self.centers_, axes, strict=True):
            rows = np.sort(rng.permutation(len(view))[: self.max_rows])
            part = unit_rows((view[rows] - center) @ axis)
            cost = 1 - part @ part.T
            self.rows_.append(rows)
            parts.append(part)
            costs.append(cost / (cost.mean() or 1))
        self.plan_, log = ot.gromov.gromov_wasserstein(
            *costs, loss_fun="square_loss", max_iter=self.max_iter, log=True
        )
        self.distance_ = float(log["gw_dist"])
        if not np.isfinite(self.plan_).all() or not np.isclose(self.plan_.sum(), 1):
            raise FloatingPointError(f"the plan sums to {self.plan_.sum()}: expected 1")
        turn = rotation(parts[1].T @ self.plan_.T @ parts[0])
        self.maps_ = [axes[0], axes[1] @ turn]


@dataclass(eq=False, repr=False, kw_only=True)
class Chance(ModalityAlignment):
    """Random embeddings: what is reached without a look at the rows.

    Parameters
    ----------
    embedding_dim : int
        Width of the embeddings.

    Notes
    -----
    *Use it* to see what a score is worth that no row was read for. *Cost*: n * embedding_dim.
    """

    embedding_dim: int = 256

    _bounds = {"embedding_dim": whole()}

    def _fit(self, views: list[np.ndarray], pairs: np.ndarray, seed: int) -> None:
        self._seed_ = seed

    def _embed(self, X: np.ndarray, modality: int) -> np.ndarray:
        rng = np.random.default_rng([self._seed_, modality])
        drawn = rng.normal(size=(len(X), self.embedding_dim))
        return unit_rows(drawn).astype(np.float32)


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
    if d > n:
        # The same from the rows: a covariance of many columns would be too large.
        _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
        values, vectors = lengths[::-1] ** 2 / n, axes[::-1].T
    else:
        values, vectors = eigh(centred.T @ centred / n)
    ridge = regularization * (values.sum() / d or 1)
    # Directions without variance carry no correlation.
    kept = values > values[-1] * max(n, d) * np.finfo(np.float64).eps
    kept[-1] = True
    return vectors[:, kept] / np.sqrt(values[kept] + ridge)


def principal_axes(
    views: list[np.ndarray], n_components: int | None
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the mean and the principal axes of each modality, as many for both."""
    limits = [min(len(view) - 1, view.shape[1]) for view in views]
    if min(limits) < 1:
        raise ValueError("Xs has a modality of one row: expected at least 2")
    n = _components(n_components, *limits)
    centers = [view.mean(axis=0, dtype=np.float64) for view in views]
    axes = []
    for view, center in zip(views, centers, strict=True):
        centred = view - center
        if centred.shape[1] > len(centred):
            axes.append(np.linalg.svd(centred, full_matrices=False)[2][:n].T)
        else:
            axes.append(np.linalg.svd(centred.T @ centred)[0][:, :n])
    return centers, axes


def rotation(product: np.ndarray) -> np.ndarray:
    """Return the orthogonal matrix R that maximises <R, product>."""
    left, _, right = np.linalg.svd(product)
    return left @ right
