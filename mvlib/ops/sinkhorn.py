"""Entropic optimal transport between many points and fewer others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mvlib.check import check_choice, check_number
from mvlib.ops.device import resolve_device
from mvlib.ops.rows import as_tensor

METHODS = ("auto", "scaling", "log")
PRECISIONS = {"float32": torch.float32, "float64": torch.float64}
# Masses of float32 marginals add up to no better than this.
MASS_TOLERANCE = 1e-5
# Numbers of a block of rows; on a CPU 2 MB, to stay in its cache.
BLOCK_NUMBERS = {"cpu": 2**19, "cuda": 2**26}
# exp(-80) is the smallest kernel entry: zeros would divide, and exp is ten times slower
# where its result is not a normal float32.
LOWEST_EXPONENT = -80.0
# Factors above this, or below its inverse, are moved into the potentials. Within it an
# entry at the lowest exponent stands for at most 2e-17 of mass.
LARGEST_FACTOR = 1e9
# An error that falls by less than a thousandth over so many iterations is rounding, once
# it is below STALL_ULPS units in the last place.
STALL_WINDOW = 100
STALL_ULPS = 1000


class TransportError(ValueError):
    """A transport plan that must not be used: empty, not finite, or off its marginals."""


@dataclass(frozen=True)
class TransportResult:
    """What one call of `transport_plan` found.

    Attributes
    ----------
    plan : ndarray of shape (n, m), float32
        Mass sent from each row to each column.
    row_error, column_error : float
        L1 distance of the plan's row and column sums to the marginals, in units of mass.
    n_iter, converged : int and bool
        Iterations, each one update of all rows and of all columns; whether `tol` was met.
    method : {"scaling", "log"}
        The arithmetic that the plan came from.
    """

    plan: np.ndarray
    row_error: float
    column_error: float
    n_iter: int
    converged: bool
    method: str


def transport_plan(
    cost: np.ndarray | torch.Tensor,
    row_marginals: np.ndarray | None = None,
    column_marginals: np.ndarray | None = None,
    *,
    epsilon: float = 0.05,
    max_iter: int = 1000,
    tol: float = 1e-6,
    method: str = "auto",
    precision: str = "float32",
    marginal_tol: float | None = 1e-2,
    device: str = "auto",
) -> TransportResult:
    r"""Solve entropic optimal transport by Sinkhorn's iteration, in the memory of one plan.

    .. math:: \min_T \langle T, C \rangle + \epsilon \sum_{ij} T_{ij} (\log T_{ij} - 1)
        \quad \text{s.t.} \quad T 1 = a, \; T^\top 1 = b

    Parameters
    ----------
    cost : ndarray or Tensor of shape (n, m)
        Cost C. Never changed; read where it is if it is on `device`.
    row_marginals, column_marginals : ndarray of shape (n,) and (m,), optional
        Mass a of each row and b of each column, with one total. Uniform, 1 in all, by default.
    epsilon : float, default=0.05
        Weight of the entropy, in units of cost.
    max_iter : int, default=1000
        Bound on the iterations.
    tol : float, default=1e-6
        Stop once the column sums are within `tol` of b (L1, share of the mass). The row
        sums are exact after each iteration, up to rounding.
    method : {"auto", "scaling", "log"}, default="auto"
        "scaling" multiplies a kernel by row and column factors. "log" computes with
        logarithms in float64, some ten times slower and never out of range. "auto" scales,
        and hands what it has to "log" for the iterations that are left if the factors leave
        the range of their numbers or rounding holds the error above `tol`.
    precision : {"float32", "float64"}, default="float32"
        Of the kernel.
    marginal_tol : float, optional, default=1e-2
        See `check_marginals`. None: the errors are only recorded.
    device : str, default="auto"
        See `resolve_device`.

    Raises
    ------
    TransportError
        If the plan is empty or not finite, or its marginals are off by more than
        `marginal_tol`.
    ValueError
        If `cost` is not 2-d, empty or not finite; if a marginal is negative, not finite, of
        another length, or their masses differ; if a parameter is out of range.

    Notes
    -----
    Memory beyond `cost`: one (n, m) array, which holds the kernel and then the plan (two
    if `precision` is "float64"), and blocks of 2 MB. The two products of an iteration share
    one reading of the kernel.

    The kernel is exp((f_i + g_j - C_ij) / epsilon), with f_i the smallest cost of row i and
    g_j the smallest of column j after that: every row and column has an entry of 1, so none
    vanishes in float32, however small epsilon is. Factors that grow large are moved into f and
    g, and the kernel is computed anew.

    Source: Cuturi 2013, algorithm 1; moving factors into potentials: Schmitzer 2019,
    section 3.1; "log": Peyre and Cuturi 2019, section 4.4.
    """
    check_choice("method", method, METHODS)
    check_choice("precision", precision, PRECISIONS)
    check_number("epsilon", epsilon, low=0, open_low=True)
    check_number("max_iter", max_iter, low=1, integer=True)
    check_number("tol", tol, low=0)
    if marginal_tol is not None:
        check_number("marginal_tol", marginal_tol, low=0)
    on = resolve_device(device)
    cost = as_tensor("cost", cost)
    a, b = _marginals(row_marginals, column_marginals, cost.shape)
    mass = a.sum()
    rows, columns = (torch.from_numpy(x / x.sum()).to(on) for x in (a, b))
    # Logarithms need no kernel, only a place for the plan.
    dtype = torch.float32 if method == "log" else PRECISIONS[precision]
    kernel = torch.empty(cost.shape, dtype=dtype, device=on)
    progress = start(cost, on)
    problem = (cost, kernel, rows, columns, progress, epsilon, max_iter, tol)
    used = "scaling"
    if method != "log":
        scaling_iterations(*problem)
    if method == "log" or (method == "auto" and progress.state in ("failed", "stalled")):
        used = "log"
        log_iterations(*problem)
    plan = kernel.to(torch.float32).cpu().numpy()
    if mass != 1:
        plan *= mass
    errors = check_marginals(plan, a, b, marginal_tol=marginal_tol)
    converged = progress.state == "converged"
    return TransportResult(plan, *errors, progress.n_iter, converged, used)


def check_marginals(
    plan: np.ndarray,
    row_marginals: np.ndarray | None = None,
    column_marginals: np.ndarray | None = None,
    *,
    marginal_tol: float | None = 1e-2,
) -> tuple[float, float]:
    """Return the L1 distances of the sums of a plan to its marginals, if it is a plan.

    Parameters
    ----------
    plan, row_marginals, column_marginals : ndarray of shape (n, m), (n,) and (m,)
        A transport plan, wherever it came from, and as for `transport_plan`.
    marginal_tol : float, optional, default=1e-2
        Largest share of the mass that may be in the wrong row, or in the wrong column: the
        total variation, half of the L1 distance. None: no bound.

    Raises
    ------
    TransportError
        If the plan holds no mass, a negative number, NaN or infinity, or is off by more than
        `marginal_tol`.
    ValueError
        If the marginals are not what a plan of this shape can have.
    """
    plan = np.asarray(plan)
    if plan.ndim != 2 or 0 in plan.shape:
        raise TransportError(f"plan has shape {plan.shape}: expected (n, m), neither 0")
    a, b = _marginals(row_marginals, column_marginals, plan.shape)
    row_sums, column_sums = plan.sum(axis=1, dtype=np.float64), np.zeros(plan.shape[1])
    step = max(2**21 // plan.shape[1], 1)
    for first in range(0, len(plan), step):
        column_sums += plan[first : first + step].sum(axis=0, dtype=np.float64)
    if not np.isfinite(row_sums).all():
        raise TransportError(
            "the plan holds NaN or infinity: raise epsilon or use method='log'"
        )
    if plan.min() < 0 or not row_sums.sum() > 0:
        raise TransportError(
            f"the plan holds a mass of {row_sums.sum()} and a smallest entry of {plan.min()}: "
            "expected positive mass; raise epsilon or use float64"
        )
    errors = float(abs(row_sums - a).sum()), float(abs(column_sums - b).sum())
    share = max(errors) / 2 / a.sum()
    if marginal_tol is not None and share > marginal_tol:
        raise TransportError(
            f"{share:.2%} of the mass is off the marginals: expected at most "
            f"{marginal_tol:.2%}; raise max_iter or epsilon"
        )
    return errors


def _marginals(
    rows: np.ndarray | None, columns: np.ndarray | None, shape: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    found = []
    for argument, value, length in (
        ("row_marginals", rows, shape[0]),
        ("column_marginals", columns, shape[1]),
    ):
        value = np.full(length, 1 / length) if value is None else np.asarray(value, np.float64)
        if value.shape != (length,):
            raise ValueError(f"{argument} has shape {value.shape}: expected ({length},)")
        if not np.isfinite(value).all() or value.min() < 0 or value.sum() == 0:
            raise ValueError(
                f"{argument} runs from {value.min()} to {value.max()}: expected finite masses, "
                "none negative and not all zero"
            )
        found.append(value)
    a, b = found
    if abs(a.sum() - b.sum()) > MASS_TOLERANCE * a.sum():
        raise ValueError(
            f"row_marginals add up to {a.sum():.6g} and column_marginals to {b.sum():.6g}: "
            "expected the same mass"
        )
    return a, b


@dataclass
class Progress:
    """Where an iteration stands.

    `f` and `g`, float64, are the potentials of rows and columns: the plan is exp((f_i + g_j -
    C_ij) / epsilon). `state` is "running", "converged", "stalled", or "failed": a factor left
    the range of its numbers.
    """

    f: torch.Tensor
    g: torch.Tensor
    n_iter: int = 0
    state: str = "running"


def start(cost: torch.Tensor, device: torch.device) -> Progress:
    """Return potentials that leave a zero in each row and column of C - f - g, none below."""
    f = torch.empty(len(cost), dtype=torch.float64, device=device)
    g = torch.full((cost.shape[1],), torch.inf, dtype=torch.float64, device=device)
    for rows in _blocks(cost, device):
        tile = cost[rows].to(device)
        smallest = tile.amin(dim=1, keepdim=True)
        # Extremes show what is not finite, in a tenth of the time of asking each entry.
        if not torch.isfinite(smallest).all() or not torch.isfinite(tile.amax()):
            raise ValueError("cost holds NaN or infinity: expected finite numbers")
        f[rows] = smallest[:, 0].double()
        g = torch.minimum(g, (tile - smallest).amin(dim=0).double())
    return Progress(f, g)


def scaling_iterations(
    cost: torch.Tensor,
    kernel: torch.Tensor,
    a: torch.Tensor,
    b: torch.Tensor,
    progress: Progress,
    epsilon: float,
    max_iter: int,
    tol: float,
) -> None:
    """Iterate u = a / K v, v = b / K^T u with K = exp((f + g - C) / epsilon).

    `kernel` is overwritten with K, and in the end with the plan u K v; `progress` is updated.
    """
    blocks = list(_blocks(kernel, kernel.device))
    _fill(kernel, cost, progress, epsilon)
    wanted, mass = b.cpu().numpy(), a.to(kernel.dtype).cpu().numpy()
    filled = wanted > 0
    full = filled.all()
    u, v = np.ones_like(mass), filled.astype(mass.dtype)
    before = np.inf
    # Vectors are NumPy's, whose calls cost a third of torch's on a few hundred numbers.
    with np.errstate(all="ignore"):
        while progress.n_iter < max_iter:
            sums = np.zeros_like(wanted)
            for rows in blocks:
                # Both products while the block is in the cache: the kernel is read once.
                u[rows], part = _half_steps(kernel[rows], mass[rows], v)
                sums += part
            progress.n_iter += 1
            error = float(abs(v * sums - wanted).sum())
            factor = (wanted / sums).astype(v.dtype)
            if not full:
                factor[~filled] = 0
            if error < tol:
                progress.state = "converged"
            elif not (np.isfinite(factor).all() and error < np.inf):
                progress.state = "failed"
            elif progress.n_iter % STALL_WINDOW == 0:
                if 0.999 * before < error < STALL_ULPS * np.finfo(v.dtype).eps:
                    progress.state = "stalled"
                before = error
            if progress.state != "running" or progress.n_iter == max_iter:
                break
            v = factor
            if _beyond(u) or _beyond(v):
                progress.f += epsilon * _log(u, progress.f)
                progress.g += epsilon * _log(v, progress.g)
                _fill(kernel, cost, progress, epsilon)
                u, v = (u > 0).astype(u.dtype), (v > 0).astype(v.dtype)
    row, column = (torch.from_numpy(x).to(kernel.device) for x in (u, v))
    for rows in blocks:
        kernel[rows] *= row[rows].unsqueeze(1) * column
    progress.g += epsilon * _log(v, progress.g)


def _half_steps(
    tile: torch.Tensor, mass: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return u = a / K v of a block of rows, and its share of K^T u."""
    if tile.device.type == "cpu":
        # NumPy's products of a matrix and a vector take 0.5 to 0.8 of the time of torch's.
        K = tile.numpy()
        u = mass / (K @ v)
        return u, u @ K
    of_rows, of_columns = (torch.from_numpy(x).to(tile.device) for x in (mass, v))
    factors = of_rows / torch.mv(tile, of_columns)
    return factors.cpu().numpy(), torch.mv(tile.T, factors).cpu().numpy()


