"""SEIC's first stage: its nouns, its four losses, its history of sizes, what it refuses."""

import numpy as np
import pytest
import torch
from refusals import refusing
from support.semantic_transcription import softmax, toy, unit

from mvlib.methods import SEIC
from mvlib.methods.images.seic import (
    Scale,
    balance_loss,
    candidate_nouns,
    cluster_centres,
    info_nce,
    next_sizes,
    top_counterpart,
    total_loss,
)

SMALL = {"n_nearest": 8, "top": 5, "batch_size": 32, "epochs": 4, "kmeans": "k-means++"}
SMALL |= {"random_state": 0}


def rows(n=12, d=5, seed=0):
    A = torch.tensor(np.random.default_rng(seed).normal(size=(n, d)))
    return torch.nn.functional.normalize(A, dim=1).requires_grad_()


def drawn(n=12, k=4, seed=0):
    P = np.random.default_rng(seed).dirichlet(np.full(k, 0.5), size=n)
    return torch.tensor(P, dtype=torch.float64, requires_grad=True)


def plain_info_nce(A, B, scale, kept):
    total = 0.0
    for i in kept:
        for left, right in ((A, B), (B, A)):
            p = softmax([scale * float(left[i] @ right[j]) for j in kept])
            total -= np.log(p[list(kept).index(i)])
    return total / (2 * len(kept)) if len(kept) >= 2 else 0.0


def plain_centres(P, H):
    centres = {}
    for k in range(P.shape[1]):
        own = [i for i in range(len(P)) if P[i].argmax() == k]
        if own:
            centres[k] = unit(sum(P[i, k] * H[i] for i in own))
    return centres


def plain_balance(P, Q, history):
    K = len(history)
    sizes = np.maximum(history, 0.01)
    sizes = sizes / sizes.sum()
    weights = np.array([min((1 / K) / s, 5) for s in sizes])
    weights = weights / weights.mean()
    total = 0.0
    for A in (P, Q):
        mean = A.mean(axis=0)
        total += sum(w * -m * np.log(m) for w, m in zip(weights, mean, strict=True))
    return -total


def test_the_total_equals_its_slow_transcription_and_has_its_gradient():
    H, G, P, Q = rows(), rows(seed=1), drawn(), drawn(seed=1)
    history = torch.tensor([0.7, 0.2, 0.1, 0.0], dtype=torch.float64)
    scale = torch.tensor(9.0, dtype=torch.float64)
    temperatures = {"assignment_temperature": 0.2, "centre_temperature": 0.4}
    found = total_loss((H, P), (G, Q), scale, history, **temperatures)
    h, g, p, q = (A.detach().numpy() for A in (H, G, P, Q))
    columns = [np.array([unit(c) for c in A.T]) for A in (p, q)]
    first, second = plain_centres(p, h), plain_centres(q, g)
    both = sorted(first.keys() & second.keys())
    expected = {
        "instance": plain_info_nce(h, g, 9.0, range(12)),
        "assignment": plain_info_nce(*columns, 5.0, range(4)),
        "centre": plain_info_nce(first, second, 2.5, both),
        "balance": plain_balance(p, q, history.numpy()),
    }
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value), name
    parts = (0.5, 1, 1, 2)
    total = sum(w * v for w, v in zip(parts, expected.values(), strict=True))
    assert found["loss"].item() == pytest.approx(total)
    few = rows(5, 3), drawn(5, 3), rows(5, 3, 2), drawn(5, 3, 2), scale.requires_grad_()

    def loss(h, p, g, q, s):
        return total_loss((h, p), (g, q), s, history[:3])["loss"]

    assert torch.autograd.gradcheck(loss, few)


def test_clusters_without_rows_are_left_out_of_the_contrast_and_give_no_nan():
    H, G = rows(), rows(seed=1)
    P = torch.full((12, 4), 0.1, dtype=torch.float64)
    P[:6, 0], P[6:, 2] = 0.7, 0.7
    P.requires_grad_()
    centres, some = cluster_centres(P, H)
    assert some.tolist() == [True, False, True, False]
    expected = plain_centres(P.detach().numpy(), H.detach().numpy())
    for k in (0, 2):
        assert np.allclose(centres[k].detach(), expected[k])
    others = cluster_centres(P, G)[0]
    loss = info_nce(centres, others, 2.0, some)
    plain = plain_info_nce(expected, plain_centres(P.detach().numpy(), G.detach()), 2, [0, 2])
    assert loss.item() == pytest.approx(float(plain))
    loss.backward()
    assert all(torch.isfinite(A.grad).all() for A in (H, G, P))
    one = torch.tensor([True, False, False, False])
    assert info_nce(centres, others, 2.0, one).item() == 0


