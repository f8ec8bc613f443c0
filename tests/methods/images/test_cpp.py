"""CPP: its membership, rates and warm-up, its graph, what it refuses."""

import numpy as np
import pytest
import scipy.sparse.csgraph
import torch
from refusals import refusing
from scipy.sparse.linalg import eigsh
from support.coding import SMALL, drawn, plain_rate, plain_sinkhorn, planted

from mvlib.methods import CPP
from mvlib.methods.images import cpp
from mvlib.methods.images.cpp import (
    CodingNetwork,
    coding_length,
    coding_rate,
    compressed_rate,
    membership,
    total_loss,
)
from mvlib.metrics import accuracy
from mvlib.ops import transport_plan, unit_rows


def plain_compressed(Z, Pi, epsilon):
    m, d = Z.shape
    total = 0.0
    for k in range(Pi.shape[1]):
        t = sum(Pi[:, k])
        S = sum(Pi[j, k] * np.outer(Z[j], Z[j]) for j in range(m))
        total += t / (2 * m) * np.linalg.slogdet(np.eye(d) + d / (t * epsilon) * S)[1]
    return total


@pytest.mark.parametrize("half_steps", [1, 3, 5])
def test_the_membership_is_sinkhorn_s_and_no_gradient_goes_through_its_columns(half_steps):
    C = drawn()
    Pi = membership(C, 0.2, half_steps)
    expected, v = plain_sinkhorn(C.detach().numpy(), 0.2, half_steps)
    assert np.allclose(Pi.detach(), expected)
    assert np.allclose(Pi.sum(dim=1).detach(), 1)
    cost = -(C @ C.T).abs().detach()
    iterations = (half_steps + 1) // 2
    given = {"epsilon": 0.2, "max_iter": iterations, "tol": 0, "marginal_tol": None}
    assert np.allclose(9 * transport_plan(cost, **given).plan, expected, rtol=1e-4)
    weights = torch.tensor(np.random.default_rng(1).normal(size=(9, 9)))
    (found,) = torch.autograd.grad((weights * Pi).sum(), C)
    fixed = torch.softmax((C @ C.T).abs() / 0.2 + torch.tensor(v), dim=1)
    (held,) = torch.autograd.grad((weights * fixed).sum(), C)
    assert np.allclose(found, held)


def test_columns_come_near_to_one_with_the_half_steps():
    C = drawn(30)
    off = [(membership(C, 0.2, s).sum(dim=0) - 1).abs().max().item() for s in (1, 3, 5)]
    assert off[0] > off[1] > off[2]
    assert off[2] < 0.05


