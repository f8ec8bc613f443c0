"""TEMI: its weighted pair loss, twins, prior, rates, choice of the head, what it refuses."""

import numpy as np
import pytest
import torch
from refusals import refuses
from support.semantic_transcription import toy
from torch import nn

from mvlib.methods import TEMI
from mvlib.methods.images.temi import head_losses, next_prior, pair_losses, pair_weights

SMALL = {
    "n_heads": 3, "hidden_dims": (8, 6), "n_neighbors": 5, "batch_size": 20, "epochs": 4,
    "warmup_epochs": 2, "random_state": 0,
}  # fmt: skip


def drawn(h=3, n=5, k=4, seed=0):
    P = np.random.default_rng(seed).dirichlet(np.ones(k), size=(h, n))
    return torch.tensor(P, dtype=torch.float64)


def plain_head_losses(S, T, prior, beta):
    heads, n, k = S[0].shape
    weights = np.zeros(n)
    for i in range(n):
        for h in range(heads):
            weights[i] += sum(T[0][h, i, c] * T[1][h, i, c] for c in range(k)) / heads
    found = []
    for h in range(heads):
        total = 0.0
        for i in range(n):
            for a, b in ((0, 1), (1, 0)):
                inside = sum(
                    (S[a][h, i, c] * T[b][h, i, c]) ** beta / prior[h, c] for c in range(k)
                )
                total -= weights[i] * np.log(inside) / 2
        found.append(total / n)
    return found


@pytest.mark.parametrize("beta", [0.55, 1.0])
def test_the_losses_of_heads_equal_slow_ones_and_have_their_gradient(beta):
    S, T = (tuple(drawn(seed=seed + j) for j in range(2)) for seed in (0, 5))
    prior = drawn(n=1, seed=9)[:, 0]
    found = head_losses(S, T, prior, beta=beta)
    expected = plain_head_losses(
        *([A.numpy() for A in pair] for pair in (S, T)), prior.numpy(), beta
    )
    assert found.numpy() == pytest.approx(expected)
    few = drawn(2, 3, 3).requires_grad_(), drawn(2, 3, 3, seed=1).requires_grad_()
    told = drawn(2, 3, 3, seed=2), drawn(2, 3, 3, seed=3)
    assert torch.autograd.gradcheck(
        lambda a, b: head_losses((a, b), told, prior[:2, :3], beta=beta), few
    )


def test_the_losses_have_the_values_they_should_and_see_no_order_of_clusters():
    sure = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    prior = torch.full((2, 4), 0.25, dtype=torch.float64)
    assert np.allclose(pair_losses(sure, sure, prior, 1.0), -np.log(4))
    assert np.allclose(pair_weights(sure, sure), 1)
    assert np.allclose(pair_weights(sure, sure.roll(1, 2)), 0)
    S, T = (tuple(drawn(seed=seed + j) for j in range(2)) for seed in (0, 5))
    prior = drawn(n=1, seed=9)[:, 0]
    weights = pair_weights(*T)
    assert ((weights >= 0) & (weights <= 1)).all()
    before = head_losses(S, T, prior)
    order = [2, 0, 3, 1]

    def turned(A):
        return torch.cat([A[:1][..., order], A[1:]])

    after = head_losses(tuple(map(turned, S)), tuple(map(turned, T)), turned(prior))
    assert np.allclose(before, after)
    # Equal heads have the loss of one.
    alone = head_losses(*(tuple(A[:1] for A in pair) for pair in (S, T)), prior[:1])
    thrice = head_losses(
        *(tuple(A[:1].repeat(3, 1, 1) for A in pair) for pair in (S, T)), prior[:1].repeat(3, 1)
    )
    assert np.allclose(thrice, alone)


def test_the_prior_moves_by_both_rows_of_the_pairs_and_sums_to_one():
    T = drawn(), drawn(seed=1)
    prior = drawn(n=1, seed=2)[:, 0]
    both = np.concatenate([T[0].numpy(), T[1].numpy()], axis=1).mean(axis=1)
    assert np.allclose(next_prior(prior, T), 0.9 * prior.numpy() + 0.1 * both)
    assert np.allclose(next_prior(prior, T).sum(dim=1), 1)


def stepped(n_batches=3, steps=8, **changes):
    """Return a student and its twin before and after steps with known gradients, and rates."""
    model = TEMI(4, **SMALL | changes)
    model.n_features_in_ = 6
    torch.manual_seed(0)
    students = nn.ModuleList([model._network()])
    teachers = nn.ModuleList([model._network()]).requires_grad_(False)
    teachers.load_state_dict(students.state_dict())
    optimizer = model._optimizer(students, teachers, 20, n_batches)
    states, rates = [], []
    for _ in range(steps):
        rates.append({group["lr"] for group in optimizer.param_groups}.pop())
        for parameter in students.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        states.append(
            [{k: v.clone() for k, v in A.state_dict().items()} for A in (students, teachers)]
        )
    return states, rates


