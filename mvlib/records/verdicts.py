"""How a reproduced number stands to the published one, in one word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mvlib.check import check_number

FEWEST_SEEDS = 3
_ONE_SIDED = 0.95
_MARGINS = (1.0, 2.0)
_MOST_SEEDS = 1000
# Borders belong to the better word, whatever the last bit of a float says.
_ROUNDING = 1e-9

VERDICT_RULES = {
    "within 1": "The 90 % interval of the difference lies within 1 point to either side of 0. "
    "The interval is that of our mean less the published value (Student's t over seeds), made "
    "longer at both ends by half a unit of the published value's last printed digit. That is "
    "two one-sided tests at 5 %: equivalence is shown, not a failure to find a difference.",
    "within 2": "The same, within 2 points.",
    "differs": "The whole interval lies more than 2 points from 0. The sign of the difference "
    "says on which side.",
    "undecided": "Neither is shown: the interval holds values on both sides of 2 points. "
    '"Needs n seeds" is an estimate: the fewest at which "within 2" or "differs" would hold, '
    "if mean and standard deviation stayed what they are.",
    "not run": "Fewer than 3 seeds of the full setting are recorded.",
    "cannot": "The comparison is impossible: the data are not to be had, the method is not "
    "implemented here, or the protocols differ. The reason stands beside it.",
}


@dataclass(frozen=True)
class Verdict:
    """A comparison with a published value, in points (per cent)."""

    word: str
    n: int = 0
    mean: float | None = None
    sd: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    detail: str = ""

    @property
    def said(self) -> str:
        """The word, with what it would take where it is undecided."""
        return f"{self.word}: {self.detail}" if self.word == "undecided" else self.word


def verdict(
    values: Sequence[float], published: float, digits: int = 2, cannot: str | None = None
) -> Verdict:
    r"""Compare our values over seeds, in points, with a published one, by `VERDICT_RULES`.

    The interval is :math:`m - p \pm (t_{0.95, n-1} s / \sqrt{n} + u)`, with :math:`u` half a
    unit of the last of the published value's `digits`; two one-sided tests are by Schuirmann
    (1987, Journal of Pharmacokinetics and Biopharmaceutics 15, 657-680). `cannot` says why no
    comparison is possible, and only counts where there are no values.
    """
    check_number("published", published)
    check_number("digits", digits, low=0, integer=True)
    numbers = np.asarray(list(values), dtype=float)
    if not np.isfinite(numbers).all():
        raise ValueError(f"values={list(values)!r} are not all finite: missing is missing")
    n = len(numbers)
    if cannot and not n:
        return Verdict("cannot", detail=cannot)
    known = {}
    if n:
        known = {"mean": float(numbers.mean()), "difference": float(numbers.mean() - published)}
    if n > 1:
        known["sd"] = float(numbers.std(ddof=1))
    if n < FEWEST_SEEDS:
        return Verdict("not run", n, **known, detail=f"{n} of {FEWEST_SEEDS} seeds")
    difference, sd = known["difference"], known["sd"]
    gap, rounding = abs(difference), 0.5 * 10.0**-digits
    reach = float(_half_width(sd, n)) + rounding
    known |= {"low": difference - reach, "high": difference + reach}
    for margin in _MARGINS:
        if gap + reach <= margin + _ROUNDING:
            return Verdict(f"within {margin:g}", n, **known)
    widest = _MARGINS[-1]
    if gap - reach > widest + _ROUNDING:
        return Verdict("differs", n, **known)
    needs = _seeds_needed(sd, n, abs(gap - widest) - rounding)
    return Verdict("undecided", n, **known, detail=f"needs {needs} seeds")


def _seeds_needed(sd: float, n: int, room: float) -> str:
    """Return how many seeds, at the present sd, give an interval no longer than the room."""
    more = np.arange(n + 1, _MOST_SEEDS + 1)
    enough = more[_half_width(sd, more) < room]
    return str(enough[0]) if len(enough) else f"over {_MOST_SEEDS:,}"


def _half_width(sd: float, n: int | np.ndarray) -> Any:
    from scipy.stats import t

    return t.ppf(_ONE_SIDED, n - 1) * sd / np.sqrt(n)