def test_the_rates_and_the_total_equal_slow_ones_and_have_their_gradients():
    Z, C = drawn(), drawn(seed=1)
    z = Z.detach().numpy()
    Pi, _ = plain_sinkhorn(C.detach().numpy(), 0.3, 5)
    given = {"eta": 0.3, "half_steps": 5, "epsilon": 0.2, "membership_weight": 0.4}
    found = {name: part.item() for name, part in total_loss(Z, C, **given).items()}
    assert found["rate"] == pytest.approx(plain_rate(z, 0.2))
    assert found["compressed"] == pytest.approx(plain_compressed(z, Pi, 0.2))
    assert found["sharpness"] == pytest.approx(sum(Pi.ravel() ** 2) / 2)
    expected = -plain_rate(z, 0.2) + plain_compressed(z, Pi, 0.2) + 0.2 * sum(Pi.ravel() ** 2)
    assert found["loss"] == pytest.approx(expected)
    few, codes = drawn(5, 3), drawn(5, 3, seed=1)
    assert torch.autograd.gradcheck(
        lambda a, b: total_loss(a, b, half_steps=1)["loss"], (few, codes)
    )
    Pi = torch.rand(5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(compressed_rate, (few, Pi))


def test_the_rate_knows_no_rotation_and_one_group_of_all_saves_nothing():
    Z = drawn(12, 5).detach()
    turn = torch.tensor(np.linalg.qr(np.random.default_rng(2).normal(size=(5, 5)))[0])
    assert coding_rate(Z).item() > 0
    assert coding_rate(Z @ turn).item() == pytest.approx(coding_rate(Z).item())
    even = torch.full((12, 12), 1 / 12, dtype=torch.float64)
    assert compressed_rate(Z, even).item() == pytest.approx(coding_rate(Z).item())
    assert membership(Z, 0.2, 5).sum().item() == pytest.approx(12)
    # A group without a member costs nothing, and has a gradient.
    empty = torch.cat([even, torch.zeros(12, 1)], dim=1).requires_grad_()
    compressed_rate(Z, empty).backward()
    assert torch.isfinite(empty.grad).all()


def traced(monkeypatch, **change):
    seen = []

    def kept(Z, C, **given):
        seen.append((Z.detach().clone(), C.detach().clone()))
        return total_loss(Z, C, **given)

    monkeypatch.setattr(cpp, "total_loss", kept)
    model = CPP(3, **SMALL | change).fit(planted()[0])
    return model, seen


def test_the_warm_up_has_a_step_more_and_ends_with_both_heads_equal(monkeypatch):
    model, seen = traced(monkeypatch)
    assert len(seen) == 8 - 3
    assert torch.equal(*seen[0])
    assert not torch.equal(*seen[-1])
    early, late = (model.history_["compressed"][part] for part in (slice(3), slice(3, None)))
    assert np.isnan(early).all()
    assert np.isfinite(late).all()
    assert np.allclose(model.history_["loss"][:3], -model.history_["rate"][:3])


def test_without_warm_up_nothing_is_copied(monkeypatch):
    _, seen = traced(monkeypatch, warmup_steps=-1)
    assert len(seen) == 8
    assert not torch.equal(*seen[0])


def test_the_codes_head_takes_no_step_in_the_warm_up_and_decays_by_its_own_weight(monkeypatch):
    network, copied, made = CodingNetwork(12, 16, 6), [], []
    first = network.codes.weight.detach().clone()
    load = network.codes.load_state_dict

    def copy(state):
        copied.append(network.codes.weight.detach().clone())
        return load(state)

    def optimizer(groups, **how):
        made.append([(len(group["params"]), group["weight_decay"]) for group in groups])
        assert how == {"lr": 1e-4, "momentum": 0.9}
        return torch.optim.Adam(groups, lr=0.1)

    monkeypatch.setattr(network.codes, "load_state_dict", copy)
    monkeypatch.setattr(cpp.torch.optim, "SGD", optimizer)
    images = torch.from_numpy(planted()[0])
    CPP(3, **SMALL)._train(network, images, cpp._rows(60, 20, torch.Generator()))
    assert made == [[(8, 1e-4), (2, 5e-3)]]
    assert torch.equal(copied[0], first)
    assert len(copied) == 1
    assert not torch.equal(network.codes.weight, first)


def test_a_pass_takes_each_image_at_most_once_and_drops_a_short_batch():
    batches = cpp._rows(50, 20, torch.Generator().manual_seed(0))
    passes = [torch.cat([next(batches), next(batches)]) for _ in range(3)]
    assert all(len(rows.unique()) == 40 for rows in passes)
    assert not torch.equal(passes[0], passes[1])


def test_the_graph_is_cut_as_by_the_code_though_that_gives_a_solver_an_uneven_matrix():
    """The code's call: scipy's Laplacian, whose degrees are column sums without diagonal."""
    X, y = planted(12)
    model = CPP(3, **SMALL | {"training_steps": 60}).fit(X)
    C = torch.from_numpy(model.embeddings_[1])
    Pi = membership(C, model.eta, 5).double().numpy()
    assert not np.allclose(Pi, Pi.T, atol=1e-9)
    laplacian = scipy.sparse.csgraph.laplacian(Pi, normed=True)
    _, vectors = eigsh(2 * np.eye(len(Pi)) - laplacian, k=3, which="LM", v0=np.ones(len(Pi)))
    rows = unit_rows(vectors)
    assert np.allclose(rows @ rows.T, model.embedding_ @ model.embedding_.T, atol=0.02)
    # The diagonal, half of the mass and more of sharp memberships, does not count.
    A = (Pi + Pi.T) / 2
    np.fill_diagonal(A, 0)
    scale = 1 / np.sqrt(A.sum(axis=1))
    own = np.linalg.eigh(scale[:, None] * A * scale)[1][:, -3:]
    rows = unit_rows(own)
    assert np.allclose(rows @ rows.T, model.embedding_ @ model.embedding_.T, atol=1e-4)


def test_planted_classes_are_found_and_the_loss_falls():
    X, y = planted()
    model = CPP(3, **SMALL | {"training_steps": 60, "learning_rate": 1e-3}).fit(X)
    assert accuracy(y, model.labels_) > 0.9
    history = model.history_
    total = -history["rate"] + history["compressed"] + 0.05 * history["sharpness"]
    assert np.allclose(history["loss"][3:], total[3:], atol=1e-4)
    assert history["loss"][-5:].mean() < history["loss"][3:8].mean()
    for rows in (*model.embeddings_, model.embedding_):
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def plain_length(Z, labels, epsilon):
    total, d = 0.0, Z.shape[1]
    for label in set(labels.tolist()):
        rows = [z for z, own in zip(Z, labels, strict=True) if own == label]
        S = np.eye(d) + d / (epsilon * len(rows)) * sum(np.outer(z, z) for z in rows)
        total += (len(rows) + d) / 2 * np.log(np.linalg.det(S))
        total += len(rows) * -np.log(len(rows) / len(Z))
    return total


def test_the_coding_length_equals_a_slow_one_and_is_least_at_the_true_number():
    Z, labels = drawn(20, 4).detach().numpy(), np.arange(20) % 3
    assert coding_length(Z, labels, 0.2) == pytest.approx(plain_length(Z, labels, 0.2))
    X, y = planted(30, 4)
    Z = unit_rows(X.astype(np.float64))
    merged, split = y // 2, 2 * y + np.arange(len(y)) % 2
    own = coding_length(Z, y)
    assert own < coding_length(Z, merged)
    assert own < coding_length(Z, split)


def test_numbers_of_clusters_are_scored_by_the_features_and_their_own_cuts():
    model = CPP(3, **SMALL).fit(planted()[0])
    lengths = model.coding_lengths([2, 3, 5])
    assert list(lengths) == [2, 3, 5]
    expected = coding_length(model.embeddings_[0], model.labels_, model.epsilon)
    assert lengths[3] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"half_steps": 4}, "half_steps=4: expected an odd number"),
        ({"training_steps": 3}, "training_steps=3 end within the warm-up"),
        ({"warmup_steps": -2}, "warmup_steps"),
        ({"eta": 0.0}, "eta"),
        ({"epsilon": 0.0}, "epsilon"),
        ({"batch_size": 1}, "batch_size"),
        ({"membership_weight": -1.0}, "membership_weight"),
    ],
)
def test_what_it_cannot_take_is_named(change, message):
    with refusing(message):
        CPP(3, **SMALL | change).fit(planted()[0])


def test_more_clusters_than_images_cannot_be_scored():
    model = CPP(3, **SMALL).fit(planted(5)[0])
    with pytest.raises(ValueError, match="n_clusters=20 is more than n_samples=15"):
        model.coding_lengths()
