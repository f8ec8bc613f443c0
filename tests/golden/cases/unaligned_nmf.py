"""Unaligned NMF at small size: losses and coefficients; matchings of made-up coefficients."""

import numpy as np
from golden.problems import half_shuffled

from mvlib.methods.views.unaligned_nmf import UnalignedNMF, rematched

SETTINGS = {
    "n_init": 3, "matching_rounds": 1, "consensus_rounds": 3, "update_rounds": 20,
    "random_state": 3,
}  # fmt: skip


def fitted(n_aligned, **settings):
    def run():
        views, aligned = half_shuffled(n_aligned)
        model = UnalignedNMF(10, **SETTINGS | settings).fit(views, aligned=aligned)
        return {**model.history_, "mean coefficients": model.embedding_.mean(axis=0)}

    return run


def matching():
    A, B = np.random.default_rng(0).random((2, 40, 6))
    return {"rows": rematched(A, B, np.arange(0, 40, 2), 1.0)}


CASES = {
    "unaligned_nmf": {
        "all aligned": fitted(160),
        "coefficients held together": fitted(160, alpha=1.0),
        "matching": matching,
    }
}
