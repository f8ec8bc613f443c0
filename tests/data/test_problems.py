"""Mismatched, hidden and corrupted rows: the authors' draws, and what must hold of each."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refuses

from mvlib import data
from mvlib.data.problems import filled

MASKS = ("completer", "half", "hsacc", "freecsl", "sure")


def numbered_views(n, n_views=2):
    """Views whose first column is the sample's number, so that rows can be traced."""
    rows = np.arange(n, dtype=np.float32)
    return [np.stack([rows, rows**2 + v], axis=1) for v in range(n_views)], np.arange(n) % 10


def legacy(seed):
    return np.random.RandomState(seed)  # noqa: NPY002


@pytest.mark.parametrize(
    ("n", "n_moved", "to", "since"),
    [
        (4485, 2242, [2245, 4160, 935], [1919, 2922, 2361]),
        (2100, 1050, [162, 1722, 800], [1929, 1462, 1290]),
        (2000, 1000, [1748, 934, 1033], [1023, 937, 1085]),
        (600, 300, [570, 380, 457], [591, 207, 20]),
    ],
)
def test_mismatched_rows_are_those_of_the_measured_vectors(n, n_moved, to, since):
    problem = data.mismatch(*numbered_views(n), rate=0.5)
    second = problem.permutations[1]
    assert second[to].tolist() == since
    assert n_moved - 3 <= (second != np.arange(n)).sum() <= n_moved
    np.testing.assert_array_equal(problem.Xs[1][:, 0], second)
    np.testing.assert_array_equal(problem.permutations[0], np.arange(n))
    assert problem.aligned.all()
    assert problem.rates == {"mismatch": 0.5}


@pytest.mark.parametrize(
    ("rate", "share"), [(0.2, 0.826), (0.5, 0.549), (0.8, 0.274), (1, 0.098)]
)
def test_pairs_share_a_class_as_often_as_measured(rate, share):
    Xs, _ = numbered_views(2000)
    problem = data.mismatch(Xs, np.repeat(np.arange(10), 200), rate=rate)
    assert (problem.y == problem.labels_of_view(1)).mean() == pytest.approx(share, abs=0.002)


