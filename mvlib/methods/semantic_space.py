"""Centres of the images, and the words nearest to them: the space that images are told in."""

from __future__ import annotations

import numpy as np

from mvlib.check import check_choice, check_number
from mvlib.methods.semantic_inputs import check_features, check_same_space
from mvlib.ops import blocked_kmeans, faiss_kmeans
from mvlib.ops import top_k as nearest_rows

IMAGES_PER_CENTRE = 300
KMEANS = ("faiss", "k-means++")


def number_of_centres(n_train: int, n_classes: int) -> int:
    """Return into how many centres TAC (and CAE) divide the images.

    One for every 300 images; three for every class where a class has under 300 on average,
    which is also the floor for small sets.

    Parameters
    ----------
    n_train : int
        Images that the centres are made of.
    n_classes : int
        Number of classes, that is of clusters.

    Returns
    -------
    int
        At most `n_train`.

    Raises
    ------
    ValueError
        If there are more classes than images, or a number is not a positive integer.

    Notes
    -----
    Source: the code of TAC's authors (arXiv 2310.11989). *Deviations*: never more centres
    than images, which only matters below three images a class.
    """
    check_number("n_train", n_train, low=1, integer=True)
    check_number("n_classes", n_classes, low=1, high=n_train, integer=True)
    if n_train < IMAGES_PER_CENTRE * n_classes:
        return min(3 * n_classes, n_train)
    return round(n_train / IMAGES_PER_CENTRE)


def semantic_centres(
    X: np.ndarray,
    n_centers: int,
    *,
    n_init: int = 10,
    max_iter: int = 300,
    kmeans: str = "k-means++",
    precision: str = "float32",
    device: str = "auto",
    random_state: int | None = None,
) -> np.ndarray:
    """Return centres of the images by spherical k-means.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Image features; their length does not matter.
    n_centers : int
        Number of centres.
    n_init : int, default=10
        Starts, of which the one of lowest inertia is kept.
    max_iter : int, default=300
        Bound on the iterations of a start.
    kmeans : {"k-means++", "faiss"}, default="k-means++"
        Whose rules: `blocked_kmeans`, or `faiss_kmeans`, as in TAC's code.
    precision : {"float32", "float16"}, default="float32"
        "float16" rounds unit rows, their means and the centres to half precision.
    device : str, default="auto"
        Where to compute.
    random_state : int, optional
        Seed.

    Returns
    -------
    ndarray of shape (n_centers, n_features), float32
        Of unit length.

    Raises
    ------
    ValueError
        If `X` is not finite or a parameter is out of range.

    Notes
    -----
    Source: TAC's code (spherical, 300 iterations, 10 restarts); there, and under "faiss",
    the centres are not those of k-means but the means of its final members, brought back to
    unit length. Of CAE only "k-means of the image embeddings" is known.

    *Deviations*. A centre that ends without members stays where k-means left it.
    """
    X = check_features("X", X)
    check_number("n_centers", n_centers, low=1, high=len(X), integer=True)
    half = precision == "float16"
    X = _half(unit_rows(X)) if half else X
    limits = {"n_init": n_init, "max_iter": max_iter}
    if check_choice("kmeans", kmeans, KMEANS) == "faiss":
        X = unit_rows(X)
        found = faiss_kmeans(X, n_centers, **limits, device=device, random_state=random_state)
        sums = np.zeros_like(found.centers)
        np.add.at(sums, found.labels, X)
        counts = np.bincount(found.labels, minlength=n_centers)[:, None]
        centres = np.where(counts > 0, sums / np.maximum(counts, 1), found.centers)
        centres = unit_rows((_half(centres) if half else centres).astype(np.float32))
    else:
        centres = blocked_kmeans(
            X,
            n_centers,
            spherical=True,
            **limits,
            device=device,
            random_state=random_state,
        ).centers
    return _half(centres) if half else centres


def retrieve_top_k(
    centres: np.ndarray, words: np.ndarray, top_k: int, *, device: str = "auto"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the words that are among the nearest of some centre: step 1 of CAE.

    Parameters
    ----------
    centres : array-like of shape (n_centers, n_features)
        Centres of the images.
    words : array-like of shape (n_words, n_features)
        Text features of nouns or of captions.
    top_k : int
        K, words for each centre, by cosine.
    device : str, default="auto"
        Where to compute.

    Returns
    -------
    kept : ndarray of shape (n_kept,), int64
        Rows of `words`, ascending, without repetition.
    counts : ndarray of shape (n_kept,), int64
        For how many centres each was among the nearest.

    Raises
    ------
    ValueError
        If there are fewer words than K, widths differ, or values are not finite.
    """
    centres, words = check_features("centres", centres), check_features("words", words)
    check_same_space(centres=centres, words=words)
    check_number("top_k", top_k, low=1, integer=True)
    if top_k > len(words):
        raise ValueError(
            f"top_k={top_k} is more than the {len(words)} words: expected at most as "
            "many; lower top_k or give more words"
        )
    _, nearest = nearest_rows(unit_rows(centres), unit_rows(words), top_k, device=device)
    return np.unique(nearest, return_counts=True)


def _half(X: np.ndarray) -> np.ndarray:
    return X.astype(np.float16).astype(np.float32)


def unit_rows(X: np.ndarray) -> np.ndarray:
    """Return the rows divided by their L2 norms; rows of zeros stay.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Rows.

    Returns
    -------
    ndarray of shape (n_rows, n_features), of the dtype of `X`
    """
    norms = np.linalg.norm(X, axis=1, keepdims=True)
    return X / np.maximum(norms, np.finfo(X.dtype).tiny)
