"""From the affinity to a graph: nearest neighbours, edges, tied pieces, transitions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from mvlib.check import check_choice, check_number
from mvlib.methods.ntk_spectral.equations import (
    AFFINITIES,
    SEMANTIC,
    assignments,
    kernel_block,
)
from mvlib.methods.ntk_spectral.scale import blocks_of_cells, partition, taken
from mvlib.methods.words import check_features, check_same_space
from mvlib.ops import nearest_others, resolve_device

SEARCHES = ("auto", "exact", "cells")
GRAPHS = ("mutual", "union")
NORMALIZATIONS = ("symmetric", "row")
# Up to so many images, all pairs are compared; the cells cost more than they save.
EXACT_ROWS = 15_000
BLOCK_BYTES = 1 << 23


@dataclass(frozen=True)
class Neighbors:
    """The nearest others of each image.

    Attributes
    ----------
    values : ndarray of shape (n_samples, n_neighbors), float32
        Affinities, from the largest.
    indices : ndarray of shape (n_samples, n_neighbors), int64
        Whose they are. An image is not its own neighbour.
    """

    values: np.ndarray
    indices: np.ndarray


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
    Z : array-like of shape (n_samples, n_features)
        Image features.
    W : array-like of shape (n_nouns, n_features), optional
        Text features of the positive nouns under one prompt, for "ntk" and "semantic".
    n_neighbors : int, default=30
        q.
    temperature : float, default=0.04
        tau.
    affinity : {"ntk", "visual", "semantic", "rbf"}, default="ntk"
        As in `ntk_affinity`.
    search : {"auto", "exact", "cells"}, default="auto"
        "exact" compares all pairs, at a cost of n^2. "cells" compares an image with the
        some 4,096 of the cells that its own cell has the largest affinity with, at a cost
        linear in n; it misses neighbours in cells farther off. "auto" is exact up to 15,000
        images.
    cells : ndarray of shape (n_samples,), int64, optional
        A partition for "cells", as `partition` makes it, to be used for several prompts.
    device : str, default="auto"
        Where to compute.
    random_state : int, optional
        Seed of the cells.

    Returns
    -------
    Neighbors

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
    check_choice("affinity", affinity, AFFINITIES)
    check_choice("search", search, SEARCHES)
    check_number("temperature", temperature, low=0, open_low=True)
    Z = check_features("Z", Z)
    n = len(Z)
    check_number("n_neighbors", n_neighbors, low=1, integer=True)
    if n_neighbors >= n:
        raise ValueError(
            f"n_neighbors={n_neighbors} is too many for {n} images: expected at most {n - 1}"
        )
    on = resolve_device(device)
    points = F.normalize(torch.as_tensor(Z, device=on), dim=1)
    shares = None
    if affinity in SEMANTIC:
        if W is None:
            raise ValueError(f"affinity={affinity!r} needs W, the nouns' text features")
        W = check_features("W", W)
        check_same_space(images=Z, nouns=W)
        shares = assignments(points, [W], temperature)
    if search == "cells" or (search == "auto" and n > EXACT_ROWS):
        if cells is None:
            banks = None if shares is None else [W]
            cells = partition(Z, banks, temperature, affinity, device, random_state)
        blocks = blocks_of_cells(points, shares, cells, affinity, temperature, n_neighbors)
    else:
        step = max(1, BLOCK_BYTES // (4 * n))
        blocks = [(rows, slice(None)) for rows in torch.arange(n).split(step)]

    def score(rows: torch.Tensor, columns: torch.Tensor | slice) -> torch.Tensor:
        sides = *taken(points, shares, rows), *taken(points, shares, columns)
        return kernel_block(*sides, affinity, temperature)

    return Neighbors(*nearest_others(n, n_neighbors, score, blocks, device=on))


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
        "union" if one is (the authors' later code, which takes the larger of both entries and
        therefore has no negative edge that one end alone lists; nor has this with
        `clip_negatives`).
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
    check_number("n_neighbors", n_neighbors, low=1, integer=True)
    if isinstance(affinity, Neighbors):
        if n_neighbors > affinity.values.shape[1]:
            raise ValueError(
                f"n_neighbors={n_neighbors} is more than the {affinity.values.shape[1]} of "
                "each list: expected at most as many"
            )
        values = affinity.values[:, :n_neighbors]
        indices = affinity.indices[:, :n_neighbors]
    else:
        values, indices = _largest(affinity, n_neighbors)
    n, q = values.shape
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


def connect_fragments(
    graph: sparse.csr_array, neighbors: Neighbors, n_neighbors: int = 30
) -> tuple[sparse.csr_array, np.ndarray]:
    """Tie pieces too small to be a cluster to the rest, each by its strongest edge.

    A piece is a connected component. While there is one of at most `n_neighbors` images,
    each such piece gets the edge of largest affinity that leaves it.

    Parameters
    ----------
    graph : csr_array of shape (n_samples, n_samples)
        Of one prompt.
    neighbors : Neighbors
        The lists the graph was made of.
    n_neighbors : int, default=30
        q. A piece no larger has, in every list, neighbours outside.

    Returns
    -------
    graph : csr_array of shape (n_samples, n_samples)
        With the edges added.
    tied : ndarray of shape (n_samples,), bool
        The images that were in a small piece at first.

    Notes
    -----
    Not the paper's: nothing is known of what it does with images without a mutual
    neighbour. The kernel is no cosine: images with a sharp assignment are near to all of
    their kind, so others have neighbours that do not have them, and the mutual rule leaves
    many alone. Every such image would be an eigenvector of its own. Each graph is tied by
    itself, for the weights of the prompts may come to choose one of them.
    """
    count, pieces = connected_components(graph, directed=False)
    small = tied = np.bincount(pieces)[pieces] <= n_neighbors
    while count > 1 and small.any():
        joined = _tied(graph, neighbors, pieces, small)
        if joined is graph:
            break
        graph = joined
        count, pieces = connected_components(graph, directed=False)
        small = np.bincount(pieces)[pieces] <= n_neighbors
    return graph, tied


def normalize_graph(
    graph: sparse.csr_array,
    normalization: str = "symmetric",
    *,
    degree_floor: float = 0.0,
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


def _largest(affinity: np.ndarray, n_neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    affinity = np.array(affinity, dtype=np.float32)
    n = len(affinity)
    if affinity.shape != (n, n) or not np.isfinite(affinity).all():
        raise ValueError(
            f"affinity of shape {affinity.shape} is not usable: expected a square matrix of "
            "finite numbers"
        )
    if n_neighbors >= n:
        raise ValueError(
            f"n_neighbors={n_neighbors} is too many for {n} images: expected at most {n - 1}"
        )
    np.fill_diagonal(affinity, -np.inf)
    indices = np.argsort(-affinity, axis=1, kind="stable")[:, :n_neighbors]
    return np.take_along_axis(affinity, indices, axis=1), indices


def _tied(
    graph: sparse.csr_array, lists: Neighbors, pieces: np.ndarray, small: np.ndarray
) -> sparse.csr_array:
    rows = np.flatnonzero(small)
    outside = pieces[lists.indices[rows]] != pieces[rows, None]
    weights = np.where(outside, lists.values[rows], -np.inf)
    best = weights.argmax(axis=1)
    weights = weights[np.arange(len(rows)), best]
    columns = lists.indices[rows, best]
    order = np.lexsort((-weights, pieces[rows]))
    first = order[np.unique(pieces[rows][order], return_index=True)[1]]
    # An affinity that is not positive is no edge.
    first = first[weights[first] > 0]
    if not len(first):
        return graph
    rows, columns, weights = (part[first] for part in (rows, columns, weights))
    rows, columns = rows.astype(np.int32), columns.astype(np.int32)
    edges = sparse.csr_array((weights.astype(graph.dtype), (rows, columns)), graph.shape)
    # By maximum, since two pieces may choose one edge; a sum, since none is in the graph.
    return sparse.csr_array(graph + edges.maximum(edges.T))
