"""TURTLE: the losses of its first steps, and the labels' probabilities."""

from functools import partial

from golden.problems import drawings

from mvlib.methods import TURTLE

SMALL = {"outer_steps": 20, "learning_rate": 1e-2, "random_state": 0, "device": "cpu"}


def fit(train=slice(None), **parameters):
    model = TURTLE(6, **SMALL | parameters).fit(drawings(), None, drawings()[train])
    kept = ("loss", "cross_entropy", "entropy", "confidence")
    return {name: model.history_[name] for name in kept} | {"embedding": model.embedding_}


CASES = {
    "turtle": {
        "one space": fit,
        "two spaces": partial(fit, widths=(56, 200)),
        "samples of 100": partial(fit, batch_size=100),
        "gamma 1": partial(fit, gamma=1.0),
        "trained on half of the images": partial(fit, train=slice(0, None, 2)),
    }
}
