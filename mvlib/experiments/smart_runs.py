"""Runs of SMART and its floors that record themselves, for the SMART notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mvlib.data import PartialAlignment
from mvlib.experiments.recorder import Recorder
from mvlib.experiments.smart import final_scores, scores_by_mode
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
    """Record the kept epoch, clustered from one start and as the best of twenty.

    Parameters
    ----------
    recorder : Recorder
        Takes the results, whose parameter `starts` is 1 and 20.
    method, dataset : str
        Names.
    model : SMART
        Fitted.
    problem : PartialAlignment
        What it was fitted on.
    parameters : mapping, optional
        What else tells the result apart.
    """
    for starts, scores in final_scores(model, problem.y).items():
        recorder.add(
            method,
            dataset,
            seed=model.random_state,
            parameters={
                "aligned_ratio": problem.ratio,
                **(parameters or {}),
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
        Takes the results, with parameters `features` ("eval", "train") and `starts`.
    dataset : str
        The data set's name.
    model : SMART
        Fitted with `track=("eval", "train")`; with `track_n_init`, those starts too.
    problem : PartialAlignment
        What it was fitted on.
    parameters : mapping, optional
        What else tells the results apart.
    """
    kinds = {"": model.n_init} | ({"_best": model.track_n_init} if model.track_n_init else {})
    for kind, starts in kinds.items():
        for mode, metrics in scores_by_mode(model, problem.y, kind).items():
            recorder.add(
                "SMART",
                dataset,
                seed=model.random_state,
                parameters={
                    "aligned_ratio": problem.ratio,
                    **(parameters or {}),
                    "features": mode,
                    "starts": starts,
                },
                metrics=metrics,
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
    floors = [
        ("k-means, view 1", KMeansView(k, view=0, random_state=seed), problem.Xs, problem.y),
        (
            "k-means, view 2",
            KMeansView(k, view=1, random_state=seed),
            problem.Xs,
            problem.labels_of_view(1),
        ),
        (
            "k-means, true concatenation",
            KMeansConcatenation(k, random_state=seed),
            truth,
            original,
        ),
        (
            "k-means, concatenation as given",
            KMeansConcatenation(k, random_state=seed),
            problem.Xs,
            problem.y,
        ),
        (
            "spectral, concatenation as given",
            SpectralConcatenation(k, random_state=seed),
            problem.Xs,
            problem.y,
        ),
    ]
    for name, floor, Xs, y in floors:
        record(name, y, floor.fit_predict(Xs))
    if settings is not None:
        # One training serves both floors that need it.
        trained = AutoencoderKMeans(k, settings=dict(settings), random_state=seed)
        record("auto-encoder + k-means", problem.y, trained.fit_predict(problem.Xs))
        matched = match_rows(trained.embeddings_, problem.aligned)
        labels = KMeansConcatenation(k, random_state=seed).fit_predict(matched)
        record("auto-encoder + Hungarian + k-means", problem.y, labels)
