"""ProtoGCD's head: its terms, what is hard and when, what known labels do, refusals."""

import inspect

import numpy as np
import pytest
import torch
from refusals import refusing
from support.semantic_transcription import softmax, toy, unit
from torch import nn

from mvlib.methods import ProtoGCD
from mvlib.methods.images import protogcd
from mvlib.methods.images.protogcd import (
    PARTS,
    Prototypes,
    label_contrast,
    noisy,
    self_distillation,
    separation_loss,
    targets,
    total_loss,
)
from mvlib.metrics import accuracy

SMALL = {"batch_size": 20, "epochs": 8, "hard_epochs": 4, "hidden_dim": 16, "random_state": 0}


def cosines(n=6, k=4, seed=0):
    C = np.random.default_rng(seed).uniform(-0.4, 0.4, size=(n, k))
    return torch.tensor(C, requires_grad=True)


def unit_rows(n=6, d=3, seed=0):
    Z = np.random.default_rng(seed).normal(size=(n, d))
    return torch.tensor(np.array([unit(z) for z in Z]), requires_grad=True)


def plain_targets(C, share):
    Q = np.array([softmax(c / 0.05) for c in C])
    two = np.sort(Q, axis=1)[:, ::-1][:, :2]
    surest = np.argsort(-two[:, 0] / (two[:, 1] + 1e-6))[: int(share * len(C))]
    for i in surest:
        Q[i] = np.arange(C.shape[1]) == Q[i].argmax()
    return Q


def plain_distillation(C1, C2, share):
    total, n = 0.0, len(C1)
    for own, other in ((C1, C2), (C2, C1)):
        Q = plain_targets(other, share)
        for i in range(n):
            total -= sum(Q[i] * np.log(softmax(own[i] / 0.1)))
    return total / (2 * n)


def plain_separation(M):
    found = []
    for k in range(len(M)):
        others = [np.exp(M[k] @ M[j] / 0.1) for j in range(len(M)) if j != k]
        found.append(np.log(np.mean(others)))
    return np.mean(found)


def plain_info_nce(Z1, Z2):
    Z, n, found = np.vstack([Z1, Z2]), len(Z1), []
    for i in range(2 * n):
        others = [j for j in range(2 * n) if j != i]
        p = softmax([float(Z[i] @ Z[j]) for j in others])
        found.append(-np.log(p[others.index((i + n) % (2 * n))]))
    return np.mean(found)


def plain_label_contrast(Z, y):
    found = []
    for i in range(len(Z)):
        others = [j for j in range(len(Z)) if j != i]
        p = dict(zip(others, softmax([float(Z[i] @ Z[j]) / 0.07 for j in others]), strict=True))
        found.append(-np.mean([np.log(p[j]) for j in others if y[j] == y[i]]))
    return np.mean(found)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.68, 1.0])
def test_targets_are_hard_for_the_surest_share_of_a_view(share):
    C = cosines(10)
    found = targets(C, share)
    assert np.allclose(found, plain_targets(C.detach().numpy(), share))
    assert not found.requires_grad
    assert (found == 1).any(dim=1).sum() == int(share * 10)
    # The ratio decides and not the largest alone: 0.5 of two is less sure than 0.45 of many.
    C = 0.05 * torch.tensor([[0.5, 0.5, 1e-9, 1e-9], [0.45, 0.19, 0.18, 0.18]]).log()
    assert (targets(C, 0.5)[1] == torch.tensor([1, 0, 0, 0])).all()
    assert (targets(torch.zeros(2, 1), 0.5) == 1).all()


def test_terms_equal_their_slow_transcriptions():
    C1, C2, M = cosines(), cosines(seed=1), unit_rows(5)
    c1, c2, m = (A.detach().numpy() for A in (C1, C2, M))
    for share in (0.0, 0.5):
        found = self_distillation((C1, C2), share).item()
        assert found == pytest.approx(plain_distillation(c1, c2, share))
    assert separation_loss(M).item() == pytest.approx(plain_separation(m))
    y = np.array([0, 2, 0, 2, 2, 0])
    Z = unit_rows()
    assert label_contrast(Z, torch.tensor(y)).item() == pytest.approx(
        plain_label_contrast(Z.detach().numpy(), y)
    )


