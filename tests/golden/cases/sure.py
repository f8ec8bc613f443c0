"""SURE at small size: losses, distances, margin and mean embedding by setting; filled rows."""

import numpy as np
import torch
from golden.cases.mvcln import SETTINGS, normalized_by_batch
from golden.problems import digits, half_shuffled

from mvlib.methods.views.mvcln import distance_matrix
from mvlib.methods.views.sure import SURE, imputed


def fitted(views=None, n_aligned=80, present=None, **settings):
    def run():
        Xs, aligned = half_shuffled(n_aligned)
        Xs = Xs if views is None else views()
        model = SURE(10, **SETTINGS | settings).fit(Xs, aligned=aligned, present=present)
        H_1, H_2 = normalized_by_batch(model.network_[:2], Xs)
        means = {"view 1": H_1.mean(dim=0), "view 2": H_2.mean(dim=0)}
        return {**model.history_, "margin": model.margin_, **means}

    return run


def filled():
    rng = np.random.default_rng(0)
    H_1, H_2 = (torch.tensor(rng.random((40, 6))) for _ in range(2))
    C, missing = distance_matrix(H_1, H_2), np.arange(40) % 2 == 0
    few = np.arange(40) > 1
    return {
        "three neighbours": imputed(H_2, C, missing, False),
        "two, by two": imputed(H_2, C, few, False),
        "two, by three": imputed(H_2, C, few, True),
    }


GAPS = np.ones((160, 2), bool)
GAPS[::7, 0] = GAPS[3::7, 1] = False
CASES = {
    "sure": {
        "half aligned": fitted(),
        "rows missing": fitted(present=GAPS),
        "shared weights": fitted(views=lambda: 2 * digits()[:1], shared_weights=True),
        "robust from the second epoch on": fitted(switch=0.0),
        "filled rows": filled,
    }
}
