"""CAPIMAC at small size: losses and mean pairs by matching, defect, and what is missing."""

import numpy as np
from golden.harness import Case
from golden.problems import half_shuffled

from mvlib.methods.views.capimac import CAPIMAC

SETTINGS = {
    "hidden_dims": (32,), "code_hidden_dims": (24,), "code_dim": 6, "pretraining_epochs": 5,
    "epochs": 3, "batch_size": 256, "n_negatives": 10, "learning_rate": 3e-4, "random_state": 3,
    "device": "cpu",
}  # fmt: skip
ROUNDING = "Adam's first steps follow the sign of gradients near 0, as rounding decides"


def fitted(missing=(0, 0), columns=slice(None), **settings):
    def run():
        views, aligned = half_shuffled()
        loose = np.flatnonzero(~aligned)
        present = np.ones((len(aligned), 2), bool)
        for v, count in enumerate(missing):
            present[loose[v::2][:count], v] = False
        model = CAPIMAC(10, **SETTINGS | settings)
        model.fit(views, aligned=aligned, present=present)
        return {
            **model.history_,
            "anchors": model.anchors_[0].mean(axis=1),
            "mean pair": model.embedding_.mean(axis=0)[columns],
        }

    return Case(run, 1e-1, ROUNDING, only=("mean pair",))


CASES = {
    "capimac": {
        "half aligned": fitted(),
        "view 1 shorter": fitted((20, 8)),
        "view 2 shorter, matched greedily": fitted((8, 20), matching="greedy"),
        # Which row of view 1 all are given, rounding decides: only view 2 is held.
        "one partner for all": fitted((20, 8), slice(10, None), mended=False),
    }
}
