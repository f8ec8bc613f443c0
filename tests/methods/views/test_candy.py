"""CANDY against slow transcriptions of its source: contexts, filter, floors, targets."""

import numpy as np
import pytest
import torch
from refusals import out_of_range
from twin_transcription import SMALL, XS, slow_affinity, tensors

from mvlib.methods import CANDY
from mvlib.methods.views import candy
from mvlib.methods.views.momentum_twins import Codes, soft_info_nce


def by_row_sum(A):
    return A / np.maximum(A.sum(axis=1, keepdims=True), 1e-7)


def slow_intra_context(z_bar):
    G = slow_affinity(z_bar, z_bar, 0.07)
    G[range(len(G)), range(len(G))] = 1
    return by_row_sum(G)


def slow_inter_context(p, z_bar):
    G = slow_affinity(p, z_bar, 0.07)
    largest = max(max(G[i, i] for i in range(len(G))), 1e-7)
    for i in range(len(G)):
        G[i, i] /= largest
    return by_row_sum(G)


def slow_inter_target(W_vu, W_u, threshold):
    U, s, Vh = np.linalg.svd(W_vu @ W_u.T + 0.2 * np.eye(len(W_u)))
    s = np.array([0 if value < threshold else value for value in s])
    return by_row_sum(U @ np.diag(s) @ Vh), np.mean(s == 0)


@pytest.mark.parametrize("scale", [0.3, 0.05])
def test_contexts_are_those_of_the_transcription_rows_summing_to_one(scale):
    centre, p, z_bar = tensors((1, 4), (8, 4), (8, 4))
    p, z_bar = centre + scale * p, centre + scale * z_bar
    W = candy.intra_context(z_bar)
    np.testing.assert_allclose(W, slow_intra_context(z_bar.numpy()), rtol=1e-6)
    assert torch.allclose(W.sum(dim=1), torch.ones(8, dtype=torch.float64))
    V = candy.inter_context(p, z_bar)
    np.testing.assert_allclose(V, slow_inter_context(p.numpy(), z_bar.numpy()), rtol=1e-6)
    assert torch.allclose(V.sum(dim=1), torch.ones(8, dtype=torch.float64))
    # The surest partner counts as one, cells off the diagonal stay.
    G = slow_affinity(p.numpy(), z_bar.numpy(), 0.07)
    surest = np.diagonal(G).argmax()
    assert float(V[surest, surest]) == pytest.approx(
        1 / (1 + G[surest].sum() - G.diagonal().max())
    )


def test_a_context_of_nothing_but_strangers_is_floored():
    p, z_bar = torch.eye(4, dtype=torch.float64), -torch.eye(4, dtype=torch.float64)
    V = candy.inter_context(p, z_bar).numpy()
    expected = np.full((4, 4), np.exp(-2 / 0.07)) / 1e-7
    expected[range(4), range(4)] = np.exp(-4 / 0.07) / 1e-7 / 1e-7
    np.testing.assert_allclose(V, expected, rtol=1e-6)


@pytest.mark.parametrize("threshold", [0.0, 0.25, 0.6])
def test_targets_are_filtered_before_their_rows_are_divided(threshold):
    p, z_bar, other = tensors((9, 2), (9, 2), (9, 2), seed=4)
    W_u, W_vu = slow_intra_context(z_bar.numpy()), slow_inter_context(p.numpy(), other.numpy())
    found, share = candy.inter_target(torch.tensor(W_vu), torch.tensor(W_u), threshold)
    expected, removed = slow_inter_target(W_vu, W_u, threshold)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert float(share) == pytest.approx(removed)
    assert (removed > 0) == (threshold > 0)
    # The filter takes from the sum of a row, which would not be one if divided before.
    assert torch.allclose(found.sum(dim=1), torch.ones(9, dtype=torch.float64))
    intra = candy.intra_target(torch.tensor(W_u))
    np.testing.assert_allclose(intra, by_row_sum(W_u @ W_u.T), rtol=1e-9)
    if threshold == 0:
        plain = by_row_sum(W_vu @ W_u.T + 0.2 * np.eye(9))
        np.testing.assert_allclose(found, plain, atol=1e-12)


