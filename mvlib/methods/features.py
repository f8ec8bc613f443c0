"""Features of images and words: checks, centres of the images, weights of the words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from mvlib.check import RandomState, as_numbers, check_choice, check_number
from mvlib.encoders import Encoder, TextBank
from mvlib.ops import KMeansResult, blocked_kmeans, faiss_kmeans, resolve_device, unit_rows

PRECISIONS = ("float32", "float16")
KMEANS = ("faiss", "k-means++")
IMAGES_PER_CENTRE = 300
BLOCK_BYTES = 1 << 26
Block = tuple[slice, torch.Tensor]


def spherical_kmeans(
    X: np.ndarray, n_clusters: int, kmeans: str, device: str, seed: RandomState, **limits: Any
) -> KMeansResult:
    """Cluster by direction, by the rules of faiss or by k-means++."""
    limits |= {"device": device, "random_state": seed}
    if kmeans == "faiss":
        return faiss_kmeans(X, n_clusters, **limits)
    return blocked_kmeans(X, n_clusters, spherical=True, **limits)


def some_rows(n_samples: int, n_rows: int, seed: int) -> np.ndarray:
    """Draw rows without repetition, in their order: all, where there are no more."""
    if n_samples <= n_rows:
        return np.arange(n_samples)
    return np.sort(np.random.default_rng(seed).choice(n_samples, n_rows, replace=False))


def image_features(
    argument: str, images: Any, encoder: Encoder | None = None, precision: str = "float32"
) -> np.ndarray:
    """Return the features of images as they come, or encoded where they are raw."""
    if not _is_raw(images):
        return check_features(argument, images, precision)
    if encoder is None:
        raise ValueError(
            f"{argument} holds raw images and there is no encoder: expected features of shape "
            "(n_samples, n_features), or an encoder such as encoder='offline'"
        )
    if len(images) == 0:
        raise ValueError(f"{argument} is empty: expected at least one image")
    return check_features(argument, encoder.encode_images(images), precision)


def text_bank(
    argument: str,
    texts: Any,
    encoder: Encoder | None = None,
    prompts: Sequence[str] | None = None,
    precision: str = "float32",
) -> TextBank:
    """Return words with their features, given as a bank, as strings to encode or as features.

    Prompts are templates with {} for the word; None takes strings as they are.
    """
    if isinstance(texts, TextBank):
        return TextBank(tuple(texts.texts), check_features(argument, texts.features, precision))
    if isinstance(texts, str | Mapping) or not hasattr(texts, "__getitem__"):
        raise ValueError(
            f"{argument} is of type {type(texts).__name__}: expected a TextBank, a list of "
            "str, or features of shape (n_words, n_features)"
        )
    if not hasattr(texts, "toarray") and len(texts) == 0:
        raise ValueError(f"{argument} is empty: expected at least one word")
    if isinstance(texts, list | tuple | np.ndarray) and isinstance(texts[0], str):
        if encoder is None:
            raise ValueError(
                f"{argument} holds strings and there is no encoder: expected a TextBank or "
                "features, or an encoder such as encoder='offline'"
            )
        features = _prompted(encoder, list(texts), prompts)
        return TextBank(tuple(map(str, texts)), check_features(argument, features, precision))
    # Features that come without their words are named by row.
    features = check_features(argument, texts, precision)
    return TextBank(tuple(map(str, range(len(features)))), features)


def _prompted(encoder: Encoder, words: list[str], prompts: Sequence[str] | None) -> np.ndarray:
    """Return the mean over the templates, of embeddings not normalised, as in TAC's code."""
    if prompts is None:
        return encoder.encode_texts(words)
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    if not prompts or not all("{}" in prompt for prompt in prompts):
        raise ValueError(f"prompts={prompts!r}: expected templates with {{}} for the word")
    total = sum(
        encoder.encode_texts([prompt.replace("{}", word) for word in words])
        for prompt in prompts
    )
    return total / np.float32(len(prompts))


def choose_rows(bank: TextBank, rows: np.ndarray) -> TextBank:
    """Return some words of a bank."""
    return TextBank(tuple(bank.texts[j] for j in rows), bank.features[rows])


def check_features(argument: str, X: Any, precision: str = "float32") -> np.ndarray:
    """Return a finite float32 matrix, rounded to `precision`, no row of which is all zero."""
    features = as_numbers(X, argument, np.float32)
    if features.ndim != 2 or 0 in features.shape:
        raise ValueError(
            f"{argument} has shape {features.shape}: expected (n_samples, n_features), "
            "neither of them 0"
        )
    if check_choice("precision", precision, PRECISIONS) == "float16":
        with np.errstate(over="ignore"):
            features = half(features)
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"{argument} holds NaN or infinity in row {int(finite.argmin())}"
            f"{' (as float16)' if precision == 'float16' else ''}: expected finite numbers"
        )
    filled = features.any(axis=1)
    if not filled.all():
        raise ValueError(
            f"{argument} is all zero in row {int(filled.argmin())}: expected a direction"
        )
    return features


def check_same_space(**features: np.ndarray | torch.Tensor) -> None:
    """Raise unless all features, by the caller's name for them, have one width."""
    widths = {argument: X.shape[1] for argument, X in features.items()}
    if len(set(widths.values())) > 1:
        listed = ", ".join(f"{argument} {width}" for argument, width in widths.items())
        raise ValueError(
            f"the numbers of features differ ({listed}): expected images and words of one "
            "space, made by the same encoder"
        )


