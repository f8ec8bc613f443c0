"""The training loop: what it lowers, what it records, whose random numbers it takes."""

import numpy as np
import pytest
import torch
from torch import nn

from mvlib.methods import training

CPU = torch.device("cpu")


def line(batches, epochs=3, rate=0.1, **more):
    """Fit y = w x by plain gradient descent from w = 0; return w after each batch, history."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    optimizer = torch.optim.SGD(network.parameters(), lr=rate)
    seen = []

    def step(batch):
        x, y = (torch.tensor(values)[:, None] for values in batch)
        seen.append(network.weight.item())
        losses = {"loss": (network(x) - y).square().mean()}
        return losses | ({"size": torch.tensor(float(len(x)))} if len(x) > 1 else {})

    history = training.run(
        epochs, lambda: batches, step, network, optimizer, parts=("size",), **more
    )
    return np.array(seen), history


BATCHES = [([1.0, 2.0], [3.0, 6.0]), ([1.0, 1.0], [3.0, 3.0])]


def test_each_batch_is_one_step_down_its_loss_and_means_are_over_batches():
    seen, history = line(BATCHES)
    w, expected = 0.0, []
    for _ in range(3):
        losses = []
        for x, y in BATCHES:
            x, y = np.array(x), np.array(y)
            assert seen[len(expected) * 2 + len(losses)] == pytest.approx(w, abs=1e-6)
            losses.append(((w * x - y) ** 2).mean())
            w -= 0.1 * (2 * (w * x - y) * x).mean()
        expected.append(np.mean(losses))
    assert history["loss"] == pytest.approx(expected, rel=1e-5)
    assert history["size"].tolist() == [2.0, 2.0, 2.0]


def test_batches_count_by_their_share_and_a_missing_part_makes_its_mean_nan():
    batches = [*BATCHES, ([1.0], [3.0])]
    _, even = line(batches, epochs=1, rate=1e-9)
    _, shared = line(batches, epochs=1, rate=1e-9, share=lambda batch: len(batch[0]))
    assert even["loss"][0] == pytest.approx((22.5 + 9 + 9) / 3)
    assert shared["loss"][0] == pytest.approx((2 * 22.5 + 2 * 9 + 9) / 5)
    assert np.isnan(even["size"][0])


def test_what_comes_after_an_epoch_is_recorded_sees_its_means_and_may_end_training_mode():
    _, history = line(BATCHES, after_epoch=lambda epoch, means: {"twice": 2 * means["loss"]})
    assert history["twice"] == pytest.approx(2 * history["loss"])
    network, modes = nn.Dropout(), []
    weight = nn.Parameter(torch.ones(()))

    def step(batch):
        modes.append(network.training)
        return {"loss": weight.square()}

    def after_epoch(epoch, means):
        network.eval()
        return {}

    optimizer = torch.optim.SGD([weight], lr=0.1)
    training.run(3, lambda: [0], step, network, optimizer, after_epoch=after_epoch)
    assert modes == [True] * 3


def test_a_loss_that_is_not_finite_ends_the_run_with_its_epoch_and_rate():
    with pytest.raises(FloatingPointError, match=r"in epoch \d+: lower .*\(100.0\)"):
        line(BATCHES, epochs=60, rate=100.0)


def test_seeds_give_the_same_draws_and_leave_the_global_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    draws = []
    for seed in (0, 0, 1, None, None):
        with training.seeded(seed, CPU) as generator:
            draws.append((torch.rand(1).item(), torch.rand(1, generator=generator).item()))
    assert torch.equal(torch.rand(1), expected)
    assert draws[0] == draws[1]
    assert len(set(draws[1:])) == 4
