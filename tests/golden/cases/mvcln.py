"""MvCLN at small size: losses, distances, margin and mean embedding by setting; matchings."""

import numpy as np
import torch
from golden.problems import half_shuffled, some

from mvlib import MvCLN

SETTINGS = {
    "embedding_dim": 6, "hidden_dims": (32, 32), "epochs": 3, "batch_size": 256,
    "n_negatives": 10, "learning_rate": 3e-4, "match_batch_size": 64, "random_state": 3,
    "device": "cpu",
}  # fmt: skip


def fitted(n_aligned=80, **settings):
    def run():
        views, aligned = half_shuffled(n_aligned)
        model = MvCLN(10, **SETTINGS | settings).fit(views, aligned=aligned)
        H_1, H_2 = normalized_by_batch(model.network_, views)
        means = {"view 1": H_1.mean(dim=0), "view 2": H_2.mean(dim=0)}
        return {**model.history_, "margin": model.margin_, **means}

    return run


@torch.no_grad()
def normalized_by_batch(network, views):
    """Embed without the running means, which hang on how the processor rounds.

    Biases before batch normalisation have no gradient but what rounding leaves, and Adam
    makes a full step of it.
    """
    network.train()
    for layer in network.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.eval()
    return [encode(torch.tensor(X)) for encode, X in zip(network, views, strict=True)]


def matchings():
    rng = np.random.default_rng(0)
    H_1, H_2 = (torch.tensor(rng.random((100, 6))) for _ in range(2))
    ways = {
        "greedy, in batches": {"match_batch_size": 32},
        "greedy, the aligned kept": {"keep_pairs": True},
        "Hungarian": {"matching": "hungarian"},
    }
    return {
        name: MvCLN(10, **way)._match(H_1, H_2, some(100, 50), torch.Generator().manual_seed(0))
        for name, way in ways.items()
    }


CASES = {
    "mvcln": {
        "half aligned": fitted(),
        "all aligned": fitted(n_aligned=160, epochs=2),
        "robust from the second epoch on": fitted(switch=0.0),
        "margin given": fitted(margin=2.5),
        "no dropout": fitted(dropout=0.0),
        "matching of random rows": matchings,
    }
}
