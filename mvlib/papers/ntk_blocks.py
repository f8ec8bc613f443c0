"""How much of a block matrix an affinity is, by the true classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mvlib.methods.ntk_spectral import (
    NTKSpectralClustering,
    ntk_affinity,
    sparsify,
    spectral_embedding,
)
from mvlib.papers.ntk import RBF_WIDTH

if TYPE_CHECKING:
    import pandas as pd


def class_transitions(affinity: Any, y: np.ndarray) -> np.ndarray:
    """Return where a random step on an affinity leads, class by class."""
    members = np.eye(y.max() + 1)[y]
    reached = np.asarray(affinity @ members, dtype=np.float64)
    reached -= np.asarray(affinity.diagonal(), dtype=np.float64)[:, None] * members
    reached /= reached.sum(axis=1, keepdims=True)
    return (members.T @ reached) / members.sum(axis=0)[:, None]


def block_measures(model: NTKSpectralClustering, y: np.ndarray) -> dict[str, float]:
    """Measure the blocks of a fitted model's affinity."""
    steps = class_transitions(model.affinity_, y)
    k = model.n_clusters
    _, values = spectral_embedding(model.affinity_, k + 1, random_state=model.random_state)
    return {
        "within": float(np.diag(steps).mean()),
        "between": float((steps - np.diag(np.diag(steps))).max()),
        "gap": float(values[k - 1] - values[k]),
        "tied": model.history_["n_tied"] / len(y),
    }


def affinity_kinds(Z: np.ndarray, W: np.ndarray, temperature: float) -> dict[str, np.ndarray]:
    """Return four affinities of the same images."""
    kinds = {"Gaussian": ("rbf", RBF_WIDTH), "cosine": ("visual", temperature)}
    kinds |= {"words alone": ("semantic", temperature), "NTK": ("ntk", temperature)}
    return {
        name: ntk_affinity(Z, W, width, affinity=kind) for name, (kind, width) in kinds.items()
    }


def block_table(
    matrices: Mapping[str, np.ndarray], y: np.ndarray, n_neighbors: int
) -> pd.DataFrame:
    """Return how much each affinity keeps to the classes, among nearest neighbours."""
    import pandas as pd

    rows = []
    for name, matrix in matrices.items():
        others = matrix.copy()
        np.fill_diagonal(others, -np.inf)
        nearest = np.argpartition(-others, n_neighbors - 1, axis=1)[:, :n_neighbors]
        mutual = sparsify(matrix, n_neighbors, "mutual")
        steps = class_transitions(sparsify(matrix, n_neighbors, "union"), y)
        rows.append(
            {
                "affinity": name,
                "neighbours of the class": float((y[nearest] == y[:, None]).mean()),
                "steps in the class": float(np.diag(steps).mean()),
                "without a mutual neighbour": float((np.diff(mutual.indptr) == 0).mean()),
            }
        )
    return pd.DataFrame(rows)
