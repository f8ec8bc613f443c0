"""Runs on partially aligned views: scores by rule for the epoch, floors, all recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from mvlib.data import ViewsProblem
from mvlib.methods import (
    SMART,
    AutoencoderKMeans,
    KMeansConcatenation,
    KMeansView,
    SpectralConcatenation,
    match_rows,
)
from mvlib.methods.catalogue import VIEWS, find
from mvlib.methods.smart.training import replaces
from mvlib.metrics import accuracy, central_labeling, clustering_scores
from mvlib.ops import cosine_kmeans
from mvlib.records.recorder import COMMITTED_PROFILES, Recorder
from mvlib.tasks import protocols
from mvlib.tasks.runs import catalogued, recorder_of
from mvlib.tasks.runs import sized as sized

# Ways to start k-means: as the authors' code, from one start, as the best of twenty.
AUTHORS, ONE, TWENTY = ("authors", 1), ("draws", 1), ("draws", 20)

smart_recorder = partial(recorder_of, "smart")


def run(
    methods: Sequence[str],
    problem: ViewsProblem,
    seeds: Sequence[int],
    recorder: Recorder,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    dataset: str,
    parameters: Mapping[str, Any] | None = None,
) -> dict[tuple[str, int | None], Any]:
    """Fit methods once a seed, as `catalogued` gives them, and record each.

    The labels of view 1 score. Measured beside: the accuracy of each training under every
    protocol of `protocols`. Of profiles whose records are committed, the labels of what was
    trained are kept; in quick ones k-means starts three times.
    """
    n_clusters = len(np.unique(problem.y))
    fitted = {}
    for name, seed, model in catalogued(VIEWS, methods, n_clusters, seeds, settings):
        begin = perf_counter()
        masks = {"aligned": problem.aligned, "present": problem.present}
        labels = model.fit_predict(problem.Xs, **masks)
        scores = {"last": clustering_scores(problem.y, labels)}
        seconds = perf_counter() - begin
        about = find(name).title, dataset, seed
        starts = 3 if recorder.profile == "quick" else 10
        more: dict[str, Any] = {"measures": protocols.accuracies(model, problem, starts)}
        if recorder.profile in COMMITTED_PROFILES and hasattr(model, "history_"):
            more["labels"] = labels
        more["seconds"] = seconds
        _record(recorder, about, problem, scores, parameters, **more)
        fitted[name, seed] = model
    return fitted


def _record(
    recorder: Recorder,
    about: tuple[str, str, int | None],
    problem: ViewsProblem,
    metrics: Mapping[str, Mapping[str, float]],
    parameters: Mapping[str, Any] | None,
    **more: Any,
) -> None:
    """Record scores of a method, data set and seed, and by what shares rows are disturbed."""
    rates = {f"{kind}_rate": rate for kind, rate in problem.rates.items()}
    given = {"aligned_ratio": problem.ratio, **rates, **(parameters or {})}
    recorder.add(*about, parameters=given, metrics=metrics, **more)


def record_final(
    recorder: Recorder,
    method: str,
    dataset: str,
    model: SMART,
    problem: ViewsProblem,
    parameters: Mapping[str, Any] | None = None,
) -> None:
    """Record the kept epoch under the authors' k-means, one start, the best of twenty."""
    for (init, starts), scores in final_scores(model, problem.y).items():
        given = {**(parameters or {}), "init": init, "starts": starts}
        if init == "authors":
            given["variant"] = "the authors' k-means"
        about = method, dataset, model.random_state
        _record(recorder, about, problem, {"last": scores}, given)


def record_selection(
    recorder: Recorder,
    dataset: str,
    model: SMART,
    problem: ViewsProblem,
    parameters: Mapping[str, Any] | None = None,
) -> None:
    """Record every rule for choosing the epoch, by features and starts of k-means.

    Of profiles whose records are committed, scores by epoch and the last labels too.
    """
    kinds = {"": ONE} | {f"_{init}_{n}": (init, n) for init, n in model.track_starts}
    for kind, (init, starts) in kinds.items():
        for mode, metrics in scores_by_mode(model, problem.y, kind).items():
            labels = model.history_[f"labels_{mode}{kind}"]
            kept = {}
            if recorder.profile in COMMITTED_PROFILES:
                kept = {"curves": score_curves(labels, problem.y), "labels": labels[-1]}
            chosen = {"features": mode, "init": init, "starts": starts}
            given = {**(parameters or {}), **chosen}
            about = "SMART", dataset, model.random_state
            _record(recorder, about, problem, metrics, given, **kept)


def record_epochs(
    recorder: Recorder,
    method: str,
    dataset: str,
    model: Any,
    y: np.ndarray,
    seconds: float | None = None,
) -> None:
    """Record the last epoch of a training that kept the labels of each, and the best by ACC.

    Measured beside: the accuracy of the first labels, and the largest of each score over all
    epochs, each by itself.
    """
    labels = model.history_["labels"]
    curves = score_curves(labels, y)
    chosen = {"last": labels[-1], "oracle": labels[int(np.argmax(curves["acc"]))]}
    metrics = {rule: clustering_scores(y, found) for rule, found in chosen.items()}
    measures = {f"largest_{name}": max(curve) for name, curve in curves.items()}
    more: dict[str, Any] = {"measures": {"first_acc": curves["acc"][0]} | measures}
    if recorder.profile in COMMITTED_PROFILES:
        more |= {"curves": curves, "labels": labels[-1]}
    about = method, dataset, model.random_state
    recorder.add(*about, metrics=metrics, seconds=seconds, **more)


