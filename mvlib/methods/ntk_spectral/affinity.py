"""An affinity that is never written out."""

from __future__ import annotations

import numpy as np
from scipy import sparse


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

    def toarray(self) -> np.ndarray:
        """Return A in full, of shape (n_samples, n_samples), float32."""
        return self.rows(np.arange(len(self.basis)))
