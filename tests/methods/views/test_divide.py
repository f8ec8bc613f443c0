"""DIVIDE against slow transcriptions of its source: the walk, its blocks, gaps."""

import numpy as np
import pytest
import torch
from plain import unit
from problem_stand_ins import groups
from twin_transcription import SMALL, slow_affinity, tensors

from mvlib.methods import DIVIDE
from mvlib.methods.views import divide
from mvlib.methods.views.momentum_twins import Codes

XS, _ = groups(40, (6, 7), 3, spread=4)
# Three samples lack view 1, five lack view 2.
PRESENT = np.ones((40, 2), bool)
PRESENT[[1, 7, 30], 0] = PRESENT[[2, 3, 9, 20, 39], 1] = False


def slow_target(z_bar):
    G = slow_affinity(z_bar, z_bar, 0.1)
    walk = once = G / G.sum(axis=1, keepdims=True)
    for _ in range(4):
        walk = np.array([[row @ column for column in once.T] for row in walk])
    return np.eye(len(z_bar)) / 2 + walk / 2


def test_the_target_is_half_the_row_itself_and_half_a_walk_of_five_steps():
    (z_bar,) = tensors((7, 3))
    found = divide.random_walk_target(5 * z_bar)
    np.testing.assert_allclose(found, slow_target(z_bar.numpy()), rtol=1e-9)
    assert torch.allclose(found.sum(dim=1), torch.ones(7, dtype=torch.float64))
    # Rows that are all alike are reached alike, far ones not at all.
    alike = divide.random_walk_target(torch.ones(4, 3))
    assert torch.allclose(alike, torch.eye(4) / 2 + 1 / 8)
    assert torch.allclose(divide.random_walk_target(torch.eye(3)), torch.eye(3), atol=1e-7)


@pytest.mark.parametrize("epoch", [99, 100])
def test_each_block_has_the_target_of_the_view_of_its_keys_and_at_first_the_identity(epoch):
    z, z_bar, p = ([torch.tensor(X) for X in pair] for pair in np.random.default_rng(0).normal(
        size=(3, 2, 5, 3)))  # fmt: skip
    found = DIVIDE(3)._losses(Codes(z, z_bar, p), epoch, torch.arange(5))
    T = [np.eye(5)] * 2 if epoch < 100 else [slow_target(k.numpy()) for k in z_bar]

    def term(q, k, T):
        S = np.exp(unit(q.numpy()) @ unit(k.numpy()).T / 0.5)
        return -(T * np.log(S / S.sum(axis=1, keepdims=True))).sum() / 25

    intra = term(z[0], z_bar[0], T[0]) / 2 + term(z[1], z_bar[1], T[1]) / 2
    inter = term(p[0], z_bar[1], T[1]) / 2 + term(p[1], z_bar[0], T[0]) / 2
    assert float(found["intra"]) == pytest.approx(intra)
    assert float(found["inter"]) == pytest.approx(inter)
    assert float(found["loss"]) == pytest.approx(intra + inter)


def test_defaults_are_the_authors_settings():
    defaults = {
        "hidden_dims": (1024, 1024, 1024), "embedding_dim": 128, "dropout": 0.2, "epochs": 200,
        "batch_size": 1024, "learning_rate": 5e-4, "warm_up_epochs": 20, "momentum": 0.98,
        "temperature": 0.5, "identity_epochs": 100, "fixed_batches": True, "rematch": "none",
    }  # fmt: skip
    assert defaults.items() <= DIVIDE(3).get_params().items()


def test_what_is_absent_is_not_read_and_only_whole_samples_are_learnt_from():
    met = set()

    class Watched(DIVIDE):
        def _losses(self, codes, epoch, batch):
            met.update(batch.tolist())
            return super()._losses(codes, epoch, batch)

    settings = SMALL | {"fixed_batches": False, "epochs": 9}
    model = Watched(3, **settings).fit(XS, present=PRESENT)
    assert met == set(np.flatnonzero(PRESENT.all(axis=1)))
    noisy = [np.where(PRESENT[:, [v]], X, 1e3 * X[::-1]) for v, X in enumerate(XS)]
    again = DIVIDE(3, **settings).fit(noisy, present=PRESENT)
    np.testing.assert_array_equal(again.history_["loss"], model.history_["loss"])
    np.testing.assert_array_equal(again.embedding_, model.embedding_)
    for v, X in enumerate(XS):
        np.testing.assert_allclose(model.means_[v], X[PRESENT[:, v]].mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(model.scales_[v], X[PRESENT[:, v]].std(axis=0), rtol=1e-5)


@pytest.mark.parametrize("rematch", ["none", "global"])
def test_a_gap_is_filled_by_one_head_and_passes_the_other_like_every_code(rematch):
    model = DIVIDE(3, **SMALL, rematch=rematch).fit(XS, present=PRESENT)
    scaled = [
        torch.tensor(((X - mean) / scale).astype(np.float32))
        for X, mean, scale in zip(XS, model.means_, model.scales_, strict=True)
    ]
    heads = model.network_.heads
    with torch.no_grad():
        Z = [encode(X) for encode, X in zip(model.network_.twins, scaled, strict=True)]
        P = [head(Z_v).numpy() for head, Z_v in zip(heads, Z, strict=True)]
        # A sample without view 1: the head of view 2 makes its code, that of view 1 its part.
        P[0][~PRESENT[:, 0]] = heads[0](heads[1](Z[1]))[~PRESENT[:, 0]]
        P[1][~PRESENT[:, 1]] = heads[1](heads[0](Z[0]))[~PRESENT[:, 1]]
    expected = unit(np.hstack([unit(P[0]), unit(P[1][model.matching_])]))
    np.testing.assert_allclose(model.embedding_, expected, atol=1e-5)
    gaps = ~PRESENT.all(axis=1)
    assert (model.matching_[gaps] == np.flatnonzero(gaps)).all()
    assert not set(model.matching_[~gaps]) & set(np.flatnonzero(gaps))
    assert (model.matching_ == np.arange(40)).all() == (rematch == "none")
