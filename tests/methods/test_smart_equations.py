"""SMART's equations and every rule of its graph against slow NumPy transcriptions."""

import numpy as np
import pytest
import torch
from ntk_transcription import unit
from refusals import refusing

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


def test_correlations_equal_the_transcription_in_blocks_too_whatever_a_rows_scale_and_shift():
    Z_1, Z_2 = embeddings()
    slow = slow_correlation(Z_1, Z_2)
    for A in (Z_1, 3.0 * Z_1 + 7.0):
        assert np.allclose(correlation_matrix(tensor(A), tensor(Z_2)), slow, atol=1e-12)
    block = correlation_matrix(tensor(Z_1[3:6]), tensor(Z_2), offset=3)
    assert np.allclose(block, slow[3:6], atol=1e-12)
    Z, _ = embeddings(n=20)
    C = correlation_matrix(tensor(Z), tensor(Z)).numpy()
    assert np.allclose(C, C.T)
    assert np.allclose(np.diag(C), 1 + 1e-5)
    assert (np.abs(C) <= 1 + 2e-5).all()


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


def test_semantic_graph_never_leaves_a_row_without_weight_and_is_made_in_blocks():
    C = tensor(slow_correlation(*embeddings()))
    W = semantic_graph(C, 5.0, torch.zeros(9, dtype=torch.bool)).numpy()
    assert (np.count_nonzero(W, axis=1) == 1).all()
    assert (W.sum(axis=1) == 0.01).all()
    assert np.array_equal(W.argmax(axis=1), C.numpy().argmax(axis=1))
    aligned = torch.tensor([True, False, True] * 3)
    whole = semantic_graph(C, 0.2, aligned)
    assert torch.equal(semantic_graph(C[3:7], 0.2, aligned[3:7], offset=3), whole[3:7])


@pytest.mark.parametrize("tau", [1.0, 0.3])
def test_matching_loss_equals_the_transcription_in_any_order_of_view_2_and_is_finite(tau):
    H_1, H_2 = (unit(Z) for Z in embeddings())
    W = np.abs(slow_correlation(*embeddings(seed=1)))
    expected = slow_matching_loss(H_1, H_2, W, tau)
    for order in (np.arange(9), np.random.default_rng(0).permutation(9)):
        moved = (tensor(X) for X in (H_1, H_2[order], W[:, order]))
        assert float(semantic_matching_loss(*moved, tau)) == pytest.approx(expected, rel=1e-9)
    # The exponentials of these would overflow.
    loss = semantic_matching_loss(*(tensor(H).float() for H in (H_1, H_2)), torch.eye(9), 1e-3)
    assert torch.isfinite(loss)


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


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("mean-std", "spread", 1), ("mean", "spread", 0), ("mean-2std", "spread", 2),
        ("percentile-0", "percentile", 0), ("percentile-16.5", "percentile", 16.5),
        ("percentile-100", "percentile", 100), ("nearest-1", "nearest", 1),
        ("nearest-25", "nearest", 25), (0.4, "fixed", 0.4), (-1, "fixed", -1),
        (np.float32(0.5), "fixed", 0.5),
    ],
)  # fmt: skip
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
        (-1.5, "threshold=-1.5 is out of range"),
        (1.5, "threshold=1.5 is out of range: expected a finite number >= -1 and <= 1"),
        (float("nan"), "threshold=nan is out of range"),
        (None, "threshold=None is out of range"),
        (True, "threshold=True is out of range"),
    ],
)
def test_what_is_no_rule_is_named_with_what_was_expected(given, message):
    with refusing(message):
        threshold_rule(given)


