"""The methods that a folder can be clustered with, behind one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mvlib.ops.rows import unit_rows

if TYPE_CHECKING:
    from mvlib.encoders import TextBank

Names = dict[str, list[tuple[str, float]]]

METHODS = ("cae", "tac", "kmeans")
_NEAREST = 6
# CAE's own default; a short list of words may hold fewer.
_WORDS_A_CENTRE = 10


@dataclass(frozen=True)
class FittedGroups:
    """What a method found: `labels`, `embedding`, and `names` as its `cluster_names_`."""

    labels: np.ndarray
    embedding: np.ndarray
    names: list[Names]


def fit_groups(
    method: str,
    n_clusters: int,
    features: np.ndarray,
    banks: dict[str, TextBank],
    random_state: int | None,
    device: str,
    *,
    n_common: int = 0,
) -> FittedGroups:
    """Cluster features by one of the methods and name the groups."""
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
    return FittedGroups(labels, fitted.embedding_, names)


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

    A method's own order rewards a noun that few groups share, which may be far from most of
    a group's images, and among many nouns the nearest is often needlessly special: "adobe
    house" or "herpetologist" where people say "house" and "animal".
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
