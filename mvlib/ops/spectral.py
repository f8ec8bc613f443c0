"""Spectral clustering of a graph: the eigenvectors it is cut by, and labels from them."""

from __future__ import annotations

import warnings
from typing import Any, Protocol, runtime_checkable

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import LinearOperator, lobpcg

from mvlib.check import (
    RandomState,
    as_numbers,
    check_choice,
    check_n_clusters,
    check_number,
    resolve_seed,
)

SOLVERS = ("auto", "dense", "lobpcg")
# Up to so many rows, LAPACK on the full matrix is quicker than it is long.
DENSE_ROWS = 1500
# Vectors beyond those asked for, which speed a block solver up. It wants at least five
# times as many rows as vectors.
GUARD, ROWS_A_VECTOR = 8, 5
PRECONDITIONED_SHIFT = 1e-5
SETTLED = np.finfo(np.float64).eps


@runtime_checkable
class AffinityOperator(Protocol):
    """A symmetric affinity A that is known through its products `A @ X`."""

    shape: tuple[int, int]

    def __matmul__(self, X: np.ndarray) -> np.ndarray:
        """Return A X."""

    def diagonal(self) -> np.ndarray:
        """Return the diagonal of A."""

    def degrees(self) -> np.ndarray:
        """Return the row sums of A without its diagonal."""

    def leading(self, n_vectors: int) -> np.ndarray:
        """Return at most so many vectors near to the leading eigenvectors, as columns."""

    def toarray(self) -> np.ndarray:
        """Return A in full."""


