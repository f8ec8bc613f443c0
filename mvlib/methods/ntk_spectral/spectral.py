"""The eigenvectors that a graph is cut by."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import LinearOperator, lobpcg

from mvlib._validation import check_choice, check_n_clusters, check_number
from mvlib.methods.ntk_spectral.affinity import SubspaceAffinity

SOLVERS = ("auto", "dense", "lobpcg")
# Up to so many rows, LAPACK on the full matrix is quicker than it is long.
DENSE_ROWS = 1500
# Vectors beyond those asked for, which speed a block solver up. It wants at least five
# times as many rows as vectors.
GUARD, ROWS_A_VECTOR = 8, 5
PRECONDITIONED_SHIFT = 1e-5


def spectral_embedding(
    affinity: np.ndarray | sparse.sparray | SubspaceAffinity,
    n_clusters: int,
    *,
    solver: str = "auto",
    tol: float = 1e-4,
    max_iter: int = 200,
    pieces: np.ndarray | None = None,
    random_state: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the leading eigenvectors of D^-1/2 A D^-1/2, divided by D^1/2.

    Parameters
    ----------
    affinity : ndarray, sparse array or SubspaceAffinity of shape (n_samples, n_samples)
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
        The connected component of each row, where it is known. Needed for a
        `SubspaceAffinity`, which is taken as connected otherwise.
    random_state : int, optional
        Seed of LOBPCG's first block.

    Returns
    -------
    embedding : ndarray of shape (n_samples, n_clusters), float64
        Eigenvectors from the largest eigenvalue, each row divided by the root of its degree.
    eigenvalues : ndarray of shape (n_clusters,), float64
        Of D^-1/2 A D^-1/2; 1 as often as there are components (of a
        `SubspaceAffinity`, nearly).

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
    if pieces is None and not isinstance(A, SubspaceAffinity):
        pieces = connected_components(sparse.csr_array(A), directed=False)[1]
    n_pieces = 1 if pieces is None else int(pieces.max()) + 1
    if n_pieces > n_clusters:
        raise ValueError(
            f"affinity is a graph of {n_pieces} pieces: expected at most "
            f"n_clusters={n_clusters}; raise n_neighbors or take graph='union'"
        )
    if n_pieces == n_clusters:
        return np.eye(n_clusters)[pieces], np.ones(n_clusters)
    diagonal = A.diagonal()
    if isinstance(A, SubspaceAffinity):
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


def _checked(affinity: Any) -> np.ndarray | sparse.csr_array | SubspaceAffinity:
    if isinstance(affinity, SubspaceAffinity):
        return affinity
    if sparse.issparse(affinity):
        affinity = sparse.csr_array(affinity)
        finite = np.isfinite(affinity.data).all()
    else:
        affinity = np.asarray(affinity)
        finite = affinity.dtype.kind in "fiu" and np.isfinite(affinity).all()
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
    pieces: np.ndarray | None,
    random_state: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    n = len(scale)
    column, inner = scale[:, None], diagonal[:, None]

    def product(X: np.ndarray) -> np.ndarray:
        X = X.reshape(n, -1)
        return column * (A @ (column * X) - inner * (column * X))

    operator = LinearOperator((n, n), matvec=product, matmat=product, dtype=np.float64)
    rng = np.random.default_rng(random_state)
    root = 1 / column
    if isinstance(A, SubspaceAffinity):
        # Keeps components apart only nearly, so no eigenvector is known: all are sought,
        # from the leading vectors of its core.
        known, preconditioner = None, None
        start = rng.standard_normal((n, n_clusters + GUARD))
        _, turned = np.linalg.eigh(A.core)
        leading = A.basis @ turned[:, ::-1][:, : n_clusters + GUARD]
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
            operator,
            start,
            M=preconditioner,
            Y=known,
            tol=tol,
            maxiter=max_iter,
            largest=True,
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
