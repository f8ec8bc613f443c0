"""NTK's chapter: nouns under seven prompts, fits and their records, blocks, shifts, costs."""

from __future__ import annotations

import ctypes
import gc
import os
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning

from mvlib import data
from mvlib.check import check_number
from mvlib.encoders import TextBank
from mvlib.methods import TAC, CLIPKMeans, filter_nouns, number_of_centres, semantic_centres
from mvlib.methods.ntk_spectral import (
    NTKSpectralClustering,
    ntk_affinity,
    sparsify,
    spectral_embedding,
)
from mvlib.metrics import adjusted_rand_index, clustering_scores
from mvlib.papers.words_analysis import some_texts
from mvlib.records.recorder import Recorder
from mvlib.records.statistics import differences_by_set, paired_comparisons
from mvlib.records.tables import results_frame
from mvlib.tasks.images_with_words import (
    VisionProblem,
    record_fit,
    short_side,
    vision_problem,
    with_images,
)
from mvlib.tasks.runs import recorder_of

PAPER = "ntk_spectral"
SHARE = 0.9
# Unknown in the paper; this is scikit-learn's default, exp(-|z_i - z_j|^2).
RBF_WIDTH = 1.0
RBF = {"affinity": "rbf", "fusion": "single", "temperature": RBF_WIDTH}


@dataclass(frozen=True, eq=False)
class PromptProblem(VisionProblem):
    """A set of images, and nouns under each of TAC's seven prompts."""

    banks: tuple[TextBank, ...]


def prompt_problem(
    dataset: str = "openclipart",
    encoder: str = "offline",
    *,
    n_nouns: int = 8000,
    pool: int = 0,
    train_split: str = "train",
    device: str = "auto",
) -> PromptProblem:
    """Encode a data set and the nouns under each prompt, or read them from the cache."""
    check_number("pool", pool, low=0, integer=True)
    found = vision_problem(
        dataset, encoder, n_nouns=n_nouns, train_split=train_split, device=device
    )
    words = data.nouns(most_frequent=n_nouns or None)
    if pool:
        train = found.images if found.train_images is None else found.train_images
        count = number_of_centres(len(train), found.n_clusters)
        centres = semantic_centres(train, count, device=device, random_state=0)
        kept = filter_nouns(found.nouns.features, centres, pool, device=device)
        words = [words[row] for row in kept]
    # Encoded as WordNet writes compounds, as in TAC, and shown as people do.
    shown = tuple(word.replace("_", " ") for word in words)
    texts = [[prompt.replace("{}", word) for word in words] for prompt in data.PROMPTS]
    banks = tuple(TextBank(shown, found.encoder.encode_texts(some)) for some in texts)
    mean = TextBank(shown, np.mean([bank.features for bank in banks], axis=0))
    return PromptProblem(**vars(found) | {"nouns": mean}, banks=banks)


def subsample(problem: PromptProblem, seed: int, share: float = SHARE) -> PromptProblem:
    """Return a problem with some of its images, and some of its train images."""
    check_number("share", share, low=0, high=1, open_low=True)
    rng = np.random.default_rng(seed)

    def some(count: int) -> np.ndarray:
        return np.sort(rng.permutation(count)[: max(1, round(share * count))])

    part = with_images(problem, some(len(problem.y)))
    train = problem.train_images
    return replace(part, train_images=None if train is None else train[some(len(train))])


ntk_recorder = partial(recorder_of, PAPER)


def run_rows(
    recorder: Recorder,
    problem: PromptProblem,
    seeds: Sequence[int],
    rows: Mapping[str, Mapping[str, Any]],
    parameters: Mapping[str, Any] | None = None,
    measures: Callable[[Any, PromptProblem], Mapping[str, float]] | None = None,
    share: float = SHARE,
) -> dict[tuple[str, int], NTKSpectralClustering]:
    """Fit the method under several settings, on each seed's images, and record it."""
    fitted = {}
    for seed in seeds:
        part = subsample(problem, seed, share)
        for name, settings in rows.items():
            chosen = {"solver": "subspace", "random_state": seed, **settings}
            model = NTKSpectralClustering(part.n_clusters, **chosen)
            measured = measures and (lambda model, part=part: measures(model, part))
            try:
                with warnings.catch_warnings():
                    # A sweep goes where clusters stay empty: the score tells.
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    record_fit(recorder, name, part, model, part.banks, parameters, measured)
                fitted[name, seed] = model
            except ValueError as error:
                print(f"{name}, seed {seed}, has no result: {error}")
    return fitted


