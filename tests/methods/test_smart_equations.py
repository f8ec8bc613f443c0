"""SMART's equations and every rule of its graph against slow NumPy transcriptions."""

import numpy as np
import pytest
import torch

from mvlib.methods.smart import (
    AutoEncoder,
    ThresholdRule,
    aligned_correlations,
    correlation_matrix,
    reconstruction_loss,
    semantic_graph,
    semantic_matching_loss,
    semantic_threshold,
    standardize_rows,
    threshold_rule,
    view_distribution_alignment_loss,
)
from mvlib.methods.smart.equations import Objective, clustering_features, graph_blocks


def embeddings(n=9, d=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=(n, d)) + 0.3


def tensor(X, grad=False):
    return torch.tensor(X, dtype=torch.float64, requires_grad=grad)


def slow_correlation(Z_a, Z_b):
    n_a, n_b, d = len(Z_a), len(Z_b), Z_a.shape[1]
    C = np.zeros((n_a, n_b))
    for i in range(n_a):
        for j in range(n_b):
            a = (Z_a[i] - Z_a[i].mean()) / Z_a[i].std(ddof=1)
            b = (Z_b[j] - Z_b[j].mean()) / Z_b[j].std(ddof=1)
            C[i, j] = sum(a[k] * b[k] for k in range(d)) / (d - 1) + (1e-5 if i == j else 0)
    return C


def slow_alignment_loss(Z_1, Z_2, terms=("diagonal", "structure")):
    n = len(Z_1)
    C_12, C_11, C_22 = (slow_correlation(a, b) for a, b in ((Z_1, Z_2), (Z_1, Z_1), (Z_2, Z_2)))
    diagonal = sum((C_12[i, i] - 1) ** 2 for i in range(n)) / n
    structure = sum((C_11[i, j] - C_22[i, j]) ** 2 for i in range(n) for j in range(n)) / n**2
    return ("diagonal" in terms) * diagonal + ("structure" in terms) * structure


def slow_matching_loss(H_1, H_2, W, tau):
    total = 0.0
    for i in range(len(H_1)):
        similarity = [
            np.exp(H_1[i] @ h / (np.linalg.norm(H_1[i]) * np.linalg.norm(h)) / tau) for h in H_2
        ]
        total -= np.log(sum(W[i] * similarity) / sum(similarity))
    return total / len(H_1)


def unit(X):
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def test_correlation_matrix_equals_the_transcription():
    Z_1, Z_2 = embeddings()
    found = correlation_matrix(tensor(Z_1), tensor(Z_2)).numpy()
    assert np.allclose(found, slow_correlation(Z_1, Z_2), atol=1e-12)


def test_correlation_matrix_of_a_block_of_rows_is_that_block():
    Z_1, Z_2 = embeddings()
    block = correlation_matrix(tensor(Z_1[3:6]), tensor(Z_2), offset=3).numpy()
    assert np.allclose(block, slow_correlation(Z_1, Z_2)[3:6], atol=1e-12)


def test_correlation_with_itself_is_symmetric_with_ones_on_the_diagonal():
    Z, _ = embeddings(n=20)
    C = correlation_matrix(tensor(Z), tensor(Z)).numpy()
    assert np.allclose(C, C.T)
    assert np.allclose(np.diag(C), 1 + 1e-5)
    assert (np.abs(C) <= 1 + 2e-5).all()


def test_correlation_ignores_scale_and_shift_of_a_row():
    Z_1, Z_2 = embeddings()
    moved = 3.0 * Z_1 + 7.0
    same = correlation_matrix(tensor(Z_1), tensor(Z_2))
    assert torch.allclose(correlation_matrix(tensor(moved), tensor(Z_2)), same)


@pytest.mark.parametrize("terms", [("diagonal", "structure"), ("diagonal",), ("structure",)])
@pytest.mark.parametrize(("n", "d"), [(9, 5), (4, 11)])
def test_alignment_loss_equals_the_transcription(terms, n, d):
    Z_1, Z_2 = embeddings(n, d)
    found = float(view_distribution_alignment_loss(tensor(Z_1), tensor(Z_2), terms))
    assert found == pytest.approx(slow_alignment_loss(Z_1, Z_2, terms), rel=1e-9)


def test_alignment_loss_of_equal_views_is_zero_and_of_no_rows_too():
    Z, _ = embeddings()
    assert float(view_distribution_alignment_loss(tensor(Z), tensor(Z))) < 1e-9
    empty = tensor(np.empty((0, 5)))
    assert float(view_distribution_alignment_loss(empty, empty)) == 0


def test_means_and_deviations_are_constants_to_the_gradient():
    Z = tensor(embeddings()[0], grad=True)
    standardize_rows(Z)[0, 0].backward()
    expected = np.zeros(Z.shape)
    expected[0, 0] = 1 / Z[0].detach().numpy().std(ddof=1)
    assert np.allclose(Z.grad.numpy(), expected)


