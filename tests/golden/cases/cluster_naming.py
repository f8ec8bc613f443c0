"""Names of clusters: from nouns' softmax mass, and by the nouns' cosine."""

from functools import partial

import numpy as np
from golden.problems import drawings, nouns

from mvlib.methods import name_clusters, name_groups, noun_assignments


def named(order):
    bank = nouns()[0]
    shares = noun_assignments(drawings(), bank.features, device="cpu")
    mass = shares.reshape(6, -1, shares.shape[1]).sum(axis=1, dtype=np.float64)
    names = [
        pair for row in name_clusters(mass, bank.texts, order=order, top=4) for pair in row
    ]
    return {"words": [word for word, _ in names], "scores": [score for _, score in names]}


def groups():
    images = drawings()
    names = name_groups(images, np.arange(len(images)) * 6 // len(images), nouns()[0], top=4)
    return {
        "words": [word for name in names for word in (name.title, *name.nouns)],
        "separations": [name.separation for name in names],
    }


CASES = {
    "cluster_naming": {order: partial(named, order) for order in ("specific", "typical")}
    | {"groups": groups}
}
