"""The k most similar rows of a large bank, and the k nearest others by any score."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from tqdm import tqdm

from mvlib.check import check_choice, check_number
from mvlib.ops.device import PRECISIONS, fast_products, resolve_device
from mvlib.ops.rows import as_tensor

# Queries and bank rows of a block: 33 MB of scores on a CPU, 1 GB on a GPU.
BLOCKS = {"cpu": (2**8, 2**15), "cuda": (2**12, 2**16)}
# Scores are first compared in groups of so many: half the time of one topk over all.
GROUP = 8


def top_k(
    queries: np.ndarray | torch.Tensor,
    bank: np.ndarray | torch.Tensor,
    k: int,
    *,
    block_size: int | None = None,
    precision: str = "float32",
    device: str = "auto",
) -> tuple[np.ndarray, np.ndarray]:
    """Find the bank rows with the largest inner products, a block of scores at a time.

    Parameters
    ----------
    queries : ndarray or Tensor of shape (n_queries, n_features)
        What to look for. L2-normalise both sides to rank by cosine.
    bank : ndarray or Tensor of shape (n_bank, n_features)
        Where to look.
    k : int
        How many to find for each query, at most n_bank.
    block_size : int, optional
        Most queries and most bank rows of a block. By default 256 queries by 32,768 rows
        on a CPU, 4,096 by 65,536 on a GPU.
    precision : {"float32", "bfloat16"}, default="float32"
        "bfloat16" makes a short list of max(2 k, k + 16) in bfloat16, and computes and
        ranks its inner products in float32.
    device : str, default="auto"
        See `resolve_device`.

    Returns
    -------
    values : ndarray of shape (n_queries, k), float32
        Inner products, from the largest.
    indices : ndarray of shape (n_queries, k), int64
        Their rows in the bank.

    Raises
    ------
    ValueError
        If an array is not 2-d, empty or not finite, if their widths differ, or if a
        parameter is out of range.

    Notes
    -----
    Memory beyond the arrays: one block of scores, the running lists (12 bytes a number) and,
    in bfloat16, one block of the bank. Never (n_queries, n_bank).

    The mean of the bank is taken off its rows before they are rounded to bfloat16. That
    takes the same number off all scores of a query, so their order stays, and what is left
    of them is small enough for bfloat16 to tell apart.
    """
    check_choice("precision", precision, PRECISIONS)
    if block_size is not None:
        check_number("block_size", block_size, low=1, integer=True)
    on = resolve_device(device)
    queries, bank = (
        _features(argument, array, on)
        for argument, array in (("queries", queries), ("bank", bank))
    )
    if queries.shape[1] != bank.shape[1]:
        raise ValueError(
            f"queries have {queries.shape[1]} features and the bank has {bank.shape[1]}: "
            "expected the same number"
        )
    check_number("k", k, low=1, high=len(bank), integer=True)
    low = precision == "bfloat16"
    n_listed = min(max(2 * k, k + 16), len(bank)) if low else k
    rows, columns = BLOCKS.get(on.type, BLOCKS["cpu"])
    if block_size is not None:
        rows = columns = block_size
    # A block narrower than the list could not fill it.
    columns = max(columns, n_listed)
    mean = _mean(bank, columns) if low else None
    values = torch.full((len(queries), n_listed), -torch.inf, device=on)
    indices = torch.zeros((len(queries), n_listed), dtype=torch.int64, device=on)
    for first in range(0, len(bank), columns):
        part = bank[first : first + columns]
        if mean is not None:
            part = _rounded(part, mean)
        for start in range(0, len(queries), rows):
            block = slice(start, start + rows)
            with fast_products(on, precision):
                scores = queries[block].to(part.dtype) @ part.T
            found, where = _largest(scores, min(n_listed, len(part)))
            found = torch.cat([values[block], found.float()], dim=1)
            where = torch.cat([indices[block], where + first], dim=1)
            values[block], kept = found.topk(n_listed, dim=1)
            indices[block] = where.gather(1, kept)
    if low:
        values, indices = _rescored(queries, bank, indices, k)
    return values.cpu().numpy(), indices.cpu().numpy()


def nearest_others(
    n_samples: int,
    k: int,
    score: Callable[[torch.Tensor, torch.Tensor | slice], torch.Tensor],
    blocks: Iterable[tuple[torch.Tensor, torch.Tensor | slice]],
    *,
    device: torch.device,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k other samples of largest score with each sample, a block at a time.

    Parameters
    ----------
    n_samples : int
        How many there are.
    k : int
        How many to find, fewer than the columns of any block.
    score : callable
        Takes row numbers and column numbers to their scores, a Tensor of shape (n_rows,
        n_columns) that is written to.
    blocks : iterable of tuple of Tensor and (Tensor or slice)
        Rows, each sample in one block, and the columns that they are compared with:
        `slice(None)` for all.
    device : torch.device
        Where the scores are.

    Returns
    -------
    values : ndarray of shape (n_samples, k), float32
        Scores, from the largest.
    indices : ndarray of shape (n_samples, k), int64
        Whose they are.
    """
    values = np.empty((n_samples, k), dtype=np.float32)
    indices = np.empty((n_samples, k), dtype=np.int64)
    for rows, columns in tqdm(blocks, desc="neighbours", leave=False, disable=None):
        rows = rows.to(device)
        if isinstance(columns, slice):
            scores = score(rows, columns)
            scores[torch.arange(len(rows), device=device), rows] = -torch.inf
        else:
            columns = columns.to(device)
            scores = score(rows, columns)
            scores.masked_fill_(rows.unsqueeze(1) == columns, -torch.inf)
        best, found = _largest(scores, k)
        found = found if isinstance(columns, slice) else columns[found]
        rows = rows.cpu().numpy()
        values[rows], indices[rows] = best.cpu().numpy(), found.cpu().numpy()
    return values, indices


