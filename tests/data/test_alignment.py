import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refuses
from sklearn.utils import shuffle

from mvlib.data import min_max_scale, misalign, partially_align
from mvlib.data.alignment import PROTOCOLS

sizes = {"n_samples": st.integers(2, 40), "n_views": st.integers(2, 4)}
seeded = {**sizes, "ratio": st.floats(0, 1), "seed": st.integers(0, 1000)}
# Those that shuffle the unaligned rows alone.
SHUFFLING = ("smart", "mvcln", "eagcp", "classwise")
problems = given(**seeded, protocol=st.sampled_from(PROTOCOLS))


def numbered_views(n_samples, n_views):
    """Views whose first column is the sample's number, so that rows can be traced."""
    rows = np.arange(n_samples, dtype=np.float32)
    Xs = [np.stack([rows, rows + v], axis=1) for v in range(n_views)]
    return Xs, np.arange(n_samples) % 3


@problems
@settings(max_examples=60, deadline=None)
def test_rows_are_permuted_pairs_are_partners_and_a_seed_repeats_all(
    n_samples, n_views, ratio, seed, protocol
):
    Xs, y = numbered_views(n_samples, n_views)
    problem, again = (partially_align(Xs, y, ratio, seed, protocol) for _ in range(2))
    codes = np.unique(y, return_inverse=True)[1]
    for v, (X, order) in enumerate(zip(problem.Xs, problem.permutations, strict=True)):
        np.testing.assert_array_equal(np.sort(order), np.arange(n_samples))
        np.testing.assert_array_equal(X, Xs[v][order])
        np.testing.assert_array_equal(problem.labels_of_view(v), codes[order])
        np.testing.assert_array_equal(
            problem.Xs[0][problem.pairs[:, 0], 0], X[problem.pairs[:, min(v, 1)], 0]
        )
        np.testing.assert_array_equal(
            order[problem.aligned], problem.permutations[0][problem.aligned]
        )
    np.testing.assert_array_equal(problem.y, problem.labels_of_view(0))
    np.testing.assert_array_equal(problem.pairs, again.pairs)
    np.testing.assert_array_equal(problem.permutations, again.permutations)


@pytest.mark.parametrize("protocol", sorted({*PROTOCOLS} - {"eagcp"}))
def test_other_seed_gives_other_problem(protocol):
    Xs, y = numbered_views(50, 2)
    first, second = (partially_align(Xs, y, 0.5, seed, protocol) for seed in (1, 2))
    assert not np.array_equal(first.permutations, second.permutations)


@given(**sizes, ratio=st.floats(0, 1), protocol=st.sampled_from(SHUFFLING))
@settings(max_examples=60, deadline=None)
def test_unaligned_rows_are_shuffled_among_themselves_only(n_samples, n_views, ratio, protocol):
    problem = partially_align(*numbered_views(n_samples, n_views), ratio, protocol=protocol)
    unaligned = set(problem.permutations[0][~problem.aligned].tolist())
    for permutation in problem.permutations[1:]:
        assert set(permutation[~problem.aligned].tolist()) == unaligned


@pytest.mark.parametrize("protocol", SHUFFLING)
def test_ratio_1_keeps_every_partner_and_ratio_0_none(protocol):
    Xs, y = numbered_views(30, 3)
    whole = partially_align(Xs, y, 1, protocol=protocol)
    assert whole.aligned.all()
    assert len(whole.pairs) == 30
    np.testing.assert_array_equal(whole.permutations[0], whole.permutations[2])
    none = partially_align(Xs, y, 0, protocol=protocol)
    assert not none.aligned.any()
    assert none.pairs.shape == (0, 2)
    assert (none.permutations[0] != none.permutations[1]).sum() > 20
    assert (none.permutations[1] != none.permutations[2]).sum() > 20


def test_smart_follows_its_authors_draw_by_draw():
    # The reference makes the calls that the authors make, global generator and all.
    Xs, y = numbered_views(101, 2)
    problem = partially_align(Xs, y, 0.3)
    np.random.seed(20)  # noqa: NPY002
    aligned = np.zeros(101, bool)
    aligned[np.random.permutation(101)[: int(101 * 0.3)]] = True  # noqa: NPY002
    view_2 = np.arange(101)
    view_2[~aligned] = shuffle(view_2[~aligned], random_state=2)
    np.testing.assert_array_equal(problem.aligned, aligned)
    np.testing.assert_array_equal(problem.permutations[0], np.arange(101))
    np.testing.assert_array_equal(problem.permutations[1], view_2)
    np.testing.assert_array_equal(problem.y, y)


