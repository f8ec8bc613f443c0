"""SMART's equations against a slow NumPy transcription, entry by entry."""

import numpy as np
import pytest
import torch

from mvlib.methods.smart import (
    AutoEncoder,
    correlation_matrix,
    reconstruction_loss,
    semantic_graph,
    semantic_matching_loss,
    semantic_threshold,
    standardize_rows,
    view_distribution_alignment_loss,
)
from mvlib.methods.smart.equations import Objective, clustering_features


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


def slow_threshold(Z_1, Z_2):
    diagonal = np.diag(slow_correlation(Z_1, Z_2))
    return max(diagonal.mean() - diagonal.std(ddof=1), 0.01)


def slow_graph(C, T, aligned):
    n = len(C)
    W = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i == j and aligned[i]:
                W[i, j] = 1
            elif C[i, j] >= T:
                W[i, j] = C[i, j]
        if W[i].sum() == 0:
            W[i, C[i].argmax()] = 0.01
    return W


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


def test_threshold_equals_the_transcription_and_has_its_floor():
    Z_1, Z_2 = embeddings()
    close = Z_1 + 0.1 * Z_2
    found = float(semantic_threshold(tensor(Z_1), tensor(close)))
    assert found == pytest.approx(slow_threshold(Z_1, close), rel=1e-9)
    assert float(semantic_threshold(tensor(Z_1), tensor(-Z_1))) == pytest.approx(0.01)


def test_threshold_of_one_aligned_row_is_its_correlation():
    Z_1, _ = embeddings(n=1)
    assert float(semantic_threshold(tensor(Z_1), tensor(Z_1))) == pytest.approx(1 + 1e-5)


@pytest.mark.parametrize("T", [-0.5, 0.2, 0.9, 2.0])
def test_semantic_graph_equals_the_transcription(T):
    C = slow_correlation(*embeddings())
    aligned = np.array([True, False] * 4 + [False])
    found = semantic_graph(tensor(C), T, torch.tensor(aligned)).numpy()
    assert np.allclose(found, slow_graph(C, T, aligned))


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