def _features(
    argument: str, array: np.ndarray | torch.Tensor, device: torch.device
) -> torch.Tensor:
    features = as_tensor(argument, array).to(device, torch.float32)
    if not all(torch.isfinite(part).all() for part in features.split(2**11)):
        raise ValueError(f"{argument} holds NaN or infinity: expected finite numbers")
    return features


def _mean(bank: torch.Tensor, step: int) -> torch.Tensor:
    parts = [part.sum(dim=0, dtype=torch.float64) for part in bank.split(step)]
    return (torch.stack(parts).sum(dim=0) / len(bank)).float()


def _rounded(part: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    rounded = torch.empty(part.shape, dtype=torch.bfloat16, device=part.device)
    for target, source in zip(rounded.split(1024), part.split(1024), strict=True):
        target.copy_(source - mean)
    return rounded


def _largest(scores: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the k largest of each row and their columns, from the largest."""
    n_groups = scores.shape[1] // GROUP
    if n_groups < 4 * k:
        return scores.topk(k, dim=1)
    # The k largest lie in the k groups with the largest maxima, or in the rest.
    grouped = scores[:, : n_groups * GROUP].unflatten(1, (GROUP, n_groups))
    best = grouped.amax(dim=1).topk(k, dim=1).indices
    members = torch.arange(GROUP, device=scores.device) * n_groups
    rest = torch.arange(n_groups * GROUP, scores.shape[1], device=scores.device)
    columns = torch.cat(
        [(best.unsqueeze(1) + members.unsqueeze(1)).flatten(1), rest.expand(len(scores), -1)],
        dim=1,
    )
    values, kept = scores.gather(1, columns).topk(k, dim=1)
    return values, columns.gather(1, kept)


def _rescored(
    queries: torch.Tensor, bank: torch.Tensor, listed: torch.Tensor, k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    values = torch.empty((len(queries), k), device=queries.device)
    indices = torch.empty((len(queries), k), dtype=torch.int64, device=queries.device)
    step = max(2**21 // (listed.shape[1] * bank.shape[1]), 1)
    for start in range(0, len(queries), step):
        block = slice(start, start + step)
        scores = torch.bmm(bank[listed[block]], queries[block].unsqueeze(2)).squeeze(2)
        values[block], kept = scores.topk(k, dim=1)
        indices[block] = listed[block].gather(1, kept)
    return values, indices
