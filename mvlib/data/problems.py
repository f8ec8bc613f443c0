"""Problems made of views whose rows all correspond: mismatched, hidden or corrupted rows.

Those whose rows lose their partner are made in `alignment.py`. Every maker takes views and
labels, or a problem that another maker has left, so that they can be applied one after another.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mvlib.check import check_choice, check_labels, check_number, check_views

# CANDY, CorreGen and PLCI mismatch and corrupt the same rows in all their runs.
FIXED_SEED = 1234
# The authors draw masks until one is so near to the asked share, which few rows may never be.
NEAR, MOST_DRAWS = 0.005, 1000


@dataclass(frozen=True, eq=False)
class ViewsProblem:
    """Views whose rows correspond in part, are there in part, and what scores them.

    Attributes
    ----------
    Xs : list of ndarray, each (n_samples, n_features_v), float32
        The views as a method sees them. Hidden rows are NaN.
    y : ndarray (n_samples,), int64
        Labels of the rows of view 1, coded 0, 1, ...: the ones that score.
    aligned : ndarray (n_samples,), bool
        True where row i of every view is said to be the same sample. That is so, but for the
        rows that `mismatch` has moved.
    pairs : ndarray (n_pairs, 2), int64
        All correspondences that are said: a row of view 1, its row in each other view. Those of
        `aligned`; under "pvc" the two rows differ.
    permutations : list of ndarray, each (n_samples,), int64
        Row i of view v is row ``permutations[v][i]`` of the original view. The truth, for
        scoring a matching; no method may read it.
    protocol, ratio : str and float
        Which protocols made it, with a plus between them, and the asked share of known
        correspondences.
    present : ndarray (n_samples, n_views), bool
        False where a view lacks row i.
    rates : dict of str to float
        The asked shares of the other makers: "mismatch", "missing", "corruption".
    clean : list of ndarray
        The views without the noise of `corrupt`, to embed and score after training on `Xs`.
    """

    Xs: list[np.ndarray]
    y: np.ndarray
    aligned: np.ndarray
    pairs: np.ndarray
    permutations: list[np.ndarray]
    protocol: str
    ratio: float
    present: np.ndarray
    rates: dict[str, float] = field(default_factory=dict)
    clean: list[np.ndarray] = field(default_factory=list)

    def labels_of_view(self, v: int) -> np.ndarray:
        """Return the labels of the rows of view `v`, from 0; ValueError if there is none."""
        check_number("v", v, low=0, high=len(self.permutations) - 1, integer=True)
        original = np.empty_like(self.y)
        original[self.permutations[0]] = self.y
        return original[self.permutations[v]]


def as_problem(Xs: Any, y: Any = None) -> ViewsProblem:
    """Return a problem as it is, views and labels as one in which all is known."""
    if isinstance(Xs, ViewsProblem):
        if y is not None:
            raise ValueError("y is given with a problem: expected no labels, it has its own")
        return Xs
    return known_problem(Xs, y)


def known_problem(Xs: Any, y: Any) -> ViewsProblem:
    """Return the problem of views whose rows all correspond, are there, and are known to."""
    views = [view.copy() for view in check_views(Xs, minimum=2)]
    n = len(views[0])
    rows = np.arange(n)
    return ViewsProblem(
        Xs=views,
        y=check_labels(y, n),
        aligned=np.ones(n, bool),
        pairs=np.stack([rows, rows], axis=1),
        permutations=[rows.copy() for _ in views],
        protocol="",
        ratio=1.0,
        present=np.ones((n, len(views)), bool),
        clean=views,
    )


def mismatch(
    Xs: Any, y: Any = None, *, rate: float, protocol: str = "candy", view: int = 1
) -> ViewsProblem:
    r"""Move some rows of a view to each other's places, and say that all correspond.

    Parameters
    ----------
    Xs : sequence of array-like, each (n_samples, n_features_v), or a problem
        At least two views, row i of each the same sample, or what `hide_views` has left.
    y : array-like (n_samples,), optional
        Labels of the samples; not with a problem.
    rate : float
        Share of the rows that are moved, from 0 to 1.
    protocol : {"candy", "plci"}, default="candy"
        Whose protocol, see the notes. CorreGen's is CANDY's.
    view : int, default=1
        Whose rows "plci" moves, from 0. "candy" moves those of all views but view 0.

    Returns
    -------
    ViewsProblem
        New arrays. `aligned` stays as it was: no method is told which rows were moved.

    Raises
    ------
    ValueError
        If views, labels, `rate`, `protocol` or `view` are out of range, a row is said to be
        unaligned, or "candy" is asked of views with hidden rows.

    Notes
    -----
    Read in the authors' code (class "code"), in which the rows are the same in every run.

    **candy**. A generator of seed 1234 serves the views one after the other: of a shuffled list
    of all rows, the first :math:`\lfloor n r \rfloor` take each other's places, by a shuffled
    copy of the list. Some may fall back into place. Their labels move along.

    **plci**. The same among the rows that no view lacks, of which it is a share, and for one
    view. Rows are hidden first.
    """
    check_choice("protocol", protocol, ("candy", "plci"))
    check_number("rate", rate, low=0, high=1)
    problem = as_problem(Xs, y)
    check_number("view", view, low=0, high=len(problem.Xs) - 1, integer=True)
    _refuse_part("aligned", problem.aligned, "mismatch")
    if protocol == "candy":
        _refuse_part("present", problem.present, "protocol='candy'")
    rows = np.flatnonzero(problem.present.all(axis=1))
    generator = np.random.RandomState(FIXED_SEED)  # noqa: NPY002
    moved = range(1, len(problem.Xs)) if protocol == "candy" else [view]
    permutations = [order.copy() for order in problem.permutations]
    views = [X.copy() for X in problem.Xs]
    clean = [X.copy() for X in problem.clean]
    for v in moved:
        to, since = (rows[part] for part in _moved(generator, len(rows), float(rate)))
        for arrays in (permutations, views, clean):
            arrays[v][to] = arrays[v][since]
    made = {"permutations": permutations, "Xs": views, "clean": clean}
    return _next(problem, protocol, "mismatch", rate, **made)


def hide_views(
    Xs: Any, y: Any = None, *, rate: float, random_state: int = 0, protocol: str = "completer"
) -> ViewsProblem:
    r"""Hide some rows of some views; each sample keeps one view at least.

    The same rate means other masks. Of two views at 0.5 one half of the samples lacks a view,
    but under "hsacc" one quarter, and under "sure" of the unaligned rows alone.

    Parameters
    ----------
    Xs : sequence of array-like, each (n_samples, n_features_v), or a problem
        At least two views, or what `misalign` has left. Scale them first: hidden rows are NaN.
        The authors' codes scale before they hide, so that hidden rows enter the scale.
    y : array-like (n_samples,), optional
        Labels of the samples; not with a problem.
    rate : float
        What the protocol calls the missing rate, m, from 0 to 1.
    random_state : int, default=0
        Seed of NumPy's legacy generator; one seed gives one mask, on every platform.
    protocol : {"completer", "half", "hsacc", "freecsl", "sure"}, default="completer"
        Whose protocol, see the notes.

    Returns
    -------
    ViewsProblem
        New arrays, with `present`.

    Raises
    ------
    ValueError
        If views, labels, `rate`, `protocol` or `random_state` are out of range, rows are hidden
        already, or "sure" is asked of more than two views.

    Notes
    -----
    Read in the authors' code (class "code"). With V views, to *fill* rows to a share s of their
    cells is to keep one random view a row if :math:`s \le 1/V`, else to draw masks until what
    is there is within 0.005 of s.

    **completer** (COMPLETER, ProImp). All rows, filled to :math:`1 - m/V`.

    **half** (DIVIDE, DCP, PLCI). Of all rows, :math:`\lfloor n (1 - m) \rfloor` are complete,
    the others filled to one half; then the rows are permuted.

    **hsacc** (HSACC). The same, filled to :math:`1 - m/V`: the rate counts twice.

    **freecsl** (FreeCSL). Of the rows in a random order, those from :math:`\lfloor n (1 - m)
    \rfloor` on lose the views that V - 1 draws with replacement name.

    **sure** (SURE, CAMERA, SMILE). The unaligned rows, or all where all are aligned, filled to
    :math:`1 - m/2`; their "complete" share is 1 - m. It hides what stands in a row, so that of
    shuffled rows a sample can lose both views, or none.

    Deviations
    ----------
    Where 1,000 draws come no nearer to a share than 0.005, as with few rows, the nearest is
    taken; the authors' codes draw for ever.
    """
    check_choice("protocol", protocol, ("completer", "half", "hsacc", "freecsl", "sure"))
    check_number("rate", rate, low=0, high=1)
    check_number("random_state", random_state, low=0, high=2**32 - 1, integer=True)
    problem = as_problem(Xs, y)
    _refuse_part("present", problem.present, "hide_views")
    n, n_views = problem.present.shape
    m, generator = float(rate), np.random.RandomState(random_state)  # noqa: NPY002
    mask = np.ones((n, n_views), bool)
    if protocol == "sure":
        if n_views != 2:
            raise ValueError(f"Xs has {n_views} views: expected two, with protocol='sure'")
        rows = np.arange(n) if problem.aligned.all() else np.flatnonzero(~problem.aligned)
        mask[rows] = filled(len(rows), 2, 1 - m / 2, generator)
    elif protocol == "completer":
        mask = filled(n, n_views, 1 - m / n_views, generator)
    elif protocol == "freecsl":
        order = generator.permutation(n)
        for row in order[int((10 - 10 * m) / 10 * n) :]:
            mask[row, generator.randint(0, n_views, n_views - 1)] = False
    else:
        n_part = n - int(n * (1 - m))
        share = 0.5 if protocol == "half" else 1 - m / n_views
        mask[:n_part] = filled(n_part, n_views, share, generator)
        mask = mask[generator.choice(n, n, replace=False)]
    made = {
        name: [np.where(mask[:, [v]], X, np.nan) for v, X in enumerate(views)]
        for name, views in (("Xs", problem.Xs), ("clean", problem.clean))
    }
    return _next(problem, protocol, "missing", rate, present=mask, **made)


def corrupt(
    Xs: Any, y: Any = None, *, rate: float, random_state: int = 0, protocol: str = "corregen"
) -> ViewsProblem:
    r"""Add noise to some rows of each view, and keep a copy without it.

    Parameters
    ----------
    Xs : sequence of array-like, each (n_samples, n_features_v), or a problem
        At least two views, or what `mismatch` has left.
    y : array-like (n_samples,), optional
        Labels of the samples; not with a problem.
    rate : float
        Share of the rows of each view that get noise, from 0 to 1.
    random_state : int, default=0
        Seed of the noise. The rows are the same for all seeds, as in the authors' code.
    protocol : {"corregen"}, default="corregen"
        Whose protocol, see the notes.

    Returns
    -------
    ViewsProblem
        New arrays; `clean` holds the views without noise.

    Raises
    ------
    ValueError
        If views, labels, `rate`, `protocol` or `random_state` are out of range, or rows are
        hidden.

    Notes
    -----
    **corregen** (CorreGen; class "code"). The generator of seed 1234 goes on where `mismatch`
    left it. For each view, the first :math:`\lfloor n c \rfloor` of a shuffled list of all rows
    get normal noise of the mean and the standard deviation of each column, so that its mean is
    not 0. The authors scale afterwards, each copy with its own mean and standard deviation.
    """
    check_choice("protocol", protocol, ("corregen",))
    check_number("rate", rate, low=0, high=1)
    check_number("random_state", random_state, low=0, high=2**32 - 1, integer=True)
    problem = as_problem(Xs, y)
    _refuse_part("present", problem.present, "corrupt")
    n = len(problem.y)
    rows = np.random.RandomState(FIXED_SEED)  # noqa: NPY002
    noise = np.random.RandomState(random_state)  # noqa: NPY002
    for _ in problem.Xs[1:]:
        _moved(rows, n, problem.rates.get("mismatch", 0.0))
    views = []
    for X in problem.Xs:
        order = np.arange(n)
        rows.shuffle(order)
        hit, wide = order[: int(n * rate)], X.astype(np.float64)
        size = len(hit), X.shape[1]
        drawn = noise.normal(wide.mean(axis=0), wide.std(axis=0), size)
        noisy = X.copy()
        noisy[hit] += drawn.astype(np.float32)
        views.append(noisy)
    return _next(problem, protocol, "corruption", rate, Xs=views)


def filled(n: int, n_views: int, share: float, generator: np.random.RandomState) -> np.ndarray:
    """Return a mask of `n` rows of which this share of the cells is there, and one a row."""
    if share == 1 or n == 0:
        return np.ones((n, n_views), bool)

    def one_each() -> np.ndarray:
        return generator.randint(0, n_views, n)[:, None] == np.arange(n_views)

    if share <= 1 / n_views:
        return one_each()
    need, cells, best = n_views * n * share - n, n_views * n, None
    for _ in range(MOST_DRAWS):
        kept = one_each()
        more = generator.randint(0, 100, (n, n_views)) < int(need / cells * 100)
        met = (more & kept).sum()
        if met >= need:
            continue
        needed = need / (1 - met / need)
        mask = (generator.randint(0, 100, (n, n_views)) < int(needed / cells * 100)) | kept
        if best is None or abs(mask.mean() - share) < abs(best.mean() - share):
            best = mask
        if abs(mask.mean() - share) < NEAR:
            break
    return kept if best is None else best


def _moved(
    generator: np.random.RandomState, n: int, rate: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows, and those that come to their places."""
    order = np.arange(n)
    generator.shuffle(order)
    to = order[: int(rate * n)]
    since = to.copy()
    generator.shuffle(since)
    return to, since


def _refuse_part(name: str, mask: np.ndarray, maker: str) -> None:
    if not mask.all():
        raise ValueError(f"{name} has {(~mask).sum()} False: expected True alone, with {maker}")


def _next(
    problem: ViewsProblem, protocol: str, kind: str, rate: float, **made: Any
) -> ViewsProblem:
    """Return a problem of which a maker has changed some arrays, and say so in it."""
    name = f"{problem.protocol}+{protocol}".lstrip("+")
    return replace(problem, protocol=name, rates={**problem.rates, kind: float(rate)}, **made)
