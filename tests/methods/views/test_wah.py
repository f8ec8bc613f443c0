"""WAH against slow transcriptions of each layer and loss, and what holds on a hyperboloid."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from problem_stand_ins import groups
from refusals import out_of_range, refused

from mvlib.methods.views import wah
from mvlib.methods.views.wah import WAH
from mvlib.metrics import accuracy

NET = {
    "hidden_dims": (32,), "embedding_dim": 32, "lorentz_dims": (32, 16), "batch_size": 30,
    "device": "cpu",
}  # fmt: skip
XS, Y = groups(90, (6, 7), 3, spread=3)
TOTAL = wah.total_loss


def numbers(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def lorentz(x, y):
    return -x[0] * y[0] + sum(a * b for a, b in zip(x[1:], y[1:], strict=True))


def test_points_lie_on_the_hyperboloid_and_which_gradients_see():
    x = numbers(5, 3).requires_grad_()
    for reading in ("code", "paper"):
        for point in wah.lifted(x, reading).tolist():
            assert lorentz(point, point) == pytest.approx(-1)
    exp = wah.lifted(x, "paper").detach().numpy()
    for row, point in zip(x.detach().numpy(), exp, strict=True):
        length = np.linalg.norm(row)
        expected = [math.cosh(length), *(math.sinh(length) * row / length)]
        np.testing.assert_allclose(point, expected)
    (seen,) = torch.autograd.grad(wah.lifted(x, "code")[:, 0].sum(), x)
    assert (seen == 0).all()
    (seen,) = torch.autograd.grad(wah.lifted(x, "paper")[:, 0].sum(), x)
    assert (seen != 0).all()
    assert torch.isfinite(wah.lifted(torch.zeros(2, 3), "paper")).all()


def test_a_layer_and_the_classifier_are_those_of_the_transcription():
    torch.manual_seed(0)
    layer, classifier = wah.LorentzLayer(5, 4).double(), wah.LorentzClassifier(4, 3).double()
    assert layer.linear.weight.abs().max() <= 0.02
    assert (layer.linear.bias == 0).all()
    assert classifier.z.abs().max() <= 3**-0.5
    x = wah.on_hyperboloid(numbers(6, 4))
    found = layer(x)
    W, b = (p.detach().numpy() for p in (layer.linear.weight, layer.linear.bias))
    for point, made in zip(x.numpy(), found.detach().numpy(), strict=True):
        out = W @ point + b
        scale = 1 / (1 + math.exp(-out[0])) * math.exp(2.3)
        space = np.maximum(scale * out[1:] / np.linalg.norm(out[1:]), 0)
        np.testing.assert_allclose(made, [math.sqrt(1 + space @ space), *space])
    a, z = classifier.a.detach().numpy(), classifier.z.detach().numpy()
    logits = classifier(found).detach().numpy()
    for point, row in zip(found.detach().numpy(), logits, strict=True):
        for k in range(3):
            w_t, w_s = math.sinh(a[k]) * np.linalg.norm(z[k]), math.cosh(a[k]) * z[k]
            beta = math.sqrt(w_s @ w_s - w_t**2)
            alpha = -w_t * point[0] + w_s @ point[1:]
            assert row[k] == pytest.approx(beta * math.asinh(alpha / beta))


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_the_distance_sorts_heights_along_each_direction(power):
    Z = [wah.on_hyperboloid(numbers(7, 3, seed=s)) for s in (1, 2)]
    directions = torch.nn.functional.normalize(numbers(4, 3, seed=3), dim=1)
    total = 0
    for v in directions.tolist():
        heights = [
            sorted(math.log(-lorentz(x, [1.0, *v])) for x in side.tolist()) for side in Z
        ]
        total += sum(abs(a - b) ** power for a, b in zip(*heights, strict=True)) / 7
    found = wah.horosphere_distance(*Z, directions, power)
    assert float(found) == pytest.approx(total / 4)
    order = torch.randperm(7)
    assert wah.horosphere_distance(Z[0], Z[0][order], directions, power) == pytest.approx(0)


@pytest.mark.parametrize("similarity", ["cosine", "product"])
def test_targets_contrast_and_balance_are_those_of_the_transcription(similarity):
    A = [numbers(8, 3, seed=s).softmax(dim=1) for s in (1, 2)]
    Q = [wah.sharpened(each) for each in A]
    for each, target in zip(A, Q, strict=True):
        squares = [[a * a / each[:, k].sum() for k, a in enumerate(row)] for row in each]
        slow = np.array([[float(q / sum(row)) for q in row] for row in squares])
        np.testing.assert_allclose(target, slow)
    columns = [*Q[0].T.tolist(), *Q[1].T.tolist()]

    def alike(p, q):
        inner = sum(a * b for a, b in zip(p, q, strict=True))
        length = math.hypot(*p) * math.hypot(*q) if similarity == "cosine" else 1
        return math.exp(inner / length / 0.4)

    slow = 0
    for i, column in enumerate(columns):
        others = sum(alike(column, q) for j, q in enumerate(columns) if j != i)
        slow -= math.log(alike(column, columns[(i + 3) % 6]) / others) / 6
    assert float(wah.semantic_loss(*Q, 0.4, similarity)) == pytest.approx(slow)
    shares = [sum(row[k] for row in Q[0].tolist()) / 8 for k in range(3)]
    assert float(wah.balance(Q[0])) == pytest.approx(sum(p * math.log(p) for p in shares))
    assert float(wah.balance(torch.full((6, 3), 1 / 3))) == pytest.approx(-math.log(3))


def test_gradients_are_those_of_finite_differences():
    def loss(x, y):
        Z = [wah.lifted(side, "paper") for side in (x, y)]
        A = [side[:, 1:].softmax(dim=1) for side in Z]
        Q = [wah.sharpened(side) for side in A]
        directions = torch.nn.functional.normalize(numbers(3, 3, seed=5), dim=1)
        distance = wah.horosphere_distance(*Z, directions, 2.0)
        return distance + wah.semantic_loss(*Q, 0.9, "cosine") + wah.balance(Q[0])

    given = [numbers(4, 3, seed=s).requires_grad_() for s in (6, 7)]
    assert torch.autograd.gradcheck(loss, given)


def test_losses_are_summed_over_pairs_of_views_and_distances_averaged():
    Z = [wah.on_hyperboloid(numbers(6, 5, seed=s)) for s in range(3)]
    A = [numbers(6, 3, seed=s).softmax(dim=1) for s in range(3)]
    directions = torch.nn.functional.normalize(numbers(3, 4, 5, seed=9), dim=2)
    found = wah.total_loss(Z, A, directions, (0.1, 0.5, 0.3), 0.9, 2.0, "cosine")
    Q, distance, semantic, sizes = [wah.sharpened(each) for each in A], 0, 0, 0
    for pair, (v, w) in enumerate(((0, 1), (0, 2), (1, 2))):
        distance += wah.horosphere_distance(Z[v], Z[w], directions[pair], 2.0) / 3
        semantic += wah.semantic_loss(Q[v], Q[w], 0.9, "cosine")
        sizes += wah.balance(Q[v]) + wah.balance(Q[w])
    for name, slow in (("distance", distance), ("semantic", semantic), ("balance", sizes)):
        assert float(found[name]) == pytest.approx(float(slow))
    total = 0.1 * distance + 0.5 * semantic + 0.3 * sizes
    assert float(found["loss"]) == pytest.approx(float(total))


def test_all_gradients_together_are_no_longer_than_one():
    weights = [torch.nn.Parameter(torch.zeros(3)) for _ in range(2)]
    for weight, slope in zip(weights, (3.0, 4.0), strict=True):
        weight.grad = torch.tensor([slope, 0, 0])
    wah.ClippedAdam(weights, lr=0.1).step()
    assert [float(weight.grad[0]) for weight in weights] == pytest.approx([0.6, 0.8])
    assert float(weights[0].detach()[0]) == pytest.approx(-0.1)


def test_batches_are_full_and_directions_of_each_pair_are_new(monkeypatch):
    seen = []

    def loss(Z, A, directions, *settings):
        seen.append((len(Z[0]), directions))
        return TOTAL(Z, A, directions, *settings)

    monkeypatch.setattr(wah, "total_loss", loss)
    Xs, _ = groups(70, (4, 5, 3), 3, spread=3)
    WAH(3, **NET, epochs=2, n_directions=7, random_state=0).fit(Xs)
    assert [n for n, _ in seen] == [30, 30, 30, 30]
    assert {tuple(directions.shape) for _, directions in seen} == {(3, 7, 15)}
    drawn = torch.cat([directions.flatten(0, 1) for _, directions in seen])
    assert len(drawn.unique(dim=0)) == len(drawn) == 4 * 3 * 7
    np.testing.assert_allclose(drawn.norm(dim=1), 1, rtol=1e-5)


@pytest.mark.parametrize("change", [{}, {"reading": "paper", "distance_weight": 0.0}])
def test_groups_are_found_and_new_rows_follow(change):
    Xs = [X / 10 for X in XS]
    model = WAH(3, **NET, epochs=40, learning_rate=1e-3, random_state=0, **change).fit(Xs)
    assert accuracy(Y, model.labels_) > 0.9
    np.testing.assert_allclose(model.embedding_.sum(axis=1), 1, rtol=1e-5)
    few = model.predict([X[:9] for X in Xs])
    assert (few == model.labels_[:9]).all()


def test_defaults_are_those_of_the_code_for_vectors():
    expected = {
        "distance_weight": 0.1, "semantic_weight": 0.5, "balance_weight": 0.5,
        "temperature": 0.9, "power": 2.0, "n_directions": 128, "epochs": 200,
        "batch_size": 256, "learning_rate": 1e-4, "hidden_dims": (256, 512),
        "embedding_dim": 1024, "lorentz_dims": (512, 256),
    }  # fmt: skip
    assert expected.items() <= WAH(3).get_params().items()


def fit_small(Xs=XS, **changes):
    return WAH(**{"n_clusters": 3, "epochs": 1} | NET | changes).fit(Xs)


test_a_parameter_out_of_range_is_refused_by_its_name = out_of_range(
    fit_small,
    {
        "distance_weight": (-1,), "power": (0,), "n_directions": (0,),
    },
)  # fmt: skip
test_what_does_not_fit_is_refused = refused(
    [
        ("reading='both' is unknown", partial(fit_small, reading="both")),
        ("similarity='dot' is unknown", partial(fit_small, similarity="dot")),
        ("Xs has 1 views", partial(fit_small, XS[:1])),
    ]
)
