"""SCGC and PamC against slow transcriptions of each rule, and what a graph is taken for."""

import math

import numpy as np
import pytest
import torch
from problem_stand_ins import groups
from refusals import out_of_range
from scipy import sparse

from mvlib.methods.neighbours import scgc
from mvlib.methods.neighbours.scgc import SCGC, PamC
from mvlib.metrics import accuracy

NET = {
    "hidden_dims": (24,), "embedding_dim": 4, "pretraining_epochs": 20, "batch_size": 30,
    "epochs": 5, "device": "cpu",
}  # fmt: skip
XS, Y = groups(60, (6, 7), 3, spread=3)
RNG = np.random.default_rng(0)
G = np.triu(RNG.random((8, 8)) < 0.3, 1) * RNG.integers(1, 4, (8, 8))
G = (G + G.T).astype(np.float32)
Z, CENTERS = RNG.normal(size=(8, 3)), RNG.normal(size=(4, 3))
# Of four clusters the second and the fourth are empty.
Q = np.full((8, 4), 0.1)
Q[np.arange(8), [0, 2, 0, 2, 2, 0, 0, 2]] = 0.7


def tensor(array, **more):
    return torch.tensor(array, dtype=torch.float64, **more)


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


def slow_influence(graph, hops, summed):
    n = len(graph)
    A = [[max(graph[i][j], graph[j][i]) + (i == j) for j in range(n)] for i in range(n)]
    A = power = total = np.array([[a / sum(row) for a in row] for row in A])
    for _ in range(hops - 1):
        power = np.array([[(row * column).sum() for column in A.T] for row in power])
        total = total + power
    return total if summed else power


def slow_neighbours(A, i, t):
    return sum(
        A[i][j] * math.exp(0 if i == j else t * cosine(Z[i], Z[j])) for j in range(len(Z))
    )


def edges(A):
    i, j = np.nonzero(A)
    return torch.tensor(i), torch.tensor(j), tensor(A[i, j])


@pytest.mark.parametrize("summed", [False, True])
@pytest.mark.parametrize("hops", [1, 2, 3])
def test_influence_is_a_power_or_the_sum_of_powers_of_the_graph_with_its_own_rows(hops, summed):
    directed = np.triu(G).astype(float)
    found = scgc.influence(sparse.csr_array(directed), hops, summed).toarray()
    np.testing.assert_allclose(found, slow_influence(directed, hops, summed))
    np.testing.assert_allclose(found.sum(axis=1), hops if summed else 1)


def test_a_graph_is_a_symmetric_matrix_of_no_negative_number_whose_diagonal_is_not_read():
    for diagonal in (0, 5):
        given = scgc.adjacency(G + diagonal * np.eye(8, dtype=np.float32), 3)
        np.testing.assert_array_equal(given.toarray(), G)
    lower = G.copy()
    lower[4, 2] += 1
    for features in (lower, G - 1, XS[1], XS[1][:, :1]):
        found = scgc.adjacency(features, 3).toarray()
        distances = np.linalg.norm(features[:, None] - features[None], axis=2)
        np.fill_diagonal(distances, np.inf)
        assert (found.sum(axis=1) == 3).all()
        assert (np.diag(found) == 0).all()
        for row, near in zip(distances, found, strict=True):
            assert row[near > 0].max() <= row[near == 0].min()
    assert (scgc.adjacency(XS[1][:3], 9).toarray() == 1 - np.eye(3)).all()


def test_assignments_and_what_sharpens_them_are_those_of_the_transcription():
    found = scgc.student(tensor(Z), tensor(CENTERS))
    slow = [[1 / (1 + sum((z - c) ** 2 for z, c in zip(row, m, strict=True)))
             for m in CENTERS] for row in Z]  # fmt: skip
    slow = np.array([[a / sum(row) for a in row] for row in slow])
    np.testing.assert_allclose(found, slow)
    P = slow**2 / slow.sum(axis=0)
    P /= P.sum(axis=1, keepdims=True)
    divergence = sum(
        p * math.log(p / q) for p, q in zip(P.ravel(), slow.ravel(), strict=True)
    ) / len(Z)  # fmt: skip
    assert float(scgc.clustering_loss(found)) == pytest.approx(divergence)
    # No gradient goes through p: d KL / d q = -p / (N q).
    assigned = tensor(slow, requires_grad=True)
    scgc.clustering_loss(assigned).backward()
    np.testing.assert_allclose(assigned.grad, -P / slow / len(Z))


