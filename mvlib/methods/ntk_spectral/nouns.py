"""The positive nouns: a bank for each prompt, and TAC's filter of them."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch

from mvlib._validation import check_number
from mvlib.data import PROMPTS
from mvlib.encoders import Encoder, TextBank
from mvlib.methods.cluster_naming import name_clusters
from mvlib.methods.counterparts import cluster_mass, softmax_blocks
from mvlib.methods.semantic_inputs import check_same_space, text_bank
from mvlib.methods.semantic_space import number_of_centres, semantic_centres
from mvlib.methods.tac_nouns import filter_nouns

PROMPT_MEANS = ("plain", "unit")
THREE_A_CLASS = "three_a_class"


def prompt_banks(
    texts: Any,
    prompts: int | Sequence[str],
    encoder: Encoder | None = None,
    precision: str = "float32",
) -> list[TextBank]:
    """Return the nouns' features under each prompt.

    Parameters
    ----------
    texts : list of TextBank or of array-like, TextBank, array-like, or list of str
        A bank a prompt, each (n_words, n_features), row j of each the same word; one bank, for
        one prompt; or words, to be encoded under each template.
    prompts : int or sequence of str
        How many prompts, from the first: of TAC's templates, for words, or of the banks, if
        there are more. Or the templates themselves, for words.
    encoder : Encoder, optional
        Needed for words.
    precision : {"float32", "float16"}, default="float32"
        As in `image_features`.

    Returns
    -------
    list of TextBank
        Of one length and width, features not normalised.

    Raises
    ------
    ValueError
        If words come without an encoder, banks differ in their words or widths, there are
        fewer templates than asked for, or features are empty, not finite or zero in a row.
    """
    counted = isinstance(prompts, Integral)
    if counted:
        check_number("prompts", prompts, low=1, integer=True)
    elif isinstance(prompts, str) or not len(prompts):
        raise ValueError(f"prompts={prompts!r}: expected a number or a list of templates")
    given = _listed(texts)
    if given is None:
        if counted:
            check_number("prompts", prompts, high=len(PROMPTS), integer=True)
        templates = list(PROMPTS[:prompts] if counted else prompts)
        return [text_bank("texts", texts, encoder, (p,), precision) for p in templates]
    banks = [
        text_bank(f"texts[{b}]", bank, encoder, None, precision)
        for b, bank in enumerate(given[: prompts if counted else None])
    ]
    for b, bank in enumerate(banks):
        if bank.texts != banks[0].texts:
            raise ValueError(
                f"texts[{b}] has other words than texts[0]: expected the same words in the "
                "same order under each prompt"
            )
    check_same_space(**{f"texts[{b}]": bank.features for b, bank in enumerate(banks)})
    return banks


def keep_nouns(
    banks: list[TextBank],
    train: np.ndarray,
    n_clusters: int,
    *,
    n_centers: int | str | None = None,
    top: int | None = 5,
    prompt_mean: str = "plain",
    device: str = "auto",
    random_state: int | None = None,
) -> tuple[np.ndarray, int | None]:
    """Return the rows of the positive nouns, by TAC's filter on the mean of the prompts.

    Parameters
    ----------
    banks : list of TextBank
        A bank a prompt.
    train : ndarray of shape (n_train, n_features), float32
        The images that choose.
    n_clusters : int
        Number of clusters.
    n_centers : int or "three_a_class", optional
        Centres of the images; by default `number_of_centres`.
    top : int, optional, default=5
        Nouns a centre. None keeps all nouns.
    prompt_mean : {"plain", "unit"}, default="plain"
        The mean of the features as they are (TAC's code), or of the unit vectors of each
        prompt (the benchmark's code).
    device : str, default="auto"
        Where to compute.
    random_state : int, optional
        Seed of the centres.

    Returns
    -------
    kept : ndarray of shape (n_kept,), int64
        Rows, ascending.
    n_centers : int or None
        How many centres there were; None where nothing was filtered.

    Raises
    ------
    ValueError
        If widths differ or a parameter is out of range.
    """
    check_same_space(images=train, texts=banks[0].features)
    if top is None:
        return np.arange(len(banks[0].texts)), None
    if n_centers is None:
        n_centers = number_of_centres(len(train), n_clusters)
    elif n_centers == THREE_A_CLASS:
        n_centers = min(3 * n_clusters, len(train))
    centres = semantic_centres(train, n_centers, device=device, random_state=random_state)
    features = [bank.features for bank in banks]
    if prompt_mean == "unit":
        features = [X / np.linalg.norm(X, axis=1, keepdims=True) for X in features]
    mean = np.mean(features, axis=0)
    return filter_nouns(mean, centres, top, device=device), n_centers


def take_rows(banks: list[TextBank], rows: np.ndarray) -> list[TextBank]:
    """Return the banks with these rows alone.

    Parameters
    ----------
    banks : list of TextBank
        A bank a prompt.
    rows : ndarray of shape (n_kept,), int64
        Which.

    Returns
    -------
    list of TextBank
    """
    return [TextBank(tuple(bank.texts[j] for j in rows), bank.features[rows]) for bank in banks]


def noun_names(
    X: np.ndarray,
    banks: list[TextBank],
    labels: np.ndarray,
    n_clusters: int,
    temperature: float,
    device: str = "auto",
) -> list[dict[str, list[tuple[str, float]]]]:
    """Return the most specific nouns of each cluster, from its images' mean assignments.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float32
        Images.
    banks : list of TextBank
        The positive nouns, a bank a prompt. The assignments are averaged over them.
    labels : ndarray of shape (n_samples,), int64
        Clusters.
    n_clusters : int
        Number of clusters.
    temperature : float
        tau.
    device : str, default="auto"
        Where to compute.

    Returns
    -------
    list of dict
        A dict a cluster: "nouns", at most five with their scores, and "captions", empty.
    """
    mass = sum(
        cluster_mass(
            softmax_blocks(X, bank.features, temperature, device),
            labels,
            n_clusters,
            len(bank.texts),
        )
        for bank in banks
    )
    return [{"nouns": names, "captions": []} for names in name_clusters(mass, banks[0].texts)]


def _listed(texts: Any) -> list[Any] | None:
    """Return the banks one by one, or None where `texts` are words."""
    if isinstance(texts, str) or texts is None:
        raise ValueError(
            f"texts={texts!r} holds no nouns: expected a bank a prompt, a bank, or a list of "
            "words"
        )
    if isinstance(texts, TextBank):
        return [texts]
    if isinstance(texts, np.ndarray | torch.Tensor):
        return [texts] if texts.ndim < 3 else list(texts)
    texts = list(texts)
    if not texts:
        raise ValueError("texts is empty: expected at least one word")
    if isinstance(texts[0], str):
        return None
    flat = np.ndim(texts[0]) == 1 and not isinstance(texts[0], TextBank)
    return [texts] if flat else texts
