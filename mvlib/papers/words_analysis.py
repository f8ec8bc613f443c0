"""What the notebooks on images and words look into: plans, words, and who was put right."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd

from mvlib.encoders import TextBank
from mvlib.methods import CAE, SIC, optimal_transport_plan, theorem_1_quantities
from mvlib.metrics import clustering_scores
from mvlib.ops import best_matching, contingency_table, unit_rows
from mvlib.records.recorder import Recorder
from mvlib.tasks.images_with_words import VisionProblem, record_fit, texts_of


def record_sic(
    recorder: Recorder,
    problem: VisionProblem,
    seed: int,
    parameters: Mapping[str, Any] | None = None,
) -> SIC:
    """Fit SIC and record its last epoch, and the epoch that its script would keep."""
    model = SIC(problem.n_clusters, random_state=seed)
    record_fit(recorder, "SIC", problem, model, texts_of("sic", problem), parameters)
    best = model.history_["labels"][model.oracle_epoch(problem.y)]
    recorder.results[-1]["metrics"]["oracle"] = clustering_scores(problem.y, best)
    return model


def kept_words(
    model: CAE, problem: VisionProblem, kind: str
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the words of one space of a fitted CAE."""
    kept = some_texts(problem.texts[kind], model.history_["kept"][kind])
    return kept.texts, kept.features


def some_texts(bank: TextBank, rows: np.ndarray) -> TextBank:
    """Return a bank of some texts of another, by their row numbers."""
    return TextBank(tuple(bank.texts[row] for row in rows), bank.features[rows])


def word_shares(
    model: CAE, problem: VisionProblem, kind: str
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return how each image of a fitted CAE is shared out among the words of a space."""
    texts, features = kept_words(model, problem, kind)
    found = optimal_transport_plan(
        problem.images,
        features,
        cost=model.cost,
        epsilon=model.epsilon,
        max_iter=model.max_iter,
        device=model.device,
    )
    return texts, found.plan / found.plan.sum(axis=1, keepdims=True)


def top_words(
    texts: Sequence[str], shares: np.ndarray, rows: Sequence[int], count: int = 4
) -> list[dict[str, float]]:
    """Return the heaviest words of some images, as `mvlib.plots.plot_weights` takes them."""
    return [
        {texts[j]: float(shares[row, j]) for j in np.argsort(-shares[row])[:count]}
        for row in rows
    ]


def counterpart_measures(
    model: CAE, problem: VisionProblem, kind: str = "nouns"
) -> dict[str, float]:
    """Measure what Theorem 1 speaks of on the words that a fitted CAE kept."""
    quantities = _theorem_1(model, problem, kind, model.temperature, model.epsilon)
    found = quantities[model.counterpart]
    even = 1 / len(found.column_marginals)
    errors = {name: getattr(found, name) for name in _ERRORS}
    return errors | {"words_used": float((found.column_marginals >= even / 2).mean())}


_ERRORS = ("column_error", "semantic_error", "target_error")


def _theorem_1(
    model: CAE, problem: VisionProblem, kind: str, temperature: float, epsilon: float
) -> dict[str, Any]:
    _, features = kept_words(model, problem, kind)
    return theorem_1_quantities(
        problem.images,
        features,
        targets=problem.classes[problem.y],
        temperature=temperature,
        epsilon=epsilon,
        max_iter=model.max_iter,
    )


def theorem_1_readings(
    model: CAE, problem: VisionProblem, sharpness: Sequence[float], kind: str = "nouns"
) -> pd.DataFrame:
    """Return both readings of Theorem 1 on the words that a fitted CAE kept."""
    rows = []
    for value in sharpness:
        found = _theorem_1(model, problem, kind, value, value)
        for weights, measured in found.items():
            no_worse = measured.target_errors <= found["softmax"].target_errors
            row = {"sharpness": value, "weights": weights}
            row |= {name.replace("_", " "): getattr(measured, name) for name in _ERRORS}
            row["no worse"] = None if weights == "softmax" else float(no_worse.mean())
            rows.append(row)
    return pd.DataFrame(rows)


def plan_failures(
    problem: VisionProblem, epsilons: Sequence[float], iterations: Sequence[int]
) -> pd.DataFrame:
    """Return how far plans are from their marginals, ours and POT's in float32."""
    words = problem.nouns.features[: 5 * problem.n_clusters]
    rows = []
    for epsilon, bound in product(epsilons, iterations):
        ours = optimal_transport_plan(
            problem.images, words, epsilon=epsilon, max_iter=bound, marginal_tol=None
        )
        row = {"epsilon": epsilon, "iterations": bound}
        row |= {"mvlib": max(ours.row_error, ours.column_error), "how": ours.method}
        row["POT, float32"] = _pot_error(problem.images, words, epsilon, bound)
        rows.append(row)
    return pd.DataFrame(rows)


def _pot_error(images: np.ndarray, words: np.ndarray, epsilon: float, bound: int) -> str:
    import ot

    cost = (1 - unit_rows(images) @ unit_rows(words).T).astype(np.float32)
    even = [np.full(n, 1 / n, dtype=np.float32) for n in cost.shape]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        plan = ot.sinkhorn(*even, cost, epsilon, numItermax=bound, stopThr=1e-9)
    if not np.isfinite(plan).all():
        return "NaN"
    if not plan.any():
        return "empty"
    error = max(np.abs(plan.sum(axis=1 - axis) - even[axis]).sum() for axis in (0, 1))
    return f"{error:.4f}"


def class_confusions(
    texts: Sequence[str], shares: np.ndarray, y: np.ndarray, class_names: Sequence[str]
) -> pd.DataFrame:
    """Return which classes send their images' mass to the same words."""
    means = np.stack([shares[y == number].mean(axis=0) for number in range(len(class_names))])
    rows = []
    for a, b in combinations(range(len(class_names)), 2):
        common = np.minimum(means[a], means[b])
        carried = ", ".join(texts[j] for j in np.argsort(-common)[:3])
        rows.append((class_names[a], class_names[b], float(common.sum()), carried))
    table = pd.DataFrame(rows, columns=["class", "and", "overlap", "shared words"])
    return table.sort_values("overlap", ascending=False, ignore_index=True)


def centrality(embedding: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the cosine of each sample to the mean direction of its cluster."""
    unit = unit_rows(embedding)
    centres = np.stack([unit[labels == label].mean(axis=0) for label in np.unique(labels)])
    centres = unit_rows(centres)
    return (unit * centres[np.unique(labels, return_inverse=True)[1]]).sum(axis=1)


def put_right(y: np.ndarray, labels: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the samples that one clustering puts into their class and another does not."""
    return np.flatnonzero(_right(y, labels) & ~_right(y, other))


def _right(y: np.ndarray, labels: np.ndarray) -> np.ndarray:
    classes = np.unique(y, return_inverse=True)[1]
    clusters = np.unique(labels, return_inverse=True)[1]
    rows, columns = best_matching(contingency_table(y, labels))
    class_of = np.full(clusters.max() + 1, -1)
    class_of[columns] = rows
    return class_of[clusters] == classes
