"""What the NTK notebooks share: nouns under seven prompts, and fits that record themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mvlib import data
from mvlib.check import check_number
from mvlib.encoders import TextBank
from mvlib.methods import TAC, CLIPKMeans, filter_nouns, number_of_centres, semantic_centres
from mvlib.methods.ntk_spectral import NTKSpectralClustering
from mvlib.ops import resolve_device
from mvlib.records.recorder import Recorder
from mvlib.tasks.images_with_words import VisionProblem, record_fit, vision_problem

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
    banks = tuple(
        TextBank(
            shown, found.encoder.encode_texts([prompt.replace("{}", word) for word in words])
        )
        for prompt in data.PROMPTS
    )
    mean = TextBank(shown, np.mean([bank.features for bank in banks], axis=0))
    return PromptProblem(**vars(found) | {"nouns": mean}, banks=banks)


def subsample(problem: PromptProblem, seed: int, share: float = SHARE) -> PromptProblem:
    """Return a problem with some of its images, and some of its train images."""
    check_number("share", share, low=0, high=1, open_low=True)
    rng = np.random.default_rng(seed)

    def some(count: int) -> np.ndarray:
        return np.sort(rng.permutation(count)[: max(1, round(share * count))])

    rows = some(len(problem.y))
    train, whole = problem.train_images, problem.data_set
    pictures, captions = whole.images, whole.captions
    return replace(
        problem,
        data_set=replace(
            whole,
            images=pictures[rows]
            if isinstance(pictures, np.ndarray)
            else [pictures[i] for i in rows],
            y=whole.y[rows],
            captions=captions and tuple(captions[i] for i in rows),
        ),
        images=problem.images[rows],
        train_images=None if train is None else train[some(len(train))],
    )


def ntk_recorder(experiment: str, profile: str, device: str = "auto") -> Recorder:
    """Return the recorder of a notebook of this chapter."""
    return Recorder(PAPER, experiment, profile, resolve_device(device).type)


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
            try:
                fitted[name, seed] = record_fit(
                    recorder,
                    name,
                    part,
                    NTKSpectralClustering(part.n_clusters, **chosen),
                    part.banks,
                    parameters,
                    measures and (lambda model, part=part: measures(model, part)),
                )
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
        k = part.n_clusters
        model = CLIPKMeans(k, random_state=seed)
        record_fit(recorder, "k-means of images", part, model, None, parameters)
        model = NTKSpectralClustering(k, **RBF, random_state=seed)
        record_fit(recorder, "spectral of images", part, model, None, parameters)
        tac = TAC(k, random_state=seed)
        record_fit(recorder, "TAC, no training", part, tac, part.nouns, parameters)
        model = NTKSpectralClustering(k, **RBF, random_state=seed)
        record_fit(
            recorder, "TAC features, spectral", part, model, None, parameters,
            images=tac.embedding_,
        )  # fmt: skip


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
                few = tuple(
                    TextBank(bank.texts[:value], bank.features[:value])
                    for bank in problem.banks
                )
                part, settings = replace(problem, banks=few), {}
            run_rows(recorder, part, seeds, {"NTK": settings}, given)
