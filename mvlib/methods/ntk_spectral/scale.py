"""Ours, for many images: search in cells, explicit features, diffusion in a subspace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import linalg, sparse
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from mvlib.check import check_choice, check_number
from mvlib.methods.features import check_features
from mvlib.methods.ntk_spectral.equations import (
    Diffusion,
    FullState,
    Kernel,
    Neighbors,
    Side,
    check_transitions,
    diffuse_affinities,
)
from mvlib.ops import blocked_kmeans, nearest_others

SEARCHES = ("auto", "exact", "cells")
SKETCHES = ("nystrom", "tensorsketch")
# Up to so many images, all pairs are compared; the cells cost more than they save.
EXACT_ROWS = 15_000
BLOCK_BYTES = 1 << 26
SEARCH_BYTES = 1 << 23
# Directions of the landmarks' kernel below this share of its largest are noise.
RANK_TOLERANCE = 1e-6
# Cells of the search: images of one, those compared with one, and landmarks to make them by.
CELL_ROWS = 256
CANDIDATES = 4096
LANDMARKS = 256
# Sparse products of the search for the basis, so many between two orthogonalisations.
SWEEPS, PRODUCTS = 8, 4


def nearest_neighbors(
    Z: np.ndarray,
    W: np.ndarray | None = None,
    n_neighbors: int = 30,
    *,
    temperature: float = 0.04,
    affinity: str = "ntk",
    search: str = "auto",
    cells: np.ndarray | None = None,
    device: str = "auto",
    random_state: int | None = None,
) -> Neighbors:
    """Return the images of largest affinity with each image.

    Parameters
    ----------
    Z, W, temperature, affinity, device
        As in `ntk_affinity`.
    n_neighbors : int, default=30
        q.
    search : {"auto", "exact", "cells"}, default="auto"
        "exact" compares all pairs, at a cost of n^2. "cells" compares an image with the
        some 4,096 of the cells that its own cell has the largest affinity with, at a cost
        linear in n; it misses neighbours in cells farther off. "auto" is exact up to 15,000
        images.
    cells : ndarray of shape (n_samples,), int64, optional
        A partition for "cells", as `partition` makes it, to be used for several prompts.
    random_state : int, optional
        Seed of the cells.

    Raises
    ------
    ValueError
        If there are not more images than `n_neighbors`, nouns are missing, widths differ,
        values are not finite, or a parameter is out of range.

    Notes
    -----
    Memory beyond the features: the assignments, (n_samples, n_nouns) in float32, one block
    of 8 MB, and the lists.
    """
    check_choice("search", search, SEARCHES)
    Z = check_features("Z", Z)
    n = len(Z)
    check_number("n_neighbors", n_neighbors, low=1, high=n - 1, integer=True)
    kernel = Kernel({"W": W}, temperature, affinity, device)
    side = kernel.side("Z", Z)
    if search_in_cells(search, n):
        if cells is None:
            banks = None if W is None else [W]
            cells = partition(Z, banks, temperature, affinity, device, random_state)
        blocks: Sequence[tuple[torch.Tensor, torch.Tensor | slice]]
        blocks = _blocks_of_cells(side, kernel, cells, n_neighbors)
    else:
        step = max(1, SEARCH_BYTES // (4 * n))
        blocks = [(rows, slice(None)) for rows in torch.arange(n).split(step)]

    def score(rows: torch.Tensor, columns: torch.Tensor | slice) -> torch.Tensor:
        return kernel(side.take(rows), side.take(columns))

    return Neighbors(*nearest_others(n, n_neighbors, score, blocks, device=kernel.device))


def search_in_cells(search: str, n_samples: int) -> bool:
    """Return whether neighbours are searched in cells."""
    return search == "cells" or (search == "auto" and n_samples > EXACT_ROWS)


def partition(
    Z: np.ndarray,
    banks: list[np.ndarray] | None,
    temperature: float,
    affinity: str,
    device: str = "auto",
    random_state: Any = None,
) -> np.ndarray:
    """Return cells of some 256 images each, near by affinity: k-means of Nystrom features."""
    # Their lengths stay as they are: the kernel is not a cosine, and images of large norm are
    # near to many, so they get cells of their own.
    common: dict[str, Any] = {"device": device, "random_state": random_state}
    count = min(LANDMARKS, len(Z))
    features = explicit_features(
        Z, banks, count, temperature=temperature, affinity=affinity, **common
    )
    n_cells = max(1, len(Z) // CELL_ROWS)
    return blocked_kmeans(features, n_cells, max_iter=10, **common).labels


def _blocks_of_cells(
    side: Side, kernel: Kernel, cells: np.ndarray, n_neighbors: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return rows of each cell, and the rows of the cells nearest to it."""
    numbers = torch.as_tensor(cells, device=kernel.device)
    sizes = torch.bincount(numbers)
    members = torch.argsort(numbers, stable=True).cpu().split(sizes.tolist())

    def mean(X: torch.Tensor) -> torch.Tensor:
        sums = X.new_zeros(len(sizes), X.shape[1]).index_add_(0, numbers, X)
        return sums / sizes.clamp_min(1).unsqueeze(1)

    means = Side(*map(mean, side))
    between = kernel(means, means)
    between.fill_diagonal_(torch.inf)
    order = between.argsort(dim=1, descending=True).cpu()
    wanted = max(CANDIDATES, 2 * (n_neighbors + 1))
    reached = sizes.cpu()[order].cumsum(dim=1)
    blocks = []
    for cell, rows in enumerate(members):
        if len(rows):
            last = int((reached[cell] < wanted).sum()) + 1
            columns = torch.cat([members[c] for c in order[cell, :last].tolist()])
            blocks += [(part, columns) for part in rows.split(4 * CELL_ROWS)]
    return blocks


