"""PVC against slow transcriptions of its source: the matching, its gradient, three stages."""

from functools import partial

import numpy as np
import pytest
import torch
from problem_stand_ins import groups
from refusals import out_of_range, refused
from torch import nn

from mvlib import data
from mvlib.methods.views import pvc
from mvlib.methods.views.pvc import PVC
from mvlib.metrics import accuracy

SMALL = {
    "hidden_dims": (16, 12), "embedding_dim": 4, "epochs": 3, "alignment_epochs": 2,
    "tuning_epochs": 3, "batch_size": 16, "random_state": 0, "device": "cpu",
}  # fmt: skip


def problem_of(n=50, ratio=0.6):
    Xs, y = groups(n, (6, 7), 3, spread=4)
    return data.misalign(data.min_max_scale(Xs), y, ratio)


@pytest.fixture(scope="module")
def problem():
    return problem_of()


@pytest.fixture(scope="module")
def fit(problem):
    def fit(Xs=problem.Xs, y=None, aligned=problem.aligned, **changes):
        return PVC(3, **SMALL | changes).fit(Xs, y, aligned=aligned)

    return fit


@pytest.fixture(scope="module")
def fitted(fit):
    return fit()


def slow_first(D):
    """Keep the least entry of each column, else the largest of all; rows take their least."""
    n = len(D)
    kept = [[D.max()] * n for _ in range(n)]
    for j in range(n):
        i = min(range(n), key=lambda k: D[k, j])
        kept[i][j] = D[i, j]
    P = np.zeros((n, n))
    for i in range(n):
        P[i, min(range(n), key=lambda j: kept[i][j])] = 1
    return P


def slow_matching(D, n_steps=30, n_cycles=10):
    n = len(D)
    P, c = slow_first(D), [np.zeros((n, n)) for _ in range(3)]
    for _ in range(n_steps):
        P = P - 0.1 * D
        for _ in range(n_cycles):
            start = P.copy()
            for s in range(3):
                Q = P + c[s]
                if s == 0:
                    Y = np.array([[q - (sum(row) - 1) / n for q in row] for row in Q])
                elif s == 1:
                    Y = np.array([[q - (sum(row) - 1) / n for q in row] for row in Q.T]).T
                else:
                    Y = np.maximum(Q, 0)
                c[s], P = Q - Y, Y
            if np.sqrt(((P - start) ** 2).sum()) == 0:
                break
    return P


def costs(seed, n=7):
    rng = np.random.default_rng(seed)
    H_1, H_2 = rng.normal(size=(2, n, 3))
    return np.array([[((a - b) ** 2).sum() for b in H_2] for a in H_1]), H_1, H_2


@pytest.mark.parametrize("seed", range(4))
def test_the_matching_is_that_of_the_transcription_and_in_the_limit_doubly_stochastic(seed):
    D, H_1, H_2 = costs(seed)
    found = pvc.squared_distances(torch.tensor(H_1), torch.tensor(H_2))
    np.testing.assert_allclose(found, D, atol=1e-12)
    D = torch.tensor(D)
    np.testing.assert_array_equal(pvc.first_matching(D), slow_first(D.numpy()))
    P = pvc.soft_matching(D)
    np.testing.assert_allclose(P, slow_matching(D.numpy()), atol=1e-9)
    assert P.min() >= 0
    for P in (pvc.soft_matching(D, n_steps=1, n_cycles=2000), pvc.soft_matching(D / 100)):
        assert P.min() >= 0
        np.testing.assert_allclose(P.sum(dim=0), 1, atol=0.01)
        np.testing.assert_allclose(P.sum(dim=1), 1, atol=0.01)


def test_rows_nearest_in_no_column_start_at_column_0_as_do_ties():
    D = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 0.5]])
    first = [[1.0, 0, 0], [1.0, 0, 0], [0, 0, 1.0]]
    assert pvc.first_matching(D).tolist() == first
    assert pvc.first_matching(torch.ones(2, 2)).tolist() == [[1, 0], [1, 0]]


def test_the_matching_of_far_groups_is_their_permutation():
    H = 10 * torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    P = pvc.soft_matching(pvc.squared_distances(H, H[order]))
    assert ((P > 0).sum(dim=1) == 1).all()
    assert P.argmax(dim=1).tolist() == order.argsort().tolist()