@pytest.mark.parametrize("t", [0.25, 1.5])
def test_neighbours_are_told_from_all_others_and_a_row_counts_for_itself_as_one(t):
    A = slow_influence(G, 2, True)
    A[3] = 0
    expected, everyone = 0.0, []
    for i in range(8):
        everyone += [sum(math.exp(0 if i == j else t * cosine(Z[i], Z[j])) for j in range(8))]
        expected -= math.log(slow_neighbours(A, i, t) / everyone[i] + 1e-8) / 8
    assert scgc.alike(tensor(Z), t).sum(dim=1).tolist() == pytest.approx(everyone)
    found = scgc.neighbour_contrast(tensor(Z), edges(A), t)
    assert float(found) == pytest.approx(expected)
    # How long codes are does not matter.
    assert float(scgc.neighbour_contrast(tensor(7 * Z), edges(A), t)) == pytest.approx(expected)


@pytest.mark.parametrize("t", [0.5, 1.5])
def test_clusters_stand_for_all_others_and_an_empty_one_has_no_part(t):
    A = slow_influence(G, 3, True)
    A[3] = 0
    labels = Q.argmax(axis=1)
    sums = [Z[labels == k].sum(axis=0) for k in (0, 2)]
    apart = [
        math.log(sum(math.exp(0 if k == m else t * cosine(sums[k], sums[m])) for m in (0, 1))
                 + 1e-10) for k in (0, 1)
    ]  # fmt: skip
    near = [math.log(slow_neighbours(A, i, t) + 1e-10) for i in range(8)]
    codes = tensor(Z, requires_grad=True)
    found = scgc.cluster_contrast(codes, tensor(Q), edges(A), t)
    assert float(found.detach()) == pytest.approx(sum(apart) / 2 - sum(near) / 8)
    found.backward()
    assert codes.grad.isfinite().all()


def test_the_total_is_weighted_and_rebuilds_only_what_is_given():
    X, rebuilt, contrast = tensor(Z), tensor(Z[::-1].copy()), tensor(2.0)
    found = scgc.total_loss(contrast, tensor(Q), (0.5, 0.25), X, rebuilt)
    error = float(np.mean((Z - Z[::-1]) ** 2))
    clustering = float(scgc.clustering_loss(tensor(Q)))
    assert float(found["reconstruction"]) == pytest.approx(error)
    assert float(found["loss"]) == pytest.approx(1 + 0.25 * clustering + error)
    bare = scgc.total_loss(contrast, tensor(Q), (0.5, 0.25))
    assert bare.keys() == {"loss", "contrast", "clustering"}
    assert float(bare["loss"]) == pytest.approx(1 + 0.25 * clustering)


@pytest.mark.parametrize("contrast", ["neighbours", "clusters"])
def test_gradients_are_those_of_differences(contrast):
    A = edges(slow_influence(G, 2, True))

    def loss(Z, centers):
        soft = scgc.student(Z, centers)
        part = (
            scgc.neighbour_contrast(Z, A, 0.5)
            if contrast == "neighbours"
            else scgc.cluster_contrast(Z, soft, A, 0.5)
        )
        # The sharpened form is held: its gradient is tested above.
        return part + soft.square().sum()

    given = tensor(Z, requires_grad=True), tensor(CENTERS, requires_grad=True)
    assert torch.autograd.gradcheck(loss, given)