def run_baselines(
    recorder: Recorder,
    problem: PromptProblem,
    seeds: Sequence[int],
    parameters: Mapping[str, Any] | None = None,
    share: float = SHARE,
) -> None:
    """Fit what the method is compared with, on each seed's images, and record it."""
    for seed in seeds:
        part = subsample(problem, seed, share)
        kmeans, tac = (kind(part.n_clusters, random_state=seed) for kind in (CLIPKMeans, TAC))
        spectral = NTKSpectralClustering(part.n_clusters, **RBF, random_state=seed)
        record_fit(recorder, "k-means of images", part, kmeans, None, parameters)
        record_fit(recorder, "spectral of images", part, spectral, None, parameters)
        record_fit(recorder, "TAC, no training", part, tac, part.nouns, parameters)
        name, X = "TAC features, spectral", tac.embedding_
        record_fit(recorder, name, part, spectral, None, parameters, images=X)


def run_sweeps(
    recorder: Recorder,
    problem: PromptProblem,
    seeds: Sequence[int],
    sweeps: Mapping[str, Sequence[float]],
    parameters: Mapping[str, Any] | None = None,
) -> None:
    """Fit the method with one setting moved at a time, and record it."""
    for setting, values in sweeps.items():
        for value in values:
            given = {**(parameters or {}), "setting": setting, "value": value}
            part, settings = problem, {setting: value}
            if setting == "nouns":
                few = tuple(some_texts(bank, np.arange(value)) for bank in problem.banks)
                part, settings = replace(problem, banks=few), {}
            run_rows(recorder, part, seeds, {"NTK": settings}, given)


def class_transitions(affinity: Any, y: np.ndarray) -> np.ndarray:
    """Return where a random step on an affinity leads, class by class."""
    members = np.eye(y.max() + 1)[y]
    reached = np.asarray(affinity @ members, dtype=np.float64)
    reached -= np.asarray(affinity.diagonal(), dtype=np.float64)[:, None] * members
    reached /= reached.sum(axis=1, keepdims=True)
    return (members.T @ reached) / members.sum(axis=0)[:, None]


def block_measures(model: NTKSpectralClustering, y: np.ndarray) -> dict[str, float]:
    """Measure the blocks of a fitted model's affinity."""
    steps = class_transitions(model.affinity_, y)
    k = model.n_clusters
    _, values = spectral_embedding(model.affinity_, k + 1, random_state=model.random_state)
    return {
        "within": float(np.diag(steps).mean()),
        "between": float((steps - np.diag(np.diag(steps))).max()),
        "gap": float(values[k - 1] - values[k]),
        "tied": model.history_["n_tied"] / len(y),
    }


def affinity_kinds(Z: np.ndarray, W: np.ndarray, temperature: float) -> dict[str, np.ndarray]:
    """Return four affinities of the same images."""
    kinds = {"Gaussian": ("rbf", RBF_WIDTH), "cosine": ("visual", temperature)}
    kinds |= {"words alone": ("semantic", temperature), "NTK": ("ntk", temperature)}
    return {
        name: ntk_affinity(Z, W, width, affinity=kind) for name, (kind, width) in kinds.items()
    }


def block_table(
    matrices: Mapping[str, np.ndarray], y: np.ndarray, n_neighbors: int
) -> pd.DataFrame:
    """Return how much each affinity keeps to the classes, among nearest neighbours."""
    rows = []
    for name, matrix in matrices.items():
        others = matrix.copy()
        np.fill_diagonal(others, -np.inf)
        nearest = np.argpartition(-others, n_neighbors - 1, axis=1)[:, :n_neighbors]
        mutual = sparsify(matrix, n_neighbors, "mutual")
        steps = class_transitions(sparsify(matrix, n_neighbors, "union"), y)
        found = y[nearest] == y[:, None], np.diag(steps), np.diff(mutual.indptr) == 0
        rows.append((name, *(float(values.mean()) for values in found)))
    shown = ["neighbours of the class", "steps in the class", "without a mutual neighbour"]
    return pd.DataFrame(rows, columns=["affinity", *shown])


COLUMNS = ["A", "B", "n", "difference", "ci_low", "ci_high", "p_holm", "verdict"]


def recorded_comparisons(
    experiment: str,
    pairs: Sequence[tuple[str, str]],
    profile: str = "reduced",
    datasets: Sequence[str] | None = None,
    root: Path | None = None,
) -> pd.DataFrame:
    """Compare pairs of methods on what is recorded of an experiment."""
    frame = results_frame("ntk_spectral", profile, experiment, root)
    if datasets is not None:
        frame = frame[frame["dataset"].isin(datasets)]
    known = set(frame["method"])
    pairs = [pair for pair in pairs if known.issuperset(pair)]
    if not pairs:
        return frame.iloc[:0]
    table = paired_comparisons(frame, pairs)[COLUMNS]
    return table.merge(differences_by_set(frame, pairs), on=["A", "B"])