def test_smart_takes_the_whole_part_of_the_aligned_rows_and_shuffles_views_differently():
    assert partially_align(*numbered_views(7, 2), 0.5).aligned.sum() == 3
    _, second, third, fourth = partially_align(*numbered_views(40, 4), 0.2).permutations
    assert not np.array_equal(second, third)
    assert not np.array_equal(third, fourth)


@given(**seeded, data=st.data())
@settings(max_examples=60, deadline=None)
def test_only_eligible_samples_are_aligned_and_as_many_as_without_a_mask(
    n_samples, n_views, ratio, seed, data
):
    Xs, y = numbered_views(n_samples, n_views)
    wanted = int(n_samples * ratio)
    chosen = data.draw(st.sets(st.integers(0, n_samples - 1), min_size=wanted))
    eligible = np.isin(np.arange(n_samples), list(chosen))
    problem = partially_align(Xs, y, ratio, seed, eligible=eligible)
    rows, others = np.flatnonzero(problem.aligned), np.flatnonzero(~problem.aligned)
    assert len(rows) == wanted
    assert eligible[rows].all()
    np.testing.assert_array_equal(problem.pairs, np.stack([rows, rows], axis=1))
    np.testing.assert_array_equal(problem.permutations[0], np.arange(n_samples))
    for X, permutation in zip(problem.Xs, problem.permutations, strict=True):
        np.testing.assert_array_equal(X[rows, 0], rows)
        np.testing.assert_array_equal(np.sort(permutation[others]), others)


@pytest.mark.parametrize("ratio", [0, 0.3, 0.5, 1])
@pytest.mark.parametrize("everyone", [np.ones(31, bool), [True] * 31, np.ones(31, int)])
def test_a_mask_of_all_samples_is_no_mask(ratio, everyone):
    views = numbered_views(31, 3)
    masked, plain = (partially_align(*views, ratio, eligible=each) for each in (everyone, None))
    for name in ("aligned", "pairs", "permutations"):
        np.testing.assert_array_equal(getattr(masked, name), getattr(plain, name))


def test_the_seed_draws_among_the_eligible_and_the_others_are_shuffled():
    Xs, y = numbered_views(60, 2)
    eligible = y == 0
    first, again, second = (
        partially_align(Xs, y, 0.2, seed, eligible=eligible) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.aligned, again.aligned)
    assert not np.array_equal(first.aligned, second.aligned)
    others = np.flatnonzero(~first.aligned)
    # Eligible samples that were not drawn are shuffled with all the rest.
    assert (first.permutations[1][others] != others).sum() > 30
    assert (first.permutations[1][eligible & ~first.aligned] % 3 != 0).any()


def test_just_enough_eligible_samples_are_all_aligned():
    for n, ratio in ((5, 0.5), (0, 0)):
        eligible = np.arange(10) < n
        problem = partially_align(*numbered_views(10, 2), ratio, eligible=eligible)
        np.testing.assert_array_equal(problem.aligned, eligible)


def test_pvc_permutes_the_whole_second_view():
    Xs, y = numbered_views(60, 2)
    problem = partially_align(Xs, y, 0.5, protocol="pvc")
    random.seed(20)
    known = random.sample(range(60), 60)[:30]
    np.testing.assert_array_equal(problem.permutations[1], random.sample(range(60), 60))
    assert sorted(problem.pairs[:, 0].tolist()) == sorted(known)
    moved = problem.pairs[:, 0] != problem.pairs[:, 1]
    assert moved.sum() >= 25
    np.testing.assert_array_equal(problem.permutations[0], np.arange(60))


def test_pvc_marks_only_pairs_of_one_row_as_aligned():
    Xs, y = numbered_views(4, 2)
    for seed in range(20):
        problem = partially_align(Xs, y, 1, seed, "pvc")
        in_place = problem.permutations[0] == problem.permutations[1]
        np.testing.assert_array_equal(problem.aligned, in_place)
        assert len(problem.pairs) == 4


def test_mvcln_puts_the_aligned_rows_first_and_rounds_their_number_up():
    Xs, y = numbered_views(7, 2)
    problem = partially_align(Xs, y, 0.5, 249, "mvcln")
    random.seed(249)
    order = np.array(random.sample(range(7), 7))
    rest = order[4:][random.sample(range(3), 3)]
    np.testing.assert_array_equal(problem.aligned, [True] * 4 + [False] * 3)
    np.testing.assert_array_equal(problem.permutations[0], order)
    np.testing.assert_array_equal(problem.permutations[1], np.concatenate([order[:4], rest]))


