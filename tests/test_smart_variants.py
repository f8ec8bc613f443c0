"""SMART with choices that are not the paper's: other graphs, more starts of k-means."""

import numpy as np
import pytest

from mvlib import SMART, data

FROM_ALIGNED = ["mean-std", "mean", "mean-2std", "percentile-0", "percentile-16.5",
                "percentile-100"]  # fmt: skip
FROM_ALL = ["nearest-1", "nearest-500", 0.3, -1]
RULES = [*FROM_ALIGNED, *FROM_ALL]
SMALL = {
    "hidden_dims": (32, 32),
    "embedding_dim": 8,
    "epochs": 3,
    "batch_size": 200,
    "learning_rate": 1e-3,
    "random_state": 0,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 90)
    Xs = [3 * rng.normal(size=(3, d))[y] + rng.normal(size=(90, d)) for d in (6, 7)]
    return data.partially_align(data.min_max_scale(Xs), y, 0.5)


def fitted(problem, rule, aligned=None, **changes):
    model = SMART(3, **SMALL | changes, threshold=rule)
    return model.fit(problem.Xs, aligned=problem.aligned if aligned is None else aligned)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_trains_in_batches_and_clusters(problem, rule):
    model = fitted(problem, rule, batch_size=32, precision="bfloat16", track=("train",))
    assert np.isfinite(model.history_["loss"]).all()
    assert np.isfinite(model.embedding_).all()
    assert set(model.labels_) <= {0, 1, 2}
    thresholds = model.history_["threshold"]
    if str(rule).startswith("nearest"):
        assert np.isnan(thresholds).all()
    elif rule in FROM_ALIGNED:
        assert (thresholds > 0.0099).all()
    else:
        assert thresholds == pytest.approx(rule)


def test_a_fit_reads_its_threshold_by_the_rule_that_it_was_given(problem):
    def last(rule):
        # Without L_smc the graph changes no step, so that all rules meet the same embeddings.
        model = fitted(problem, rule, epochs=25, lambda2=0, features="train")
        return model.history_["threshold"][-1]

    found = {rule: last(rule) for rule in FROM_ALIGNED}
    order = ["mean-2std", "mean-std", "mean", "percentile-100"]
    assert found["mean-2std"] > 0.01
    assert [found[rule] for rule in order] == sorted({found[rule] for rule in order})
    steps = np.diff([found[rule] for rule in order[:3]])
    assert steps[0] == pytest.approx(steps[1], rel=1e-4)
    assert found["percentile-0"] < found["percentile-16.5"] < found["percentile-100"]


def test_a_fit_with_nearest_joins_no_unaligned_row_to_more_than_k(problem):
    model = fitted(problem, "nearest-4")
    counts = np.diff(model.semantic_graph_[0].tocsr().indptr)
    assert counts[~problem.aligned].max() == 4
    assert counts[problem.aligned].max() <= 5


@pytest.mark.parametrize("rule", FROM_ALIGNED)
def test_a_rule_that_reads_aligned_rows_refuses_to_go_without(problem, rule):
    with pytest.raises(ValueError, match=f"aligned has no True: the threshold '{rule}'"):
        fitted(problem, rule, aligned=np.zeros(90, bool))


@pytest.mark.parametrize("rule", FROM_ALL)
def test_nearest_and_a_number_do_without_any_aligned_row(problem, rule):
    model = fitted(problem, rule, aligned=np.zeros(90, bool))
    assert np.isfinite(model.history_["loss"]).all()
    assert len(model.labels_) == 90


FIVE = ("draws", 5)


def inertia(X, labels):
    """Sum of cosine distances to the means of the clusters' unit vectors."""
    X = X.astype(float) / np.linalg.norm(X, axis=1, keepdims=True)
    total = 0.0
    for k in np.unique(labels):
        center = X[labels == k].mean(axis=0)
        total += (1 - X[labels == k] @ center / np.linalg.norm(center)).sum()
    return total


def crowded(problem, **changes):
    """Fit with so many clusters that one start is seldom the best."""
    return SMART(12, **SMALL | changes).fit(problem.Xs, aligned=problem.aligned)


@pytest.mark.parametrize("track", [("eval",), ("train",), ("eval", "train")])
def test_further_starts_are_kept_beside_the_single_one_for_what_is_tracked(problem, track):
    model = crowded(problem, track=track, track_starts=[FIVE])
    kept = {name for name in model.history_ if name.startswith("labels")}
    assert kept == {f"labels_{mode}{kind}" for mode in track for kind in ("", "_draws_5")}
    for name in kept:
        assert model.history_[name].shape == (3, 90)
        assert model.history_[name].max() < 12
    without = crowded(problem, track=track)
    assert not any(name.endswith("_draws_5") for name in without.history_)


def test_further_starts_change_neither_training_nor_the_kept_clustering(problem):
    bare = crowded(problem)
    for track in ((), ("eval", "train")):
        tracked = crowded(problem, track=track, track_starts=[FIVE])
        assert np.array_equal(tracked.labels_, bare.labels_)
        for name, values in bare.history_.items():
            assert np.array_equal(tracked.history_[name], values)
    one_start = crowded(problem, track=("eval", "train"))
    for mode in ("eval", "train"):
        name = f"labels_{mode}"
        assert np.array_equal(tracked.history_[name], one_start.history_[name])


@pytest.mark.parametrize("features", ["eval", "train"])
def test_the_best_of_many_starts_is_no_looser_than_the_single_one(problem, features):
    gains = []
    for seed in range(4):
        model = crowded(
            problem,
            features=features,
            track=(features,),
            track_starts=[("draws", 20)],
            random_state=seed,
        )
        single, best = (
            inertia(model.embedding_, model.history_[f"labels_{features}{kind}"][-1])
            for kind in ("", "_draws_20")
        )
        gains.append(1 - best / single)
    # Lloyd stops at a tolerance, so that the means still move a little after its own count.
    assert min(gains) > -0.01
    assert max(gains) > 0.05


def test_as_many_further_starts_as_k_means_makes_anyway_give_the_same_clusterings(problem):
    same = crowded(problem, track=("eval",), n_init=3, track_starts=[("draws", 3)])
    history = same.history_
    assert np.array_equal(history["labels_eval_draws_3"], history["labels_eval"])
