"""Images beside words: problems of features, and fits that record themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mvlib import data, encoders
from mvlib.check import check_choice, check_number, check_views
from mvlib.data.readers.images import first_of_each_class
from mvlib.encoders.heads import imagenet_ridge_map
from mvlib.methods import CLIPKMeans, SpectralConcatenation, ZeroShot
from mvlib.methods.catalogue import WORDS, find
from mvlib.methods.words import ImageClustering
from mvlib.metrics import clustering_scores
from mvlib.ops import top_k, unit_rows
from mvlib.records.recorder import COMMITTED_PROFILES, Recorder
from mvlib.tasks.runs import build, catalogued, recorder_of
from mvlib.tasks.runs import sized as sized

if TYPE_CHECKING:
    from mvlib.data import ImageDataset
    from mvlib.encoders import Encoder, Heads, TextBank
    from mvlib.encoders.offline import OfflineEncoder

PROMPT = "a photo of a {}."
CLIP_IMAGE_SIZE = 224


@dataclass(frozen=True, eq=False)
class VisionProblem:
    """A set of images and the words to cluster it with, all as features, not normalised."""

    data_set: ImageDataset
    encoder: Encoder
    images: np.ndarray
    # Of the train split, for the centres; None where there is none, and `images` serve.
    train_images: np.ndarray | None
    nouns: TextBank
    captions: TextBank
    # Of the class names, (n_clusters, dim), mean over the seven prompts: for `ZeroShot` alone.
    classes: np.ndarray

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.data_set.name

    @property
    def y(self) -> np.ndarray:
        """True classes, (n_samples,), int64."""
        return self.data_set.y

    @property
    def n_clusters(self) -> int:
        """Number of true classes."""
        return len(self.data_set.class_names)

    @property
    def texts(self) -> dict[str, TextBank]:
        """Both banks, as `CAE.fit` takes them."""
        return {"nouns": self.nouns, "captions": self.captions}


def vision_problem(
    dataset: str = "openclipart",
    encoder: str = "offline",
    *,
    n_nouns: int = 8000,
    n_prompts: int = 1,
    captions: str = "openclipart",
    train_split: str = "train",
    per_class: int = 0,
    device: str = "auto",
) -> VisionProblem:
    """Encode a data set and the words, or read their features from the cache.

    The encoder "ridge" is the offline one, its towers joined by `ridge_encoder`. `n_nouns` 0
    takes TAC's whole list, `per_class` 0 all images. One prompt is "a photo of a {}.", seven
    are TAC's, averaged. `train_split` is what the words are chosen by, in sets that have it.
    """
    for name, value in {"n_nouns": n_nouns, "per_class": per_class}.items():
        check_number(name, value, low=0, integer=True)
    check_choice("train_split", train_split, ("train", "train-tenth"))
    if n_prompts not in (1, len(data.PROMPTS)):
        raise ValueError(f"n_prompts={n_prompts!r}: expected 1 or {len(data.PROMPTS)}")
    images = data.load_images(dataset)
    loaded = encoders.load("offline" if encoder == "ridge" else encoder, device=device)
    if encoder == "ridge":
        tower = loaded.image_tower(images.images, resize=short_side(images, loaded))
        loaded = ridge_encoder(loaded, tower)
    prompts = (PROMPT,) if n_prompts == 1 else data.PROMPTS
    problem = VisionProblem(
        data_set=images,
        encoder=loaded,
        images=loaded.encode_images(images.images, resize=short_side(images, loaded)),
        train_images=_train_features(dataset, train_split, loaded),
        nouns=encoders.noun_bank(loaded, size=n_nouns or None, prompts=prompts, insults=True),
        captions=encoders.caption_bank(loaded, captions),
        classes=_class_features(images, loaded),
    )
    if per_class:
        problem = with_images(problem, first_of_each_class(problem.y, per_class))
    return problem


def with_images(problem: VisionProblem, rows: np.ndarray) -> VisionProblem:
    """Return a problem with some of its images, by their row numbers."""
    whole = problem.data_set
    images = whole.images
    some = replace(
        whole,
        images=images[rows] if isinstance(images, np.ndarray) else [images[i] for i in rows],
        y=whole.y[rows],
        captions=whole.captions and tuple(whole.captions[i] for i in rows),
    )
    return replace(problem, data_set=some, images=problem.images[rows])


def short_side(images: ImageDataset, encoder: Encoder) -> int:
    """Return the short side that images get before the encoder's central square is cut out.

    The card's rule is for CLIP's square of 224 pixels; for another square it is scaled, so
    that the same part of an image is seen.
    """
    return round(encoder.image_size * images.card.resize / CLIP_IMAGE_SIZE)


def _class_features(images: ImageDataset, encoder: Encoder) -> np.ndarray:
    """Return features of the class names, (n_clusters, dim), mean over the prompts."""
    names = [[prompt.format(name) for name in images.class_names] for prompt in data.PROMPTS]
    return np.mean([encoder.encode_texts(texts) for texts in names], axis=0)


def _train_features(dataset: str, split: str, encoder: Encoder) -> np.ndarray | None:
    if split not in data.describe(dataset).n_samples:
        return None
    found = data.load_images(dataset, split)
    return encoder.encode_images(found.images, resize=short_side(found, encoder))


vision_recorder = partial(recorder_of, "cae")


def record_fit(
    recorder: Recorder,
    method: str,
    problem: VisionProblem,
    model: Any,
    texts: Any = None,
    parameters: Mapping[str, Any] | None = None,
    measures: Callable[[Any], Mapping[str, float]] | None = None,
    images: np.ndarray | None = None,
) -> Any:
    """Fit a method on a problem, or on `images` in place of its own, and record its scores."""
    started = time.perf_counter()
    given = {}
    if isinstance(model, ImageClustering):
        given["train_images"] = problem.train_images
    model.fit(problem.images if images is None else images, texts, **given)
    # What the line-up found is kept, so that it can be scored otherwise without a fit.
    kept = recorder.paper == "lineup" and recorder.profile in COMMITTED_PROFILES
    recorder.add(
        method,
        problem.name,
        seed=getattr(model, "random_state", None),
        parameters={"encoder": problem.encoder.name, **(parameters or {})},
        metrics={"last": clustering_scores(problem.y, model.labels_)},
        seconds=time.perf_counter() - started,
        measures=measures(model) if measures else None,
        labels=model.labels_ if kept else None,
    )
    return model


def texts_of(name: str, problem: VisionProblem) -> Any:
    """Return what a method reads beside the images: the nouns, if it needs any, or others."""
    match name:
        case "cae":
            return problem.texts
        case "tac" | "tac_trained" | "gradnorm" | "tac_temperature" | "sac" | "magic":
            return encoders.noun_rows(problem.nouns, "tac")
        case "sic":
            return encoders.noun_rows(problem.nouns, "sic")
        case "zero_shot":
            return problem.classes
    return problem.nouns if "nouns" in find(name).needs else None


def run(
    methods: Sequence[str],
    problem: VisionProblem,
    seeds: Sequence[int],
    recorder: Recorder,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    parameters: Mapping[str, Any] | None = None,
) -> dict[tuple[str, int | None], Any]:
    """Fit methods once a seed, as `catalogued` gives them, and record each."""
    return {
        (name, seed): record_fit(
            recorder, find(name).title, problem, model, texts_of(name, problem), parameters
        )
        for name, seed, model in catalogued(WORDS, methods, problem.n_clusters, seeds, settings)
    }


# The names of the chapter's tables.
NAMES = {
    "k-means of images": "clip_kmeans",
    "TAC, no training": "tac",
    "TAC, trained": "tac_trained",
    "SIC": "sic",
    "CAE": "cae",
    "zero-shot": "zero_shot",
}


def run_methods(
    recorder: Recorder,
    problem: VisionProblem,
    seeds: Sequence[int],
    methods: Iterable[str] = ("k-means of images", "TAC, no training", "CAE", "zero-shot"),
    parameters: Mapping[str, Any] | None = None,
) -> dict[tuple[str, int | None], Any]:
    """Fit methods by the names that the chapter's tables have, and record them."""
    fitted = {}
    for title in methods:
        for seed in seeds if title != "zero-shot" else [None]:
            images, texts = None, None
            if title == "spectral of images":
                # Of the images' nearest-neighbour graph, neighbours by cosine.
                model = SpectralConcatenation(
                    problem.n_clusters, rows="unit", random_state=seed
                )
                images = [problem.images]
            else:
                model = build(NAMES[title], problem.n_clusters, seed)
                texts = texts_of(NAMES[title], problem)
            fitted[title, seed] = record_fit(
                recorder, title, problem, model, texts, parameters, images=images
            )
    return fitted