def test_eagcp_is_mvcln_with_a_seed_that_never_changes():
    Xs, y = numbered_views(31, 3)
    expected = partially_align(Xs, y, 0.3, 10, "mvcln").permutations
    for seed in (10, 20):
        found = misalign(Xs, y, 0.3, seed, "eagcp").permutations
        np.testing.assert_array_equal(found, expected)


def test_classwise_aligns_the_first_rows_of_each_class_and_rounds_halves_up():
    Xs, _ = numbered_views(16, 3)
    y = np.array(list("abcabcabcabcaccc"))
    problem = misalign(Xs, y, 0.5, 3, "classwise")
    # Five rows of a, four of b, seven of c: 2.5 become three, 2 stay, 3.5 become four.
    for letter, n_known in (("a", 3), ("b", 2), ("c", 4)):
        flags = problem.aligned[y == letter]
        assert flags.tolist() == [True] * n_known + [False] * (len(flags) - n_known)
    rng = np.random.RandomState(3)  # noqa: NPY002
    others = np.flatnonzero(~problem.aligned)
    for permutation in problem.permutations[1:]:
        expected = np.arange(16)
        expected[others] = rng.permutation(others)
        np.testing.assert_array_equal(permutation, expected)
    np.testing.assert_array_equal(problem.permutations[0], np.arange(16))


def test_the_earlier_name_makes_the_same_problem_in_which_all_is_there():
    problem = partially_align(*numbered_views(20, 3), 0.5)
    assert partially_align is misalign
    assert problem.present.shape == (20, 3)
    assert problem.present.all()
    assert problem.rates == {}
    for X, clean in zip(problem.Xs, problem.clean, strict=True):
        np.testing.assert_array_equal(X, clean)


def test_inputs_are_left_as_they_are_and_outputs_are_their_own():
    Xs, y = numbered_views(10, 2)
    problem = partially_align(Xs, y, 0.5)
    problem.Xs[0][:] = -1
    np.testing.assert_array_equal(Xs, numbered_views(10, 2)[0])


X, EVERYONE = np.ones((10, 2)), {"eligible": np.ones(10, bool)}
test_bad_input_is_named = refuses(
    lambda **change: partially_align(
        **dict(zip(("Xs", "y", "ratio"), (*numbered_views(10, 2), 0.5), strict=True)) | change
    ),
    ({"ratio": 1.5}, r"ratio=1.5 .*<= 1"),
    ({"ratio": -0.1}, r"ratio=-0.1 .*>= 0"),
    ({"ratio": float("nan")}, "ratio=nan"),
    ({"ratio": "half"}, "ratio='half'"),
    ({"protocol": "mvcn"}, "Did you mean 'mvcln'"),
    ({"random_state": -1}, "random_state=-1"),
    ({"random_state": 2**32}, "random_state=4294967296"),
    ({"random_state": 2.5}, "random_state=2.5.*integer"),
    ({"y": np.zeros(9)}, r"y has shape \(9,\): expected \(10,\)"),
    ({"y": np.full(10, np.nan)}, "y holds NaN"),
    ({"Xs": [X]}, "1 views: expected at least 2"),
    ({"Xs": [X, X[:9]]}, r"different lengths \[10, 9\]"),
    ({"Xs": [X, X * np.nan]}, r"Xs\[1\] holds nan at row 0"),
    ({"Xs": X}, "expected a list of views"),
    ({"eligible": np.arange(10) < 4},
     "eligible has 4 samples: expected at least 5, ratio=0.5 of 10"),
    ({"eligible": np.ones(9, bool)}, r"eligible has shape \(9,\): expected \(10,\)"),
    ({"eligible": np.arange(10)}, "eligible has dtype int64: expected booleans"),
    ({"eligible": np.ones(10)}, "eligible has dtype float64: expected booleans"),
    ({"protocol": "pvc", **EVERYONE},
     "eligible is given with protocol='pvc': expected protocol='smart'"),
    ({"protocol": "mvcln", **EVERYONE}, "eligible is given with protocol='mvcln'"),
    (lambda: partially_align(*numbered_views(10, 2), 0.5).labels_of_view(2), "v=2"),
    (lambda: min_max_scale([np.eye(3), np.ones((3, 2))]), r"Xs\[1\] is constant"),
    (lambda: min_max_scale([np.full((3, 2), np.nan)]), r"Xs\[0\] holds nan"),
)  # fmt: skip


def test_min_max_scales_each_view_as_one_block():
    X = np.array([[0.0, 5.0], [10.0, 20.0]])
    first, second = min_max_scale([X, -X])
    np.testing.assert_array_equal(first, np.array([[0, 0.25], [0.5, 1]], np.float32))
    np.testing.assert_array_equal(second, 1 - first)
    assert first.dtype == np.float32
