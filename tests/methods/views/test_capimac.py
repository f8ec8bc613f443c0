"""CAPIMAC against slow transcriptions of each step, and what its defect makes of the pairs."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from problem_stand_ins import groups
from refusals import out_of_range, refused
from sklearn.cluster import KMeans

from mvlib.methods.views import capimac
from mvlib.methods.views.capimac import CAPIMAC
from mvlib.metrics import accuracy

RNG = np.random.default_rng(0)
NET = {
    "hidden_dims": (32,), "code_hidden_dims": (8,), "code_dim": 4, "pretraining_epochs": 5,
    "batch_size": 128, "n_negatives": 5, "epochs": 3, "device": "cpu",
}  # fmt: skip


def slow_distances(A, B):
    """The cosines, each column from 0 to 1, taken from 1."""
    D = np.empty((len(A), len(B)))
    for j, b in enumerate(B):
        column = [a @ b / math.hypot(*a) / math.hypot(*b) for a in A]
        D[:, j] = [1 - (c - min(column)) / (max(column) - min(column)) for c in column]
    return D


def test_pairs_cost_what_the_transcription_says_and_gradients_agree():
    d = torch.tensor([0.3, 1.1, 2.4, 2.6, 4.0], dtype=torch.float64, requires_grad=True)
    Y, m = torch.tensor([True, False, False, False, True]), 5.0
    slow = sum(
        y * x**2 + (1 - y) / m * max(math.sqrt(x) * (0.5 * m - x), 0) ** 2
        for x, y in zip(d.tolist(), Y.tolist(), strict=True)
    ) / (2 * 5)
    assert float(capimac.contrastive_loss(d, Y, m).detach()) == pytest.approx(slow)
    assert torch.autograd.gradcheck(lambda x: capimac.contrastive_loss(x, Y, m), [d])
    # From half the margin on a negative pair costs nothing.
    assert float(capimac.contrastive_loss(d[3:4].detach(), Y[3:4], m)) == 0


def test_distances_and_probabilities_are_those_of_the_transcription():
    A, B = RNG.normal(size=(6, 3)), RNG.normal(size=(4, 3))
    np.testing.assert_allclose(capimac.cosine_distances(A, B), slow_distances(A, B))
    assert np.isfinite(capimac.cosine_distances(np.ones((3, 2)), np.ones((3, 2)))).all()
    S = 1 - slow_distances(A, A)
    slow = np.empty((6, 6))
    for i in range(6):
        row = [0 if j == i else S[i, j] for j in range(6)]
        drawn = [max(s / (sum(row) + 1e-6), 1e-4) ** -0.5 for s in row]
        slow[i] = [p / sum(drawn) for p in drawn]
    P = capimac.transitions(A)
    np.testing.assert_allclose(P, slow)
    # What is least likely to be drawn, a row itself among it, is where a walk goes most.
    assert (np.diag(P) == P.max(axis=1)).all()


@pytest.mark.parametrize(("n", "steps"), [(99, 60), (100, 50)])
def test_walks_are_as_many_and_as_long_as_the_rows_ask(n, steps):
    turning = np.roll(np.eye(n), 1, axis=1)
    assert (capimac.visits(turning, np.random.default_rng(0)) == steps).all()
    sink = np.zeros((n, n))
    sink[:, 3] = 1
    counts = capimac.visits(sink, np.random.default_rng(0))
    assert counts[3] == counts.sum() == n * steps


def test_walks_come_by_rows_as_often_as_their_probabilities_say():
    P = np.tile([0.5, 0.3, 0.2, 0.0], (80, 20)) / 20
    counts = capimac.visits(P, np.random.default_rng(0)).reshape(20, 4).sum(axis=0)
    np.testing.assert_allclose(counts / counts.sum(), [0.5, 0.3, 0.2, 0], atol=0.03)


def slow_covering(D, importance, radius, count):
    """Passes over the rows by importance; when all are covered, only the chosen stay so."""
    chosen, covered = [], [False] * len(D)
    order = sorted(range(len(D)), key=lambda i: -importance[i])
    while len(chosen) < count:
        for i in order:
            if len(chosen) == count:
                break
            if not covered[i]:
                chosen.append(i)
                covered = [c or D[i, j] <= radius for j, c in enumerate(covered)]
                covered[i] = True
        if all(covered):
            covered = [i in chosen for i in range(len(D))]
    return chosen


@pytest.mark.parametrize("radius", [0.0, 0.4, 0.8, 2.0])
def test_anchors_cover_the_rows_and_start_anew_once_all_are_covered(radius):
    D, importance = RNG.random((12, 12)), RNG.permutation(12)
    for count in (1, 5, 12):
        found = capimac.covering(D, importance, radius, count)
        assert found == slow_covering(D, importance, radius, count)
        assert len(set(found)) == count


def test_the_radius_is_a_share_of_the_mean_distance_to_others(monkeypatch):
    seen = []
    monkeypatch.setattr(capimac, "covering", lambda D, i, radius, n: seen.append((radius, n)))
    Z = RNG.normal(size=(7, 3))
    capimac.anchor_rows(Z, 4, np.random.default_rng(0))
    D = slow_distances(Z, Z)
    others = [D[i, j] for i in range(7) for j in range(7) if i != j]
    assert seen == [(pytest.approx(0.3 * np.mean(others)), 4)]


@pytest.mark.parametrize(("n_anchors", "zeros"), [(19, 1), (20, 2)])
def test_a_row_is_its_distances_to_the_anchors_and_the_nearest_are_at_zero(n_anchors, zeros):
    X, anchors = RNG.normal(size=(5, 4)), RNG.normal(size=(n_anchors, 4))
    slow = slow_distances(anchors, X).T
    for row in slow:
        row[sorted(range(n_anchors), key=lambda j: row[j])[:zeros]] = 0
    np.testing.assert_allclose(capimac.by_anchors(X, anchors), slow, atol=1e-6)


def test_rows_are_made_in_the_widest_gaps_by_kernel_regression():
    H, distances = RNG.normal(size=(6, 2)), np.array([0.9, 0.1, 0.45, 0.2, 0.15, 0.95])
    rows, origin = capimac.padded(H, distances, 8)
    # Sorted: 0.1, 0.15, 0.2, 0.45, 0.9, 0.95; the gaps after 0.45 and 0.2 are the widest.
    assert origin.tolist() == [1, 4, 3, -1, 2, -1, 0, 5]
    ordered = H[[1, 4, 3, 2, 0, 5]]
    for place, t in ((3, 2.5), (5, 3.5)):
        K = [math.exp(-((t - i) ** 2) / 2) for i in range(6)]
        slow = sum(k * h for k, h in zip(K, ordered, strict=True)) / sum(K)
        np.testing.assert_allclose(rows[place], slow)
    np.testing.assert_array_equal(rows[origin >= 0], ordered)
    np.testing.assert_array_equal(capimac.padded(H, distances, 6)[0], ordered)


def slow_paired(Hs, mended):
    """Both alignments, first come first served, as the code goes through the rows."""
    longer = 0 if len(Hs[0]) > len(Hs[1]) else 1
    short, long = Hs[1 - longer], Hs[longer]
    C = slow_distances(*Hs)
    C = C.T if longer == 0 else C
    taken, values = [], []
    for i in range(len(short)):
        j = min((j for j in range(len(long)) if j not in taken), key=lambda j: C[i, j])
        taken.append(j)
        values.append(C[i, j])
    stale = taken[-1]
    rows, origin = capimac.padded(short, np.array(values), len(long))
    C, taken = slow_distances(long, rows), []
    for i in range(len(long)):
        taken.append(
            min((j for j in range(len(rows)) if j not in taken), key=lambda j: C[i, j])
        )
    beside = [rows[j if mended else stale] for j in taken]
    return longer, beside, [origin[j] for j in taken]


@pytest.mark.parametrize("mended", [True, False])
@pytest.mark.parametrize("n", [(9, 7), (7, 9), (8, 8)])
def test_pairs_are_those_of_the_transcription_and_the_defect_gives_all_one_partner(n, mended):
    Hs = [RNG.normal(size=(rows, 3)) for rows in n]
    longer, beside, matched = capimac.paired(Hs, "greedy", mended)
    slow = slow_paired(Hs, mended)
    assert longer == slow[0]
    np.testing.assert_allclose(beside, slow[1])
    assert matched.tolist() == list(slow[2])
    assert sorted(matched[matched >= 0]) == list(range(min(n)))
    assert (len(np.unique(beside, axis=0)) == 1) != mended


def test_the_hungarian_method_never_costs_more_than_the_greedy_one(monkeypatch):
    costs = []

    def padded(H, distances, n_rows):
        costs.append(distances.sum())
        return PADDED(H, distances, n_rows)

    monkeypatch.setattr(capimac, "padded", padded)
    Hs = [RNG.normal(size=(rows, 3)) for rows in (12, 10)]
    for matching in ("hungarian", "greedy"):
        capimac.paired(Hs, matching, True)
    assert costs[0] < costs[1]


PADDED = capimac.padded
XS, Y = groups(120, (6, 7), 3, spread=4)
HALF = np.arange(120) < 60
SHUFFLED = [XS[0], XS[1][np.r_[np.arange(60), 60 + RNG.permutation(60)]]]


def lacking(first, second):
    present = np.ones((120, 2), bool)
    present[60 : 60 + first, 0] = False
    present[120 - second :, 1] = False
    return present


@pytest.mark.parametrize("gaps", [(10, 4), (4, 10), (8, 8), (0, 0)])
def test_each_sample_is_in_the_pair_of_its_own_row(gaps):
    present = lacking(*gaps)
    model = CAPIMAC(3, **NET, random_state=0).fit(SHUFFLED, aligned=HALF, present=present)
    own, there = model.transform(SHUFFLED), present[:, 0]
    np.testing.assert_allclose(model.embedding_[there, :3], own[there, :3], atol=1e-5)
    np.testing.assert_allclose(model.embedding_[~there, 3:], own[~there, 3:], atol=1e-5)
    assert len(model.anchors_[0]) == len(model.anchors_[1]) <= 12
    assert [len(model.history_[name]) for name in ("loss", "reconstruction")] == [3, 5]


def test_unmended_the_clusters_are_those_of_one_view():
    model = CAPIMAC(3, **NET, mended=False, random_state=0).fit(SHUFFLED, aligned=HALF)
    # Of two views of one length the second is the longer, and all stands beside one row.
    assert np.ptp(model.embedding_[:, :3], axis=0).max() == 0
    alone = KMeans(3, n_init=10, random_state=0).fit_predict(model.embedding_[:, 3:])
    assert accuracy(alone, model.labels_) == 1


def test_groups_are_found_where_half_of_the_rows_are_shuffled():
    settings = NET | {"epochs": 30, "learning_rate": 1e-3}
    model = CAPIMAC(3, **settings, random_state=0).fit(SHUFFLED, aligned=HALF)
    assert accuracy(Y, model.labels_) > 0.9
    assert model.history_["loss"][-1] < model.history_["loss"][0]


def test_defaults_are_those_of_the_code():
    expected = {
        "margin": 5.0, "n_negatives": 30, "epochs": 200, "pretraining_epochs": 200,
        "batch_size": 1024, "learning_rate": 1e-4, "hidden_dims": (1024, 1024, 1024),
        "dropout": 0.2, "code_hidden_dims": (200, 200, 50), "code_dim": 10,
        "matching": "hungarian", "mended": True,
    }  # fmt: skip
    assert expected.items() <= CAPIMAC(3).get_params().items()


def fit_small(Xs=SHUFFLED, aligned=HALF, present=None, **changes):
    settings = {"n_clusters": 3} | NET | changes
    return CAPIMAC(**settings).fit(Xs, aligned=aligned, present=present)


test_a_parameter_out_of_range_is_refused_by_its_name = out_of_range(
    fit_small,
    {
        "margin": (0,), "n_negatives": (0,), "pretraining_epochs": (0,), "code_dim": (0,),
        "mended": (2,),
    },
)  # fmt: skip
test_what_does_not_fit_is_refused = refused(
    [
        ("matching='first' is unknown", partial(fit_small, matching="first")),
        (
            "aligned has 5 True in rows with both views: expected at least 6",
            partial(fit_small, aligned=np.arange(120) < 5),
        ),
        (
            "present has 60 and 120 True in the two views",
            partial(fit_small, aligned=np.ones(120, bool), present=lacking(60, 0)),
        ),
    ]
)
