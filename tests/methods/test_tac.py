"""TAC, training-free and trained: its equations, what must not change it, what it refuses."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from support.semantic_transcription import (
    plain_consistency,
    plain_distillation,
    plain_entropy,
    plain_filter,
    plain_softmax_counterpart,
    toy,
)

from mvlib.encoders import TextBank
from mvlib.methods import (
    TAC,
    TrainedTAC,
    balance_entropy,
    consistency_loss,
    distillation_loss,
    filter_nouns,
    softmax_counterpart,
)
from mvlib.methods.heads import draw_neighbours
from mvlib.methods.tac import clustering_head, nearest_neighbours, total_loss


def assignments(n=12, k=4, seed=0):
    P = np.random.default_rng(seed).dirichlet(np.ones(k), size=n)
    return torch.tensor(P, dtype=torch.float64, requires_grad=True)


def test_the_filter_equals_the_slow_transcription_in_any_order_and_with_equal_rows():
    rng = np.random.default_rng(0)
    nouns, centres = 4 * rng.normal(size=(60, 8)), rng.normal(size=(7, 8))
    for top in (1, 3, 100):
        kept = filter_nouns(nouns, centres, top)
        assert kept.tolist() == plain_filter(nouns, centres, top)
        order = rng.permutation(60)
        assert set(order[filter_nouns(nouns[order], centres, top)]) == set(kept)
        assert np.array_equal(filter_nouns(nouns, centres[::-1], top), kept)
    # Equal rows fill a centre's places.
    centres = np.eye(3, 8)
    nouns = np.vstack([centres, np.abs(rng.normal(size=(30, 8)))])
    rows = np.repeat(np.arange(33), [6] * 3 + [1] * 30)
    kept = filter_nouns(nouns[rows], centres, 5)
    assert np.bincount(rows[kept]).tolist() == [5, 5, 5]


@pytest.mark.parametrize("temperature", [0.005, 0.3])
def test_the_softmax_counterpart_equals_the_slow_transcription(temperature):
    rng = np.random.default_rng(2)
    X, nouns = 3 * rng.normal(size=(9, 6)), 9 * rng.normal(size=(14, 6))
    expected = plain_softmax_counterpart(X, nouns, temperature)
    assert np.allclose(softmax_counterpart(X, nouns, temperature), expected, atol=1e-4)
    # Equal rows multiply a weight.
    told = softmax_counterpart(X, nouns[[0, 0, 0, 1]], temperature)
    expected = plain_softmax_counterpart(X, nouns[[0, 0, 0, 1]], temperature)
    assert np.allclose(told, expected, atol=1e-4)


def test_the_counterpart_goes_to_the_mean_and_sees_no_order_doubling_length_or_block(
    monkeypatch,
):
    images, nouns, _, _ = toy(n_per_class=5)
    unit = nouns / np.linalg.norm(nouns, axis=1, keepdims=True)
    nearest = unit[(images @ unit.T).argmax(axis=1)]
    assert np.allclose(softmax_counterpart(images, nouns, 1e-5), nearest, atol=1e-5)
    mean = softmax_counterpart(images, nouns, 1e4, normalize=False)
    assert np.allclose(mean, unit.mean(axis=0), atol=1e-4)
    told = softmax_counterpart(images, nouns, 0.02)
    order = np.random.default_rng(3).permutation(len(nouns))
    for X, U in (
        (images, nouns[order]), (images, np.vstack([nouns, nouns])), (8 * images, 0.1 * nouns),
    ):  # fmt: skip
        assert np.allclose(softmax_counterpart(X, U, 0.02), told, atol=1e-5)
    monkeypatch.setattr("mvlib.methods.features.BLOCK_BYTES", 4 * len(nouns) * 7)
    assert np.allclose(softmax_counterpart(images, nouns, 0.02), told, atol=1e-6)


def test_tac_clusters_image_and_counterpart_side_by_side_and_names_a_word_once():
    images, words, names, _ = toy()
    model = TAC(4, random_state=0).fit(images, words)
    kept = model.history_["kept"]
    assert model.embedding_.shape == (len(images), 48)
    assert np.allclose(model.embedding_[:, 24:], softmax_counterpart(images, words[kept]))
    assert np.allclose(np.linalg.norm(model.embedding_[:, :24], axis=1), 1, atol=1e-6)
    rows = np.repeat(np.arange(len(words)), 3)
    bank = TextBank(tuple(names[row] for row in rows), words[rows].astype(np.float32))
    for named in TAC(4, random_state=0).fit(images, bank).cluster_names_:
        told = [word for word, _ in named["nouns"]]
        assert len(told) == len(set(told))


@pytest.mark.parametrize("temperature", [0.5, 5.0])
def test_the_losses_and_gradients_equal_slow_ones(temperature):
    P, Q = assignments(), assignments(seed=1)
    p, q = P.detach().numpy(), Q.detach().numpy()
    loss = distillation_loss(P, Q, temperature)
    assert loss.item() == pytest.approx(plain_distillation(p, q, temperature))
    assert consistency_loss(P, Q).item() == pytest.approx(plain_consistency(p, q))
    assert balance_entropy(P).item() == pytest.approx(plain_entropy(p))
    few = assignments(n=5, k=3), assignments(n=5, k=3, seed=1)
    assert torch.autograd.gradcheck(lambda a, b: distillation_loss(a, b, temperature), few)
    assert torch.autograd.gradcheck(consistency_loss, few)
    assert torch.autograd.gradcheck(balance_entropy, few[:1])


def test_the_total_equals_its_slow_transcription():
    P, Q, P_near, Q_near = (assignments(seed=seed).detach() for seed in range(4))
    found = total_loss(P, Q, P_near, Q_near, temperature=0.7, entropy_weight=3.0)
    p, q, p_near, q_near = (A.numpy() for A in (P, Q, P_near, Q_near))
    distillation = plain_distillation(p, q_near, 0.7) + plain_distillation(q, p_near, 0.7)
    entropy = plain_entropy(p) + plain_entropy(q)
    expected = distillation + plain_consistency(p, q) - 3 * entropy
    assert found["loss"].item() == pytest.approx(expected)
    assert found["distillation"].item() == pytest.approx(distillation)
    assert found["entropy"].item() == pytest.approx(entropy)


def test_the_losses_have_their_best_values_where_they_should_and_their_floor():
    sure = torch.eye(4).repeat(3, 1)
    assert consistency_loss(sure, sure).item() == pytest.approx(0, abs=1e-6)
    assert balance_entropy(sure).item() == pytest.approx(np.log(4))
    assert balance_entropy(sure[:1]).item() == pytest.approx(0, abs=1e-6)
    permuted = sure[:, [1, 2, 3, 0]]
    assert distillation_loss(sure, sure, 0.5) < distillation_loss(sure, permuted, 0.5)
    assert consistency_loss(sure, permuted).item() == pytest.approx(100)
    apart = consistency_loss(torch.tensor([[1.0, 0]]), torch.tensor([[1e-38, 1.0]])).item()
    assert apart == pytest.approx(-np.log(1e-38), rel=1e-4)
    # An empty cluster counts by the floor inside the logarithm.
    P = torch.tensor([[1 - 1e-10, 1e-10]], dtype=torch.float64)
    assert balance_entropy(P).item() == pytest.approx(plain_entropy(P.numpy()), rel=1e-9)
    shallow = plain_entropy(P.numpy(), 1e-2)
    assert balance_entropy(P, 1e-2).item() == pytest.approx(shallow, rel=1e-6)


def test_neighbours_are_the_nearest_other_rows_even_among_equal_rows():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(30, 6)).astype(np.float32)
    X[10:20] = X[10]
    found = nearest_neighbours(X, 4)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    cosines = unit @ unit.T
    for i in range(30):
        assert i not in found[i]
        others = np.sort(np.delete(cosines[i], i))[::-1][:4]
        assert np.allclose(cosines[i, found[i]], others, atol=1e-6)
    drawn = draw_neighbours(torch.from_numpy(found), torch.Generator().manual_seed(0))
    assert all(int(j) in found[i] for i, j in enumerate(drawn))


def test_the_history_of_the_heads_has_the_parts_of_the_loss_and_the_last_labels():
    images, words, _, _ = toy(noise=0.15)
    settings = {"n_neighbors": 10, "batch_size": 32, "epochs": 5, "random_state": 0}
    model = TrainedTAC(4, temperature=0.02, **settings).fit(images, words)
    history = model.history_
    total = history["distillation"] + history["consistency"] - 5 * history["entropy"]
    assert np.allclose(history["loss"], total, atol=1e-4)
    assert history["loss"][-1] < history["loss"][0]
    assert history["labels"].shape == (5, len(images))
    assert np.allclose(model.embedding_.sum(axis=1), 1, atol=1e-5)
    assert np.array_equal(model.embedding_.argmax(axis=1), model.labels_)
    other = clone(model).set_params(random_state=1).fit(images, words)
    assert not np.array_equal(other.history_["labels"], history["labels"])


def test_a_short_last_batch_is_dropped_and_a_single_batch_is_one_step_an_epoch(monkeypatch):
    sizes = []

    def counted(P, *others, **settings):
        sizes.append(len(P))
        return total_loss(P, *others, **settings)

    monkeypatch.setattr("mvlib.methods.tac.total_loss", counted)
    images, words, _, _ = toy()
    for batch_size, expected in ((64, [64, 64]), (100, [100]), (160, [160])):
        sizes.clear()
        TrainedTAC(4, epochs=3, batch_size=batch_size, n_neighbors=5).fit(images, words)
        assert sizes == 3 * expected


def test_heads_start_small_and_as_wide_as_the_features():
    torch.manual_seed(0)
    head = clustering_head(512, 40)
    first, last = head[0], head[3]
    assert first.weight.shape == (512, 512)
    for layer in (first, last):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert layer.weight.abs().max().item() > 0.06
    # Biases as PyTorch has them: uniform up to 1 / sqrt(512).
    assert 0.9 / np.sqrt(512) < first.bias.abs().max().item() <= 1 / np.sqrt(512)
    assert clustering_head(8, 3, 5)[0].weight.shape == (5, 8)


def test_half_precision_rounds_every_step_of_filter_and_counterpart():
    rng = np.random.default_rng(7)
    half, single = np.float16, np.float32
    unit = lambda M: (M / np.linalg.norm(M, axis=1, keepdims=True)).astype(half)  # noqa: E731
    nouns = rng.normal(size=(50, 16)).astype(single)
    centres, X = rng.normal(size=(2, 6, 16)).astype(single)

    def softmax(products, temperature):
        logits = (products.astype(half).astype(single) / single(temperature)).astype(half)
        e = np.exp(logits.astype(single) - logits.max(axis=1, keepdims=True))
        return (e / e.sum(axis=1, keepdims=True)).astype(half)

    P = softmax(unit(nouns).astype(single) @ unit(centres).astype(single).T, 1.0)
    kept = []
    for centre in range(6):
        mine = [j for j in range(50) if P[j].argmax() == centre]
        kept += sorted(mine, key=lambda j: -P[j].max())[:5]
    assert filter_nouns(nouns, centres, 5, precision="float16").tolist() == sorted(kept)
    W = softmax(unit(X).astype(single) @ unit(nouns).astype(single).T, 0.005)
    sums = (W.astype(single) @ unit(nouns).astype(single)).astype(half).astype(single)
    told = softmax_counterpart(X, nouns, 0.005, precision="float16")
    assert np.array_equal(told, told.astype(half))
    assert np.allclose(told, unit(sums).astype(single), atol=1e-3)
    assert not np.allclose(told, softmax_counterpart(X, nouns, 0.005), atol=1e-5)


def test_settings_of_the_two_large_sets_differ_from_the_defaults():
    large = {"epochs": 100, "batch_size": 8192, "distillation_temperature": 5.0}
    assert TrainedTAC.paper_settings("ucf-101") == large
    assert TrainedTAC.paper_settings("imagenet-1k") == large
    assert TrainedTAC.paper_settings("stl-10") == {}
    with pytest.raises(ValueError, match="Did you mean 'ucf-101'"):
        TrainedTAC.paper_settings("ucf101")
