"""Each verdict word is shown by its interval, and more seeds can only sharpen it."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from mvlib.records import VERDICT_RULES, verdict

# How much a word says for agreement; and which words a sharper interval may turn one into.
ORDER = ["differs", "undecided", "within 2", "within 1"]
SHARPER = {
    "not run": set(ORDER),
    "undecided": set(ORDER),
    "within 2": {"within 2", "within 1"},
    "within 1": {"within 1"},
    "differs": {"differs"},
}
points = st.floats(0, 100).map(lambda value: round(value, 2))
seeds = st.lists(points, min_size=3, max_size=8)


def values(mean, sd, n=5):
    """Return n values of exactly that mean and sample standard deviation."""
    shape = np.linspace(-1, 1, n)
    return mean + sd * shape / shape.std(ddof=1)


def spread_for(half, n=5):
    """Return the standard deviation whose 90 % interval has this half-width."""
    return half * np.sqrt(n) / stats.t.ppf(0.95, n - 1)


def test_numbers_are_scipys():
    sample = values(93.0, 0.4)
    found = verdict(sample, 93.2)
    low, high = stats.t.interval(0.9, 4, sample.mean() - 93.2, stats.sem(sample))
    assert (found.low, found.high) == pytest.approx((low - 0.005, high + 0.005))
    assert (found.mean, found.sd, found.difference) == pytest.approx((93.0, 0.4, -0.2))
    assert found.n == 5


@given(seeds, points)
def test_within_is_said_where_two_one_sided_tests_say_it(sample, published):
    assume(np.ptp(sample) > 0.1)
    found = verdict(sample, published, digits=6)

    def p(margin):
        below = stats.ttest_1samp(sample, published - margin, alternative="greater").pvalue
        above = stats.ttest_1samp(sample, published + margin, alternative="less").pvalue
        return max(below, above)

    assume(all(abs(p(margin) - 0.05) > 1e-4 for margin in (1, 2)))
    assert (found.word == "within 1") == (p(1) < 0.05)
    assert (found.word in ("within 1", "within 2")) == (p(2) < 0.05)


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize(("margin", "beyond"), [(1, "within 2"), (2, "undecided")])
def test_the_interval_may_reach_to_the_margin_and_no_further(side, margin, beyond):
    sample = values(80.0, spread_for(0.3))
    room = margin - 0.3 - 0.005
    assert verdict(sample, 80 + side * room).word == f"within {margin}"
    assert verdict(sample, 80 + side * (room + 1.5e-9)).word == beyond


@pytest.mark.parametrize("side", [-1, 1])
def test_differs_is_said_where_no_end_of_the_interval_is_within_two_points(side):
    sample = values(80.0, spread_for(0.3))
    assert verdict(sample, 80 + side * (2.305 + 1.5e-9)).word == "differs"
    assert verdict(sample, 80 + side * 2.305).word == "undecided"
    assert np.sign(verdict(sample, 80 + side * 5).difference) == -side


def test_rounding_of_the_published_value_makes_no_word_easier():
    same = [80.0] * 3
    assert verdict(same, 81.0, digits=0).word == "within 2"
    assert verdict(same, 81.0, digits=3).word == "within 2"
    assert verdict(same, 80.9, digits=1).word == "within 1"
    assert verdict(same, 82.4, digits=0).word == "undecided"
    assert verdict(same, 82.4, digits=1).word == "differs"


@given(seeds, points)
def test_every_word_has_a_cap(sample, published):
    found = verdict(sample, published)
    gap = abs(found.difference)
    if found.word == "differs":
        assert gap > 2
    if found.word.startswith("within"):
        assert gap < float(found.word[-1])


@given(seeds, points, st.integers(2, 4))
def test_the_same_values_again_never_weaken_a_word(sample, published, times):
    once, again = verdict(sample, published), verdict(sample * times, published)
    assert again.word in SHARPER[once.word]
    if again.word == "undecided" and "over" not in once.detail + again.detail:
        n = [int(found.detail.split()[1]) for found in (once, again)]
        assert n[1] <= max(n[0], again.n + 1)


@given(points, points, st.floats(0, 20), st.integers(3, 10), st.integers(1, 40))
def test_more_seeds_of_the_same_mean_and_spread_only_sharpen(mean, published, sd, n, more):
    few, many = values(mean, sd, n), values(mean, sd, n + more)
    assert verdict(many, published).word in SHARPER[verdict(few, published).word]


@given(points, st.floats(0, 20), st.floats(0, 1), st.floats(-20, 20), st.floats(0, 1))
def test_a_nearer_cell_no_wider_never_gets_a_weaker_word(mean, sd, narrower, gap, nearer):
    far = verdict(values(mean, sd), mean + gap)
    same_spread = verdict(values(mean, sd), mean + gap * nearer)
    assert ORDER.index(same_spread.word) >= ORDER.index(far.word)
    if far.word.startswith("within"):
        both = verdict(values(mean, sd * narrower), mean + gap * nearer)
        assert ORDER.index(both.word) >= ORDER.index(far.word)


@pytest.mark.parametrize("digits", [0, 2])
@pytest.mark.parametrize(("gap", "sd", "word"), [(0.5, 1.7, "within 2"), (4, 3.0, "differs")])
def test_undecided_says_how_many_seeds_decide_it_and_one_less_does_not(digits, gap, sd, word):
    found = verdict(values(80.0, sd), 80.0 + gap, digits)
    assert found.said == f"undecided: {found.detail}"
    needed = int(found.detail.removeprefix("needs ").removesuffix(" seeds"))
    assert needed > 5
    assert verdict(values(80.0, sd, needed), 80.0 + gap, digits).word == word
    assert verdict(values(80.0, sd, needed - 1), 80.0 + gap, digits).word == "undecided"


@pytest.mark.parametrize(
    ("sample", "published", "cannot", "word", "detail"),
    [
        ([91, 77, 62], 93, None, "undecided", None),
        ([91, 77, 62], 105, None, "differs", ""),
        # At the border itself no number of seeds is named.
        (values(80.0, 1.0), 82.0, None, "undecided", "needs over 1,000 seeds"),
        ([80.0, 80.0], 80.0, None, "not run", "2 of 3 seeds"),
        ([], 80.0, None, "not run", "0 of 3 seeds"),
        ([80.0] * 3, 80.0, None, "within 1", ""),
        # What was run counts before what cannot be.
        ([], 80.0, "no data", "cannot", "no data"),
        ([80.0] * 3, 80.0, "no data", "within 1", ""),
        ([80.0], 80.0, "no data", "not run", "1 of 3 seeds"),
    ],
)
def test_words_of_few_seeds_and_of_seeds_far_apart(sample, published, cannot, word, detail):
    found = verdict(sample, published, cannot=cannot)
    assert found.word == word
    assert detail is None or found.detail == detail
    assert found.said == (f"{word}: {found.detail}" if word == "undecided" else word)
    assert found.mean == (pytest.approx(np.mean(sample)) if len(sample) else None)
    assert found.sd == (pytest.approx(np.std(sample, ddof=1)) if len(sample) > 1 else None)
    assert word in VERDICT_RULES
    assert len(VERDICT_RULES) == 6


def test_one_seed_more_is_said_where_it_is_enough():
    needs = {verdict(values(80.0, sd), 80.5).detail for sd in np.linspace(1.4, 1.7, 31)}
    assert "needs 6 seeds" in needs


@pytest.mark.parametrize("digits", [1.5, -1, True])
def test_digits_that_count_no_places_are_refused(digits):
    with pytest.raises(ValueError, match="digits"):
        verdict([80.0], 80.0, digits=digits)


def test_missing_values_are_refused():
    with pytest.raises(ValueError, match="missing"):
        verdict([80.0, float("nan"), 80.0], 80.0)