def test_the_total_equals_its_slow_transcription_and_has_its_gradient():
    C1, C2 = cosines(), cosines(seed=1)
    Z1, Z2, M = unit_rows(), unit_rows(seed=1), unit_rows(4, seed=2)
    y = torch.tensor([3, -1, 0, -1, 3, -1])
    given = {"hard_share": 0.5, "separation_weight": 0.2, "label_weight": 0.3}
    found = total_loss((C1, C2), (Z1, Z2), M, y, **given)
    c1, c2, z1, z2, m = (A.detach().numpy() for A in (C1, C2, Z1, Z2, M))
    mean = np.mean([softmax(c / 0.1) for c in [*c1, *c2]], axis=0)
    some = [0, 2, 4]
    own = [y[i].item() for i in some]
    ce = [-np.log(softmax(c[i] / 0.1)[y[i]]) for c in (c1, c2) for i in some]
    parts = {
        "distillation": plain_distillation(c1, c2, 0.5),
        "entropy": sum(mean * np.log(mean)),
        "separation": plain_separation(m),
        "contrast": plain_info_nce(z1, z2),
        "labels": np.mean(ce),
        "label_contrast": plain_label_contrast(
            np.vstack([z1[some], z2[some]]), np.array(own + own)
        ),
    }
    assert tuple(parts) == PARTS
    for name, value in parts.items():
        assert found[name].item() == pytest.approx(value), name
    a, b, c, d, e, f = parts.values()
    expected = 0.7 * (a + 2 * b + 0.2 * c + d) + 0.3 * (e + f)
    assert found["loss"].item() == pytest.approx(expected)
    few = [cosines(3, 2), unit_rows(3, 2), unit_rows(3, 2, 1), unit_rows(2, 2, 2)]
    # One side is held: its targets have no gradient, which differences would see.
    held = cosines(3, 2, 1).detach()

    def of_one_side(C, Z1, Z2, M):
        parts = total_loss((C, held), (Z1, Z2), M, torch.tensor([1, -1, 0]), hard_share=1.0)
        return parts["loss"]

    assert torch.autograd.gradcheck(of_one_side, few)
    defaults = inspect.signature(total_loss).parameters
    assert defaults["label_weight"].default == 0.35
    assert defaults["separation_weight"].default == 0.1


def test_without_labels_the_supervised_terms_are_nothing():
    pair = (cosines(), cosines(seed=1)), (unit_rows(), unit_rows(seed=1))
    found = total_loss(*pair, unit_rows(4), torch.full((6,), -1))
    assert found["labels"] == found["label_contrast"] == 0
    found["loss"].backward()
    assert all(torch.isfinite(A.grad).all() for two in pair for A in two)


def test_prototypes_apart_and_rows_with_their_label_cost_least():
    spread = torch.eye(3, dtype=torch.float64)
    assert separation_loss(spread).item() == pytest.approx(0)
    assert separation_loss(spread[[0, 0, 0]]).item() == pytest.approx(10)
    assert separation_loss(spread[:1]).item() == 0
    y = torch.tensor([0, 0, 1, 1])
    # What has no label is in no one's way, and counts for nothing.
    Z, some = unit_rows(6), torch.tensor([0, -1, 0, 1, -1, 1])
    assert torch.allclose(
        label_contrast(Z, some), label_contrast(Z[some >= 0], some[some >= 0])
    )
    right, wrong = spread[[0, 0, 1, 1]], spread[[0, 1, 0, 1]]
    assert label_contrast(right, y) < 1e-5 < 1 < label_contrast(wrong, y)


def test_the_correction_starts_at_nothing_and_all_that_is_compared_has_unit_length():
    torch.manual_seed(0)
    net, X = Prototypes(6, 4, 5), torch.randn(7, 6)
    found, Z = net.both(X)
    W = nn.functional.normalize(net.weight, dim=1)
    assert torch.allclose(found, nn.functional.normalize(X, dim=1) @ W.T, atol=1e-6)
    assert torch.allclose(Z.norm(dim=1), torch.ones(7))
    assert torch.allclose(net(X), (found / 0.1).softmax(dim=1))
    assert sum(isinstance(layer, nn.Linear) for layer in net.projector) == 3


