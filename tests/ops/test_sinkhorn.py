"""Transport plans against a slow transcription, POT, and the facts that define them."""

import warnings

import numpy as np
import ot
import pytest
import torch
from plain import unit
from refusals import refuses

from mvlib.ops import TransportError, check_marginals, sinkhorn, transport_plan

METHODS = ("scaling", "log")


def clip_like_cost(n=60, m=18, gap=0.0, seed=0):
    """1 - cosine of clustered unit vectors; a gap sets the two sides apart, as in CLIP."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(6, 24))
    rows = centers[rng.integers(0, 6, n)] + 0.7 * rng.normal(size=(n, 24))
    columns = centers[rng.integers(0, 6, m)] + 0.7 * rng.normal(size=(m, 24))
    rows[:, 0] += gap
    columns[:, 0] -= gap
    return 1 - unit(rows) @ unit(columns).T


def marginals(n, m, seed=0):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(n, 5.0)), rng.dirichlet(np.full(m, 5.0))


def log_sinkhorn(cost, a, b, epsilon, n_iter):
    """Row by row and column by column, in the log domain."""
    f, g = np.zeros(len(a)), np.zeros(len(b))

    def soft_minimum(values):
        smallest = values.min()
        return smallest - epsilon * np.log(np.exp(-(values - smallest) / epsilon).sum())

    for _ in range(n_iter):
        for j in range(len(b)):
            g[j] = soft_minimum(cost[:, j] - f) + epsilon * np.log(b[j])
        for i in range(len(a)):
            f[i] = soft_minimum(cost[i] - g) + epsilon * np.log(a[i])
    return np.exp((f[:, None] + g - cost) / epsilon)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("epsilon", [1, 0.1, 0.03])
def test_the_plan_is_that_of_the_slow_transcription(method, precision, epsilon):
    cost, (a, b) = clip_like_cost(20, 7), marginals(20, 7)
    options = {"method": method, "precision": precision, "max_iter": 5000}
    found = transport_plan(cost, a, b, epsilon=epsilon, **options)
    assert (found.converged, found.method, found.plan.dtype) == (True, method, np.float32)
    assert abs(found.plan - log_sinkhorn(cost, a, b, epsilon, 400)).sum() < 1e-5


@pytest.mark.parametrize("gap", [0, 6])
@pytest.mark.parametrize("method", METHODS)
def test_float32_at_epsilon_0_005_agrees_with_pot_in_float64(method, gap):
    cost, given = clip_like_cost(gap=gap), {"method": method, "max_iter": 20_000}
    a, b = marginals(*cost.shape)
    options = {"numItermax": 20_000, "stopThr": 1e-9, "warn": False}
    expected = ot.sinkhorn(a, b, cost, 0.005, **options)
    found = transport_plan(cost.astype(np.float32), a, b, epsilon=0.005, **given)
    assert abs(found.plan - expected).sum() < 2e-4


def test_logarithms_agree_with_those_of_pot():
    cost = clip_like_cost(20, 7)
    a, b = marginals(20, 7)
    expected = ot.bregman.sinkhorn_log(a, b, cost, 0.02, stopThr=1e-9, numItermax=5000)
    found = transport_plan(cost, a, b, epsilon=0.02, method="log", max_iter=5000)
    assert abs(found.plan - expected).sum() < 1e-5


def test_costs_whose_plain_float32_kernel_is_all_zero_still_give_a_plan():
    cost = clip_like_cost(gap=6).astype(np.float32)
    assert np.exp(-cost / np.float32(0.005)).max() == 0
    for method in ("auto", "scaling", "log"):
        found = transport_plan(cost, epsilon=0.005, method=method, max_iter=400)
        assert found.plan.sum() == pytest.approx(1, abs=1e-5)
        assert found.row_error < 1e-5
        assert found.column_error < 2e-2


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("epsilon", [1e-3, 1e-4, 1e-6])
def test_no_epsilon_is_small_enough_to_empty_or_break_the_plan(method, epsilon):
    options = {"method": method, "max_iter": 200, "marginal_tol": None}
    found = transport_plan(clip_like_cost(gap=6), epsilon=epsilon, **options)
    assert np.isfinite(found.plan).all()
    assert found.plan.sum() == pytest.approx(1, abs=1e-4)
    assert found.row_error < 1e-4


def test_a_small_epsilon_gives_the_one_best_matching():
    rng = np.random.default_rng(0)
    matching = rng.permutation(8)
    cost = 1 + rng.random((8, 8))
    cost[np.arange(8), matching] = 0
    plan = transport_plan(cost, epsilon=0.01).plan
    assert np.array_equal(plan.argmax(axis=1), matching)
    assert np.allclose(plan.max(axis=1), 1 / 8, atol=1e-5)


def test_a_large_epsilon_gives_the_product_of_the_marginals():
    cost = clip_like_cost()
    a, b = marginals(*cost.shape)
    for method in METHODS:
        plan = transport_plan(cost, a, b, epsilon=1e4, method=method).plan
        assert np.allclose(plan, np.outer(a, b), rtol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_rows_and_columns_may_change_places_and_order(method):
    cost = clip_like_cost(30, 30)
    a, b = marginals(30, 30)
    options = {"method": method, "max_iter": 3000}
    plan = transport_plan(cost, a, b, **options).plan
    swapped = transport_plan(cost.T, b, a, **options).plan
    assert abs(plan - swapped.T).sum() < 1e-5
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(30), rng.permutation(30)
    shuffled = transport_plan(cost[rows][:, columns], a[rows], b[columns], **options).plan
    assert abs(plan[rows][:, columns] - shuffled).sum() < 1e-5


def test_an_added_row_or_column_of_costs_and_another_unit_or_mass_change_no_plan():
    cost, rng = clip_like_cost(), np.random.default_rng(0)
    a, b = marginals(*cost.shape)
    moved = cost + 5 * rng.random((len(cost), 1)) + 5 * rng.random(cost.shape[1])
    first, second = (transport_plan(c, max_iter=3000).plan for c in (cost, moved))
    assert abs(first - second).sum() < 1e-4
    found = transport_plan(1000 * cost, 7 * a, 7 * b, epsilon=50)
    assert abs(found.plan / 7 - transport_plan(cost, a, b).plan).sum() < 1e-5
    assert found.row_error < 1e-4


@pytest.mark.parametrize("method", METHODS)
def test_rows_and_columns_without_mass_get_none_and_the_others_their_own(method):
    cost = clip_like_cost(20, 7)
    a, b = marginals(20, 7)
    a[:3] = b[-2:] = 0
    a, b = a / a.sum(), b / b.sum()
    expected = log_sinkhorn(cost[3:, :-2], a[3:], b[:-2], 0.05, 300)
    plan = transport_plan(cost, a, b, method=method).plan
    assert plan[:3].max() == plan[:, -2:].max() == 0
    assert abs(plan[3:, :-2] - expected).sum() < 1e-5


@pytest.mark.parametrize("method", METHODS)
def test_blocks_of_few_rows_give_the_plan_of_one_block(method, monkeypatch):
    cost = clip_like_cost()
    whole = transport_plan(cost, method=method)
    monkeypatch.setattr(sinkhorn, "BLOCK_NUMBERS", {"cpu": 7 * cost.shape[1], "cuda": 2**20})
    parts = transport_plan(cost, method=method)
    assert abs(whole.plan - parts.plan).sum() < 1e-5
    assert parts.n_iter == pytest.approx(whole.n_iter, abs=3)


def test_errors_are_the_l1_distances_of_the_plan_that_is_returned():
    cost = clip_like_cost()
    a, b = marginals(*cost.shape)
    found = transport_plan(cost, a, b, epsilon=0.01, max_iter=3, marginal_tol=None)
    assert (found.converged, found.n_iter) == (False, 3)
    assert found.row_error == pytest.approx(abs(found.plan.sum(axis=1) - a).sum(), abs=1e-6)
    columns = abs(found.plan.sum(axis=0) - b).sum()
    assert found.column_error == pytest.approx(columns, rel=1e-4)
    assert columns > 1e-2


def test_it_stops_as_soon_as_the_marginals_are_met():
    cost = clip_like_cost()
    rough, fine = (transport_plan(cost, tol=tol, max_iter=5000) for tol in (1e-3, 1e-6))
    assert rough.converged and fine.converged  # noqa: PT018
    assert rough.n_iter < fine.n_iter
    assert fine.column_error < 1e-5 < rough.column_error < 1e-3


def test_factors_out_of_range_hand_over_to_logarithms(monkeypatch):
    # Without its three guards the kernel has empty columns, as a plain one would.
    monkeypatch.setattr(sinkhorn, "LOWEST_EXPONENT", -np.inf)
    monkeypatch.setattr(sinkhorn, "LARGEST_FACTOR", np.inf)
    cost = clip_like_cost()
    cost[:, 0] += 5
    zeros = torch.zeros(cost.shape[1], dtype=torch.float64)
    begin = sinkhorn.start

    def without_column_shift(*arguments):
        progress = begin(*arguments)
        progress.g = zeros.clone()
        return progress

    monkeypatch.setattr("mvlib.ops.sinkhorn.start", without_column_shift)
    expected = log_sinkhorn(cost, *(np.full(n, 1 / n) for n in cost.shape), 0.02, 300)
    found = transport_plan(cost, epsilon=0.02)
    assert found.method == "log"
    assert abs(found.plan - expected).sum() < 1e-3
    with pytest.raises(TransportError):
        transport_plan(cost, epsilon=0.02, method="scaling")


def test_an_error_held_up_by_rounding_hands_what_there_is_over_to_logarithms():
    cost = clip_like_cost()
    alone = transport_plan(cost, tol=1e-9, method="scaling")
    assert not alone.converged
    found = transport_plan(cost, tol=1e-9)
    assert found.converged
    assert found.method == "log"
    from_nothing = transport_plan(cost, tol=1e-9, method="log").n_iter
    assert found.n_iter < alone.n_iter + from_nothing / 2


def test_the_first_kernel_has_a_one_in_each_row_and_column_and_nothing_above():
    cost = torch.from_numpy(clip_like_cost(gap=6))
    progress = sinkhorn.start(cost, torch.device("cpu"))
    exponents = progress.f[:, None] + progress.g - cost
    assert exponents.max() < 1e-12
    assert torch.allclose(exponents.amax(dim=0), torch.zeros((), dtype=torch.float64))
    assert torch.allclose(exponents.amax(dim=1), torch.zeros((), dtype=torch.float64))


@pytest.mark.parametrize("method", METHODS)
def test_an_infeasible_plan_is_an_error_unless_it_is_only_to_be_recorded(method):
    cost = clip_like_cost()
    arguments = {"epsilon": 0.005, "max_iter": 1, "method": method}
    with pytest.raises(TransportError, match="of the mass is off the marginals"):
        transport_plan(cost, **arguments)
    assert transport_plan(cost, marginal_tol=None, **arguments).column_error > 0.02


def test_the_cost_is_read_where_it_is_and_never_changed():
    cost = clip_like_cost().astype(np.float32)
    before = cost.copy()
    cost.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = transport_plan(cost)
    second = transport_plan(torch.from_numpy(before), method="log")
    assert np.array_equal(cost, before)
    assert abs(first.plan - second.plan).sum() < 1e-5


def test_check_marginals_gives_l1_distances():
    plan = np.array([[0.5, 0.1], [0.0, 0.4]])
    assert check_marginals(plan, marginal_tol=0.11) == pytest.approx((0.2, 0.0))
    assert check_marginals(plan, [0.6, 0.4], [0.5, 0.5]) == pytest.approx((0, 0))
    with pytest.raises(TransportError, match=r"10.00% of the mass .* at most 9.00%"):
        check_marginals(plan, marginal_tol=0.09)


test_what_is_no_plan_is_refused_even_without_a_tolerance = refuses(
    lambda plan: check_marginals(plan, marginal_tol=None),
    ({"plan": np.zeros((3, 4))}, "expected positive mass"),
    ({"plan": np.full((3, 4), np.nan)}, "NaN or infinity"),
    ({"plan": np.array([[np.inf, 0], [0, 1]])}, "NaN or infinity"),
    ({"plan": np.array([[0.75, -0.25], [0, 0.5]])}, "smallest entry of -0.25"),
    ({"plan": np.zeros((0, 4))}, r"plan has shape \(0, 4\)"),
    ({"plan": np.zeros(4)}, r"plan has shape \(4,\)"),
    error=TransportError,
)


test_what_is_wrong_with_the_input_is_said = refuses(
    lambda **change: transport_plan(**{"cost": np.ones((3, 4))} | change),
    ({"cost": np.ones(4)}, r"cost has shape \(4,\)"),
    ({"cost": np.ones((0, 4))}, r"cost has shape \(0, 4\)"),
    ({"cost": np.array([["a"]])}, "cost is not numeric"),
    ({"cost": np.full((3, 4), np.nan)}, "cost holds NaN or infinity"),
    ({"cost": np.full((3, 4), np.inf)}, "cost holds NaN or infinity"),
    ({"row_marginals": [0.5, 0.5]}, r"row_marginals has shape \(2,\): expected \(3,\)"),
    ({"row_marginals": [1, 0.5, -0.5]}, "row_marginals runs from -0.5 to 1.0"),
    ({"column_marginals": [np.nan] * 4}, "column_marginals runs from nan"),
    ({"column_marginals": [0] * 4}, "not all zero"),
    ({"column_marginals": [1] * 4}, "row_marginals add up to 1 and column_marginals to 4"),
    ({"epsilon": 0}, "epsilon=0"),
    ({"epsilon": np.nan}, "epsilon=nan"),
    ({"max_iter": 0}, "max_iter=0"),
    ({"tol": -1}, "tol=-1"),
    ({"marginal_tol": -1}, "marginal_tol=-1"),
    ({"method": "logs"}, "Did you mean 'log'"),
    ({"precision": "float16"}, "precision='float16'"),
    ({"device": "gpu"}, "device='gpu'"),
)
