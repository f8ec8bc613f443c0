"""Affinity, diffusion, weights: their formulas, what they are, and what they refuse."""

import numpy as np
import pytest
from refusals import refusing
from scipy import sparse
from support.ntk_transcription import (
    best_weights,
    diffusion,
    kernel,
    neighbor_graph,
    objective,
    planted,
    softmax,
    transition,
    unit,
)

from mvlib.methods.ntk_spectral import (
    coordinate_weights,
    diffuse_affinities,
    diffuse_in_subspace,
    nearest_neighbors,
    normalize_graph,
    noun_assignments,
    ntk_affinity,
    simplex_weights,
    sparsify,
)

TAU, Q = 0.1, 5
FORMS = {
    "full": diffuse_affinities,
    "subspace": lambda graphs, **more: diffuse_in_subspace(graphs, 12, random_state=0, **more),
}


@pytest.fixture(scope="module")
def problem():
    return planted(40, d=8)


@pytest.fixture(scope="module")
def lists():
    Z, (W, *_), _ = planted(120, d=16)
    return nearest_neighbors(Z, W, Q, temperature=TAU), kernel(Z, W, TAU)


def test_affinity_equals_the_transcription_entry_by_entry(problem):
    Z, (W, *_), _ = problem
    Z, W = Z.astype(np.float64), W.astype(np.float64)
    shares = [softmax((W @ z / TAU)[None])[0] for z in Z]
    expected = [
        [z @ other * sum(s * t) / TAU**2 for other, t in zip(Z, shares, strict=True)]
        for z, s in zip(Z, shares, strict=True)
    ]
    assert np.allclose(ntk_affinity(Z, W, TAU), expected, rtol=2e-4)
    # Lengths of the features do not matter.
    scales = np.linspace(0.1, 9, len(Z))[:, None]
    assert np.allclose(ntk_affinity(Z * scales, 3 * W, TAU), expected, rtol=1e-3)
    S = noun_assignments(Z, W, TAU)
    assert np.allclose(S.sum(axis=1), 1, atol=1e-6)
    assert np.allclose(S, shares, atol=1e-5)
    for function in (ntk_affinity, noun_assignments):
        assert np.array_equal(function(Z, W), function(Z, W, 0.04))


def test_it_is_the_tangent_kernel_of_the_log_sum_exp_at_the_nouns(problem):
    Z, (W, *_), _ = problem
    Z, W = unit(Z[:6].astype(np.float64)), unit(W.astype(np.float64))
    steps = 1e-5 * np.eye(W.size).reshape(-1, *W.shape)

    def f(z, nouns):
        return np.log(np.exp(nouns @ z / TAU).sum(axis=-1))

    gradients = np.stack([(f(z, W + steps) - f(z, W - steps)) / 2e-5 for z in Z])
    assert np.allclose(ntk_affinity(Z, W, TAU), gradients @ gradients.T, rtol=1e-4)


def test_it_is_the_product_of_its_two_halves_and_rbf_the_gaussian_of_distances(problem):
    Z, (W, *_), _ = problem
    visual, semantic = (ntk_affinity(Z, W, TAU, affinity=a) for a in ("visual", "semantic"))
    assert np.allclose(ntk_affinity(Z, W, TAU), visual * semantic * TAU**2, rtol=1e-4)
    assert np.allclose(visual, unit(Z) @ unit(Z).T / TAU**2, rtol=1e-4)
    Z = unit(Z.astype(np.float64))
    gaussian = np.exp(-((Z[:, None] - Z) ** 2).sum(axis=2) / 0.5)
    assert np.allclose(ntk_affinity(Z, None, 0.5, affinity="rbf"), gaussian, atol=1e-5)


@pytest.mark.parametrize("rule", ["mutual", "union"])
def test_edges_are_those_of_the_transcription(lists, rule):
    found, K = lists
    expected = neighbor_graph(K.astype(np.float64), Q, rule)
    expected = (expected + expected.T) / 2
    assert expected.any()
    for source in (found, K):
        found = sparsify(source, Q, rule)
        assert np.allclose(found.toarray(), expected, rtol=1e-3)
        assert (found != found.T).nnz == 0


