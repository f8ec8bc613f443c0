"""ProtoGCD's head: its loss and labels with known classes and without."""

from functools import partial

import numpy as np
from golden.harness import Case
from golden.problems import drawings

from mvlib.methods import ProtoGCD

SMALL = {
    "epochs": 6, "hard_epochs": 3, "batch_size": 64, "hidden_dim": 32, "random_state": 0,
    "device": "cpu",
}  # fmt: skip


def fit(some_known=True, **parameters):
    n = len(drawings())
    known = np.where(np.arange(n) % 4 == 0, np.arange(n) % 3, -1) if some_known else None
    model = ProtoGCD(6, **SMALL | parameters).fit(drawings(), known=known)
    return dict(model.history_) | {"embedding": model.embedding_}


CASES = {
    "protogcd": {
        "some labels known": Case(fit),
        "nothing known": Case(partial(fit, some_known=False)),
        "other views and weights": Case(
            partial(fit, view_noise=0.2, separation_weight=0.05, label_weight=0.5)
        ),
    }
}
