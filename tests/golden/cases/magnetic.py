"""The magnetic phase ablation at small size: eigenvalues, and the sizes of both parts."""

import numpy as np
from golden.problems import digits

from mvlib.methods.neighbours.magnetic import MagneticPhaseAblation


def fitted(**settings):
    def run():
        model = MagneticPhaseAblation(10, random_state=3, **settings).fit(digits())
        parts = np.split(model.embedding_.astype(np.float64), 2, axis=1)
        sizes = {name: np.abs(part).sum(axis=0) for name, part in zip("ri", parts, strict=True)}
        return {"eigenvalues": model.eigenvalues_, "real": sizes["r"], "imaginary": sizes["i"]}

    return run


CASES = {
    "magnetic": {
        "a quarter turn": fitted(),
        "an eighth of a turn, five neighbours": fitted(phase_scale=np.pi / 4, n_neighbors=5),
        "half a turn": fitted(phase_scale=np.pi),
    }
}
