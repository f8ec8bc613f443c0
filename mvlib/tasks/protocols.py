"""One training scored under every protocol: how rows are matched, clustered and named.

Between the embeddings of two views and a printed accuracy stand choices that a table seldom
names. A `Protocol` holds them; `MATCHING` names what published code does, `CHOICES` changes one
thing at a time. Which epoch is scored is a choice of the training, and not here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans

from mvlib.check import check_choice
from mvlib.data import ViewsProblem
from mvlib.methods.views.mvcln import greedy_matching
from mvlib.metrics import clustering_scores
from mvlib.ops import unit_rows

REMATCH = ("none", "greedy", "nearest", "hungarian")
FEATURES = ("as they are", "unit", "view 1")


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How the embeddings of two views become scores; the defaults are MvCLN's code's.

    `rematch` says how a row of view 1 finds its row of view 2: as given, the nearest that is
    free, the nearest even if taken, or all at the least sum of distances. `batch_size` is among
    how many rows, drawn at random, it looks; None is among all. With `keep_pairs` known pairs
    stay as they are, and only the other rows look for one another. `features` is what k-means
    of `n_init` starts sees, and `labels_of` whose labels score it.
    """

    rematch: str = "greedy"
    batch_size: int | None = 1024
    keep_pairs: bool = False
    features: str = "as they are"
    n_init: int = 10
    labels_of: int = 0

    def __post_init__(self) -> None:
        check_choice("rematch", self.rematch, REMATCH)
        check_choice("features", self.features, FEATURES)


BASE = Protocol()
NONE = replace(BASE, rematch="none")
NEAREST = replace(BASE, rematch="nearest", features="unit")

# As the authors' code scores, where the embeddings are given. VITAL matches nothing where all
# rows are aligned; SURE is MvCLN's, DCP COMPLETER's, and SMART's own features carry its graph.
MATCHING: Mapping[str, Protocol] = {
    "mvcln": BASE,
    "vital": replace(BASE, features="unit"),
    "smile": replace(NEAREST, batch_size=None, keep_pairs=True),
    "candy": NEAREST,
    "corregen": replace(NEAREST, batch_size=512),
    "completer": NONE,
    "divide": replace(NONE, features="unit"),
}

# MvCLN's protocol with one thing changed.
CHOICES: Mapping[str, Protocol] = {
    "paired_as_given": NONE,
    "batches_of_128": replace(BASE, batch_size=128),
    "among_all_rows": replace(BASE, batch_size=None),
    "least_sum": replace(BASE, rematch="hungarian"),
    "with_replacement": replace(BASE, rematch="nearest"),
    "pairs_kept": replace(BASE, keep_pairs=True),
    "unit_rows": replace(BASE, features="unit"),
    "one_start": replace(BASE, n_init=1),
    "labels_of_view_2": replace(BASE, labels_of=1),
    "view_1_alone": replace(NONE, features="view 1"),
}

# Methods that train the embeddings of two views into one space, where rows can be matched by
# distance. Those of DIVIDE, CANDY, CorreGen, COMPLETER and DCP compare across views only what
# their own networks predict.
ONE_SPACE = ("SMART", "PVC", "MvCLN", "SURE", "SMILE", "VITAL", "CAMERA")


def embeddings_by_view(model: Any, problem: ViewsProblem) -> list[np.ndarray] | None:
    """Return the embedding of each of two whole views, or None if they share no space."""
    if len(problem.Xs) != 2 or not problem.present.all():
        return None
    if type(model).__name__ not in ONE_SPACE:
        return None
    return np.split(np.asarray(model.transform(problem.Xs)), 2, axis=1)


def matching(
    Zs: Sequence[np.ndarray], aligned: np.ndarray, protocol: Protocol, seed: int
) -> np.ndarray:
    """Return the row of view 2 that each row of view 1 takes under a protocol."""
    n = len(aligned)
    matched = np.arange(n)
    if protocol.rematch == "none":
        return matched
    loose = np.flatnonzero(~aligned) if protocol.keep_pairs else matched.copy()
    order = np.random.default_rng(seed).permutation(loose)
    size = protocol.batch_size or n
    first, second = map(unit_rows, Zs) if protocol.features == "unit" else Zs
    for begin in range(0, len(order), size):
        rows = order[begin : begin + size]
        distances = cdist(first[rows], second[rows])
        found = {
            "greedy": greedy_matching,
            "nearest": lambda C: C.argmin(axis=1),
            "hungarian": lambda C: linear_sum_assignment(C)[1],
        }[protocol.rematch](distances)
        matched[rows] = rows[found]
    return matched


def rescore(
    Zs: Sequence[np.ndarray], problem: ViewsProblem, protocol: Protocol, seed: int
) -> dict[str, float]:
    """Return the scores of two views' embeddings under a protocol."""
    first, second = map(unit_rows, Zs) if protocol.features == "unit" else Zs
    matched = matching(Zs, problem.aligned, protocol, seed)
    y = problem.y
    if protocol.labels_of == 1:
        y = problem.labels_of_view(1)[matched]
    parts = [first] if protocol.features == "view 1" else [first, second[matched]]
    features = np.concatenate(parts, axis=1)
    k_means = KMeans(len(np.unique(problem.y)), n_init=protocol.n_init, random_state=seed)
    return clustering_scores(y, k_means.fit_predict(features))


def accuracies(model: Any, problem: ViewsProblem, most_starts: int = 10) -> dict[str, float]:
    """Return the accuracy of one training under each protocol of `MATCHING` and `CHOICES`.

    k-means starts no more than `most_starts` times.
    """
    Zs = embeddings_by_view(model, problem)
    if Zs is None:
        return {}
    named = {f"as_{name}": protocol for name, protocol in MATCHING.items()} | CHOICES
    # Some are the same by two names.
    found = {
        protocol: rescore(
            Zs,
            problem,
            replace(protocol, n_init=min(protocol.n_init, most_starts)),
            model.random_state,
        )["acc"]
        for protocol in dict.fromkeys(named.values())
    }
    return {name: found[protocol] for name, protocol in named.items()}