def run_floors(
    recorder: Recorder,
    dataset: str,
    truth: Sequence[np.ndarray],
    problem: ViewsProblem,
    seed: int,
    settings: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> None:
    """Run the floors on a problem and record each; `truth` are the views before shuffling.

    Those that train auto-encoders do so with SMART's `settings`, and not without them.
    """

    def record(method: str, y: np.ndarray, labels: np.ndarray) -> None:
        scores = {"last": clustering_scores(y, labels)}
        _record(recorder, (method, dataset, seed), problem, scores, parameters)

    k = len(np.unique(problem.y))
    original = problem.y[np.argsort(problem.permutations[0])]
    first, Xs, y = problem.Xs[:1], problem.Xs, problem.y
    View, Kmeans, Spectral = KMeansView, KMeansConcatenation, SpectralConcatenation
    unit = {"rows": "unit"}
    floors = {
        "k-means, view 1": (View(k), Xs, y),
        "k-means, view 1, unit rows": (View(k, **unit), Xs, y),
        "spectral, view 1, unit rows": (Spectral(k, **unit), first, y),
        "k-means, view 2": (View(k, view=1), Xs, problem.labels_of_view(1)),
        "k-means, true concatenation": (Kmeans(k), truth, original),
        "k-means, concatenation as given": (Kmeans(k), Xs, y),
        "k-means, concatenation as given, unit rows": (Kmeans(k, **unit), Xs, y),
        "spectral, concatenation as given": (Spectral(k), Xs, y),
        "spectral, concatenation as given, unit rows": (Spectral(k, **unit), Xs, y),
    }
    for name, (floor, given, labels) in floors.items():
        record(name, labels, floor.set_params(random_state=seed).fit_predict(given))
    if settings is not None:
        # One training serves both floors that need it.
        trained = AutoencoderKMeans(k, settings=dict(settings), random_state=seed)
        record("auto-encoder + k-means", problem.y, trained.fit_predict(problem.Xs))
        matched = match_rows(trained.embeddings_, problem.aligned)
        labels = KMeansConcatenation(k, random_state=seed).fit_predict(matched)
        record("auto-encoder + Hungarian + k-means", problem.y, labels)


def scores_by_mode(
    model: SMART, y: np.ndarray, kind: str = ""
) -> dict[str, dict[str, dict[str, float]]]:
    """Score one training run under the rules for choosing its epoch, by features.

    "last" is the last epoch; "loss" that of the lowest training loss; "central", of the last
    fifth, the one whose clustering agrees best with the others'; "oracle" that of the best
    accuracy on `y`, of equal ones as the authors' code chooses.
    """
    scores = {}
    for mode in model.track:
        labels = model.history_[f"labels_{mode}{kind}"]
        by_epoch = [clustering_scores(y, found) for found in labels]
        late = len(labels) - max(1, len(labels) // 5)
        oracle = by_epoch[0]
        for found in by_epoch:
            oracle = found if replaces(found, oracle) else oracle
        scores[mode] = {
            "last": by_epoch[-1],
            "loss": by_epoch[int(np.argmin(model.history_["loss"]))],
            "central": by_epoch[late + central_labeling(labels[late:])],
            "oracle": oracle,
        }
    return scores


def score_curves(labels: Sequence[np.ndarray], y: np.ndarray) -> dict[str, list[float]]:
    """Return ACC, NMI and ARI after every epoch, to five digits."""
    scores = [clustering_scores(y, found) for found in labels]
    return {name: [round(one[name], 5) for one in scores] for name in ("acc", "nmi", "ari")}


def selection_scores(model: SMART, y: np.ndarray) -> dict[str, dict[str, float]]:
    """Score one training run as the tables do: honest rules, and the authors' protocol.

    The oracle is of features met in training mode, clustered by the authors' k-means.
    """
    authors = scores_by_mode(model, y, "_authors_1")
    return scores_by_mode(model, y)["eval"] | {"oracle": authors["train"]["oracle"]}


def final_scores(model: SMART, y: np.ndarray) -> dict[tuple[str, int], dict[str, float]]:
    """Score the kept epoch under the authors' k-means, one start, the best of twenty."""
    found, X, k = {ONE: model.labels_}, model.embedding_, model.n_clusters
    shared = {"max_iter": 501, "random_state": model.random_state}
    for init, n_init in (AUTHORS, TWENTY):
        found[init, n_init] = cosine_kmeans(X, k, init=init, n_init=n_init, **shared).labels
    return {start: clustering_scores(y, labels) for start, labels in found.items()}


def accuracy_curve(model: SMART, y: np.ndarray, mode: str) -> np.ndarray:
    """Return the accuracy after every epoch."""
    return np.array([accuracy(y, labels) for labels in model.history_[f"labels_{mode}"]])