def test_projections_are_orthogonal_and_end_in_their_sets():
    P = torch.tensor(np.random.default_rng(0).normal(size=(5, 5)))
    for project, dim in ((pvc.project_rows, 1), (pvc.project_columns, 0)):
        Q = project(P)
        np.testing.assert_allclose(Q.sum(dim=dim), 1)
        assert torch.allclose(project(Q), Q)
        # What was taken away is constant along the sums: the nearest point of the set.
        assert torch.allclose(
            (P - Q).std(dim=dim), torch.zeros(5, dtype=torch.float64), atol=1e-9
        )


def test_gradients_go_through_all_steps_but_the_first_matching():
    _, H_1, H_2 = costs(3, n=4)
    leaves = [torch.tensor(H, requires_grad=True) for H in (H_1, H_2)]
    P_true = torch.eye(4, dtype=torch.float64)[[2, 0, 3, 1]]

    def loss(A, B):
        P = pvc.soft_matching(pvc.squared_distances(A, B), n_steps=5)
        return pvc.permutation_loss(P, P_true) + pvc.matching_loss(A, B, P)

    assert torch.autograd.gradcheck(loss, leaves)
    assert not pvc.first_matching(leaves[0][:, :3] @ leaves[1][:, :3].T).requires_grad


def test_losses_are_means_over_all_entries():
    rng = np.random.default_rng(0)
    X, new, H_1, H_2, P, Q = (rng.normal(size=(4, 4)) for _ in range(6))
    mean = lambda A, B: sum((a - b) ** 2 for a, b in zip(A.flat, B.flat, strict=True)) / 16  # noqa: E731
    tensors = [torch.tensor(A) for A in (X, new, H_1, H_2, P, Q)]
    found = pvc.reconstruction_loss(tensors[:2], tensors[2:4])
    assert found.item() == pytest.approx(mean(X, H_1) + mean(new, H_2))
    matched = np.array(
        [[sum(p * h for p, h in zip(row, col, strict=True)) for col in H_2.T] for row in P]
    )
    assert pvc.matching_loss(*tensors[2:5]).item() == pytest.approx(mean(H_1, matched))
    assert pvc.permutation_loss(*tensors[4:]).item() == pytest.approx(mean(P, Q))


def plain_half(widths):
    layers = []
    for a, b in zip(widths, widths[1:]):  # noqa: B905, RUF007
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def plain_training(problem, settings):
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    Xs = [torch.tensor(X) for X in problem.Xs]
    models = []
    for X in Xs:
        widths = [X.shape[1], 16, 12, 4]
        models.append((plain_half(widths), plain_half(widths[::-1])))
    weights = [w for pair in models for half in pair for w in half.parameters()]
    A = [X[torch.tensor(problem.aligned)] for X in Xs]
    history = []

    def total(inputs, P, P_own=None):
        H = [encode(X) for (encode, _), X in zip(models, inputs, strict=True)]
        loss = (
            sum(
                ((decode(Z) - X) ** 2).mean()
                for (_, decode), Z, X in zip(models, H, inputs, strict=True)
            )
            + ((H[0] - P @ H[1]) ** 2).mean()
        )
        if P_own:
            D = ((H[0][:, None] - H[1][None]) ** 2).sum(dim=2)
            loss = loss + 10 * ((P_own(D) - P) ** 2).mean()
        return loss

    def update(adam, loss):
        adam.zero_grad()
        loss.backward()
        adam.step()
        return loss.item()

    adam = torch.optim.Adam(weights, lr=1e-3, weight_decay=1e-5)
    for epoch in range(settings["epochs"] + settings["alignment_epochs"]):
        losses = []
        for rows in torch.randperm(len(A[0]), generator=generator).split(16):
            order = torch.randperm(len(rows), generator=generator)
            P = torch.zeros(len(rows), len(rows))
            for j, i in enumerate(order.tolist()):
                P[i, j] = 1
            own = pvc.soft_matching if epoch >= settings["epochs"] else None
            losses.append(update(adam, total([A[0][rows], A[1][rows][order]], P, own)))
        history.append(np.mean(losses))
    with torch.no_grad():
        H = [encode(X) for (encode, _), X in zip(models, Xs, strict=True)]
        P = pvc.soft_matching(((H[0][:, None] - H[1][None]) ** 2).sum(dim=2))
    adam = torch.optim.Adam(weights, lr=1e-3, weight_decay=1e-5)
    for _ in range(settings["tuning_epochs"]):
        history.append(update(adam, total(Xs, P)))
    return history, P, models


