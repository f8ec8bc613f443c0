"""SMART as an estimator: the run that it does, what it keeps, and what it refuses."""

import warnings

import numpy as np
import pytest
import torch
from smart_transcription import plain_training

from mvlib import SMART, data
from mvlib.methods.smart import semantic_graph, semantic_threshold
from mvlib.methods.smart.equations import Objective, correlation_matrix, objective_step
from mvlib.methods.smart.network import SMARTNetwork
from mvlib.metrics import accuracy, clustering_scores

FROM_ALIGNED = ["mean-std", "mean", "mean-2std", "percentile-0", "percentile-16.5",
                "percentile-100"]  # fmt: skip
FROM_ALL = ["nearest-1", "nearest-500", 0.3, -1]
RULES = [*FROM_ALIGNED, *FROM_ALL]
SMALL = {
    "hidden_dims": (32, 32),
    "embedding_dim": 8,
    "epochs": 6,
    "batch_size": 64,
    "learning_rate": 1e-3,
    "random_state": 0,
    "device": "cpu",
}


def blobs(n=120, n_views=2, seed=0, n_clusters=3):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_clusters, n)
    Xs = []
    for v in range(n_views):
        centers = 3 * rng.normal(size=(n_clusters, 6 + v))
        Xs.append((centers[y] + rng.normal(size=(n, 6 + v))).astype(np.float32))
    return data.min_max_scale(Xs), y


@pytest.fixture(scope="module")
def problem():
    return data.partially_align(*blobs(), 0.5)


@pytest.fixture(scope="module")
def fitted(problem):
    model = SMART(3, **SMALL, track=("eval", "train"))
    return model.fit(problem.Xs, aligned=problem.aligned)


def test_loss_curve_is_that_of_the_plain_transcription(problem):
    settings = SMALL | {"batch_size": 200, "epochs": 25, "lambda1": 3.0, "lambda2": 2.0}
    settings |= {"temperature": 0.5}
    model = SMART(3, **settings).fit(problem.Xs, aligned=problem.aligned)
    Xs = [torch.from_numpy(X) for X in problem.Xs]
    plain = plain_training(Xs, torch.from_numpy(problem.aligned), settings, 0, 25)
    assert model.history_["loss"] == pytest.approx(plain, rel=1e-4)


def test_tracking_changes_neither_training_nor_clustering(problem, fitted):
    bare = SMART(3, **SMALL).fit(problem.Xs, aligned=problem.aligned)
    assert np.array_equal(bare.history_["loss"], fitted.history_["loss"])
    assert np.array_equal(bare.labels_, fitted.labels_)
    assert np.array_equal(fitted.history_["labels_eval"][-1], fitted.labels_)
    assert fitted.history_["labels_train"].shape == (SMALL["epochs"], 120)


def test_training_clusters_what_k_means_of_a_noisy_view_does_not(problem):
    model = SMART(3, **SMALL | {"epochs": 40}, n_init=10)
    labels = model.fit_predict(problem.Xs, aligned=problem.aligned)
    assert accuracy(problem.y, labels) > 0.9
    assert model.history_["reconstruction"][-1] < model.history_["reconstruction"][0] / 2


def epoch_of_the_authors(y, labels):
    """Of equal accuracies a later one is kept whose NMI or ARI is not lower."""
    kept = None
    for epoch, found in enumerate(labels):
        scores = clustering_scores(y, found)
        acc, nmi, ari = scores["acc"], scores["nmi"], scores["ari"]
        if (
            kept is None
            or acc > kept[1]
            or acc == kept[1]
            and (nmi >= kept[2] or ari >= kept[3])
        ):
            kept = epoch, acc, nmi, ari
    return kept[0]


@pytest.mark.parametrize("features", ["eval", "train"])
def test_each_selection_keeps_the_epoch_that_its_rule_names(problem, fitted, features):
    history = fitted.history_
    accuracies = [accuracy(problem.y, labels) for labels in history[f"labels_{features}"]]
    epochs = {
        "last": SMALL["epochs"] - 1,
        "loss": int(np.argmin(history["loss"])),
        "oracle": epoch_of_the_authors(problem.y, history[f"labels_{features}"]),
    }
    assert accuracies[epochs["oracle"]] == max(accuracies)
    for selection, epoch in epochs.items():
        model = SMART(3, **SMALL, selection=selection, features=features)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            model.fit(problem.Xs, problem.y, aligned=problem.aligned)
        assert model.epoch_ == epoch
        assert np.array_equal(model.labels_, history[f"labels_{features}"][epoch])