def connect_fragments(
    graph: sparse.csr_array, neighbors: Neighbors, n_neighbors: int = 30
) -> tuple[sparse.csr_array, np.ndarray]:
    """Tie pieces too small to be a cluster to the rest, each by its strongest edge.

    A piece is a connected component of the graph of one prompt, made of the lists. While there
    is one of at most `n_neighbors` images, which has neighbours outside in every list, each
    such piece gets the edge of largest affinity that leaves it. Returns the graph, and for each
    image whether it was in a small piece at first.

    Not the paper's: nothing is known of what it does with images without a mutual
    neighbour. The kernel is no cosine: images with a sharp assignment are near to all of
    their kind, so others have neighbours that do not have them, and the mutual rule leaves
    many alone. Every such image would be an eigenvector of its own. Each graph is tied by
    itself, for the weights of the prompts may come to choose one of them.
    """
    tied = np.zeros(graph.shape[0], dtype=bool)
    while True:
        count, pieces = connected_components(graph, directed=False)
        small = np.bincount(pieces)[pieces] <= n_neighbors
        tied |= small
        edges = _strongest_edges(neighbors, pieces, small, graph.dtype)
        if count == 1 or not edges.nnz:
            return graph, tied
        # Summed, since none is in the graph.
        graph = sparse.csr_array(graph + edges)


def _strongest_edges(
    lists: Neighbors, pieces: np.ndarray, small: np.ndarray, dtype: np.dtype
) -> sparse.csr_array:
    """Return the strongest edge out of each small piece."""
    rows = np.flatnonzero(small)
    outside = pieces[lists.indices[rows]] != pieces[rows, None]
    weights = np.where(outside, lists.values[rows], -np.inf)
    best = weights.argmax(axis=1)[:, None]
    columns = np.take_along_axis(lists.indices[rows], best, axis=1)[:, 0]
    weights = np.take_along_axis(weights, best, axis=1)[:, 0]
    order = np.lexsort((-weights, pieces[rows]))
    first = order[np.unique(pieces[rows][order], return_index=True)[1]]
    # An affinity that is not positive is no edge.
    first = first[weights[first] > 0]
    ends = rows[first].astype(np.int32), columns[first].astype(np.int32)
    edges = sparse.csr_array((weights[first].astype(dtype), ends), (len(pieces),) * 2)
    # By maximum, since two pieces may choose one edge.
    return edges.maximum(edges.T)


