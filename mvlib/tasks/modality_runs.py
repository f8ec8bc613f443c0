"""Fits of Set-CLIP and its baselines that record how well they align."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mvlib.check import check_choice
from mvlib.methods import CCA, Chance, GromovWasserstein, Procrustes
from mvlib.methods.set_clip import SetCLIP
from mvlib.metrics import (
    batched_top_1,
    clustering_scores,
    embedding_mmd,
    modality_gap,
    retrieval_scores,
)
from mvlib.ops import resolve_device
from mvlib.records.recorder import Recorder
from mvlib.tasks.modality_problems import AlignmentProblem

# How rows without a known partner come to a batch.
SAME, INDEPENDENT, DISJOINT = "same instances", "independent draws", "disjoint things"
DRAWS = (SAME, INDEPENDENT, DISJOINT)
NETWORKS = {
    "Set-CLIP": SetCLIP,
    "CLIP on the pairs": SetCLIP.clip_only,
    "S-CLIP": SetCLIP.s_clip,
}
CLASSICS = ("CCA", "Procrustes", "Gromov-Wasserstein", "chance")
METHODS = (*NETWORKS, *CLASSICS)
_WITHOUT_PAIRS = ("Gromov-Wasserstein", "chance")
_BATCH = 50
_DIGITS = 5


def alignment_recorder(experiment: str, profile: str, device: str = "auto") -> Recorder:
    """Return the recorder of a notebook of the Set-CLIP chapter.

    Parameters
    ----------
    experiment, profile, device
        As for `mvlib.tasks.images_with_words.vision_recorder`.
    """
    return Recorder("set_clip", experiment, profile, resolve_device(device).type)


def alignment_measures(
    first: np.ndarray, second: np.ndarray, y: np.ndarray | None = None
) -> dict[str, float]:
    """Measure how well embeddings of one modality find those of the other.

    Parameters
    ----------
    first, second : ndarray of shape (n_samples, n_features)
        Row i of both is one thing.
    y : ndarray of shape (n_samples,), optional
        Its class.

    Returns
    -------
    dict of str to float
        `r1_first`, `r5_first`, `r10_first`, `rank_first` (median) with queries of the first
        modality on the full gallery, `batch_first` (top-1 in batches of 50); the same with
        `_second`; `r10`, the mean over both directions; `gallery`, its size; `gap` and `mmd`
        of the two clouds; with classes `class_r1`, the share of queries whose nearest row is
        of their class, over both directions, and `class_chance`.
    """
    found: dict[str, float] = {"gallery": len(first)}
    scores = retrieval_scores(first, second)
    batches = batched_top_1(first, second, batch_size=min(_BATCH, len(first)))
    for name, way in (("first", "first_to_second"), ("second", "second_to_first")):
        for depth in (1, 5, 10):
            found[f"r{depth}_{name}"] = scores[way][f"r@{depth}"]
        found[f"rank_{name}"] = scores[way]["median_rank"]
        found[f"batch_{name}"] = batches[way]
    found["r10"] = (found["r10_first"] + found["r10_second"]) / 2
    found["gap"] = modality_gap(first, second)
    found["mmd"] = embedding_mmd(first, second, random_state=0)
    if y is not None:
        alike = np.argwhere(y[:, None] == y[None, :])
        by_class = retrieval_scores(first, second, alike, depths=(1,))
        found["class_r1"] = float(np.mean([way["r@1"] for way in by_class.values()]))
        found["class_chance"] = by_class["first_to_second"]["chance_r@1"]
    return {name: round(float(value), _DIGITS) for name, value in found.items()}


def record_alignment(
    recorder: Recorder,
    method: str,
    problem: AlignmentProblem,
    model: Any,
    ratio: float | None = None,
    draws: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Any:
    """Fit a method on the rows to train on, and record its scores.

    Parameters
    ----------
    recorder : Recorder
        Takes the result. Its measures are those of the rows to score; its cluster scores
        those of the rows to train on, both modalities together, where there are classes.
    method : str
        Its name in the tables.
    problem : AlignmentProblem
        What to align.
    model : estimator
        Not fitted.
    ratio : float, optional
        Share of known pairs; None where the method reads no pair.
    draws : {"same instances", "independent draws", "disjoint things"}, optional
        What the result is recorded under; the last leaves out half of the rows without a
        partner in each modality.
    parameters : mapping, optional
        What else tells the result apart.
    seed : int, optional
        Of the method; None where it draws nothing.

    Returns
    -------
    estimator
        The model, fitted.
    """
    started = time.perf_counter()
    Xs, pairs, ys = problem.rows(ratio or 0, draws == DISJOINT)
    model.fit(Xs, pairs=pairs)
    measures = alignment_measures(*model.transform(problem.test), problem.y_test)
    metrics = None
    if ys is not None and model.n_clusters is not None:
        labels = np.concatenate(model.labels_by_modality_)
        metrics = {"last": clustering_scores(np.concatenate(ys), labels)}
    given = {"split": problem.split, "ratio": ratio, "draws": draws}
    recorder.add(
        method,
        problem.name,
        seed=seed,
        parameters=given | dict(parameters or {}),
        metrics=metrics,
        measures=measures,
        seconds=time.perf_counter() - started,
    )
    return model


def network(
    problem: AlignmentProblem,
    seed: int,
    settings: Mapping[str, Any],
    method: str = "Set-CLIP",
    ratio: float = 0.0,
    draws: str = INDEPENDENT,
) -> SetCLIP:
    """Return one of `NETWORKS`, trained for a number of steps whatever the rows.

    Parameters
    ----------
    problem : AlignmentProblem
        What it will be fitted on.
    seed : int
        Its seed.
    settings : mapping of str to object
        `n_steps`, and parameters of `SetCLIP`.
    method : str, default="Set-CLIP"
        A key of `NETWORKS`.
    ratio, draws
        As for `record_alignment`: what the epochs are counted by.

    Raises
    ------
    ValueError
        If `method`, `draws` or the ratio is none of these.
    """
    check_choice("draws", draws, DRAWS)
    given = {"batch_size": 64} | dict(settings)
    n_steps = given.pop("n_steps")
    n_rows = len(problem.rows(ratio, draws == DISJOINT)[0][0])
    steps_per_epoch = -(-n_rows // given["batch_size"])
    return NETWORKS[check_choice("method", method, NETWORKS)](
        problem.n_clusters,
        sampling="same_instances" if draws == SAME else "independent",
        n_epochs=max(1, round(n_steps / steps_per_epoch)),
        random_state=seed,
        **given,
    )


def run_draws(
    recorder: Recorder,
    problem: AlignmentProblem,
    seeds: Sequence[int],
    ratios: Sequence[float],
    settings: Mapping[str, Any],
    draws: Sequence[str] = DRAWS,
    parameters: Mapping[str, Any] | None = None,
) -> None:
    """Run Set-CLIP under each kind of draw at each ratio, and record it.

    Where all rows are paired there is nothing to draw, and "independent draws" stands for
    all kinds.

    Parameters
    ----------
    recorder : Recorder
        Takes the results, with the parameters `split`, `ratio`, `draws`, `n_steps`.
    problem : AlignmentProblem
        What to align.
    seeds : sequence of int
        Of the method.
    ratios : sequence of float
        Shares of known pairs.
    settings : mapping of str to object
        As for `network`.
    draws : sequence of str
        Among `DRAWS`.
    parameters : mapping, optional
        What else tells the results apart.
    """
    given = {"n_steps": settings["n_steps"]} | dict(parameters or {})
    for seed in seeds:
        for ratio in ratios:
            for kind in draws if ratio < 1 else [INDEPENDENT]:
                model = network(problem, seed, settings, ratio=ratio, draws=kind)
                record_alignment(recorder, "Set-CLIP", problem, model, ratio, kind, given, seed)


def run_methods(
    recorder: Recorder,
    problem: AlignmentProblem,
    seeds: Sequence[int],
    ratios: Sequence[float],
    settings: Mapping[str, Any],
    methods: Iterable[str] = METHODS,
    max_rows: int = 300,
) -> dict[tuple[str, float | None, int | None], Any]:
    """Run methods at each ratio that suits them, and record them.

    Parameters
    ----------
    recorder : Recorder
        Takes the results. Methods that read no pair are run once a seed, with ratio None;
        those that draw nothing once a ratio, with seed None; those that need pairs not at 0.
    problem : AlignmentProblem
        What to align.
    seeds : sequence of int
        Of the methods.
    ratios : sequence of float
        Shares of known pairs.
    settings : mapping of str to object
        As for `network`.
    methods : iterable of str
        Among `METHODS`.
    max_rows : int, default=300
        Of Gromov-Wasserstein.

    Returns
    -------
    dict of (str, float or None, int or None) to estimator
        Method, ratio and seed to the fitted model.

    Raises
    ------
    ValueError
        If a method is unknown or a ratio out of range.
    """
    fitted = {}
    k = problem.n_clusters
    for name in methods:
        check_choice("methods", name, METHODS)
        for ratio in ratios if name not in _WITHOUT_PAIRS else [None]:
            if ratio == 0 and name != "Set-CLIP":
                continue
            for seed in seeds if name not in ("CCA", "Procrustes") else [None]:
                draws, given = None, None
                if name in NETWORKS:
                    model = network(problem, seed, settings, name, ratio)
                    draws, given = INDEPENDENT, {"n_steps": settings["n_steps"]}
                elif name == "Gromov-Wasserstein":
                    model = GromovWasserstein(k, max_rows=max_rows, random_state=seed)
                elif name == "chance":
                    model = Chance(k, random_state=seed)
                else:
                    model = {"CCA": CCA, "Procrustes": Procrustes}[name](k, random_state=0)
                fitted[name, ratio, seed] = record_alignment(
                    recorder, name, problem, model, ratio, draws, given, seed
                )
    return fitted