def test_training_is_that_of_the_plain_transcription_in_all_stages(problem, fit, fitted):
    history, P, models = plain_training(problem, SMALL)
    np.testing.assert_allclose(fitted.history_["loss"], history, rtol=1e-3)
    counted = np.isfinite(fitted.history_["permutation"])
    assert counted.tolist() == [False] * 3 + [True] * 2 + [False] * 3
    with torch.no_grad():
        H = [encode(torch.tensor(X)) for (encode, _), X in zip(models, problem.Xs, strict=True)]
    old = fit(reading="code")
    np.testing.assert_allclose(old.embedding_, torch.hstack([H[0], P @ H[1]]), atol=2e-3)
    new = pvc.soft_matching(pvc.squared_distances(*H))
    np.testing.assert_allclose(fitted.embedding_, torch.hstack([H[0], new @ H[1]]), atol=2e-3)
    np.testing.assert_array_equal(old.history_["loss"], fitted.history_["loss"])
    assert not np.allclose(P, new, atol=1e-4)
    assert old.matching_.tolist() == P.argmax(dim=1).tolist()


def test_a_batch_of_one_row_joins_the_one_before(fit, monkeypatch):
    sizes, matching = [], pvc.soft_matching

    def noted(D):
        sizes.append(len(D))
        return matching(D)

    monkeypatch.setattr(pvc, "soft_matching", noted)
    fit(aligned=np.arange(50) < 33)
    # Two batches in each of two epochs, then all rows: before the third stage and after it.
    assert sizes == [16, 17, 16, 17, 50, 50]


def test_unaligned_rows_train_in_the_third_stage_alone_and_no_label_does(problem, fit, fitted):
    Xs = [X * np.where(problem.aligned, 1, 0.3)[:, None].astype(X.dtype) for X in problem.Xs]
    history = fit(Xs).history_["loss"]
    np.testing.assert_array_equal(history[:5], fitted.history_["loss"][:5])
    assert (history[5:] != fitted.history_["loss"][5:]).all()
    assert np.array_equal(fit(y=np.zeros(50)).embedding_, fitted.embedding_)


def test_stages_can_be_left_out(fit):
    model = fit(alignment_epochs=0, tuning_epochs=0)
    assert len(model.history_["loss"]) == 3


def test_k_means_is_the_best_of_twenty_starts(problem, monkeypatch):
    kept = []

    class Recorded(pvc.KMeans):
        def fit(self, X):
            kept.append(self.n_init)
            return super().fit(X)

    monkeypatch.setattr(pvc, "KMeans", Recorded)
    PVC(3, **SMALL).fit(problem.Xs, aligned=problem.aligned)
    assert kept == [20]


def test_defaults_are_the_authors_settings():
    defaults = {
        "hidden_dims": (1024, 1024), "embedding_dim": 20, "epochs": 2000,
        "alignment_epochs": 2000, "tuning_epochs": 200, "batch_size": 128,
        "learning_rate": 1e-3, "weight_decay": 1e-5,
        "permutation_weight": 10.0,
    }  # fmt: skip
    assert defaults.items() <= PVC(3).get_params().items()


def test_training_clusters_the_rows_of_view_1():
    problem = problem_of(120)
    settings = SMALL | {"epochs": 60, "alignment_epochs": 10, "tuning_epochs": 30}
    model = PVC(3, **settings, learning_rate=5e-3).fit(problem.Xs, aligned=problem.aligned)
    assert accuracy(problem.y, model.labels_) > 0.95


XS = problem_of().Xs
HALF = np.arange(50) < 31


def fit_small(Xs=XS, aligned=HALF, **changes):
    return PVC(**{"n_clusters": 3} | SMALL | changes).fit(Xs, aligned=aligned)


test_a_parameter_out_of_range_is_refused_by_its_name = out_of_range(
    fit_small,
    {
        "alignment_epochs": (-1,), "tuning_epochs": (-1,), "weight_decay": (-1,),
        "permutation_weight": (-1,), "reading": ("codes",),
    },
)  # fmt: skip
test_views_and_flags_that_do_not_fit_are_refused = refused(
    [
        (
            "aligned has 1 True: expected at least 2",
            partial(fit_small, aligned=np.arange(50) < 1),
        ),
    ]
)
