"""MAGIC after VLM4Cluster: its terms, words at two grains, which rows it reads, refusals."""

import numpy as np
import pytest
import torch
from refusals import refusing
from support.semantic_transcription import plain_entropy, softmax, toy, unit

from mvlib.methods import MAGIC
from mvlib.methods.images.magic import (
    Words,
    adapter,
    agreement_loss,
    attend,
    coarse_counterpart,
    total_loss,
)
from mvlib.methods.tac import nearest_neighbours

SMALL = {"n_neighbors": 5, "batch_size": 20, "epochs": 3, "kmeans": "k-means++"}
SMALL |= {"random_state": 0, "n_heads": 1}


def drawn(n=6, k=4, seed=0):
    P = np.random.default_rng(seed).dirichlet(np.ones(k), size=n)
    return torch.tensor(P, dtype=torch.float64, requires_grad=True)


def plain_contrast(P, Q, T):
    columns = [unit(c) for c in [*P.T, *Q.T]]
    k, losses = P.shape[1], []
    for a, column in enumerate(columns):
        others = [b for b in range(2 * k) if b != a]
        p = softmax([float(column @ columns[b]) / T for b in others])
        losses.append(-np.log(p[others.index((a + k) % (2 * k))]))
    return np.mean(losses)


def plain_agreement(P, target):
    found = []
    for p, b in zip(P.T, target.T, strict=True):
        a, b = p / p.sum(), b / b.sum()
        found.append(-sum(b_i * np.log(a_i) for a_i, b_i in zip(a, b, strict=True)))
    return np.mean(found)


@pytest.mark.parametrize("target", ["words", "images"])
def test_the_total_equals_its_slow_transcription_and_has_its_gradient(target):
    rows = [drawn(seed=seed) for seed in range(6)]
    given = {"temperature": 0.8, "agreement_weight": 0.5, "entropy_weight": 3.0}
    found = total_loss(rows[:2], rows[2:4], rows[4:], target=target, **given)
    P, Q, P_n, Q_n, P_t, Q_t = (A.detach().numpy() for A in rows)
    # Each head and its own and the other's, of a neighbour in the other modality or its own.
    pairs = ((P, P_t), (Q, Q_n), (P, Q_t), (Q, P_n))
    contrast = sum(plain_contrast(A, B, 0.8) for A, B in pairs)
    agreement = plain_agreement(P, Q) if target == "words" else plain_agreement(Q, P)
    entropy = plain_entropy(P) + plain_entropy(Q)
    assert found["contrast"].item() == pytest.approx(contrast)
    assert found["agreement"].item() == pytest.approx(agreement)
    assert found["loss"].item() == pytest.approx(contrast + 0.5 * agreement - 3 * entropy)
    few = [drawn(3, 2, seed) for seed in range(6)]
    assert torch.autograd.gradcheck(
        lambda *A: total_loss(A[:2], A[2:4], A[4:], target=target)["loss"], few
    )


def test_agreement_tells_which_head_follows_and_bears_an_empty_cluster():
    P, sure = drawn(40).detach(), torch.eye(4, dtype=torch.float64).repeat(10, 1)
    # A column spread over ten of forty images, by one of the same, has the entropy log 10.
    assert agreement_loss(sure, sure).item() == pytest.approx(np.log(10))
    assert agreement_loss(P, sure).item() != pytest.approx(agreement_loss(sure, P).item())
    # Nothing but the size of a cluster has changed.
    assert agreement_loss(P * torch.tensor([1, 2, 3, 4]), sure).item() == pytest.approx(
        agreement_loss(P, sure).item()
    )
    empty = torch.zeros(40, 4, dtype=torch.float64)
    assert np.isfinite(agreement_loss(empty, P).item())


def test_coarse_words_are_the_nearest_few_by_their_positive_cosines():
    rng = np.random.default_rng(0)
    X, nouns = rng.normal(size=(9, 4)), rng.normal(size=(7, 4)) * 5
    expected = []
    for x in X:
        cosines = [float(unit(x) @ unit(u)) for u in nouns]
        best = sorted(range(7), key=lambda j: -cosines[j])[:3]
        expected.append(sum(max(cosines[j], 0) * unit(nouns[j]) for j in best))
    found = coarse_counterpart(X, nouns)
    assert np.allclose(found, [unit(e) for e in expected], atol=1e-6)
    assert np.allclose(found, coarse_counterpart(X * 9, nouns), atol=1e-6)
    # No noun is on this side of the image; two nouns are all there are.
    assert (coarse_counterpart(-np.ones((1, 4)), np.abs(nouns)) == 0).all()
    two = coarse_counterpart(np.ones((1, 4)), np.eye(4)[:2], 3)
    assert np.allclose(two, [[0.5**0.5, 0.5**0.5, 0, 0]])


def test_each_head_of_the_attention_mixes_the_tokens_of_one_image():
    rng = np.random.default_rng(0)
    Q, K, V = (rng.normal(size=(3, 2, 2, 5)) for _ in range(3))
    found = attend(*(torch.tensor(A) for A in (Q, K, V))).numpy()
    for n in range(3):
        for h in range(2):
            for i in range(2):
                p = softmax([float(Q[n, h, i] @ K[n, h, j]) / 5**0.5 for j in range(2)])
                assert np.allclose(found[n, h, i], p[0] * V[n, h, 0] + p[1] * V[n, h, 1])


