"""Groups: the methods behind one call, how many there are, their names, how sure they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.metrics.pairwise import cosine_distances
from threadpoolctl import threadpool_limits

from mvlib.check import check_labels, check_number, check_views
from mvlib.ops import cosine_kmeans, unit_rows

if TYPE_CHECKING:
    from mvlib.encoders import Encoder, TextBank

METHODS = ("kmeans", "cae", "tac", "ntk")
# CAE's own default; a short list of words may hold fewer.
_WORDS_A_CENTRE = 10
# NTK's own default; of few images it would be all.
_NEIGHBOURS = 30
_COMPONENTS = 64


def looks(encoder: Encoder, features: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """Return what images are grouped by, their features beside words, and the first in words.

    The offline encoder's joint space was made on drawings: by its image tower alone photographs
    are grouped better. `features` are the tower's where there is one, else the joint ones.
    """
    if not hasattr(encoder, "image_tower"):
        return features, features, "the encoder's image features, beside which words lie"
    unit = unit_rows(features)
    if np.ptp(unit, axis=0).max() < _EQUAL:
        return unit, encoder.project_images(features), "features of one and the same image"
    n_components = min(_COMPONENTS, *(size - 1 for size in unit.shape))
    # From the covariance: of many images in a fraction of the time, and without a copy.
    reduce = PCA(n_components, copy=False, svd_solver="covariance_eigh")
    parts = reduce.fit_transform(unit)
    spread = parts.std(axis=0)
    # A quarter of the way to equal spread: the first components tell backgrounds apart, and
    # drown the rest.
    parts = parts / np.where(spread > _EQUAL, spread, np.inf) ** 0.25
    said = f"the image tower's own features, {n_components} principal components of them: they "
    said += "tell photographs apart better than those beside which words lie"
    return parts, encoder.project_images(features), said


_FAR, _FOLDS = 3.0, 5


def fit_nowhere(features: np.ndarray) -> np.ndarray:
    """Say of each image whether it has much that 64 components of other images leave out.

    It is the squared length of what they leave of its unit features, more than 3 deviations
    above the median (1.4826 times the median absolute deviation). The components are those of
    four fifths of the images, without its own fifth. Distances to a centre do not serve: what
    is foreign and alike has a centre of its own.
    """
    unit = unit_rows(np.asarray(features, dtype=np.float64))
    if len(unit) < 2 * _FOLDS:
        return np.zeros(len(unit), dtype=bool)
    n_components = max(1, min(_COMPONENTS, len(unit) // 4, unit.shape[1] - 1))
    # Drawn, since files may come in turns; always alike.
    fold = np.random.default_rng(0).permutation(len(unit)) % _FOLDS
    left = np.empty(len(unit))
    for number in range(_FOLDS):
        own = fold == number
        parts = PCA(n_components, svd_solver="covariance_eigh").fit(unit[~own])
        rest = unit[own] - parts.inverse_transform(parts.transform(unit[own]))
        left[own] = (rest**2).sum(axis=1)
    above = left - np.median(left)
    return above > _FAR * 1.4826 * np.median(np.abs(above)) + _EQUAL


def fit_groups(
    method: str,
    n_clusters: int,
    look: np.ndarray,
    features: np.ndarray,
    banks: dict[str, TextBank],
    random_state: int | None,
    device: str,
) -> tuple[np.ndarray, np.ndarray, list[list[str]]]:
    """Return the labels, the embedding, and captions of each group if a method reads some.

    Copies of one image are one group. The report says where there are fewer groups than asked.
    """
    from mvlib import methods

    if np.ptp(look, axis=0).max() < _EQUAL:
        return np.zeros(len(look), dtype=np.int64), look, []
    settings = {"random_state": random_state, "device": device}
    if method == "cae":
        fewest = min(len(bank.texts) for bank in banks.values())
        settings["top_k"] = min(_WORDS_A_CENTRE, fewest)
        fitted = methods.CAE(n_clusters, **settings).fit(features, banks)
        captions = [[text for text, _ in name["captions"]] for name in fitted.cluster_names_]
        return fitted.labels_, fitted.embedding_, captions
    if method == "kmeans":
        fitted = methods.CLIPKMeans(n_clusters, **settings).fit(look)
    elif method == "tac":
        fitted = methods.TAC(n_clusters, **settings).fit(features, banks["nouns"])
    else:
        settings["n_neighbors"] = min(_NEIGHBOURS, max(1, len(features) // 3))
        fitted = methods.NTKSpectralClustering(n_clusters, **settings)
        fitted.fit(features, banks["nouns"])
    return fitted.labels_, fitted.embedding_, []


# Every number that people would count, then coarser.
_CANDIDATES = (*range(2, 21), 25, 30, 40, 50, 60, 80, 100, 150, 200)
SUBSAMPLE = 2000
_STARTS = 4
NEARLY = 0.01
_LEADERS = 5
_RESAMPLES, _SHARE = 4, 0.8


@dataclass(frozen=True)
class NumberOfClusters:
    """What `choose_n_clusters` found; a stability is NaN where it was not needed."""

    n_clusters: int
    candidates: tuple[int, ...]
    silhouettes: tuple[float, ...]
    stabilities: tuple[float, ...]
    n_samples: int


def highest_candidate(n_samples: int) -> int:
    """Return the largest number of clusters to try: 200, or a third of the points."""
    if n_samples < 6:
        raise ValueError(
            f"n_clusters='auto' has {n_samples} images to choose by: expected at least 6; "
            "give the number of groups instead"
        )
    return max(k for k in _CANDIDATES if k <= max(2, n_samples // 3))


def choose_n_clusters(
    X: np.ndarray, *, subsample: int = SUBSAMPLE, random_state: int | None = None
) -> NumberOfClusters:
    """Return the most stable of the numbers of clusters with nearly the largest silhouette.

    By spherical k-means and the cosine distance: the mean silhouette (Rousseeuw, 1987) for each
    candidate, and for at most five within 0.01 of the largest the mean adjusted Rand index of
    the clusters with those of four samples of 80 %. It favours few, well separated clusters,
    and is a suggestion. Of copies of one point it is 1.
    """
    (X,) = check_views([X], argument="X")
    check_number("subsample", subsample, low=6, integer=True)
    generator = np.random.default_rng(random_state)
    if len(X) > subsample:
        X = X[np.sort(generator.choice(len(X), subsample, replace=False))]
    if np.ptp(unit_rows(X), axis=0).max() < _EQUAL:
        return NumberOfClusters(1, (1,), (0.0,), (float("nan"),), len(X))
    distances = cosine_distances(X)
    highest = highest_candidate(len(X))
    candidates = [k for k in _CANDIDATES if k <= highest]
    silhouettes, found = [], []
    for k in candidates:
        labels = cosine_kmeans(X, k, n_init=_STARTS, random_state=random_state).labels
        # Copies of fewer than k images: the silhouette is not defined for them.
        defined = 2 <= len(np.unique(labels)) < len(X)
        score = silhouette_score(distances, labels, metric="precomputed") if defined else -1.0
        silhouettes.append(float(score))
        found.append(labels)
    order = np.argsort(-np.asarray(silhouettes), kind="stable")[:_LEADERS].tolist()
    leaders = [j for j in order if silhouettes[j] >= silhouettes[order[0]] - NEARLY]
    stabilities = [float("nan")] * len(candidates)
    size = max(int(_SHARE * len(X)), min(len(X), candidates[max(leaders)]))
    samples = [
        np.sort(generator.choice(len(X), size, replace=False)) for _ in range(_RESAMPLES)
    ]
    for j in leaders:
        agreements = [
            adjusted_rand_score(
                found[j][rows],
                cosine_kmeans(
                    X[rows], candidates[j], n_init=_STARTS, random_state=random_state
                ).labels,
            )
            for rows in samples
        ]
        stabilities[j] = float(np.mean(agreements))
    best = max(leaders, key=lambda j: (stabilities[j], silhouettes[j]))
    listed = tuple(candidates), tuple(silhouettes), tuple(stabilities)
    return NumberOfClusters(candidates[best], *listed, len(X))


MAX_POINTS = 2000
_TSNE_FROM, _STEPS = 30, 500
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
    # Half of the usual steps: on photographs the divergence that is left is 5 % larger, and the
    # map is what costs most after the features.
    settings = {"perplexity": perplexity, "max_iter": _STEPS, "random_state": random_state}
    # One thread: the same map each time, and no waiting for busy cores at every step.
    with threadpool_limits(1):
        plane = TSNE(**settings).fit_transform(reduced)
    return plane, f"PCA to {n_components} dimensions, then t-SNE"
