"""GenKSC's losses against slow transcriptions: degrees, spectrum, corners, memberships."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from problem_stand_ins import groups
from refusals import out_of_range, refused

from mvlib.methods.neighbours import genksc
from mvlib.methods.neighbours.genksc import GenKSC
from mvlib.metrics import accuracy

NET = {
    "hidden_dims": (32,), "feature_dim": 16, "n_components": 5, "batch_size": 30,
    "random_state": 0, "device": "cpu",
}  # fmt: skip
XS, Y = groups(90, (6, 7), 3, spread=3)
XS = [X / 10 for X in XS]


def numbers(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def slow_center(phi):
    n = len(phi)
    d = [sum(float(phi[i] @ phi[j]) for j in range(n)) for i in range(n)]
    total = sum(1 / each for each in d)
    return sum(phi[i] / d[i] for i in range(n)) / total, d


def slow_spectral(centred, d, U):
    (n, h), D = (len(centred), U.shape[1]), np.diag(d)
    weighted = np.linalg.inv(D) @ centred
    first = np.trace(U.T @ weighted.T @ centred @ U)
    return (h / 2 - first / 2 + np.trace(centred.T @ centred) / 2) / n


def slow_corners(scores, codes):
    """Return the distances to corners, and the sum of unit scores."""
    unit = [row / math.sqrt(row @ row) for row in scores]
    return [[1 - e @ c for c in codes] for e in unit], sum(e.sum() for e in unit)


def test_degrees_are_of_features_as_they_are_and_weigh_the_centre():
    phi = numbers(7, 4)
    center, d = genksc.weighted_center(phi)
    slow, degrees = slow_center(phi.numpy())
    np.testing.assert_allclose(center, slow)
    np.testing.assert_allclose(d, degrees)
    # Both signs, and no absolute value is taken.
    assert min(degrees) < 0 < max(degrees)
    # What is weighted by 1/d adds up to 0 once the centre is taken off.
    np.testing.assert_allclose(((phi - center) / d[:, None]).sum(dim=0), 0, atol=1e-9)
    np.testing.assert_allclose(genksc.weighted_center(phi.numpy())[0], slow)


@pytest.mark.parametrize("k", [2, 3, 7])
def test_corners_are_unit_and_equally_far_from_one_another(k):
    codes = genksc.simplex(k)
    assert codes.shape == (k, k - 1)
    expected = np.full((k, k), -1 / (k - 1)) + np.eye(k) * (1 + 1 / (k - 1))
    np.testing.assert_allclose(codes @ codes.T, expected, atol=1e-6)
    np.testing.assert_allclose(codes.sum(axis=0), 0, atol=1e-6)


@pytest.mark.parametrize("pulled", [True, False])
@pytest.mark.parametrize("k", [2, 4])
def test_the_loss_is_that_of_the_transcription(k, pulled):
    torch.manual_seed(0)
    network = genksc.GenKSCNetwork(6, (5,), 8, 4).double()
    X, codes = numbers(9, 6, seed=2), torch.from_numpy(genksc.simplex(k)).double()
    with torch.no_grad():
        found = genksc.total_loss(X, network, codes, (0.7, 0.2, 0.3, 0.4), pulled)
        phi, U = network.encode(X).numpy(), network.U.numpy()
        center, d = slow_center(phi)
        centred = phi - center
        rebuilt = network.decode(torch.tensor(centred @ U @ U.T)).numpy()
    spectral = slow_spectral(centred, d, U)
    squares = sum(float(e) ** 2 for e in (X.numpy() - rebuilt).ravel()) / 9
    far, summed = slow_corners((centred @ U)[:, : k - 1], codes.numpy())
    scale = 1 - 1 / (k - 1) if k > 2 else 1
    corner, sizes = sum(min(row) for row in far) / 9 / scale, (summed / 9) ** 2
    parts = {"spectral": spectral, "reconstruction": squares, "assignment": corner}
    for name, slow in (parts | {"balance": sizes}).items():
        assert float(found[name]) == pytest.approx(slow, rel=1e-6), name
    total = 10 * 0.7 * spectral + 0.2 / 2 * squares + 0.3 * 0.4 * sizes
    total += 0.3 * 0.6 * corner if pulled else 0
    assert float(found["loss"]) == pytest.approx(total, rel=1e-6)


def test_gradients_go_through_the_centre_and_the_degrees():
    codes = torch.from_numpy(genksc.simplex(3)).double()

    def loss(phi, U):
        center, d = genksc.weighted_center(phi)
        scores = (phi - center) @ U
        parts = genksc.assignment_loss(scores, codes) + genksc.balance_loss(scores)
        return genksc.spectral_loss(phi - center, d, U) + parts

    phi, U = (numbers(5, 4, seed=3) + 2).requires_grad_(), numbers(4, 2).requires_grad_()
    assert torch.autograd.gradcheck(loss, (phi, U))


def test_members_belong_to_the_nearest_corner_most():
    scores, codes = numbers(8, 3, seed=4).numpy(), genksc.simplex(4)
    scores[0] = 5 * codes[2]
    found, (far, _) = genksc.memberships(scores, codes), slow_corners(scores, codes)
    for row, distances in zip(found, far, strict=True):
        products = [math.prod(np.delete(distances, k)) for k in range(4)]
        np.testing.assert_allclose(
            row, np.array(products) / sum(products), rtol=1e-4, atol=1e-6
        )
        assert row.argmax() == int(np.argmin(distances))
    np.testing.assert_allclose(found[0], [0, 0, 1, 0], atol=1e-6)


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_directions_start_orthonormal_and_are_as_many_as_the_corners_need():
    torch.manual_seed(0)
    U = genksc.GenKSCNetwork(6, (5,), 8, 4).U.detach()
    np.testing.assert_allclose(U.T @ U, np.eye(4), atol=1e-6)
    model = GenKSC(9, **NET | {"n_components": 2}, epochs=1).fit(XS)
    assert model.network_.U.shape == (16, 8)


def test_the_pull_begins_after_the_warm_up_and_batches_have_all_rows(monkeypatch):
    seen, total = [], genksc.total_loss

    def loss(X, network, codes, weights, pulled):
        seen.append((len(X), weights, pulled))
        return total(X, network, codes, weights, pulled)

    monkeypatch.setattr(genksc, "total_loss", loss)
    GenKSC(3, **NET, epochs=3, warmup_epochs=2).fit([X[:70] for X in XS])
    weights = (0.99, 0.001, 0.009, 0.05)
    assert seen == [(n, weights, e == 2) for e in range(3) for n in (30, 30, 10)]


def test_groups_are_found_where_the_decoder_holds_features_apart_and_new_rows_follow():
    held = {"ksc_weight": 0.5, "reconstruction_weight": 0.5, "clustering_weight": 0.1}
    settings = NET | held | {"epochs": 60, "warmup_epochs": 10, "learning_rate": 1e-3}
    model = GenKSC(3, **settings).fit(XS)
    assert accuracy(Y, model.labels_) > 0.95
    np.testing.assert_allclose(model.embedding_.sum(axis=1), 1, rtol=1e-5)
    assert (model.predict([X[:9] for X in XS]) == model.labels_[:9]).all()
    with torch.no_grad():
        phi = model.network_.encode(torch.from_numpy(XS[0])).double()
    np.testing.assert_allclose(model.center_, genksc.weighted_center(phi)[0], rtol=1e-6)


def test_the_other_views_are_not_read():
    first = GenKSC(3, **NET, epochs=2).fit(XS)
    alone = GenKSC(3, **NET, epochs=2).fit(XS[:1])
    second = GenKSC(3, **NET, epochs=2, view=1).fit(XS)
    np.testing.assert_array_equal(first.embedding_, alone.embedding_)
    assert second.network_.encode[0].in_features == 7


def test_defaults_are_those_of_the_training_program():
    expected = {
        "feature_dim": 1024, "n_components": 40, "batch_size": 256, "learning_rate": 1e-4,
        "epochs": 150, "ksc_weight": 0.99, "reconstruction_weight": 0.001,
        "clustering_weight": 0.009, "balance": 0.05, "warmup_epochs": 32,
    }  # fmt: skip
    assert expected.items() <= GenKSC(10).get_params().items()


def fit_small(Xs=XS, **changes):
    return GenKSC(**{"n_clusters": 3, "epochs": 1} | NET | changes).fit(Xs)


test_a_parameter_out_of_range_is_refused_by_its_name = out_of_range(
    fit_small,
    {
        "n_clusters": (1,), "view": (-1, 2), "ksc_weight": (-1,), "balance": (-0.5, 1.5),
        "reconstruction_weight": (-1,), "clustering_weight": (-1,), "warmup_epochs": (-1,),
        "n_components": (0,), "feature_dim": (4,),
    },
)  # fmt: skip
test_what_does_not_fit_is_refused = refused(
    [("feature_dim=16 is out of range", partial(fit_small, n_components=17))]
)
