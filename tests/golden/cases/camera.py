"""CAMERA at small size: losses and embedding by setting."""

import numpy as np
from golden.harness import Case
from golden.problems import half_shuffled, some

from mvlib.methods import CAMERA

SETTINGS = {
    "embedding_dim": 12, "hidden_dims": (32, 24, 16), "epochs": 3, "batch_size": 64,
    "learning_rate": 1e-3, "matching_epoch": 1, "random_state": 3, "device": "cpu",
}  # fmt: skip
ROUNDING = "Adam's first steps follow the sign of gradients near 0, as rounding decides"
GAPS = np.stack([some(160, 160), ~some(160, 40)], axis=1)


def fitted(n_aligned=80, present=None, **settings):
    def run():
        views, aligned = half_shuffled(n_aligned)
        model = CAMERA(10, **SETTINGS | settings).fit(views, aligned=aligned, present=present)
        losses = ("loss", "reconstruction", "commonality", "consistency")
        return {
            **{name: model.history_[name] for name in losses},
            "embedding": model.transform(views),
        }

    return Case(run, 5e-2, ROUNDING, only=("embedding",))


CASES = {
    "camera": {
        "half aligned": fitted(),
        "all aligned, a quarter lacks view 2": fitted(160, GAPS),
        "half aligned, a quarter lacks view 2": fitted(80, GAPS),
    }
}