def test_the_losses_have_their_best_values_where_they_should():
    uniform = torch.full((12, 4), 0.25, dtype=torch.float64)
    even = torch.full((4,), 0.25, dtype=torch.float64)
    balance = balance_loss(uniform, uniform, even)
    assert balance.item() == pytest.approx(-2 * np.log(4))
    # A cluster that was small weighs more; the mean weight is 1.
    lean = torch.tensor([0.97, 0.01, 0.01, 0.01], dtype=torch.float64)
    assert balance_loss(uniform, uniform, lean).item() == pytest.approx(-2 * np.log(4))
    toward = torch.tensor([[0.1, 0.7, 0.1, 0.1]], dtype=torch.float64)
    away = torch.tensor([[0.7, 0.1, 0.1, 0.1]], dtype=torch.float64)
    assert balance_loss(away, away, lean) > balance_loss(toward, toward, lean)
    sure = torch.eye(4, dtype=torch.float64).repeat(3, 1)
    columns = torch.nn.functional.normalize(sure.T, dim=1)
    every = torch.ones(4, dtype=torch.bool)
    best = info_nce(columns, columns, 2.0, every)
    assert best < info_nce(columns, columns.roll(1, 0), 2.0, every)
    for seed in range(3):
        other = torch.nn.functional.normalize(drawn(seed=seed).detach().T, dim=1)
        assert best < info_nce(other, other, 2.0, every)


def test_the_history_of_sizes_sums_to_one_and_the_scale_is_held():
    history = torch.full((4,), 0.25)
    P = drawn().detach().float()
    shares = np.bincount(P.argmax(dim=1), minlength=4) / 12
    moved = next_sizes(history, P)
    assert np.allclose(moved, 0.9 * 0.25 + 0.1 * shares)
    assert moved.sum().item() == pytest.approx(1)
    scale = Scale()
    assert scale().item() == pytest.approx(1 / 0.07)
    torch.nn.init.constant_(scale.s, 9.0)
    assert scale().item() == 100


def test_candidates_and_counterparts_equal_slow_ones():
    images, words, _, _ = toy(n_per_class=4)
    centres = images[::4]
    expected = set()
    for c in centres:
        cosines = [-float(unit(c) @ unit(u)) for u in words]
        expected |= set(np.argsort(cosines, kind="stable")[:5].tolist())
    assert candidate_nouns(words, centres, 5).tolist() == sorted(expected)
    told = top_counterpart(3 * images, words, 7, 0.05)
    for x, found in zip(images, told, strict=True):
        cosines = np.array([float(unit(x) @ unit(u)) for u in words])
        best = np.argsort(-cosines)[:7]
        weights = softmax(cosines[best] / 0.05)
        row = unit(sum(w * unit(words[j]) for w, j in zip(weights, best, strict=True)))
        assert np.allclose(found, row, atol=1e-5)


def test_a_fit_follows_its_losses_and_finds_the_planted_classes():
    images, words, _, y = toy(n_per_class=20)
    model = SEIC(4, **SMALL | {"epochs": 30}).fit(images, words)
    history = model.history_
    parts = 0.5 * history["instance"] + history["assignment"] + history["centre"]
    assert np.allclose(history["loss"], parts + 2 * history["balance"], atol=1e-4)
    assert history["sizes"].sum() == pytest.approx(1, abs=1e-5)
    assert np.array_equal(model.embedding_.argmax(axis=1), model.labels_)
    together = [len(np.unique(model.labels_[y == k])) for k in range(4)]
    assert together == [1, 1, 1, 1]
    assert len(np.unique(model.labels_)) == 4


def test_a_last_batch_of_one_row_is_dropped_and_of_two_is_not(monkeypatch):
    sizes = []

    def counted(images, *others, **settings):
        sizes.append(len(images[0]))
        return total_loss(images, *others, **settings)

    monkeypatch.setattr("mvlib.methods.images.seic.total_loss", counted)
    images, words, _, _ = toy(n_per_class=20)
    for batch_size, expected in ((79, [79]), (78, [78, 2]), (100, [80])):
        sizes.clear()
        SEIC(4, **SMALL | {"epochs": 1, "batch_size": batch_size}).fit(images, words)
        assert sizes == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_nearest": 45}, "n_nearest"),
        ({"temperature": 0.0}, "temperature"),
        ({"assignment_temperature": 0.0}, "assignment_temperature"),
        ({"centre_temperature": 0.0}, "centre_temperature"),
        ({"batch_size": 1}, "batch_size"),
    ],
)
def test_what_it_cannot_take_is_named(change, message):
    images, words, _, _ = toy(n_per_class=5)
    with refusing(message):
        SEIC(4, **SMALL | change).fit(images, words)