def test_negative_edges_stay_unless_clipped():
    A = np.array([[9, -1, -2], [-1, 9, 3], [-2, 3, 9.0]])
    kept = sparsify(A, 2, "mutual").toarray()
    assert np.array_equal(kept, A - np.diag(np.diag(A)))
    assert np.array_equal(sparsify(A, 2, "union").toarray(), kept)
    clipped = sparsify(A, 2, "mutual", clip_negatives=True)
    assert clipped.nnz == 2
    assert clipped[1, 2] == 3


@pytest.mark.parametrize("floor", [0.0, 1.0, 30.0])
def test_transitions_equal_the_transcription_and_those_of_rows_sum_to_one(lists, floor):
    graph = sparsify(lists[0], Q)
    found = normalize_graph(graph, degree_floor=floor)
    assert np.allclose(found.toarray(), transition(graph.toarray(), floor), atol=1e-6)
    assert np.abs(np.linalg.eigvalsh(found.toarray().astype(np.float64))).max() < 1 + 1e-6
    graph = sparsify(lists[0], Q, "union")
    assert np.allclose(normalize_graph(graph, "row").sum(axis=1), 1, atol=1e-6)
    # Rows without a positive degree stay empty.
    graph = sparse.csr_array(np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=np.float32))
    assert np.allclose(normalize_graph(graph).toarray(), graph.toarray())


def random_graphs(seed, n=40, n_prompts=4, normalization="symmetric"):
    """Graphs of any degrees and weights, some of them in pieces, some with lone images."""
    rng = np.random.default_rng(seed)
    graphs = []
    for _ in range(n_prompts):
        weights = rng.random((n, n)) ** rng.integers(1, 8)
        A = np.triu(weights * (rng.random((n, n)) < rng.uniform(0.02, 0.5)), 1)
        graphs.append(normalize_graph(sparse.csr_array(A + A.T), normalization))
    return graphs


@pytest.fixture(scope="module")
def transitions():
    Z, Ws, _ = planted(150, d=16)
    lists = [nearest_neighbors(Z, W, 10, temperature=0.1) for W in Ws]
    return [normalize_graph(sparsify(found, 10, "union")).astype(np.float64) for found in lists]


@pytest.mark.parametrize("form", FORMS)
def test_steps_weights_and_the_recorded_objective_equal_the_transcription(transitions, form):
    dense = [S.toarray() for S in transitions]
    if form == "full":
        found = diffuse_affinities(transitions, regularization=0.5)
        A, beta = diffusion(dense, lam=0.5)
        assert np.allclose(found.affinity, A, atol=1e-12)
        assert np.allclose(found.prompt_weights, beta, atol=1e-9)
        assert beta.std() > 0.01
    found = FORMS[form](transitions, n_rounds=2, n_steps=3)
    assert found.steps == ("start", *2 * ("diffusion", "diffusion", "diffusion", "weights"))
    start = objective(np.eye(len(dense[0])), dense, np.full(3, 1 / 3), 0.1, 10)
    assert np.isclose(found.objective[0], start)
    if form == "full":
        last = objective(found.affinity, dense, found.prompt_weights, 0.1, 10)
        assert np.isclose(found.objective[-1], last)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(12))
def test_the_objective_does_not_rise_on_random_graphs(form, seed):
    rng = np.random.default_rng(100 + seed)
    settings = {"mu": 10 ** rng.uniform(-3, 1), "regularization": 10 ** rng.uniform(-3, 2)}
    found = FORMS[form](random_graphs(seed), **settings, n_steps=5, tol=0)
    assert (np.diff(found.objective) <= 1e-9 * found.objective[0]).all()
    assert found.objective[-1] < found.objective[0]


