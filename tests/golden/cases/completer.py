"""COMPLETER and DCP at small size: losses and embedding by setting."""

import numpy as np
from golden.harness import Case
from golden.problems import digits, some

from mvlib.methods import COMPLETER, DCP

SETTINGS = {
    "embedding_dim": 6, "hidden_dims": (32, 24), "epochs": 3, "batch_size": 64,
    "learning_rate": 1e-3, "prediction_epoch": 1, "random_state": 3, "device": "cpu",
}  # fmt: skip
ROUNDING = "Adam's first steps follow the sign of gradients near 0, as rounding decides"
GAPS = np.stack([some(160, 160), ~some(160, 40)], axis=1)


def fitted(method, n_views=2, present=None, **settings):
    def run():
        views = digits()
        views = [*views, views[0][:, ::3]][:n_views]
        model = method(10, **SETTINGS | settings).fit(views, present=present)
        return {**model.history_, "embedding": model.embedding_}

    return Case(run, 5e-3, ROUNDING, only=("embedding", "prediction", "reconstruction"))


CASES = {
    "completer": {
        "whole samples": fitted(COMPLETER),
        "a quarter lacks view 2": fitted(COMPLETER, present=GAPS),
    },
    "dcp": {
        "two views, a quarter lacks one": fitted(DCP, present=GAPS),
        "three views, the first is the core": fitted(DCP, n_views=3),
        "three views, all pairs": fitted(DCP, n_views=3, pairs="all"),
    },
}
