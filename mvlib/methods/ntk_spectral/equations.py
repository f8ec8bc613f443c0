"""The equations of NTK spectral clustering: affinity, graph, objective, diffusion, weights.

Source: Peng et al., "Delving into Spectral Clustering with Vision-Language
Representations", arXiv 2602.09586 (ICLR 2026). The paper's full text was not at hand; the
equations are those of its co-author's benchmark code (arXiv 2609.36648, "as coded").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from tqdm import tqdm

from mvlib.check import check_choice, check_number
from mvlib.methods.features import check_features, check_same_space
from mvlib.ops import resolve_device

AFFINITIES = ("ntk", "visual", "semantic", "rbf")
SEMANTIC = ("ntk", "semantic")
GRAPHS = ("mutual", "union")
NORMALIZATIONS = ("symmetric", "row")
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
    Z, W, temperature, device
        As in `ntk_affinity`.

    Returns
    -------
    ndarray of shape (n_samples, n_nouns), float32
        Each row sums to one.
    """
    kernel = Kernel({"W": W}, temperature, "semantic", device)
    return kernel.side("Z", Z).shares.cpu().numpy()


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
    Rows of `Z` and `W` are L2-normalised first, as in the code. The matrix is n x n:
    `nearest_neighbors` is for what does not fit. The factor tau^-2 of the halves changes no
    neighbour; it keeps their degrees comparable with those of the kernel.
    """
    kernel = Kernel({"W": W}, temperature, affinity, device)
    rows = kernel.side("Z", Z)
    columns = rows if others is None else kernel.side("others", others)
    check_same_space(Z=rows.points, others=columns.points)
    return kernel(rows, columns).cpu().numpy()


class Side(NamedTuple):
    """Images of unit length, and what they spread over the nouns, none if that is not read."""

    points: torch.Tensor
    shares: torch.Tensor

    def take(self, rows: torch.Tensor | slice) -> Side:
        """Return some of the images."""
        return Side(self.points[rows], self.shares[rows])


class Kernel:
    """An affinity of `ntk_affinity`, its mean over the nouns of several prompts.

    `nouns` maps the caller's name of each prompt's features to them.
    """

    def __init__(
        self, nouns: Mapping[str, Any], temperature: float, affinity: str, device: str
    ):
        check_choice("affinity", affinity, AFFINITIES)
        check_number("temperature", temperature, low=0, open_low=True)
        self.temperature, self.affinity = temperature, affinity
        self.device = resolve_device(device)
        self.nouns: dict[str, torch.Tensor] = {}
        for name, W in nouns.items() if affinity in SEMANTIC else ():
            if W is None:
                raise ValueError(f"affinity={affinity!r} needs {name}, the nouns' features")
            unit = torch.as_tensor(check_features(name, W), device=self.device)
            self.nouns[name] = F.normalize(unit, dim=1)

    def side(self, argument: str, Z: Any) -> Side:
        """Return images as the kernel reads them."""
        Z = check_features(argument, Z)
        check_same_space(**{argument: Z}, **self.nouns)
        points = F.normalize(torch.as_tensor(Z, device=self.device), dim=1)
        if not self.nouns:
            return Side(points, points[:, :0])
        parts = [
            torch.softmax(points @ W.T / self.temperature, dim=1) for W in self.nouns.values()
        ]
        # Of such rows an inner product is the mean over the prompts of sum_k s_i[k] s_j[k].
        shares = torch.cat(parts, dim=1) / len(parts) ** 0.5 if len(parts) > 1 else parts[0]
        return Side(points, shares)

    def __call__(self, rows: Side, columns: Side) -> torch.Tensor:
        """Return the affinity of some images with some images."""
        if self.affinity == "semantic":
            return (rows.shares @ columns.shares.T).div_(self.temperature**2)
        block = rows.points @ columns.points.T
        if self.affinity == "rbf":
            return block.mul_(2).sub_(2).clamp_max_(0).div_(self.temperature).exp_()
        if self.affinity == "ntk":
            block.mul_(rows.shares @ columns.shares.T)
        return block.div_(self.temperature**2)


@dataclass(frozen=True)
class Neighbors:
    """Affinities of the nearest others of each image, from the largest, and whose they are."""

    values: np.ndarray
    indices: np.ndarray


def sparsify(
    affinity: np.ndarray | Neighbors,
    n_neighbors: int = 30,
    graph: str = "mutual",
    *,
    clip_negatives: bool = False,
) -> sparse.csr_array:
    """Keep the edges of nearest neighbours.

        A_ij = K_ij where i is among the q nearest of j and j of i, else 0  (NTK, paper)

    Parameters
    ----------
    affinity : ndarray of shape (n_samples, n_samples), or Neighbors
        All affinities, symmetric, the diagonal not read; or what `nearest_neighbors` gives.
    n_neighbors : int, default=30
        q. Of `Neighbors`, so many of each list.
    graph : {"mutual", "union"}, default="mutual"
        "mutual" keeps an edge if each end is among the q nearest of the other (the paper);
        "union" if one is (the authors' later code, which has no negative edge that one end
        alone lists; nor has this with `clip_negatives`).
    clip_negatives : bool, default=False
        Whether to drop edges of negative affinity (as in the code).

    Returns
    -------
    csr_array of shape (n_samples, n_samples), float32
        Symmetric, with an empty diagonal.

    Raises
    ------
    ValueError
        If the matrix is not square and finite, q is out of range, or the rule is unknown.
    """
    check_choice("graph", graph, GRAPHS)
    lists = affinity if isinstance(affinity, Neighbors) else _sorted(affinity)
    n, listed = lists.values.shape
    q = check_number("n_neighbors", n_neighbors, low=1, high=listed, integer=True)
    values, indices = lists.values[:, :q], lists.indices[:, :q]
    # Indices of 32 bits, the only ones that scikit-learn and multigrid take.
    pattern = indices.ravel().astype(np.int32), np.arange(0, n * q + 1, q, dtype=np.int32)
    kept = sparse.csr_array((np.ones(n * q, np.float32), *pattern), shape=(n, n))
    weights = sparse.csr_array((values.ravel().astype(np.float32), *pattern), shape=(n, n))
    both = kept.multiply(kept.T)
    if graph == "mutual":
        # The two ends differ by rounding alone.
        result = (weights + weights.T).multiply(both) / 2
    else:
        result = weights + weights.T - (weights + weights.T).multiply(both) / 2
    result = sparse.csr_array(result, dtype=np.float32)
    if clip_negatives:
        result.data[result.data < 0] = 0
    result.eliminate_zeros()
    result.sort_indices()
    return result


def _sorted(affinity: np.ndarray) -> Neighbors:
    """Return all others of each image, the nearest first."""
    affinity = np.array(affinity, dtype=np.float32)
    n = len(affinity)
    if affinity.shape != (n, n) or not np.isfinite(affinity).all():
        raise ValueError(
            f"affinity of shape {affinity.shape} is not usable: expected a square matrix of "
            "finite numbers"
        )
    np.fill_diagonal(affinity, -np.inf)
    indices = np.argsort(-affinity, axis=1, kind="stable")[:, :-1]
    return Neighbors(np.take_along_axis(affinity, indices, axis=1), indices)


def normalize_graph(
    graph: sparse.csr_array, normalization: str = "symmetric", *, degree_floor: float = 0.0
) -> sparse.csr_array:
    """Return the transitions S of a graph A with degrees D.

        S = D^-1/2 A D^-1/2  (NTK, as coded)

    Parameters
    ----------
    graph : csr_array of shape (n_samples, n_samples)
        A.
    normalization : {"symmetric", "row"}, default="symmetric"
        S = D^-1/2 A D^-1/2, or S = D^-1 A.
    degree_floor : float, default=0.0
        Degrees below count as this. The authors' later code has 1.

    Returns
    -------
    csr_array of shape (n_samples, n_samples), of the dtype of `graph`
        A row whose degree is not positive stays empty.

    Raises
    ------
    ValueError
        If the normalisation is unknown or the floor negative.

    Notes
    -----
    The code is symmetric. Of the paper, the update A <- sum_b beta_b S_b A S_b^T / (1 + mu) +
    ... and H_b = |A|^2 - <A, S_b A S_b^T> are known: they belong to one objective only if S_b
    is symmetric, hence the default. Under "row" the update is no step of descent.
    """
    check_choice("normalization", normalization, NORMALIZATIONS)
    check_number("degree_floor", degree_floor, low=0)
    degrees = np.maximum(graph.sum(axis=1, dtype=np.float64), degree_floor)
    scale = np.divide(1, degrees, out=np.zeros_like(degrees), where=degrees > 0)
    if normalization == "symmetric":
        root = sparse.diags_array(np.sqrt(scale))
        result = root @ graph @ root
    else:
        result = sparse.diags_array(scale) @ graph
    return sparse.csr_array(result, dtype=graph.dtype)


def objective(
    smoothness: np.ndarray, distance: float, beta: np.ndarray, mu: float, regularization: float
) -> float:
    """Return what diffusion and weights minimise, `distance` being |A - I|_F^2.

    J(A, beta) = sum_b beta_b H_b(A) + mu |A - I|_F^2 + (lambda/2) |beta|^2  (NTK, as coded)
    H_b(A) = |A|_F^2 - <A, S_b A S_b^T>
    """
    return beta @ smoothness + mu * distance + regularization / 2 * beta @ beta


@dataclass(frozen=True)
class Diffusion:
    """What a diffusion of several graphs came to.

    A, or a `SubspaceAffinity`; beta after the last round, while A was made with those before;
    J(A, beta) at the start and after each step, and which that was: "start", "diffusion" or
    "weights".
    """

    affinity: Any
    prompt_weights: np.ndarray
    objective: np.ndarray
    steps: tuple[str, ...]


class FullState:
    """A in full, from the identity on: what a diffusion moves, and how."""

    def __init__(self, transitions: list[sparse.csr_array]):
        self.transitions = transitions
        self.A = np.eye(transitions[0].shape[0], dtype=transitions[0].dtype)

    @property
    def affinity(self) -> Any:
        """A, as it is returned."""
        return self.A

    def smoothness(self) -> np.ndarray:
        """Return H_b = |A|^2 - <A, S_b A S_b^T> of each graph."""
        return np.array([np.vdot(self.A, self.A) - np.vdot(self.A, M) for M in self._moved()])

    def advance(self, weights: np.ndarray, mu: float) -> tuple[np.ndarray, float]:
        """Diffuse once; return H of A before, and |A_new - A|_F / |A|_F."""
        self.before = old, _, _ = self.A, weights, mu
        new, norm = np.zeros_like(old), np.vdot(old, old)
        smoothness = np.empty(len(weights))
        for b, (moved, weight) in enumerate(zip(self._moved(), weights, strict=True)):
            smoothness[b] = norm - np.vdot(old, moved)
            moved *= weight / (1 + mu)
            new += moved
        self.A = self._with_identity(new, mu / (1 + mu))
        return smoothness, float(np.linalg.norm(self.A - old) / norm**0.5)

    def distance_to_identity(self) -> float:
        """Return |A - I|_F^2."""
        return float(np.vdot(self.A, self.A) - 2 * np.trace(self.A) + len(self.A))

    def _with_identity(self, new: np.ndarray, share: float) -> np.ndarray:
        new[np.diag_indices_from(new)] += share
        # The two triangles differ by rounding alone.
        return (new + new.T) / 2

    def _moved(self) -> Iterator[np.ndarray]:
        """Give each S A S^T, as S (S A)^T, for A is symmetric."""
        # So many columns at a time that they stay in the cache: some three times as quick.
        blocks = [slice(j, j + COLUMNS) for j in range(0, len(self.A), COLUMNS)]
        for S in self.transitions:
            half, whole = np.empty_like(self.A), np.empty_like(self.A)
            for block in blocks:
                half[:, block] = S @ self.A[:, block]
            for block in blocks:
                whole[:, block] = S @ half[block].T
            yield whole


def diffuse_affinities(
    transitions: list[sparse.csr_array],
    *,
    mu: float = 0.1,
    regularization: float = 10.0,
    n_rounds: int = 5,
    n_steps: int = 8,
    tol: float = 1e-4,
    weights: str = "exact",
    state: FullState | None = None,
) -> Diffusion:
    """Diffuse and weigh the graphs of several prompts.

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
    state : FullState, optional
        How A is held, in full or in another way.

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
    check_number("mu", mu, low=0, open_low=True)
    check_number("regularization", regularization, low=0, open_low=True)
    check_number("n_rounds", n_rounds, low=1, integer=True)
    check_number("n_steps", n_steps, low=1, integer=True)
    check_number("tol", tol, low=0)
    check_choice("weights", weights, RULES)
    state = FullState(transitions) if state is None else state
    beta = np.full(len(transitions), 1 / len(transitions))
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
    """Raise unless these are square sparse arrays of one shape with finite entries."""
    if not len(transitions):
        raise ValueError("transitions is empty: expected one graph a prompt")
    shapes = [S.shape for S in transitions]
    if len(set(shapes)) > 1 or shapes[0][0] != shapes[0][1]:
        raise ValueError(f"transitions have shapes {shapes}: expected one square shape")
    for b, S in enumerate(transitions):
        if not np.isfinite(S.data).all():
            raise ValueError(f"transitions[{b}] holds NaN or infinity: expected finite numbers")


def simplex_weights(smoothness: np.ndarray, regularization: float = 10.0) -> np.ndarray:
    """Return the weights of the prompts, given how smooth A is on each graph.

        beta = argmin sum_b beta_b H_b + (lambda/2) |beta|^2 over the simplex  (NTK, paper)

    It is the point of the simplex, beta_b >= 0 and sum_b beta_b = 1, nearest to -H / lambda.

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
    smoothness, regularization
        As in `simplex_weights`.

    Returns
    -------
    ndarray of shape (n_prompts,), float64

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
    """Return the nearest point with no negative entry and sum one."""
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
