"""MvCLN at small size: losses, distances, margin and embedding by setting; matchings."""

import numpy as np
import torch
from golden.harness import Case
from golden.problems import digits, some

from mvlib import MvCLN

SETTINGS = {
    "embedding_dim": 6,
    "hidden_dims": (32, 32),
    "epochs": 3,
    "batch_size": 256,
    "learning_rate": 1e-3,
    "match_batch_size": 64,
    "random_state": 3,
    "device": "cpu",
}


def fitted(n_aligned=80, **settings):
    def run():
        first, second = digits()
        aligned = some(160, n_aligned)
        rows = np.arange(160)
        rows[~aligned] = np.random.default_rng(0).permutation(rows[~aligned])
        model = MvCLN(10, **SETTINGS | settings).fit([first, second[rows]], aligned=aligned)
        # In the order of the rows: matches of all but equal distance hang on the processor.
        second_half = model.embedding_[np.argsort(model.matching_), SETTINGS["embedding_dim"] :]
        return {
            **model.history_,
            "margin": model.margin_,
            "embedding of view 1": model.embedding_[:, : SETTINGS["embedding_dim"]],
            "embedding of view 2": second_half,
        }

    return run


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
    "half aligned": Case(fitted()),
    "all aligned": Case(fitted(n_aligned=160)),
    "robust from the second epoch on": Case(fitted(switch=0.0)),
    "margin given": Case(fitted(margin=2.5)),
    "no dropout, five negatives": Case(fitted(dropout=0.0, n_negatives=5)),
    "matching of random rows": Case(matchings),
}
