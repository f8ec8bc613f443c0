"""SIC: its semantic space, the losses of its first epochs, its readings after them."""

from functools import partial

import numpy as np
from golden.problems import drawings, nouns

from mvlib.methods import SIC

SMALL = {
    "n_nearest": 40, "n_texts": 5, "n_neighbors": 10, "epochs": 3, "batch_size": 64,
    "learning_rate": 1e-2, "random_state": 0, "device": "cpu",
}  # fmt: skip


def fit(train=slice(None), **parameters):
    model = SIC(6, **SMALL | parameters).fit(drawings(), nouns()[0], drawings()[train])
    kept = ("loss", "consistency", "entropy", "cross_entropy", "space", "kept", "pseudo_labels")
    return {
        **{name: model.history_[name] for name in kept},
        "embedding": model.embedding_,
        "names": [named["nouns"][0][0] for named in model.cluster_names_ if named["nouns"]],
        "epoch by the labels": model.oracle_epoch(np.arange(240) // 40),
    }


CASES = {
    "sic": {
        "as the authors": fit,
        "float16": partial(fit, precision="float16"),
        "slow": partial(fit, learning_rate=1e-4),
        "settings of ImageNet-Dogs": partial(fit, weight_decay=0.009),
        "half of the images confident": partial(fit, confident_share=0.5),
        "general nouns left out": partial(fit, max_cosine=0.7),
        "without pseudo-labels": partial(fit, label_weight=0.0),
        "without entropy": partial(fit, entropy_weight=0.0),
        "trained on half of the images": partial(fit, train=slice(0, None, 2)),
    }
}
