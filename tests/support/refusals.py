"""Tests that bad input is refused by name, made from a table of what must be refused."""

import re
from functools import partial

import pytest


def refused(calls):
    """Test that each call raises a ValueError that matches its message."""

    @pytest.mark.parametrize(("message", "call"), calls)
    def test(message, call):
        with pytest.raises(ValueError, match=message):
            call()

    return test


def out_of_range(fit, values):
    """Test that `fit(parameter=value)` names both, for each of the values of a parameter."""
    return refused(
        [
            (re.escape(f"{name}={value!r}"), partial(fit, **{name: value}))
            for name, several in values.items()
            for value in several
        ]
    )
