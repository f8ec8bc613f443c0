"""DIVIDE, CANDY and CorreGen at small size: losses and embedding by setting; matchings."""

import numpy as np
import torch
from golden.harness import Case
from golden.problems import digits, some

from mvlib.methods import CANDY, DIVIDE, CorreGen
from mvlib.methods.views.momentum_twins import rematched

SETTINGS = {
    "embedding_dim": 6, "hidden_dims": (32, 24), "epochs": 3, "batch_size": 64,
    "learning_rate": 4e-3, "warm_up_epochs": 2, "identity_epochs": 1, "random_state": 3,
    "device": "cpu",
}  # fmt: skip
ROUNDING = "Adam's first steps follow the sign of gradients near 0, as rounding decides"


def fitted(method, present=None, **settings):
    def run():
        views = digits()
        model = method(10, **SETTINGS | settings).fit(views, present=present)
        return {**model.history_, "embedding": model.transform(views)}

    return Case(run, 5e-3, ROUNDING, only=("embedding",))


def marginals():
    model = CorreGen(10, **SETTINGS | {"epochs": 4, "marginal_epoch": 1}).fit(digits())
    return {"marginals": model.marginals_, **model.history_}


def matchings():
    rng = np.random.default_rng(0)
    Z, P = (torch.tensor(rng.random((100, 6))) for _ in range(2))
    generator = torch.Generator().manual_seed(0)
    return {way: rematched(Z, P, way, 32, generator) for way in ("batch", "global")}


CASES = {
    "divide": {
        "whole samples": fitted(DIVIDE),
        "new batches in each epoch": fitted(DIVIDE, fixed_batches=False),
        "a quarter lacks view 2": fitted(DIVIDE, np.stack([some(160, 160), ~some(160, 40)], 1)),
        "no dropout": fitted(DIVIDE, dropout=0.0),
        "matching of random rows": matchings,
    },
    "candy": {
        "filtered": fitted(CANDY, threshold=0.4),
        "not filtered": fitted(CANDY, threshold=0.0),
    },
    "corregen": {
        "virtual row": fitted(CorreGen),
        "no virtual row": fitted(CorreGen, noise=0.0),
        "marginals from the second epoch on": Case(
            marginals, 5e-3, ROUNDING, only=("marginals",)
        ),
    },
}
