"""MAGIC after VLM4Cluster: the losses of its first epochs."""

from functools import partial

from golden.harness import Case
from golden.problems import drawings, nouns

from mvlib.methods import MAGIC

SMALL = {
    "epochs": 3, "batch_size": 64, "n_neighbors": 10, "n_centers": 8, "random_state": 0,
    "hidden_dim": 32, "learning_rate": 1e-2, "device": "cpu",
}  # fmt: skip


def fit(train=slice(None), **parameters):
    model = MAGIC(6, **SMALL | parameters).fit(drawings(), nouns()[0], drawings()[train])
    kept = ("loss", "contrast", "agreement", "entropy", "kept")
    return {name: model.history_[name] for name in kept} | {"embedding": model.embedding_}


CASES = {
    "magic": {
        name: Case(
            run,
            relative=5e-2,
            only=("embedding", "agreement", "loss"),
            why="Adam's first steps follow the sign of gradients near 0, as rounding decides",
        )
        for name, run in {
            "by default": fit,
            "held to the images, one noun": partial(fit, target="images", n_coarse=1),
            "trained on half of the images": partial(fit, train=slice(0, None, 2)),
        }.items()
    }
}
