"""CLIP's loss against a slow transcription and against what defines it."""

import numpy as np
import pytest
import torch

from mvlib.ops import clip_loss


def transcription(images, texts, temperature):
    n, total = len(images), 0.0
    cosine = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            lengths = np.linalg.norm(images[i]) * np.linalg.norm(texts[j])
            cosine[i, j] = images[i] @ texts[j] / lengths
    for i in range(n):
        own = np.exp(cosine[i, i] / temperature)
        among_texts = sum(np.exp(cosine[i, j] / temperature) for j in range(n))
        among_images = sum(np.exp(cosine[j, i] / temperature) for j in range(n))
        total -= np.log(own / among_texts) + np.log(own / among_images)
    return total / (2 * n)


def features(n=6, d=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=(n, d)) * rng.uniform(1, 9, (n, 1))


def partial_transcription(A, B, pairs, temperature):
    def cosine(x, y):
        return x @ y / np.linalg.norm(x) / np.linalg.norm(y)

    total = 0.0
    for i, j in pairs:
        own = np.exp(cosine(A[i], B[j]) / temperature)
        total -= np.log(own / sum(np.exp(cosine(A[i], b) / temperature) for b in B))
        total -= np.log(own / sum(np.exp(cosine(a, B[j]) / temperature) for a in A))
    return total / (2 * len(pairs))


@pytest.mark.parametrize("temperature", [0.05, 0.5, 3.0])
def test_loss_is_the_mean_of_both_directions_cross_entropies(temperature):
    images, texts = features()
    found = clip_loss(torch.tensor(images), torch.tensor(texts), temperature)
    assert float(found) == pytest.approx(transcription(images, texts, temperature), rel=1e-10)


def test_gradients_are_those_of_the_loss_for_features_and_temperature():
    images, texts = (torch.tensor(x, requires_grad=True) for x in features(4, 3))
    temperature = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(clip_loss, (images, texts, temperature))


def test_loss_does_not_depend_on_lengths_or_on_which_side_is_which():
    images, texts = map(torch.tensor, features())
    loss = clip_loss(images, texts, 0.1)
    assert torch.allclose(loss, clip_loss(5 * images, texts / 3, 0.1))
    assert torch.allclose(loss, clip_loss(texts, images, 0.1))


def test_loss_of_features_that_tell_nothing_is_the_logarithm_of_the_pairs():
    same = torch.ones(8, 3)
    assert float(clip_loss(same, same, 0.2)) == pytest.approx(np.log(8))


def test_loss_vanishes_for_orthogonal_pairs_at_low_temperature():
    assert float(clip_loss(torch.eye(5), torch.eye(5), 0.01)) < 1e-6


def test_loss_of_the_pairs_of_a_batch_is_transcribed():
    images, texts = features(6)[0], features(9, seed=1)[1]
    pairs = [(0, 3), (5, 1), (2, 8)]
    found = clip_loss(torch.tensor(images), torch.tensor(texts), 0.2, torch.tensor(pairs))
    expected = partial_transcription(images, texts, pairs, 0.2)
    assert float(found) == pytest.approx(expected, abs=1e-9)


def test_loss_of_a_full_batch_of_pairs_is_that_without_and_of_no_pair_is_nothing():
    images, texts = map(torch.tensor, features())
    every = torch.arange(6).repeat(2, 1).T
    assert torch.allclose(clip_loss(images, texts, 0.05, every), clip_loss(images, texts, 0.05))
    assert float(clip_loss(images, texts, 0.05, every[:0])) == 0


def test_gradients_of_the_loss_of_pairs_are_its_own():
    images, texts = (torch.tensor(x, requires_grad=True) for x in features(4, 3))
    pairs = torch.tensor([[0, 1], [3, 3]])
    assert torch.autograd.gradcheck(lambda a, b: clip_loss(a, b, 0.5, pairs), (images, texts))


@pytest.mark.parametrize(
    ("n_texts", "width", "pairs", "temperature", "message"),
    [
        (3, 4, [[0, 0]], 0.1, "shapes"),
        (0, 2, [[0, 0]], 0.1, "empty"),
        (3, 2, [0, 0], 0.1, "pairs has shape"),
        (3, 2, [[3, 3]], 0.1, "outside"),
        (3, 2, [[0, 0]], float("inf"), "temperature"),
    ],
)
def test_bad_pairs_are_refused_by_name(n_texts, width, pairs, temperature, message):
    with pytest.raises(ValueError, match=message):
        clip_loss(
            torch.ones(3, 2), torch.ones(n_texts, width), temperature, torch.tensor(pairs)
        )


@pytest.mark.parametrize(
    ("images", "texts", "temperature", "message"),
    [
        (torch.ones(3, 2), torch.ones(4, 2), 0.1, "shapes"),
        (torch.ones(3), torch.ones(3), 0.1, "shapes"),
        (torch.ones(0, 2), torch.ones(0, 2), 0.1, "at least one"),
        (torch.ones(3, 2), torch.ones(3, 2), 0.0, "temperature"),
        (torch.ones(3, 2), torch.ones(3, 2), float("nan"), "temperature"),
        (torch.ones(3, 2), torch.ones(3, 2), torch.tensor(-1.0), "temperature"),
    ],
)
def test_bad_input_is_refused_by_name(images, texts, temperature, message):
    with pytest.raises(ValueError, match=message):
        clip_loss(images, texts, temperature)