def test_the_kept_network_is_that_of_the_kept_epoch(problem):
    settings = SMALL | {"learning_rate": 0.05, "epochs": 8}
    kept = SMART(3, **settings, selection="loss").fit(problem.Xs, aligned=problem.aligned)
    assert kept.epoch_ < 7
    stopped = SMART(3, **settings | {"epochs": kept.epoch_ + 1}).fit(
        problem.Xs, aligned=problem.aligned
    )
    assert np.allclose(kept.encode(problem.Xs)[0], stopped.encode(problem.Xs)[0])
    assert np.array_equal(kept.labels_, stopped.labels_)


def test_oracle_says_that_it_reads_the_labels(problem):
    model = SMART(3, **SMALL | {"epochs": 2}, selection="oracle")
    with pytest.warns(UserWarning, match="reads the labels"):
        model.fit(problem.Xs, problem.y, aligned=problem.aligned)
    with pytest.raises(ValueError, match="selection='oracle' needs y"):
        model.fit(problem.Xs, aligned=problem.aligned)


def test_no_other_selection_reads_the_labels(problem):
    wrong = np.zeros(120, int)
    for selection in ("last", "loss"):
        model = SMART(3, **SMALL, selection=selection)
        with_labels = model.fit(problem.Xs, wrong, aligned=problem.aligned).labels_
        assert np.array_equal(
            with_labels, model.fit(problem.Xs, aligned=problem.aligned).labels_
        )


def test_embedding_is_the_projection_beside_the_matched_one(problem, fitted):
    Z_1, Z_2 = (torch.from_numpy(Z) for Z in fitted.encode(problem.Xs))
    aligned = torch.from_numpy(problem.aligned)
    W = semantic_graph(
        correlation_matrix(Z_1, Z_2), semantic_threshold(Z_1[aligned], Z_2[aligned]), aligned
    )
    with torch.no_grad():
        H_1, H_2 = (fitted.network_.project(Z) for Z in (Z_1, Z_2))
    matched = torch.nn.functional.normalize(W @ H_2, dim=1)
    assert np.allclose(fitted.embedding_, torch.cat([H_1, matched], dim=1).numpy(), atol=1e-5)
    assert np.allclose(fitted.semantic_graph_[0].toarray(), W.numpy(), atol=1e-5)