def test_two_views_of_a_row_are_as_near_as_their_noise_lets_them():
    torch.manual_seed(0)
    X = nn.functional.normalize(torch.randn(50, 4000), dim=1)
    one, two = noisy(X, 0.5), noisy(X, 0.5)
    assert torch.allclose(one.norm(dim=1), torch.ones(50))
    assert torch.allclose((one * two).sum(dim=1), torch.full((50,), 1 / 1.25), atol=0.05)
    assert (one * X).sum(dim=1).mean().item() == pytest.approx(1.25**-0.5, abs=0.01)
    assert torch.allclose(noisy(X, 0), X, atol=1e-6)


def test_a_batch_has_its_views_labels_and_hard_share(monkeypatch):
    images, _, _, y = toy(n_per_class=10)
    known = np.where(np.arange(40) % 4 == 0, y, -1)
    seen, shares, drawn = [], [], []

    class Optimizer(torch.optim.SGD):
        def step(self, *_):
            rates.append(self.param_groups[0]["lr"])
            return super().step(*_)

    rates = []

    def counted(cosines, projected, prototypes, labels, *, hard_share, **more):
        shares.append(hard_share)
        seen.append([*cosines])
        drawn.append((labels >= 0).sum().item())
        return total_loss(cosines, projected, prototypes, labels, hard_share=hard_share, **more)

    monkeypatch.setattr(protogcd, "total_loss", counted)
    monkeypatch.setattr(torch.optim, "SGD", Optimizer)
    ProtoGCD(4, **SMALL).fit(images, known=known)
    assert shares == [0, 0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75] + [1.0] * 8
    # 10 of 40 rows are labelled, and half of those drawn.
    assert np.mean(drawn) == pytest.approx(10, abs=2)
    expected = [1e-4 + (0.1 - 1e-4) * (1 + np.cos(np.pi * t / 8)) / 2 for t in range(8)]
    assert np.allclose(rates[::2], expected)
    assert not torch.allclose(seen[0][0], seen[0][1])
    seen.clear()
    ProtoGCD(4, **SMALL, view_noise=0).fit(images, known=known)
    assert torch.allclose(seen[0][0], seen[0][1])


def test_known_labels_name_their_prototypes_and_without_any_it_still_clusters():
    images, _, _, y = toy(n_per_class=25)
    known = np.where((y < 2) & (np.arange(100) % 2 == 0), y, -1)
    model = ProtoGCD(4, **SMALL | {"epochs": 30}).fit(images, known=known)
    old = y < 2
    assert (model.labels_[old] == y[old]).mean() > 0.9
    assert accuracy(y, model.labels_) > 0.9
    assert np.array_equal(model.predict(images), model.labels_)
    # Another order of the known classes, another name for their prototypes.
    swapped = np.where(known >= 0, 1 - known, -1)
    labels = ProtoGCD(4, **SMALL | {"epochs": 30}).fit_predict(images, known=swapped)
    assert (labels[old] == 1 - y[old]).mean() > 0.9
    free = ProtoGCD(4, **SMALL | {"epochs": 30}).fit(images)
    assert accuracy(y, free.labels_) > 0.9
    assert (free.history_["labels"] == 0).all()
    none = ProtoGCD(4, **SMALL).fit(images, known=np.full(100, -1))
    assert np.array_equal(none.embedding_, ProtoGCD(4, **SMALL).fit(images).embedding_)


@pytest.mark.parametrize(
    ("change", "known", "message"),
    [
        ({}, np.zeros(79, int), "known, of shape .79,., has others: expected 80 whole numbers"),
        ({}, np.full(80, 4), "known"),
        ({}, np.full(80, -2), "known"),
        ({}, np.zeros(80), "known"),
        ({"view_noise": -1.0}, None, "view_noise"),
        ({"label_weight": 1.5}, None, "label_weight"),
        ({"separation_weight": -1.0}, None, "separation_weight"),
        ({"hard_epochs": 0}, None, "hard_epochs"),
        ({"batch_size": 81}, None, "batch_size=81 is more than the 80 train images"),
    ],
)
def test_what_it_cannot_take_is_named(change, known, message):
    images, _, _, _ = toy(n_per_class=20)
    with refusing(message):
        ProtoGCD(4, **SMALL | change).fit(images, known=known)