def test_semantic_graph_never_leaves_a_row_without_weight():
    C = tensor(slow_correlation(*embeddings()))
    W = semantic_graph(C, 5.0, torch.zeros(9, dtype=torch.bool)).numpy()
    assert (np.count_nonzero(W, axis=1) == 1).all()
    assert (W.sum(axis=1) == 0.01).all()
    assert np.array_equal(W.argmax(axis=1), C.numpy().argmax(axis=1))


def test_semantic_graph_of_a_block_of_rows_is_that_block():
    C = tensor(slow_correlation(*embeddings()))
    aligned = torch.tensor([True, False, True] * 3)
    whole = semantic_graph(C, 0.2, aligned)
    assert torch.equal(semantic_graph(C[3:7], 0.2, aligned[3:7], offset=3), whole[3:7])


@pytest.mark.parametrize("tau", [1.0, 0.3])
def test_matching_loss_equals_the_transcription(tau):
    H_1, H_2 = (unit(Z) for Z in embeddings())
    W = np.abs(slow_correlation(*embeddings(seed=1)))
    found = float(semantic_matching_loss(tensor(H_1), tensor(H_2), tensor(W), tau))
    assert found == pytest.approx(slow_matching_loss(H_1, H_2, W, tau), rel=1e-9)


def test_matching_loss_stays_finite_where_the_exponentials_would_overflow():
    H_1, H_2 = (torch.tensor(unit(Z), dtype=torch.float32) for Z in embeddings())
    loss = semantic_matching_loss(H_1, H_2, torch.eye(9), temperature=0.001)
    assert torch.isfinite(loss)


def test_matching_loss_does_not_depend_on_the_order_of_view_2():
    H_1, H_2 = (tensor(unit(Z)) for Z in embeddings())
    W = tensor(np.abs(slow_correlation(*embeddings(seed=1))))
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    loss = semantic_matching_loss(H_1, H_2, W, 0.5)
    assert torch.isclose(semantic_matching_loss(H_1, H_2[order], W[:, order], 0.5), loss)


def test_reconstruction_loss_is_a_sum_of_means():
    rng = np.random.default_rng(0)
    Xs = [rng.normal(size=(6, 3)), rng.normal(size=(6, 8))]
    hats = [rng.normal(size=X.shape) for X in Xs]
    expected = sum(((hat - X) ** 2).mean() for X, hat in zip(Xs, hats, strict=True))
    found = reconstruction_loss([tensor(X) for X in Xs], [tensor(h) for h in hats])
    assert float(found) == pytest.approx(expected)


def test_gradients_agree_with_finite_differences():
    Z_1, Z_2 = (tensor(Z, grad=True) for Z in embeddings(n=5, d=4))
    W = tensor(np.abs(slow_correlation(*embeddings(n=5, d=4, seed=2))))
    assert torch.autograd.gradcheck(
        lambda a, b: semantic_matching_loss(a, b, W, 0.7), (Z_1, Z_2)
    )
    # Mean and deviation are constants to the gradient, hence also here.
    A, B = standardize_rows(Z_1).detach(), standardize_rows(Z_2).detach()
    scale_1, scale_2 = (1 / Z.detach().std(dim=1, keepdim=True) for Z in (Z_1, Z_2))

    start_1, start_2 = Z_1.detach().clone(), Z_2.detach().clone()

    def transcribed(a, b):
        P = A + (a - start_1) * scale_1
        Q = B + (b - start_2) * scale_2
        C_12, C_11, C_22 = (p @ q.T / 3 for p, q in ((P, Q), (P, P), (Q, Q)))
        diagonal = C_12.diagonal() + 1e-5 - 1
        return diagonal.square().mean() + (C_11 - C_22).square().mean()

    assert torch.autograd.gradcheck(transcribed, (Z_1, Z_2))
    slow = torch.autograd.grad(transcribed(Z_1, Z_2), (Z_1, Z_2))
    ours = torch.autograd.grad(view_distribution_alignment_loss(Z_1, Z_2), (Z_1, Z_2))
    assert all(torch.allclose(a, b, rtol=1e-8) for a, b in zip(ours, slow, strict=True))


def test_autoencoder_is_built_as_the_authors_code_builds_it():
    network = AutoEncoder(7, (6, 5), 3)
    kinds = [type(layer).__name__ for layer in network.encoder]
    assert kinds == ["Linear", "BatchNorm1d", "LeakyReLU"] * 2 + ["Linear"]
    assert [type(layer).__name__ for layer in network.decoder] == kinds
    assert network.encoder[2].negative_slope == 0.2
    Z, X_hat = network(torch.zeros(4, 7))
    assert (Z.shape, X_hat.shape) == ((4, 3), (4, 7))


