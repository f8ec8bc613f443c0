"""SSCC's loss on views at small size: losses by epoch, and the mean assignments."""

from golden.problems import digits

from mvlib.methods.neighbours.sscc import SSCCViews

SETTINGS = {
    "hidden_dims": (32, 16), "epochs": 3, "batch_size": 64, "learning_rate": 1e-3,
    "random_state": 3, "device": "cpu",
}  # fmt: skip


def fitted(**settings):
    def run():
        model = SSCCViews(10, **SETTINGS | settings).fit(digits())
        return {**model.history_, "mean of P": model.embedding_.mean(axis=0)}

    return run


CASES = {
    "sscc": {
        "as coded": fitted(),
        "rows weigh more": fitted(contrast_weight=0.5, temperature=0.2),
        "other clusters weigh more": fitted(off_diagonal=0.5),
    }
}
