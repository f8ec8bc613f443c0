"""SCAN's clustering step: its losses, the choice of head and epoch, what it refuses."""

import numpy as np
import pytest
import torch
from refusals import refuses
from support.semantic_transcription import toy

from mvlib.methods import SCAN
from mvlib.methods.images.scan import mean_entropy, own_loss, total_loss

SMALL = {"n_neighbors": 10, "batch_size": 32, "epochs": 4, "random_state": 0}


def drawn(n=12, k=4, seed=0):
    P = np.random.default_rng(seed).dirichlet(np.ones(k), size=n)
    return torch.tensor(P, dtype=torch.float64, requires_grad=True)


def plain_agreement(p, q):
    return -max(np.log(sum(a * b for a, b in zip(p, q, strict=True))), -100)


def plain_mean_entropy(P):
    total = 0.0
    for k in range(P.shape[1]):
        mean = max(sum(p[k] for p in P) / len(P), 1e-8)
        total -= mean * np.log(mean)
    return total


def plain_own_loss(P, near):
    pairs = [plain_agreement(P[i], P[j]) for i, row in enumerate(near) for j in row]
    return sum(pairs) / len(pairs) - plain_mean_entropy(P)


def test_the_losses_equal_slow_ones_and_their_gradients_reach_both_rows():
    P, Q = drawn(), drawn(seed=1)
    p, q = P.detach().numpy(), Q.detach().numpy()
    found = total_loss(P, Q, entropy_weight=3.0)
    agreement = sum(map(plain_agreement, p, q)) / len(p)
    assert found["consistency"].item() == pytest.approx(agreement)
    assert mean_entropy(P).item() == pytest.approx(plain_mean_entropy(p))
    expected = agreement - 3 * plain_mean_entropy(p)
    assert found["loss"].item() == pytest.approx(expected)
    few = drawn(5, 3), drawn(5, 3, seed=1)
    assert torch.autograd.gradcheck(lambda a, b: total_loss(a, b)["loss"], few)
    near = np.random.default_rng(2).integers(12, size=(12, 6))
    chosen = own_loss(P, torch.from_numpy(near)).item()
    assert chosen == pytest.approx(plain_own_loss(p, near))


def test_the_losses_have_the_values_they_should_at_their_ends():
    sure = torch.eye(4).repeat(3, 1)
    assert total_loss(sure, sure)["consistency"].item() == pytest.approx(0, abs=1e-6)
    apart = sure[:, [1, 2, 3, 0]]
    assert total_loss(sure, apart)["consistency"].item() == pytest.approx(100)
    assert mean_entropy(sure).item() == pytest.approx(np.log(4))
    # Three clusters without a row count by the floor.
    floored = mean_entropy(sure[:1]).item()
    assert floored == pytest.approx(-3e-8 * np.log(1e-8), rel=1e-3)
    # A row that is its own only neighbour: the mean of -log of its squared length.
    P = drawn().detach()
    alone = own_loss(P, torch.arange(12)[:, None]) + mean_entropy(P)
    assert alone.item() == pytest.approx(-(P**2).sum(dim=1).log().mean().item())


def test_the_first_head_and_epoch_of_lowest_own_loss_are_kept():
    images, _, _, _ = toy(n_per_class=20)
    model = SCAN(4, n_heads=3, learning_rate=0.1, **SMALL).fit(images)
    own = model.history_["own_loss"]
    assert own.shape == (4, 3)
    first = np.unravel_index(own.argmin(), own.shape)
    assert (model.history_["epoch"], model.history_["head"]) == tuple(map(int, first))
    assert np.array_equal(model.history_["labels"][first[0]], model.labels_)
    assert np.array_equal(model.predict(images), model.labels_)
    # The loss that chose is that of the images and their six nearest, themselves among them.
    unit = images / np.linalg.norm(images, axis=1, keepdims=True)
    near = np.argsort(-unit @ unit.T, axis=1)[:, :6]
    assert (near[:, 0] == np.arange(len(images))).all()
    assert own.min() == pytest.approx(plain_own_loss(model.embedding_, near), rel=1e-4)
    one = SCAN(4, learning_rate=0.1, **SMALL).fit(images)
    assert own.min() <= one.history_["own_loss"].min() + 1e-4


def test_a_neighbour_is_drawn_from_the_nearest_and_the_row_itself(monkeypatch):
    images, _, _, _ = toy(n_per_class=20)
    seen = []

    def draw(near, generator):
        seen.append(near)
        return near[:, 0]

    monkeypatch.setattr("mvlib.methods.images.scan.draw_neighbours", draw)
    model = SCAN(4, **SMALL | {"epochs": 1, "batch_size": 80}).fit(images)
    assert seen[0].shape == (80, 11)
    # Each row is the first of its own, so that the loss is -log of its squared length.
    assert sorted(seen[0][:, 0].tolist()) == list(range(80))
    assert model.history_["consistency"][0] > 0


def test_without_entropy_all_may_fall_into_one_cluster_and_with_it_none_stays_empty():
    images, _, _, _ = toy()
    long = SMALL | {"epochs": 30, "learning_rate": 0.1}
    balanced = SCAN(4, **long).fit(images)
    assert len(np.unique(balanced.labels_)) == 4
    assert balanced.history_["entropy"][-1] > 0.95 * np.log(4)
    alone = SCAN(4, entropy_weight=0.0, **long).fit(images)
    assert alone.history_["entropy"][-1] < balanced.history_["entropy"][-1]


test_what_it_cannot_take_is_named = refuses(
    lambda **change: SCAN(4, **SMALL | change).fit(toy()[0]),
    ({"n_heads": 0}, "n_heads"),
    ({"n_neighbors": 160}, "n_neighbors"),
    ({"batch_size": 161}, "batch_size=161 is more than the 160 train images"),
    ({"entropy_weight": -1.0}, "entropy_weight"),
)