def recorded_losses(profile: str = "reduced", root: Path | None = None) -> pd.DataFrame:
    """Return what each affinity loses under each shift, from the records."""
    frame = results_frame("ntk_spectral", profile, "domain_shift", root)
    if frame.empty:
        return frame
    points = frame.assign(acc=100 * frame["acc"].astype(float))
    whole = points[points["shift"] == "none"]
    pairs = points[points["shift"] != "none"].merge(
        whole, on=["dataset", "method", "seed"], suffixes=("", "_whole")
    )
    pairs["loss"] = pairs["acc_whole"] - pairs["acc"]
    losses = pairs.pivot_table("loss", ["dataset", "shift"], "method", sort=False)
    losses.insert(0, "n", pairs.groupby(["dataset", "shift"])["seed"].nunique())
    return losses.reset_index().rename_axis(columns=None)


def shifted(problem: PromptProblem, name: str, severity: int) -> PromptProblem:
    """Return a problem whose images are shifted; its nouns are chosen by those that are not."""
    pictures = data.shift_images(problem.data_set.images, name, severity, random_state=0)
    data_set, encoder = replace(problem.data_set, images=pictures), problem.encoder
    images = encoder.encode_images(pictures, resize=short_side(data_set, encoder))
    train = problem.images if problem.train_images is None else problem.train_images
    return replace(problem, data_set=data_set, images=images, train_images=train)


def pictures(problem: PromptProblem) -> Sequence[Any]:
    """Return the images themselves, as `mvlib.plots.plot_pile` takes them."""
    return problem.data_set.images


WAYS = {
    "full": {"solver": "full"},
    "subspace": {"solver": "subspace"},
    "features": {"solver": "features", "fusion": "mean"},
}
DIM, NOUNS_A_CLUSTER, NOUN_NOISE, PROMPT_NOISE = 128, 10, 0.6, 0.2
PERIOD = 0.005


def made_up_features(
    n_samples: int, n_clusters: int, n_prompts: int, noise: float, random_state: int
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return features of images and nouns around common centres."""
    check_number("n_samples", n_samples, low=n_clusters, integer=True)
    rng = np.random.default_rng(random_state)

    def around(centres: np.ndarray, length: float) -> np.ndarray:
        found = rng.standard_normal(centres.shape, dtype=np.float32)
        found *= length / DIM**0.5
        found += centres
        return found

    centres = rng.standard_normal((n_clusters, DIM), dtype=np.float32) / DIM**0.5
    y = rng.integers(n_clusters, size=n_samples)
    nouns = around(np.repeat(centres, NOUNS_A_CLUSTER, axis=0), NOUN_NOISE)
    banks = [around(nouns, PROMPT_NOISE) for _ in range(n_prompts)]
    return around(centres[y], noise), y, banks


def watched(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return what some work gives, its seconds, and its peak of resident memory."""
    import psutil

    process = psutil.Process()
    _hand_back()
    before, peak, done = process.memory_info().rss, [0], threading.Event()

    def look() -> None:
        while not done.wait(PERIOD):
            peak[0] = max(peak[0], process.memory_info().rss - before)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        start = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - start
    finally:
        done.set()
        watcher.join()
    return result, seconds, max(peak[0], 1) / 1e6


def _hand_back() -> None:
    """Give freed memory back to the system, so that it is not taken for held."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def record_costs(
    recorder: Recorder,
    sizes: dict[str, Sequence[int]],
    n_clusters: int,
    n_prompts: int,
    noise: float,
    random_state: int,
    device: str = "auto",
) -> None:
    """Fit each way on features of several sizes, and record what it costs."""
    full: dict[int, np.ndarray] = {}
    for name, counts in sizes.items():
        for count in counts:
            made = made_up_features(count, n_clusters, n_prompts, noise, random_state)
            images, y, banks = made
            # The filter of nouns is no part of what is compared.
            settings = {"top": None, "device": device, "random_state": random_state}
            model = NTKSpectralClustering(n_clusters, **settings, **WAYS[name])
            _, seconds, memory = watched(lambda model=model, i=images, b=banks: model.fit(i, b))
            measures = {"seconds": seconds, "memory_mb": memory}
            if name == "full":
                full[count] = model.labels_
            if count in full:
                measures["agreement"] = adjusted_rand_index(full[count], model.labels_)
            scores = {"last": clustering_scores(y, model.labels_)}
            given = random_state, {"n_samples": count}, scores
            recorder.add(name, "made up", *given, seconds=seconds, measures=measures)
