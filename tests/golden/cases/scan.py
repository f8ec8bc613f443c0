"""SCAN's clustering step: the losses of its first epochs, and the choice of head and epoch."""

from functools import partial

from golden.problems import drawings

from mvlib.methods import SCAN

SMALL = {
    "n_neighbors": 10, "epochs": 3, "batch_size": 64, "learning_rate": 1e-2,
    "random_state": 0, "device": "cpu",
}  # fmt: skip


def fit(train=slice(None), **parameters):
    model = SCAN(6, **SMALL | parameters).fit(drawings(), None, drawings()[train])
    kept = ("loss", "consistency", "entropy", "own_loss", "epoch", "head")
    return {name: model.history_[name] for name in kept} | {"embedding": model.embedding_}


CASES = {
    "scan": {
        "one head": fit,
        "three heads": partial(fit, n_heads=3),
        "without entropy": partial(fit, entropy_weight=0.0),
        "trained on half of the images": partial(fit, train=slice(0, None, 2)),
    }
}