def test_the_rate_rises_by_step_from_nothing_to_its_peak_and_stays():
    _, rates = stepped(n_batches=3, steps=8)
    peak = 1e-4 * 20 / 256
    assert rates == pytest.approx([*np.linspace(0, peak, 6), peak, peak])
    assert stepped(warmup_epochs=0)[1] == pytest.approx([peak] * 8)


def test_the_last_layer_is_frozen_in_the_first_epoch_and_the_twin_follows_after_each_step():
    states, _ = stepped(n_batches=3, warmup_epochs=0, momentum=0.75)
    last = ("0.4.weight", "0.4.gain")
    for name in last:
        assert torch.equal(states[0][0][name], states[2][0][name])
        assert not torch.equal(states[2][0][name], states[3][0][name])
    assert not torch.equal(states[0][0]["0.0.weight"], states[2][0]["0.0.weight"])
    for before, after in zip(states, states[1:], strict=False):
        for name, slow in after[1].items():
            expected = 0.75 * before[1][name] + 0.25 * after[0][name]
            assert torch.allclose(slow, expected, atol=1e-7), name


def test_decay_takes_matrices_and_gains_and_no_bias():
    model = TEMI(4, **SMALL, weight_decay=0.3)
    model.n_features_in_ = 6
    students = nn.ModuleList([model._network()])
    names = {id(p): name for name, p in students.named_parameters()}
    groups = model._optimizer(students, students, 20, 1).param_groups
    decayed = {names[id(p)]: group["weight_decay"] for group in groups for p in group["params"]}
    assert decayed == {
        "0.0.weight": 0.3, "0.2.weight": 0.3, "0.4.weight": 0.3, "0.4.gain": 0.3,
        "0.0.bias": 0.0, "0.2.bias": 0.0,
    }  # fmt: skip


def test_heads_start_small_with_gains_of_one_and_a_plain_last_direction():
    model = TEMI(40, hidden_dims=(512, 256))
    model.n_features_in_ = 64
    torch.manual_seed(0)
    first, _, second, _, last = model._network()
    for layer in (first, second):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert (layer.bias == 0).all()
    assert (last.gain == 1).all()
    assert last.bias is None
    assert 0.99 / 16 < last.weight.abs().max().item() <= 1 / 16
    X = torch.randn(7, 256)
    directions = last.weight / last.weight.norm(dim=1, keepdim=True)
    assert torch.allclose(last(X), X @ directions.T, atol=1e-5)


def test_the_twin_of_the_head_of_lowest_loss_in_the_last_epoch_speaks():
    images, _, _, y = toy(n_per_class=20)
    model = TEMI(4, **SMALL | {"epochs": 30, "learning_rate": 0.2, "momentum": 0.9})
    model.fit(10 * images)
    losses = model.history_["head_losses"]
    assert losses.shape == (30, 3)
    assert model.history_["head"] == losses[-1].argmin()
    assert np.allclose(losses.mean(axis=1), model.history_["loss"], atol=1e-5)
    assert np.array_equal(model.history_["labels"][-1], model.labels_)
    assert np.allclose(model.embedding_.sum(axis=1), 1, atol=1e-5)
    assert [len(np.unique(model.labels_[y == k])) for k in range(4)] == [1, 1, 1, 1]
    assert len(np.unique(model.labels_)) == 4


def test_fewer_images_than_a_batch_are_one_step_an_epoch_at_the_rate_of_their_number():
    images, _, _, _ = toy(n_per_class=10)
    few, exact = (
        TEMI(4, **SMALL | {"batch_size": size, "warmup_epochs": 0}).fit(images)
        for size in (1024, 40)
    )
    assert np.array_equal(few.history_["head_losses"], exact.history_["head_losses"])
    assert np.array_equal(few.embedding_, exact.embedding_)


test_what_it_cannot_take_is_named = refuses(
    lambda **change: TEMI(4, **SMALL | change).fit(toy(n_per_class=20)[0]),
    ({"n_heads": 0}, "n_heads"),
    ({"beta": 0.0}, "beta"),
    ({"momentum": 1.5}, "momentum"),
    ({"hidden_dims": (8,)}, r"hidden_dims=\(8,\): expected two widths"),
    ({"hidden_dims": 8}, "hidden_dims"),
    ({"n_neighbors": 80}, "n_neighbors"),
    ({"batch_size": 0}, "batch_size"),
)
