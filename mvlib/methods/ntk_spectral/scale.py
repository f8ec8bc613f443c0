"""Ours, for many images: explicit features, a diffusion in a subspace, a search in cells."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy import linalg, sparse
from tqdm import tqdm

from mvlib.check import check_choice, check_n_clusters, check_number
from mvlib.methods.ntk_spectral.equations import (
    AFFINITIES,
    SEMANTIC,
    Diffusion,
    alternate,
    assignments,
    check_transitions,
    kernel_block,
)
from mvlib.methods.words import check_features, check_same_space
from mvlib.ops import blocked_kmeans, resolve_device

SKETCHES = ("nystrom", "tensorsketch")
BLOCK_BYTES = 1 << 26
# Directions of the landmarks' kernel below this share of its largest are noise.
RANK_TOLERANCE = 1e-6
# Cells of the search: images of one, those compared with one, and landmarks to make them by.
CELL_ROWS = 256
CANDIDATES = 4096
LANDMARKS = 256
# Sparse products of the search for the basis, so many between two orthogonalisations.
SWEEPS, PRODUCTS = 8, 4


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
    Z : array-like of shape (n_samples, n_features_in)
        Image features.
    banks : list of array-like, each (n_nouns, n_features_in), optional
        Text features of the positive nouns, one array a prompt, for "ntk" and "semantic".
    n_features : int, default=1024
        Width of what is returned; less for "nystrom" where the landmarks' kernel has a
        smaller rank.
    temperature : float, default=0.04
        tau.
    affinity : {"ntk", "visual", "semantic", "rbf"}, default="ntk"
        As in `ntk_affinity`.
    sketch : {"nystrom", "tensorsketch"}, default="nystrom"
        Which.
    device : str, default="auto"
        Where to compute.
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
    check_choice("affinity", affinity, AFFINITIES)
    check_choice("sketch", sketch, SKETCHES)
    check_number("temperature", temperature, low=0, open_low=True)
    Z = check_features("Z", Z)
    check_number("n_features", n_features, low=1, integer=True)
    if affinity in SEMANTIC:
        if not banks:
            raise ValueError(f"affinity={affinity!r} needs banks, the nouns of each prompt")
        banks = [check_features(f"banks[{b}]", W) for b, W in enumerate(banks)]
        check_same_space(images=Z, **{f"banks[{b}]": W for b, W in enumerate(banks)})
    else:
        banks = None
    on = resolve_device(device)
    rng = np.random.default_rng(random_state)
    if sketch == "tensorsketch":
        if affinity != "ntk":
            raise ValueError(f"affinity={affinity!r} is no product: expected 'ntk' to sketch")
        mapped = _tensor_sketch(Z, banks, n_features, temperature, rng, on)
        width = n_features
    else:
        mapped, width = _nystrom(Z, banks, n_features, temperature, affinity, rng, on)
    result = np.empty((len(Z), width), dtype=np.float32)
    nouns = sum(len(W) for W in banks) if banks else 0
    step = max(1, BLOCK_BYTES // (4 * (Z.shape[1] + 2 * nouns + 2 * n_features)))
    for start in tqdm(range(0, len(Z), step), desc="features", leave=False, disable=None):
        rows = slice(start, start + step)
        points = F.normalize(torch.as_tensor(Z[rows], device=on), dim=1)
        result[rows] = mapped(points).cpu().numpy()
    return result


def feature_embedding(features: np.ndarray, n_clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the spectral embedding of A = F F^T from the Gram matrix of its features.

    The eigenvectors of D^-1/2 F F^T D^-1/2 are those of the r x r matrix F^T D^-1 F, mapped
    by D^-1/2 F: 2 n r^2 operations and r^2 numbers, never n x n.

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

    Notes
    -----
    *Deviations*. The diagonal of A counts here; against the sum of n entries it is small.
    """
    F_ = np.asarray(features)
    if F_.ndim != 2 or 0 in F_.shape or not np.isfinite(F_.sum(dtype=np.float64)):
        raise ValueError(
            f"features of shape {F_.shape} are not usable: expected a finite matrix"
        )
    check_n_clusters(n_clusters, len(F_))
    if F_.shape[1] < n_clusters:
        raise ValueError(
            f"features have width {F_.shape[1]}: expected at least n_clusters={n_clusters}"
        )
    total = F_.sum(axis=0, dtype=np.float64)
    step = max(1, BLOCK_BYTES // (8 * F_.shape[1]))
    blocks = [slice(start, start + step) for start in range(0, len(F_), step)]
    degrees = np.concatenate([F_[rows] @ total for rows in blocks])
    if not (degrees > 0).all():
        row = int(degrees.argmin())
        raise ValueError(
            f"features give row {row} the degree {degrees[row]:.3g}: expected positive "
            "degrees; take more features"
        )
    scale = 1 / np.sqrt(degrees)
    gram = np.zeros((F_.shape[1], F_.shape[1]))
    for rows in blocks:
        block = torch.from_numpy(F_[rows] * scale[rows, None].astype(np.float32))
        gram += (block.T @ block).numpy()
    last = [len(gram) - n_clusters, len(gram) - 1]
    values, vectors = linalg.eigh(gram, subset_by_index=last)
    values, vectors = values[::-1], vectors[:, ::-1]
    embedding = np.empty((len(F_), n_clusters))
    turned = vectors.astype(np.float32) / np.sqrt(np.maximum(values, 1e-30)).astype(np.float32)
    for rows in blocks:
        # Once by D^-1/2 for the features, once for the embedding.
        embedding[rows] = (F_[rows] @ turned) / degrees[rows, None]
    return embedding, values


def _nystrom(Z, banks, n_features, temperature, affinity, rng, on):
    if n_features > len(Z):
        raise ValueError(
            f"n_features={n_features} is more than the {len(Z)} images: expected at most one "
            "landmark an image"
        )
    chosen = np.sort(rng.choice(len(Z), n_features, replace=False))
    landmarks = F.normalize(torch.as_tensor(Z[chosen], device=on), dim=1)
    shares = assignments(landmarks, banks, temperature) if banks else None
    inner = kernel_block(landmarks, shares, landmarks, shares, affinity, temperature)
    values, vectors = torch.linalg.eigh(inner.double())
    kept = values > RANK_TOLERANCE * values[-1]
    root = (vectors[:, kept] / values[kept].sqrt()).float()

    def mapped(points: torch.Tensor) -> torch.Tensor:
        own = assignments(points, banks, temperature) if banks else None
        return kernel_block(points, own, landmarks, shares, affinity, temperature) @ root

    return mapped, root.shape[1]


def _tensor_sketch(Z, banks, n_features, temperature, rng, on):
    hashes = []
    for width in (Z.shape[1], sum(len(W) for W in banks)):
        column = torch.as_tensor(rng.integers(0, n_features, width), device=on)
        sign = torch.as_tensor(rng.choice(np.float32([-1, 1]), width), device=on)
        hashes.append((column, sign))

    def counted(X: torch.Tensor, column: torch.Tensor, sign: torch.Tensor) -> torch.Tensor:
        return X.new_zeros(len(X), n_features).index_add_(1, column, X * sign)

    def mapped(points: torch.Tensor) -> torch.Tensor:
        own = assignments(points, banks, temperature)
        spectra = [
            torch.fft.rfft(counted(X, *pair), dim=1)
            for X, pair in zip((points, own), hashes, strict=True)
        ]
        return torch.fft.irfft(spectra[0] * spectra[1], n=n_features, dim=1) / temperature

    return mapped


class SubspaceAffinity:
    """An affinity A that is known through its products.

    A = sum_b alpha_b S_b (Q M Q^T + gamma I) S_b^T + alpha_0 I: one exact diffusion step from
    a matrix that is full on a subspace and a multiple of the identity off it.

    Parameters
    ----------
    transitions : list of csr_array, each (n_samples, n_samples)
        S_b.
    weights : ndarray of shape (n_prompts,)
        alpha_b.
    identity : float
        alpha_0.
    basis : ndarray of shape (n_samples, rank), float32
        Q, of orthonormal columns.
    core : ndarray of shape (rank, rank), float64
        M, symmetric.
    level : float
        gamma.

    Attributes
    ----------
    shape : tuple of int
        (n_samples, n_samples).
    """

    def __init__(
        self,
        transitions: list[sparse.csr_array],
        weights: np.ndarray,
        identity: float,
        basis: np.ndarray,
        core: np.ndarray,
        level: float,
    ):
        self.transitions, self.weights, self.identity = transitions, weights, identity
        self.basis, self.core, self.level = basis, core, level
        self.shape = (len(basis), len(basis))

    def __matmul__(self, X: np.ndarray) -> np.ndarray:
        """Return A X, for X of shape (n_samples,) or (n_samples, n_columns)."""
        X = np.asarray(X, dtype=np.float32)
        result = np.float32(self.identity) * X
        core = self.core.astype(np.float32)
        for S, weight in zip(self.transitions, self.weights, strict=True):
            if weight:
                inner = S.T @ X
                inner = self.basis @ (core @ (self.basis.T @ inner)) + self.level * inner
                result += np.float32(weight) * (S @ inner)
        return result

    def diagonal(self) -> np.ndarray:
        """Return the diagonal of A, of shape (n_samples,), float64."""
        result = np.full(len(self.basis), self.identity)
        core = self.core.astype(np.float32)
        for S, weight in zip(self.transitions, self.weights, strict=True):
            if weight:
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
        least = np.zeros_like(found)
        for S, weight in zip(self.transitions, self.weights, strict=True):
            if weight:
                off = S @ (S.T @ ones) - S.power(2).sum(axis=1)
                least += weight * self.identity * off
        return np.maximum(found, least)

    def rows(self, indices: np.ndarray) -> np.ndarray:
        """Return rows of A.

        Parameters
        ----------
        indices : array-like of shape (n_rows,), int
            Which.

        Returns
        -------
        ndarray of shape (n_rows, n_samples), float32
        """
        indices = np.asarray(indices)
        columns = np.zeros((len(self.basis), len(indices)), dtype=np.float32)
        columns[indices, np.arange(len(indices))] = 1
        return (self @ columns).T

    def leading(self, n_vectors: int) -> np.ndarray:
        """Return the leading vectors of its core, (n_samples, at most n_vectors)."""
        return self.basis @ np.linalg.eigh(self.core)[1][:, ::-1][:, :n_vectors]

    def toarray(self) -> np.ndarray:
        """Return A in full, of shape (n_samples, n_samples), float32."""
        return self.rows(np.arange(len(self.basis)))


def diffuse_in_subspace(
    transitions: list[sparse.csr_array],
    rank: int,
    *,
    mu: float = 0.1,
    regularization: float = 10.0,
    n_rounds: int = 5,
    n_steps: int = 8,
    tol: float = 1e-4,
    weights: str = "exact",
    random_state: int | None = None,
) -> Diffusion:
    """Diffuse and weigh the graphs of several prompts with matrices of rank x rank.

    Lowers the objective of `diffuse_affinities` over the matrices Q M Q^T + gamma (I - Q Q^T),
    Q an orthonormal basis of the slow part of the mean graph. Each step is the diffusion step,
    projected back onto these matrices: projected gradient descent, so J does not rise
    either, and it is J itself, at its value there. The last step is left unprojected.

    Parameters
    ----------
    transitions : list of csr_array, each (n_samples, n_samples)
        S_b, one a prompt.
    rank : int
        Columns of Q; at most n_samples, where nothing is lost.
    mu, regularization, n_rounds, n_steps, tol, weights
        As in `diffuse_affinities`.
    random_state : int, optional
        Seed of the first basis.

    Returns
    -------
    Diffusion
        Its affinity is a `SubspaceAffinity`.

    Raises
    ------
    ValueError
        As `diffuse_affinities`, or if the rank is out of range.

    Notes
    -----
    Ours: the paper and its code hold A in full, or in blocks on disk. A differs from a
    multiple of the identity where the graphs have slow directions, and a clustering reads no
    others. Costs some 30 products of the mean graph with Q, four products of each S_b with Q,
    and 4 n_prompts rank^3 operations a step.
    """
    check_transitions(transitions)
    n = transitions[0].shape[0]
    check_number("rank", rank, low=1, high=n, integer=True)
    basis = slow_basis(transitions, rank, random_state)
    return alternate(
        _SubspaceState(transitions, basis),
        len(transitions),
        mu=mu,
        regularization=regularization,
        n_rounds=n_rounds,
        n_steps=n_steps,
        tol=tol,
        weights=weights,
    )


def slow_basis(
    transitions: list[sparse.csr_array], rank: int, random_state: int | None = None
) -> np.ndarray:
    """Return a basis of the directions that the mean of the graphs changes least.

    Parameters
    ----------
    transitions : list of csr_array, each (n_samples, n_samples)
        S_b.
    rank : int
        Number of directions.
    random_state : int, optional
        Seed.

    Returns
    -------
    ndarray of shape (n_samples, rank), float32
        Orthonormal columns.

    Notes
    -----
    Orthogonal iteration with (S + I) / 2, a block method, so that as many components as
    there are come out. It need not converge: what it misses of a slow direction, the exact
    last step of the diffusion returns.
    """
    n = transitions[0].shape[0]
    mean = sparse.csr_array(sum(transitions) / np.float32(len(transitions)), dtype=np.float32)
    rng = np.random.default_rng(random_state)
    Q = rng.standard_normal((n, rank), dtype=np.float32)
    if rank == n:
        return _orthonormal(Q)
    for _ in range(SWEEPS):
        for _ in range(PRODUCTS):
            Q = (mean @ Q + Q) / 2
        Q = _orthonormal(Q)
    return Q


def _orthonormal(Q: np.ndarray) -> np.ndarray:
    return torch.linalg.qr(torch.from_numpy(np.ascontiguousarray(Q))).Q.numpy()


class _SubspaceState:
    """A = Q M Q^T + gamma (I - Q Q^T), by M and gamma: n x n is never held.

    With G = Q^T S Q and N = M - gamma I, A = Q N Q^T + gamma I and

        Q^T S A S^T Q = G N G^T + gamma Q^T S S^T Q,
        tr(S A S^T) = <N, Q^T S^T S Q> + gamma |S|_F^2,

    so the nearest matrix of A's form to S A S^T has the first as its core, and as its level
    what the trace leaves over, spread over the n - r directions off Q. The inner product of two
    such matrices is <M, M'> + gamma gamma' (n - r).
    """

    def __init__(self, transitions: list[sparse.csr_array], basis: np.ndarray):
        self.transitions, self.basis = transitions, basis
        self.n, self.rank = basis.shape
        self.rest = max(self.n - self.rank, 1)
        self.between, self.outer, self.inner, self.norms = [], [], [], []
        for S in transitions:
            moved, back = S @ basis, S.T @ basis
            self.between.append((basis.T @ moved).astype(np.float64))
            self.inner.append((moved.T @ moved).astype(np.float64))
            self.outer.append((back.T @ back).astype(np.float64))
            self.norms.append(float(S.power(2).sum(dtype=np.float64)))
        self.core, self.level = np.eye(self.rank), 1.0
        self._before: tuple | None = None

    @property
    def affinity(self) -> SubspaceAffinity:
        core, level, weights, mu = self._before
        return SubspaceAffinity(
            self.transitions,
            weights / (1 + mu),
            mu / (1 + mu),
            self.basis,
            core - level * np.eye(self.rank),
            level,
        )

    def smoothness(self) -> np.ndarray:
        return self._smoothness(self._products())

    def advance(self, weights: np.ndarray, mu: float) -> tuple[np.ndarray, float]:
        products = self._products()
        smoothness = self._smoothness(products)
        self._before = self.core, self.level, weights, mu
        old, old_level = self.core, self.level
        moved = sum(w * core for w, (core, _) in zip(weights, products, strict=True))
        moved_level = sum(w * level for w, (_, level) in zip(weights, products, strict=True))
        self.core = (moved + mu * np.eye(self.rank)) / (1 + mu)
        self.level = (moved_level + mu) / (1 + mu)
        change = self._norm(self.core - old, self.level - old_level) / self._norm(
            old, old_level
        )
        return smoothness, change**0.5

    def distance_to_identity(self) -> float:
        return self._norm(self.core - np.eye(self.rank), self.level - 1)

    def _norm(self, core: np.ndarray, level: float) -> float:
        """Return the squared Frobenius norm of Q core Q^T + level (I - Q Q^T)."""
        return float(np.vdot(core, core) + level**2 * (self.n - self.rank))

    def _products(self) -> list[tuple[np.ndarray, float]]:
        """Return each S_b A S_b^T, projected onto matrices of A's form."""
        above = self.core - self.level * np.eye(self.rank)
        found = []
        for G, outer, inner, norm in zip(
            self.between, self.outer, self.inner, self.norms, strict=True
        ):
            core = G @ above @ G.T + self.level * outer
            trace = np.vdot(above, inner) + self.level * norm
            found.append((core, (trace - np.trace(core)) / self.rest))
        return found

    def _smoothness(self, products: list[tuple[np.ndarray, float]]) -> np.ndarray:
        norm = self._norm(self.core, self.level)
        off = self.level * (self.n - self.rank)
        return np.array([norm - np.vdot(self.core, C) - off * level for C, level in products])


def partition(
    Z: np.ndarray,
    banks: list[np.ndarray] | None,
    temperature: float,
    affinity: str,
    device: str = "auto",
    random_state: int | None = None,
) -> np.ndarray:
    """Return cells of some 256 images each, near to one another by affinity.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_features), float32
        Image features.
    banks : list of ndarray, each (n_nouns, n_features), optional
        Nouns, one array a prompt; the affinity is averaged over them.
    temperature : float
        tau.
    affinity : {"ntk", "visual", "semantic", "rbf"}
        Which.
    device : str, default="auto"
        Where to compute.
    random_state : int, optional
        Seed of the landmarks and of k-means.

    Returns
    -------
    ndarray of shape (n_samples,), int64

    Notes
    -----
    k-means of Nystrom features on 256 landmarks. Their lengths stay as they are: the kernel
    is not a cosine, and images of large norm are near to many, so they get cells of their
    own.
    """
    features = explicit_features(
        Z,
        banks,
        min(LANDMARKS, len(Z)),
        temperature=temperature,
        affinity=affinity,
        device=device,
        random_state=random_state,
    )
    n_cells = max(1, len(Z) // CELL_ROWS)
    return blocked_kmeans(
        features, n_cells, max_iter=10, device=device, random_state=random_state
    ).labels


def blocks_of_cells(
    points: torch.Tensor,
    shares: torch.Tensor | None,
    cells: np.ndarray,
    affinity: str,
    temperature: float,
    n_neighbors: int,
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return rows of each cell, and the rows of the cells nearest to it."""
    on = points.device
    numbers = torch.as_tensor(cells, device=on)
    sizes = torch.bincount(numbers)
    members = torch.argsort(numbers, stable=True).cpu().split(sizes.tolist())
    inverse = 1 / sizes.clamp_min(1).unsqueeze(1)
    means = [
        None
        if X is None
        else inverse * X.new_zeros(len(sizes), X.shape[1]).index_add_(0, numbers, X)
        for X in (points, shares)
    ]
    between = kernel_block(*means, *means, affinity, temperature)
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


def taken(
    points: torch.Tensor, shares: torch.Tensor | None, rows: torch.Tensor | slice
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return images and assignments of some rows."""
    return points[rows], None if shares is None else shares[rows]
