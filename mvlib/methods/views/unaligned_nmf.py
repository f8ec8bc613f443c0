"""Unaligned joint NMF: one factorisation of views whose rows correspond in part.

Source: the authors' code, https://github.com/cgsdfc/unaligned-mvc.matlab (MIT licence), of a
paper in Journal on Communications 43(7), 2022, which was not read. Nothing is trained by
gradient, and any number of views is taken.

Each view is the product of a basis and of the rows' coefficients, which shall be those of the
other views, too. In turn the unaligned rows are matched to those of view 1 by their
coefficients, and all views are factorised anew, near the mean of their coefficients.

Picture
-------
given : two or more views without negative values, some rows known to be partners
learns : a basis and coefficients a view; nothing by gradient
pulls : each view as the product of both; coefficients of all views near their mean
matches : unaligned rows to those of view 1, by their coefficients, in turns
groups : k-means of the mean coefficients

Deviations
----------
The demonstration script calls the main function with four of seven arguments and does not run;
the settings are its. Where the views are chained at the start, bases are drawn anew for each
view: the source was not read so closely. What is divided by is at least 1e-12. Draws are
NumPy's, not MATLAB's. Scores by true labels, which the code logs in every round, are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans

from mvlib.check import real, whole
from mvlib.methods.base import ViewClustering
from mvlib.methods.training import progress

LEAST = 1e-12
START_ROUNDS, START_SWEEPS = 50, 3


def total_loss(
    Xs: Sequence[np.ndarray],
    Us: Sequence[np.ndarray],
    Vs: Sequence[np.ndarray],
    consensus: np.ndarray,
    alpha: float,
) -> float:
    """Compute what is lowered.

    L = sum_v |X_v - U_v V_v^T|^2 + alpha |V_v - V*|^2  (NMF, as coded)
    """
    return sum(
        np.square(X - U @ V.T).sum() + alpha * np.square(V - consensus).sum()
        for X, U, V in zip(Xs, Us, Vs, strict=True)
    )


def updated(
    X: np.ndarray,
    U: np.ndarray,
    V: np.ndarray,
    consensus: np.ndarray,
    alpha: float,
    n_rounds: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Take multiplicative steps for one view, of features by rows; columns of U sum to one.

    V' = V (X^T U + alpha V*) / (V U^T U + alpha V)  (NMF, as coded)
    U' = U (X V + alpha sum(V V*)) / (U V^T V + alpha diag(V^T V) colsum(U))  (NMF, as coded)

    Products and quotients are by entry. After each step the columns of U are brought to sum
    one, and those of V multiplied by what they summed to.
    """
    for _ in range(n_rounds):
        V = V * (X.T @ U + alpha * consensus) / np.maximum(V @ (U.T @ U) + alpha * V, LEAST)
        near, size = alpha * (V * consensus).sum(axis=0), alpha * np.square(V).sum(axis=0)
        U = U * (X @ V + near) / np.maximum(U @ (V.T @ V) + size * U.sum(axis=0), LEAST)
        sums = np.maximum(U.sum(axis=0), LEAST)
        U, V = U / sums, V * sums
    return U, V


