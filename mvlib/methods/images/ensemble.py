"""LWGP and U-SENC: many clusterings of one set joined by a graph of rows and clusters.

Source: Huang, Wang and Lai, "Locally weighted ensemble clustering" (IEEE T-CYB 2018; LWGP), and
Huang et al., "Ultra-scalable spectral clustering and ensemble clustering" (IEEE TKDE 2020;
U-SENC), as the first author's code computes them, https://github.com/huangdonghere (no licence
seen). The same group's DeepCluE (arXiv 2206.00359) joins clusterings of the layers of a network
in this way; its code was not found, and only its idea is used here.

A row is joined to the cluster that holds it in each base clustering; the eigenvectors of this
graph come from the small matrix of clusters by clusters. LWGP weighs a cluster by how well the
other clusterings agree on it.

Picture
-------
given : features of images, one kind or several, or the views
learns : many clusterings by k-means
pulls : clusters on which the others agree weigh more
matches : nothing
groups : the graph of rows and clusters, cut by its eigenvectors

Deviations
----------
The bases are k-means from one start each, of the views or of the images and what is given
beside them in turn. The authors draw LWGP's from a stored pool, and U-SENC's by a spectral
clustering of representatives (U-SPEC), which is not built here. Cluster numbers without
members are dropped, where LWGP's code would divide by zero. The consensus is the best of ten
starts of k-means, where the code has three. The demonstration also prints the best number of
clusters from 2 to 30 by labels, which is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg, sparse

from mvlib.check import choice, real, whole
from mvlib.encoders import Encoder
from mvlib.methods.base import ViewClustering, kmeans_labels
from mvlib.methods.features import check_features
from mvlib.methods.words import WordClustering
from mvlib.ops import blocked_kmeans

WEIGHTS = ("entropy", "equal")
TINY = 1e-10


def memberships(bases: Sequence[np.ndarray]) -> list[sparse.csr_array]:
    """Return each base clustering as a matrix of rows by clusters that have members."""
    found = []
    for labels in bases:
        _, members = np.unique(labels, return_inverse=True)
        shape = len(labels), int(members.max()) + 1
        rows = np.arange(len(labels))
        found.append(sparse.csr_array((np.ones(len(labels)), (rows, members)), shape=shape))
    return found


def cluster_weights(bases: Sequence[sparse.csr_array], theta: float) -> np.ndarray:
    """Weigh each cluster by how much the other clusterings agree on it.

    ECI(c) = exp(-H_c / (theta M)), H_c = -sum_m sum_j p_j log2 p_j  (LWGP, as coded)

    Parameters
    ----------
    bases : sequence of csr_array, each (n_samples, n_clusters_m)
        Memberships of the M base clusterings.
    theta : float
        The smaller, the less a cluster counts on which the others disagree.

    Returns
    -------
    ndarray of shape (sum of n_clusters_m,)
        From above 0 to 1. p_j is the share of c's rows in cluster j of base m; its own base
        adds nothing.
    """
    B = sparse.hstack(bases).tocsc()
    sizes = np.asarray(B.sum(axis=0)).ravel()
    shares = (B.T @ B).toarray() / sizes[:, None]
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.exp((shares * logs).sum(axis=1) / (theta * len(bases)))


def transfer_cut(B: sparse.csr_array, n_clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut the graph of rows and clusters by the eigenvectors of clusters alone.

    W = B^T D_x^-1 B, E = leading eigenvectors of D^-1/2 W D^-1/2  (U-SENC, as coded)
    U = D_x^-1 B D^-1/2 E, rows at unit length  (U-SENC, as coded)

    Parameters
    ----------
    B : csr_array of shape (n_samples, n_base_clusters)
        Weighted memberships.
    n_clusters : int
        Eigenvectors, at most n_base_clusters.

    Returns
    -------
    U : ndarray of shape (n_samples, n_clusters)
    eigenvalues : ndarray of shape (n_clusters,)
        From the largest, which is 1.
    """
    degrees = np.asarray(B.sum(axis=1)).ravel()
    by_row = sparse.diags_array(1 / np.where(degrees > 0, degrees, TINY)) @ B
    W = (B.T @ by_row).toarray()
    scale = 1 / np.sqrt(W.sum(axis=1))
    matrix = scale[:, None] * W * scale
    m = len(W)
    values, vectors = linalg.eigh(
        (matrix + matrix.T) / 2, subset_by_index=[m - n_clusters, m - 1]
    )
    U = by_row @ (scale[:, None] * vectors[:, ::-1])
    return U / (np.linalg.norm(U, axis=1, keepdims=True) + TINY), values[::-1]


