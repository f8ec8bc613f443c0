"""Groups: the methods behind one call, how many there are, their names, how sure they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score
from sklearn.metrics.pairwise import cosine_distances
from threadpoolctl import threadpool_limits

from mvlib.check import check_labels, check_number, check_views
from mvlib.ops import cosine_kmeans, unit_rows

if TYPE_CHECKING:
    from mvlib.encoders import TextBank

Names = dict[str, list[tuple[str, float]]]

METHODS = ("cae", "tac", "kmeans")
_NEAREST = 6
# CAE's own default; a short list of words may hold fewer.
_WORDS_A_CENTRE = 10


def fit_groups(
    method: str,
    n_clusters: int,
    features: np.ndarray,
    banks: dict[str, TextBank],
    random_state: int | None,
    device: str,
    *,
    n_common: int = 0,
) -> tuple[np.ndarray, np.ndarray, list[Names]]:
    """Return the labels, the embedding and the groups' names that a method finds."""
    from mvlib import methods

    settings = {"random_state": random_state, "device": device}
    if method == "cae":
        fewest = min(len(bank.texts) for bank in banks.values())
        settings["top_k"] = min(_WORDS_A_CENTRE, fewest)
        fitted = methods.CAE(n_clusters, **settings).fit(features, banks)
    elif method == "tac":
        fitted = methods.TAC(n_clusters, **settings).fit(features, banks["nouns"])
    else:
        fitted = methods.CLIPKMeans(n_clusters, **settings).fit(features)
    labels, nouns = fitted.labels_, banks["nouns"]
    cosines = noun_cosines(features, labels, n_clusters, nouns)
    names = getattr(fitted, "cluster_names_", None) or nearest_nouns(cosines, nouns.texts)
    names = titles_first(names, cosines, nouns.texts, n_common=n_common)
    return labels, fitted.embedding_, names


def noun_cosines(
    features: np.ndarray, labels: np.ndarray, n_clusters: int, nouns: TextBank
) -> np.ndarray:
    """Return the cosine of each noun to the centre of each group."""
    centres = np.zeros((n_clusters, features.shape[1]), dtype=np.float32)
    np.add.at(centres, labels, unit_rows(features))
    return unit_rows(centres) @ unit_rows(nouns.features).T


def nearest_nouns(cosines: np.ndarray, texts: Sequence[str]) -> list[Names]:
    """Return the nouns with the largest cosine to each centre, as `cluster_names_` are."""
    names: list[Names] = []
    for row in cosines:
        near = np.argsort(-row, kind="stable")[:_NEAREST] if row.any() else []
        names.append({"nouns": [(texts[j], float(row[j])) for j in near]})
    return names


def titles_first(
    names: list[Names], cosines: np.ndarray, texts: Sequence[str], *, n_common: int = 0
) -> list[Names]:
    """Return names with the noun that suits a title first, the others by their nearness.

    A method's own order rewards a noun that few groups share, and among many nouns the nearest
    is often needlessly special: "adobe house" or "herpetologist" for "house" and "animal".
    """
    columns = {text: column for column, text in reversed(list(enumerate(texts)))}
    common = [column for column, text in enumerate(texts[:n_common]) if " " not in text]
    ordered = []
    for row, name in zip(cosines, names, strict=True):
        own = sorted(
            (columns[text] for text, _ in name.get("nouns", ())), key=lambda j: -row[j]
        )
        if own and common:
            own.insert(0, max(common, key=lambda j: row[j]))
        nouns = [(texts[j], float(row[j])) for j in dict.fromkeys(own)]
        ordered.append({**name, "nouns": nouns})
    return ordered


HIGHEST = 20
SUBSAMPLE = 2000
_STARTS = 4


@dataclass(frozen=True)
class NumberOfClusters:
    """What `choose_n_clusters` found."""

    n_clusters: int
    candidates: tuple[int, ...]
    silhouettes: tuple[float, ...]
    n_samples: int