def test_a_degree_floor_does_not_raise_it_but_the_codes_rule_and_row_normalisation_can():
    graphs = [S * 0.7 for S in random_graphs(3)]
    assert (np.diff(diffuse_affinities(graphs).objective) <= 1e-9).all()
    coded, rows = {"regularization": 0.1, "weights": "coordinate"}, {"n_rounds": 1}
    rises = [[], []]
    for seed in range(6):
        found = diffuse_affinities(random_graphs(seed), **coded)
        change = np.diff(found.objective)
        of_weights = np.array(found.steps[1:]) == "weights"
        assert (change[~of_weights] <= 1e-9).all()
        rises[0].append(change[of_weights].max())
        graphs = random_graphs(seed, normalization="row")
        found = diffuse_affinities(graphs, **rows, n_steps=40)
        rises[1].append(np.diff(found.objective[:-1]).max())
    assert max(rises[0]) > 1e-3
    assert max(rises[1]) > 1e-4


@pytest.mark.parametrize("lam", [0.1, 1.0, 10.0])
def test_weights_are_the_minimiser_on_the_simplex(lam):
    rng = np.random.default_rng(0)
    for _ in range(20):
        H = rng.normal(size=5) * 10 ** rng.uniform(-1, 2)
        beta = simplex_weights(H, lam)
        assert np.isclose(beta.sum(), 1)
        assert beta.min() >= 0
        assert np.allclose(beta, best_weights(H, lam), atol=1e-9)


def test_the_rule_of_the_code_agrees_where_prompts_are_alike_and_misses_where_they_differ():
    H, lam = np.array([0.0, 30.0, 40.0, 50.0]), 10.0
    exact, coded = simplex_weights(H, lam), coordinate_weights(np.full(4, 0.25), H, lam)
    assert np.array_equal(exact, [1, 0, 0, 0])
    assert coded[0] < 0.95
    again = coordinate_weights(exact, H, lam)
    assert again @ H + lam / 2 * again @ again >= exact @ H + lam / 2 * exact @ exact
    H = np.array([10.0, 10.4, 9.9])
    assert np.allclose(coordinate_weights(np.full(3, 1 / 3), H), simplex_weights(H), atol=1e-2)


def test_weights_go_to_the_smoother_graph_and_even_out_with_lambda(transitions):
    rng = np.random.default_rng(0)
    order = rng.permutation(transitions[0].shape[0])
    noise = sparse.csr_array(transitions[0][order][:, order])
    graphs = [*transitions[:2], noise]
    sharp = diffuse_affinities(graphs, regularization=0.1).prompt_weights
    even = diffuse_affinities(graphs, regularization=1e6).prompt_weights
    assert sharp[2] < 0.01 < 0.3 < sharp[:2].max()
    assert np.allclose(even, 1 / 3, atol=1e-3)


def test_equal_graphs_are_weighed_equally_and_their_steps_end_at_the_limit(transitions):
    found = diffuse_affinities([transitions[0]] * 3)
    assert np.allclose(found.prompt_weights, 1 / 3)
    single = diffuse_affinities([transitions[0]])
    assert np.allclose(found.affinity, single.affinity)
    S = transitions[0].toarray()
    limit = np.linalg.inv(np.eye(len(S)) - S @ S / 1.1) * 0.1 / 1.1
    long = diffuse_affinities([transitions[0]], n_rounds=1, n_steps=400, tol=0)
    assert np.allclose(long.affinity, limit, atol=1e-8)
    found = diffuse_affinities(transitions, n_rounds=2, n_steps=300, tol=1e-4)
    assert 5 < found.steps.index("weights") < 100


@pytest.mark.parametrize("normalization", ["symmetric", "row"])
def test_a_subspace_of_full_rank_loses_nothing(normalization):
    graphs = random_graphs(1, normalization=normalization)
    full = diffuse_affinities(graphs, regularization=0.5)
    low = diffuse_in_subspace(graphs, 40, regularization=0.5, random_state=0)
    assert np.allclose(low.affinity.toarray(), full.affinity, atol=1e-5)
    assert np.allclose(low.prompt_weights, full.prompt_weights, atol=1e-4)
    assert np.allclose(low.objective, full.objective, rtol=1e-5)


