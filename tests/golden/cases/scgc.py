"""SCGC and PamC at small size: losses and labels by decoder, hops, and kind of graph."""

import numpy as np
from golden.problems import digits

from mvlib.methods.neighbours.scgc import SCGC, PamC

SETTINGS = {
    "hidden_dims": (32, 24), "embedding_dim": 6, "epochs": 4, "pretraining_epochs": 3,
    "batch_size": 64, "random_state": 3, "device": "cpu",
}  # fmt: skip


def fitted(model, graph=False, **settings):
    def run():
        X, Z = digits()
        near = np.abs(X[:, None] - X[None]).sum(axis=2) < 30
        views = [X, near.astype(np.float32) if graph else Z]
        made = model(10, **SETTINGS | settings).fit(views)
        history = {name: each for name, each in made.history_.items() if name != "labels"}
        if "decoder" not in made.get_params() or not made.decoder:
            del history["reconstruction"]
        return {**history, "mean of Q": made.embedding_.mean(axis=0)}

    return run


CASES = {
    "scgc": {
        "SCGC, nearest rows": fitted(SCGC),
        "SCGC, a graph": fitted(SCGC, graph=True),
        "SCGC*": fitted(SCGC, decoder=False, contrast_weight=1.0, hops=2),
        "PamC, nearest rows": fitted(PamC),
        "PamC, a graph of three steps": fitted(PamC, graph=True, hops=3),
    }
}
