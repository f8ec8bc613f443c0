"""Each image's nearest images by affinity, a block at a time: never n x n."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from mvlib._validation import check_choice, check_number
from mvlib.methods.ntk_spectral.equations import (
    AFFINITIES,
    SEMANTIC,
    assignments,
    kernel_block,
)
from mvlib.methods.ntk_spectral.scale import explicit_features
from mvlib.methods.semantic_inputs import check_features, check_same_space
from mvlib.ops import blocked_kmeans, resolve_device

SEARCHES = ("auto", "exact", "cells")
# Up to so many images, all pairs are compared; the cells cost more than they save.
EXACT_ROWS = 15_000
BLOCK_BYTES = 1 << 23
CELL_ROWS = 256
CANDIDATES = 4096
LANDMARKS = 256


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
        blocks = _blocks_of_cells(points, shares, cells, affinity, temperature, n_neighbors)
    else:
        blocks = _blocks_of_rows(n)
    values = np.empty((n, n_neighbors), dtype=np.float32)
    indices = np.empty((n, n_neighbors), dtype=np.int64)
    for rows, columns in tqdm(blocks, desc="neighbours", leave=False, disable=None):
        rows, columns = rows.to(on), None if columns is None else columns.to(on)
        against = (points, shares) if columns is None else _taken(points, shares, columns)
        block = kernel_block(*_taken(points, shares, rows), *against, affinity, temperature)
        if columns is None:
            block[torch.arange(len(rows), device=on), rows] = -torch.inf
        else:
            block.masked_fill_(rows.unsqueeze(1) == columns, -torch.inf)
        best = block.topk(n_neighbors, dim=1)
        found = best.indices if columns is None else columns[best.indices]
        rows = rows.cpu().numpy()
        values[rows], indices[rows] = best.values.cpu().numpy(), found.cpu().numpy()
    return Neighbors(values, indices)


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


def _blocks_of_rows(n: int) -> list[tuple[torch.Tensor, None]]:
    step = max(1, BLOCK_BYTES // (4 * n))
    return [(torch.arange(start, min(start + step, n)), None) for start in range(0, n, step)]


def _blocks_of_cells(
    points: torch.Tensor,
    shares: torch.Tensor | None,
    cells: np.ndarray,
    affinity: str,
    temperature: float,
    n_neighbors: int,
) -> list[tuple[torch.Tensor, torch.Tensor]]:
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


def _taken(
    points: torch.Tensor, shares: torch.Tensor | None, rows: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor | None]:
    return points[rows], None if shares is None else shares[rows]