def consensus(
    bases: Sequence[np.ndarray], n_clusters: int, weights: str, theta: float
) -> np.ndarray:
    """Return U of base clusterings; narrower than asked for where they have fewer clusters."""
    members = memberships(bases)
    B = sparse.hstack(members).tocsr()
    if weights == "entropy":
        B = (B @ sparse.diags_array(cluster_weights(members, theta))).tocsr()
    return transfer_cut(B, min(n_clusters, B.shape[1]))[0]


def drawn_bases(
    features: Sequence[np.ndarray],
    n_bases: int,
    n_clusters: int,
    spherical: bool,
    device: str,
    seed: int,
) -> list[np.ndarray]:
    """Cluster sets of features in turn, into from K to 3 K clusters, one start each."""
    rng = np.random.default_rng(seed)
    bases = []
    for number in range(n_bases):
        X = features[number % len(features)]
        k = min(int(rng.integers(n_clusters, 3 * n_clusters + 1)), len(X))
        limits = {"n_init": 1, "random_state": int(rng.integers(2**32)), "device": device}
        bases.append(blocked_kmeans(X, k, spherical=spherical, **limits).labels)
    return bases


_BOUNDS: Any = {"n_bases": whole(), "weights": choice(WEIGHTS), "theta": real(0, open_low=True)}


def _join(model: Any, features: Sequence[np.ndarray], spherical: bool, seed: int) -> None:
    """Set the bases, what joins them and its clusters."""
    k = model.n_clusters
    bases = drawn_bases(features, model.n_bases, k, spherical, model.device, seed)
    model.bases_ = np.stack(bases)
    model.embedding_ = consensus(bases, k, model.weights, model.theta).astype(np.float32)
    model.labels_ = kmeans_labels(model.embedding_, k, seed)


@dataclass(eq=False, repr=False, kw_only=True)
class ImageEnsemble(WordClustering):
    """Clusterings of several features of the same images, joined as LWGP or U-SENC join them.

    `fit` takes as `texts` nothing, or a list of further features of the images: a row an image,
    such as their counterparts in words under each prompt, another layer or another encoder. The
    bases are drawn from the images and from these in turn. There is no map for new images.

    Parameters
    ----------
    n_bases : int, default=20
        M. The authors' code has 20 for U-SENC, 10 for LWGP.
    weights : {"entropy", "equal"}, default="entropy"
        Whether clusters count by the others' agreement (LWGP) or the same (U-SENC).
    theta : float, default=0.4
        LWGP's, of "entropy".

    Attributes
    ----------
    embedding_ : ndarray of shape (n_samples, n_clusters), float32
        U, rows at unit length.
    bases_ : ndarray of shape (n_bases, n_samples), int64
        The clusterings that were joined.

    Notes
    -----
    *Use it* where one start of k-means is not to be trusted, or several prompts, layers or
    encoders each see something; not where all bases err alike. The length of an image's
    features changes nothing. *Cost*: n_bases starts of k-means of up to 3 n_clusters, and
    eigenvectors of a matrix of some 2 n_bases * n_clusters rows. *Beside it*: `CLIPKMeans`.
    """

    n_bases: int = 20
    weights: str = "entropy"
    theta: float = 0.4

    _bounds = _BOUNDS

    def _fit(
        self, X: np.ndarray, train: np.ndarray, texts: Any, encoder: Encoder | None, seed: int
    ) -> None:
        features = [X]
        for number, more in enumerate(texts if isinstance(texts, list | tuple) else ()):
            features.append(check_features(f"texts[{number}]", more, self.precision))
            if len(features[-1]) != len(X):
                raise ValueError(
                    f"texts[{number}] has {len(features[-1])} rows: expected {len(X)}, one an "
                    "image"
                )
        _join(self, features, True, seed)


@dataclass(eq=False, repr=False, kw_only=True)
class ViewEnsemble(ViewClustering):
    """Clusterings of each view, joined as LWGP or U-SENC join them.

    Any number of views, row i of all of which is taken for one sample. There is no map for new
    rows.

    Parameters
    ----------
    n_bases, weights, theta
        As in `ImageEnsemble`.
    device : str, default="auto"
        Where the bases are clustered.

    Attributes
    ----------
    labels_, embedding_, bases_
        As in `ImageEnsemble`; the bases take the views in turn.

    Notes
    -----
    *Use it* where rows are partners and views differ in scale or in what they see, since no
    feature of one is compared with another's; not where one view alone tells the clusters. The
    scale of a view changes nothing. *Cost*: as `ImageEnsemble`. *Beside it*:
    `KMeansConcatenation`, `SpectralConcatenation`.
    """

    n_bases: int = 20
    weights: str = "entropy"
    theta: float = 0.4
    device: str = "auto"

    _bounds = _BOUNDS

    def _fit(self, views: list[np.ndarray], aligned: np.ndarray, y: Any, seed: int) -> None:
        _join(self, views, False, seed)
