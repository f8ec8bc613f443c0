"""SMART at small size: losses, thresholds, embedding and clusterings by setting."""

from golden.harness import Case
from golden.problems import digits, half_shuffled, some

from mvlib import SMART

SETTINGS = {
    "embedding_dim": 8, "hidden_dims": (32, 32), "epochs": 4, "batch_size": 64,
    "learning_rate": 1e-3, "random_state": 3, "device": "cpu",
}  # fmt: skip
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


def clusterings():
    model = SMART(
        10, **SETTINGS, track=("eval", "train"), track_starts=[("authors", 1), ("draws", 5)]
    )
    model.fit(digits(), aligned=some(160, 80))
    names = [name for name in model.history_ if name.startswith("labels")]
    return {name: model.history_[name][0] for name in names}


CASES = {
    "smart": {
        "half aligned": fitted(),
        "all aligned": fitted(n_aligned=160),
        "five aligned in all": fitted(n_aligned=5),
        "three views": fitted(n_views=3),
        "bfloat16": Case(fitted(precision="bfloat16"), 2e-2, BFLOAT16),
        "features in training mode": fitted(features="train"),
        "one batch": fitted(batch_size=160),
        "graph in batches": fitted(graph_batch_size=50),
        "threshold mean": fitted(threshold="mean"),
        "threshold mean-2std": fitted(threshold="mean-2std"),
        "threshold percentile-16": fitted(threshold="percentile-16"),
        "threshold nearest-5": fitted(threshold="nearest-5"),
        "threshold 0.9": fitted(threshold=0.9),
        "diagonal only": fitted(vda_terms=("diagonal",)),
        "structure only": fitted(vda_terms=("structure",)),
        "weights of MNIST-USPS": fitted(lambda1=30.0, lambda2=10.0, temperature=0.8),
        "without L_vda": fitted(lambda1=0.0),
        "without L_smc": fitted(lambda2=0.0),
        "clusterings of the first epoch": clusterings,
    }
}
