"""Which rows Set-CLIP puts into a batch: pairs in front, and no leak behind them."""

import numpy as np
import pytest
import torch

from mvlib.methods.set_clip.estimator import draw_epoch, plan_batches


def diagonal(n):
    return np.stack([np.arange(n)] * 2, axis=1)


def epoch(plan, seed=0):
    batches = draw_epoch(plan, torch.Generator().manual_seed(seed))
    return [tuple(rows.numpy() for rows in batch) for batch in batches]


def test_pairs_stand_in_front_in_their_share_and_every_row_is_seen():
    pairs = np.stack([np.arange(30), 119 - np.arange(30)], axis=1)
    plan = plan_batches((120, 120), pairs, 16)
    assert (plan.n_paired, plan.n_unpaired, plan.n_steps) == (4, (12, 12), 8)
    known = {tuple(pair) for pair in pairs}
    seen = [set(), set()]
    for first, second in epoch(plan):
        assert set(zip(first[:4], second[:4], strict=True)) <= known
        for v, rows in enumerate((first, second)):
            assert len(set(rows)) == 16
            assert not set(rows[4:]) & set(pairs[:, v])
            seen[v] |= set(rows)
    assert seen == [set(range(120))] * 2


def test_rows_without_a_partner_meet_their_own_only_by_accident():
    n, size = 400, 40
    plan = plan_batches((n, n), diagonal(0), size)
    shared = [
        len(set(first) & set(second)) for s in range(40) for first, second in epoch(plan, s)
    ]
    # Of 40 rows drawn from 400 a tenth are in the other draw by chance.
    assert np.mean(shared) == pytest.approx(size * size / n, rel=0.1)
    same = plan_batches((n, n), diagonal(0), size, sampling="same_instances")
    assert all(np.array_equal(first, second) for first, second in epoch(same))


def test_same_instances_needs_rows_that_correspond():
    with pytest.raises(ValueError, match="same_instances"):
        plan_batches((10, 12), diagonal(2), 4, sampling="same_instances")
    with pytest.raises(ValueError, match="same_instances"):
        plan_batches((10, 10), np.array([[0, 1]]), 4, sampling="same_instances")


@pytest.mark.parametrize(
    ("n_pairs", "asked", "expected"),
    [
        (0, None, (0, 16)),
        (1, None, (1, 15)),
        (3, None, (2, 14)),
        (50, None, (8, 8)),
        (100, None, (16, 0)),
        (0, 5, (0, 16)),
        (3, 5, (3, 13)),
        (50, 5, (5, 11)),
        (50, 16, (16, 0)),
        (3, 99, (3, 0)),
    ],
)
def test_a_batch_is_divided_between_pairs_and_others(n_pairs, asked, expected):
    plan = plan_batches((100, 100), diagonal(n_pairs), 16, asked)
    assert (plan.n_paired, plan.n_unpaired[0]) == expected
    assert all(len(first) == sum(expected) for first, _ in epoch(plan))


def test_a_short_modality_gives_what_it_has():
    plan = plan_batches((100, 9), diagonal(4), 16)
    assert (plan.n_paired, plan.n_unpaired) == (2, (14, 5))
    for first, second in epoch(plan):
        assert (len(set(first)), len(set(second))) == (16, 7)


@pytest.mark.parametrize(("n_pairs", "asked"), [(0, 16), (1, 16)])
def test_batches_of_pairs_alone_need_two_pairs(n_pairs, asked):
    with pytest.raises(ValueError, match=f"pairs has {n_pairs} rows"):
        plan_batches((100, 100), diagonal(n_pairs), 16, asked)
