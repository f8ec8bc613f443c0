"""CPP and PRO-DSC: the losses of their first steps, and what is spanned by their graphs."""

from functools import partial

import numpy as np
from golden.problems import drawings

from mvlib.methods import CPP, PRODSC

SMALL = {
    "embedding_dim": 16, "body_dim": 32, "training_steps": 12, "warmup_steps": 4,
    "batch_size": 64, "random_state": 0, "device": "cpu",
}  # fmt: skip


def fit(method, train=slice(None), **parameters):
    model = method(6, **SMALL | parameters).fit(drawings(), None, drawings()[train])
    kept = {name: np.nan_to_num(values) for name, values in model.history_.items()}
    # Eigenvectors turn with the processor; the inner products of their rows do not.
    spanned = model.embedding_ @ model.embedding_.T
    return kept | {"features": model.embeddings_[0], "spanned": spanned.mean(axis=1)}


CASES = {
    "cpp": {
        "by default": partial(fit, CPP),
        "without warm-up": partial(fit, CPP, warmup_steps=-1),
        "one half-step": partial(fit, CPP, half_steps=1),
        "trained on half of the images": partial(fit, CPP, train=slice(0, None, 2)),
    },
    "pro_dsc": {
        "by default": partial(fit, PRODSC),
        "five half-steps, without warm-up": partial(fit, PRODSC, half_steps=5, warmup_steps=-1),
    },
}
