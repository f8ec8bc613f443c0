"""What the notebooks on images and words share: a problem, and fits that record themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mvlib import data, encoders
from mvlib.check import check_choice, check_number
from mvlib.data.readers.images import first_of_each_class
from mvlib.methods import (
    CAE,
    SIC,
    TAC,
    CLIPKMeans,
    SpectralConcatenation,
    TrainedTAC,
    ZeroShot,
)
from mvlib.metrics import clustering_scores
from mvlib.ops import resolve_device
from mvlib.records.recorder import Recorder
from mvlib.tasks.encoder_quality import ridge_encoder

if TYPE_CHECKING:
    from mvlib.data import ImageDataset
    from mvlib.encoders import Encoder, TextBank

PROMPT = "a photo of a {}."
CLIP_IMAGE_SIZE = 224


@dataclass(frozen=True, eq=False)
class VisionProblem:
    """A set of images and the words to cluster it with, all as features.

    Attributes
    ----------
    data_set : ImageDataset
        The images themselves, their classes and captions.
    encoder : Encoder
        What made the features.
    images : ndarray of shape (n_samples, dim), float32
        Features of the images to cluster, not normalised.
    train_images : ndarray of shape (n_train, dim) or None
        Features of the train split, for the centres; None where there is none, and the
        images themselves serve.
    nouns, captions : TextBank
        Texts and their features.
    classes : ndarray of shape (n_clusters, dim), float32
        Features of the class names, mean over the seven prompts: for `ZeroShot` alone.
    """

    data_set: ImageDataset
    encoder: Encoder
    images: np.ndarray
    train_images: np.ndarray | None
    nouns: TextBank
    captions: TextBank
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

    Parameters
    ----------
    dataset : str, default="openclipart"
        One of `mvlib.data.all_names("images")`; its test split is clustered.
    encoder : str, default="offline"
        As for `mvlib.encoders.load`; or "ridge", the offline towers joined by
        `ridge_encoder`.
    n_nouns : int, default=8000
        How many of WordNet's nouns, the most frequent first; 0 takes TAC's whole list.
    n_prompts : int, default=1
        1 takes "a photo of a {}.", 7 the mean over TAC's templates.
    captions : {"openclipart", "flickr30k"}, default="openclipart"
        Which captions.
    train_split : {"train", "train-tenth"}, default="train"
        What the words are chosen by, in sets that have such a split.
    per_class : int, default=0
        Cluster only the first so many images of each class; 0 takes all.
    device : str, default="auto"
        Where the encoder runs.

    Returns
    -------
    VisionProblem

    Raises
    ------
    ValueError
        If a name is unknown, or `n_prompts` is neither 1 nor 7.
    FileNotFoundError, mvlib.data.DownloadError
        If images or captions are not at hand and cannot be fetched.
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
    names = [
        [template.format(name) for name in images.class_names] for template in data.PROMPTS
    ]
    problem = VisionProblem(
        data_set=images,
        encoder=loaded,
        images=loaded.encode_images(images.images, resize=short_side(images, loaded)),
        train_images=_train_features(dataset, train_split, loaded),
        nouns=encoders.noun_bank(loaded, size=n_nouns or None, prompts=prompts),
        captions=encoders.caption_bank(loaded, captions),
        classes=np.mean([loaded.encode_texts(texts) for texts in names], axis=0),
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

    Parameters
    ----------
    images : ImageDataset
        Whose card has the rule.
    encoder : Encoder
        Whose square is cut out.
    """
    return round(encoder.image_size * images.card.resize / CLIP_IMAGE_SIZE)


def _train_features(dataset: str, split: str, encoder: Encoder) -> np.ndarray | None:
    if split not in data.describe(dataset).n_samples:
        return None
    found = data.load_images(dataset, split)
    return encoder.encode_images(found.images, resize=short_side(found, encoder))


