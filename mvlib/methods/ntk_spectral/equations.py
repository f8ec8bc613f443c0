"""The equations of NTK spectral clustering: affinity, objective, diffusion, weights.

Source: Peng et al., "Delving into Spectral Clustering with Vision-Language
Representations", arXiv 2602.09586 (ICLR 2026). The paper's full text was not at hand; the
equations are those of its co-author's benchmark code (arXiv 2609.36648, "as coded").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from tqdm import tqdm

from mvlib.check import check_choice, check_number
from mvlib.methods.words import check_features, check_same_space
from mvlib.ops import resolve_device

AFFINITIES = ("ntk", "visual", "semantic", "rbf")
SEMANTIC = ("ntk", "semantic")
RULES = ("exact", "coordinate")
PASSES = 4
COLUMNS = 128


def noun_assignments(
    Z: np.ndarray, W: np.ndarray, temperature: float = 0.04, *, device: str = "auto"
) -> np.ndarray:
    """Return how each image spreads over the nouns.

        s_i = softmax(W^T z_i / tau)  (NTK, as coded)

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_features)
        Image features.
    W : array-like of shape (n_nouns, n_features)
        Text features of the positive nouns under one prompt.
    temperature : float, default=0.04
        tau.
    device : str, default="auto"
        Where to compute.

    Returns
    -------
    ndarray of shape (n_samples, n_nouns), float32
        Each row sums to one.

    Raises
    ------
    ValueError
        If the widths differ, values are not finite, or the temperature is not positive.

    Notes
    -----
    Rows of `Z` and `W` are L2-normalised first, as in the authors' code.
    """
    Z, W = check_features("Z", Z), check_features("W", W)
    check_same_space(images=Z, nouns=W)
    check_number("temperature", temperature, low=0, open_low=True)
    on = resolve_device(device)
    return assignments(torch.as_tensor(Z, device=on), [W], temperature).cpu().numpy()


def ntk_affinity(
    Z: np.ndarray,
    W: np.ndarray | None = None,
    temperature: float = 0.04,
    *,
    others: np.ndarray | None = None,
    affinity: str = "ntk",
    device: str = "auto",
) -> np.ndarray:
    """Return the affinity of images with images, all pairs.

        K(z_i, z_j) = tau^-2 (z_i . z_j) sum_k s_i[k] s_j[k]  (NTK, as coded)

    - "ntk": K. It is the neural tangent kernel of f_W(z) = log sum_k exp(w_k . z / tau) at
      the nouns W: the gradient of f by w_k is s[k] z / tau, so K is the inner product of the
      explicit features s (x) z / tau.
    - "visual": its first half, tau^-2 (z_i . z_j).
    - "semantic": its other half, tau^-2 sum_k s_i[k] s_j[k].
    - "rbf": exp(-|z_i - z_j|^2 / tau), which needs no noun.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_features)
        Image features.
    W : array-like of shape (n_nouns, n_features), optional
        Text features of the positive nouns under one prompt, for "ntk" and "semantic".
    temperature : float, default=0.04
        tau.
    others : array-like of shape (n_others, n_features), optional
        The images of the columns. By default those of the rows.
    affinity : {"ntk", "visual", "semantic", "rbf"}, default="ntk"
        Which.
    device : str, default="auto"
        Where to compute.

    Returns
    -------
    ndarray of shape (n_samples, n_others), float32

    Raises
    ------
    ValueError
        If nouns are missing, widths differ, values are not finite, the temperature is not
        positive, or the affinity is unknown.

    Notes
    -----
    Rows of `Z` and `W` are L2-normalised first. The matrix is n x n:
    `nearest_neighbors` is for what does not fit. The factor tau^-2 of the halves changes no
    neighbour; it keeps their degrees comparable with those of the kernel.
    """
    check_choice("affinity", affinity, AFFINITIES)
    check_number("temperature", temperature, low=0, open_low=True)
    Z = check_features("Z", Z)
    others = Z if others is None else check_features("others", others)
    check_same_space(Z=Z, others=others)
    on = resolve_device(device)
    sides = []
    for X in (Z, others):
        points = F.normalize(torch.as_tensor(X, device=on), dim=1)
        shares = None
        if affinity in SEMANTIC:
            if W is None:
                raise ValueError(f"affinity={affinity!r} needs W, the nouns' text features")
            nouns = check_features("W", W)
            check_same_space(images=X, nouns=nouns)
            shares = assignments(points, [nouns], temperature)
        sides.append((points, shares))
    return kernel_block(*sides[0], *sides[1], affinity, temperature).cpu().numpy()


def assignments(
    points: torch.Tensor, banks: list[np.ndarray], temperature: float
) -> torch.Tensor:
    """Return the assignments to the nouns of several prompts side by side.

    Parameters
    ----------
    points : Tensor of shape (n_samples, n_features), float32
        Images.
    banks : list of ndarray, each (n_nouns, n_features)
        Nouns, one array a prompt.
    temperature : float
        tau.

    Returns
    -------
    Tensor of shape (n_samples, len(banks) * n_nouns), float32
        Divided by the root of the number of prompts, so that an inner product of two rows
        is the mean over the prompts of sum_k s_i[k] s_j[k].
    """
    points = F.normalize(points, dim=1)
    parts = []
    for W in banks:
        nouns = F.normalize(torch.as_tensor(W, device=points.device), dim=1)
        parts.append(torch.softmax(points @ nouns.T / temperature, dim=1))
    return torch.cat(parts, dim=1) / len(banks) ** 0.5 if len(parts) > 1 else parts[0]


def kernel_block(
    rows: torch.Tensor,
    row_shares: torch.Tensor | None,
    columns: torch.Tensor,
    column_shares: torch.Tensor | None,
    affinity: str,
    temperature: float,
) -> torch.Tensor:
    """Return the affinity of some images with some images.

    Parameters
    ----------
    rows, columns : Tensor of shape (n_rows, n_features), (n_columns, n_features)
        Images, of unit length.
    row_shares, column_shares : Tensor of shape (n_rows, n_nouns), (n_columns, n_nouns)
        Their assignments; None where the affinity reads none.
    affinity : {"ntk", "visual", "semantic", "rbf"}
        Which.
    temperature : float
        tau.

    Returns
    -------
    Tensor of shape (n_rows, n_columns)
    """
    if affinity == "semantic":
        return (row_shares @ column_shares.T).div_(temperature**2)
    block = rows @ columns.T
    if affinity == "rbf":
        return block.mul_(2).sub_(2).clamp_max_(0).div_(temperature).exp_()
    if affinity == "ntk":
        block.mul_(row_shares @ column_shares.T)
    return block.div_(temperature**2)


def objective(
    smoothness: np.ndarray, distance: float, beta: np.ndarray, mu: float, regularization: float
) -> float:
    """Return what diffusion and weights minimise.

        J(A, beta) = sum_b beta_b H_b(A) + mu |A - I|_F^2 + (lambda/2) |beta|^2  (NTK, as coded)
        H_b(A) = |A|_F^2 - <A, S_b A S_b^T>

    Parameters
    ----------
    smoothness : ndarray of shape (n_prompts,)
        H_b.
    distance : float
        |A - I|_F^2.
    beta : ndarray of shape (n_prompts,)
        Weights of the prompts.
    mu, regularization : float
        mu and lambda.

    Returns
    -------
    float
    """
    return beta @ smoothness + mu * distance + regularization / 2 * beta @ beta


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

    Lowers J of `objective` in turn over A, by the diffusion steps

        A <- sum_b beta_b / (1 + mu) S_b A S_b^T + mu / (1 + mu) I  (NTK, as coded)

    and over beta on the simplex.

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
        values.append(objective(smoothness, distance, beta, mu, regularization))
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


def simplex_weights(smoothness: np.ndarray, regularization: float = 10.0) -> np.ndarray:
    """Return the weights of the prompts, given how smooth A is on each graph.

        beta = argmin sum_b beta_b H_b + (lambda/2) |beta|^2 over the simplex  (NTK, paper)

    The simplex is beta_b >= 0, sum_b beta_b = 1; the minimiser is its point nearest to
    -H / lambda.

    Parameters
    ----------
    smoothness : ndarray of shape (n_prompts,)
        H_b = |A|_F^2 - <A, S_b A S_b^T>.
    regularization : float, default=10.0
        lambda. The larger, the more equal the weights.

    Returns
    -------
    ndarray of shape (n_prompts,), float64

    Raises
    ------
    ValueError
        If `smoothness` is not a finite vector, or lambda is not positive.
    """
    target = -_checked(smoothness, regularization) / regularization
    return project_to_simplex(target)


def coordinate_weights(
    weights: np.ndarray, smoothness: np.ndarray, regularization: float = 10.0
) -> np.ndarray:
    """Return beta after the pairwise coordinate descent of the authors' code.

        beta_i <- (lambda (beta_i + beta_j) + H_j - H_i) / (2 lambda)  (NTK, as coded)

    in four passes over all pairs i < j, each then projected to the simplex.

    Parameters
    ----------
    weights : ndarray of shape (n_prompts,)
        beta before.
    smoothness : ndarray of shape (n_prompts,)
        H.
    regularization : float, default=10.0
        lambda.

    Returns
    -------
    ndarray of shape (n_prompts,), float64

    Raises
    ------
    ValueError
        If `smoothness` is not a finite vector, or lambda is not positive.

    Notes
    -----
    The code clips beta_i to [0, 1] instead of [0, beta_i + beta_j]. Where the H differ by
    more than lambda (beta_i + beta_j) the pair then sums to more than before, later pairs
    keep weight that they should lose, and the projection takes some from the best prompt. The
    result is not the minimiser, and may be worse than the weights before: with this rule the
    objective can rise. `simplex_weights` is the minimiser.
    """
    smoothness = _checked(smoothness, regularization)
    weights = np.array(weights, dtype=np.float64)
    for _ in range(PASSES):
        for i in range(len(weights)):
            for j in range(i + 1, len(weights)):
                both = weights[i] + weights[j]
                moved = regularization * both + smoothness[j] - smoothness[i]
                weights[i] = np.clip(moved / (2 * regularization), 0, 1)
                weights[j] = np.clip(both - weights[i], 0, 1)
        weights = project_to_simplex(weights)
    return weights


def project_to_simplex(point: np.ndarray) -> np.ndarray:
    """Return the nearest point with no negative entry and sum one.

    Parameters
    ----------
    point : ndarray of shape (n,)
        Any vector.

    Returns
    -------
    ndarray of shape (n,), float64
    """
    ordered = np.sort(point)[::-1]
    excess = (np.cumsum(ordered) - 1) / np.arange(1, len(point) + 1)
    shift = excess[np.flatnonzero(ordered > excess)[-1]]
    return np.maximum(point - shift, 0)


def _checked(smoothness: np.ndarray, regularization: float) -> np.ndarray:
    check_number("regularization", regularization, low=0, open_low=True)
    smoothness = np.asarray(smoothness, dtype=np.float64)
    if smoothness.ndim != 1 or not len(smoothness) or not np.isfinite(smoothness).all():
        raise ValueError(
            f"smoothness of shape {smoothness.shape} is not usable: expected a finite number "
            "for each prompt"
        )
    return smoothness
