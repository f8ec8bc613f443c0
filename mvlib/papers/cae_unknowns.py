"""What CAE's paper leaves open, one setting changed at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mvlib import data, encoders
from mvlib.encoders import TextBank
from mvlib.methods import CAE, number_of_centres, semantic_centres
from mvlib.records.recorder import Recorder
from mvlib.records.statistics import paired_comparisons
from mvlib.tasks.images_with_words import VisionProblem, record_fit

if TYPE_CHECKING:
    import pandas as pd

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
        some = _of(problem.captions, _order(len(problem.captions))[:count])
        captions[f"Open Clip Art, {count}"] = (replace(problem, captions=some), {})
    if flickr30k_counts:
        bank = _flickr30k(problem, max(flickr30k_counts))
        for count in flickr30k_counts:
            some = _of(bank, np.arange(count))
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
    return replace(problem, nouns=encoders.noun_bank(problem.encoder, size, prompts=prompts))


def _flickr30k(problem: VisionProblem, count: int) -> TextBank:
    # Five captions a photograph lie one after the other.
    texts = tuple(dict.fromkeys(data.captions("flickr30k")[::5]))
    drawn = tuple(texts[row] for row in _order(len(texts))[:count])
    return TextBank(drawn, problem.encoder.encode_texts(drawn))


def _order(n: int) -> np.ndarray:
    return np.random.default_rng(0).permutation(n)


def _of(bank: TextBank, rows: np.ndarray) -> TextBank:
    return TextBank(tuple(bank.texts[row] for row in rows), bank.features[rows])


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
    import pandas as pd

    rows = []
    for (dataset, setting), some in frame.groupby(["dataset", "setting"], sort=False):
        default, *others = some["value"].unique()
        if not others:
            continue
        means = 100 * some.groupby("value")["acc"].mean()
        pairs = [(value, default) for value in others]
        found = paired_comparisons(some, pairs, by=("seed",), column="value")
        for row in found.to_dict("records"):
            rows.append(
                {
                    "data set": dataset,
                    "setting": setting,
                    "default": default,
                    "value": row["A"],
                    "n": row["n"],
                    "ACC, default": means[default],
                    "ACC": means[row["A"]],
                    "difference": row["difference"],
                    "ci_low": row["ci_low"],
                    "ci_high": row["ci_high"],
                }
            )
    return pd.DataFrame(rows)
