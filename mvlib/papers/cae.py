"""CAE's chapter: what the paper leaves open, and when words help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from mvlib import data, encoders
from mvlib.check import check_number
from mvlib.data import describe
from mvlib.encoders import TextBank
from mvlib.methods import (
    CAE,
    CLIPKMeans,
    ZeroShot,
    adaptive_fusion,
    counterpart,
    number_of_centres,
    optimal_transport_plan,
    semantic_centres,
)
from mvlib.metrics import accuracy, clustering_scores
from mvlib.papers.words_analysis import some_texts
from mvlib.records.recorder import Recorder
from mvlib.records.statistics import paired_comparisons
from mvlib.tasks.images_with_words import VisionProblem, record_fit, run_methods, with_images

PROMPT_SETS = {"bare noun": ("{}",), "TAC's seven": data.PROMPTS}

# A problem and the parameters of a CAE on it.
Change = tuple[VisionProblem, dict[str, Any]]


def unknown_settings(
    problem: VisionProblem,
    prompt_sets: Sequence[str] = ("bare noun",),
    openclipart_counts: Sequence[int] = (),
    flickr30k_counts: Sequence[int] = (),
    other_images: np.ndarray | None = None,
) -> dict[str, dict[str, Change]]:
    """Return the settings that the paper leaves open, with their values."""
    default: Change = (problem, {})
    marginals = {
        kind: (problem, {"column_marginals": kind}) for kind in ("retrieval", "softmax")
    }
    by_centre = {"row_marginals": mass_by_centre(problem)}
    captions = {f"Open Clip Art, all {len(problem.captions)}": default}
    for count in openclipart_counts:
        some = some_texts(problem.captions, _order(len(problem.captions))[:count])
        captions[f"Open Clip Art, {count}"] = (replace(problem, captions=some), {})
    if flickr30k_counts:
        bank = _flickr30k(problem, max(flickr30k_counts))
        for count in flickr30k_counts:
            some = some_texts(bank, np.arange(count))
            captions[f"Flickr30k, {count}"] = (replace(problem, captions=some), {})
    chosen_by = {"the images themselves": (replace(problem, train_images=None), {})}
    if problem.train_images is not None:
        chosen_by = {"the train split": default} | chosen_by
    elif other_images is not None:
        others = replace(problem, train_images=other_images)
        chosen_by = {"the images themselves": default, "other drawings": (others, {})}
    return {
        "mass of a word": {"equal": default, **marginals},
        "mass of an image": {"equal": default, "equal for each centre": (problem, by_centre)},
        "cost": {"1 - cosine": default, "euclidean": (problem, {"cost": "euclidean"})},
        "prompt of a noun": {"a photo of a": default}
        | {name: (_with_prompts(problem, name), {}) for name in prompt_sets},
        "captions": captions,
        "what chooses the words": chosen_by,
    }


def mass_by_centre(problem: VisionProblem) -> np.ndarray:
    """Return masses of the images, (n_samples,), under which every centre has the same."""
    n_centers = number_of_centres(len(problem.images), problem.n_clusters)
    centres = semantic_centres(problem.images, n_centers, random_state=0)
    nearest = (problem.images @ centres.T).argmax(axis=1)
    mass = 1 / np.bincount(nearest, minlength=n_centers)[nearest]
    return mass / mass.sum()


def _with_prompts(problem: VisionProblem, name: str) -> VisionProblem:
    size, prompts = len(problem.nouns), PROMPT_SETS[name]
    return replace(
        problem, nouns=encoders.noun_bank(problem.encoder, size, prompts=prompts, insults=True)
    )


def _flickr30k(problem: VisionProblem, count: int) -> TextBank:
    # Five captions a photograph lie one after the other.
    texts = tuple(dict.fromkeys(data.captions("flickr30k")[::5]))
    drawn = tuple(texts[row] for row in _order(len(texts))[:count])
    return TextBank(drawn, problem.encoder.encode_texts(drawn))


def _order(n: int) -> np.ndarray:
    return np.random.default_rng(0).permutation(n)


def sweep_settings(
    recorder: Recorder,
    problem: VisionProblem,
    settings: Mapping[str, Mapping[str, Change]],
    seeds: Sequence[int],
    parameters: Mapping[str, Any],
) -> None:
    """Fit CAE for each value of each setting and record it, with `setting` and `value`."""
    for seed in seeds:
        default = None
        for setting, values in settings.items():
            for value, (changed, options) in values.items():
                given = {**parameters, "setting": setting, "value": value}
                if changed is problem and not options and default:
                    merged = default["parameters"] | given
                    recorder.add(**(default | {"parameters": merged}))
                    continue
                model = CAE(problem.n_clusters, random_state=seed, **options)
                record_fit(recorder, "CAE", changed, model, changed.texts, given)
                default = default or recorder.results[-1]


def differences_from_default(frame: pd.DataFrame) -> pd.DataFrame:
    """Return how far each value is from its setting's default, over the same seeds."""
    tables = []
    for (dataset, setting), some in frame.groupby(["dataset", "setting"], sort=False):
        default, *others = some["value"].unique()
        if not others:
            continue
        means = 100 * some.groupby("value")["acc"].mean()
        pairs = [(value, default) for value in others]
        found = paired_comparisons(some, pairs, by=("seed",), column="value")
        about = {"data set": dataset, "setting": setting, "ACC, default": means[default]}
        found = found.rename(columns={"A": "value", "B": "default"}).assign(**about)
        tables.append(found.assign(ACC=found["value"].map(means)))
    shown = ["data set", "setting", "default", "value", "n", "ACC, default", "ACC"]
    shown += ["difference", "ci_low", "ci_high"]
    return pd.concat(tables, ignore_index=True)[shown] if tables else pd.DataFrame()


