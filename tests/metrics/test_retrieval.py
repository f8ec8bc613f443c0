import itertools
import math

import numpy as np
import pytest
from plain import unit
from refusals import refuses

from mvlib.metrics import batched_top_1, embedding_mmd, modality_gap, retrieval_scores


def clouds(n=40, m=40, d=3, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(n, d))
    B = rng.normal(size=(m, d))
    B[: min(n, m)] = A[: min(n, m)] + noise * B[: min(n, m)]
    return A, B


def plain(A, B, pairs, depths):
    """What is found for A among B, by counting."""
    ranks, cosine = [], unit(A) @ unit(B).T
    for i in sorted({i for i, _ in pairs}):
        order = list(np.argsort(-cosine[i]))
        ranks.append(1 + min(order.index(j) for q, j in pairs if q == i))
    found = {f"r@{k}": np.mean([rank <= k for rank in ranks]) for k in depths}
    return found | {"median_rank": np.median(ranks)}


def both_directions(A, B, pairs, depths):
    back = [(j, i) for i, j in pairs]
    first, second = plain(A, B, pairs, depths), plain(B, A, back, depths)
    return {"first_to_second": first, "second_to_first": second}


def without_chance(found):
    return {
        way: {key: value for key, value in scores.items() if not key.startswith("chance")}
        for way, scores in found.items()
    }


def test_scores_are_those_of_counting_in_both_directions():
    A, B = clouds()
    expected = both_directions(A, B, [(i, i) for i in range(40)], (1, 5, 10))
    found = without_chance(retrieval_scores(7 * A, B))
    for way, scores in expected.items():
        assert found[way] == pytest.approx(scores)
    assert found["first_to_second"] != found["second_to_first"]


def test_the_best_of_many_partners_counts_and_rows_without_one_only_distract():
    A, B = clouds(12, 300)
    rng = np.random.default_rng(1)
    pairs = [(i, int(j)) for i in range(1, 12) for j in rng.choice(300, i, replace=False)]
    found = without_chance(retrieval_scores(A, B, pairs, depths=(1, 20)))
    for way, scores in both_directions(A, B, pairs, (1, 20)).items():
        assert found[way] == pytest.approx(scores)


WIDE = np.random.default_rng(0).normal(size=256).astype(np.float32)


@pytest.mark.parametrize("constant", [np.ones(3), np.zeros(3), WIDE], ids=["1", "0", "wide"])
def test_an_embedding_that_tells_nothing_scores_as_chance(constant):
    A, B = np.tile(constant, (60, 1)), np.tile(constant, (60, 1)) + 1e-9
    for scores in retrieval_scores(A, B).values():
        for k in (1, 5, 10):
            assert scores[f"r@{k}"] == pytest.approx(k / 60) == scores[f"chance_r@{k}"]
        assert scores["median_rank"] == 30.5 == scores["chance_median_rank"]
    found = batched_top_1(A, B, batch_size=20)
    assert found["first_to_second"] == pytest.approx(0.05) == found["chance"]


def test_random_embeddings_score_about_chance():
    rng = np.random.default_rng(0)
    scores = retrieval_scores(rng.normal(size=(3000, 8)), rng.normal(size=(3000, 8)))
    assert scores["first_to_second"]["r@10"] == pytest.approx(10 / 3000, abs=0.003)
    assert scores["second_to_first"]["median_rank"] == pytest.approx(1500, rel=0.1)


def test_ties_count_by_their_mean_over_all_orders():
    # Cosines of one query: two rows nearer, then four tied, two of them partners.
    levels = np.array([0.9, 0.8, 0.5, 0.5, 0.5, 0.5, 0.1])
    gallery = np.stack([levels, np.sqrt(1 - levels**2)], axis=1)
    scores = retrieval_scores([[1.0, 0.0]], gallery, [(0, 3), (0, 4), (0, 6)], depths=(2, 3, 4))
    orders = itertools.permutations(range(4))
    ranks = [3 + min(order.index(0), order.index(1)) for order in orders]
    found = scores["first_to_second"]
    for k in (2, 3, 4):
        assert found[f"r@{k}"] == pytest.approx(np.mean([rank <= k for rank in ranks]))
    assert found["median_rank"] == pytest.approx(np.mean(ranks))
    chance = 1 - math.comb(4, 3) / math.comb(7, 3)
    assert found["chance_r@3"] == pytest.approx(chance)


def test_perfect_embeddings_have_recall_one_and_rank_one():
    A, _ = clouds()
    for scores in retrieval_scores(A, 2 * A).values():
        assert scores["r@1"] == 1
        assert scores["median_rank"] == 1
    assert batched_top_1(A, A, batch_size=10)["second_to_first"] == 1


def test_top_1_in_batches_looks_inside_the_batch_only_and_drops_the_rest():
    A, B = clouds(47, 47)
    hits = []
    for rows in (slice(0, 20), slice(20, 40)):
        cosines = unit(A[rows]) @ unit(B[rows]).T
        hits += list(cosines.argmax(axis=1) == np.arange(20))
    assert batched_top_1(A, B, 20)["first_to_second"] == pytest.approx(np.mean(hits))
    assert np.mean(hits) > retrieval_scores(A, B)["first_to_second"]["r@1"]
    shuffled = [batched_top_1(A, B, 20, random_state=seed) for seed in (0, 0, 1)]
    assert shuffled[0] == shuffled[1] != shuffled[2]


def test_gap_and_mmd_vanish_for_one_cloud_and_see_a_shift():
    A, _ = clouds(200, 200)
    order = np.random.default_rng(0).permutation(200)
    assert modality_gap(A, 3 * A[order]) == pytest.approx(0, abs=1e-7)
    assert embedding_mmd(A, A[order]) == pytest.approx(0, abs=1e-6)
    e = np.eye(3)
    assert modality_gap(e[:1], -e[:1]) == pytest.approx(2)
    assert embedding_mmd(e[:1], e[1:2]) == pytest.approx(2 - 2 * math.exp(-2))
    assert embedding_mmd(A, A + [1, 0, 0]) > 0.01


def test_mmd_draws_from_large_sets_by_its_seed():
    A, B = clouds(300, 200)
    drawn = [embedding_mmd(A, B, n_samples=50, random_state=seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


X, Y = np.ones((4, 2)), np.ones((5, 2))


test_bad_input_is_refused_by_name = refuses(
    retrieval_scores,
    (lambda: retrieval_scores(X, np.ones((4, 3))), "second has 3 features"),
    (lambda: retrieval_scores(X, Y), "expected pairs"),
    (lambda: retrieval_scores(X, X * np.nan), "second"),
    (lambda: retrieval_scores(X, X[:0]), "second"),
    (lambda: retrieval_scores(X, Y, [[0, 5]]), r"pairs\[:, 1\] goes from 5 to 5"),
    (lambda: retrieval_scores(X, Y, np.ones((1, 3), int)), "pairs has shape"),
    (lambda: retrieval_scores(X, Y, np.ones((0, 2), int)), "at least one pair"),
    (lambda: retrieval_scores(X, X, depths=(0,)), "depths"),
    (lambda: batched_top_1(X, X, 5), "batch_size=5"),
    (lambda: batched_top_1(X, X, 1), "batch_size=1"),
    (lambda: batched_top_1(X, Y, 2), "second has 5 rows"),
    (lambda: modality_gap(X, [[np.inf, 1.0]]), "second"),
    (lambda: embedding_mmd(X, X, bandwidths=()), "bandwidths is empty"),
    (lambda: embedding_mmd(X, X, n_samples=0), "n_samples"),
)
