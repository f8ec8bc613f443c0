"""Regularised diffusion: one affinity from the graphs of several prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import sparse
from tqdm import tqdm

from mvlib._validation import check_choice, check_number
from mvlib.methods.ntk_spectral.weights import RULES, coordinate_weights, simplex_weights

COLUMNS = 128


@dataclass(frozen=True)
class Diffusion:
    """What a diffusion of several graphs came to.

    Attributes
    ----------
    affinity : ndarray of shape (n_samples, n_samples), or SubspaceAffinity
        A.
    prompt_weights : ndarray of shape (n_prompts,), float64
        beta after the last round. A was made with those before.
    objective : ndarray of shape (n_records,), float64
        J(A, beta) at the start and after each step.
    steps : tuple of str
        For each record what was done: "start", "diffusion" or "weights".
    """

    affinity: Any
    prompt_weights: np.ndarray
    objective: np.ndarray
    steps: tuple[str, ...]


class State(Protocol):
    """An affinity A that a diffusion can move, however it is held."""

    def smoothness(self) -> np.ndarray:
        """Return H_b = |A|^2 - <A, S_b A S_b^T> of each graph."""

    def advance(self, weights: np.ndarray, mu: float) -> tuple[np.ndarray, float]:
        """Diffuse once; return H of A before, and |A_new - A|_F / |A|_F."""

    def distance_to_identity(self) -> float:
        """Return |A - I|_F^2."""


def diffuse_affinities(
    transitions: list[sparse.csr_array],
    *,
    mu: float = 0.1,
    regularization: float = 10.0,
    n_rounds: int = 5,
    n_steps: int = 8,
    tol: float = 1e-4,
    weights: str = "exact",
) -> Diffusion:
    """Diffuse and weigh the graphs of several prompts, with A in full.

    Lowers, in turn over A and over beta on the simplex,

        J(A, beta) = sum_b beta_b H_b(A) + mu |A - I|_F^2 + (lambda / 2) |beta|^2,
        H_b(A) = |A|_F^2 - <A, S_b A S_b^T>,

    by the diffusion steps A <- sum_b beta_b / (1 + mu) S_b A S_b^T + mu / (1 + mu) I.

    Parameters
    ----------
    transitions : list of csr_array, each (n_samples, n_samples)
        S_b, as `normalize_graph` gives them, one a prompt.
    mu : float, default=0.1
        Pull towards the identity. The smaller, the farther A reaches.
    regularization : float, default=10.0
        lambda. The larger, the more equal the weights.
    n_rounds : int, default=5
        Rounds, each of diffusion steps and then one update of beta (as in the code).
    n_steps : int, default=8
        Diffusion steps of a round, at most (as in the code).
    tol : float, default=1e-4
        A round's steps end once A changes by less than this share of its norm.
    weights : {"exact", "coordinate"}, default="exact"
        The minimiser, or the code's rule, with which J can rise: `coordinate_weights`.

    Returns
    -------
    Diffusion

    Raises
    ------
    ValueError
        If there is no graph, their shapes differ, one holds NaN or infinity, or a parameter
        is out of range.

    Notes
    -----
    For symmetric S_b of spectral norm at most 1 (non-negative graphs, normalised
    symmetrically) a diffusion step is one of gradient descent on J with step 1 / (2 (1 +
    mu)), below 2 / L = 1 / (2 + mu): J does not rise, whatever the number of steps. Nor does
    it with exact weights. It can with `weights="coordinate"`, and under the row
    normalisation, whose fixed point is not J's minimum.

    Costs n_prompts products of a sparse with a full matrix twice a step, and five matrices
    of n x n numbers; in float64 if the transitions are.
    """
    check_transitions(transitions)
    return alternate(
        _FullState(transitions),
        len(transitions),
        mu=mu,
        regularization=regularization,
        n_rounds=n_rounds,
        n_steps=n_steps,
        tol=tol,
        weights=weights,
    )


def alternate(
    state: State,
    n_prompts: int,
    *,
    mu: float,
    regularization: float,
    n_rounds: int,
    n_steps: int,
    tol: float,
    weights: str,
) -> Diffusion:
    """Run the rounds of `diffuse_affinities` on an affinity, however it is held.

    Parameters
    ----------
    state : State
        The identity, to be moved in place. Its `affinity` is returned.
    n_prompts : int
        Number of graphs.
    mu, regularization, n_rounds, n_steps, tol, weights
        As in `diffuse_affinities`.

    Returns
    -------
    Diffusion

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """
    check_number("mu", mu, low=0, open_low=True)
    check_number("regularization", regularization, low=0, open_low=True)
    check_number("n_rounds", n_rounds, low=1, integer=True)
    check_number("n_steps", n_steps, low=1, integer=True)
    check_number("tol", tol, low=0)
    check_choice("weights", weights, RULES)
    beta = np.full(n_prompts, 1 / n_prompts)
    values: list[float] = []
    steps: list[str] = []

    def record(step: str, smoothness: np.ndarray, distance: float) -> None:
        values.append(beta @ smoothness + mu * distance + regularization / 2 * beta @ beta)
        steps.append(step)

    for turn in tqdm(range(n_rounds), desc="diffusion", leave=False, disable=None):
        for step in range(n_steps):
            distance = state.distance_to_identity()
            smoothness, change = state.advance(beta, mu)
            # H comes with the products of the next step, so a record lags by one.
            if step or not turn:
                record("diffusion" if step else "start", smoothness, distance)
            if change < tol:
                break
        smoothness, distance = state.smoothness(), state.distance_to_identity()
        record("diffusion", smoothness, distance)
        if weights == "exact":
            beta = simplex_weights(smoothness, regularization)
        else:
            beta = coordinate_weights(beta, smoothness, regularization)
        record("weights", smoothness, distance)
    return Diffusion(state.affinity, beta, np.array(values), tuple(steps))


def check_transitions(transitions: list[sparse.csr_array]) -> None:
    """Raise unless these are square sparse arrays of one shape with finite entries.

    Raises
    ------
    ValueError
        Otherwise.
    """
    if not len(transitions):
        raise ValueError("transitions is empty: expected one graph a prompt")
    shapes = [S.shape for S in transitions]
    if len(set(shapes)) > 1 or shapes[0][0] != shapes[0][1]:
        raise ValueError(f"transitions have shapes {shapes}: expected one square shape")
    for b, S in enumerate(transitions):
        if not np.isfinite(S.data).all():
            raise ValueError(f"transitions[{b}] holds NaN or infinity: expected finite numbers")


class _FullState:
    """A in full."""

    def __init__(self, transitions: list[sparse.csr_array]):
        self.transitions = transitions
        self.affinity = np.eye(transitions[0].shape[0], dtype=transitions[0].dtype)

    def smoothness(self) -> np.ndarray:
        norm = float(np.vdot(self.affinity, self.affinity))
        return np.array(
            [norm - np.vdot(self.affinity, self._moved(S)) for S in self.transitions]
        )

    def advance(self, weights: np.ndarray, mu: float) -> tuple[np.ndarray, float]:
        old = self.affinity
        norm = float(np.vdot(old, old))
        new = np.zeros_like(old)
        smoothness = np.empty(len(weights))
        for b, (S, weight) in enumerate(zip(self.transitions, weights, strict=True)):
            moved = self._moved(S)
            smoothness[b] = norm - np.vdot(old, moved)
            moved *= weight / (1 + mu)
            new += moved
        new[np.diag_indices_from(new)] += mu / (1 + mu)
        # The two triangles differ by rounding alone.
        new = (new + new.T) / 2
        self.affinity = new
        return smoothness, float(np.linalg.norm(new - old) / norm**0.5)

    def distance_to_identity(self) -> float:
        A = self.affinity
        return float(np.vdot(A, A) - 2 * np.trace(A) + len(A))

    def _moved(self, S: sparse.csr_array) -> np.ndarray:
        """Return S A S^T, as S (S A)^T, for A is symmetric."""
        half, whole = np.empty_like(self.affinity), np.empty_like(self.affinity)
        # So many columns at a time that they stay in the cache: some three times as quick.
        blocks = [slice(j, j + COLUMNS) for j in range(0, len(half), COLUMNS)]
        for block in blocks:
            half[:, block] = S @ self.affinity[:, block]
        for block in blocks:
            whole[:, block] = S @ half[block].T
        return whole
