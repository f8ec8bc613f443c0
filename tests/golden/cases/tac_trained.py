"""TAC with training: the losses of its first epochs and what its heads say after them."""

from functools import partial

from golden.harness import Case
from golden.problems import drawings, nouns

from mvlib.methods import TrainedTAC

SMALL = {"epochs": 3, "batch_size": 64, "n_neighbors": 10, "random_state": 0, "device": "cpu"}


def fit(train=slice(None), **parameters):
    model = TrainedTAC(6, **SMALL | parameters).fit(drawings(), nouns()[0], drawings()[train])
    losses = ("loss", "distillation", "consistency", "entropy", "kept")
    return {**{name: model.history_[name] for name in losses}, "embedding": model.embedding_}


CASES = {
    name: Case(
        run,
        relative=5e-2,
        only=("embedding",),
        why="Adam's first steps follow the sign of gradients near 0, which rounding decides",
    )
    for name, run in {
        "as the authors": fit,
        "float16": partial(fit, precision="float16"),
        "k-means++": partial(fit, kmeans="k-means++"),
        "one batch": partial(fit, batch_size=240),
        "settings of the large sets": partial(fit, distillation_temperature=5.0),
        "narrow heads": partial(fit, hidden_dim=16),
        "without entropy": partial(fit, entropy_weight=0.0),
        "faster": partial(fit, learning_rate=1e-2, random_state=3),
        "trained on half of the images": partial(fit, train=slice(0, None, 2)),
    }.items()
}