def log_iterations(
    cost: torch.Tensor,
    plan: torch.Tensor,
    a: torch.Tensor,
    b: torch.Tensor,
    progress: Progress,
    epsilon: float,
    max_iter: int,
    tol: float,
) -> None:
    """Iterate f = epsilon (log a - logsumexp((g - C) / epsilon)), and g likewise, in float64.

    `plan` is overwritten with the plan; `progress` is updated.
    """
    device = plan.device
    blocks = list(_blocks(plan, device))
    progress.state = "running"
    while progress.state == "running":
        sums = torch.full_like(b, -torch.inf)
        for rows in blocks:
            tile = cost[rows].to(device, torch.float64)
            exponents = (progress.g - tile) / epsilon
            progress.f[rows] = epsilon * (a[rows].log() - exponents.logsumexp(dim=1))
            torch.sub(progress.f[rows].unsqueeze(1), tile, out=exponents)
            sums = torch.logaddexp(sums, exponents.div_(epsilon).logsumexp(dim=0))
        progress.n_iter += 1
        error = float(((progress.g / epsilon + sums).exp() - b).abs().sum())
        if error < tol:
            progress.state = "converged"
        elif progress.n_iter >= max_iter or not error < torch.inf:
            break
        else:
            progress.g = epsilon * (b.log() - sums)
    for rows in blocks:
        exponents = progress.g - cost[rows].to(device, torch.float64)
        exponents += progress.f[rows].unsqueeze(1)
        plan[rows] = exponents.div_(epsilon).exp_().to(plan.dtype)


