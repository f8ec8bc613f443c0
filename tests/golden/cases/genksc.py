"""GenKSC's losses at small size: by epoch, with the mean memberships."""

from golden.problems import digits

from mvlib.methods.neighbours.genksc import GenKSC

SETTINGS = {
    "hidden_dims": (32,), "feature_dim": 24, "n_components": 12, "epochs": 3,
    "warmup_epochs": 1, "batch_size": 64, "learning_rate": 1e-3, "random_state": 3,
    "device": "cpu",
}  # fmt: skip


def fitted(**settings):
    def run():
        model = GenKSC(10, **SETTINGS | settings).fit(digits())
        return {**model.history_, "mean of m": model.embedding_.mean(axis=0)}

    return run


CASES = {
    "genksc": {
        "the training program's weights": fitted(),
        "the decoder weighs more": fitted(ksc_weight=0.1, reconstruction_weight=0.9),
        "a strong pull and balance": fitted(clustering_weight=1.0, balance=0.5),
        "view 2": fitted(view=1),
    }
}