@given(n=st.integers(2, 60), n_views=st.integers(2, 4), rate=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_a_mismatch_keeps_the_rows_of_every_view_and_moves_only_some(n, n_views, rate):
    Xs, y = numbered_views(n, n_views)
    problem = data.mismatch(Xs, y, rate=rate)
    assert np.array_equal(problem.Xs[0], Xs[0])
    for v, (X, order) in enumerate(zip(problem.Xs, problem.permutations, strict=True)):
        np.testing.assert_array_equal(np.sort(order), np.arange(n))
        np.testing.assert_array_equal(X, Xs[v][order])
        np.testing.assert_array_equal(problem.labels_of_view(v), y[order])
        assert (order != np.arange(n)).sum() <= int(n * rate)


def test_views_are_mismatched_by_one_stream_and_plci_moves_complete_rows_of_one_view():
    problem = data.mismatch(*numbered_views(50, 3), rate=0.5)
    rng, expected = legacy(1234), []
    for _ in range(2):
        order = np.arange(50)
        rng.shuffle(order)
        ids, to = np.arange(50), order[:25]
        since = to.copy()
        rng.shuffle(since)
        ids[to] = since
        expected.append(ids)
    np.testing.assert_array_equal(problem.permutations[1:], expected)
    hidden = data.hide_views(*numbered_views(80), rate=0.4, protocol="half")
    whole = np.flatnonzero(hidden.present.all(axis=1))
    for view in (0, 1):
        mixed = data.mismatch(hidden, rate=0.5, protocol="plci", view=view)
        moved = np.flatnonzero(mixed.permutations[view] != np.arange(80))
        assert 0 < len(moved) <= int(0.5 * len(whole))
        assert set(moved) <= set(whole)
        np.testing.assert_array_equal(mixed.permutations[1 - view], np.arange(80))
        np.testing.assert_array_equal(mixed.present, hidden.present)
        now = mixed.permutations[view][moved]
        np.testing.assert_array_equal(mixed.Xs[view][moved], np.c_[now, now**2 + view])
    assert mixed.protocol == "half+plci"
    assert mixed.rates == {"missing": 0.4, "mismatch": 0.5}


def slow_fill(n, n_views, share, rng):
    """A fill as the sheet has it, cell by cell: E, R and R again until the share is near."""

    def one_each():
        return [[v == kept for v in range(n_views)] for kept in rng.randint(0, n_views, n)]

    if share <= 1 / n_views:
        return one_each()
    if share == 1:
        return [[True] * n_views] * n
    while True:
        E = one_each()
        need = n_views * n * share - n
        R = rng.randint(0, 100, (n, n_views)) < int(100 * (need / (n_views * n)))
        o = sum(R[i][v] and E[i][v] for i in range(n) for v in range(n_views))
        need = need / (1 - o / need)
        R = rng.randint(0, 100, (n, n_views)) < int(100 * (need / (n_views * n)))
        mask = [[R[i][v] or E[i][v] for v in range(n_views)] for i in range(n)]
        if abs(np.mean(mask) - share) < 0.005:
            return mask


def slow_mask(protocol, n, n_views, m, rng):
    if protocol in ("completer", "sure"):
        return slow_fill(n, n_views, 1 - m / n_views, rng)
    if protocol == "freecsl":
        mask, rows = np.ones((n, n_views), bool), rng.permutation(n)
        for row in rows[int((10 - 10 * m) / 10 * n) :]:
            for v in rng.randint(0, n_views, n_views - 1):
                mask[row, v] = False
        return mask
    full = int(n * (1 - m))
    share = 0.5 if protocol == "half" else 1 - m / n_views
    mask = np.array(slow_fill(n - full, n_views, share, rng) + [[True] * n_views] * full)
    return mask[rng.choice(n, n, replace=False)]


@pytest.mark.parametrize("m", [0.1, 0.5, 0.9, 1])
@pytest.mark.parametrize("protocol", MASKS)
def test_masks_are_those_of_the_transcription(protocol, m):
    for n_views in (2,) if protocol == "sure" else (2, 3):
        found = data.hide_views(
            *numbered_views(300, n_views), rate=m, random_state=7, protocol=protocol
        ).present
        np.testing.assert_array_equal(found, slow_mask(protocol, 300, n_views, m, legacy(7)))


@pytest.mark.parametrize("protocol", MASKS)
@given(
    n=st.integers(2, 60), n_views=st.integers(2, 4), m=st.floats(0, 1), seed=st.integers(0, 99)
)
@settings(max_examples=25, deadline=None)
def test_every_row_keeps_a_view_what_is_hidden_is_nan_and_a_seed_repeats_all(
    protocol, n, n_views, m, seed
):
    Xs, y = numbered_views(n, 2 if protocol == "sure" else n_views)
    problem, again = (
        data.hide_views(Xs, y, rate=m, random_state=seed, protocol=protocol) for _ in range(2)
    )
    assert problem.present.any(axis=1).all()
    np.testing.assert_array_equal(problem.present, again.present)
    for v, X in enumerate(problem.Xs):
        there = problem.present[:, v]
        np.testing.assert_array_equal(X[there], Xs[v][there])
        assert np.isnan(X[~there]).all()
        assert X.dtype == np.float32
    assert problem.aligned.all()


def incomplete(protocol, m, n_views=2, n=4000):
    """Shares of samples and of cells that lack something, means of four draws."""
    Xs, y = numbered_views(n, n_views)
    draws = [
        data.hide_views(Xs, y, rate=m, random_state=seed, protocol=protocol).present
        for seed in range(4)
    ]
    return np.mean([(1 - mask.all(axis=1).mean(), 1 - mask.mean()) for mask in draws], axis=0)


@pytest.mark.parametrize("m", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_one_rate_is_three_masks_of_two_views(m):
    assert incomplete("completer", m)[0] == pytest.approx(m, abs=0.01)
    for protocol in ("half", "freecsl"):
        assert incomplete(protocol, m)[0] == pytest.approx(m, abs=1 / 4000)
        assert incomplete(protocol, m)[1] == pytest.approx(m / 2, abs=1 / 4000)
    assert incomplete("hsacc", m)[0] == pytest.approx(m**2, abs=0.01)


@pytest.mark.parametrize(
    ("protocol", "n_views", "rows", "cells"),
    [
        ("completer", 3, 0.43, 0.16), ("hsacc", 3, 0.22, 0.08), ("half", 3, 0.47, 0.25),
        ("freecsl", 3, 0.50, 0.28), ("completer", 6, 0.42, 0.09), ("hsacc", 6, 0.21, 0.04),
        ("half", 6, 0.49, 0.25), ("freecsl", 6, 0.50, 0.30),
    ],
)  # fmt: skip
def test_of_more_views_as_much_is_hidden_as_was_measured(protocol, n_views, rows, cells):
    found = incomplete(protocol, 0.5, n_views)
    np.testing.assert_allclose(found, (rows, cells), atol=0.02)


def test_sure_hides_of_the_unaligned_rows_alone_unless_all_are_aligned():
    Xs, y = numbered_views(400)
    problem = data.misalign(Xs, y, 0.5, protocol="mvcln")
    hidden = data.hide_views(problem, rate=0.5, protocol="sure")
    assert hidden.present[hidden.aligned].all()
    assert hidden.present[~hidden.aligned].mean() == pytest.approx(0.75, abs=0.005)
    np.testing.assert_array_equal(hidden.aligned, problem.aligned)
    np.testing.assert_array_equal(hidden.permutations, problem.permutations)
    # What stands in a row is hidden, so that of shuffled rows a sample can lose both views.
    orders = zip(hidden.permutations, hidden.present.T, strict=True)
    assert set(range(400)) - set(np.concatenate([order[there] for order, there in orders]))
    whole = data.hide_views(Xs, y, rate=0.5, protocol="sure").present
    assert whole.mean() == pytest.approx(0.75, abs=0.005)


def test_few_rows_that_cannot_come_near_a_share_get_the_nearest_mask():
    mask = filled(7, 2, 0.75, legacy(0))
    assert mask.any(axis=1).all()
    assert mask.sum() in (10, 11)
    assert filled(0, 2, 0.5, legacy(0)).shape == (0, 2)


def test_noise_hits_its_rows_after_the_mismatched_ones_and_leaves_a_clean_copy():
    Xs, y = numbered_views(60)
    mixed = data.mismatch(Xs, y, rate=0.5)
    noisy = data.corrupt(mixed, rate=0.25, random_state=3)
    rng, noise = legacy(1234), legacy(3)
    order = np.arange(60)
    rng.shuffle(order)
    moved = order[:30].copy()
    rng.shuffle(moved)
    for X, clean in zip(noisy.Xs, mixed.Xs, strict=True):
        order = np.arange(60)
        rng.shuffle(order)
        hit = order[: int(60 * 0.25)]
        expected = clean.astype(float)
        size = 15, clean.shape[1]
        mean, std = (f(clean.astype(float), axis=0) for f in (np.mean, np.std))
        expected[hit] += noise.normal(mean, std, size)
        np.testing.assert_allclose(X, expected, rtol=1e-5)
        assert (clean != X).any(axis=1).sum() == 15
    for X, clean in zip(noisy.clean, mixed.Xs, strict=True):
        np.testing.assert_array_equal(X, clean)
    other = data.corrupt(mixed, rate=0.25, random_state=4)
    for a, b, clean in zip(noisy.Xs, other.Xs, mixed.Xs, strict=True):
        np.testing.assert_array_equal((a != clean).any(axis=1), (b != clean).any(axis=1))
        assert not np.array_equal(a, b)
    hidden = data.hide_views(noisy, rate=0.5)
    for v, (X, clean) in enumerate(zip(hidden.clean, mixed.Xs, strict=True)):
        there = hidden.present[:, v]
        np.testing.assert_array_equal(X[there], clean[there])
        assert np.isnan(X[~there]).all()
    alone = data.corrupt(Xs, y, rate=0.25)
    assert not np.array_equal(
        (alone.Xs[0] != Xs[0]).any(axis=1), (noisy.Xs[0] != Xs[0]).any(axis=1)
    )
    assert noisy.rates == {"mismatch": 0.5, "corruption": 0.25}


def test_makers_leave_what_they_are_given_as_it_was():
    Xs, y = numbered_views(40)
    first = data.mismatch(Xs, y, rate=0.5)
    before = [X.copy() for X in first.Xs]
    for made in (data.hide_views(first, rate=0.5), data.corrupt(first, rate=0.5)):
        for X in made.Xs:
            X[:] = -1
    np.testing.assert_array_equal(first.Xs, before)
    np.testing.assert_array_equal(Xs, numbered_views(40)[0])
    assert first.present.all()


XS, Y = numbered_views(10)
HIDDEN = data.hide_views(XS, Y, rate=1.0)
HALF = data.misalign(XS, Y, 0.5)
test_bad_input_is_named = refuses(
    None,
    (lambda: data.mismatch(XS, Y, rate=1.5), "rate=1.5"),
    (lambda: data.hide_views(XS, Y, rate=-0.1), "rate=-0.1"),
    (lambda: data.corrupt(XS, Y, rate=float("nan")), "rate=nan"),
    (lambda: data.mismatch(XS, Y, rate=0.5, protocol="cande"), "Did you mean 'candy'"),
    (lambda: data.hide_views(XS, Y, rate=0.5, protocol="hal"), "Did you mean 'half'"),
    (lambda: data.corrupt(XS, Y, rate=0.5, protocol="none"), "protocol='none' is unknown"),
    (lambda: data.mismatch(XS, Y, rate=0.5, protocol="plci", view=2), "view=2"),
    (lambda: data.mismatch(XS, Y, rate=0.5, protocol="plci", view=-1), "view=-1"),
    (lambda: data.mismatch(XS, Y, rate=-0.1), "rate=-0.1"),
    (lambda: data.hide_views(XS, Y, rate=1.5), "rate=1.5"),
    (lambda: data.corrupt(XS, Y, rate=-0.1), "rate=-0.1"),
    (lambda: data.corrupt(XS, Y, rate=1.5), "rate=1.5"),
    (lambda: data.hide_views(XS, Y, rate=0.5, random_state=2**32), "random_state=4294967296"),
    (lambda: data.corrupt(XS, Y, rate=0.5, random_state=2**32), "random_state=4294967296"),
    (lambda: data.corrupt(XS, Y, rate=0.5, random_state=-1), "random_state=-1"),
    (lambda: HALF.labels_of_view(-1), "v=-1"),
    (lambda: data.hide_views(XS, Y, rate=0.5, random_state=-1), "random_state=-1"),
    (lambda: data.corrupt(XS, Y, rate=0.5, random_state=0.5), "random_state=0.5"),
    (lambda: data.mismatch(XS, Y[:9], rate=0.5), r"y has shape \(9,\)"),
    (lambda: data.mismatch(XS, rate=0.5), r"y has shape \(\)"),
    (lambda: data.mismatch(HALF, Y, rate=0.5), "y is given with a problem"),
    (lambda: data.mismatch(HALF, rate=0.5), "aligned has 5 False: .* with mismatch"),
    (lambda: data.mismatch(HIDDEN, rate=0.5), "present has 10 False: .* protocol='candy'"),
    (lambda: data.hide_views(HIDDEN, rate=0.5), "present has 10 False: .* hide_views"),
    (lambda: data.corrupt(HIDDEN, rate=0.5), "present has 10 False: .* corrupt"),
    (lambda: data.misalign(HALF, Y, 0.5), "type ViewsProblem: expected a list of views"),
    (lambda: data.hide_views(*numbered_views(9, 3), rate=0.5, protocol="sure"), "has 3 views"),
)