def test_what_is_clustered_is_view_1_beside_what_the_graph_brings_of_view_2():
    rng = torch.Generator().manual_seed(0)
    Z_1, Z_2, H_1, H_2 = (torch.randn(9, 4, generator=rng) for _ in range(4))
    aligned = torch.arange(9) < 5
    objective = Objective(1.0, 1.0, 1.0)
    found = clustering_features([Z_1, Z_2], [H_1, H_2], aligned, objective, 9)
    T = semantic_threshold(Z_1[aligned], Z_2[aligned])
    W = semantic_graph(correlation_matrix(Z_1, Z_2), T, aligned)
    for i in range(9):
        brought = sum(W[i, j] * H_2[j] for j in range(9))
        expected = torch.cat([H_1[i], brought / brought.norm()])
        torch.testing.assert_close(found[i], expected)


FROM_ALIGNED = ["mean-std", "mean", "mean-2std", "percentile-0", "percentile-16.5",
                "percentile-100"]  # fmt: skip
FROM_ALL = ["nearest-1", "nearest-3", "nearest-500", 0.3, -1, 1]
RULES = [*FROM_ALIGNED, *FROM_ALL]


def near(n=12, d=6, noise=1.0):
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(n, d))
    return Z, Z + noise * rng.normal(size=(n, d))


def flags(n=12):
    return np.arange(n) % 3 == 0


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
        ("nearest-0", "threshold='nearest-0': expected a whole number K from 1"),
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
    Z_1, Z_2 = near()
    expected = [np.corrcoef(a, b)[0, 1] + 1e-5 for a, b in zip(Z_1, Z_2, strict=True)]
    found = aligned_correlations(tensor(Z_1), tensor(Z_2)).numpy()
    assert np.allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_std", [0.0, 1.0, 2.0])
def test_semantic_threshold_lies_so_many_deviations_below_the_mean(n_std):
    Z_1, Z_2 = near(noise=0.4)
    diagonal = np.diag(slow_correlation(Z_1, Z_2))
    expected = diagonal.mean() - n_std * diagonal.std(ddof=1)
    assert expected > 0.01
    found = float(semantic_threshold(tensor(Z_1), tensor(Z_2), n_std=n_std))
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("noise", [0.2, 0.6, 3.0])
@pytest.mark.parametrize("rule", FROM_ALIGNED)
def test_threshold_of_a_batch_equals_the_transcription(rule, noise):
    Z_1, Z_2 = near(noise=noise)
    found = float(threshold_rule(rule).of_batch(tensor(Z_1), tensor(Z_2)))
    expected = slow_threshold(rule, np.diag(slow_correlation(Z_1, Z_2)))
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("rule", FROM_ALIGNED)
def test_a_threshold_read_from_aligned_rows_has_its_floor_and_its_predecessor(rule):
    Z, _ = near()
    none = tensor(np.empty((0, 6)))
    rule = threshold_rule(rule)
    assert float(rule.of_batch(tensor(Z), tensor(-Z))) == pytest.approx(0.01)
    assert rule.of_batch(none, none) == 0.01
    assert rule.of_batch(none, none, last=0.37) == 0.37
    assert float(rule.of_batch(tensor(Z[:1]), tensor(Z[:1]))) == pytest.approx(1 + 1e-5)


def test_a_number_is_its_own_threshold_and_nearest_has_none_of_the_batch():
    Z_1, Z_2 = near()
    C = tensor(slow_correlation(Z_1, Z_2))
    for number in (-0.5, 0.0, 0.3):
        rule = threshold_rule(number)
        assert rule.of_batch(tensor(Z_1), tensor(Z_2), last=0.9) == number
        assert rule.of_rows(C, number) == number
    assert np.isnan(threshold_rule("nearest-3").of_batch(tensor(Z_1), tensor(Z_2), last=0.9))


@pytest.mark.parametrize("k", [1, 3, 12, 500])
def test_nearest_holds_each_row_against_its_own_kth_correlation(k):
    C = slow_correlation(*near())
    found = threshold_rule(f"nearest-{k}").of_rows(tensor(C), float("nan")).numpy()
    expected = [[max(sorted(row, reverse=True)[min(k, 12) - 1], 0.01)] for row in C]
    assert np.array_equal(found, expected)


def test_nearest_joins_each_row_with_exactly_its_k_largest_correlations():
    C = np.abs(slow_correlation(*near())) + 0.02
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
    Z_1, Z_2 = near()
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
    Z_1, Z_2 = near(n=23)
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
    Z_1, Z_2 = near(n=20)
    # The second of three batches has no aligned row and takes the first one's threshold.
    aligned = np.zeros(20, bool)
    aligned[[0, 3, 5, 16, 19]] = True
    expected, T = np.zeros((20, 20)), 0.01
    for part in (slice(0, 8), slice(8, 16), slice(16, 20)):
        C = slow_correlation(Z_1[part], Z_2[part])
        expected[part, part], T = slow_graph(C, rule, aligned[part], T)
    found, _ = in_blocks(Z_1, Z_2, aligned, rule, 8)
    assert np.allclose(found, expected, atol=1e-9)