def check_pair(
    X: np.ndarray, words: np.ndarray, names: tuple[str, str] = ("X", "words")
) -> tuple[np.ndarray, np.ndarray]:
    """Return images and words, or what stands for them, as features of one space."""
    X, words = check_features(names[0], X), check_features(names[1], words)
    check_same_space(**dict(zip(names, (X, words), strict=True)))
    return X, words


def _is_raw(images: Any) -> bool:
    if isinstance(images, np.ndarray):
        return images.ndim == 4 or images.dtype.kind in "OU"
    # Frames, tensors and sparse matrices hold features.
    if hasattr(images, "shape") or not hasattr(images, "__getitem__"):
        return False
    first = images[0] if len(images) else None
    return isinstance(first, str | Path) or hasattr(first, "getbands")


def half(X: np.ndarray) -> np.ndarray:
    """Return float32 numbers as half precision holds them."""
    return X.astype(np.float16).astype(np.float32)


def rounded(values: torch.Tensor, precision: str) -> torch.Tensor:
    """Return float32 values as `precision` holds them."""
    return values.half().float() if precision == "float16" else values


def number_of_centres(n_train: int, n_classes: int) -> int:
    """Return into how many centres TAC (and CAE) divide the images.

    One for every 300 images; three for every class where a class has under 300 on average,
    which is also the floor for small sets.

        n = N / 300, or 3 K where N < 300 K  (TAC, as coded)

    Parameters
    ----------
    n_train : int
        N, images that the centres are made of.
    n_classes : int
        K, number of classes, that is of clusters.

    Returns
    -------
    int
        At most `n_train`: a deviation, which only matters below three images a class.

    Raises
    ------
    ValueError
        If there are more classes than images, or a number is not a positive integer.
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

        c_l = m_l / norm(m_l), m_l the mean of its x_i  (TAC, as coded)

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Image features; their length does not matter.
    n_centers : int
        Number of centres.
    n_init, max_iter : int, default=10, 300
        Starts, of which the one of lowest inertia is kept, and a bound on its iterations.
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
    check_choice("kmeans", kmeans, KMEANS)
    as_stored = half if precision == "float16" else np.asarray
    if precision == "float16":
        X = half(unit_rows(X))
    if kmeans == "faiss":
        X = unit_rows(X)
    found = spherical_kmeans(
        X, n_centers, kmeans, device, random_state, n_init=n_init, max_iter=max_iter
    )
    centres = found.centers
    if kmeans == "faiss":
        sums = np.zeros_like(centres)
        np.add.at(sums, found.labels, X)
        counts = np.bincount(found.labels, minlength=n_centers)[:, None]
        centres = np.where(counts > 0, sums / np.maximum(counts, 1), centres)
        centres = unit_rows(as_stored(centres).astype(np.float32))
    return as_stored(centres)


def softmax_blocks(
    X: np.ndarray,
    words: np.ndarray,
    temperature: float,
    device: str = "auto",
    precision: str = "float32",
) -> Iterator[Block]:
    """Give TAC's weights of words, a row an image, in blocks of rows, none over 64 MB."""
    check_number("temperature", temperature, low=0, open_low=True)
    for rows, cosines in cosine_blocks(X, words, device, precision):
        logits = rounded(cosines / temperature, precision)
        yield rows, rounded(torch.softmax(logits, dim=1), precision)


def cosine_blocks(
    X: np.ndarray, words: np.ndarray, device: str = "auto", precision: str = "float32"
) -> Iterator[Block]:
    """Give the cosines of images and words in blocks of rows, none over 64 MB."""
    on = resolve_device(device)
    columns = rounded(F.normalize(torch.as_tensor(words, device=on), dim=1), precision).T
    step = max(1, BLOCK_BYTES // (4 * len(words)))
    for start in range(0, len(X), step):
        rows = slice(start, min(start + step, len(X)))
        block = rounded(F.normalize(torch.as_tensor(X[rows], device=on), dim=1), precision)
        yield rows, rounded(block @ columns, precision)


def weighted_sums(
    blocks: Iterator[Block],
    words: np.ndarray,
    n_samples: int,
    normalize: bool,
    precision: str = "float32",
) -> np.ndarray:
    """Return each image's sum of unit words by its weights, divided by its length or not."""
    sums = np.empty((n_samples, words.shape[1]), dtype=np.float32)
    bank = None
    for rows, weights in blocks:
        if bank is None:
            unit = F.normalize(torch.as_tensor(words, device=weights.device), dim=1)
            bank = rounded(unit, precision)
        block = rounded(weights @ bank, precision)
        if normalize:
            block = rounded(F.normalize(block, dim=1), precision)
        sums[rows] = block.cpu().numpy()
    return sums


def cluster_mass(
    blocks: Iterator[Block], labels: np.ndarray, n_clusters: int, n_words: int
) -> np.ndarray:
    """Return how much positive weight each cluster's images put on each word, in float64."""
    mass = np.zeros((n_clusters, n_words))
    for rows, weights in blocks:
        sums = weights.new_zeros(n_clusters, n_words)
        sums.index_add_(0, torch.as_tensor(labels[rows]).to(sums.device), weights.clamp_min(0))
        mass += sums.cpu().numpy()
    return mass
