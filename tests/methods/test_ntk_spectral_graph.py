"""The graph: which edges are kept, how pieces are tied, how it is normalised."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from support.ntk_transcription import kernel, neighbor_graph, planted, transition

from mvlib.methods.ntk_spectral import (
    Neighbors,
    connect_fragments,
    nearest_neighbors,
    normalize_graph,
    ntk_affinity,
    sparsify,
)

TAU, Q = 0.1, 5


@pytest.fixture(scope="module")
def problem():
    return planted(120, d=16)


@pytest.fixture(scope="module")
def lists(problem):
    Z, (W, *_), _ = problem
    return nearest_neighbors(Z, W, Q, temperature=TAU)


@pytest.mark.parametrize("rule", ["mutual", "union"])
def test_edges_are_those_of_the_transcription(problem, lists, rule):
    Z, (W, *_), _ = problem
    expected = neighbor_graph(kernel(Z, W, TAU).astype(np.float64), Q, rule)
    expected = (expected + expected.T) / 2
    for source in (lists, ntk_affinity(Z, W, TAU)):
        found = sparsify(source, Q, rule)
        assert np.allclose(found.toarray(), expected, rtol=1e-3)
        assert (found != found.T).nnz == 0


def test_mutual_edges_are_a_part_of_the_union(lists):
    mutual, union = sparsify(lists, Q, "mutual"), sparsify(lists, Q, "union")
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


def test_neighbors_are_sorted_and_leave_the_image_itself_out(lists):
    assert (np.diff(lists.values, axis=1) <= 0).all()
    assert not (lists.indices == np.arange(len(lists.indices))[:, None]).any()


@pytest.mark.parametrize("affinity", ["ntk", "visual", "semantic", "rbf"])
def test_blocks_find_what_the_full_matrix_holds(problem, affinity, monkeypatch):
    Z, (W, *_), _ = problem
    monkeypatch.setattr("mvlib.methods.ntk_spectral.scale.SEARCH_BYTES", 4 * 120 * 7)
    found = nearest_neighbors(Z, W, Q, temperature=TAU, affinity=affinity)
    A = ntk_affinity(Z, W, TAU, affinity=affinity)
    np.fill_diagonal(A, -np.inf)
    assert np.allclose(found.values, -np.sort(-A, axis=1)[:, :Q], rtol=1e-4)
    assert np.allclose(found.values, np.take_along_axis(A, found.indices, axis=1), rtol=1e-4)


def test_cells_find_most_neighbors_and_true_affinities(monkeypatch):
    Z, (W, *_), _ = planted(1200, n_classes=6, d=24)
    monkeypatch.setattr("mvlib.methods.ntk_spectral.scale.CANDIDATES", 400)
    monkeypatch.setattr("mvlib.methods.ntk_spectral.scale.CELL_ROWS", 50)
    exact = nearest_neighbors(Z, W, Q, temperature=TAU, search="exact")
    cells = nearest_neighbors(Z, W, Q, temperature=TAU, search="cells", random_state=0)
    shared = [len(set(a) & set(b)) for a, b in zip(exact.indices, cells.indices, strict=True)]
    assert np.mean(shared) > 0.95 * Q
    A = ntk_affinity(Z, W, TAU)
    assert np.allclose(cells.values, np.take_along_axis(A, cells.indices, axis=1), rtol=1e-4)
    again = nearest_neighbors(Z, W, Q, temperature=TAU, search="cells", random_state=0)
    assert np.array_equal(cells.indices, again.indices)


def test_cells_that_reach_everywhere_are_exact(problem, lists):
    Z, (W, *_), _ = problem
    found = nearest_neighbors(Z, W, Q, temperature=TAU, search="cells", random_state=0)
    assert np.allclose(found.values, lists.values, rtol=1e-4)


@pytest.mark.parametrize("floor", [0.0, 1.0, 30.0])
def test_symmetric_transitions_equal_the_transcription(lists, floor):
    graph = sparsify(lists, Q)
    found = normalize_graph(graph, degree_floor=floor)
    assert np.allclose(found.toarray(), transition(graph.toarray(), floor), atol=1e-6)
    assert np.abs(np.linalg.eigvalsh(found.toarray().astype(np.float64))).max() < 1 + 1e-6


def test_row_transitions_sum_to_one(lists):
    graph = sparsify(lists, Q, "union")
    assert np.allclose(normalize_graph(graph, "row").sum(axis=1), 1, atol=1e-6)


def test_rows_without_a_positive_degree_stay_empty():
    graph = sparse.csr_array(np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=np.float32))
    found = normalize_graph(graph)
    assert np.allclose(found.toarray(), graph.toarray())


def chain(n_pieces, size, far):
    """Images in pieces, each listing its own and one image of the next piece, farther off."""
    n = n_pieces * size
    values, indices = np.empty((n, size), np.float32), np.empty((n, size), np.int64)
    for i in range(n):
        piece = i // size
        own = [j for j in range(piece * size, (piece + 1) * size) if j != i]
        indices[i] = [*own, (piece + 1) % n_pieces * size]
        values[i] = [1.0] * len(own) + [far]
    return Neighbors(values, indices)


def test_small_pieces_are_tied_by_their_strongest_edge():
    lists = chain(4, 3, far=0.5)
    lists.values[4, -1] = 0.7
    graph = sparsify(lists, 3, "mutual")
    assert connected_components(graph)[0] == 4
    tied, small = connect_fragments(graph, lists, 3)
    assert small.all()
    assert connected_components(tied)[0] == 1
    added = tied - graph
    assert added[4, 6] == added[6, 4] == np.float32(0.7)
    assert added.count_nonzero() == 8
    assert set(np.unique(added.data[added.data != 0])) == {np.float32(0.5), np.float32(0.7)}


def test_pieces_large_enough_for_a_cluster_are_left_alone():
    lists = chain(4, 3, far=0.5)
    graph = sparsify(lists, 3, "mutual")
    same, small = connect_fragments(graph, lists, 2)
    assert not small.any()
    assert (same != graph).nnz == 0


def test_an_edge_without_weight_ties_nothing():
    lists = chain(2, 3, far=0.0)
    graph = sparsify(lists, 3, "mutual")
    same, _ = connect_fragments(graph, lists, 3)
    assert connected_components(same)[0] == 2


def test_bad_input_is_named(problem, lists):
    Z, (W, *_), _ = problem
    with pytest.raises(ValueError, match="n_neighbors=120 is too many for 120 images"):
        nearest_neighbors(Z, W, 120)
    with pytest.raises(ValueError, match="n_neighbors=9 is more than the 5 of each list"):
        sparsify(lists, 9)
    with pytest.raises(ValueError, match="square matrix"):
        sparsify(np.ones((3, 4)), 2)
    with pytest.raises(ValueError, match="finite"):
        sparsify(np.full((3, 3), np.inf), 2)
    with pytest.raises(ValueError, match="Did you mean 'mutual'"):
        sparsify(lists, 3, "mutuals")
    with pytest.raises(ValueError, match="search='exakt'"):
        nearest_neighbors(Z, W, 3, search="exakt")
    with pytest.raises(ValueError, match="degree_floor=-1"):
        normalize_graph(sparsify(lists, 3), degree_floor=-1)
    with pytest.raises(ValueError, match="needs W"):
        nearest_neighbors(Z, None, 3)