def factorised(
    X: np.ndarray,
    V: np.ndarray | None,
    rank: int,
    n_init: int,
    n_rounds: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Factorise one view alone: of some starts of fifty rounds the best goes on.

    All start from `V` where it is given, and draw the rest.
    """
    starts = []
    for _ in range(n_init):
        U = rng.random((len(X), rank))
        start = rng.random((X.shape[1], rank)) if V is None else V
        starts.append(updated(X, U, start, start, 0.0, START_ROUNDS))
    U, V = min(starts, key=lambda found: np.square(X - found[0] @ found[1].T).sum())
    return updated(X, U, V, V, 0.0, n_rounds)


def rematched(
    V_1: np.ndarray, V: np.ndarray, loose: np.ndarray, bandwidth: float
) -> np.ndarray:
    """Return which row of a view belongs to each row of view 1; only `loose` rows are moved.

    max sum_i G_ij(i), G_ij = exp(-|V1_i - V_j|^2 / (2 t^2)), t = 1  (NMF, as coded)
    """
    rows = np.arange(len(V))
    A, B = V_1[loose], V[loose]
    squares = np.square(A).sum(axis=1)[:, None] + np.square(B).sum(axis=1) - 2 * A @ B.T
    G = np.exp(-np.maximum(squares, 0) / (2 * bandwidth**2))
    rows[loose] = loose[linear_sum_assignment(G, maximize=True)[1]]
    return rows


@dataclass(eq=False, repr=False, kw_only=True)
class UnalignedNMF(ViewClustering):
    """Joint non-negative factorisation of views whose rows correspond in part.

    Two or more views without negative values. Aligned rows keep their partners. Rows are named
    after view 1. There is no map for new rows.

    Parameters
    ----------
    n_clusters : int
        Number of clusters, and the rank.
    alpha : float, default=0.01
        How near the views' coefficients are held to their mean.
    bandwidth : float, default=1.0
        t, of the similarity by which rows are matched. Coefficients are much smaller than 1, so
        that all similarities are near 1.
    n_init : int, default=30
        Random starts of each view's first factorisation.
    matching_rounds : int, default=5
        How often rows are matched; the authors' function has 100 where it is not told.
    consensus_rounds : int, default=30
        How often the mean is taken after each matching.
    update_rounds : int, default=200
        Steps of each view after each mean.
    verbose : bool, optional
        Whether a bar shows the matching rounds, in notebooks and logs too. By default it is
        shown on a terminal alone.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each row of view 1: the best of twenty starts of k-means of `embedding_`.
    embedding_ : ndarray of shape (n_samples, n_clusters), float32
        V*, the mean of the views' coefficients.
    matching_ : ndarray of shape (n_samples, n_views), int64
        The row of each view that belongs to each row of view 1.
    history_ : dict of str to ndarray
        `loss`, before each update of all views.

    Notes
    -----
    *Use it* where views have no negative value, and some rows or none are aligned. The scale of
    a view changes nothing. *Cost*: matching_rounds * consensus_rounds * update_rounds steps a
    view, by default 30,000, each n * n_features * n_clusters. *Beside it*: `KMeansView`,
    `KMeansConcatenation`, `SpectralConcatenation` and `AutoencoderHungarian`.

    The authors pose their problem as `data.misalign(..., protocol="classwise")` does.
    """

    alpha: float = 0.01
    bandwidth: float = 1.0
    n_init: int = 30
    matching_rounds: int = 5
    consensus_rounds: int = 30
    update_rounds: int = 200
    verbose: bool | None = None

    _min_views = 2
    _bounds = {
        "alpha": real(0),
        "bandwidth": real(0, open_low=True),
        **dict.fromkeys(
            ("n_init", "matching_rounds", "consensus_rounds", "update_rounds"), whole()
        ),
    }

    def _fit(self, views: list[np.ndarray], aligned: np.ndarray, y: Any, seed: int) -> None:
        Xs = []
        for v, view in enumerate(views):
            if view.min() < 0 or view.max() == 0:
                raise ValueError(
                    f"Xs[{v}] goes from {view.min()} to {view.max()}: expected numbers from 0 "
                    "on, some above it"
                )
            X = view.T.astype(np.float64)
            Xs.append(X / X.sum())
        rng = np.random.default_rng(seed)
        Us, Vs = self._started(Xs, rng)
        loose, losses = np.flatnonzero(~aligned), []
        self.matching_ = np.tile(np.arange(len(aligned))[:, None], len(Xs))
        for _ in progress(self.matching_rounds, "unaligned NMF", self.verbose):
            for v in range(1, len(Xs)):
                rows = rematched(Vs[0], Vs[v], loose, self.bandwidth)
                Vs[v], Xs[v] = Vs[v][rows], Xs[v][:, rows]
                self.matching_[:, v] = self.matching_[rows, v]
            for _ in range(self.consensus_rounds):
                consensus = np.mean(Vs, axis=0)
                losses.append(total_loss(Xs, Us, Vs, consensus, self.alpha))
                for v, X in enumerate(Xs):
                    steps = consensus, self.alpha, self.update_rounds
                    Us[v], Vs[v] = updated(X, Us[v], Vs[v], *steps)
        self.history_ = {"loss": np.array(losses)}
        self.embedding_ = np.mean(Vs, axis=0).astype(np.float32)
        found = KMeans(self.n_clusters, n_init=20, random_state=seed).fit(np.mean(Vs, axis=0))
        self.labels_ = found.labels_.astype(np.int64)

    def _started(
        self, Xs: Sequence[np.ndarray], rng: np.random.Generator
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Factorise each view from the coefficients of the one before, in three sweeps."""
        V: np.ndarray | None = None
        ways = self.n_clusters, self.n_init, self.update_rounds, rng
        for _ in range(START_SWEEPS):
            Us, Vs = [], []
            for X in Xs:
                U, V = factorised(X, V, *ways)
                Us.append(U)
                Vs.append(V)
        return Us, Vs
