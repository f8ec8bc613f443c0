"""PVC at small size: losses and mean embedding by setting; the matching of made-up rows."""

import numpy as np
import torch
from golden.problems import half_shuffled

from mvlib.methods.views.pvc import PVC, soft_matching, squared_distances

SETTINGS = {
    "embedding_dim": 6, "hidden_dims": (32, 32), "epochs": 3, "alignment_epochs": 1,
    "tuning_epochs": 2, "batch_size": 32, "random_state": 3, "device": "cpu",
}  # fmt: skip


def fitted(n_aligned=80, **settings):
    def run():
        views, aligned = half_shuffled(n_aligned)
        model = PVC(10, **SETTINGS | settings).fit(views, aligned=aligned)
        return {**model.history_, "embedding": model.transform(views).mean(axis=0)}

    return run


def matching():
    rng = np.random.default_rng(0)
    H_1, H_2 = (torch.tensor(rng.random((30, 4))) for _ in range(2))
    P = soft_matching(squared_distances(H_1, H_2))
    return {"matching": P.argmax(dim=1), "entries": P, "rows": P.sum(dim=1)}


CASES = {
    "pvc": {
        "half aligned": fitted(),
        "all aligned": fitted(n_aligned=160),
        "no alignment": fitted(alignment_epochs=0, tuning_epochs=0),
        "matching": matching,
    }
}
