"""SMART as an estimator: the run that it does, what it keeps, and what it refuses."""

import warnings

import numpy as np
import pytest
import torch
from problem_stand_ins import groups
from products import Products
from refusals import out_of_range, refused
from smart_transcription import plain_training

from mvlib import SMART, data
from mvlib.methods.smart import semantic_graph, semantic_threshold
from mvlib.methods.smart.equations import Objective, correlation_matrix, objective_step
from mvlib.methods.smart.network import SMARTNetwork
from mvlib.metrics import accuracy, clustering_scores
from mvlib.ops import blocked_kmeans, top_k

FROM_ALIGNED = ["mean-2std", "mean-std", "mean", "percentile-0", "percentile-16.5",
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
    Xs, y = groups(n, range(6, 6 + n_views), n_clusters, spread=3, seed=seed)
    return data.min_max_scale(Xs), y


@pytest.fixture(scope="module")
def problem():
    return data.partially_align(*blobs(), 0.5)


@pytest.fixture(scope="module")
def fit(problem):
    def fit(n_clusters=3, aligned=problem.aligned, y=None, **changes):
        return SMART(n_clusters, **SMALL | changes).fit(problem.Xs, y, aligned=aligned)

    return fit


@pytest.fixture(scope="module")
def fitted(fit):
    return fit(track=("eval", "train"))


def test_loss_curve_is_that_of_the_plain_transcription(problem):
    settings = SMALL | {"batch_size": 200, "epochs": 25, "lambda1": 3.0, "lambda2": 2.0}
    settings |= {"temperature": 0.5}
    model = SMART(3, **settings).fit(problem.Xs, aligned=problem.aligned)
    Xs = [torch.from_numpy(X) for X in problem.Xs]
    plain = plain_training(Xs, torch.from_numpy(problem.aligned), settings, 0, 25)
    assert model.history_["loss"] == pytest.approx(plain, rel=1e-4)


def test_tracking_changes_neither_training_nor_clustering(fit, fitted):
    bare = fit()
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
    kept, best = 0, (-1, -1, -1)
    for epoch, found in enumerate(labels):
        scores = clustering_scores(y, found)
        acc, nmi, ari = found = scores["acc"], scores["nmi"], scores["ari"]
        if acc > best[0] or acc == best[0] and (nmi >= best[1] or ari >= best[2]):
            kept, best = epoch, found
    return kept


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


def test_the_kept_network_is_that_of_the_kept_epoch(problem, fit):
    settings = {"learning_rate": 0.05, "epochs": 8}
    kept = fit(**settings, selection="loss")
    assert kept.epoch_ < 7
    stopped = fit(**settings | {"epochs": kept.epoch_ + 1})
    assert np.allclose(kept.encode(problem.Xs)[0], stopped.encode(problem.Xs)[0])
    assert np.array_equal(kept.labels_, stopped.labels_)


def test_the_oracle_says_that_it_reads_the_labels_and_no_other_selection_does(problem, fit):
    with pytest.warns(UserWarning, match="reads the labels"):
        fit(y=problem.y, epochs=2, selection="oracle")
    for selection in ("last", "loss"):
        wrong = fit(y=np.zeros(120, int), selection=selection).labels_
        assert np.array_equal(wrong, fit(selection=selection).labels_)


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


def test_a_graph_per_batch_joins_no_rows_of_different_batches_and_is_that_beyond_20000_rows(
    fit,
):
    graph = fit(graph_batch_size=50).semantic_graph_[0].tocoo()
    row, column = graph.coords
    assert graph.nnz
    assert (row // 50 == column // 50).all()
    model = SMART(3, batch_size=500)
    assert [model._graph_rows(n) for n in (20_000, 20_001)] == [20_000, 500]


def test_further_views_have_graphs_and_one_equal_to_the_second_changes_reconstruction_alone(
    problem,
):
    Xs, y = blobs(n_views=3)
    views = data.partially_align(Xs, y, 0.5)
    model = SMART(3, **SMALL).fit(views.Xs, aligned=views.aligned)
    assert model.embedding_.shape == (120, 3 * 8)
    assert len(model.semantic_graph_) == 2
    torch.manual_seed(0)
    network = SMARTNetwork([6, 7, 7], (16,), 4)
    network.autoencoders[2] = network.autoencoders[1]
    X_1, X_2 = (torch.from_numpy(X) for X in problem.Xs)
    aligned = torch.from_numpy(problem.aligned)
    objective = Objective(2.0, 3.0, 1.0)
    step = objective_step(network, [X_1, X_2, X_2], aligned, objective)
    assert step.features is None
    three = step.parts
    total = sum(w * float(part) for w, part in zip((1, 2, 3), three.values(), strict=True))
    assert float(step.loss.detach()) == pytest.approx(total, rel=1e-5)
    del network.autoencoders[2]
    two = objective_step(network, [X_1, X_2], aligned, objective).parts
    for part in ("distribution_alignment", "semantic_matching"):
        assert float(three[part]) == pytest.approx(float(two[part]), rel=1e-5)


def test_losses_left_out_are_missing_in_the_history(fit):
    history = fit(lambda1=0, lambda2=0).history_
    assert np.isnan(history["distribution_alignment"]).all()
    assert np.isnan(history["semantic_matching"]).all()
    assert np.allclose(history["loss"], history["reconstruction"])


def test_one_aligned_row_batches_without_any_and_a_last_one_of_one_row_give_no_nan(fit):
    one_aligned = fit(aligned=np.arange(120) == 7, batch_size=16)
    one_row = SMART(3, **SMALL | {"batch_size": 32}).fit(blobs(n=65)[0])
    for model in (one_aligned, one_row):
        assert np.isfinite(model.history_["loss"]).all()


def test_bfloat16_follows_the_float32_curve(fit):
    curves = [fit(precision=p).history_["loss"] for p in ("float32", "bfloat16")]
    assert np.allclose(*curves, rtol=0.05)
    assert not np.array_equal(*curves)


def test_a_processor_without_bfloat16_is_given_no_product_of_it(fit, monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    with Products() as products:
        model = fit(precision="bfloat16", track=("eval", "train"))
        model.encode(blobs(n=9)[0])
        features = model.embedding_
        blocked_kmeans(features, 3, precision="bfloat16", random_state=0, device="cpu")
        top_k(features, features, 5, precision="bfloat16", device="cpu")
    assert set(products.types) == {torch.float32}


def test_paper_settings_are_those_of_the_table_and_fit_the_constructor():
    settings = SMART.paper_settings("MNIST_USPS")
    assert settings["lambda1"] == 30
    assert settings["temperature"] == 0.8
    assert SMART(10, **settings).get_params()["embedding_dim"] == 10
    settings["lambda1"] = 0
    assert SMART.paper_settings("mnist-usps")["lambda1"] == 30


def fit_small(**changes):
    arguments = {"n_clusters": 3} | SMALL | changes
    return SMART(**arguments).fit(blobs()[0], aligned=np.arange(120) < 60)


test_a_parameter_out_of_range_is_named = out_of_range(
    fit_small,
    {
        "n_clusters": (121, 2.5), "epochs": (0,), "batch_size": (1,), "temperature": (0,),
        "lambda1": (-1,), "learning_rate": (np.nan,), "threshold": ("nearest-0",),
        "init": ("random",), "selection": ("best",), "features": ("evaluation",),
        "track": ("eval",), "precision": ("half",), "device": ("tpu0",),
    },
)  # fmt: skip
VIEWS = tuple(blobs()[0])
HOLED = [VIEWS[1].copy() for _ in "AB"]
HOLED[0][4, 2], HOLED[1][4, 2] = np.nan, np.inf


test_what_cannot_be_clustered_is_refused_by_name = refused(
    [
        ("track_starts' n_init=0", lambda: fit_small(track_starts=[("draws", 0)])),
        ("track_starts' init='twenty'", lambda: fit_small(track_starts=[("twenty", 20)])),
        ("'draws': expected pairs", lambda: fit_small(track_starts=("draws",))),
        ("'ab': expected pairs", lambda: fit_small(track_starts=("ab",))),
        ("2, 3\\): expected pairs", lambda: fit_small(track_starts=[("draws", 2, 3)])),
        ("track='evl' .* Did you mean 'eval'", lambda: fit_small(track=("evl",))),
        ("vda_terms is empty", lambda: fit_small(vda_terms=())),
        ("hidden_dims=0 is out of range", lambda: fit_small(hidden_dims=(0,))),
        ("selection='oracle' needs y", lambda: fit_small(selection="oracle")),
        ("Did you mean 'handwritten'", lambda: SMART.paper_settings("handwriten")),
    ]
    + [
        (message, lambda views=views: SMART(1, **SMALL).fit(views))
        for message, views in (
            ("Xs has 1 views: expected at least 2", VIEWS[:1]),
            ("Xs is one array of shape", VIEWS[0]),
            (r"Xs\[1\] holds nan at row 4, column 2", (VIEWS[0], HOLED[0])),
            (r"Xs\[0\] holds inf", (HOLED[1], VIEWS[1])),
            (r"different lengths \[120, 119\]", (VIEWS[0], VIEWS[1][:-1])),
            (r"Xs\[1\] has shape \(120, 0\)", (VIEWS[0], VIEWS[1][:, :0])),
            (r"Xs\[1\] is not numeric", (VIEWS[0], np.full((120, 7), "x", object))),
            ("Xs has 1 row", [X[:1] for X in VIEWS]),
        )
    ]
    + [
        (message, lambda mask=mask: SMART(3, **SMALL).fit(VIEWS, aligned=mask))
        for message, mask in (
            (r"aligned has shape \(119,\)", np.ones(119, bool)),
            ("aligned has dtype int64", np.arange(120)),
            ("aligned has dtype float64", np.ones(120)),
        )
    ]
)


def test_encode_refuses_views_of_other_widths(problem, fitted):
    with pytest.raises(ValueError, match=r"Xs has widths \[7, 6\]: expected \[6, 7\]"):
        fitted.encode(problem.Xs[::-1])


@pytest.fixture(scope="module")
def ruled(fit):
    return lambda rule, **changes: fit(
        **{"epochs": 3, "batch_size": 200} | changes, threshold=rule
    )


@pytest.fixture(scope="module")
def crowded(fit):
    """Fit with so many clusters that one start is seldom the best."""
    return lambda **changes: fit(12, **{"epochs": 3, "batch_size": 200} | changes)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_trains_in_batches_and_clusters(ruled, rule):
    model = ruled(rule, batch_size=32, precision="bfloat16", track=("train",))
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


def test_a_fit_reads_its_threshold_by_the_rule_that_it_was_given(ruled):
    # Without L_smc the graph changes no step, so that all rules meet the same embeddings.
    T = [
        ruled(rule, epochs=25, lambda2=0, features="train").history_["threshold"][-1]
        for rule in FROM_ALIGNED
    ]
    assert 0.01 < T[0] < T[1] < T[2] < T[5]
    assert T[2] - T[1] == pytest.approx(T[1] - T[0], rel=1e-4)
    assert T[3] < T[4] < T[5]


def test_a_fit_with_nearest_joins_no_unaligned_row_to_more_than_k(problem, ruled):
    counts = np.diff(ruled("nearest-4").semantic_graph_[0].tocsr().indptr)
    assert counts[~problem.aligned].max() == 4
    assert counts[problem.aligned].max() <= 5


@pytest.mark.parametrize("rule", RULES)
def test_only_a_rule_that_reads_aligned_rows_refuses_to_go_without(ruled, rule):
    none = np.zeros(120, bool)
    if rule in FROM_ALIGNED:
        with pytest.raises(ValueError, match=f"aligned has no True: the threshold '{rule}'"):
            ruled(rule, aligned=none)
    else:
        model = ruled(rule, aligned=none)
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


@pytest.mark.parametrize("track", [(), ("eval",), ("train",), ("eval", "train")])
def test_further_starts_are_kept_beside_the_single_one_and_change_nothing_else(crowded, track):
    bare, single = crowded().history_, crowded(track=track)
    model = crowded(track=track, track_starts=[("draws", 5)])
    assert bare.keys() <= single.history_.keys() <= model.history_.keys()
    assert np.array_equal(model.labels_, single.labels_)
    for name, values in single.history_.items():
        assert np.array_equal(model.history_[name], values)
    kept = {name for name in model.history_ if name.startswith("labels")}
    assert kept == {f"labels_{mode}{kind}" for mode in track for kind in ("", "_draws_5")}
    for name in kept:
        assert model.history_[name].shape == (3, 120)
        assert model.history_[name].max() < 12
    # As many further starts as k-means makes anyway give the same clusterings.
    same = crowded(track=track, n_init=3, track_starts=[("draws", 3)]).history_
    for mode in track:
        assert np.array_equal(same[f"labels_{mode}_draws_3"], same[f"labels_{mode}"])


@pytest.mark.parametrize("features", ["eval", "train"])
def test_the_best_of_many_starts_is_no_looser_than_the_single_one(crowded, features):
    gains = []
    settings = {"features": features, "track": (features,), "track_starts": [("draws", 20)]}
    for seed in range(4):
        model = crowded(**settings, random_state=seed)
        single, best = (
            inertia(model.embedding_, model.history_[f"labels_{features}{kind}"][-1])
            for kind in ("", "_draws_20")
        )
        gains.append(1 - best / single)
    # Lloyd stops at a tolerance, so that the means still move a little after its own count.
    assert min(gains) > -0.01
    assert max(gains) > 0.05
