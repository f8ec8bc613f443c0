"""Every rule for SMART's graph against a slow NumPy transcription."""

import numpy as np
import pytest
import torch

from mvlib.methods.smart import (
    ThresholdRule,
    aligned_correlations,
    semantic_graph,
    semantic_threshold,
    threshold_rule,
)
from mvlib.methods.smart.equations import Objective, graph_blocks

FROM_ALIGNED = ["mean-std", "mean", "mean-2std", "percentile-0", "percentile-16.5",
                "percentile-100"]  # fmt: skip
FROM_ALL = ["nearest-1", "nearest-3", "nearest-500", 0.3, -1, 1]
RULES = [*FROM_ALIGNED, *FROM_ALL]


def embeddings(n=12, d=6, noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n, d))
    return Z, Z + noise * rng.normal(size=(n, d))


def tensor(X):
    return torch.tensor(X, dtype=torch.float64)


def flags(n=12):
    return np.arange(n) % 3 == 0


def slow_correlation(Z_1, Z_2):
    n = len(Z_1)
    C = [[np.corrcoef(Z_1[i], Z_2[j])[0, 1] for j in range(n)] for i in range(n)]
    return np.array(C) + 1e-5 * np.eye(n)


def slow_threshold(rule, diagonal):
    if rule == "mean":
        T = diagonal.mean()
    elif rule == "mean-std":
        T = diagonal.mean() - diagonal.std(ddof=1)
    elif rule == "mean-2std":
        T = diagonal.mean() - 2 * diagonal.std(ddof=1)
    else:
        T = np.percentile(diagonal, float(rule.removeprefix("percentile-")))
    return max(T, 0.01)


def slow_graph(C, rule, aligned, last=0.01):
    """Return W and T; `last` is the T of the batch before."""
    T = rule
    if rule in FROM_ALIGNED:
        T = slow_threshold(rule, np.diag(C)[aligned]) if aligned.any() else last
    W = np.zeros_like(C)
    for i, row in enumerate(C):
        if str(rule).startswith("nearest"):
            largest = np.argsort(-row)[: int(rule.removeprefix("nearest-"))]
            joined = [j for j in largest if row[j] >= 0.01]
        else:
            joined = [j for j in range(len(row)) if row[j] >= T]
        W[i, joined] = row[joined]
        if aligned[i]:
            W[i, i] = 1
        if not W[i].any():
            W[i, row.argmax()] = 0.01
    return W, T


def graph(C, rule, aligned, T):
    rows = threshold_rule(rule).of_rows(tensor(C), T)
    return semantic_graph(tensor(C), rows, torch.tensor(aligned)).numpy()


def in_blocks(Z_1, Z_2, aligned, rule, batch_size):
    objective = Objective(1.0, 1.0, 1.0, threshold_rule(rule))
    found = np.zeros((len(Z_1), len(Z_1)))
    parts = graph_blocks(tensor(Z_1), tensor(Z_2), torch.tensor(aligned), objective, batch_size)
    count = 0
    for rows, columns, W in parts:
        found[rows, columns] = W.numpy()
        count += 1
    return found, count


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("mean-std", "spread", 1),
        ("mean", "spread", 0),
        ("mean-2std", "spread", 2),
        ("percentile-0", "percentile", 0),
        ("percentile-16.5", "percentile", 16.5),
        ("percentile-100", "percentile", 100),
        ("nearest-1", "nearest", 1),
        ("nearest-25", "nearest", 25),
        (0.4, "fixed", 0.4),
        (-1, "fixed", -1),
        (np.float32(0.5), "fixed", 0.5),
    ],
)
def test_a_rule_is_read_from_its_name_or_number(text, kind, value):
    rule = threshold_rule(text)
    assert rule == ThresholdRule(kind, value)
    assert rule.needs_aligned == (kind in ("spread", "percentile"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("means", "threshold='means' is unknown. Did you mean 'mean'"),
        ("Mean-Std", "Did you mean 'mean-std'"),
        ("percentil-16", "Did you mean 'percentile-16'"),
        ("nearest", "Did you mean 'nearest-10'"),
        ("nearest--3", "threshold='nearest--3' is unknown"),
        ("percentile-1e1", "threshold='percentile-1e1' is unknown"),
        ("mean-3std", "Expected one of: mean-std, mean, mean-2std, percentile-16, nearest-10"),
        ("0.5", "threshold='0.5' is unknown"),
        ("", "threshold='' is unknown"),
        ("nearest-0", "threshold='nearest-0': K=0.0 is out of range: .* >= 1"),
        ("percentile-100.5", "threshold='percentile-100.5': Q=100.5 .* >= 0 and <= 100"),
        (1.5, "threshold=1.5 is out of range: expected a finite number >= -1 and <= 1"),
        (float("nan"), "threshold=nan is out of range"),
        (None, "threshold=None is out of range"),
        (True, "threshold=True is out of range"),
    ],
)
def test_what_is_no_rule_is_named_with_what_was_expected(given, message):
    with pytest.raises(ValueError, match=message):
        threshold_rule(given)


def test_aligned_correlations_are_those_of_the_rows_plus_epsilon():
    Z_1, Z_2 = embeddings()
    expected = [np.corrcoef(a, b)[0, 1] + 1e-5 for a, b in zip(Z_1, Z_2, strict=True)]
    found = aligned_correlations(tensor(Z_1), tensor(Z_2)).numpy()
    assert np.allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_std", [0.0, 1.0, 2.0])
