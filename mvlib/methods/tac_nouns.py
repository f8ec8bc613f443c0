"""TAC's nouns: which are kept for a set of images, and what they say of its clusters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mvlib.check import check_number
from mvlib.data import PROMPTS
from mvlib.encoders import Encoder, TextBank
from mvlib.methods.cluster_naming import name_clusters
from mvlib.methods.counterparts import cluster_mass, softmax_blocks
from mvlib.methods.semantic_inputs import check_features, check_same_space, text_bank
from mvlib.methods.semantic_space import number_of_centres, semantic_centres


def filter_nouns(
    nouns: np.ndarray,
    centres: np.ndarray,
    top: int = 5,
    *,
    precision: str = "float32",
    device: str = "auto",
) -> np.ndarray:
    """Return the nouns that tell the centres apart: TAC's filter.

    Each noun goes to the centre of its largest softmax over the centres (without a
    temperature); each centre keeps the `top` of its nouns by that softmax.

    Parameters
    ----------
    nouns : array-like of shape (n_words, n_features)
        Text features.
    centres : array-like of shape (n_centers, n_features)
        Centres of the images, from `semantic_centres`.
    top : int, default=5
        Nouns a centre; fewer where fewer went to it. Equal rows take a place each.
    precision : {"float32", "float16"}, default="float32"
        "float16" rounds unit rows, products and softmax to half precision, in which the
        authors' code computes. Ties are common then.
    device : str, default="auto"
        Where to compute.

    Returns
    -------
    ndarray of shape (n_kept,), int64
        Rows of `nouns`, ascending.

    Raises
    ------
    ValueError
        If widths differ, values are not finite, or `top` is not a positive integer.

    Notes
    -----
    Source: TAC's code (arXiv 2310.11989). Nouns and centres are L2-normalised before their
    product.

    *Deviations*. Ties go to the lower centre and the lower row; in the code their order is
    undefined.
    """
    nouns, centres = check_features("nouns", nouns), check_features("centres", centres)
    check_same_space(nouns=nouns, centres=centres)
    check_number("top", top, low=1, integer=True)
    confidence = np.empty(len(nouns), dtype=np.float32)
    nearest = np.empty(len(nouns), dtype=np.int64)
    for rows, weights in softmax_blocks(nouns, centres, 1.0, device, precision):
        best = weights.max(dim=1)
        confidence[rows], nearest[rows] = best.values.cpu(), best.indices.cpu()
    order = np.lexsort((np.arange(len(nouns)), -confidence, nearest))
    sizes = np.bincount(nearest, minlength=len(centres))
    rank = np.arange(len(nouns)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(order[rank < top])


@dataclass(frozen=True)
class NounSpace:
    """Images and the nouns that TAC keeps for them.

    Attributes
    ----------
    X, train : ndarray of shape (n_samples, n_features), (n_train, n_features), float32
        Images to cluster, and those the nouns were chosen by.
    kept : ndarray of shape (n_kept,), int64
        Rows of the bank.
    nouns : TextBank
        The kept nouns.
    n_centers : int
        Number of centres.
    """

    X: np.ndarray
    train: np.ndarray
    kept: np.ndarray
    nouns: TextBank
    n_centers: int


def noun_space(
    model: Any, images: Any, texts: Any, train_images: Any, encoder: Encoder | None
) -> NounSpace:
    """Return the noun space of an estimator that has TAC's parameters.

    Parameters
    ----------
    model : TAC or TrainedTAC
        Its parameters are read.
    images, texts, train_images
        As in `TAC.fit`.
    encoder : Encoder or None
        For raw inputs.

    Returns
    -------
    NounSpace

    Raises
    ------
    ValueError
        On inputs or parameters out of range.
    """
    check_number("temperature", model.temperature, low=0, open_low=True)
    check_number("top", model.top, low=1, integer=True)
    X, train = model._images(images, train_images, encoder)
    prompts = PROMPTS if model.prompts is None else model.prompts
    bank = text_bank("texts", texts, encoder, prompts, model.precision)
    check_same_space(images=X, train_images=train, texts=bank.features)
    n_centers = model.n_centers
    if n_centers is None:
        n_centers = number_of_centres(len(train), model.n_clusters)
    on = {"precision": model.precision, "device": model.device}
    centres = semantic_centres(
        train, n_centers, kmeans=model.kmeans, random_state=model.random_state, **on
    )
    kept = filter_nouns(bank.features, centres, model.top, **on)
    nouns = TextBank(tuple(bank.texts[j] for j in kept), bank.features[kept])
    return NounSpace(X, train, kept, nouns, n_centers)


def noun_names(
    space: NounSpace, labels: np.ndarray, n_clusters: int, temperature: float, device: str
) -> list[dict[str, list[tuple[str, float]]]]:
    """Return the most specific nouns of each cluster, from the softmax weights of its images.

    Rows with one text count as one noun.

    Parameters
    ----------
    space : NounSpace
        Images and kept nouns.
    labels : ndarray of shape (n_samples,), int64
        Clusters.
    n_clusters : int
        Number of clusters.
    temperature : float
        Of the softmax.
    device : str
        Where to compute.

    Returns
    -------
    list of dict
        A dict a cluster: "nouns", at most five with their scores, and "captions", empty.
    """
    blocks = softmax_blocks(space.X, space.nouns.features, temperature, device)
    mass = cluster_mass(blocks, labels, n_clusters, len(space.kept))
    words, column = np.unique(space.nouns.texts, return_inverse=True)
    merged = np.zeros((len(words), n_clusters))
    np.add.at(merged, column, mass.T)
    named = name_clusters(merged.T, tuple(map(str, words)))
    return [{"nouns": names, "captions": []} for names in named]
