"""SAC after VLM4Cluster: its weights, its terms, which rows they read, what it refuses."""

import numpy as np
import pytest
import torch
from refusals import refusing
from support.semantic_transcription import plain_consistency, plain_entropy, softmax, toy

from mvlib.methods import SAC
from mvlib.methods.images.sac import agreement_loss, pair_weights, total_loss, weighted_contrast

SMALL = {"n_neighbors": 5, "batch_size": 20, "epochs": 3, "kmeans": "k-means++"}
SMALL |= {"random_state": 0}


def drawn(n=6, k=4, seed=0):
    P = np.random.default_rng(seed).dirichlet(np.ones(k), size=n)
    return torch.tensor(P, dtype=torch.float64, requires_grad=True)


def sigma(x):
    return 1 / (1 + np.exp(-x))


def plain_contrast(P, Q, A, V, T):
    rows = np.vstack([A, V])
    n, total, mass = len(A), 0.0, 0.0
    for i in range(2 * n):
        p = softmax([float(rows[i] @ row) / T for row in rows])
        a = i % n
        w = 0.9 * sigma(P[a] @ Q[a] / T) + 0.1 * sigma(A[a] @ V[a] / T)
        total -= w * np.log(p[(i + n) % (2 * n)])
        mass += w
    return total / mass


def plain_agreement(P, Q):
    columns = [np.log(1 + np.exp(-sum(P[:, k] * Q[:, k]))) for k in range(P.shape[1])]
    return (plain_consistency(P, Q) + np.mean(columns)) / 2


def test_the_total_equals_its_slow_transcription_and_has_its_gradient():
    P, Q, P_t, Q_t, P_n = (drawn(seed=seed) for seed in range(5))
    given = {"temperature": 0.8, "agreement_weight": 0.5, "entropy_weight": 3.0}
    found = total_loss(P, Q, (P_t, Q_t), P_n, **given)
    p, q, p_t, q_t, p_n = (A.detach().numpy() for A in (P, Q, P_t, Q_t, P_n))
    terms = ((p, p_t), (p, q_t), (q, p_n))
    contrast = sum(plain_contrast(p, q, a, v, 0.8) for a, v in terms)
    agreement, entropy = plain_agreement(p, q), plain_entropy(p) + plain_entropy(q)
    assert found["contrast"].item() == pytest.approx(contrast)
    assert found["agreement"].item() == pytest.approx(agreement)
    assert found["loss"].item() == pytest.approx(contrast + 0.5 * agreement - 3 * entropy)
    few = [drawn(3, 2, seed) for seed in range(5)]
    assert torch.autograd.gradcheck(
        lambda a, b, c, d, e: total_loss(a, b, (c, d), e)["loss"], few
    )


def test_the_weights_hardly_differ_and_the_contrast_is_nearly_flat():
    sure, other = torch.eye(4), torch.eye(4).roll(1, 1)
    high = pair_weights(sure, sure, sure, sure, 1.1)
    low = pair_weights(sure, other, sure, other, 1.1)
    assert np.allclose(high, sigma(1 / 1.1))
    assert np.allclose(low, 0.5)
    P, Q = drawn(40).detach(), drawn(40, seed=1).detach()
    weights = pair_weights(P, Q, P, Q, 1.1)
    assert ((weights >= 0.5) & (weights <= 0.713)).all()
    # Equal weights leave the mean; the pair of a row counts in both directions.
    even = weighted_contrast(P, Q, torch.ones(40), 1.1)
    assert even.item() == pytest.approx(weighted_contrast(Q, P, torch.ones(40), 1.1).item())
    assert even.item() == pytest.approx(np.log(80), abs=0.5)


def test_agreement_is_best_where_both_heads_are_sure_of_the_same():
    sure = torch.eye(4).repeat(30, 1)
    assert agreement_loss(sure, sure).item() == pytest.approx(0, abs=1e-3)
    assert agreement_loss(sure, sure.roll(1, 1)).item() > 40


def test_each_term_reads_the_neighbours_that_it_should(monkeypatch):
    images, words, _, _ = toy(n_per_class=10)
    seen = []

    def counted(P, Q, by_text, P_near, **settings):
        seen.append([P, Q, *by_text, P_near])
        return total_loss(P, Q, by_text, P_near, **settings)

    drawn_of = []

    def first(near, generator):
        drawn_of.append(near[:, 0])
        return near[:, 0]

    monkeypatch.setattr("mvlib.methods.images.sac.total_loss", counted)
    monkeypatch.setattr("mvlib.methods.tac.draw_neighbours", first)
    batch = {"epochs": 1, "batch_size": 40, "learning_rate": 1e-12}
    model = SAC(4, **SMALL | batch).fit(images, words)
    ((P, Q, P_t, Q_t, P_n),) = seen
    by_image, by_text = drawn_of
    unit = images / np.linalg.norm(images, axis=1, keepdims=True)
    nouns = words[model.history_["kept"]]
    told = model._counterpart(images.astype(np.float32), nouns.astype(np.float32))
    assert not torch.equal(by_image, by_text)
    heads = model.heads_.train()
    for A, head, rows in (
        (P_n, heads[0], unit[by_image]), (P_t, heads[0], unit[by_text]),
        (Q_t, heads[1], told[by_text]),
    ):  # fmt: skip
        with torch.no_grad():
            expected = head(torch.tensor(rows, dtype=torch.float32))
        assert torch.allclose(A, expected, atol=1e-5)


def test_a_fit_lowers_its_loss_and_its_history_adds_up():
    images, words, _, _ = toy(n_per_class=20)
    model = SAC(4, **SMALL | {"epochs": 10}).fit(images, words)
    history = model.history_
    total = history["contrast"] + 0.6 * history["agreement"] - 4 * history["entropy"]
    assert np.allclose(history["loss"], total, atol=1e-4)
    assert np.array_equal(model.embedding_.argmax(axis=1), model.labels_)
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distillation_temperature": 0.0}, "distillation_temperature"),
        ({"agreement_weight": -1.0}, "agreement_weight"),
        ({"n_neighbors": 80}, "n_neighbors"),
        ({"batch_size": 81}, "batch_size=81 is more than the 80 train images"),
        ({"batch_size": 1}, "batch_size"),
    ],
)
def test_what_it_cannot_take_is_named(change, message):
    images, words, _, _ = toy(n_per_class=20)
    with refusing(message):
        SAC(4, **SMALL | change).fit(images, words)
