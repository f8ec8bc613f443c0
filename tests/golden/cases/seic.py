"""SEIC's first stage: its candidates and the losses of its first epochs."""

from functools import partial

from golden.harness import Case
from golden.problems import drawings, nouns

from mvlib.methods import SEIC

SMALL = {
    "n_nearest": 20, "top": 10, "epochs": 3, "batch_size": 64, "random_state": 0,
    "device": "cpu",
}  # fmt: skip


def fit(train=slice(None), **parameters):
    model = SEIC(6, **SMALL | parameters).fit(drawings(), nouns()[0], drawings()[train])
    kept = ("loss", "instance", "assignment", "centre", "balance", "kept", "sizes")
    return {name: model.history_[name] for name in kept} | {"embedding": model.embedding_}


CASES = {
    "seic": {
        name: Case(
            run,
            relative=5e-2,
            only=("embedding", "centre"),
            why="Adam's first steps follow the sign of gradients near 0, as rounding decides",
        )
        for name, run in {
            "by default": fit,
            "temperatures of Aircraft": partial(fit, temperature=0.02),
            "narrow": partial(fit, hidden_dim=16),
            "trained on half of the images": partial(fit, train=slice(0, None, 2)),
        }.items()
    }
}
