"""What SMART costs is measured on resampled data, in a process of its own."""

import numpy as np
import pytest

from mvlib.papers import smart as module
from mvlib.papers.smart import NOISE, resampled, smart_costs


@pytest.fixture(params=["as this process allows", "from a new process"])
def way_to_start(request, monkeypatch):
    if request.param == "from a new process":
        monkeypatch.setattr(module, "_forks_safely", lambda: False)


def test_resampled_rows_are_those_of_the_data_with_a_tenth_of_their_spread_as_noise():
    rng = np.random.default_rng(0)
    Xs = [3 * rng.normal(size=(20, d)) for d in (5, 400)]
    views, rows = resampled(Xs, 500, random_state=1)
    assert [X.shape for X in views] == [(500, 5), (500, 400)]
    for X, view in zip(Xs, views, strict=True):
        noise = view - X[rows]
        assert noise.std() == pytest.approx(NOISE * X.std(), rel=0.1)
    again, _ = resampled(Xs, 500, random_state=1)
    assert np.array_equal(again[1], views[1])


def test_costs_are_positive_named_and_one_a_way_and_size(way_to_start):
    ways = [{"batch_size": 150, "graph_batch_size": None}, {"batch_size": None, "largest": 300}]
    costs = smart_costs("handwritten", [300, 600], 0.5, ways, 0, "cpu")
    assert [len(measured) for measured in costs] == [2, 1]
    for measures in [measures for measured in costs for measures in measured]:
        assert set(measures) == {"seconds_training", "seconds_features", "memory_mb"}
        assert measures["seconds_training"] > 0
    assert costs[0][1]["memory_mb"] >= costs[0][0]["memory_mb"] >= 0


@pytest.mark.parametrize("sizes", [[], [300, 200], [300, 300]])
def test_sizes_must_ascend(sizes):
    with pytest.raises(ValueError, match="expected some, each larger than the last"):
        smart_costs("handwritten", sizes, 0.5, [{}], 0, "cpu")


def test_an_error_of_the_other_process_arrives_here(way_to_start):
    with pytest.raises(ValueError, match="sizes=1 "):
        smart_costs("handwritten", [1], 0.5, [{}], 0, "cpu")
    with pytest.raises(TypeError, match="bach_size"):
        smart_costs("handwritten", [300], 0.5, [{"bach_size": 10}], 0, "cpu")


@pytest.mark.parametrize(
    ("platform", "threads", "gpu", "safe"),
    [
        ("linux", 1, False, True),
        ("linux", 2, False, False),
        ("linux", 1, True, False),
        ("darwin", 1, False, False),
    ],
)
def test_a_process_with_numerical_threads_or_a_gpu_is_not_forked(
    monkeypatch, platform, threads, gpu, safe
):
    monkeypatch.setattr(module.sys, "platform", platform)
    monkeypatch.setattr("torch.get_num_threads", lambda: threads)
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    assert module._forks_safely() is safe
