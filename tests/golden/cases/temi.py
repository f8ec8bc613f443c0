"""TEMI: the losses of its heads in the first epochs, and the probabilities of the best."""

from functools import partial

from golden.harness import Case
from golden.problems import drawings

from mvlib.methods import TEMI

SMALL = {
    "n_heads": 2, "hidden_dims": (32, 16), "n_neighbors": 10, "epochs": 3, "warmup_epochs": 1,
    "batch_size": 64, "learning_rate": 1e-3, "random_state": 0, "device": "cpu",
}  # fmt: skip


def fit(train=slice(None), **parameters):
    model = TEMI(6, **SMALL | parameters).fit(drawings(), None, drawings()[train])
    kept = ("loss", "head_losses", "head")
    return {name: model.history_[name] for name in kept} | {"embedding": model.embedding_}


CASES = {
    "temi": {
        name: Case(
            run,
            relative=5e-2,
            only=("embedding",),
            why="Adam's first steps follow the sign of gradients near 0, as rounding decides",
        )
        for name, run in {
            "two heads": fit,
            "beta 1": partial(fit, beta=1.0),
            "no warm-up": partial(fit, warmup_epochs=0),
            "trained on half of the images": partial(fit, train=slice(0, None, 2)),
        }.items()
    }
}
