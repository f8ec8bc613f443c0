"""Tests that bad input is refused with words that name it, made from tables."""

import pytest


def refuses(call, *cases, error=ValueError):
    """Return a test that `call` refuses each case: arguments, or a call, and what is said."""

    @pytest.mark.parametrize(("change", "message"), cases)
    def test(change, message):
        with pytest.raises(error, match=message):
            change() if callable(change) else call(**change)

    return test
