"""Affinity, diffusion, weights: their formulas, what they are, and what they refuse."""

import numpy as np
import pytest
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
    expected = np.zeros((len(Z), len(Z)))
    for i in range(len(Z)):
        for j in range(len(Z)):
            s_i, s_j = (softmax((W @ Z[[r]].T / TAU).T)[0] for r in (i, j))
            expected[i, j] = (
                (Z[i] @ Z[j]) * sum(s_i[k] * s_j[k] for k in range(len(W))) / TAU**2
            )
    assert np.allclose(ntk_affinity(Z, W, TAU), expected, rtol=2e-4)


def test_it_is_the_tangent_kernel_of_the_log_sum_exp_at_the_nouns(problem):
    Z, (W, *_), _ = problem
    Z, W = unit(Z[:6].astype(np.float64)), unit(W.astype(np.float64))

    def f(z, nouns):
        return np.log(np.exp(nouns @ z / TAU).sum())

    step = 1e-5
    gradients = np.zeros((len(Z), W.size))
    for i, z in enumerate(Z):
        for entry in range(W.size):
            moved = np.zeros(W.size)
            moved[entry] = step
            moved = moved.reshape(W.shape)
            gradients[i, entry] = (f(z, W + moved) - f(z, W - moved)) / (2 * step)
    assert np.allclose(ntk_affinity(Z, W, TAU), gradients @ gradients.T, rtol=1e-4)


def test_it_is_the_product_of_its_two_halves(problem):
    Z, (W, *_), _ = problem
    visual, semantic = (ntk_affinity(Z, W, TAU, affinity=a) for a in ("visual", "semantic"))
    assert np.allclose(ntk_affinity(Z, W, TAU), visual * semantic * TAU**2, rtol=1e-4)
    assert np.allclose(visual, unit(Z) @ unit(Z).T / TAU**2, rtol=1e-4)


def test_rbf_is_the_gaussian_of_distances_and_needs_no_noun(problem):
    Z = unit(problem[0].astype(np.float64))
    distances = ((Z[:, None] - Z) ** 2).sum(axis=2)
    assert np.allclose(
        ntk_affinity(Z, None, 0.5, affinity="rbf"), np.exp(-distances / 0.5), atol=1e-5
    )


def test_lengths_of_the_features_do_not_matter(problem):
    Z, (W, *_), _ = problem
    scales = np.linspace(0.1, 9, len(Z))[:, None]
    assert np.allclose(ntk_affinity(Z * scales, 3 * W, TAU), kernel(Z, W, TAU), rtol=1e-3)


def test_assignments_are_a_softmax_of_cosines(problem):
    Z, (W, *_), _ = problem
    S = noun_assignments(Z, W, TAU)
    assert np.allclose(S.sum(axis=1), 1, atol=1e-6)
    assert np.allclose(S, softmax(unit(Z) @ unit(W).T / TAU), atol=1e-5)


@pytest.mark.parametrize("rule", ["mutual", "union"])
def test_edges_are_those_of_the_transcription(lists, rule):
    found, K = lists
    expected = neighbor_graph(K.astype(np.float64), Q, rule)
    expected = (expected + expected.T) / 2
    for source in (found, K):
        found = sparsify(source, Q, rule)
        assert np.allclose(found.toarray(), expected, rtol=1e-3)
        assert (found != found.T).nnz == 0


def test_mutual_edges_are_a_part_of_the_union(lists):
    mutual, union = (sparsify(lists[0], Q, rule) for rule in ("mutual", "union"))
    assert 0 < mutual.nnz < union.nnz
    assert (union - mutual).multiply(mutual).count_nonzero() == 0


def test_negative_edges_stay_unless_clipped():
    A = np.array([[9, -1, -2], [-1, 9, 3], [-2, 3, 9.0]])
    kept = sparsify(A, 2, "mutual").toarray()
    assert np.array_equal(kept, A - np.diag(np.diag(A)))
    assert np.array_equal(sparsify(A, 2, "union").toarray(), kept)
    clipped = sparsify(A, 2, "mutual", clip_negatives=True)
    assert clipped.nnz == 2
    assert clipped[1, 2] == 3


