"""Two modalities to align: problems of two spaces, and runs that record how well they align."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from mvlib import data, encoders
from mvlib.check import check_choice, check_number
from mvlib.data import Card, PairedFeatures
from mvlib.encoders import Encoder, OfflineEncoder
from mvlib.methods import CCA, Chance, GromovWasserstein, Procrustes
from mvlib.methods.catalogue import MODALITIES, find
from mvlib.methods.set_clip import SetCLIP
from mvlib.metrics import (
    batched_top_1,
    clustering_scores,
    embedding_mmd,
    modality_gap,
    retrieval_scores,
)
from mvlib.records.recorder import Recorder
from mvlib.tasks.runs import catalogued, recorder_of
from mvlib.tasks.runs import sized as sized

CLIP_RN50 = "openclip:RN50/openai"
TOWERS = "offline"

# Sets of several views, of which two are modalities.
_VIEWS = {
    "handwritten": ("pix", "fac"),
    "wiki": ("image", "text"),
    "cub": ("image", "text"),
    "mnist-usps": ("mnist", "usps"),
    "bdgp": ("visual", "text"),
}
# The image set that has a caption an image.
_DRAWINGS = "openclipart"


@dataclass(frozen=True, eq=False)
class Modalities:
    """Two modalities of the same things, row by row, as files or encoders have them."""

    name: str
    Xs: list[np.ndarray]
    names: tuple[str, str]
    y: np.ndarray | None
    card: Card
    # Which rows of the set, or of the split, these are, ascending.
    rows: np.ndarray
    # One fingerprint of the data files read.
    sha256: str
    # Of each row, where there are any: the official split, the text.
    splits: np.ndarray | None = None
    captions: tuple[str, ...] | None = None
    # What made the features of images and texts; None where there are only features.
    encoder: str | None = None

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return len(self.rows)

    @property
    def n_clusters(self) -> int | None:
        """Number of true classes among the rows; None without classes."""
        return None if self.y is None else len(np.unique(self.y))

    @property
    def is_joint(self) -> bool:
        """Whether both modalities come from towers trained together, such as CLIP's.

        Such features are aligned before any method sees them: what is reached without
        pairs is then no merit of the method.
        """
        return self.encoder not in (None, TOWERS)


def list_modalities() -> list[str]:
    """Return the names of the problems: what ships, views, then what a user supplies."""
    ships, *supplied = data.all_names("pairs")
    return [ships, _DRAWINGS, *_VIEWS, *supplied]


def load_modalities(
    name: str,
    size: int | None = None,
    random_state: int | None = None,
    *,
    split: str | None = None,
    encoder: str | Encoder | None = None,
    caption: int = 0,
    device: str = "auto",
) -> Modalities:
    """Load two modalities of the same things, encoding images and texts where need be.

    Of `size` rows, drawn by `random_state`, the others are not encoded. By default the drawings
    are encoded by the offline encoder's two towers without the heads that join them, spaces
    that know nothing of each other, and photographs and aerial pictures by CLIP, as in S-CLIP:
    see `Modalities.is_joint`. Rows of "mnist-usps" share a digit, not a writer, so nothing in
    them tells the own row from others.
    """
    plain = str(name).lower().replace("_", "-").replace(" ", "-")
    check_choice("name", plain, list_modalities())
    if random_state is not None:
        check_number("random_state", random_state, low=0, integer=True)
    check_number("caption", caption, low=0, integer=True)
    if plain in _VIEWS:
        _refuse(plain, split=split, encoder=encoder, caption=caption or None)
        found = data.load(plain, _VIEWS[plain])
        rows = _draw(found.n_samples, size, random_state)
        return _modalities(found, found.view_names, [X[rows] for X in found.Xs], rows)
    if plain == _DRAWINGS:
        _refuse(plain, split=split)
        found = data.load_images(plain)
        captions, names = [(text,) for text in found.captions], ("image", "text")
        default = TOWERS
    else:
        found = data.load_pairs(plain, split)
        if isinstance(found, PairedFeatures):
            ships = found.card.embedded
            _refuse(plain, encoder=None if ships and encoder == TOWERS else encoder)
            _refuse(plain, caption=caption or None)
            rows, more = _draw(found.n_samples, size, random_state), {}
            if ships:
                texts = data.openclipart_pairs().captions
                more = {"captions": tuple(texts[row] for row in rows), "encoder": TOWERS}
            Xs = [X[rows] for X in found.Xs]
            return _modalities(found, found.card.modalities, Xs, rows, **more)
        captions, names, default = found.captions, found.card.modalities, CLIP_RN50
    rows = _draw(found.n_samples, size, random_state)
    texts = _choose(plain, captions, rows, caption)
    images = [found.images[row] for row in rows]
    Xs, used = _encode(images, texts, default if encoder is None else encoder, device)
    splits = getattr(found, "splits", None)
    splits = None if splits is None else splits[rows]
    return _modalities(found, names, Xs, rows, splits=splits, captions=texts, encoder=used)


def _modalities(
    found: Any, names: tuple[str, str], Xs: list[np.ndarray], rows: np.ndarray, **more: Any
) -> Modalities:
    y = None if found.y is None else found.y[rows]
    return Modalities(found.name, Xs, names, y, found.card, rows, found.sha256, **more)


def _refuse(name: str, **given: Any) -> None:
    """Raise ValueError if something is given that says nothing of this set."""
    why = {
        "split": "it has no official splits",
        "encoder": "its features are given, and nothing is encoded",
        "caption": "it has at most one text a row",
    }
    for argument, value in given.items():
        if value is not None:
            raise ValueError(
                f"{argument}={value!r} is not for {name!r}, since {why[argument]}: "
                "expected the default"
            )


def _draw(n_samples: int, size: int | None, random_state: int | None) -> np.ndarray:
    """Return all rows, or `size` of them in ascending order, int64."""
    if size is None:
        return np.arange(n_samples)
    check_number("size", size, low=1, high=n_samples, integer=True)
    chosen = np.random.default_rng(random_state).choice(n_samples, size, replace=False)
    return np.sort(chosen)


def _choose(
    name: str, captions: Sequence[tuple[str, ...]], rows: np.ndarray, caption: int
) -> tuple[str, ...]:
    """Return one caption of each row."""
    fewest = min(len(captions[row]) for row in rows)
    if caption >= fewest:
        raise ValueError(
            f"caption={caption} is out of range: some image of {name!r} has {fewest}, so "
            f"expected an integer from 0 to {fewest - 1}"
        )
    return tuple(captions[row][caption] for row in rows)


def _encode(
    images: Sequence[Any], texts: Sequence[str], encoder: str | Encoder, device: str
) -> tuple[list[np.ndarray], str]:
    """Return features of images and of texts, and the name of what made them."""
    if not isinstance(encoder, Encoder):
        encoder = encoders.load(encoder, device=device)
    if isinstance(encoder, OfflineEncoder):
        return [encoder.image_tower(images), encoder.text_tower(texts)], TOWERS
    return [encoder.encode_images(images), encoder.encode_texts(texts)], encoder.name


# Known pairs, rows of both modalities and their classes.
Rows = tuple[list[np.ndarray], np.ndarray, list[np.ndarray] | None]


@dataclass(frozen=True, eq=False)
class AlignmentProblem:
    """One split of two modalities; a method is told of the first rows that they are pairs."""

    name: str
    modalities: tuple[str, str]
    split: int
    train: list[np.ndarray]
    # Rows that no method sees before it is scored.
    test: list[np.ndarray]
    y_train: np.ndarray | None
    y_test: np.ndarray | None
    # Share of the rows to train on whose partner is known, unless a run says otherwise.
    aligned_ratio: float = 0.0

    @property
    def n_train(self) -> int:
        """Number of rows to train on."""
        return len(self.train[0])

    @property
    def n_clusters(self) -> int | None:
        """Number of true classes; None without."""
        return None if self.y_train is None else len(np.unique(self.y_train))

    def n_known(self, ratio: float) -> int:
        """Return how many pairs a ratio makes: at least two, unless it is 0."""
        check_number("ratio", ratio, low=0, high=1)
        return max(2, round(ratio * self.n_train)) if ratio else 0

    def rows(self, ratio: float, disjoint: bool = False) -> Rows:
        """Return what a method gets to see at a ratio of known pairs, those first.

        A larger ratio holds the smaller one's. Of `disjoint` things without a known partner
        the first modality gets one half and the second the other.
        """
        known = np.arange(self.n_known(ratio))
        seen = [np.arange(self.n_train)] * 2
        if disjoint:
            others = np.arange(len(known), self.n_train)
            seen = [np.concatenate([known, others[v::2]]) for v in range(2)]
        ys = None if self.y_train is None else [self.y_train[some] for some in seen]
        Xs = [X[some] for X, some in zip(self.train, seen, strict=True)]
        return Xs, np.stack([known, known], axis=1), ys


def alignment_problem(
    dataset: str = "openclipart-pairs",
    split: int = 0,
    *,
    n_train: int = 1920,
    n_test: int = 600,
    n_components: int = 128,
    aligned_ratio: float = 0.0,
    encoder: str = "",
    device: str = "auto",
) -> AlignmentProblem:
    """Split two modalities into rows to train on and rows to score.

    Of a set smaller than `n_train` and `n_test` a third is scored. Each modality is brought to
    the principal components of its rows to train on; `n_components` 0 leaves it as it is.
    """
    check_number("split", split, low=0, integer=True)
    check_number("n_components", n_components, low=0, integer=True)
    check_number("aligned_ratio", aligned_ratio, low=0, high=1)
    for name, value in (("n_train", n_train), ("n_test", n_test)):
        check_number(name, value, low=2, integer=True)
    held = data.describe(dataset).n_samples
    total = held if isinstance(held, int) else sum(held.values())
    size = n_train + n_test if n_train + n_test < total else None
    found = load_modalities(dataset, size, split, encoder=encoder or None, device=device)
    order = np.random.default_rng(split).permutation(found.n_samples)
    n_scored = min(n_test, found.n_samples // 3)
    train = order[n_scored : n_scored + n_train]
    test = order[:n_scored]
    Xs = [_reduced(X, train, n_components) for X in found.Xs]
    return AlignmentProblem(
        name=found.name,
        modalities=found.names,
        split=split,
        train=[X[train] for X in Xs],
        test=[X[test] for X in Xs],
        y_train=None if found.y is None else found.y[train],
        y_test=None if found.y is None else found.y[test],
        aligned_ratio=aligned_ratio,
    )


def _reduced(X: np.ndarray, train: np.ndarray, n_components: int) -> np.ndarray:
    if not 0 < n_components < min(X.shape[1], len(train)):
        return X
    center = X[train].mean(axis=0)
    axes = np.linalg.svd(X[train] - center, full_matrices=False)[2][:n_components]
    return ((X - center) @ axes.T).astype(np.float32)


# How rows without a known partner come to a batch.
SAME, INDEPENDENT, DISJOINT = "same instances", "independent draws", "disjoint things"
DRAWS = (SAME, INDEPENDENT, DISJOINT)
NETWORKS = {
    "Set-CLIP": SetCLIP,
    "CLIP on the pairs": SetCLIP.clip_only,
    "S-CLIP": SetCLIP.s_clip,
}
CLASSICS = {
    "CCA": CCA,
    "Procrustes": Procrustes,
    "Gromov-Wasserstein": GromovWasserstein,
    "chance": Chance,
}
METHODS = (*NETWORKS, *CLASSICS)
_WITHOUT_PAIRS = ("Gromov-Wasserstein", "chance")
_BATCH = 50
_DIGITS = 5


alignment_recorder = partial(recorder_of, "set_clip")


def alignment_measures(
    first: np.ndarray, second: np.ndarray, y: np.ndarray | None = None
) -> dict[str, float]:
    """Measure how well embeddings of one modality find those of the other, row by row.

    `r1_first`, `r5_first`, `r10_first`, `rank_first` (median) and `batch_first` (top-1 in
    batches of 50) have queries of the first modality, on a gallery of `gallery` rows; the same
    with `_second`; `r10` is the mean of both directions; `gap` and `mmd` are of the clouds.
    With classes, `class_r1` is the share of queries whose nearest row is of their class.
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

    Measures are of the rows to score; cluster scores of the rows to train on, both modalities
    together. Where the method reads no pair, `ratio` is None. Disjoint `draws` leave out half
    of the rows without a partner in each modality. What draws nothing has no `seed`.
    """
    started = time.perf_counter()
    Xs, pairs, ys = problem.rows(ratio or 0, draws == DISJOINT)
    with warnings.catch_warnings():
        # Told by what is recorded: the gap and the scores of the clusters.
        warnings.filterwarnings("ignore", "the modalities part")
        model.fit(Xs, pairs=pairs)
    measures = alignment_measures(*model.transform(problem.test), problem.y_test)
    metrics = None
    if ys is not None and model.n_clusters is not None:
        labels = np.concatenate(model.labels_by_modality_)
        metrics = {"last": clustering_scores(np.concatenate(ys), labels)}
    given = {"split": problem.split, "ratio": ratio, "draws": draws, **(parameters or {})}
    seconds = time.perf_counter() - started
    recorder.add(method, problem.name, seed, given, metrics, measures=measures, seconds=seconds)
    return model


def network(
    problem: AlignmentProblem,
    seed: int,
    settings: Mapping[str, Any],
    method: str = "Set-CLIP",
    ratio: float = 0.0,
    draws: str = INDEPENDENT,
) -> SetCLIP:
    """Return one of `NETWORKS`, trained for a number of steps whatever the rows."""
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
    """Run `METHODS` at each ratio that suits them, and record them.

    Those that read no pair run once a seed, with ratio None; those that draw nothing once a
    ratio, with seed None; those that need pairs not at 0. `max_rows` is Gromov-Wasserstein's.
    """
    fitted = {}
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
                else:
                    own = {"max_rows": max_rows} if name == "Gromov-Wasserstein" else {}
                    own["random_state"] = 0 if seed is None else seed
                    model = CLASSICS[name](problem.n_clusters, **own)
                fitted[name, ratio, seed] = record_alignment(
                    recorder, name, problem, model, ratio, draws, given, seed
                )
    return fitted


def run(
    methods: Sequence[str],
    problem: AlignmentProblem,
    seeds: Sequence[int],
    recorder: Recorder,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    parameters: Mapping[str, Any] | None = None,
) -> dict[tuple[str, int | None], Any]:
    """Fit methods once a seed, as `catalogued` gives them, and record each.

    What is known to be paired is the problem's `aligned_ratio`.
    """
    ratio, k = problem.aligned_ratio, problem.n_clusters
    return {
        (name, seed): record_alignment(
            recorder, find(name).title, problem, model, ratio, None, parameters, seed
        )
        for name, seed, model in catalogued(MODALITIES, methods, k, seeds, settings)
    }
