"""SIC: its space, its centres of nouns, its training, and both of its protocols."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from support.semantic_transcription import plain_entropy, plain_sic_labels, plain_sic_space, toy

from mvlib.encoders import TextBank
from mvlib.methods import SIC
from mvlib.methods.sic import sic_space, text_centres, total_loss

SETTINGS = {
    "n_nearest": 12, "n_texts": 4, "n_neighbors": 5, "batch_size": 32, "epochs": 30,
    "learning_rate": 0.01, "random_state": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def fitted():
    images, words, names, y = toy(noise=0.12)
    bank = TextBank(tuple(names), 5 * words.astype(np.float32))
    return SIC(4, **SETTINGS).fit(5 * images, bank), 5 * images, bank, y


def test_the_space_equals_the_slow_transcription_and_leaves_general_nouns_out():
    rng = np.random.default_rng(0)
    # Lengths differ, and 300 rows make batches of 128, 128 and 44: neither may be ignored.
    nouns = rng.uniform(0.2, 9, size=(300, 1)) * (rng.normal(size=(300, 6)) + 1.5)
    centres = rng.normal(size=(3, 6))
    for n_nearest, max_cosine in ((20, 0.95), (300, 0.8), (5, 2.0)):
        found = sic_space(
            nouns.astype(np.float32), centres.astype(np.float32), n_nearest, max_cosine
        )
        assert found.tolist() == plain_sic_space(nouns, centres, n_nearest, max_cosine)
    assert 0 < len(sic_space(nouns, centres, 300, 0.8)) < 300


def test_pseudo_labels_equal_the_slow_transcription():
    rng = np.random.default_rng(1)
    logits, X = rng.normal(size=(23, 4)), rng.normal(size=(23, 6))
    nouns = rng.uniform(0.2, 9, size=(40, 1)) * rng.normal(size=(40, 6))
    expected, plain = plain_sic_labels(logits, X, nouns, 0.9, 7)
    centres, nearest = text_centres(*map(torch.tensor, (logits, X, nouns)), int(0.9 * 5), 7)
    assert np.allclose(centres, plain)
    assert np.array_equal((X @ centres.numpy().T).argmax(axis=1), expected)
    assert nearest.shape == (4, 7)


def test_pseudo_labels_follow_the_head_from_its_first_weights_on(fitted):
    _, _, bank, _ = fitted
    images = 5 * toy(noise=0.4)[0]
    model = SIC(4, **(SETTINGS | {"epochs": 1})).fit(images, bank)
    X = images.astype(np.float32)
    centres = KMeans(4, n_init=20, random_state=0).fit(X).cluster_centers_
    space = sic_space(bank.features, centres, 12, 0.95)
    assert np.array_equal(model.history_["space"], space)
    torch.manual_seed(0)
    first = torch.nn.Linear(24, 4)(torch.from_numpy(X)).detach().numpy()
    labels, _ = plain_sic_labels(first, X, bank.features[space], 0.9, 4)
    assert np.array_equal(model.history_["pseudo_labels"], labels)
    later = SIC(4, **(SETTINGS | {"epochs": 2})).fit(images, bank)
    assert not np.array_equal(later.history_["pseudo_labels"], labels)


def test_the_total_equals_its_slow_transcription_down_to_the_entropys_floor():
    rng = np.random.default_rng(3)
    logits, near = rng.normal(size=(2, 9, 4))
    # The last cluster's mean is under the floor of the logarithm, 1e-8, and over TAC's.
    logits[:, 3] -= 17.5
    targets = rng.integers(0, 3, 9)
    P, Q = (np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True) for Z in (logits, near))
    assert 1e-9 < P[:, 3].mean() < 1e-8
    expected = -np.mean([np.log(p @ q) for p, q in zip(P, Q, strict=True)])
    expected -= 3 * plain_entropy(P, 1e-8)
    expected += 0.7 * -np.mean([np.log(p[k]) for p, k in zip(P, targets, strict=True)])
    arguments = map(torch.tensor, (logits, near, targets))
    found = total_loss(*arguments, entropy_weight=3.0, label_weight=0.7)
    assert found["loss"].item() == pytest.approx(expected)
    entropy = found["entropy"].item()
    assert entropy == pytest.approx(plain_entropy(P, 1e-8), rel=1e-12)
    assert entropy != pytest.approx(plain_entropy(P, 1e-9), rel=1e-12)


def test_an_epoch_equals_its_transcription(fitted):
    _, images, bank, _ = fitted
    X = torch.tensor(images, dtype=torch.float32)
    change = {"epochs": 1, "batch_size": 100, "n_neighbors": 1}
    model = SIC(4, **(SETTINGS | change)).fit(images, bank)
    torch.manual_seed(0)
    head = torch.nn.Linear(24, 4)
    adam = torch.optim.Adam(head.parameters(), lr=0.01, weight_decay=1e-4)
    targets = torch.from_numpy(model.history_["pseudo_labels"])
    distances = torch.cdist(X, X)
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(160, generator=generator)
    losses = []
    # The last, short batch is kept; a row may be drawn as its own neighbour.
    for rows in (order[:100], order[100:]):
        near = distances[rows].argsort(dim=1)[:, :2]
        near = near.gather(1, torch.randint(2, (len(rows), 1), generator=generator))[:, 0]
        P, Q = head(X[rows]).softmax(dim=1), head(X[near]).softmax(dim=1)
        mean = P.mean(dim=0)
        entropy = -(mean * mean.clamp_min(1e-8).log()).sum()
        loss = -(P * Q).sum(dim=1).log().mean() - 5 * entropy
        loss = loss + 0.1 * F.cross_entropy(head(X[rows]), targets[rows])
        assert entropy.item() == pytest.approx(
            plain_entropy(P.detach().numpy(), 1e-8), rel=1e-4
        )
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert np.allclose(model.embedding_, head(X).softmax(dim=1).detach(), atol=1e-5)
    mean_loss = (100 * losses[0] + 60 * losses[1]) / 160
    assert model.history_["loss"][0] == pytest.approx(mean_loss, rel=1e-5)


def test_the_authors_epoch_is_the_best_before_five_that_bring_nothing():
    y = np.arange(8) % 2
    right = np.array([4, 5, 5, 6, 4, 6, 5, 6, 6, 8])
    model = SIC(2)
    wrong = [np.where(np.arange(8) < n, y, 1 - y) for n in right]
    model.labels_ = wrong[-1]
    model.history_ = {"labels": np.stack(wrong)}
    # Six of eight first stand in epoch 3; epochs 4 to 8 do not pass it, the ninth is not seen.
    assert model.oracle_epoch(y) == 3
    model.history_ = {"labels": np.stack([wrong[0], wrong[1], wrong[9]])}
    assert model.oracle_epoch(y) == 2
    with pytest.raises(ValueError, match="y has shape"):
        model.oracle_epoch(y[:-1])


def test_the_recorded_loss_is_the_sum_of_its_parts(fitted):
    history = fitted[0].history_
    total = history["consistency"] - 5 * history["entropy"] + 0.1 * history["cross_entropy"]
    assert np.allclose(history["loss"], total, atol=1e-4)
    assert history["labels"].shape == (30, 160)
    assert np.array_equal(history["labels"][-1], fitted[0].labels_)


def test_two_sets_have_settings_of_their_own():
    assert SIC.paper_settings("tiny-imagenet") == {"n_neighbors": 50}
    assert SIC.paper_settings("imagenet-dogs") == {"weight_decay": 0.009}
    assert SIC.paper_settings("stl-10") == {}
    with pytest.raises(ValueError, match="dataset='dtd'"):
        SIC.paper_settings("dtd")