def test_a_graph_per_batch_joins_no_rows_of_different_batches(problem):
    model = SMART(3, **SMALL, graph_batch_size=50).fit(problem.Xs, aligned=problem.aligned)
    graph = model.semantic_graph_[0].tocoo()
    row, column = graph.coords
    assert graph.nnz
    assert (row // 50 == column // 50).all()


def test_beyond_20000_rows_the_graph_is_per_batch():
    model = SMART(3, batch_size=500)
    assert model._graph_rows(20_000) == 20_000
    assert model._graph_rows(20_001) == 500


def test_three_views_give_a_graph_for_each_further_view():
    Xs, y = blobs(n_views=3)
    problem = data.partially_align(Xs, y, 0.5)
    model = SMART(3, **SMALL).fit(problem.Xs, aligned=problem.aligned)
    assert model.embedding_.shape == (120, 3 * 8)
    assert len(model.semantic_graph_) == 2


def test_a_third_view_equal_to_the_second_changes_no_loss_but_reconstruction(problem):
    torch.manual_seed(0)
    network = SMARTNetwork([6, 7, 7], (16,), 4)
    network.autoencoders[2] = network.autoencoders[1]
    X_1, X_2 = (torch.from_numpy(X) for X in problem.Xs)
    aligned = torch.from_numpy(problem.aligned)
    objective = Objective(1.0, 1.0, 1.0)
    three = objective_step(network, [X_1, X_2, X_2], aligned, objective).parts
    del network.autoencoders[2]
    two = objective_step(network, [X_1, X_2], aligned, objective).parts
    for part in ("distribution_alignment", "semantic_matching"):
        assert float(three[part]) == pytest.approx(float(two[part]), rel=1e-5)


def test_losses_left_out_are_missing_in_the_history(problem):
    model = SMART(3, **SMALL, lambda1=0, lambda2=0).fit(problem.Xs, aligned=problem.aligned)
    assert np.isnan(model.history_["distribution_alignment"]).all()
    assert np.isnan(model.history_["semantic_matching"]).all()
    assert np.allclose(model.history_["loss"], model.history_["reconstruction"])


def test_one_aligned_row_and_batches_without_any_train_without_nan(problem):
    one = np.zeros(120, bool)
    one[7] = True
    model = SMART(3, **SMALL | {"batch_size": 16}).fit(problem.Xs, aligned=one)
    assert np.isfinite(model.history_["loss"]).all()


def test_a_last_batch_of_one_row_joins_the_one_before():
    Xs, y = blobs(n=65)
    model = SMART(3, **SMALL | {"batch_size": 32}).fit(Xs)
    assert np.isfinite(model.history_["loss"]).all()


def test_bfloat16_follows_the_float32_curve(problem):
    curves = [
        SMART(3, **SMALL, precision=precision)
        .fit(problem.Xs, aligned=problem.aligned)
        .history_["loss"]
        for precision in ("float32", "bfloat16")
    ]
    assert np.allclose(*curves, rtol=0.05)
    assert not np.array_equal(*curves)


def test_paper_settings_are_those_of_the_table_and_fit_the_constructor():
    settings = SMART.paper_settings("MNIST_USPS")
    assert settings["lambda1"] == 30
    assert settings["temperature"] == 0.8
    assert SMART(10, **settings).get_params()["embedding_dim"] == 10
    settings["lambda1"] = 0
    assert SMART.paper_settings("mnist-usps")["lambda1"] == 30
    with pytest.raises(ValueError, match="Did you mean 'handwritten'"):
        SMART.paper_settings("handwriten")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_clusters": 121}, "n_clusters=121 is more than n_samples=120"),
        ({"n_clusters": 2.5}, "n_clusters=2.5 is out of range"),
        ({"epochs": 0}, "epochs=0 is out of range"),
        ({"batch_size": 1}, "batch_size=1 is out of range"),
        ({"temperature": 0}, "temperature=0 is out of range"),
        ({"lambda1": -1}, "lambda1=-1 is out of range"),
        ({"learning_rate": float("nan")}, "learning_rate=nan is out of range"),
        ({"threshold": "nearest-0"}, "threshold='nearest-0': expected a whole number K"),
        ({"track_starts": [("draws", 0)]}, "track_starts' n_init=0 is out of range"),
        ({"track_starts": [("twenty", 20)]}, "track_starts' init='twenty' is unknown"),
        ({"track_starts": ("draws",)}, "track_starts holds 'draws': expected pairs"),
        ({"init": "random"}, "init='random' is unknown"),
        ({"selection": "best"}, "selection='best' is unknown"),
        ({"features": "evaluation"}, "features='evaluation' is unknown"),
        ({"track": "eval"}, "track='eval' is a string"),
        ({"track": ("evl",)}, "track='evl' is unknown. Did you mean 'eval'"),
        ({"vda_terms": ()}, "vda_terms is empty"),
        ({"precision": "half"}, "precision='half' is unknown"),
        ({"hidden_dims": (0,)}, "hidden_dims=0 is out of range"),
        ({"device": "tpu0"}, "device='tpu0' cannot be used here"),
    ],
)
def test_parameters_out_of_range_are_named(problem, change, message):
    arguments = {"n_clusters": 3} | SMALL | change
    with pytest.raises(ValueError, match=message):
        SMART(**arguments).fit(problem.Xs, aligned=problem.aligned)


def with_value(X, value):
    X = X.copy()
    X[4, 2] = value
    return X


@pytest.mark.parametrize(
    ("views", "message"),
    [
        (lambda A, B: [A], "Xs has 1 views: expected at least 2"),
        (lambda A, B: A, "Xs is one array of shape"),
        (lambda A, B: [A, with_value(B, np.nan)], r"Xs\[1\] holds nan at row 4, column 2"),
        (lambda A, B: [with_value(A, np.inf), B], r"Xs\[0\] holds inf"),
        (lambda A, B: [A, B[:-1]], r"different lengths \[120, 119\]"),
        (lambda A, B: [A, B[:, :0]], r"Xs\[1\] has shape \(120, 0\)"),
        (lambda A, B: [A, B.astype(str).astype(object) + "x"], r"Xs\[1\] is not numeric"),
        (lambda A, B: [A[:1], B[:1]], "Xs has 1 row"),
    ],
)
def test_views_that_cannot_be_clustered_are_refused(problem, views, message):
    with pytest.raises(ValueError, match=message):
        SMART(1, **SMALL).fit(views(*problem.Xs))


