"""What the SMART notebooks lean on: settings, scores by rule, floors, figures."""

from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from mvlib import SMART, data, plots
from mvlib.metrics import accuracy, adjusted_rand_index, clustering_scores
from mvlib.ops import cosine_kmeans
from mvlib.papers.smart import ABLATIONS, compare_rules, compare_seeds, smart_settings
from mvlib.records import score_table
from mvlib.tasks.views import (
    AUTHORS,
    ONE,
    TWENTY,
    accuracy_curve,
    final_scores,
    record_selection,
    run_floors,
    scores_by_mode,
    selection_scores,
    smart_recorder,
)

mpl.use("agg")
SHORT = {"hidden_dims": (16,), "embedding_dim": 4, "epochs": 3, "batch_size": 64}


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 40)
    Xs = [3 * rng.normal(size=(3, d))[y] + rng.normal(size=(120, d)) for d in (5, 6)]
    return data.partially_align(data.min_max_scale(Xs), y, 0.5)


@pytest.fixture(scope="module")
def model(problem):
    tracked = {"track": ("eval", "train"), "track_starts": (AUTHORS, TWENTY)}
    fitted = SMART(3, **SHORT, **tracked, random_state=1, device="cpu")
    return fitted.fit(problem.Xs, aligned=problem.aligned)


def test_full_settings_are_the_papers_and_quick_ones_are_smaller():
    full = smart_settings("handwritten", "full")
    assert full == SMART.paper_settings("handwritten")
    quick = smart_settings("handwritten", "quick")
    assert quick["epochs"] < full["epochs"] / 5
    assert quick["lambda1"] == full["lambda1"]
    reduced = smart_settings("handwritten", "reduced")
    assert quick["epochs"] < reduced["epochs"] < full["epochs"]
    assert quick["hidden_dims"] < reduced["hidden_dims"] < SMART(10, **full).hidden_dims
    assert reduced["lambda1"] == full["lambda1"]
    assert smart_settings("cub", "full") == SMART.paper_settings("other")
    with pytest.raises(ValueError, match="Did you mean 'quick'"):
        smart_settings("cub", "quik")


def test_every_ablation_changes_what_its_name_says():
    assert ABLATIONS["all"] == {}
    assert ABLATIONS["L_rec + L_vda"] == {"lambda2": 0.0}
    assert ABLATIONS["L_rec + L_smc"] == {"lambda1": 0.0}
    for change in ABLATIONS.values():
        SMART(3, **change)


def test_rules_read_the_epochs_that_they_name(model, problem):
    scores = selection_scores(model, problem.y)
    last, lowest = model.history_["labels_eval"][-1], int(np.argmin(model.history_["loss"]))
    assert scores["last"]["acc"] == accuracy(problem.y, last)
    assert scores["loss"]["acc"] == accuracy(problem.y, model.history_["labels_eval"][lowest])
    curve = [accuracy(problem.y, each) for each in model.history_["labels_train_authors_1"]]
    assert scores["oracle"]["acc"] == max(curve)


def tracked(labels, loss=None):
    """What the rules read of a fitted model: which modes, their labels, the loss."""
    loss = np.arange(len(labels)) if loss is None else loss
    return SimpleNamespace(track=("eval",), history_={"loss": loss, "labels_eval": labels})


def chosen_epochs(model, rule):
    """Return the epochs whose clustering a rule picks, seen from every epoch as the truth."""
    labels = model.history_["labels_eval"]
    return [
        epoch
        for epoch, truth in enumerate(labels)
        if scores_by_mode(model, truth)["eval"][rule]["acc"] == 1
    ]


def clusterings(epochs, seed=0):
    return np.random.default_rng(seed).integers(0, 4, (epochs, 60))