def vision_recorder(experiment: str, profile: str, device: str = "auto") -> Recorder:
    """Return the recorder of a notebook on images and words.

    Parameters
    ----------
    experiment : str
        Its name in the plan.
    profile : {"quick", "reduced", "full"}
        The notebook's parameter.
    device : str, default="auto"
        The notebook's parameter.
    """
    return Recorder("cae", experiment, profile, resolve_device(device).type)


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
    """Fit a method on a problem and record its scores.

    Parameters
    ----------
    recorder : Recorder
        Takes the result, with the encoder's name as a parameter.
    method : str
        Its name in the tables.
    problem : VisionProblem
        What to cluster.
    model : estimator
        Not fitted; its `random_state` is the result's seed.
    texts : object, optional
        What the method's `fit` takes as `texts`.
    parameters : mapping, optional
        What else tells the result apart.
    measures : callable, optional
        From the fitted model to what else is recorded.
    images : ndarray of shape (n_samples, dim), optional
        Features in place of the problem's.

    Returns
    -------
    estimator
        The model, fitted.
    """
    started = time.perf_counter()
    given = {}
    if texts is not None and not isinstance(model, ZeroShot):
        given["train_images"] = problem.train_images
    model.fit(problem.images if images is None else images, texts, **given)
    recorder.add(
        method,
        problem.name,
        seed=getattr(model, "random_state", None),
        parameters={"encoder": problem.encoder.name, **(parameters or {})},
        metrics={"last": clustering_scores(problem.y, model.labels_)},
        seconds=time.perf_counter() - started,
        measures=measures(model) if measures else None,
    )
    return model


def run_methods(
    recorder: Recorder,
    problem: VisionProblem,
    seeds: Sequence[int],
    methods: Iterable[str] = ("k-means of images", "TAC, no training", "CAE", "zero-shot"),
    parameters: Mapping[str, Any] | None = None,
    n_init: int = 20,
) -> dict[tuple[str, int | None], Any]:
    """Fit the named methods with their defaults, once a seed, and record them.

    Parameters
    ----------
    recorder : Recorder
        Takes the results.
    problem : VisionProblem
        What to cluster.
    seeds : sequence of int
        Of k-means and what else draws.
    methods : iterable of str
        Among the keys of `METHODS`.
    parameters : mapping, optional
        What else tells the results apart.
    n_init : int, default=20
        Starts of the final k-means.

    Returns
    -------
    dict of (str, int or None) to estimator
        Name and seed to the fitted model. What draws nothing is fitted once, with None.
    """
    fitted = {}
    for name in methods:
        for seed in seeds if name != "zero-shot" else [None]:
            model, texts = METHODS[name](problem, seed, n_init)
            fitted[name, seed] = record_fit(
                recorder, name, problem, model, texts, parameters=parameters
            )
    return fitted


class SpectralImages(SpectralConcatenation):
    """Spectral clustering of the images' nearest-neighbour graph, neighbours by cosine."""

    def __init__(self, n_clusters: int, *, random_state: int | None = None):
        super().__init__(n_clusters, rows="unit", random_state=random_state)

    def fit(self, X: np.ndarray, texts: None = None) -> SpectralImages:
        """Cluster image features (n_samples, dim); `texts` is not read."""
        return super().fit([X])


def _zero_shot(problem: VisionProblem, seed: None, n_init: int) -> tuple[Any, Any]:
    return ZeroShot(), problem.classes


METHODS: dict[str, Callable[..., tuple[Any, Any]]] = {
    "k-means of images": lambda problem, seed, n_init: (
        CLIPKMeans(problem.n_clusters, n_init=n_init, random_state=seed),
        None,
    ),
    "spectral of images": lambda problem, seed, n_init: (
        SpectralImages(problem.n_clusters, random_state=seed),
        None,
    ),
    "TAC, no training": lambda problem, seed, n_init: (
        TAC(problem.n_clusters, n_init=n_init, random_state=seed),
        encoders.noun_rows(problem.nouns, "tac"),
    ),
    "TAC, trained": lambda problem, seed, n_init: (
        TrainedTAC(problem.n_clusters, random_state=seed),
        encoders.noun_rows(problem.nouns, "tac"),
    ),
    "SIC": lambda problem, seed, n_init: (
        SIC(problem.n_clusters, random_state=seed),
        encoders.noun_rows(problem.nouns, "sic"),
    ),
    "CAE": lambda problem, seed, n_init: (
        CAE(problem.n_clusters, n_init=n_init, random_state=seed),
        problem.texts,
    ),
    "zero-shot": _zero_shot,
}