@pytest.mark.parametrize("model", [SCGC, PamC])
def test_labels_are_those_before_each_step_and_centres_and_codes_learn(model, monkeypatch):
    seen, asked, total = [], [], scgc.total_loss

    def watched(contrast, Q, *more):
        seen.append(Q.detach().numpy().copy())
        return total(contrast, Q, *more)

    starts = scgc.KMeans
    monkeypatch.setattr(
        scgc, "KMeans", lambda k, **more: asked.append(more) or starts(k, **more)
    )
    monkeypatch.setattr(scgc, "total_loss", watched)
    made = model(3, **NET, random_state=0).fit(XS)
    assert asked == [{"n_init": 20, "random_state": 0}]
    labels = made.history_["labels"]
    assert labels.shape == (5, 60)
    np.testing.assert_array_equal(labels, [q.argmax(axis=1) for q in seen])
    np.testing.assert_allclose(made.embedding_, seen[-1], atol=1e-6)
    np.testing.assert_array_equal(made.labels_, labels[-1])
    assert len(made.history_["loss"]) == 5
    assert len(made.history_["pretraining"]) == 20
    once = model(3, **NET | {"epochs": 1}, random_state=0).fit(XS)
    np.testing.assert_array_equal(once.labels_, labels[0])
    moved = (made.network_.centers - once.network_.centers).abs().max()
    assert moved > 0
    # The first labels are those of k-means: the nearest centre, which is its rows' mean.
    with torch.no_grad():
        codes = once.network_.coder.encode(torch.from_numpy(XS[0].astype(np.float32))).numpy()
    for k in range(3):
        mean = codes[once.labels_ == k].mean(axis=0)
        np.testing.assert_allclose(once.network_.centers[k].detach(), mean, atol=1e-3)


def test_a_decoder_learns_on_in_scgc_alone_and_hops_are_summed_without_it(monkeypatch):
    asked, influence = [], scgc.influence

    def watched(graph, hops, summed):
        asked.append((hops, summed))
        return influence(graph, hops, summed)

    monkeypatch.setattr(scgc, "influence", watched)
    for made in (SCGC(3, **NET), SCGC(3, **NET, decoder=False, hops=3), PamC(3, **NET)):
        made.set_params(random_state=0).fit(XS)
        rebuilt = made.history_["reconstruction"]
        assert np.isnan(rebuilt).all() == (not made.decoder)
    assert asked == [(2, False), (3, True), (1, True)]


def test_a_graph_that_knows_the_groups_helps_attributes_that_hardly_do():
    rng = np.random.default_rng(3)
    same = Y[:, None] == Y
    joined = np.triu(rng.random((60, 60)) < np.where(same, 0.4, 0.01), 1)
    graph = (joined | joined.T).astype(np.float32)
    X = XS[0] + 3 * rng.normal(size=XS[0].shape)
    settings = NET | {"epochs": 60, "learning_rate": 1e-2, "contrast_weight": 5, "sharpness": 2}
    labels = SCGC(3, **settings, random_state=0).fit([X, graph]).history_["labels"]
    assert accuracy(Y, labels[-1]) > accuracy(Y, labels[0]) + 0.1
    # Where its clusters merge, PamC's loss falls, too.
    contrast = PamC(3, **settings, random_state=0).fit([X, graph]).history_["contrast"]
    assert contrast[-1] < contrast[0]


def test_defaults_are_those_of_the_code_for_acm():
    shared = {
        "contrast_weight": 0.5, "n_neighbors": 3, "embedding_dim": 10, "epochs": 200,
        "hidden_dims": (500, 500, 2000), "learning_rate": 1e-3,
    }  # fmt: skip
    own = {"clustering_weight": 0.1, "hops": 2, "sharpness": 0.25, "decoder": True}
    assert (shared | own).items() <= SCGC().get_params().items()
    own = {"clustering_weight": 0.5, "hops": 1, "sharpness": 0.5}
    assert (shared | own).items() <= PamC().get_params().items()
    assert "decoder" not in PamC().get_params()


test_parameters_out_of_range_are_named = out_of_range(
    lambda **change: SCGC(3, **NET | change).fit(XS),
    {
        "contrast_weight": (-1,), "clustering_weight": (-1,), "sharpness": (0,), "hops": (0,),
        "n_neighbors": (0,), "pretraining_epochs": (0,), "decoder": (2,),
    },
)  # fmt: skip
