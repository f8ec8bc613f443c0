"""Each verdict word holds exactly up to its border."""

import numpy as np
import pytest
from scipy import stats

from mvlib.experiments import VERDICT_RULES, verdict


def values(mean, sd, n=5):
    """Return n values of exactly that mean and sample standard deviation."""
    shape = np.linspace(-1, 1, n)
    return mean + sd * shape / shape.std(ddof=1)


def half_width(sd, n=5):
    return stats.t.ppf(0.975, n - 1) * sd / np.sqrt(n)


def test_numbers_are_scipys():
    sample = values(93.0, 0.4)
    found = verdict(sample, 93.2)
    low, high = stats.t.interval(0.95, 4, sample.mean(), stats.sem(sample))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert (found.mean, found.sd, found.difference) == pytest.approx((93.0, 0.4, -0.2))
    assert found.n == 5


@pytest.mark.parametrize("side", [-1, 1])
def test_match_reaches_to_the_interval_and_half_a_digit(side):
    sample, reach = values(80.0, 0.2), half_width(0.2) + 0.005
    assert verdict(sample, 80 + side * reach).word == "match"
    assert verdict(sample, 80 + side * (reach + 1e-6)).word == "close"


def test_coarser_digits_reach_further():
    sample = values(80.0, 0.0)
    assert verdict(sample, 80.4, digits=0).word == "match"
    assert verdict(sample, 80.4, digits=1).word == "close"


def test_no_match_where_the_interval_is_wider_than_two_points():
    sd = 2 * np.sqrt(5) / stats.t.ppf(0.975, 4)
    assert verdict(values(80.0, sd), 80.0).word == "match"
    assert verdict(values(80.0, sd * 1.0001), 80.0).word == "close"


@pytest.mark.parametrize(("side", "word"), [(-1, "above"), (1, "below")])
def test_close_reaches_one_point_or_two_spreads(side, word):
    narrow, wide = values(80.0, 0.1), values(80.0, 3.0)
    assert verdict(narrow, 80 + side * 1.0).word == "close"
    assert verdict(narrow, 80 + side * 1.0001).word == word
    assert verdict(wide, 80 + side * 6.0).word == "close"
    assert verdict(wide, 80 + side * 6.0001).word == word


def test_fewer_than_three_seeds_are_not_run():
    found = verdict([80.0, 80.0], 80.0)
    assert (found.word, found.detail, found.mean) == ("not run", "2 of 3 seeds", 80.0)
    assert verdict([], 80.0).detail == "0 of 3 seeds"
    assert verdict([80.0] * 3, 80.0).word == "match"


def test_cannot_yields_to_what_was_run():
    assert verdict([], 80.0, cannot="no data").word == "cannot"
    assert verdict([], 80.0, cannot="no data").detail == "no data"
    assert verdict([80.0] * 3, 80.0, cannot="no data").word == "match"
    assert verdict([80.0], 80.0, cannot="no data").word == "not run"


def test_missing_values_are_refused():
    with pytest.raises(ValueError, match="missing"):
        verdict([80.0, float("nan"), 80.0], 80.0)


def test_every_word_has_its_rule():
    words = ["match", "close", "above", "below", "not run", "cannot"]
    assert list(VERDICT_RULES) == words