@pytest.mark.parametrize("noise", [0.2, 0.4, 0.6, 3.0])
def test_thresholds_of_a_batch_equal_the_transcription(noise):
    Z_1, Z_2 = near(noise=noise)
    diagonal = np.diag(slow_correlation(Z_1, Z_2))
    found = aligned_correlations(tensor(Z_1), tensor(Z_2)).numpy()
    assert np.allclose(found, diagonal, rtol=0, atol=1e-12)
    for rule in FROM_ALIGNED:
        found = float(threshold_rule(rule).of_batch(tensor(Z_1), tensor(Z_2)))
        assert found == pytest.approx(slow_threshold(rule, diagonal), rel=1e-9)
    for n_std, rule in enumerate(("mean", "mean-std", "mean-2std")):
        found = float(semantic_threshold(tensor(Z_1), tensor(Z_2), n_std=float(n_std)))
        assert found == pytest.approx(slow_threshold(rule, diagonal), rel=1e-9)


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


def test_nearest_joins_each_row_with_its_k_largest_correlations_from_the_floor_on():
    C = slow_correlation(*near())
    for k in (1, 3, 12, 500):
        found = threshold_rule(f"nearest-{k}").of_rows(tensor(C), float("nan")).numpy()
        expected = [[max(sorted(row, reverse=True)[min(k, 12) - 1], 0.01)] for row in C]
        assert np.array_equal(found, expected)
    C = np.abs(C) + 0.02
    for k in range(1, 13):
        W = graph(C, f"nearest-{k}", np.zeros(12, bool), float("nan"))
        largest = np.where(np.sort(C, axis=1)[:, -k, None] <= C, C, 0)
        assert np.array_equal(W, largest)
        assert (np.count_nonzero(W, axis=1) == k).all()
    C = np.array([[0.5, 0.009, -0.2], [0.009, -0.3, -0.1], [0.4, 0.6, 0.01]])
    W = graph(C, "nearest-3", np.zeros(3, bool), float("nan"))
    assert W.tolist() == [[0.5, 0, 0], [0.01, 0, 0], [0.4, 0.6, 0.01]]


@pytest.mark.parametrize("rule", RULES)
def test_the_graph_moves_with_the_columns(rule):
    Z_1, Z_2 = near()
    C, aligned = slow_correlation(Z_1, Z_2), np.arange(12) % 3 == 0
    T = threshold_rule(rule).of_batch(tensor(Z_1[aligned]), tensor(Z_2[aligned]))
    W = graph(C, rule, aligned, T)
    assert np.allclose(W, slow_graph(C, rule, aligned)[0], atol=1e-9)
    # Partners of aligned rows stay where they are; all other columns move.
    order = np.arange(12)
    order[~aligned] = np.roll(order[~aligned], 3)
    assert np.array_equal(graph(C[:, order], rule, aligned, T), W[:, order])


@pytest.mark.parametrize("rule", RULES)
def test_a_graph_in_blocks_is_the_whole_one_and_one_per_batch_reads_its_own_rows(
    rule, monkeypatch
):
    Z_1, Z_2 = near(n=23)
    # The second of three batches has no aligned row and takes the first one's threshold.
    aligned = np.isin(np.arange(23), [0, 3, 5, 16, 19])

    def in_blocks(batch_size):
        objective = Objective(1.0, 1.0, 1.0, threshold_rule(rule))
        found, count = np.zeros((23, 23)), 0
        for rows, columns, W in graph_blocks(
            tensor(Z_1), tensor(Z_2), torch.tensor(aligned), objective, batch_size
        ):
            found[rows, columns] = W.numpy()
            count += 1
        return found, count

    whole, count = in_blocks(23)
    expected, _ = slow_graph(slow_correlation(Z_1, Z_2), rule, aligned)
    assert count == 1
    assert np.allclose(whole, expected, atol=1e-9)
    expected, T = np.zeros((23, 23)), 0.01
    for part in (slice(0, 8), slice(8, 16), slice(16, 23)):
        C = slow_correlation(Z_1[part], Z_2[part])
        expected[part, part], T = slow_graph(C, rule, aligned[part], T)
    assert np.allclose(in_blocks(8)[0], expected, atol=1e-9)
    monkeypatch.setattr("mvlib.methods.smart.equations.BLOCK_BYTES", 4 * 23 * 5)
    blocked, count = in_blocks(100)
    assert count == 5
    assert np.array_equal(blocked > 0, whole > 0)
    assert np.allclose(blocked, whole, atol=1e-12)
