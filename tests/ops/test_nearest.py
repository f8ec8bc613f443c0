"""Blocked retrieval against sorting all inner products."""

import numpy as np
import pytest
import torch
from plain import unit
from refusals import refuses

from mvlib.ops import nearest, nearest_others, top_k


def alike(n, n_features=32, seed=0, offset=3):
    """Unit vectors with a mean pairwise cosine of 0.9, or 0.98 for an offset of 7."""
    X = np.random.default_rng(seed).normal(size=(n, n_features)) + offset
    return unit(X).astype(np.float32)


def sorted_all(queries, bank, k):
    scores = queries.astype(np.float64) @ bank.astype(np.float64).T
    indices = np.argsort(-scores, axis=1)[:, :k]
    return np.take_along_axis(scores, indices, axis=1), indices


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("n_bank", "k"), [(1, 1), (9, 9), (40, 5), (1003, 7), (1003, 40)])
def test_the_k_largest_are_found_in_order(precision, n_bank, k):
    queries, bank = alike(37), alike(n_bank, seed=1)
    expected, where = sorted_all(queries, bank, k)
    values, indices = top_k(queries, bank, k, precision=precision)
    assert values.dtype == np.float32
    assert indices.dtype == np.int64
    assert np.allclose(values, expected, atol=1e-6)
    assert np.array_equal(indices, where)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_block_size_changes_nothing(precision):
    queries, bank = alike(50), alike(700, seed=1)
    _, whole = top_k(queries, bank, 3, precision=precision)
    for block_size in (1, 13, 512, 10_000):
        _, parts = top_k(queries, bank, 3, precision=precision, block_size=block_size)
        assert np.array_equal(whole, parts)


def test_no_block_of_scores_is_larger_than_asked_for(monkeypatch):
    shapes, largest = [], nearest._largest

    def recorded(scores, k):
        shapes.append(tuple(scores.shape))
        return largest(scores, k)

    monkeypatch.setattr(nearest, "_largest", recorded)
    top_k(alike(100), alike(333, seed=1), 5, block_size=64)
    assert max(rows for rows, _ in shapes) == 64
    assert max(columns for _, columns in shapes) == 64
    assert sum(rows * columns for rows, columns in shapes) == 100 * 333


def test_taking_off_the_mean_is_what_lets_bfloat16_rank_similar_rows(monkeypatch):
    queries, bank = alike(100, offset=7), alike(3000, seed=1, offset=7)
    _, where = sorted_all(queries, bank, 10)

    def recall():
        _, indices = top_k(queries, bank, 10, precision="bfloat16")
        return np.mean([np.isin(a, b).mean() for a, b in zip(where, indices, strict=True)])

    assert recall() == 1
    monkeypatch.setattr(nearest, "_mean", lambda bank, step: torch.zeros(bank.shape[1]))
    assert recall() < 0.9


def test_grouped_search_agrees_with_one_topk_over_all_scores():
    generator = torch.Generator().manual_seed(0)
    for width in (8 * 4 * 5, 8 * 4 * 5 + 7, 1000):
        scores = torch.randn(20, width, generator=generator)
        # The largest in one group, and the largest in what no group holds.
        scores[0, :: width // 8] += 10
        scores[1, -7:] += 10
        values, columns = nearest._largest(scores, 5)
        assert torch.equal(values, scores.topk(5, dim=1).values)
        assert torch.equal(scores.gather(1, columns), values)


@pytest.mark.parametrize("columns", ["all", "some"])
def test_nearest_others_are_the_largest_scores_but_a_samples_own(columns):
    """By any score; where a block names columns, among them alone."""
    X = torch.from_numpy(alike(90))
    listed = slice(None) if columns == "all" else torch.arange(80, 0, -1)
    blocks = [(rows, listed) for rows in torch.arange(90).split(20)]
    values, indices = nearest_others(
        90, 6, lambda rows, others: (X[rows] @ X[others].T).exp_(), blocks, device=X.device
    )
    scores = np.exp(X.numpy().astype(np.float64) @ X.numpy().T.astype(np.float64))
    for i, row in enumerate(scores):
        candidates = [j for j in (range(90) if columns == "all" else listed.tolist()) if j != i]
        expected = sorted(candidates, key=lambda j, row=row: -row[j])[:6]
        assert indices[i].tolist() == expected
        assert values[i] == pytest.approx(row[expected], rel=1e-5)


def test_equal_rows_are_each_found_once():
    bank = np.repeat(alike(4), 50, axis=0)
    _, indices = top_k(bank[:1], bank, 50, precision="bfloat16", block_size=60)
    assert sorted(indices[0]) == list(range(50))


def test_negative_and_long_vectors_are_ranked_by_inner_product():
    bank = np.array([[-1.0, 0], [100, 1], [0.5, 0]])
    values, indices = top_k(torch.tensor([[1.0, 0], [-1, 0]]), bank, 3)
    assert indices.tolist() == [[1, 2, 0], [0, 2, 1]]
    assert values.tolist() == [[100, 0.5, -1], [1, -0.5, -100]]


test_what_is_wrong_with_the_input_is_said = refuses(
    lambda **change: top_k(
        **{"queries": np.ones((2, 3)), "bank": np.ones((4, 3)), "k": 1} | change
    ),
    ({"k": 5}, "k=5 is out of range: expected an integer >= 1 and <= 4"),
    ({"k": 0}, "k=0"),
    ({"k": 1.5}, "k=1.5"),
    ({"queries": np.ones(3)}, r"queries has shape \(3,\)"),
    ({"queries": np.ones((0, 3))}, r"queries has shape \(0, 3\)"),
    ({"queries": np.ones((2, 2))}, "queries have 2 features and the bank has 3"),
    ({"bank": np.full((4, 3), np.nan)}, "bank holds NaN or infinity"),
    ({"bank": np.array([["a", "b", "c"]])}, "bank is not numeric"),
    ({"precision": "int8"}, "precision='int8'"),
    ({"block_size": 0}, "block_size=0"),
    ({"device": "gpu"}, "device='gpu'"),
)