def _blocks(array: torch.Tensor, device: torch.device) -> Iterator[slice]:
    numbers = BLOCK_NUMBERS.get(device.type, BLOCK_NUMBERS["cpu"])
    step = max(numbers // array.shape[1], 1)
    for first in range(0, len(array), step):
        yield slice(first, min(first + step, len(array)))


def _fill(kernel: torch.Tensor, cost: torch.Tensor, progress: Progress, epsilon: float) -> None:
    f, g = progress.f.to(kernel.dtype), progress.g.to(kernel.dtype)
    for rows in _blocks(kernel, kernel.device):
        torch.sub(g, cost[rows].to(kernel.device, kernel.dtype), out=kernel[rows])
        tile = kernel[rows].add_(f[rows].unsqueeze(1)).div_(epsilon)
        tile.clamp_min_(LOWEST_EXPONENT).exp_()


def _beyond(factors: np.ndarray) -> bool:
    low = factors.min()
    if low < 1 / LARGEST_FACTOR:
        # Those of rows and columns without mass are zero.
        low = factors.min(where=factors > 0, initial=np.inf)
    return bool(factors.max() > LARGEST_FACTOR or low < 1 / LARGEST_FACTOR)


def _log(factors: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    # A row or column without mass keeps its potential: its factor stays zero.
    logs = np.log(factors, out=np.zeros(len(factors)), where=factors > 0)
    return torch.from_numpy(logs).to(like)