def test_a_subspace_comes_near_to_the_full_affinity_with_its_rank(transitions):
    full = diffuse_affinities(transitions)
    low = {
        rank: diffuse_in_subspace(transitions, rank, random_state=0)
        for rank in (4, 12, 20, 30, 50, 150)
    }
    ends = [low[rank].objective[-1] for rank in (4, 12, 50, 150)]
    assert (np.diff(ends) < 0).all()
    assert ends[-1] == pytest.approx(full.objective[-1], rel=1e-6)
    assert ends[1] - full.objective[-1] < 0.02 * full.objective[-1]
    off = ~np.eye(len(full.affinity), dtype=bool)
    missed = (low[30].affinity.toarray() - full.affinity)[off]
    assert np.linalg.norm(missed) < 0.03 * np.linalg.norm(full.affinity[off])
    # Its products, rows and diagonal are those of one matrix.
    S = low[20].affinity
    A, X = S.toarray(), np.random.default_rng(0).normal(size=(150, 3))
    assert np.allclose(A, A.T, atol=1e-6)
    assert np.allclose(S @ X, A @ X, atol=1e-4)
    assert np.allclose(S @ X[:, 0], (A @ X)[:, 0], atol=1e-4)
    assert np.allclose(S.diagonal(), np.diag(A), atol=1e-5)
    assert np.allclose(S.rows([5, 2]), A[[5, 2]])


def test_bad_input_is_named(problem, lists, transitions):
    Z, (W, *_), _ = problem
    holed, bad = Z.copy(), transitions[0].copy()
    holed[3, 2] = bad.data[0] = np.nan
    found, S = lists[0], transitions[0]
    for message, call in (
        ("Z holds NaN or infinity in row 3", lambda: ntk_affinity(holed, W)),
        ("numbers of features differ", lambda: ntk_affinity(Z, W[:, 1:])),
        ("numbers of features differ", lambda: ntk_affinity(Z, W, others=Z[:, 1:])),
        ("needs W", lambda: ntk_affinity(Z)),
        ("temperature=0", lambda: ntk_affinity(Z, W, 0)),
        ("Did you mean 'semantic'", lambda: ntk_affinity(Z, W, affinity="semantics")),
        ("n_neighbors=6", lambda: sparsify(found, 6)),
        ("n_neighbors=0", lambda: sparsify(found, 0)),
        ("square matrix", lambda: sparsify(np.ones((3, 4)), 2)),
        ("finite", lambda: sparsify(np.full((3, 3), np.inf), 2)),
        ("Did you mean 'mutual'", lambda: sparsify(found, 3, "mutuals")),
        ("degree_floor=-1", lambda: normalize_graph(sparsify(found, 3), degree_floor=-1)),
        ("transitions is empty", lambda: diffuse_affinities([])),
        ("one square shape", lambda: diffuse_affinities([S, random_graphs(0)[0]])),
        (r"transitions\[1\] holds NaN", lambda: diffuse_in_subspace([S, bad], 3)),
        ("mu=0", lambda: diffuse_affinities([S], mu=0)),
        ("regularization=0", lambda: diffuse_affinities([S], regularization=0)),
        ("regularization=0", lambda: simplex_weights([1, 2], regularization=0)),
        ("n_rounds=0", lambda: diffuse_affinities([S], n_rounds=0)),
        ("n_steps=0", lambda: diffuse_affinities([S], n_steps=0)),
        ("tol=-1", lambda: diffuse_affinities([S], tol=-1)),
        ("weights='exakt'", lambda: diffuse_affinities([S], weights="exakt")),
        ("rank=151", lambda: diffuse_in_subspace([S], 151)),
        ("rank=0", lambda: diffuse_in_subspace([S], 0)),
        ("finite number for each prompt", lambda: simplex_weights([np.nan, 1])),
    ):
        with refusing(message):
            call()
