"""Runs on partially aligned views: scores by rule for the epoch, floors, all recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from time import perf_counter
from typing import Any

import numpy as np

from mvlib.check import check_choice
from mvlib.data import PartialAlignment
from mvlib.methods import (
    SMART,
    AutoencoderKMeans,
    KMeansConcatenation,
    KMeansView,
    SpectralConcatenation,
    match_rows,
)
from mvlib.methods.catalogue import CATALOGUE, VIEWS, find, load
from mvlib.methods.smart.training import replaces
from mvlib.metrics import accuracy, central_labeling, clustering_scores
from mvlib.ops import cosine_kmeans, resolve_device
from mvlib.records.recorder import COMMITTED_PROFILES, Recorder

# Ways to start k-means: as the authors' code, from one start, as the best of twenty.
AUTHORS, ONE, TWENTY = ("authors", 1), ("draws", 1), ("draws", 20)

# What any method of the task is brought down to, as far as it has such parameters.
SIZES: Mapping[str, dict[str, Any]] = {
    "quick": {"hidden_dims": (128, 128, 128), "epochs": 10},
    "reduced": {"hidden_dims": (512, 512, 512), "epochs": 40},
    "full": {},
}


def sized(name: str, profile: str, **others: Any) -> dict[str, Any]:
    """Return what a method of the catalogue is built with under a profile.

    Parameters
    ----------
    name : str
        Its name there.
    profile : {"quick", "reduced", "full"}
        "full" leaves the method's own defaults.
    **others
        Further parameters, such as `device`.

    Returns
    -------
    dict of str to object
        Those of `SIZES` and `others` that the method has.

    Raises
    ------
    ValueError
        If the method or the profile is unknown.
    """
    wanted = SIZES[check_choice("profile", profile, SIZES)] | others
    known = signature(load(name)).parameters
    return {parameter: value for parameter, value in wanted.items() if parameter in known}


def run(
    methods: Sequence[str],
    problem: PartialAlignment,
    seeds: Sequence[int],
    recorder: Recorder,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    dataset: str,
    parameters: Mapping[str, Any] | None = None,
) -> dict[tuple[str, int], Any]:
    """Fit methods of the catalogue, floors among them, once a seed, and record each.

    Parameters
    ----------
    methods : sequence of str
        Their names in the catalogue.
    problem : PartialAlignment
        What each is given: `Xs` and `aligned`. The labels of view 1 score.
    seeds : sequence of int
        A fit a seed.
    recorder : Recorder
        Takes the results, with parameter `aligned_ratio` and the seconds of each fit.
    settings : mapping of str to mapping, optional
        Arguments of a method's estimator, by the method's name.
    dataset : str
        The data set's name.
    parameters : mapping, optional
        What else tells the results apart.

    Returns
    -------
    dict of (str, int) to estimator
        The fitted ones, by name and seed.

    Raises
    ------
    ValueError
        If a method is not of this task, or `settings` name one that does not run. Nothing
        is fitted then.
    """
    task = [method.name for method in CATALOGUE if method.task == VIEWS]
    for name in methods:
        check_choice("methods", name, task)
    for name in settings or {}:
        check_choice("settings", name, methods)
    n_clusters = len(np.unique(problem.y))
    fitted = {}
    for name in methods:
        for seed in seeds:
            own = (settings or {}).get(name, {})
            model = load(name)(n_clusters, **own, random_state=seed)
            begin = perf_counter()
            labels = model.fit_predict(problem.Xs, aligned=problem.aligned)
            recorder.add(
                find(name).title,
                dataset,
                seed=seed,
                parameters={"aligned_ratio": problem.ratio, **(parameters or {})},
                metrics={"last": clustering_scores(problem.y, labels)},
                seconds=perf_counter() - begin,
            )
            fitted[name, seed] = model
    return fitted


def smart_recorder(experiment: str, profile: str, device: str) -> Recorder:
    """Return the recorder of a SMART notebook.

    Parameters
    ----------
    experiment : str
        Its name in the plan.
    profile : {"quick", "reduced", "full"}
        The notebook's parameter.
    device : str
        The notebook's parameter, "auto" included.

    Returns
    -------
    Recorder
    """
    return Recorder("smart", experiment, profile, resolve_device(device).type)


def record_final(
    recorder: Recorder,
    method: str,
    dataset: str,
    model: SMART,
    problem: PartialAlignment,
    parameters: Mapping[str, Any] | None = None,
) -> None:
    """Record the kept epoch under the authors' k-means, one start, the best of twenty.

    Parameters
    ----------
    recorder : Recorder
        Takes the results, with parameters `init` and `starts`; those of the authors' k-means
        are a variant.
    method, dataset : str
        Names.
    model : SMART
        Fitted.
    problem : PartialAlignment
        What it was fitted on.
    parameters : mapping, optional
        What else tells the result apart.
    """
    for (init, starts), scores in final_scores(model, problem.y).items():
        variant = {"variant": "the authors' k-means"} if init == "authors" else {}
        recorder.add(
            method,
            dataset,
            seed=model.random_state,
            parameters={
                "aligned_ratio": problem.ratio,
                **(parameters or {}),
                "init": init,
                "starts": starts,
                **variant,
            },
            metrics={"last": scores},
        )


def record_selection(
    recorder: Recorder,
    dataset: str,
    model: SMART,
    problem: PartialAlignment,
    parameters: Mapping[str, Any] | None = None,
) -> None:
    """Record every rule for choosing the epoch, by features and starts of k-means.

    Parameters
    ----------
    recorder : Recorder
        Takes the results, with parameters `features` ("eval", "train"), `init` and `starts`;
        of profiles whose records are committed the scores by epoch and the last labels too.
    dataset : str
        The data set's name.
    model : SMART
        Fitted with `track=("eval", "train")`, `init="draws"` and `n_init=1`; its
        `track_starts` are recorded too.
    problem : PartialAlignment
        What it was fitted on.
    parameters : mapping, optional
        What else tells the results apart.
    """
    kinds = {"": ONE} | {f"_{init}_{n}": (init, n) for init, n in model.track_starts}
    for kind, (init, starts) in kinds.items():
        for mode, metrics in scores_by_mode(model, problem.y, kind).items():
            labels = model.history_[f"labels_{mode}{kind}"]
            kept = {}
            if recorder.profile in COMMITTED_PROFILES:
                kept = {"curves": score_curves(labels, problem.y), "labels": labels[-1]}
            recorder.add(
                "SMART",
                dataset,
                seed=model.random_state,
                parameters={
                    "aligned_ratio": problem.ratio,
                    **(parameters or {}),
                    "features": mode,
                    "init": init,
                    "starts": starts,
                },
                metrics=metrics,
                **kept,
            )


def run_floors(
    recorder: Recorder,
    dataset: str,
    truth: Sequence[np.ndarray],
    problem: PartialAlignment,
    seed: int,
    settings: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> None:
    """Run the floors on a problem and record each.

    Parameters
    ----------
    recorder : Recorder
        Takes the results.
    dataset : str
        The data set's name.
    truth : sequence of ndarray, each (n_samples, n_features_v)
        The scaled views before any row was shuffled.
    problem : PartialAlignment
        What the methods are given.
    seed : int
        Of every floor.
    settings : mapping, optional
        SMART's settings, for the floors that train auto-encoders; without it they are left
        out.
    parameters : mapping, optional
        What else tells the results apart.
    """

    def record(method: str, y: np.ndarray, labels: np.ndarray) -> None:
        recorder.add(
            method,
            dataset,
            seed=seed,
            parameters={"aligned_ratio": problem.ratio, **(parameters or {})},
            metrics={"last": clustering_scores(y, labels)},
        )

    k = len(np.unique(problem.y))
    original = problem.y[np.argsort(problem.permutations[0])]
    first, Xs, y = problem.Xs[:1], problem.Xs, problem.y
    on_views = {
        "k-means, view 1": (KMeansView(k), Xs, y),
        "k-means, view 1, unit rows": (KMeansView(k, rows="unit"), Xs, y),
        "spectral, view 1, unit rows": (SpectralConcatenation(k, rows="unit"), first, y),
        "k-means, view 2": (KMeansView(k, view=1), Xs, problem.labels_of_view(1)),
    }
    on_all = {
        "k-means, true concatenation": (KMeansConcatenation(k), truth, original),
        "k-means, concatenation as given": (KMeansConcatenation(k), Xs, y),
        "k-means, concatenation as given, unit rows": (
            KMeansConcatenation(k, rows="unit"),
            Xs,
            y,
        ),
        "spectral, concatenation as given": (SpectralConcatenation(k), Xs, y),
        "spectral, concatenation as given, unit rows": (
            SpectralConcatenation(k, rows="unit"),
            Xs,
            y,
        ),
    }
    for name, (floor, given, labels) in (on_views | on_all).items():
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

    Parameters
    ----------
    model : SMART
        Fitted with `track`.
    y : ndarray of shape (n_samples,)
        Labels of view 1.
    kind : str, default=""
        "" for the clusterings of the estimator's own start, or one of its `track_starts`,
        such as "_draws_20".

    Returns
    -------
    dict of str to dict of str to dict of str to float
        For each tracked mode, "eval" or "train": `last`, the last epoch; `loss`, the epoch
        of the lowest training loss; `central`, of the last fifth of the epochs, the one
        whose clustering agrees best with the others'; `oracle`, the epoch of the best
        accuracy on `y`, of equal ones as the authors' code chooses.
    """
    scores = {}
    for mode in model.track:
        labels = model.history_[f"labels_{mode}{kind}"]
        by_epoch = [clustering_scores(y, found) for found in labels]
        late = len(labels) - max(1, len(labels) // 5)
        oracle = 0
        for epoch, found in enumerate(by_epoch):
            oracle = epoch if replaces(found, by_epoch[oracle]) else oracle
        epochs = {
            "last": -1,
            "loss": int(np.argmin(model.history_["loss"])),
            "central": late + central_labeling(labels[late:]),
            "oracle": oracle,
        }
        scores[mode] = {rule: by_epoch[epoch] for rule, epoch in epochs.items()}
    return scores


def score_curves(labels: Sequence[np.ndarray], y: np.ndarray) -> dict[str, list[float]]:
    """Return ACC, NMI and ARI after every epoch, to five digits.

    Parameters
    ----------
    labels : sequence of ndarray, each (n_samples,)
        Clusterings, one an epoch.
    y : ndarray of shape (n_samples,)
        Labels of view 1.

    Returns
    -------
    dict of str to list of float
    """
    scores = [clustering_scores(y, found) for found in labels]
    return {name: [round(one[name], 5) for one in scores] for name in ("acc", "nmi", "ari")}


def selection_scores(model: SMART, y: np.ndarray) -> dict[str, dict[str, float]]:
    """Score one training run as the tables do: honest rules, and the authors' protocol.

    Parameters
    ----------
    model : SMART
        Fitted with `track=("eval", "train")` and `AUTHORS` among `track_starts`.
    y : ndarray of shape (n_samples,)
        Labels of view 1.

    Returns
    -------
    dict of str to dict of str to float
        `last`, `loss` and `central` from features in evaluation mode, `oracle` from those
        met in training mode and clustered by the authors' k-means, as their code does.
    """
    authors = scores_by_mode(model, y, "_authors_1")
    return scores_by_mode(model, y)["eval"] | {"oracle": authors["train"]["oracle"]}


def final_scores(model: SMART, y: np.ndarray) -> dict[tuple[str, int], dict[str, float]]:
    """Score the kept epoch under the authors' k-means, from one start, as the best of twenty.

    Parameters
    ----------
    model : SMART
        Fitted with `n_init=1`.
    y : ndarray of shape (n_samples,)
        Labels of view 1.

    Returns
    -------
    dict of (str, int) to dict of str to float
        `AUTHORS`, `ONE` and `TWENTY` to scores.
    """
    found = {ONE: model.labels_}
    for init, n_init in (AUTHORS, TWENTY):
        found[init, n_init] = cosine_kmeans(
            model.embedding_,
            model.n_clusters,
            init=init,
            n_init=n_init,
            max_iter=501,
            random_state=model.random_state,
        ).labels
    return {start: clustering_scores(y, labels) for start, labels in found.items()}


def accuracy_curve(model: SMART, y: np.ndarray, mode: str) -> np.ndarray:
    """Return the accuracy after every epoch.

    Parameters
    ----------
    model : SMART
        Fitted with `mode` in `track`.
    y : ndarray of shape (n_samples,)
        Labels of view 1.
    mode : {"eval", "train"}
        Which features were clustered.

    Returns
    -------
    ndarray of shape (epochs,)
        From 0 to 1.
    """
    return np.array([accuracy(y, labels) for labels in model.history_[f"labels_{mode}"]])
