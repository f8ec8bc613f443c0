"""Names of clusters, from nouns' softmax mass."""

from functools import partial

import numpy as np
from golden.problems import drawings, nouns

from mvlib.methods import name_clusters, noun_assignments


def named(order):
    bank = nouns()[0]
    shares = noun_assignments(drawings(), bank.features, device="cpu")
    mass = shares.reshape(6, -1, shares.shape[1]).sum(axis=1, dtype=np.float64)
    names = [
        pair for row in name_clusters(mass, bank.texts, order=order, top=4) for pair in row
    ]
    return {"words": [word for word, _ in names], "scores": [score for _, score in names]}


CASES = {"cluster_naming": {order: partial(named, order) for order in ("specific", "typical")}}
