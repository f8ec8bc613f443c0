"""Tests that bad input is refused with words that name it, made from tables.

A number out of range stands for the bound: none between the two may be refused or taken.
"""

import re
from contextlib import contextmanager
from functools import partial

import pytest

OUT_OF_RANGE = re.compile(
    r"=(-?[\d.]+) is out of range: expected an? (?:integer|finite number)"
    r"(?: (>=?) (-?[\d.]+))?(?:.*<= (-?[\d.]+))?"
)


def check_nearest(said):
    """Fail where a number said to be out of range is not just beyond the bound it broke."""
    if not (found := OUT_OF_RANGE.search(said)):
        return
    value, sign, low, high = found.groups()
    value, low, high = (float(number or "nan") for number in (value, low, high))
    if value <= low:
        assert value == low if sign == ">" else low - 1 <= value < low, said
    if value > high:
        assert value <= high + 1, said


@contextmanager
def refusing(message, error=ValueError):
    """Expect an error that says `message`, and of a number no more than its bound."""
    with pytest.raises(error, match=message) as refusal:
        yield
    check_nearest(str(refusal.value))


def refuses(call, *cases, error=ValueError):
    """Return a test that `call` refuses each case: arguments, or a call, and what is said."""

    @pytest.mark.parametrize(("change", "message"), cases)
    def test(change, message):
        with refusing(message, error):
            change() if callable(change) else call(**change)

    return test


def refused(calls):
    """Return a test that each call is refused with its message, from (message, call)."""
    return refuses(None, *((call, message) for message, call in calls))


def out_of_range(fit, values):
    """Return a test that `fit(parameter=value)` names both, for each of its values."""
    return refused(
        [
            (re.escape(f"{name}={value!r}"), partial(fit, **{name: value}))
            for name, several in values.items()
            for value in several
        ]
    )