@pytest.mark.parametrize("floor", [0.0, 1.0, 30.0])
def test_symmetric_transitions_equal_the_transcription(lists, floor):
    graph = sparsify(lists[0], Q)
    found = normalize_graph(graph, degree_floor=floor)
    assert np.allclose(found.toarray(), transition(graph.toarray(), floor), atol=1e-6)
    assert np.abs(np.linalg.eigvalsh(found.toarray().astype(np.float64))).max() < 1 + 1e-6


def test_row_transitions_sum_to_one(lists):
    graph = sparsify(lists[0], Q, "union")
    assert np.allclose(normalize_graph(graph, "row").sum(axis=1), 1, atol=1e-6)


def test_rows_without_a_positive_degree_stay_empty():
    graph = sparse.csr_array(np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=np.float32))
    found = normalize_graph(graph)
    assert np.allclose(found.toarray(), graph.toarray())


def random_graphs(seed, n=40, n_prompts=4, normalization="symmetric"):
    """Graphs of any degrees and weights, some of them in pieces, some with lone images."""
    rng = np.random.default_rng(seed)
    graphs = []
    for _ in range(n_prompts):
        A = rng.random((n, n)) ** rng.integers(1, 8) * (
            rng.random((n, n)) < rng.uniform(0.02, 0.5)
        )
        A = np.triu(A, 1)
        graph = sparse.csr_array(A + A.T)
        graphs.append(normalize_graph(graph, normalization))
    return graphs


@pytest.fixture(scope="module")
def transitions():
    Z, Ws, _ = planted(150, d=16)
    lists = [nearest_neighbors(Z, W, 10, temperature=0.1) for W in Ws]
    return [normalize_graph(sparsify(found, 10, "union")).astype(np.float64) for found in lists]


def test_steps_and_weights_equal_the_transcription(transitions):
    found = diffuse_affinities(transitions, regularization=0.5)
    A, beta = diffusion([S.toarray() for S in transitions], lam=0.5)
    assert np.allclose(found.affinity, A, atol=1e-12)
    assert np.allclose(found.prompt_weights, beta, atol=1e-9)
    assert beta.std() > 0.01


@pytest.mark.parametrize("form", FORMS)
def test_the_record_is_the_objective_of_what_is_returned(transitions, form):
    found = FORMS[form](transitions, n_rounds=2, n_steps=3)
    assert found.steps == ("start", *("diffusion",) * 3, "weights") + ("diffusion",) * 3 + (
        "weights",
    )
    dense = [S.toarray() for S in transitions]
    n = len(dense[0])
    start = objective(np.eye(n), dense, np.full(3, 1 / 3), 0.1, 10)
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


def test_nor_does_it_with_a_degree_floor():
    graphs = [S * 0.7 for S in random_graphs(3)]
    assert (np.diff(diffuse_affinities(graphs).objective) <= 1e-9).all()


def test_the_rule_of_the_code_can_raise_it():
    rises = []
    for seed in range(6):
        found = diffuse_affinities(
            random_graphs(seed), regularization=0.1, weights="coordinate"
        )
        change = np.diff(found.objective)
        of_weights = np.array(found.steps[1:]) == "weights"
        assert (change[~of_weights] <= 1e-9).all()
        rises.append(change[of_weights].max())
    assert max(rises) > 1e-3


def test_row_normalisation_can_raise_it():
    found = [
        diffuse_affinities(random_graphs(seed, normalization="row"), n_rounds=1, n_steps=40)
        for seed in range(6)
    ]
    assert max(np.diff(result.objective[:-1]).max() for result in found) > 1e-4


@pytest.mark.parametrize("lam", [0.1, 1.0, 10.0])
def test_weights_are_the_minimiser_on_the_simplex(lam):
    rng = np.random.default_rng(0)
    for _ in range(20):
        H = rng.normal(size=5) * 10 ** rng.uniform(-1, 2)
        beta = simplex_weights(H, lam)
        assert np.isclose(beta.sum(), 1)
        assert beta.min() >= 0
        assert np.allclose(beta, best_weights(H, lam), atol=1e-9)