def test_the_target_of_the_first_epochs_is_the_identity_after_the_filter_too():
    eye = torch.eye(6, dtype=torch.float64)
    target, removed = candy.inter_target(eye, eye, 0.2)
    assert torch.allclose(target, eye)
    assert removed == 0
    assert torch.allclose(candy.intra_target(eye), eye)


def test_a_value_at_the_threshold_stays_and_a_row_that_sums_to_less_than_nothing_is_floored():
    W = torch.diag(torch.tensor([0.5, 0.25, 0.125], dtype=torch.float64))
    eye = torch.eye(3, dtype=torch.float64)
    # Values 0.7, 0.45 and 0.325.
    target, removed = candy.inter_target(W, eye, 0.4)
    assert float(removed) == pytest.approx(1 / 3)
    np.testing.assert_allclose(target.diagonal(), [1, 1, 0], atol=1e-9)
    _, removed = candy.inter_target(W, eye, 0.325 - 1e-9)
    assert removed == 0
    negative = torch.tensor([[0.3, -0.9], [0.0, 1.0]], dtype=torch.float64)
    found, _ = candy.inter_target(negative, eye[:2, :2], 0.0)
    np.testing.assert_allclose(found[0], np.array([0.5, -0.9]) / 1e-7, rtol=1e-6)


@pytest.mark.parametrize("epoch", [19, 20])
def test_each_block_has_its_own_target_and_at_first_the_identity(epoch):
    # Views near each other, so that contexts are not of strangers alone.
    base, *noise = tensors((7, 4), *[(7, 4)] * 6)
    z, z_bar, p = ([base + 0.3 * E for E in noise[i : i + 2]] for i in (0, 2, 4))
    found = CANDY(3, threshold=0.9)._losses(Codes(z, z_bar, p), epoch, torch.arange(7))
    W = [slow_intra_context(k.numpy()) for k in z_bar]
    total, shares = 0, []
    for v, u in ((0, 1), (1, 0)):
        across, share = slow_inter_target(
            slow_inter_context(p[v].numpy(), z_bar[u].numpy()), W[u], 0.9
        )
        shares.append(share)
        inside = by_row_sum(W[v] @ W[v].T)
        if epoch < 20:
            inside = across = np.eye(7)
        total += soft_info_nce(z[v], z_bar[v], torch.tensor(inside), 0.5) / 2
        total += soft_info_nce(p[v], z_bar[u], torch.tensor(across), 0.5) / 2
    assert float(found["loss"]) == pytest.approx(float(total), rel=1e-6)
    assert float(found["removed"]) == pytest.approx(np.mean(shares) if epoch == 20 else 0)
    assert np.mean(shares) > 0


def test_targets_have_no_gradient_and_what_is_filtered_is_told():
    z, z_bar, p = (
        [X.requires_grad_() for X in tensors((6, 3), (6, 3), seed=seed)] for seed in (0, 1, 2)
    )
    T, _ = candy.targets(Codes(z, z_bar, p), 0.2)
    assert not any(target.requires_grad for row in T for target in row)
    history = CANDY(3, **SMALL | {"identity_epochs": 1, "threshold": 0.5}).fit(XS).history_
    assert history["removed"][0] == 0
    assert (history["removed"][1:] > 0).all()
    assert (history["removed"] < 1).all()


def test_defaults_are_the_authors_settings():
    defaults = {
        "batch_size": 1024, "learning_rate": 5e-4, "identity_epochs": 20, "threshold": 0.2,
        "rematch": "batch", "match_batch_size": 1024, "epochs": 200,
    }  # fmt: skip
    assert defaults.items() <= CANDY(3).get_params().items()


test_a_parameter_out_of_range_is_refused_by_its_name = out_of_range(
    lambda **change: CANDY(3, **SMALL | change).fit(XS), {"threshold": (-0.1, float("nan"))}
)
