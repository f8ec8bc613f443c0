"""NTK spectral clustering: its affinity, weights of prompts, eigenvectors and clusters."""

from functools import partial

import numpy as np
from golden.harness import Case
from golden.problems import drawings, nouns

from mvlib.methods import ntk_spectral as ntk
from mvlib.methods.ntk_spectral import NTKSpectralClustering

SMALL = {"n_neighbors": 15, "top": None, "random_state": 0, "device": "cpu"}


def fit(n_clusters=6, **parameters):
    model = NTKSpectralClustering(n_clusters, **SMALL | parameters)
    model.fit(drawings(), nouns())
    ones = np.ones(model.affinity_.shape[1])
    return {
        "degrees": model.affinity_ @ ones,
        "prompt_weights": model.prompt_weights_,
        "objective": model.objective_,
        "eigenvalues": model.history_["eigenvalues"],
        # Eigenvectors are known up to signs and rotations: the rows' lengths are not.
        "row_lengths": np.linalg.norm(model.embedding_, axis=1),
        "labels": model.labels_,
        "tied": [model.history_["n_pieces"], model.history_["n_tied"]],
        "names": [word for names in model.cluster_names_ for word, _ in names["nouns"][:2]],
    }


def filtered_nouns(**parameters):
    model = NTKSpectralClustering(6, **SMALL | {"n_centers": 12, "top": 3} | parameters)
    return {"kept": model.fit(drawings(), nouns()).history_["kept"]}


def affinities():
    Z, W = drawings(), nouns()[0].features
    blocks = {
        name: ntk.ntk_affinity(Z[:40], W, others=Z[40:60], affinity=name, device="cpu")
        for name in ("ntk", "visual", "semantic", "rbf")
    }
    return blocks | {"assignments": ntk.noun_assignments(Z[:40], W, device="cpu")}


def cells():
    graphs = ntk.nearest_neighbors(
        drawings(), nouns()[0].features, 10, search="cells", device="cpu", random_state=0
    )
    return {"values": graphs.values, "indices": graphs.indices[::24]}


def explicit(**parameters):
    features = ntk.explicit_features(
        drawings(),
        [bank.features for bank in nouns()],
        64,
        device="cpu",
        random_state=0,
        **parameters,
    )
    return {"products": features[:30] @ features[30:50].T}


def block_solver():
    Z, W = drawings(), nouns()[0].features
    lists = ntk.nearest_neighbors(Z, W, 30, device="cpu")
    graph, _ = ntk.connect_fragments(ntk.sparsify(lists, 30), lists, 30)
    embedding, values = ntk.spectral_embedding(graph, 6, solver="lobpcg", random_state=0)
    return {"eigenvalues": values, "row_lengths": np.linalg.norm(embedding, axis=1)}


CASES = {
    "ntk_spectral": {
        "paper": fit,
        "code": partial(fit, **NTKSpectralClustering.code_settings()),
        "row normalisation": partial(fit, normalization="row"),
        "weights that differ": partial(fit, regularization=0.5, mu=0.02),
        "one round of two steps": partial(fit, n_rounds=1, n_steps=2),
        "subspace": partial(fit, solver="subspace", rank=60),
        "mean of the graphs": partial(fit, fusion="mean"),
        "first graph alone": partial(fit, fusion="single"),
        "visual": partial(fit, affinity="visual", graph="union"),
        "semantic": partial(fit, affinity="semantic"),
        "rbf": partial(fit, affinity="rbf", graph="union"),
        "filtered nouns": filtered_nouns,
        "filtered nouns, code": partial(
            filtered_nouns, n_centers="three_a_class", prompt_mean="unit"
        ),
        "affinities": affinities,
        "neighbours in cells": cells,
        "nystrom": explicit,
        "tensor sketch": partial(explicit, sketch="tensorsketch"),
        "block solver": Case(block_solver, 1e-3, "LOBPCG stops at a residual of 1e-4"),
        "features": Case(
            partial(fit, solver="features", fusion="mean", n_features=100),
            5e-4,
            "degrees are sums of float32 products that cancel: 7e-5 between instruction sets",
        ),
        "two prompts, half precision": Case(
            partial(fit, prompts=2, precision="float16"),
            5e-4,
            "a last bit decides how a half is rounded: 5e-5 between instruction sets",
        ),
    }
}