def test_the_rule_of_the_code_misses_it_where_prompts_differ_by_much():
    H, lam = np.array([0.0, 30.0, 40.0, 50.0]), 10.0
    exact, coded = simplex_weights(H, lam), coordinate_weights(np.full(4, 0.25), H, lam)
    assert np.array_equal(exact, [1, 0, 0, 0])
    assert coded[0] < 0.95
    again = coordinate_weights(exact, H, lam)
    assert again @ H + lam / 2 * again @ again >= exact @ H + lam / 2 * exact @ exact


def test_the_rule_of_the_code_agrees_where_prompts_are_alike():
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


def test_equal_graphs_are_weighed_equally(transitions):
    found = diffuse_affinities([transitions[0]] * 3)
    assert np.allclose(found.prompt_weights, 1 / 3)
    single = diffuse_affinities([transitions[0]])
    assert np.allclose(found.affinity, single.affinity)
    S = transitions[0].toarray()
    limit = np.linalg.inv(np.eye(len(S)) - S @ S / 1.1) * 0.1 / 1.1
    long = diffuse_affinities([transitions[0]], n_rounds=1, n_steps=400, tol=0)
    assert np.allclose(long.affinity, limit, atol=1e-8)


def test_steps_end_once_the_affinity_settles(transitions):
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


def test_its_objective_is_above_the_full_one_and_falls_to_it_with_the_rank(transitions):
    full = diffuse_affinities(transitions).objective[-1]
    ends = [
        diffuse_in_subspace(transitions, rank, random_state=0).objective[-1]
        for rank in (4, 12, 50, 150)
    ]
    assert (np.diff(ends) < 0).all()
    assert ends[-1] == pytest.approx(full, rel=1e-6)
    assert ends[1] - full < 0.02 * full


def test_it_is_near_to_the_full_affinity_off_the_diagonal(transitions):
    full = diffuse_affinities(transitions).affinity
    low = diffuse_in_subspace(transitions, 30, random_state=0).affinity
    off = ~np.eye(len(full), dtype=bool)
    assert np.linalg.norm((low.toarray() - full)[off]) < 0.03 * np.linalg.norm(full[off])


def test_its_products_rows_and_diagonal_are_those_of_one_matrix(transitions):
    low = diffuse_in_subspace(transitions, 20, random_state=0).affinity
    A = low.toarray()
    X = np.random.default_rng(0).normal(size=(len(A), 3))
    assert np.allclose(A, A.T, atol=1e-6)
    assert np.allclose(low @ X, A @ X, atol=1e-4)
    assert np.allclose(low @ X[:, 0], (A @ X)[:, 0], atol=1e-4)
    assert np.allclose(low.diagonal(), np.diag(A), atol=1e-5)
    assert np.allclose(low.rows([5, 2]), A[[5, 2]])


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
        ("n_neighbors=9", lambda: sparsify(found, 9)),
        ("square matrix", lambda: sparsify(np.ones((3, 4)), 2)),
        ("finite", lambda: sparsify(np.full((3, 3), np.inf), 2)),
        ("Did you mean 'mutual'", lambda: sparsify(found, 3, "mutuals")),
        ("degree_floor=-1", lambda: normalize_graph(sparsify(found, 3), degree_floor=-1)),
        ("transitions is empty", lambda: diffuse_affinities([])),
        ("one square shape", lambda: diffuse_affinities([S, random_graphs(0)[0]])),
        (r"transitions\[1\] holds NaN", lambda: diffuse_in_subspace([S, bad], 3)),
        ("mu=0", lambda: diffuse_affinities([S], mu=0)),
        ("regularization=-1", lambda: diffuse_affinities([S], regularization=-1)),
        ("weights='exakt'", lambda: diffuse_affinities([S], weights="exakt")),
        ("rank=151", lambda: diffuse_in_subspace([S], 151)),
        ("finite number for each prompt", lambda: simplex_weights([np.nan, 1])),
    ):
        with pytest.raises(ValueError, match=message):
            call()
