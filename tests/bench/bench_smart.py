"""SMART's training step: against its own matrix products, and against a plain transcription.

At the paper's settings for HandWritten: 2000 rows in one batch, widths 2000, d = 100.
"""

import statistics
import time

import numpy as np
import pytest
import torch
from smart_transcription import PlainNetwork, plain_loss, plain_training

from mvlib import SMART, data
from mvlib.methods.smart.equations import Objective, objective_step
from mvlib.methods.smart.network import SMARTNetwork

SETTINGS = SMART.paper_settings("handwritten") | {"hidden_dims": (2000, 2000, 2000)}
ROUNDS = 5


@pytest.fixture(scope="module")
def problem():
    digits = data.load("handwritten")
    return data.partially_align(data.min_max_scale(digits.Xs), digits.y, 0.5)


@pytest.fixture(scope="module")
def tensors(problem):
    return [torch.from_numpy(X) for X in problem.Xs], torch.from_numpy(problem.aligned)


def matrix_products(tensors):
    """Only the products that the step cannot avoid: 3 a layer, less the first input's."""
    Xs, _ = tensors
    n, d = len(Xs[0]), SETTINGS["embedding_dim"]
    shapes = []
    for X in Xs:
        widths = [X.shape[1], *SETTINGS["hidden_dims"], d]
        for chain in (widths, widths[::-1]):
            shapes += list(zip(chain[:-1], chain[1:], strict=True))
    inputs = {width: torch.randn(n, width) for pair in shapes for width in pair}
    weights = [(torch.randn(a, b), a, b) for a, b in shapes]
    first = {X.shape[1] for X in Xs}
    H = torch.randn(n, d)

    def step():
        for W, a, b in weights:
            inputs[a] @ W
            inputs[a].T @ inputs[b]
            if a not in first:
                inputs[b] @ W.T
        S = H @ H.T
        H @ H.T
        S @ H
        S.T @ H

    return step


def step_of(Network, loss, tensors, fused):
    Xs, aligned = tensors
    torch.manual_seed(0)
    widths, d = [X.shape[1] for X in Xs], SETTINGS["embedding_dim"]
    network = Network(widths, SETTINGS["hidden_dims"], d)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, weight_decay=0.01, fused=fused)

    def step():
        value = loss(network, Xs, aligned)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()

    return step


def ours(tensors, precision):
    def loss(network, Xs, aligned):
        objective = Objective(1.0, 1.0, 1.0)
        return objective_step(network, Xs, aligned, objective, precision=precision).loss

    return step_of(SMARTNetwork, loss, tensors, fused=True)


def transcription(tensors):
    def loss(network, Xs, aligned):
        return plain_loss(network, *Xs, aligned, 1.0, 1.0, 1.0)

    return step_of(PlainNetwork, loss, tensors, fused=False)


@pytest.fixture(scope="module")
def times(tensors):
    steps = {
        "products": matrix_products(tensors),
        "ours": ours(tensors, "float32"),
        "transcription": transcription(tensors),
        "bfloat16": ours(tensors, "bfloat16"),
    }
    found = {name: [] for name in steps}
    for turn in range(ROUNDS + 1):
        for name, step in steps.items():
            start = time.process_time()
            step()
            if turn:
                found[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in found.items()}


@pytest.mark.parametrize(
    ("precision", "ratios"),
    [
        (
            "float32",
            [
                ("float32 / its matrix products", "ours", "products", "<= 1.4"),
                ("float32 / plain transcription", "ours", "transcription", "<= 1.0"),
            ],
        ),
        (
            "bfloat16",
            [("float32 / bfloat16 (with AVX512-BF16 or AMX)", "ours", "bfloat16", ">= 2.5")],
        ),
    ],
)
def test_training_step(benchmark, tensors, times, report_ratio, precision, ratios):
    benchmark.pedantic(ours(tensors, precision), rounds=3, warmup_rounds=1)
    for name, above, below, target in ratios:
        report_ratio(f"SMART step, {name}", times[above] / times[below], target)


def test_loss_curve_of_the_transcription(benchmark, problem, report_ratio):
    epochs = 5
    settings = SETTINGS | {"epochs": epochs}
    fit = SMART(10, **settings, random_state=5).fit
    model = benchmark.pedantic(
        fit, args=(problem.Xs,), kwargs={"aligned": problem.aligned}, rounds=1
    )
    halved = SMART(10, **settings, precision="bfloat16", random_state=5)
    halved.fit(problem.Xs, aligned=problem.aligned)
    moved = np.abs(halved.history_["loss"] / model.history_["loss"] - 1).max()
    report_ratio("largest relative gap, bfloat16 to float32 loss, x 1e-4", moved * 1e4, "none")
    Xs = [torch.from_numpy(X) for X in problem.Xs]
    plain = plain_training(Xs, torch.from_numpy(problem.aligned), settings, 5, epochs)
    apart = np.abs(model.history_["loss"] / np.array(plain) - 1).max()
    report_ratio("largest relative gap of the loss curves, x 1e-4", apart * 1e4, "<= 1.0")
    assert apart < 1e-4


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_clustering_every_epoch(benchmark, problem, mode, report_ratio):
    settings = SETTINGS | {"epochs": 4}
    without = SMART(10, **settings, random_state=5)
    tracked = SMART(10, **settings, track=(mode,), random_state=5)

    def seconds(model):
        start = time.process_time()
        model.fit(problem.Xs, aligned=problem.aligned)
        return time.process_time() - start

    pairs = [(seconds(without), seconds(tracked)) for _ in range(2)]
    benchmark.pedantic(
        tracked.fit, args=(problem.Xs,), kwargs={"aligned": problem.aligned}, rounds=1
    )
    ratio = min(b for _, b in pairs) / min(a for a, _ in pairs)
    report_ratio(f"fit that clusters {mode} features every epoch / fit", ratio, "<= 1.20")
