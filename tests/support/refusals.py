"""Tests that bad input is refused with words that name it, made from tables."""

import re
from functools import partial

import pytest


def refuses(call, *cases, error=ValueError):
    """Return a test that `call` refuses each case: arguments, or a call, and what is said."""

    @pytest.mark.parametrize(("change", "message"), cases)
    def test(change, message):
        with pytest.raises(error, match=message):
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
