"""Making a partially aligned problem of views whose rows all correspond."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from mvlib.check import check_choice, check_mask, check_number
from mvlib.data.problems import ViewsProblem, known_problem

PROTOCOLS = ("smart", "pvc", "mvcln", "eagcp", "classwise")
_SMART_SHUFFLE_SEED = 2
_EAGCP_SEED = 10


def misalign(
    Xs: Sequence[Any],
    y: Any,
    ratio: float,
    random_state: int = 20,
    protocol: str = "smart",
    eligible: Any = None,
) -> ViewsProblem:
    r"""Keep the correspondence of some rows and destroy that of the others.

    Parameters
    ----------
    Xs : sequence of array-like, each (n_samples, n_features_v)
        At least two views, row i of each the same sample.
    y : array-like (n_samples,)
        Labels of the samples, coded or not.
    ratio : float
        Share of the samples whose correspondence stays known, from 0 to 1.
    random_state : int, default=20
        Seed; one seed gives one answer, on every platform. 20 is SMART's.
    protocol : {"smart", "pvc", "mvcln", "eagcp", "classwise"}, default="smart"
        Whose protocol, see the notes.
    eligible : array-like (n_samples,), bool, optional
        Only these samples may be aligned, "smart" alone; all by default. The share stays one of
        all samples, so that a biased choice compares with an unbiased one.

    Returns
    -------
    ViewsProblem
        New arrays; `Xs` and `y` are left as they are.

    Raises
    ------
    ValueError
        If there are fewer than two views, one is not 2-d or holds a NaN, lengths differ,
        `ratio` is outside 0 to 1, the protocol is unknown, or too few samples are eligible.

    Notes
    -----
    All were read in the authors' code (class "code"). No author goes beyond two views;
    what is done then is ours, and stated.

    **smart** (SMART). Rows keep their order. Of a permutation drawn by NumPy's legacy generator
    seeded with `random_state`, the first :math:`\lfloor n r \rfloor` samples are aligned. The
    rows of view 2 of all others are shuffled among themselves, by a generator that is always
    seeded with 2; some may fall back into place, and still count as unaligned. View 3 and on:
    the same with seeds 3, 4, ... The labels of view 1 score. The authors fix the split over all
    network seeds.

    **pvc** (PVC). Of a permutation drawn by Python's generator seeded with `random_state`, the
    first :math:`\lfloor n r \rfloor` samples are known pairs, and alone pretrain. Then the
    *whole* second view is permuted, the rows of the known pairs included: the authors match it
    to view 1 once, train on with that match, and score with it; view 1 keeps its order and its
    labels score. So known pairs are in `pairs`, and `aligned` is True only where a pair happens
    to share a row. View 3 and on: the pairs' rows go where view 2's go, the others are shuffled
    further.

    **mvcln** (MvCLN; SURE and VITAL do the same). Of a permutation, the first :math:`\lceil n r
    \rceil` samples are aligned. All views are put in that order, the aligned rows first; the
    remaining rows of view 2 are shuffled among themselves, those of view 3 and on by further
    draws. The labels of view 1, in that order, score. With `random_state` equal to the authors'
    division seed, rows are MvCLN's own; VITAL draws from NumPy's generator instead. `ratio` is
    the share that is aligned; the option of MvCLN's script, that which is not.

    **eagcp** (EAGCP). MvCLN's with the seed 10, whatever `random_state` is.

    **classwise** (unaligned joint NMF). Rows keep their order. The first rows of each class are
    aligned, in number the whole one nearest to :math:`n_k r`, halves up. The others are
    shuffled among themselves, those of each further view by a permutation of its own. The split
    reads labels, and in files that are sorted by class the order of rows tells them.

    Deviations
    ----------
    **mvcln** also shuffles correctly where fewer than one row would be unaligned; there the
    authors' code takes every row twice. It counts the aligned rows as :math:`\lceil n r \rceil`
    and takes all others as unaligned. The authors round :math:`1 - (1 - r)` and :math:`(1 - r)
    n` apart, so that a row can be in both parts (n = 30,000 at r = 0.3) or in none (4,485 rows
    at 0.8). **classwise** draws by NumPy's legacy generator; the authors' is MATLAB's.

    References
    ----------
    SMART: arXiv 2512.15396. PVC: Huang et al., NeurIPS 2020. MvCLN: Yang et al., CVPR 2021.
    SURE: Yang et al., TPAMI 2023. VITAL: He et al., ACM MM 2024.
    """
    check_choice("protocol", protocol, PROTOCOLS)
    check_number("ratio", ratio, low=0, high=1)
    check_number("random_state", random_state, low=0, high=2**32 - 1, integer=True)
    whole = known_problem(Xs, y)
    n_samples, n_views = whole.present.shape
    orders: dict[str, Callable[..., _Order]] = {
        "smart": _smart,
        "pvc": _pvc,
        "mvcln": _mvcln,
        "eagcp": lambda n, n_views, ratio, seed: _mvcln(n, n_views, ratio, _EAGCP_SEED),
        "classwise": partial(_classwise, y=whole.y),
    }
    order = orders[protocol]
    if eligible is not None:
        order = partial(_smart, eligible=_check_eligible(eligible, n_samples, ratio, protocol))
    permutations, pairs = order(n_samples, n_views, float(ratio), int(random_state))
    aligned = np.zeros(n_samples, dtype=bool)
    aligned[pairs[pairs[:, 0] == pairs[:, 1], 0]] = True
    views = [view[rows] for view, rows in zip(whole.Xs, permutations, strict=True)]
    return ViewsProblem(
        Xs=views,
        y=whole.y[permutations[0]],
        aligned=aligned,
        pairs=pairs,
        permutations=permutations,
        protocol=protocol,
        ratio=float(ratio),
        present=whole.present,
        clean=views,
    )


# Its earlier name, which code cells of notebooks use.
partially_align = misalign


_Order = tuple[list[np.ndarray], np.ndarray]


def _check_eligible(eligible: Any, n_samples: int, ratio: float, protocol: str) -> np.ndarray:
    if protocol != "smart":
        raise ValueError(
            f"eligible is given with protocol={protocol!r}: expected protocol='smart'"
        )
    mask = check_mask(eligible, n_samples, argument="eligible")
    wanted = int(n_samples * ratio)
    if mask.sum() < wanted:
        raise ValueError(
            f"eligible has {mask.sum()} samples: expected at least {wanted}, ratio={ratio} "
            f"of {n_samples}"
        )
    return mask


def _smart(
    n_samples: int, n_views: int, ratio: float, seed: int, eligible: np.ndarray | None = None
) -> _Order:
    drawn = np.random.RandomState(seed).permutation(n_samples)  # noqa: NPY002
    if eligible is not None:
        drawn = drawn[eligible[drawn]]
    known = np.sort(drawn[: int(n_samples * ratio)])
    others = np.setdiff1d(np.arange(n_samples), known)
    permutations = [np.arange(n_samples)]
    for v in range(1, n_views):
        shuffled = others.copy()
        generator = np.random.RandomState(_SMART_SHUFFLE_SEED + v - 1)  # noqa: NPY002
        generator.shuffle(shuffled)
        permutation = np.arange(n_samples)
        permutation[others] = shuffled
        permutations.append(permutation)
    return permutations, np.stack([known, known], axis=1)


def _pvc(n_samples: int, n_views: int, ratio: float, seed: int) -> _Order:
    generator = random.Random(seed)
    known = np.sort(_sample(generator, n_samples)[: int(n_samples * ratio)])
    second = _sample(generator, n_samples)
    row_of = np.argsort(second)
    free = np.setdiff1d(np.arange(n_samples), row_of[known])
    permutations = [np.arange(n_samples), second]
    for _ in range(2, n_views):
        permutation = second.copy()
        permutation[free] = second[free][_sample(generator, len(free))]
        permutations.append(permutation)
    return permutations, np.stack([known, row_of[known]], axis=1)


def _mvcln(n_samples: int, n_views: int, ratio: float, seed: int) -> _Order:
    generator = random.Random(seed)
    first = _sample(generator, n_samples)
    n_known = math.ceil(ratio * n_samples)
    permutations = [first]
    for _ in range(1, n_views):
        others = first[n_known:]
        shuffled = others[_sample(generator, len(others))]
        permutations.append(np.concatenate([first[:n_known], shuffled]))
    known = np.arange(n_known)
    return permutations, np.stack([known, known], axis=1)


def _classwise(n_samples: int, n_views: int, ratio: float, seed: int, y: np.ndarray) -> _Order:
    known = np.concatenate(
        [
            rows[: int(np.floor(ratio * len(rows) + 0.5))]
            for rows in (np.flatnonzero(y == k) for k in range(y.max() + 1))
        ]
    )
    others = np.setdiff1d(np.arange(n_samples), known)
    generator = np.random.RandomState(seed)  # noqa: NPY002
    permutations = [np.arange(n_samples)]
    for _ in range(1, n_views):
        permutation = np.arange(n_samples)
        permutation[others] = generator.permutation(others)
        permutations.append(permutation)
    return permutations, np.stack([known, known], axis=1)


def _sample(generator: random.Random, n: int) -> np.ndarray:
    """Return a permutation as the authors draw it."""
    return np.array(generator.sample(range(n), n), dtype=np.int64)
