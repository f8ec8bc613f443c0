"""SSC-OMP and EnSC on drawings: coefficients, and what the graph's eigenvectors span."""

import numpy as np
from golden.problems import drawings

from mvlib.methods.images.subspace import SSCOMP, EnSC


def fitted(method, **settings):
    def run():
        model = method(6, random_state=0, **settings).fit(drawings(120))
        sizes = np.abs(model.coefficients_.toarray())
        # Eigenvectors turn with the processor; the inner products of their rows do not.
        spanned = model.embedding_ @ model.embedding_.T
        return {"coefficients": sizes.sum(axis=1), "spanned": spanned.mean(axis=1)}

    return run


CASES = {
    "subspace": {
        "pursuit": fitted(SSCOMP, n_nonzero=4),
        "elastic net": fitted(EnSC, gamma=20.0),
    }
}