def highest_candidate(n_samples: int) -> int:
    """Return the largest number of clusters to try: 20, or a third of the points."""
    if n_samples < 6:
        raise ValueError(
            f"n_clusters='auto' has {n_samples} images to choose by: expected at least 6; "
            "give the number of groups instead"
        )
    return min(HIGHEST, n_samples // 3)


def choose_n_clusters(
    X: np.ndarray, *, subsample: int = SUBSAMPLE, random_state: int | None = None
) -> NumberOfClusters:
    """Return the number of clusters with the largest mean silhouette.

    By spherical k-means and the cosine distance (Rousseeuw, 1987), for each k from 2 to
    min(20, n_samples / 3). It favours few, well separated clusters, and is a suggestion.
    """
    (X,) = check_views([X], argument="X")
    check_number("subsample", subsample, low=6, integer=True)
    if len(X) > subsample:
        generator = np.random.default_rng(random_state)
        X = X[np.sort(generator.choice(len(X), subsample, replace=False))]
    distances = cosine_distances(X)
    candidates = range(2, highest_candidate(len(X)) + 1)
    silhouettes = []
    for k in candidates:
        labels = cosine_kmeans(X, k, n_init=_STARTS, random_state=random_state).labels
        found = len(np.unique(labels))
        # Copies of fewer than k images: the silhouette is not defined for them.
        defined = 2 <= found < len(X)
        score = silhouette_score(distances, labels, metric="precomputed") if defined else -1.0
        silhouettes.append(float(score))
    best = candidates[int(np.argmax(silhouettes))]
    return NumberOfClusters(best, tuple(candidates), tuple(silhouettes), len(X))


_SHOWN_NOUNS = 6
_SHOWN_CAPTIONS = 3


@dataclass(frozen=True)
class GroupName:
    """What a group is called."""

    title: str
    nouns: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()


def name_groups(
    cluster_names: Sequence[Mapping[str, Sequence[tuple[str, float]]]],
) -> tuple[GroupName, ...]:
    """Return a name for each group, no two alike."""
    nouns = [_texts(names, "nouns", _SHOWN_NOUNS) for names in cluster_names]
    captions = [_texts(names, "captions", _SHOWN_CAPTIONS) for names in cluster_names]
    firsts = Counter(words[0] for words in nouns if words)
    titles: list[str] = []
    for group, words in enumerate(nouns):
        if not words:
            title = f"group {group + 1}"
        elif firsts[words[0]] == 1:
            title = words[0]
        else:
            rivals = [other for other in nouns if other is not words and other[:1] == words[:1]]
            taken = {word for other in rivals for word in other}
            own = next((word for word in words[1:] if word not in taken), None)
            title = f"{words[0]}, {own}" if own else f"{words[0]} (group {group + 1})"
        titles.append(title)
    return tuple(map(GroupName, titles, nouns, captions))


def _texts(names: Mapping[str, Sequence[tuple[str, float]]], kind: str, most: int) -> tuple:
    return tuple(str(text) for text, _ in names.get(kind, ())[:most])


MAX_POINTS = 2000
_TSNE_FROM = 30
_EQUAL = 1e-6


def group_confidence(X: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how much nearer each point is to its group than to the next one.

    It is the simplified silhouette with the cosine distance: a quotient, so that loose and
    tight sets of features give comparable numbers. It is no probability.
    """
    (X,) = check_views([X], dtype=np.float64, argument="X")
    labels = check_labels(labels, len(X), argument="labels")
    n_groups = int(labels.max()) + 1
    if n_groups < 2:
        return np.zeros(len(X)), np.full(len(X), -1)
    unit = unit_rows(X)
    centres = unit_rows(
        np.stack([unit[labels == group].mean(axis=0) for group in range(n_groups)])
    )
    distances = np.clip(1 - unit @ centres.T, 0, 2)
    rows = np.arange(len(X))
    own = distances[rows, labels]
    distances[rows, labels] = np.inf
    next_group = distances.argmin(axis=1)
    nearest = distances[rows, next_group]
    ratio = np.divide(own, nearest, out=np.ones_like(own), where=nearest > 0)
    return np.clip(1 - ratio, 0, 1), next_group.astype(np.int64)


def map_positions(
    X: np.ndarray, *, max_points: int = MAX_POINTS, random_state: int | None = None
) -> tuple[np.ndarray, np.ndarray, str]:
    """Return a place on a plane for each point, or for a sample of them."""
    indices = np.arange(len(X))
    if len(X) > max_points:
        generator = np.random.default_rng(random_state)
        indices = np.sort(generator.choice(len(X), max_points, replace=False))
    points = unit_rows(np.asarray(X, dtype=np.float64)[indices])
    plane, method = _plane(points, random_state)
    # The orientation of either method's axes means nothing.
    if np.ptp(plane[:, 1]) > np.ptp(plane[:, 0]):
        plane = plane[:, ::-1]
    middle = (plane.min(axis=0) + plane.max(axis=0)) / 2
    return (plane - middle) / (np.ptp(plane[:, 0]) or 1.0) + [0.5, 0], indices, method


def _plane(points: np.ndarray, random_state: int | None) -> tuple[np.ndarray, str]:
    plane, method = np.zeros((len(points), 2)), "the first two principal components"
    # Copies of one image have no direction to spread in.
    if np.ptp(points, axis=0).max() < _EQUAL:
        return plane, method
    n_components = min(50 if len(points) >= _TSNE_FROM else 2, *points.shape)
    reduced = PCA(n_components, svd_solver="full").fit_transform(points)
    if len(points) < _TSNE_FROM or n_components < 2:
        plane[:, :n_components] = reduced
        return plane, method
    perplexity = min(30.0, (len(points) - 1) / 3)
    # One thread: the same map each time, and no waiting for busy cores at every step.
    with threadpool_limits(1):
        plane = TSNE(perplexity=perplexity, random_state=random_state).fit_transform(reduced)
    return plane, f"PCA to {n_components} dimensions, then t-SNE"
