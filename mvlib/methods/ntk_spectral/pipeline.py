"""The steps of NTK spectral clustering between features and eigenvectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from mvlib.encoders import TextBank
from mvlib.methods.ntk_spectral.diffusion import Diffusion, diffuse_affinities
from mvlib.methods.ntk_spectral.graph import connect_fragments, normalize_graph, sparsify
from mvlib.methods.ntk_spectral.neighbors import EXACT_ROWS, nearest_neighbors, partition
from mvlib.methods.ntk_spectral.scale import explicit_features, feature_embedding
from mvlib.methods.ntk_spectral.spectral import spectral_embedding
from mvlib.methods.ntk_spectral.subspace import diffuse_in_subspace

FULL_ROWS = 2000
# With 50, degrees of images on few edges came out too small on photographs, even negative,
# and such an image had an eigenvector of its own.
SPARE_RANK = 120


@dataclass(frozen=True)
class PromptGraphs:
    """The graphs of the prompts.

    Attributes
    ----------
    graphs : list of csr_array, each (n_samples, n_samples), float32
        One a prompt.
    pieces : ndarray of shape (n_samples,), int64
        Connected component of each image in all graphs together.
    n_tied : int
        Images that were, in some graph, of a piece too small to be a cluster, and were tied.
    """

    graphs: list[sparse.csr_array]
    pieces: np.ndarray
    n_tied: int


def prompt_graphs(model: Any, X: np.ndarray, banks: list[TextBank] | None) -> PromptGraphs:
    """Return the graph of each prompt, its small pieces tied to the rest.

    Parameters
    ----------
    model : NTKSpectralClustering
        Its parameters are read.
    X : ndarray of shape (n_samples, n_features), float32
        Images.
    banks : list of TextBank or None
        The positive nouns, a bank a prompt; None where the affinity reads none.

    Returns
    -------
    PromptGraphs

    Raises
    ------
    ValueError
        If there are too few images for `n_neighbors`.
    """
    nouns = [None] if banks is None else [bank.features for bank in banks]
    shared = {
        "temperature": model.temperature,
        "affinity": model.affinity,
        "device": model.device,
        "random_state": model.random_state,
    }
    cells = None
    if model.search == "cells" or (model.search == "auto" and len(X) > EXACT_ROWS):
        cells = partition(X, None if banks is None else nouns, **shared)
    graphs, tied = [], np.zeros(len(X), dtype=bool)
    for W in nouns:
        found = nearest_neighbors(
            X, W, model.n_neighbors, search=model.search, cells=cells, **shared
        )
        graph = sparsify(
            found, model.n_neighbors, model.graph, clip_negatives=model.clip_negatives
        )
        graph, small = connect_fragments(graph, found, model.n_neighbors)
        graphs.append(graph)
        tied |= small
    pieces = connected_components(sum(graphs), directed=False)[1].astype(np.int64)
    return PromptGraphs(graphs, pieces, int(tied.sum()))


def fused_affinity(model: Any, graphs: list[sparse.csr_array]) -> Diffusion:
    """Return one affinity of the prompts' graphs.

    Parameters
    ----------
    model : NTKSpectralClustering
        Its parameters are read.
    graphs : list of csr_array, each (n_samples, n_samples), float32
        One a prompt.

    Returns
    -------
    Diffusion
        Without records where `fusion` is not "diffusion".
    """
    n, n_prompts = graphs[0].shape[0], len(graphs)
    if model.fusion != "diffusion":
        mean = sparse.csr_array(sum(graphs) / np.float32(n_prompts))
        return Diffusion(mean, np.full(n_prompts, 1 / n_prompts), np.empty(0), ())
    transitions = [
        normalize_graph(graph, model.normalization, degree_floor=model.degree_floor)
        for graph in graphs
    ]
    schedule = {
        "mu": model.mu,
        "regularization": model.regularization,
        "n_rounds": model.n_rounds,
        "n_steps": model.n_steps,
        "weights": model.weights,
    }
    if model.solver == "full" or (model.solver == "auto" and n <= FULL_ROWS):
        return diffuse_affinities([S.astype(np.float64) for S in transitions], **schedule)
    rank = model.rank
    if rank is None:
        rank = max(2 * model.n_clusters, model.n_clusters + SPARE_RANK)
    return diffuse_in_subspace(
        transitions, min(rank, n), random_state=model.random_state, **schedule
    )


@dataclass(frozen=True)
class Cut:
    """An affinity and the eigenvectors it is cut by: attributes of the estimator.

    Attributes
    ----------
    affinity, embedding, prompt_weights, objective
        As of `NTKSpectralClustering`.
    history : dict
        What its `history_` says of them.
    """

    affinity: Any
    embedding: np.ndarray
    prompt_weights: np.ndarray
    objective: np.ndarray
    history: dict[str, Any]


def cut_graph(model: Any, X: np.ndarray, banks: list[TextBank] | None) -> Cut:
    """Make the prompts' graphs, fuse them, and find the eigenvectors.

    Parameters
    ----------
    model, X, banks
        As of `prompt_graphs`.

    Returns
    -------
    Cut

    Raises
    ------
    ValueError
        If the graph has more pieces than there are clusters.
    """
    made = prompt_graphs(model, X, banks)
    found = fused_affinity(model, made.graphs)
    embedding, eigenvalues = spectral_embedding(
        found.affinity,
        model.n_clusters,
        pieces=made.pieces,
        random_state=model.random_state,
    )
    history = {
        "eigenvalues": eigenvalues,
        "steps": found.steps,
        "n_pieces": int(made.pieces.max()) + 1,
        "n_tied": made.n_tied,
    }
    return Cut(found.affinity, embedding, found.prompt_weights, found.objective, history)


def cut_features(model: Any, X: np.ndarray, banks: list[TextBank] | None) -> Cut:
    """Make explicit features of the kernel, and find the eigenvectors of their Gram matrix.

    Parameters
    ----------
    model, X, banks
        As of `prompt_graphs`.

    Returns
    -------
    Cut
        Its affinity is the matrix of features.

    Raises
    ------
    ValueError
        If the features are too few for the clusters.
    """
    features = explicit_features(
        X,
        None if banks is None else [bank.features for bank in banks],
        min(model.n_features, len(X)),
        temperature=model.temperature,
        affinity=model.affinity,
        device=model.device,
        random_state=model.random_state,
    )
    n_prompts = 1 if banks is None else len(banks)
    embedding, eigenvalues = feature_embedding(features, model.n_clusters)
    history = {"eigenvalues": eigenvalues, "steps": (), "n_pieces": 1, "n_tied": 0}
    return Cut(features, embedding, np.full(n_prompts, 1 / n_prompts), np.empty(0), history)
