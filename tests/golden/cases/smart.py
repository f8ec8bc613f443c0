"""SMART at small size: losses, thresholds, embedding and clusterings by setting."""

from golden.harness import Case
from golden.problems import digits, half_shuffled, some

from mvlib import SMART

SETTINGS = {
    "embedding_dim": 8, "hidden_dims": (32, 32), "epochs": 4, "batch_size": 64,
    "learning_rate": 1e-3, "random_state": 3, "device": "cpu",
}  # fmt: skip
ORDER = "the processor chooses the order of sums, which standardising the rows enlarges"
BFLOAT16 = "products in bfloat16 are rounded in an order that the processor chooses"


def fitted(n_aligned=80, n_views=2, **settings):
    def run():
        views, aligned = half_shuffled(n_aligned)
        views = [*views, views[0][:, ::3]][:n_views]
        model = SMART(10, **SETTINGS | settings).fit(views, aligned=aligned)
        losses = ("loss", "reconstruction", "distribution_alignment", "semantic_matching")
        return {
            **{name: model.history_[name] for name in (*losses, "threshold")},
            "embedding": model.embedding_,
        }

    return run


def held(**settings):
    return Case(fitted(**settings), 1e-3, ORDER, only=("embedding",))


def clusterings():
    model = SMART(
        10, **SETTINGS, track=("eval", "train"), track_starts=[("authors", 1), ("draws", 5)]
    )
    model.fit(digits(), aligned=some(160, 80))
    names = [name for name in model.history_ if name.startswith("labels")]
    return {name: model.history_[name][0] for name in names}


CASES = {
    "smart": {
        "half aligned": held(),
        "all aligned": held(n_aligned=160),
        "five aligned in all": held(n_aligned=5),
        "three views": held(n_views=3),
        "bfloat16": Case(fitted(precision="bfloat16"), 2e-2, BFLOAT16),
        "features in training mode": held(features="train"),
        "one batch": held(batch_size=160),
        "graph in batches": held(graph_batch_size=50),
        "threshold mean": held(threshold="mean"),
        "threshold mean-2std": held(threshold="mean-2std"),
        "threshold percentile-16": held(threshold="percentile-16"),
        "threshold nearest-5": held(threshold="nearest-5"),
        "threshold 0.9": held(threshold=0.9),
        "diagonal only": held(vda_terms=("diagonal",)),
        "structure only": held(vda_terms=("structure",)),
        "weights of MNIST-USPS": held(lambda1=30.0, lambda2=10.0, temperature=0.8),
        "without L_vda": held(lambda1=0.0),
        "without L_smc": held(lambda2=0.0),
        "clusterings of the first epoch": clusterings,
    }
}