KMEANS = "k-means of images"
WITH_WORDS = ("TAC, no training", "CAE")
REAL, RANDOM = "CAE with real words", "CAE with random words"
CHOSEN = "CAE with words chosen among random ones"


def class_subsets(n_classes: int, n_subsets: int, random_state: int = 0) -> list[np.ndarray]:
    """Return all classes, then random halves of them."""
    check_number("n_classes", n_classes, low=4, integer=True)
    check_number("n_subsets", n_subsets, low=0, integer=True)
    rng = np.random.default_rng(random_state)
    halves = [rng.permutation(n_classes)[: n_classes // 2] for _ in range(n_subsets)]
    return [np.arange(n_classes), *map(np.sort, halves)]


def restrict(problem: VisionProblem, classes: Sequence[int]) -> VisionProblem:
    """Return a problem with the images of some classes alone."""
    part = with_images(problem, np.flatnonzero(np.isin(problem.y, classes)))
    some = replace(
        part.data_set,
        y=np.searchsorted(classes, part.y),
        class_names=tuple(part.data_set.class_names[number] for number in classes),
    )
    chosen = problem.classes[np.asarray(classes)]
    return replace(part, data_set=some, train_images=None, classes=chosen)


def gains_over_kmeans(
    recorder: Recorder, problem: VisionProblem, seeds: Sequence[int], n_subsets: int
) -> None:
    """Run the methods on a set and on random halves of its classes, and record the gains."""
    for number, classes in enumerate(class_subsets(problem.n_clusters, n_subsets)):
        part = restrict(problem, classes) if number else problem
        upper = accuracy(part.y, ZeroShot().fit(part.images, part.classes).labels_)
        for seed in seeds:
            floor = CLIPKMeans(part.n_clusters, random_state=seed).fit(part.images)
            lower = accuracy(part.y, floor.labels_)
            for name in WITH_WORDS:
                given = {"subset": number, "kind": f"{name}, {problem.encoder.name}"}
                run_methods(recorder, part, [seed], [name], given)
                result = recorder.results.pop()
                gain = 100 * (result["metrics"]["last"]["acc"] - lower)
                gap = 100 * (upper - lower)
                recorder.add(**result, measures={"gap": gap, "gain": gain})


def rank_agreement(frame: pd.DataFrame) -> pd.DataFrame:
    """Return how well the gap orders the gain, for each method and encoder."""
    rows = []
    keys, kinds = ["dataset", "subset"], ["method", "encoder"]
    for kind, some in frame.groupby(kinds, sort=False):
        means = some.groupby(keys)[["measure_gap", "measure_gain"]].mean()
        gap, gain = means["measure_gap"], means["measure_gain"]
        agree = float((np.sign(gap) == np.sign(gain)).mean())
        rank = gap.corr(gain, method="spearman")
        rows.append((*kind, len(means), rank, agree, gain.mean()))
    shown = [*kinds, "problems", "rank correlation", "same sign", "mean gain"]
    return pd.DataFrame(rows, columns=shown)


def corrupt(bank: TextBank, share: float, random_state: int) -> TextBank:
    """Return a bank in which the features of some texts are random directions."""
    check_number("share", share, low=0, high=1)
    rng = np.random.default_rng(random_state)
    n = len(bank.texts)
    order = rng.permutation(n)
    noise = rng.standard_normal(bank.features.shape).astype(np.float32)
    lengths = (np.linalg.norm(some, axis=1, keepdims=True) for some in (bank.features, noise))
    noise *= np.divide(*lengths)
    changed = np.isin(np.arange(n), order[: round(share * n)])
    return TextBank(bank.texts, np.where(changed[:, None], noise, bank.features))


def corrupted_words(
    recorder: Recorder, problem: VisionProblem, seeds: Sequence[int], shares: Sequence[float]
) -> pd.DataFrame:
    """Run CAE with a share of its words corrupted, and k-means, and record them."""
    for seed in seeds:
        run_methods(recorder, problem, [seed], [KMEANS])
        floor = recorder.results.pop()
        model = CAE(problem.n_clusters, random_state=seed)
        model.fit(problem.images, problem.texts, problem.train_images)
        for share in shares:
            given = floor["parameters"] | {"corrupted": share}
            recorder.add(**(floor | {"parameters": given}))
            labels = _labels_with(model, problem, share, seed)
            scores = {"last": clustering_scores(problem.y, labels)}
            recorder.add("CAE", problem.name, seed, given, scores)
        banks = corrupt(problem.nouns, 1, seed), corrupt(problem.captions, 1, seed + 1)
        other = replace(problem, nouns=banks[0], captions=banks[1])
        model = CAE(problem.n_clusters, random_state=seed)
        record_fit(recorder, CHOSEN, other, model, other.texts, {"corrupted": 1.0})
    return recorder.frame()


def _labels_with(model: CAE, problem: VisionProblem, share: float, seed: int) -> np.ndarray:
    """Return the clusters of CAE's later steps on its kept words, a share of them corrupted."""
    told = []
    for number, (kind, rows) in enumerate(model.history_["kept"].items()):
        kept = some_texts(problem.texts[kind], rows)
        words = corrupt(kept, share, seed + number).features
        found = optimal_transport_plan(
            problem.images, words, epsilon=model.epsilon, max_iter=model.max_iter
        )
        told.append(counterpart(problem.images, words, found.plan))
    fused, _ = adaptive_fusion(problem.images, told, gamma=model.gamma, fusion=model.fusion)
    return CLIPKMeans(problem.n_clusters, random_state=seed).fit(fused).labels_


def random_words_differences(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what CAE gains over k-means and over its real words, by share of random words."""
    tables = []
    for dataset, some in frame.groupby("dataset", sort=False):
        words = (
            some["corrupted"].map(_words_name).where(some["method"] == "CAE", some["method"])
        )
        some = some.assign(words=words).drop_duplicates(["words", "seed"])
        others = [name for name in some["words"].unique() if name not in (KMEANS, REAL)]
        pairs = [(name, KMEANS) for name in (REAL, *others)] + [(n, REAL) for n in others]
        found = paired_comparisons(some, pairs, by=("seed",), column="words")
        tables.append(found.assign(**{"data set": describe(dataset).title}))
    columns = ["data set", "A", "B", "n", "difference", "ci_low", "ci_high"]
    return pd.concat(tables, ignore_index=True)[columns]


def _words_name(share: float) -> str:
    return {0: REAL, 1: RANDOM}.get(share, f"CAE, {share:.0%} random words")


def random_words_sentences(frame: pd.DataFrame) -> str:
    """Return a Markdown list: what `random_words_differences` says of words all random."""
    table = random_words_differences(frame)
    table = table[table["A"].isin([REAL, RANDOM, CHOSEN])]
    lines = []
    for dataset, some in table.groupby("data set", sort=False):
        said = [_sentence(row) for row in some.to_dict("records")]
        lines.append(f"- {dataset}, {some['n'].iloc[0]} seeds: {'; '.join(said)}.")
    return "\n".join(lines)


def _sentence(row: dict[str, Any]) -> str:
    low, high, points = row["ci_low"], row["ci_high"], row["difference"]
    said = "not told apart from" if low <= 0 <= high else "below" if points < 0 else "above"
    return f"{row['A']} is {said} {row['B']} ({points:+.1f} points, {low:+.1f} to {high:+.1f})"
