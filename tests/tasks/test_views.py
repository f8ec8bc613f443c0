"""SMART's epochs by rule, its floors, and what is recorded of both."""

from types import SimpleNamespace

import numpy as np
import pytest
from problem_stand_ins import views_problem

from mvlib import SMART
from mvlib.metrics import accuracy, adjusted_rand_index, clustering_scores
from mvlib.ops import cosine_kmeans
from mvlib.papers.smart import compare_rules
from mvlib.records import Recorder
from mvlib.tasks.views import (
    AUTHORS,
    ONE,
    TWENTY,
    final_scores,
    record_epochs,
    record_selection,
    run_floors,
    scores_by_mode,
    selection_scores,
    smart_recorder,
)

SHORT = {"hidden_dims": (16,), "embedding_dim": 4, "epochs": 3, "batch_size": 64}


problem = pytest.fixture(scope="module")(lambda: views_problem())


@pytest.fixture(scope="module")
def model(problem):
    tracked = {"track": ("eval", "train"), "track_starts": (AUTHORS, TWENTY)}
    fitted = SMART(3, **SHORT, **tracked, random_state=1, device="cpu")
    return fitted.fit(problem.Xs, aligned=problem.aligned)


def test_rules_read_the_epochs_that_they_name(model, problem):
    scores = selection_scores(model, problem.y)
    honest, theirs = (
        [accuracy(problem.y, labels) for labels in model.history_[f"labels_{kind}"]]
        for kind in ("eval", "train_authors_1")
    )
    assert scores["last"]["acc"] == honest[-1]
    assert scores["loss"]["acc"] == honest[np.argmin(model.history_["loss"])]
    assert scores["oracle"]["acc"] == max(theirs)


def scores_of(labels, y, loss=None):
    """Return the scores by rule of a model of which the rules read labels and loss alone."""
    loss = np.arange(len(labels)) if loss is None else loss
    history = {"loss": loss, "labels_eval": labels}
    return scores_by_mode(SimpleNamespace(track=("eval",), history_=history), y)["eval"]


def central_epoch(labels):
    """Return the epoch of the central rule: as the truth, that alone makes it score 1."""
    (epoch,) = (e for e, y in enumerate(labels) if scores_of(labels, y)["central"]["acc"] == 1)
    return epoch


def clusterings(epochs, seed=0):
    return np.random.default_rng(seed).integers(0, 4, (epochs, 60))


@pytest.mark.parametrize("epochs", [1, 4, 5, 14, 15, 25])
def test_the_central_epoch_is_one_of_the_last_fifth_whatever_the_labels(epochs):
    late = epochs - max(1, epochs // 5)
    for seed in range(3):
        labels = clusterings(epochs, seed)
        last = labels[late:]
        agreement = [sum(adjusted_rand_index(a, b) for b in last) for a in last]
        assert central_epoch(labels) == late + np.argmax(agreement)


def test_the_central_rule_reads_neither_earlier_epochs_nor_the_loss():
    labels = clusterings(25)
    epoch = central_epoch(labels)
    other = labels.copy()
    other[:20] = labels[20 if epoch != 20 else 21]
    other[5:15] = clusterings(10, seed=9)
    found = scores_of(other, labels[epoch], loss=-np.arange(25))
    assert found["central"]["acc"] == 1
    assert found["loss"] == found["last"]


def test_the_central_rule_follows_the_majority_of_the_late_epochs():
    labels = clusterings(20)
    labels[17] = labels[19] = (labels[16] + 1) % 4
    y = labels[18]
    scores = scores_of(labels, y)
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
    assert min(one[name] - two[name] for name in ("nmi", "ari")) > 0
    for order in ([apart, together], [together, apart]):
        assert scores_of(np.array(order), y)["oracle"] == one


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


def test_a_training_that_kept_labels_is_recorded_at_its_last_and_its_best_epoch(problem):
    y = problem.y
    wrong = np.where(np.arange(len(y)) % 2, y, 0)
    kept = SimpleNamespace(history_={"labels": np.array([wrong, y, wrong * 0])}, random_state=7)
    for profile in ("quick", "reduced"):
        recorder = Recorder("lineup", "graphs", profile)
        record_epochs(recorder, "SCGC", "made", kept, y, 1.5)
        (found,) = recorder.results
        assert (found["method"], found["seed"], found["seconds"]) == ("SCGC", 7, 1.5)
        assert found["metrics"]["oracle"]["acc"] == 1
        assert found["metrics"]["last"]["acc"] == pytest.approx(accuracy(y, wrong * 0))
        assert found["measures"]["first_acc"] == pytest.approx(accuracy(y, wrong), abs=1e-5)
        assert found["measures"]["largest_nmi"] == found["measures"]["largest_ari"] == 1
        assert ("curves" in found) == ("labels" in found) == (profile == "reduced")
    assert found["labels"] == (wrong * 0).tolist()
