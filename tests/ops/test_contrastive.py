"""CLIP's loss against a slow transcription and against what defines it."""

import numpy as np
import pytest
import torch
from plain import unit
from refusals import refuses

from mvlib.ops import clip_loss


def transcription(A, B, pairs, temperature):
    cosine, total = unit(A) @ unit(B).T, 0.0
    for i, j in pairs:
        own = np.exp(cosine[i, j] / temperature)
        total -= np.log(own / sum(np.exp(cosine[i, k] / temperature) for k in range(len(B))))
        total -= np.log(own / sum(np.exp(cosine[k, j] / temperature) for k in range(len(A))))
    return total / (2 * len(pairs))


def features(n=6, d=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=(n, d)) * rng.uniform(1, 9, (n, 1))


@pytest.mark.parametrize("temperature", [0.05, 0.5, 3.0])
def test_loss_is_the_mean_of_both_directions_cross_entropies(temperature):
    images, texts = features()
    found = clip_loss(torch.tensor(images), torch.tensor(texts), temperature)
    expected = transcription(images, texts, [(i, i) for i in range(6)], temperature)
    assert float(found) == pytest.approx(expected, rel=1e-10)


def test_gradients_are_those_of_the_loss_for_features_and_temperature():
    images, texts = (torch.tensor(x, requires_grad=True) for x in features(4, 3))
    temperature = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(clip_loss, (images, texts, temperature))
    pairs = torch.tensor([[0, 1], [3, 3]])
    assert torch.autograd.gradcheck(lambda a, b: clip_loss(a, b, 0.5, pairs), (images, texts))


def test_loss_does_not_depend_on_lengths_or_on_which_side_is_which():
    images, texts = map(torch.tensor, features())
    loss = clip_loss(images, texts, 0.1)
    assert torch.allclose(loss, clip_loss(5 * images, texts / 3, 0.1))
    assert torch.allclose(loss, clip_loss(texts, images, 0.1))


def test_loss_that_tells_nothing_is_the_logarithm_of_the_pairs_and_can_vanish():
    same = torch.ones(8, 3)
    assert float(clip_loss(same, same, 0.2)) == pytest.approx(np.log(8))
    assert float(clip_loss(torch.eye(5), torch.eye(5), 0.01)) < 1e-6


def test_loss_of_the_pairs_of_a_batch_is_transcribed():
    images, texts = features(6)[0], features(9, seed=1)[1]
    pairs = [(0, 3), (5, 1), (2, 8)]
    found = clip_loss(torch.tensor(images), torch.tensor(texts), 0.2, torch.tensor(pairs))
    assert float(found) == pytest.approx(transcription(images, texts, pairs, 0.2), abs=1e-9)


def test_loss_of_a_full_batch_of_pairs_is_that_without_and_of_no_pair_is_nothing():
    images, texts = map(torch.tensor, features())
    every = torch.arange(6).repeat(2, 1).T
    assert torch.allclose(clip_loss(images, texts, 0.05, every), clip_loss(images, texts, 0.05))
    assert float(clip_loss(images, texts, 0.05, every[:0])) == 0


A_3, PAIR = torch.ones(3, 2), torch.tensor([[0, 0]])
test_bad_input_is_refused_by_name = refuses(
    clip_loss,
    (lambda: clip_loss(A_3, torch.ones(4, 2), 0.1), "shapes"),
    (lambda: clip_loss(A_3[:, 0], A_3[:, 0], 0.1), "shapes"),
    (lambda: clip_loss(A_3[:0], A_3[:0], 0.1), "at least one"),
    (lambda: clip_loss(A_3, A_3, 0.0), "temperature"),
    (lambda: clip_loss(A_3, A_3, float("nan")), "temperature"),
    (lambda: clip_loss(A_3, A_3, torch.tensor(-0.0)), "temperature"),
    (lambda: clip_loss(A_3, torch.ones(3, 4), 0.1, PAIR), "shapes"),
    (lambda: clip_loss(A_3, A_3[:0], 0.1, PAIR), "empty"),
    (lambda: clip_loss(A_3, A_3, 0.1, PAIR[0]), "pairs has shape"),
    (lambda: clip_loss(A_3, A_3, 0.1, PAIR + 3), "outside"),
    (lambda: clip_loss(A_3, A_3, float("inf"), PAIR), "temperature"),
)
