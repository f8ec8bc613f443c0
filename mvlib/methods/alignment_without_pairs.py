"""What is reached without a pair, by a classic and by chance, where Set-CLIP has none."""

from __future__ import annotations

import numpy as np

from mvlib.check import check_number
from mvlib.methods.alignment_baselines import (
    LinearAlignment,
    check_components,
    principal_axes,
    rotation,
)
from mvlib.methods.alignment_frame import AlignmentMethod
from mvlib.ops.rows import unit_rows


class GromovWasserstein(LinearAlignment):
    """Alignment without pairs: couple rows so that distances inside each modality agree.

    The plan couples rows of the two modalities; the rotation that suits the plan best takes
    it to rows that were not coupled.

    Parameters
    ----------
    n_clusters : int, optional
        Number of clusters in the shared space.
    n_components : int, optional
        As in `Procrustes`.
    max_rows : int, default=500
        Rows drawn of each modality, since an iteration costs their number cubed.
    max_iter : int, default=200
        Bound on the iterations.
    random_state : int, optional
        Seed of the draw and of k-means.

    Attributes
    ----------
    plan_ : ndarray of shape (n_drawn_first, n_drawn_second)
        The coupling; its sum is 1.
    rows_ : list of two ndarrays
        Rows that were drawn.
    distance_ : float
        The Gromov-Wasserstein loss that is left.
    embedding_, embeddings_, labels_, labels_by_modality_
        As in `SetCLIP`.

    Notes
    -----
    Source: Memoli 2011, solved by POT's conditional gradient from the uniform plan, on
    cosine distances divided by their mean. The problem is not convex, and a mirror image fits
    as well as the truth. Pairs are not read. *Deviations*: rotating by the plan is ours.
    """

    def __init__(
        self,
        n_clusters: int | None = None,
        *,
        n_components: int | None = None,
        max_rows: int = 500,
        max_iter: int = 200,
        random_state: int | None = None,
    ):
        self.n_clusters, self.n_components = n_clusters, n_components
        self.max_rows, self.max_iter, self.random_state = max_rows, max_iter, random_state

    def _check_parameters(self) -> None:
        check_number("max_rows", self.max_rows, low=2, integer=True)
        check_number("max_iter", self.max_iter, low=1, integer=True)
        check_components(self.n_components)

    def _fit(self, views: list[np.ndarray], pairs: np.ndarray) -> None:
        import ot

        self.centers_, axes = principal_axes(views, self.n_components)
        rng = np.random.default_rng(self.random_state)
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


class Chance(AlignmentMethod):
    """Random embeddings: what is reached without a look at the rows.

    Parameters
    ----------
    n_clusters : int, optional
        Number of clusters.
    embedding_dim : int, default=256
        Width of the embeddings.
    random_state : int, optional
        Seed; the rows of both modalities are drawn anew at every call.

    Attributes
    ----------
    embedding_, embeddings_, labels_, labels_by_modality_
        As in `SetCLIP`.
    """

    def __init__(
        self,
        n_clusters: int | None = None,
        *,
        embedding_dim: int = 256,
        random_state: int | None = None,
    ):
        self.n_clusters, self.embedding_dim = n_clusters, embedding_dim
        self.random_state = random_state

    def _check_parameters(self) -> None:
        check_number("embedding_dim", self.embedding_dim, low=1, integer=True)

    def _fit(self, views: list[np.ndarray], pairs: np.ndarray) -> None:
        """Learn nothing."""

    def _embed(self, X: np.ndarray, modality: int) -> np.ndarray:
        seed = None if self.random_state is None else [self.random_state, modality]
        drawn = np.random.default_rng(seed).normal(size=(len(X), self.embedding_dim))
        return unit_rows(drawn).astype(np.float32)
