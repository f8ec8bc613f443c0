"""The diffusion without a matrix of n x n: A in a subspace, its last step exact."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse

from mvlib._validation import check_number
from mvlib.methods.ntk_spectral.affinity import SubspaceAffinity
from mvlib.methods.ntk_spectral.diffusion import Diffusion, alternate, check_transitions

# Sparse products of the search for the basis, so many between two orthogonalisations.
SWEEPS, PRODUCTS = 8, 4


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
    """A = Q M Q^T + gamma (I - Q Q^T), by M and gamma."""

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
