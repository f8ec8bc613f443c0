"""Runs of SMART and its floors that record themselves, for the SMART notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mvlib.data import PartialAlignment
from mvlib.experiments.recorder import COMMITTED_PROFILES, Recorder
from mvlib.experiments.smart import ONE, final_scores, score_curves, scores_by_mode
from mvlib.methods import (
    SMART,
    AutoencoderKMeans,
    KMeansConcatenation,
    KMeansView,
    SpectralConcatenation,
    match_rows,
)
from mvlib.metrics import clustering_scores
from mvlib.ops import resolve_device


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
        Takes the results, with parameters `init` and `starts`.
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
        recorder.add(
            method,
            dataset,
            seed=model.random_state,
            parameters={
                "aligned_ratio": problem.ratio,
                **(parameters or {}),
                "init": init,
                "starts": starts,
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