def ridge_encoder(base: OfflineEncoder, images: np.ndarray) -> OfflineEncoder:
    """Return the offline encoder with its towers joined by ridge regression instead."""
    from mvlib.encoders import Heads

    fitted = imagenet_ridge_map()
    heads = Heads(
        image_weight=np.eye(images.shape[1], dtype=np.float32),
        image_bias=-images.mean(axis=0, dtype=np.float64).astype(np.float32),
        text_weight=np.ascontiguousarray(fitted.weight.T),
        text_bias=-(fitted.center @ fitted.weight),
        temperature=1.0,
    )
    joined = base.with_heads(heads)
    joined.name = "ridge"
    return joined


def retrieval_recall(images: np.ndarray, texts: np.ndarray, k: int = 10) -> float:
    """Return the share of images whose own text is among the `k` nearest, by cosine."""
    images, texts = check_views([images, texts], argument="images and texts")
    check_number("k", k, low=1, high=len(texts), integer=True)
    _, nearest = top_k(unit_rows(images), unit_rows(texts), k)
    return float((nearest == np.arange(len(images))[:, None]).any(axis=1).mean())


def encoder_quality(recorder: Recorder, heads: Heads, seeds: Sequence[int]) -> None:
    """Record what each way to join the towers gives on the drawings held out."""
    base = encoders.load("offline")
    images = data.load_images("openclipart")
    tower = base.image_tower(images.images)

    def record(
        method: str, kind: str, labels: np.ndarray, seed: int | None = None, **more: Any
    ) -> None:
        scores = {"last": clustering_scores(images.y, labels)}
        recorder.add(method, images.name, seed, {"encoder": kind}, scores, **more)

    def record_kmeans(kind: str, features: np.ndarray) -> None:
        for seed in seeds:
            model = CLIPKMeans(len(images.class_names), random_state=seed).fit(features)
            record("k-means", kind, model.labels_, seed)

    record_kmeans("image tower alone", tower)
    joined = {
        "heads trained here": base.with_heads(heads),
        "heads that ship": base,
        "ridge map": ridge_encoder(base, tower),
    }
    for kind, encoder in joined.items():
        features = encoder.project_images(tower)
        record_kmeans(kind, features)
        found = ZeroShot().fit(features, _class_features(images, encoder))
        recall = retrieval_recall(features, encoder.encode_texts(images.captions))
        record("zero-shot", kind, found.labels_, measures={"recall_at_10": recall})
