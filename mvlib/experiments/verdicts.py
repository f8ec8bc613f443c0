"""How a reproduced number stands to the published one, in one word."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mvlib._validation import check_number

FEWEST_SEEDS = 3
CONFIDENCE = 0.95
_WIDEST_MATCH = 2.0
_NEAR_POINTS = 1.0
_NEAR_SPREADS = 2.0
# Borders belong to the better word, whatever the last bit of a float says.
_ROUNDING = 1e-9

VERDICT_RULES = {
    "match": "The published value, give or take half a unit of its last printed digit, meets "
    "the 95 % confidence interval of our mean (Student's t over seeds), and that interval "
    "reaches at most 2 points to either side.",
    "close": "No match, but our mean is within 1 point of the published value, or within twice "
    "the standard deviation over our seeds, whichever is more.",
    "above": "Neither match nor close, and our mean is the higher one.",
    "below": "Neither match nor close, and our mean is the lower one.",
    "not run": "Fewer than 3 seeds of the full setting are recorded.",
    "cannot": "The comparison is impossible: the data are not to be had, the method is not "
    "implemented here, or the protocols differ. The reason stands beside it.",
}


@dataclass(frozen=True)
class Verdict:
    """A comparison with a published value, in points (per cent).

    Attributes
    ----------
    word : str
        One of `VERDICT_RULES`.
    n : int
        Seeds.
    mean, sd : float or None
        Of our values; the standard deviation is the sample's (n - 1).
    low, high : float or None
        The 95 % confidence interval of the mean.
    difference : float or None
        Our mean less the published value.
    detail : str
        What the word leaves open: how many seeds there are, why it cannot be.
    """

    word: str
    n: int = 0
    mean: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    detail: str = ""


def verdict(
    values: Sequence[float], published: float, digits: int = 2, cannot: str | None = None
) -> Verdict:
    r"""Compare our values over seeds with a published one; `VERDICT_RULES` says how.

    With mean :math:`m`, sample standard deviation :math:`s`, :math:`n` seeds, published
    value :math:`p` and :math:`u` half a unit of its last printed digit, the interval is
    :math:`m \pm t_{0.975, n-1} s / \sqrt{n}`. It is a match if :math:`[p - u, p + u]` meets
    the interval and the interval's half-width is at most 2; close if
    :math:`|m - p| \le \max(1, 2 s)`.

    Parameters
    ----------
    values : sequence of float, (n_seeds,)
        In points, such as 93.2.
    published : float
        In points.
    digits : int, default=2
        How many decimals the published value was printed with.
    cannot : str, optional
        Why no comparison is possible; only counts where there are too few values.

    Returns
    -------
    Verdict

    Raises
    ------
    ValueError
        If a value is not finite.
    """
    check_number("published", published)
    check_number("digits", digits, low=0, integer=True)
    numbers = np.asarray(list(values), dtype=float)
    if not np.isfinite(numbers).all():
        raise ValueError(f"values={list(values)!r} are not all finite: missing is missing")
    n = len(numbers)
    known = {}
    if n:
        known = {"mean": float(numbers.mean()), "difference": float(numbers.mean() - published)}
    if n > 1:
        known["sd"] = float(numbers.std(ddof=1))
    if n < FEWEST_SEEDS:
        if cannot and not n:
            return Verdict("cannot", detail=cannot)
        return Verdict("not run", n, **known, detail=f"{n} of {FEWEST_SEEDS} seeds")
    mean, sd = known["mean"], known["sd"]
    half = _t_quantile(n - 1) * sd / math.sqrt(n)
    known |= {"low": mean - half, "high": mean + half}
    gap = abs(mean - published)
    if gap <= half + 0.5 * 10.0**-digits + _ROUNDING and half <= _WIDEST_MATCH + _ROUNDING:
        word = "match"
    elif gap <= max(_NEAR_POINTS, _NEAR_SPREADS * sd) + _ROUNDING:
        word = "close"
    else:
        word = "above" if mean > published else "below"
    return Verdict(word, n, **known)


def _t_quantile(degrees: int) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + CONFIDENCE) / 2, degrees))