def test_semantic_threshold_lies_so_many_deviations_below_the_mean(n_std):
    Z_1, Z_2 = embeddings(noise=0.4)
    diagonal = np.diag(slow_correlation(Z_1, Z_2))
    expected = diagonal.mean() - n_std * diagonal.std(ddof=1)
    assert expected > 0.01
    found = float(semantic_threshold(tensor(Z_1), tensor(Z_2), n_std=n_std))
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("noise", [0.2, 0.6, 3.0])
@pytest.mark.parametrize("rule", FROM_ALIGNED)
def test_threshold_of_a_batch_equals_the_transcription(rule, noise):
    Z_1, Z_2 = embeddings(noise=noise)
    found = float(threshold_rule(rule).of_batch(tensor(Z_1), tensor(Z_2)))
    expected = slow_threshold(rule, np.diag(slow_correlation(Z_1, Z_2)))
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("rule", FROM_ALIGNED)
def test_a_threshold_read_from_aligned_rows_has_its_floor_and_its_predecessor(rule):
    Z, _ = embeddings()
    none = tensor(np.empty((0, 6)))
    rule = threshold_rule(rule)
    assert float(rule.of_batch(tensor(Z), tensor(-Z))) == pytest.approx(0.01)
    assert rule.of_batch(none, none) == 0.01
    assert rule.of_batch(none, none, last=0.37) == 0.37
    assert float(rule.of_batch(tensor(Z[:1]), tensor(Z[:1]))) == pytest.approx(1 + 1e-5)


def test_a_number_is_its_own_threshold_and_nearest_has_none_of_the_batch():
    Z_1, Z_2 = embeddings()
    C = tensor(slow_correlation(Z_1, Z_2))
    for number in (-0.5, 0.0, 0.3):
        rule = threshold_rule(number)
        assert rule.of_batch(tensor(Z_1), tensor(Z_2), last=0.9) == number
        assert rule.of_rows(C, number) == number
    assert np.isnan(threshold_rule("nearest-3").of_batch(tensor(Z_1), tensor(Z_2), last=0.9))


@pytest.mark.parametrize("k", [1, 3, 12, 500])
def test_nearest_holds_each_row_against_its_own_kth_correlation(k):
    C = slow_correlation(*embeddings())
    found = threshold_rule(f"nearest-{k}").of_rows(tensor(C), float("nan")).numpy()
    expected = [[max(sorted(row, reverse=True)[min(k, 12) - 1], 0.01)] for row in C]
    assert np.array_equal(found, expected)


def test_nearest_joins_each_row_with_exactly_its_k_largest_correlations():
    C = np.abs(slow_correlation(*embeddings())) + 0.02
    none = np.zeros(12, bool)
    for k in range(1, 13):
        W = graph(C, f"nearest-{k}", none, float("nan"))
        assert (np.count_nonzero(W, axis=1) == k).all()
        for i in range(12):
            assert set(np.flatnonzero(W[i])) == set(np.argsort(C[i])[-k:])
            assert np.array_equal(W[i][W[i] > 0], C[i][W[i] > 0])


def test_nearest_joins_no_correlation_below_the_floor():
    C = np.array([[0.5, 0.009, -0.2], [0.009, -0.3, -0.1], [0.4, 0.6, 0.01]])
    W = graph(C, "nearest-3", np.zeros(3, bool), float("nan"))
    assert W.tolist() == [[0.5, 0, 0], [0.01, 0, 0], [0.4, 0.6, 0.01]]


@pytest.mark.parametrize("rule", RULES)
def test_the_graph_moves_with_the_columns(rule):
    Z_1, Z_2 = embeddings()
    C, aligned = slow_correlation(Z_1, Z_2), flags()
    T = threshold_rule(rule).of_batch(tensor(Z_1[aligned]), tensor(Z_2[aligned]))
    W = graph(C, rule, aligned, T)
    assert np.allclose(W, slow_graph(C, rule, aligned)[0], atol=1e-9)
    # Partners of aligned rows stay where they are; all other columns move.
    order = np.arange(12)
    order[~aligned] = np.roll(order[~aligned], 3)
    assert np.array_equal(graph(C[:, order], rule, aligned, T), W[:, order])


@pytest.mark.parametrize("rule", RULES)
def test_a_graph_in_blocks_is_the_whole_graph_under_every_rule(rule, monkeypatch):
    Z_1, Z_2 = embeddings(n=23)
    aligned = flags(23)
    whole, count = in_blocks(Z_1, Z_2, aligned, rule, 23)
    assert count == 1
    assert np.allclose(
        whole, slow_graph(slow_correlation(Z_1, Z_2), rule, aligned)[0], atol=1e-9
    )
    monkeypatch.setattr("mvlib.methods.smart.equations.BLOCK_BYTES", 4 * 23 * 5)
    blocked, count = in_blocks(Z_1, Z_2, aligned, rule, 100)
    assert count == 5
    assert np.array_equal(blocked > 0, whole > 0)
    assert np.allclose(blocked, whole, atol=1e-12)


@pytest.mark.parametrize("rule", RULES)
def test_a_graph_per_batch_applies_the_rule_batch_by_batch(rule):
    Z_1, Z_2 = embeddings(n=20)
    # The second of three batches has no aligned row and takes the first one's threshold.
    aligned = np.zeros(20, bool)
    aligned[[0, 3, 5, 16, 19]] = True
    expected, T = np.zeros((20, 20)), 0.01
    for part in (slice(0, 8), slice(8, 16), slice(16, 20)):
        C = slow_correlation(Z_1[part], Z_2[part])
        expected[part, part], T = slow_graph(C, rule, aligned[part], T)
    found, _ = in_blocks(Z_1, Z_2, aligned, rule, 8)
    assert np.allclose(found, expected, atol=1e-9)
