"""The maximum mean discrepancy against its slow transcription."""

import math

import numpy as np
import pytest
import torch
from plain import unit
from refusals import refuses

from mvlib.methods.set_clip import NINETEEN_BANDWIDTHS
from mvlib.ops import mmd


def plain_mmd(A, B, widths):
    def mean(X, Y):
        values = [math.exp(-sum((x - y) ** 2) / b) for x in X for y in Y for b in widths]
        return sum(values) / (len(X) * len(Y))

    return mean(A, A) + mean(B, B) - 2 * mean(A, B)


def clouds(n, m, d=4):
    rng = np.random.default_rng(0)
    A, B = rng.normal(size=(n, d)), rng.normal(size=(m, d)) + 0.3
    return unit(A), unit(B)


@pytest.mark.parametrize("widths", [(1.0,), (0.3, 2.0), NINETEEN_BANDWIDTHS])
def test_mmd_agrees_with_its_transcription_for_one_bandwidth_and_for_many(widths):
    A, B = clouds(6, 8)
    found = mmd(torch.tensor(A), torch.tensor(B), widths)
    assert float(found) == pytest.approx(plain_mmd(A, B, widths), abs=1e-9)


@pytest.mark.parametrize("widths", [1.0, (0.05, 0.5, 5, 50)])
def test_gradients_are_those_of_the_discrepancy(widths):
    sets = [torch.tensor(X, requires_grad=True) for X in clouds(4, 4, 3)]
    assert torch.autograd.gradcheck(lambda A, B: mmd(A, B, widths), sets)


A_3 = torch.ones(3, 2)


test_bad_input_is_refused_by_name = refuses(
    mmd,
    (lambda: mmd(A_3, torch.ones(3)), "second has shape"),
    (lambda: mmd(A_3, torch.ones(3, 4)), "second has 4 features"),
    (lambda: mmd(A_3, A_3, ()), "bandwidths is empty"),
    (lambda: mmd(A_3, A_3, (1.0, 0.0)), "bandwidths=0.0"),
)