@pytest.mark.parametrize(
    ("aligned", "message"),
    [
        (np.ones(119, bool), r"aligned has shape \(119,\)"),
        (np.arange(120), "aligned has dtype int64"),
        (np.ones(120), "aligned has dtype float64"),
    ],
)
def test_a_mask_of_another_kind_is_refused(problem, aligned, message):
    with pytest.raises(ValueError, match=message):
        SMART(3, **SMALL).fit(problem.Xs, aligned=aligned)


def test_encode_refuses_views_of_other_widths(problem, fitted):
    with pytest.raises(ValueError, match=r"Xs has widths \[7, 6\]: expected \[6, 7\]"):
        fitted.encode(problem.Xs[::-1])


def ruled(problem, rule, aligned=None, **changes):
    model = SMART(3, **SMALL | {"epochs": 3, "batch_size": 200} | changes, threshold=rule)
    return model.fit(problem.Xs, aligned=problem.aligned if aligned is None else aligned)


def crowded(problem, **changes):
    """Fit with so many clusters that one start is seldom the best."""
    settings = SMALL | {"epochs": 3, "batch_size": 200} | changes
    return SMART(12, **settings).fit(problem.Xs, aligned=problem.aligned)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_trains_in_batches_and_clusters(problem, rule):
    model = ruled(problem, rule, batch_size=32, precision="bfloat16", track=("train",))
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
        model = ruled(problem, rule, epochs=25, lambda2=0, features="train")
        return model.history_["threshold"][-1]

    found = {rule: last(rule) for rule in FROM_ALIGNED}
    order = ["mean-2std", "mean-std", "mean", "percentile-100"]
    assert found["mean-2std"] > 0.01
    assert [found[rule] for rule in order] == sorted({found[rule] for rule in order})
    steps = np.diff([found[rule] for rule in order[:3]])
    assert steps[0] == pytest.approx(steps[1], rel=1e-4)
    assert found["percentile-0"] < found["percentile-16.5"] < found["percentile-100"]


def test_a_fit_with_nearest_joins_no_unaligned_row_to_more_than_k(problem):
    model = ruled(problem, "nearest-4")
    counts = np.diff(model.semantic_graph_[0].tocsr().indptr)
    assert counts[~problem.aligned].max() == 4
    assert counts[problem.aligned].max() <= 5


@pytest.mark.parametrize("rule", FROM_ALIGNED)
def test_a_rule_that_reads_aligned_rows_refuses_to_go_without(problem, rule):
    with pytest.raises(ValueError, match=f"aligned has no True: the threshold '{rule}'"):
        ruled(problem, rule, aligned=np.zeros(120, bool))


@pytest.mark.parametrize("rule", FROM_ALL)
def test_nearest_and_a_number_do_without_any_aligned_row(problem, rule):
    model = ruled(problem, rule, aligned=np.zeros(120, bool))
    assert np.isfinite(model.history_["loss"]).all()
    assert len(model.labels_) == 120


def inertia(X, labels):
    """Sum of cosine distances to the means of the clusters' unit vectors."""
    X = X.astype(float) / np.linalg.norm(X, axis=1, keepdims=True)
    total = 0.0
    for k in np.unique(labels):
        center = X[labels == k].mean(axis=0)
        total += (1 - X[labels == k] @ center / np.linalg.norm(center)).sum()
    return total


@pytest.mark.parametrize("track", [("eval",), ("train",), ("eval", "train")])
def test_further_starts_are_kept_beside_the_single_one_for_what_is_tracked(problem, track):
    model = crowded(problem, track=track, track_starts=[("draws", 5)])
    kept = {name for name in model.history_ if name.startswith("labels")}
    assert kept == {f"labels_{mode}{kind}" for mode in track for kind in ("", "_draws_5")}
    for name in kept:
        assert model.history_[name].shape == (3, 120)
        assert model.history_[name].max() < 12
    without = crowded(problem, track=track)
    assert not any(name.endswith("_draws_5") for name in without.history_)


def test_further_starts_change_neither_training_nor_the_kept_clustering(problem):
    bare = crowded(problem)
    for track in ((), ("eval", "train")):
        tracked = crowded(problem, track=track, track_starts=[("draws", 5)])
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