@pytest.mark.parametrize("epochs", [1, 4, 5, 14, 15, 25])
def test_the_central_epoch_is_one_of_the_last_fifth_whatever_the_labels(epochs):
    late = epochs - max(1, epochs // 5)
    for seed in range(3):
        model = tracked(clusterings(epochs, seed))
        # One epoch scores 1 as the truth of itself alone: y has no say in the choice.
        (epoch,) = chosen_epochs(model, "central")
        last = model.history_["labels_eval"][late:]
        agreement = [sum(adjusted_rand_index(a, b) for b in last) for a in last]
        assert epoch == late + np.argmax(agreement)


def test_the_central_rule_reads_neither_earlier_epochs_nor_the_loss():
    labels = clusterings(25)
    (epoch,) = chosen_epochs(tracked(labels), "central")
    other = labels.copy()
    other[:20] = labels[20 if epoch != 20 else 21]
    other[5:15] = clusterings(10, seed=9)
    y = labels[epoch]
    found = scores_by_mode(tracked(other, loss=-np.arange(25)), y)["eval"]
    assert found["central"]["acc"] == 1
    assert found["loss"] == found["last"]


def test_the_central_rule_follows_the_majority_of_the_late_epochs():
    labels = clusterings(20)
    labels[17] = labels[19] = (labels[16] + 1) % 4
    y = labels[18]
    scores = scores_by_mode(tracked(labels), y)["eval"]
    assert scores["oracle"]["acc"] == 1
    assert scores["central"]["acc"] == accuracy(y, labels[16]) < 1


def test_every_mode_and_number_of_starts_is_scored_from_its_own_clusterings(model, problem):
    for kind in ("", "_authors_1", "_draws_20"):
        scores = scores_by_mode(model, problem.y, kind)
        assert set(scores) == {"eval", "train"}
        for mode, found in scores.items():
            assert set(found) == {"last", "loss", "central", "oracle"}
            labels = model.history_[f"labels_{mode}{kind}"]
            assert found["last"] == clustering_scores(problem.y, labels[-1])
            best = max(accuracy(problem.y, each) for each in labels)
            assert found["oracle"]["acc"] == best


def test_records_of_a_training_say_features_starts_and_what_else_tells_them_apart(
    model, problem
):
    recorder = smart_recorder("selection", "reduced", "cpu")
    record_selection(recorder, "made", model, problem, {"variant": "clustering"})
    names = ("features", "init", "starts")
    found = {
        tuple(result["parameters"][name] for name in names): result
        for result in recorder.results
    }
    starts = (AUTHORS, ONE, TWENTY)
    assert set(found) == {(mode, *start) for mode in ("eval", "train") for start in starts}
    for (mode, *start), result in found.items():
        assert result["parameters"]["variant"] == "clustering"
        assert result["parameters"]["aligned_ratio"] == 0.5
        kind = "" if tuple(start) == ONE else f"_{start[0]}_{start[1]}"
        assert result["metrics"] == scores_by_mode(model, problem.y, kind)[mode]
        labels = model.history_[f"labels_{mode}{kind}"]
        assert result["labels"] == labels[-1].tolist()
        assert result["curves"]["acc"] == [round(accuracy(problem.y, a), 5) for a in labels]
        assert {len(curve) for curve in result["curves"].values()} == {len(labels)}
    quick = smart_recorder("selection", "quick", "cpu")
    record_selection(quick, "made", model, problem)
    assert not any("curves" in result for result in quick.results)


def test_of_epochs_of_one_accuracy_the_oracle_takes_the_one_that_the_authors_keep():
    y = np.repeat([0, 1, 2], 4)
    # Two of twelve wrong in each, once in one cluster and once in two: equal ACC alone.
    together, apart = y.copy(), y.copy()
    together[[0, 1]] = 1
    apart[0], apart[4] = 1, 2
    one, two = clustering_scores(y, together), clustering_scores(y, apart)
    assert one["acc"] == two["acc"]
    assert one["nmi"] > two["nmi"]
    assert one["ari"] > two["ari"]
    for order, kept in (([apart, together], one), ([together, apart], one)):
        found = scores_by_mode(tracked(np.array(order)), y)["eval"]["oracle"]
        assert found == kept


def test_final_scores_are_those_of_the_estimator_and_of_the_best_of_twenty_starts(
    model, problem
):
    scores = final_scores(model, problem.y)
    assert set(scores) == {AUTHORS, ONE, TWENTY}
    assert scores[ONE]["acc"] == accuracy(problem.y, model.labels_)
    X = model.embedding_
    best = cosine_kmeans(X, 3, init="draws", n_init=20, random_state=model.random_state)
    assert scores[TWENTY]["acc"] == accuracy(problem.y, best.labels)
    one = cosine_kmeans(X, 3, init="draws", n_init=1, random_state=model.random_state)
    assert best.inertia <= one.inertia
    theirs = cosine_kmeans(X, 3, init="authors", max_iter=501, random_state=1)
    assert scores[AUTHORS]["acc"] == accuracy(problem.y, theirs.labels)


def test_floors_are_recorded_on_the_labels_that_they_name(problem):
    recorder = smart_recorder("method", "quick", "cpu")
    truth = [problem.Xs[0], problem.Xs[1][np.argsort(problem.permutations[1])]]
    run_floors(recorder, "made", truth, problem, seed=0, settings=SHORT)
    acc = recorder.frame().set_index("method")["acc"]
    assert len(acc) == 11
    # The true pairing is worth more than the one given; view 2 keeps its own labels.
    assert acc["k-means, true concatenation"] > acc["k-means, concatenation as given"]
    assert acc["k-means, view 2"] > 0.8


def test_comparisons_say_difference_spread_and_count():
    recorder = smart_recorder("selection", "quick", "cpu")
    for seed, ours in ((1, 0.5), (2, 0.7)):
        scores = dict.fromkeys(("nmi", "ari", "purity"), 0.5)
        recorder.add("SMART", "made", seed, metrics={"last": scores | {"acc": ours}})
        recorder.add("floor", "made", seed, metrics={"last": scores | {"acc": 0.6}})
    line = compare_seeds(recorder.frame(), "SMART", "floor")
    assert line.endswith("minus floor: +0.0 ± 14.1 points, ahead in 1 of 2 seeds")


def test_rules_are_compared_seed_by_seed(model, problem):
    recorder = smart_recorder("selection", "quick", "cpu")
    record_selection(recorder, "made", model, problem)
    again = SMART(**model.get_params() | {"random_state": 2})
    record_selection(recorder, "made", again.fit(problem.Xs, aligned=problem.aligned), problem)
    lines = compare_rules(recorder.frame()).splitlines()
    assert len(lines) == 9
    assert all("of 2 seeds" in line for line in lines)
    oracle = float(lines[2].split(": ")[1].split(" ±")[0])
    assert oracle >= 0


def test_figures_draw_what_they_are_given(model, problem):
    plots.use_style()
    curve = accuracy_curve(model, problem.y, "eval")
    figure = plots.plot_accuracy_by_epoch({"a": curve}, {"floor": 0.5}, [("last", 2, curve[2])])
    lines = figure.axes[0].get_lines()
    assert np.allclose(lines[0].get_ydata(), 100 * curve)
    assert np.allclose(lines[1].get_ydata(), 50)
    assert len(plots.plot_losses(model.history_).axes) == 4

    recorder = smart_recorder("selection", "quick", "cpu")
    record_selection(recorder, "made", model, problem)
    frame = recorder.frame()
    for hue in (None, "features"):
        lines = plots.plot_scores(frame, by="rule", hue=hue).axes[0].get_lines()
        drawn = np.concatenate([line.get_xdata() for line in lines])
        assert sorted(drawn) == pytest.approx(sorted(100 * frame["acc"]))
    assert len(score_table(frame, by=["rule"])) == 4


def test_a_graph_is_drawn_sorted_by_class():
    y = np.array([1, 0, 1, 0])
    graph = (y[:, None] == y).astype(float)
    (image,) = plots.plot_graph({"graph": graph}, y).axes[0].get_images()
    assert image.get_array().tolist() == np.kron(np.eye(2), np.ones((2, 2))).tolist()


def test_counts_that_missing_ones_made_floats_are_printed_whole():
    scores = {"acc": [0.1, 0.2, 0.3], "nmi": 0.1, "ari": 0.1, "purity": 0.1}
    frame = pd.DataFrame({"starts": [1.0, 20.0, None], "ratio": [0.5, 1.0, 1.0]} | scores)
    table = score_table(frame, by=["starts", "ratio"], metrics=["acc"])
    assert table["starts"].dropna().tolist() == [1, 20]
    assert str(table["starts"].dtype) == "Int64"
    assert table["ratio"].tolist() == [0.5, 1.0, 1.0]