def spectral_embedding(
    affinity: np.ndarray | sparse.sparray | AffinityOperator,
    n_clusters: int,
    *,
    solver: str = "auto",
    tol: float = 1e-4,
    max_iter: int = 200,
    pieces: np.ndarray | None = None,
    random_state: RandomState = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the leading eigenvectors of D^-1/2 A D^-1/2, divided by D^1/2.

    Parameters
    ----------
    affinity : ndarray, sparse array or AffinityOperator of shape (n_samples, n_samples)
        A, symmetric. Its diagonal is not read (as in scikit-learn).
    n_clusters : int
        Number of eigenvectors.
    solver : {"auto", "dense", "lobpcg"}, default="auto"
        "dense" is LAPACK on the full matrix, which "auto" takes up to 1,500 rows; "lobpcg" is
        a block solver, preconditioned by algebraic multigrid if A is a sparse array, and
        needs five rows a vector; with fewer it is "dense" too.
    tol : float, default=1e-4
        Residual norm at which LOBPCG stops, of every vector, the spare ones too. In float32 it
        does not always come below 1e-5.
    max_iter : int, default=200
        Bound on LOBPCG's iterations.
    pieces : ndarray of shape (n_samples,), int, optional
        The connected component of each row, where it is known. Needed for an operator, which
        is taken as connected otherwise.
    random_state : int, optional
        Seed of LOBPCG's first block.

    Returns
    -------
    embedding : ndarray of shape (n_samples, n_clusters), float64
        Eigenvectors from the largest eigenvalue, each row divided by the root of its degree.
    eigenvalues : ndarray of shape (n_clusters,), float64
        Of D^-1/2 A D^-1/2; 1 as often as there are components (of an operator, nearly).

    Raises
    ------
    ValueError
        If there are more components than clusters, a row has no positive degree, the matrix
        is not square and finite, or a parameter is out of range.

    Notes
    -----
    Components are counted first. With more of them than clusters, the leading eigenvectors
    are any of their indicators: the graph, not the solver, has to change. With as many, they
    are the clusters, and are returned without a solver. Lanczos solvers (scikit-learn's
    default) return a wrong subspace without a warning where an eigenvalue repeats, so none
    is used.
    """
    check_choice("solver", solver, SOLVERS)
    check_number("tol", tol, low=0, open_low=True)
    check_number("max_iter", max_iter, low=1, integer=True)
    A = _checked(affinity)
    n = A.shape[0]
    check_n_clusters(n_clusters, n)
    if pieces is None and isinstance(A, AffinityOperator):
        pieces = np.zeros(n, dtype=np.int64)
    elif pieces is None:
        pieces = connected_components(sparse.csr_array(A), directed=False)[1]
    n_pieces = int(pieces.max()) + 1
    if n_pieces > n_clusters:
        raise ValueError(
            f"affinity is a graph of {n_pieces} pieces: expected at most "
            f"n_clusters={n_clusters}; raise n_neighbors or take graph='union'"
        )
    if n_pieces == n_clusters:
        return np.eye(n_clusters)[pieces], np.ones(n_clusters)
    diagonal = A.diagonal()
    if isinstance(A, AffinityOperator):
        degrees = A.degrees()
    else:
        degrees = np.asarray(A @ np.ones(n), dtype=np.float64) - diagonal
    if not (degrees > 0).all():
        row = int(degrees.argmin())
        raise ValueError(
            f"affinity has degree {degrees[row]:.3g} in row {row}: expected positive "
            "degrees; clip its negatives, or raise rank if it is diffused in a subspace"
        )
    scale = 1 / np.sqrt(degrees)
    few = n <= ROWS_A_VECTOR * (n_clusters + GUARD)
    if few or solver == "dense" or (solver == "auto" and n <= DENSE_ROWS):
        full = A.toarray() if hasattr(A, "toarray") else A
        matrix = scale[:, None] * (full - np.diag(diagonal)) * scale
        last = [n - n_clusters, n - 1]
        values, vectors = linalg.eigh((matrix + matrix.T) / 2, subset_by_index=last)
    else:
        values, vectors = _lobpcg(
            A, diagonal, scale, n_clusters, tol, max_iter, pieces, random_state
        )
    order = np.argsort(-values)[:n_clusters]
    return vectors[:, order] * scale[:, None], values[order]


def _checked(affinity: Any) -> np.ndarray | sparse.csr_array | AffinityOperator:
    if isinstance(affinity, AffinityOperator):
        return affinity
    if sparse.issparse(affinity):
        affinity = sparse.csr_array(affinity, copy=True)
        affinity.eliminate_zeros()  # a stored zero is no edge
        finite = np.isfinite(affinity.data).all()
    else:
        affinity = as_numbers(affinity, "affinity")
        finite = np.isfinite(affinity).all()
    if affinity.ndim != 2 or affinity.shape[0] != affinity.shape[1] or not finite:
        raise ValueError(
            f"affinity of shape {affinity.shape} is not usable: expected a square matrix of "
            "finite numbers"
        )
    return affinity


def _lobpcg(
    A: Any,
    diagonal: np.ndarray,
    scale: np.ndarray,
    n_clusters: int,
    tol: float,
    max_iter: int,
    pieces: np.ndarray,
    random_state: RandomState,
) -> tuple[np.ndarray, np.ndarray]:
    n = len(scale)
    column, inner = scale[:, None], diagonal[:, None]

    def product(X: np.ndarray) -> np.ndarray:
        X = X.reshape(n, -1)
        return column * (A @ (column * X) - inner * (column * X))

    operator = LinearOperator((n, n), matvec=product, matmat=product, dtype=np.float64)
    rng = np.random.default_rng(resolve_seed(random_state))
    root = 1 / column
    if isinstance(A, AffinityOperator):
        # Keeps components apart only nearly, so no eigenvector is known: all are sought.
        known, preconditioner = None, None
        start = rng.standard_normal((n, n_clusters + GUARD))
        leading = A.leading(n_clusters + GUARD)
        start[:, : leading.shape[1]] = leading
    else:
        # The degrees' root is the first eigenvector of each component.
        known = np.eye(int(pieces.max()) + 1)[pieces] * root
        known /= np.linalg.norm(known, axis=0)
        start = rng.standard_normal((n, n_clusters + GUARD - known.shape[1]))
        positive = sparse.issparse(A) and A.data.min(initial=0) >= 0
        preconditioner = _multigrid(A, diagonal, scale) if positive else None
    with warnings.catch_warnings():
        # Where it stops short of tol it says so by a warning; the residual is small by then.
        warnings.simplefilter("ignore", UserWarning)
        values, vectors = lobpcg(
            operator, start, M=preconditioner, Y=known, tol=tol, maxiter=max_iter, largest=True
        )
    if known is None:
        return values, vectors
    values = np.concatenate([np.ones(known.shape[1]), values])
    return values, np.hstack([known, vectors])


def _multigrid(A: sparse.csr_array, diagonal: np.ndarray, scale: np.ndarray) -> LinearOperator:
    from pyamg import smoothed_aggregation_solver

    root = sparse.diags_array(scale)
    adjacency = root @ (A - sparse.diags_array(diagonal)) @ root
    shifted = (1 + PRECONDITIONED_SHIFT) * sparse.eye_array(len(scale)) - adjacency
    return smoothed_aggregation_solver(sparse.csr_matrix(shifted)).aspreconditioner()


def discretize(
    embedding: np.ndarray, *, max_iter: int = 21, random_state: RandomState = None
) -> np.ndarray:
    """Return the partition nearest to a rotation of the embedding, int64 (n_samples,).

    Alternates between the nearest indicator matrix X of V R (each row's largest entry) and the
    nearest rotation R of V to X (from the singular vectors of X^T V), V being the rows of the
    embedding at unit length.

    Parameters
    ----------
    embedding : array-like of shape (n_samples, n_clusters)
        Eigenvectors, one a column.
    max_iter : int, default=21
        Bound on the turns, as in scikit-learn.
    random_state : int, optional
        Seed of the row that the first rotation starts from; the others are those of its rows
        that are least alike.

    Raises
    ------
    ValueError
        If the embedding is not a finite matrix with at least as many rows as columns, or
        `max_iter` is not a positive integer.

    Notes
    -----
    Source: Yu and Shi, "Multiclass spectral clustering", ICCV 2003. Equal to scikit-learn's
    `assign_labels="discretize"` on the same embedding and seed, which is not public by itself.
    A cluster may stay empty. Rows of zeros go to cluster 0.

    *Deviations*. Where the singular value decomposition fails, scikit-learn starts anew from
    another row; here the error is the caller's, as it has not been seen to.
    """
    V = np.array(embedding, dtype=np.float64)
    if V.ndim != 2 or 0 in V.shape or len(V) < V.shape[1] or not np.isfinite(V).all():
        raise ValueError(
            f"embedding of shape {V.shape} is not usable: expected a finite matrix with at "
            "least as many rows as columns"
        )
    check_number("max_iter", max_iter, low=1, integer=True)
    rng = np.random.RandomState(resolve_seed(random_state))
    n, k = V.shape
    # Columns at one length; signs fixed, so that a flipped eigenvector changes nothing.
    V *= np.sqrt(n) / np.maximum(np.linalg.norm(V, axis=0), SETTLED)
    V *= np.where(V[0] > 0, -1, 1)
    lengths = np.linalg.norm(V, axis=1, keepdims=True)
    V = np.divide(V, lengths, out=np.zeros_like(V), where=lengths > 0)
    rotation = np.zeros((k, k))
    rotation[:, 0] = V[rng.randint(n)]
    alike = np.where(lengths[:, 0] > 0, 0, np.inf)
    for column in range(1, k):
        alike += np.abs(V @ rotation[:, column - 1])
        rotation[:, column] = V[alike.argmin()]
    last = 0.0
    for _ in range(max_iter):
        labels = (V @ rotation).argmax(axis=1)
        nearest = sparse.csr_array((np.ones(n), (labels, np.arange(n))), shape=(k, n))
        left, singular, right = np.linalg.svd(nearest @ V)
        cut = 2 * (n - singular.sum())
        if abs(cut - last) < SETTLED:
            break
        last = cut
        rotation = right.T @ left.T
    return labels.astype(np.int64)
