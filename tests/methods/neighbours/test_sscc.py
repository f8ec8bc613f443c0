"""SSCC's loss on views against slow transcriptions: correlations, contrast, rate, head."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from plain import unit
from problem_stand_ins import groups
from refusals import out_of_range, refused

from mvlib.methods.base import kmeans_labels
from mvlib.methods.neighbours import sscc
from mvlib.methods.neighbours.sscc import SSCCViews
from mvlib.metrics import accuracy

NET = {"hidden_dims": (32, 16), "batch_size": 30, "random_state": 0, "device": "cpu"}
XS, Y = groups(90, (6, 7), 3, spread=3)


def assigned(n, k, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, k, generator=generator, dtype=torch.float64).softmax(dim=1)


def slow_redundancy(P_1, P_2, off_diagonal):
    n, k = P_1.shape
    B_1, B_2 = (
        # torch's batch normalisation: the variance over all rows, and 1e-5.
        (P - P.mean(axis=0)) / np.sqrt(((P - P.mean(axis=0)) ** 2).sum(axis=0) / n + 1e-5)
        for P in (P_1, P_2)
    )
    total = 0
    for a in range(k):
        for b in range(k):
            c = sum(B_1[i, a] * B_2[i, b] for i in range(n)) / n
            total += (c - 1) ** 2 if a == b else off_diagonal * c**2
    return total


def slow_contrast(P_1, P_2, tau):
    n, rows = len(P_1), unit(np.vstack([P_1, P_2]))
    total = 0
    for i in range(2 * n):
        alike = [math.exp(rows[i] @ rows[j] / tau) for j in range(2 * n)]
        total -= math.log(alike[(i + n) % (2 * n)] / (sum(alike) - alike[i])) / (2 * n)
    return total


@pytest.mark.parametrize(("off_diagonal", "weight", "tau"), [(0.005, 5e-5, 0.5), (0.3, 2, 0.2)])
def test_the_loss_is_that_of_the_transcription(off_diagonal, weight, tau):
    P = [assigned(8, 3, seed) for seed in (1, 2)]
    found = sscc.total_loss(
        *P, off_diagonal=off_diagonal, contrast_weight=weight, temperature=tau
    )
    P = [each.numpy() for each in P]
    first, second = slow_redundancy(*P, off_diagonal), slow_contrast(*P, tau)
    assert float(found["redundancy"]) == pytest.approx(first)
    assert float(found["contrast"]) == pytest.approx(second)
    assert float(found["loss"]) == pytest.approx(first + weight * second)


def test_the_defaults_of_the_loss_are_those_of_the_code():
    P = [assigned(8, 3, seed) for seed in (3, 4)]
    plain = [each.numpy() for each in P]
    expected = slow_redundancy(*plain, 0.005) + 5e-5 * slow_contrast(*plain, 0.5)
    assert float(sscc.total_loss(*P)["loss"]) == pytest.approx(expected, rel=1e-9)


def test_the_same_order_of_rows_and_of_clusters_in_both_views_changes_nothing():
    P = [assigned(9, 4, seed) for seed in (5, 6)]
    rows, columns = torch.randperm(9), torch.randperm(4)
    moved = [each[rows][:, columns] for each in P]
    assert float(sscc.total_loss(*moved)["loss"]) == pytest.approx(
        float(sscc.total_loss(*P)["loss"])
    )
    # Clusters of one view alone are not free to change their numbers.
    swapped = P[1][:, [1, 0, 2, 3]]
    assert float(sscc.redundancy(P[0], swapped, 0.005)) != pytest.approx(
        float(sscc.redundancy(*P, 0.005))
    )
    # The same certain clusters in both views: each column correlates wholly with itself.
    certain = torch.eye(3, dtype=torch.float64).repeat(4, 1)
    assert float(sscc.redundancy(certain, certain, 0.0)) == pytest.approx(0, abs=1e-7)


def test_gradients_are_those_of_finite_differences():
    def loss(x, y):
        P = x.softmax(dim=1), y.softmax(dim=1)
        return sscc.total_loss(*P, off_diagonal=0.1, contrast_weight=0.5)["loss"]

    given = [torch.randn(6, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(loss, given)


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_the_rate_is_a_tenth_after_every_twenty_epochs(monkeypatch):
    assert [sscc.decayed(2e-4, e) for e in (0, 19, 20, 59, 60)] == pytest.approx(
        [2e-4, 2e-4, 2e-5, 2e-6, 2e-7]
    )
    seen, adams = [], []

    class Watched(sscc.Adam):
        def step(self, closure=None):
            seen.append(self.param_groups[0]["lr"])
            return super().step(closure)

        def __init__(self, parameters, **settings):
            adams.append(settings)
            super().__init__(parameters, **settings)

    monkeypatch.setattr(sscc, "Adam", Watched)
    SSCCViews(3, **NET, epochs=22).fit(XS)
    assert seen == pytest.approx([2e-4] * 60 + [2e-5] * 6)
    assert adams == [{"lr": 2e-4, "weight_decay": 0.005}]


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_a_network_a_view_and_the_mean_of_both_says_the_cluster():
    model = SSCCViews(3, **NET, epochs=2).fit(XS)
    widths = [
        [tuple(W.shape) for W in head.parameters() if W.ndim == 2] for head in model.network_
    ]
    assert widths == [[(32, 6), (16, 32), (3, 16)], [(32, 7), (16, 32), (3, 16)]]
    with torch.no_grad():
        P = [head(torch.tensor(X)).numpy() for head, X in zip(model.network_, XS, strict=True)]
    np.testing.assert_allclose(model.embedding_, (P[0] + P[1]) / 2, rtol=1e-5)
    assert (model.labels_ == (P[0] + P[1]).argmax(axis=1)).all()
    assert (model.predict([X[:9] for X in XS]) == model.labels_[:9]).all()


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_groups_are_in_the_assignments_though_the_largest_need_not_name_them():
    settings = NET | {"epochs": 20, "learning_rate": 1e-2, "off_diagonal": 0.5}
    model = SSCCViews(3, **settings).fit([X / 10 for X in XS])
    assert accuracy(Y, kmeans_labels(model.embedding_, 3, 0)) > 0.95
    assert model.history_["loss"][-1] < model.history_["loss"][0] / 2


def test_a_shift_and_a_scale_of_a_column_are_not_seen_and_change_the_largest():
    P = [10 * assigned(9, 4, seed) for seed in (7, 8)]
    moved = [each * torch.tensor([3.0, 5, 1, 2]) + torch.arange(4) for each in P]
    found, before = (float(sscc.redundancy(*each, 0.005)) for each in (moved, P))
    # But for the 1e-5 beside the variances.
    assert found == pytest.approx(before, rel=1e-4)
    assert (moved[0].argmax(dim=1) != P[0].argmax(dim=1)).any()


def test_defaults_are_those_of_the_code():
    expected = {
        "off_diagonal": 0.005, "contrast_weight": 5e-5, "temperature": 0.5, "epochs": 200,
        "hidden_dims": (256, 512), "batch_size": 512, "learning_rate": 2e-4,
        "weight_decay": 0.005,
    }  # fmt: skip
    assert expected.items() <= SSCCViews(3).get_params().items()


def fit_small(Xs=XS, **changes):
    return SSCCViews(**{"n_clusters": 3, "epochs": 1} | NET | changes).fit(Xs)


test_a_parameter_out_of_range_is_refused_by_its_name = out_of_range(
    fit_small, {"off_diagonal": (-1,), "contrast_weight": (-1,), "weight_decay": (-1,)}
)
test_one_view_is_refused = refused([("Xs has 1 views", partial(fit_small, XS[:1]))])
