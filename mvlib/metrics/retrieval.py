"""How well one modality finds the other, and how far apart the two lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from scipy.stats import hypergeom

from mvlib.check import RandomState, check_number, check_pairs, check_view, resolve_seed
from mvlib.ops.discrepancy import mmd
from mvlib.ops.rows import unit_rows

DEPTHS = (1, 5, 10)
DIRECTIONS = ("first_to_second", "second_to_first")
# Cosines of float32 embeddings that differ by less are alike.
TIE = 1e-7
_BLOCK_ROWS = 256


def retrieval_scores(
    first: np.ndarray, second: np.ndarray, pairs: Any = None, depths: Sequence[int] = DEPTHS
) -> dict[str, dict[str, float]]:
    """Return recall and median rank by cosine on the full gallery, in both directions.

    Parameters
    ----------
    first, second : array-like of shape (n_first, n_features) and (n_second, n_features)
        Embeddings of the two modalities.
    pairs : array-like of shape (n_pairs, 2), int, optional
        Rows that belong together; by default row i with row i. A row may have many partners, of
        which the best counts, or none: then it is no query, but stays in the gallery.
    depths : sequence of int, default=(1, 5, 10)
        k of R@k.

    Returns
    -------
    dict of str to dict of str to float
        For "first_to_second" and "second_to_first": "r@k", the share of queries with a partner
        among the k nearest; "median_rank", from 1; "chance_r@k" and "chance_median_rank", what
        a constant embedding gets.

    Raises
    ------
    ValueError
        If embeddings are not finite or differ in width, `pairs` does not fit them, or a depth
        is not a whole number from 1.

    Notes
    -----
    Ties count by their expectation over all orders: with g rows nearer than the best partner
    and t rows as near (within 1e-7), p of them partners, R@k is the chance that one of p is
    among the first k - g of t, and the rank is g + (t + 1)/(p + 1). So embeddings that tell
    nothing score as chance does, however a sort would order them. Memory: blocks of 256 queries
    by the gallery.
    """
    A, B = _embeddings(first, second)
    own = np.ones(len(A), dtype=bool) if pairs is None else None
    known = check_pairs([len(A), len(B)], own, pairs, once=False)
    if not len(known):
        raise ValueError("pairs is empty: expected at least one pair")
    if not isinstance(depths, Iterable):
        raise ValueError(f"depths={depths!r}: expected a sequence, such as (1, 5)")
    for depth in depths:
        check_number("depths", depth, low=1, integer=True)
    return {
        DIRECTIONS[0]: _direction(A, B, known, depths),
        DIRECTIONS[1]: _direction(B, A, known[:, ::-1], depths),
    }


def batched_top_1(
    first: np.ndarray,
    second: np.ndarray,
    batch_size: int = 50,
    random_state: RandomState = None,
) -> dict[str, float]:
    """Return the share of rows whose nearest row of the same small batch is their partner.

    Parameters
    ----------
    first, second : array-like of shape (n_samples, n_features)
        Embeddings; row i of both is one sample.
    batch_size : int, default=50
        Rows of a batch.
    random_state : int, optional
        Seed of a shuffle of the samples first. None: batches of neighbouring rows, as the
        authors take them; that is harder where neighbours are of one class.

    Returns
    -------
    dict of str to float
        "first_to_second", "second_to_first" and "chance", 1 / batch_size. What does not fill a
        batch is left out, as in the authors' code. Ties as in `retrieval_scores`.

    Raises
    ------
    ValueError
        If the embeddings are not finite or differ in shape, or fill no batch.

    Notes
    -----
    Source: the evaluation in the code of Set-CLIP, with 2,000 samples. It rises as batches
    shrink: no number of it compares with recall on a full gallery.
    """
    A, B = _embeddings(first, second)
    if len(A) != len(B):
        raise ValueError(f"second has {len(B)} rows: expected {len(A)}, as first has")
    check_number("batch_size", batch_size, low=2, high=len(A), integer=True)
    order = np.arange(len(A))
    if random_state is not None:
        order = np.random.default_rng(resolve_seed(random_state)).permutation(len(A))
    own = np.stack([np.arange(batch_size)] * 2, axis=1)
    totals = dict.fromkeys(DIRECTIONS, 0.0)
    starts = range(0, len(A) - batch_size + 1, batch_size)
    for start in starts:
        rows = order[start : start + batch_size]
        for name, X, Y in zip(DIRECTIONS, (A, B), (B, A), strict=True):
            found = _direction(X[rows], Y[rows], own, (1,))
            totals[name] += found["r@1"] / len(starts)
    return totals | {"chance": 1 / batch_size}


def modality_gap(first: np.ndarray, second: np.ndarray) -> float:
    """Return the distance of the mean directions of two modalities, from 0 to 2.

    Embeddings and errors as for `embedding_mmd`. Source: Liang et al., "Mind the gap" (NeurIPS
    2022), section 2.
    """
    A, B = _embeddings(first, second)
    return float(np.linalg.norm(A.mean(axis=0) - B.mean(axis=0)))


def embedding_mmd(
    first: np.ndarray,
    second: np.ndarray,
    bandwidths: float | Sequence[float] = 1.0,
    n_samples: int = 1000,
    random_state: RandomState = None,
) -> float:
    """Return the squared MMD of the directions of two modalities, as Set-CLIP's loss has it.

    Parameters
    ----------
    first, second : array-like of shape (n_first, n_features) and (n_second, n_features)
        Embeddings of the two modalities; their length does not matter.
    bandwidths : float or sequence of float, default=1.0
        See `mvlib.ops.mmd`.
    n_samples, random_state : int, default=1000, and int, optional
        Of each modality with more rows, so many are drawn, with this seed: the estimate is
        biased upwards by about 1 / n_samples, so compare at one number.

    Raises
    ------
    ValueError
        If embeddings are not finite or differ in width, or a parameter is out of range.
    """
    check_number("n_samples", n_samples, low=1, integer=True)
    rng = np.random.default_rng(resolve_seed(random_state))
    drawn = []
    for X in _embeddings(first, second):
        rows = rng.permutation(len(X))[:n_samples] if len(X) > n_samples else slice(None)
        drawn.append(torch.from_numpy(X[rows]))
    return max(float(mmd(drawn[0], drawn[1], bandwidths)), 0.0)


def _embeddings(first: Any, second: Any) -> tuple[np.ndarray, np.ndarray]:
    A, B = (
        check_view(X, name, np.float64) for name, X in (("first", first), ("second", second))
    )
    if A.shape[1] != B.shape[1]:
        raise ValueError(f"second has {B.shape[1]} features: expected {A.shape[1]}")
    return unit_rows(A), unit_rows(B)


def _direction(
    queries: np.ndarray, gallery: np.ndarray, pairs: np.ndarray, depths: Sequence[int]
) -> dict[str, float]:
    asked = np.unique(pairs[:, 0])
    n = len(gallery)
    found = []
    for start in range(0, len(asked), _BLOCK_ROWS):
        rows = asked[start : start + _BLOCK_ROWS]
        inside = (pairs[:, 0] >= rows[0]) & (pairs[:, 0] <= rows[-1])
        partner = np.zeros((len(rows), n), dtype=bool)
        partner[np.searchsorted(rows, pairs[inside, 0]), pairs[inside, 1]] = True
        cosines = queries[rows] @ gallery.T
        best = np.where(partner, cosines, -np.inf).max(axis=1, keepdims=True)
        tied = np.abs(cosines - best) <= TIE
        nearer = cosines > best + TIE
        found.append([each.sum(axis=1) for each in (nearer, tied, tied & partner, partner)])
    nearer, tied, partners_tied, partners = np.concatenate(found, axis=1)
    scores = {}
    for k in depths:
        scores[f"r@{k}"] = _recall(k - nearer, tied, partners_tied)
    scores["median_rank"] = float(np.median(nearer + (tied + 1) / (partners_tied + 1)))
    for k in depths:
        scores[f"chance_r@{k}"] = _recall(np.full_like(partners, k), n, partners)
    scores["chance_median_rank"] = float(np.median((n + 1) / (partners + 1)))
    return scores


def _recall(places: np.ndarray, candidates: np.ndarray | int, partners: np.ndarray) -> float:
    """Return the mean chance that a partner is among so many places of the candidates."""
    places = np.clip(places, 0, candidates)
    return float(hypergeom.sf(0, candidates, partners, places).mean())