def explicit_features(
    Z: np.ndarray,
    banks: list[np.ndarray] | None = None,
    n_features: int = 1024,
    *,
    temperature: float = 0.04,
    affinity: str = "ntk",
    sketch: str = "nystrom",
    device: str = "auto",
    random_state: int | None = None,
) -> np.ndarray:
    """Return features whose inner products are near to the affinity.

    The affinity is that of `ntk_affinity`, averaged over the prompts.

    - "nystrom": K(z, L) K(L, L)^-1/2 for landmarks L, drawn at random from the images. Exact
      on the landmarks; the error falls as fast as the kernel's spectrum.
    - "tensorsketch": the count sketches of z and of s, convolved: a sketch of s (x) z whose
      inner products are right on average, with an error of the order of n_features^-1/2
      whatever the spectrum. For "ntk" alone.

    Parameters
    ----------
    Z, temperature, affinity, device
        As in `ntk_affinity`.
    banks : list of array-like, each (n_nouns, n_features_in), optional
        Text features of the positive nouns, one array a prompt, for "ntk" and "semantic".
    n_features : int, default=1024
        Width of what is returned; less where the landmarks' kernel has a smaller rank.
    sketch : {"nystrom", "tensorsketch"}, default="nystrom"
        Which.
    random_state : int, optional
        Seed of the landmarks or of the hashes.

    Returns
    -------
    ndarray of shape (n_samples, n_features), float32

    Raises
    ------
    ValueError
        If nouns are missing, widths differ, values are not finite, there are more landmarks
        than images, or a parameter is out of range.

    Notes
    -----
    Ours; the paper has no such step. Sources: Pham and Pagh, "Fast and scalable polynomial
    kernels via explicit feature maps", KDD 2013; Williams and Seeger, "Using the Nystrom
    method to speed up kernel machines", NIPS 2000. Reads the images once, in blocks of 64 MB.
    """
    check_choice("sketch", sketch, SKETCHES)
    check_number("n_features", n_features, low=1, integer=True)
    Z = check_features("Z", Z)
    named = {f"banks[{b}]": W for b, W in enumerate(banks)} if banks else {"banks": None}
    kernel = Kernel(named, temperature, affinity, device)
    rng = np.random.default_rng(random_state)
    make = _tensor_sketch if sketch == "tensorsketch" else _nystrom
    mapped, width = make(Z, kernel, n_features, rng)
    result = np.empty((len(Z), width), dtype=np.float32)
    n_nouns = sum(map(len, kernel.nouns.values()))
    step = max(1, BLOCK_BYTES // (4 * (Z.shape[1] + 2 * n_nouns + 2 * n_features)))
    for start in tqdm(range(0, len(Z), step), desc="features", leave=False, disable=None):
        rows = slice(start, start + step)
        result[rows] = mapped(kernel.side("Z", Z[rows])).cpu().numpy()
    return result


def _nystrom(
    Z: np.ndarray, kernel: Kernel, n_features: int, rng: np.random.Generator
) -> tuple[Callable[[Side], torch.Tensor], int]:
    """Return the map z -> K(z, L) V l^-1/2, with K(L, L) = V l V^T, and its width."""
    check_number("n_features", n_features, high=len(Z))
    landmarks = kernel.side("Z", Z[np.sort(rng.choice(len(Z), n_features, replace=False))])
    values, vectors = torch.linalg.eigh(kernel(landmarks, landmarks).double())
    kept = values > RANK_TOLERANCE * values[-1]
    root = (vectors[:, kept] / values[kept].sqrt()).float()
    return lambda side: kernel(side, landmarks) @ root, root.shape[1]


def _tensor_sketch(
    Z: np.ndarray, kernel: Kernel, n_features: int, rng: np.random.Generator
) -> tuple[Callable[[Side], torch.Tensor], int]:
    """Return the map z -> ifft(fft(count sketch of z) fft(count sketch of s)) / tau."""
    if kernel.affinity != "ntk":
        raise ValueError(
            f"affinity={kernel.affinity!r} is no product: expected 'ntk' to sketch"
        )
    hashes = []
    for width in (Z.shape[1], sum(map(len, kernel.nouns.values()))):
        column = torch.as_tensor(rng.integers(0, n_features, width), device=kernel.device)
        sign = torch.as_tensor(
            rng.choice(np.array([-1, 1], np.float32), width), device=kernel.device
        )
        hashes.append((column, sign))

    def spectrum(X: torch.Tensor, column: torch.Tensor, sign: torch.Tensor) -> torch.Tensor:
        counted = X.new_zeros(len(X), n_features).index_add_(1, column, X * sign)
        return torch.fft.rfft(counted, dim=1)

    def mapped(side: Side) -> torch.Tensor:
        of_points, of_shares = (
            spectrum(X, *pair) for X, pair in zip(side, hashes, strict=True)
        )
        return torch.fft.irfft(of_points * of_shares, n_features, dim=1) / kernel.temperature

    return mapped, n_features


def feature_embedding(features: np.ndarray, n_clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the spectral embedding of A = F F^T from the Gram matrix of its features.

    The eigenvectors of D^-1/2 F F^T D^-1/2 are those of the r x r matrix F^T D^-1 F, mapped
    by D^-1/2 F: 2 n r^2 operations and r^2 numbers, never n x n. The diagonal of A counts, a
    deviation; against the sum of n entries it is small.

    Parameters
    ----------
    features : ndarray of shape (n_samples, n_features), float32
        F.
    n_clusters : int
        Number of eigenvectors.

    Returns
    -------
    embedding : ndarray of shape (n_samples, n_clusters), float64
        As of `spectral_embedding`.
    eigenvalues : ndarray of shape (n_clusters,), float64

    Raises
    ------
    ValueError
        If the features are not a finite matrix, narrower than `n_clusters`, or of a row
        whose degree is not positive.
    """
    F_ = np.asarray(features)
    if F_.ndim != 2 or 0 in F_.shape or not np.isfinite(F_.sum(dtype=np.float64)):
        raise ValueError(
            f"features of shape {F_.shape} are not usable: expected a finite matrix"
        )
    width = F_.shape[1]
    check_number("n_clusters", n_clusters, low=1, high=min(F_.shape), integer=True)
    total = F_.sum(axis=0, dtype=np.float64)
    step = max(1, BLOCK_BYTES // (8 * width))
    blocks = [slice(start, start + step) for start in range(0, len(F_), step)]
    degrees = np.concatenate([F_[rows] @ total for rows in blocks])[:, None]
    if not (degrees > 0).all():
        row = int(degrees.argmin())
        raise ValueError(
            f"features give row {row} the degree {degrees[row, 0]:.3g}: expected positive "
            "degrees; take more features"
        )
    scale = (1 / np.sqrt(degrees)).astype(np.float32)
    gram = np.zeros((width, width))
    for rows in blocks:
        block = torch.from_numpy(F_[rows] * scale[rows])
        gram += (block.T @ block).numpy()
    values, vectors = linalg.eigh(gram, subset_by_index=[width - n_clusters, width - 1])
    values, vectors = values[::-1], vectors[:, ::-1]
    turned = vectors.astype(np.float32) / np.sqrt(np.maximum(values, 1e-30)).astype(np.float32)
    # Once by D^-1/2 for the features, once for the embedding.
    embedding = np.concatenate([(F_[rows] @ turned) / degrees[rows] for rows in blocks])
    return embedding, values


@dataclass(eq=False)
class SubspaceAffinity:
    """An affinity A of n x n that is known through its products.

    A = sum_b alpha_b S_b (Q M Q^T + gamma I) S_b^T + alpha_0 I: one exact diffusion step from a
    matrix that is full on a subspace and a multiple of the identity off it. S_b are the
    `transitions`, alpha_b the `weights`, alpha_0 and gamma `identity` and `level`, Q the
    `basis` of orthonormal columns (n_samples, rank), and M the symmetric `core` (rank, rank).
    """

    transitions: list[sparse.csr_array]
    weights: np.ndarray
    identity: float
    basis: np.ndarray
    core: np.ndarray
    level: float

    @property
    def shape(self) -> tuple[int, int]:
        """(n_samples, n_samples)."""
        return len(self.basis), len(self.basis)

    def __matmul__(self, X: np.ndarray) -> np.ndarray:
        """Return A X, for X of shape (n_samples,) or (n_samples, n_columns)."""
        X = np.asarray(X, dtype=np.float32)
        core = self.core.astype(np.float32)
        result = np.float32(self.identity) * X
        for S, weight in self._weighed():
            inner = S.T @ X
            inner = self.basis @ (core @ (self.basis.T @ inner)) + self.level * inner
            result += np.float32(weight) * (S @ inner)
        return result

    def diagonal(self) -> np.ndarray:
        """Return the diagonal of A, of shape (n_samples,), float64."""
        core = self.core.astype(np.float32)
        result = np.full(len(self.basis), self.identity)
        for S, weight in self._weighed():
            moved = S @ self.basis
            result += weight * np.einsum("ij,ij->i", moved @ core, moved)
            result += weight * self.level * S.power(2).sum(axis=1)
        return result

    def degrees(self) -> np.ndarray:
        """Return the row sums of A without its diagonal, of shape (n_samples,), float64.

        Non-negative graphs diffuse the identity alone to no more than A. Where the subspace
        has a row below that, it counts as that.
        """
        ones = np.ones(len(self.basis))
        found = np.asarray(self @ ones, dtype=np.float64) - self.diagonal()
        if any(S.data.min(initial=0) < 0 for S in self.transitions):
            return found
        off = [w * (S @ (S.T @ ones) - S.power(2).sum(axis=1)) for S, w in self._weighed()]
        return np.maximum(found, self.identity * sum(off))

    def rows(self, indices: np.ndarray) -> np.ndarray:
        """Return rows of A by their numbers, of shape (n_rows, n_samples), float32."""
        columns = np.zeros((len(self.basis), len(indices)), dtype=np.float32)
        columns[np.asarray(indices), np.arange(len(indices))] = 1
        return (self @ columns).T

    def leading(self, n_vectors: int) -> np.ndarray:
        """Return the leading vectors of its core, (n_samples, at most n_vectors)."""
        return self.basis @ np.linalg.eigh(self.core)[1][:, ::-1][:, :n_vectors]

    def toarray(self) -> np.ndarray:
        """Return A in full, of shape (n_samples, n_samples), float32."""
        return self.rows(np.arange(len(self.basis)))

    def _weighed(self) -> list[tuple[sparse.csr_array, float]]:
        pairs = zip(self.transitions, self.weights, strict=True)
        return [(S, weight) for S, weight in pairs if weight]


def diffuse_in_subspace(
    transitions: list[sparse.csr_array], rank: int, *, random_state: Any = None, **schedule: Any
) -> Diffusion:
    """Diffuse and weigh the graphs of several prompts with matrices of rank x rank.

    Lowers the objective of `diffuse_affinities` over the matrices Q M Q^T + gamma (I - Q Q^T),
    Q an orthonormal basis of the slow part of the mean graph. Each step is the diffusion step,
    projected back onto these matrices: projected gradient descent, so J does not rise
    either, and it is J itself, at its value there. The last step is left unprojected. At a rank
    of n_samples nothing is lost.

    Ours: the paper and its code hold A in full, or in blocks on disk. A differs from a multiple
    of the identity where the graphs have slow directions, and a clustering reads no others.
    Costs some 30 products of the mean graph with Q, four products of each S_b with Q, and 4
    n_prompts rank^3 operations a step.
    """
    check_transitions(transitions)
    check_number("rank", rank, low=1, high=transitions[0].shape[0], integer=True)
    state = _SubspaceState(transitions, _slow_basis(transitions, rank, random_state))
    return diffuse_affinities(transitions, state=state, **schedule)


def _slow_basis(
    transitions: list[sparse.csr_array], rank: int, random_state: Any
) -> np.ndarray:
    """Return an orthonormal basis of the directions that the mean graph S changes least."""
    n = transitions[0].shape[0]
    mean = sparse.csr_array(sum(transitions) / np.float32(len(transitions)), dtype=np.float32)
    Q = np.random.default_rng(random_state).standard_normal((n, rank), dtype=np.float32)
    # Orthogonal iteration with (S + I) / 2, by blocks, so that all components come out. What it
    # misses of a slow direction, the exact last step of the diffusion returns. A basis of all
    # directions needs no search.
    sweeps, products = (SWEEPS, PRODUCTS) if rank < n else (1, 0)
    for _ in range(sweeps):
        for _ in range(products):
            Q = (mean @ Q + Q) / 2
        Q = torch.linalg.qr(torch.from_numpy(np.ascontiguousarray(Q))).Q.numpy()
    return Q


class _SubspaceState(FullState):
    """A = Q M Q^T + gamma (I - Q Q^T), held as the vector [M, (n - r)^1/2 gamma].

    The inner product of two such matrices is that of their vectors. With N = M - gamma I, A is
    Q N Q^T + gamma I, and the nearest such matrix to S A S^T has

        M' = G N G^T + gamma Q^T S S^T Q,  G = Q^T S Q,
        gamma' = (<N, Q^T S^T S Q> + gamma |S|_F^2 - tr M') / (n - r),

    the latter since tr M' + (n - r) gamma' is the trace of S A S^T.
    """

    def __init__(self, transitions: list[sparse.csr_array], basis: np.ndarray):
        self.transitions, self.basis = transitions, basis
        n, rank = basis.shape
        self.ones = np.eye(rank)
        self.root = (n - rank) ** 0.5
        self.products = []
        for S in transitions:
            right, left = S @ basis, S.T @ basis
            products = (basis.T @ right, left.T @ left, right.T @ right)
            norm = float(S.power(2).sum(dtype=np.float64))
            self.products.append((*(P.astype(np.float64) for P in products), norm))
        self.A = self.identity = np.append(self.ones, self.root)

    @property
    def affinity(self) -> SubspaceAffinity:
        A, weights, mu = self.before
        shares = weights / (1 + mu), mu / (1 + mu)
        return SubspaceAffinity(self.transitions, *shares, self.basis, *self._parts(A))

    def distance_to_identity(self) -> float:
        return float(np.sum((self.A - self.identity) ** 2))

    def _with_identity(self, new: np.ndarray, share: float) -> np.ndarray:
        return new + share * self.identity

    def _parts(self, A: np.ndarray) -> tuple[np.ndarray, float]:
        """Return N and gamma, which is 0 where the subspace is the whole space."""
        level = A[-1] / self.root if self.root else 0.0
        return A[:-1].reshape(self.ones.shape) - level * self.ones, level

    def _moved(self) -> Iterator[np.ndarray]:
        N, level = self._parts(self.A)
        for G, outer, inner, norm in self.products:
            M = G @ N @ G.T + level * outer
            off = np.vdot(N, inner) + level * norm - np.trace(M)
            yield np.append(M, off / self.root if self.root else 0.0)