def test_the_head_of_words_reads_its_tokens_in_any_order_and_the_image_beside_them():
    torch.manual_seed(0)
    net = Words(8, 8, 4, 3).eval()
    tokens, adapted = torch.randn(5, 2, 8), torch.randn(5, 8)
    Q = net(tokens, adapted)
    assert torch.allclose(Q, net(tokens.flip(1), adapted), atol=1e-6)
    assert not torch.allclose(Q, net(tokens, adapted.flip(0)))
    assert not torch.allclose(Q, net(tokens.flip(0), adapted))
    # The parts of `read` go to queries, keys and values by head, as written out here.
    parts = net.read(tokens).detach().reshape(5, 2, 3, 4, 2)
    q, k, v = (parts[:, :, part].transpose(1, 2) for part in range(3))
    mixed = attend(q, k, v).transpose(1, 2).reshape(5, 2, 8)
    fused = net.write(mixed).mean(dim=1)
    told = net.adapter(fused / fused.norm(dim=1, keepdim=True))
    assert torch.allclose(Q, net.head(torch.cat([told, adapted], dim=1)), atol=1e-6)


def test_an_adapter_narrows_to_a_quarter_and_has_no_skip():
    torch.manual_seed(0)
    net = adapter(16, 16).eval()
    assert [layer.weight.shape for layer in (net[0], net[2])] == [(4, 16), (16, 4)]
    X = torch.randn(3, 16)
    h = net[0](X)
    h = net[2](h * (1 + torch.erf(h / 2**0.5)) / 2)
    h = h - h.mean(dim=1, keepdim=True)
    assert torch.allclose(net(X), h / (h.square().mean(dim=1, keepdim=True) + 1e-5).sqrt())
    assert net[3].p == 0.1


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_each_term_reads_the_neighbours_that_it_should(monkeypatch):
    images, words, _, _ = toy(n_per_class=10)
    seen, drawn_of, searched = [], [], []

    def counted(both, by_image, by_text, **settings):
        seen.append([*both, *by_image, *by_text])
        return total_loss(both, by_image, by_text, **settings)

    def first(near, generator):
        drawn_of.append(near[:, 0])
        return near[:, 0]

    def search(M, k, device):
        searched.append(M)
        return nearest_neighbours(M, k, device=device)

    monkeypatch.setattr("mvlib.methods.images.magic.total_loss", counted)
    module = "mvlib.methods.tac."
    monkeypatch.setattr(module + "draw_neighbours", first)
    monkeypatch.setattr(module + "nearest_neighbours", search)
    monkeypatch.setattr(module + "full_batches", lambda n, *_: [torch.arange(n)])
    monkeypatch.setattr("torch.nn.Dropout.forward", lambda self, X: X)
    batch = {"epochs": 1, "batch_size": 40, "learning_rate": 1e-12}
    model = MAGIC(4, **SMALL | batch).fit(images, words)
    ((P, Q, P_n, Q_n, P_t, Q_t),) = seen
    by_image, by_text = drawn_of
    nouns = words[model.history_["kept"]].astype(np.float32)
    fine = model._counterpart(images.astype(np.float32), nouns)
    coarse = coarse_counterpart(images, nouns)
    assert np.allclose(searched[0], images)
    assert np.allclose(searched[1], fine + coarse, atol=1e-6)
    assert not torch.equal(by_image, by_text)
    unit_images = torch.tensor(
        images / np.linalg.norm(images, axis=1, keepdims=True), dtype=torch.float32
    )
    tokens = torch.tensor(np.stack([fine, coarse], axis=1))
    image_net, text_net = model.heads_.train()
    for rows, p, q in (
        (torch.arange(40), P, Q), (by_image, P_n, Q_n), (by_text, P_t, Q_t),
    ):  # fmt: skip
        with torch.no_grad():
            adapted = image_net[0](unit_images[rows])
            assert torch.allclose(p, image_net[1](adapted), atol=1e-5)
            assert torch.allclose(q, text_net(tokens[rows], adapted), atol=1e-5)


def test_a_fit_lowers_its_loss_and_its_history_adds_up():
    images, words, _, _ = toy(n_per_class=20)
    given = {"epochs": 15, "learning_rate": 1e-3}
    model = MAGIC(4, **SMALL | given).fit(images, words)
    history = model.history_
    total = history["contrast"] + 0.6 * history["agreement"] - 5 * history["entropy"]
    assert np.allclose(history["loss"], total, atol=1e-4)
    assert np.array_equal(model.embedding_.argmax(axis=1), model.labels_)
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": "both"}, "target"),
        ({"n_coarse": 0}, "n_coarse"),
        ({"agreement_weight": -1.0}, "agreement_weight"),
        ({"n_heads": 5, "hidden_dim": 8}, "n_heads=5 does not divide the attention's width, 8"),
        ({"n_neighbors": 80}, "n_neighbors"),
        ({"batch_size": 81}, "batch_size=81 is more than the 80 train images"),
    ],
)
def test_what_it_cannot_take_is_named(change, message):
    images, words, _, _ = toy(n_per_class=20)
    with refusing(message):
        MAGIC(4, **SMALL | change).fit(images, words)
