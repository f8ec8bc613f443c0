"""TURTLE: its two losses, its inner classifiers, its spaces, what it refuses."""

import numpy as np
import pytest
import torch
from refusals import refuses

from mvlib.methods import TURTLE
from mvlib.methods.images.turtle import TaskEncoder, fit_classifiers, inner_loss, total_loss
from mvlib.metrics import accuracy


def drawn(n=7, k=3, seed=0):
    P = np.random.default_rng(seed).dirichlet(np.ones(k), size=n)
    return torch.tensor(P, dtype=torch.float64)


def blobs(n_per_class=20, scale=10.0):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), n_per_class)
    X = np.eye(3, 6)[y] + 0.15 * rng.normal(size=(len(y), 6))
    return scale * X, y


def log_softmax(a):
    return a - np.log(sum(np.exp(a)))


def test_the_losses_equal_slow_ones_and_no_gradient_goes_through_the_classifiers():
    spaces = torch.stack([drawn(), drawn(seed=1)]).requires_grad_()
    rng = np.random.default_rng(2)
    logits = [torch.tensor(rng.normal(size=(7, 3))).requires_grad_() for _ in range(2)]
    q = spaces.detach().numpy()
    mean = (q[0] + q[1]) / 2
    cross = 0.0
    for scores in logits:
        rows = scores.detach().numpy()
        cross -= sum(mean[i] @ log_softmax(rows[i]) for i in range(7)) / 7
    entropy = sum(-sum(m * np.log(m) for m in A.mean(axis=0)) for A in q)
    assert inner_loss(logits, torch.tensor(mean)).item() == pytest.approx(cross)
    found = total_loss(spaces, logits, gamma=4.0)
    assert found["cross_entropy"].item() == pytest.approx(cross)
    assert found["entropy"].item() == pytest.approx(entropy)
    assert found["loss"].item() == pytest.approx(cross - 4 * entropy)
    assert entropy <= 2 * np.log(3)
    found["loss"].backward()
    assert all(scores.grad is None for scores in logits)
    assert torch.autograd.gradcheck(
        lambda A: total_loss(A, logits)["loss"], (spaces.detach().requires_grad_(),)
    )
    even = torch.full((2, 7, 3), 1 / 3, dtype=torch.float64)
    assert total_loss(even, logits)["entropy"].item() == pytest.approx(2 * np.log(3))


def test_the_classifiers_start_plainly_and_take_full_steps_of_adam_on_soft_labels():
    rng = np.random.default_rng(0)
    Z, q = rng.normal(size=(7, 4)), drawn().numpy()
    torch.manual_seed(3)
    layer = torch.nn.Linear(4, 3)
    W, b = (p.detach().double().numpy().copy() for p in (layer.weight, layer.bias))
    assert np.abs(W).max() <= 1 / 2
    theta, moments = [W, b], [np.zeros_like(W), np.zeros_like(b)]
    squares = [np.zeros_like(W), np.zeros_like(b)]
    for t in range(1, 6):
        p = np.exp([log_softmax(row) for row in Z @ theta[0].T + theta[1]])
        gradients = (p - q).T @ Z / 7, (p - q).mean(axis=0)
        for j, g in enumerate(gradients):
            moments[j] = 0.9 * moments[j] + 0.1 * g
            squares[j] = 0.999 * squares[j] + 0.001 * g**2
            step = moments[j] / (1 - 0.9**t)
            step = step / (np.sqrt(squares[j] / (1 - 0.999**t)) + 1e-8)
            theta[j] = theta[j] - 0.05 * step
    torch.manual_seed(3)
    parts = [torch.tensor(Z, dtype=torch.float32)]
    (found,) = fit_classifiers(parts, torch.tensor(q, dtype=torch.float32), 5, 0.05)
    assert np.allclose(found, Z @ theta[0].T + theta[1], atol=1e-4)
    assert not found.requires_grad


def test_a_label_is_the_mean_over_the_spaces_and_the_start_is_a_plain_layer():
    torch.manual_seed(0)
    encoder = TaskEncoder((4, 2), 3)
    Z = torch.randn(5, 6)
    by_space = encoder.of_spaces(Z)
    for s, part in enumerate((Z[:, :4], Z[:, 4:])):
        layer = encoder.layers[s]
        plain = part @ layer.weight.T + layer.bias
        assert torch.allclose(by_space[s], plain.softmax(dim=1), atol=1e-6)
    assert torch.allclose(encoder(Z), by_space.mean(dim=0))
    assert torch.allclose(encoder(Z).sum(dim=1), torch.ones(5))
    # A row's length is in its gain alone.
    with torch.no_grad():
        encoder.layers[0].weight.mul_(7)
    assert torch.allclose(encoder.of_spaces(Z), by_space, atol=1e-6)
    # Two equal spaces that start alike give the label of one.
    twins = TaskEncoder((4, 4), 3)
    twins.layers[1].load_state_dict(twins.layers[0].state_dict())
    both = torch.cat([Z[:, :4], Z[:, :4]], dim=1)
    assert torch.allclose(twins(both), twins.of_spaces(both)[0])


def test_blobs_are_found_in_one_space_and_in_two_and_the_confidence_says_so():
    X, y = blobs(n_per_class=10)
    settings = {"outer_steps": 60, "learning_rate": 5e-2, "inner_learning_rate": 5e-2}
    model = TURTLE(3, random_state=0, **settings).fit(X)
    assert accuracy(y, model.labels_) == 1
    assert model.history_["loss"].shape == (60,)
    assert model.history_["entropy"][-1] == pytest.approx(np.log(3), abs=0.01)
    assert model.history_["confidence"] == pytest.approx(model.embedding_.max(axis=1).mean())
    assert np.allclose(
        model.history_["loss"],
        model.history_["cross_entropy"] - 10 * model.history_["entropy"],
        atol=1e-4,
    )
    two = TURTLE(3, random_state=0, widths=(4, 2), **settings).fit(X)
    assert two.history_["entropy"][-1] == pytest.approx(2 * np.log(3), abs=0.02)
    # At unit length the same steps leave labels less sure.
    short = TURTLE(3, random_state=0, **settings).fit(X / 10)
    assert short.history_["confidence"] < model.history_["confidence"]
    # Without the entropy nothing holds the clusters' sizes.
    free = TURTLE(3, random_state=0, gamma=0.0, **settings).fit(X)
    assert free.history_["entropy"][-1] < model.history_["entropy"][-1]


def test_a_step_takes_a_sample_without_repetition_where_there_are_more_rows(monkeypatch):
    X, _ = blobs()
    sizes = []

    def counted(parts, q, *steps):
        sizes.append(len(torch.unique(parts[0], dim=0)))
        return fit_classifiers(parts, q, *steps)

    monkeypatch.setattr("mvlib.methods.images.turtle.fit_classifiers", counted)
    for batch_size, expected in ((25, 25), (60, 60), (100, 60)):
        sizes.clear()
        TURTLE(3, outer_steps=2, batch_size=batch_size).fit(X)
        assert sizes == [expected] * 2


test_what_it_cannot_take_is_named = refuses(
    lambda **change: TURTLE(3, **{"outer_steps": 2} | change).fit(blobs()[0]),
    ({"widths": (4, 3)}, r"widths=\(4, 3\) sum to 7: expected the 6 features"),
    ({"widths": (6, 0)}, "widths"),
    ({"gamma": -1.0}, "gamma"),
    ({"outer_steps": 0}, "outer_steps"),
    ({"inner_steps": 0}, "inner_steps"),
    ({"inner_learning_rate": 0.0}, "inner_learning_rate"),
)
