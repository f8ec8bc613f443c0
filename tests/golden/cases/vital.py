"""VITAL at small size: losses and mean codes by setting; kept pairs; matchings are MvCLN's."""

import numpy as np
import torch
from golden.problems import half_shuffled

from mvlib.methods.views.vital import VITAL, kept_pairs

SETTINGS = {
    "embedding_dim": 6, "hidden_dims": (32, 32), "epochs": 3, "rectification_epochs": 0,
    "batch_size": 32, "learning_rate": 3e-4, "random_state": 3, "device": "cpu",
}  # fmt: skip


def fitted(n_aligned=80, **settings):
    def run():
        views, aligned = half_shuffled(n_aligned)
        model = VITAL(10, **SETTINGS | settings).fit(views, aligned=aligned)
        return {**model.history_, **means(model, views)}

    return run


@torch.no_grad()
def means(model, views):
    """Embed without the running means, which hang on how the processor rounds."""
    for layer in model.network_.train().modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.eval()
    return {
        f"view {v}": torch.cat(network.codes(torch.tensor(X)), dim=1).mean(dim=0)
        for v, (network, X) in enumerate(zip(model.network_, views, strict=True), start=1)
    }


def pairs():
    rng = np.random.default_rng(0)
    y = np.arange(20) % 4
    near = rng.normal(1.5, 0.2, (20, 20))
    losses = np.where(y[:, None] == y, near, rng.normal(4, 0.5, (20, 20)))
    keep, powers = kept_pairs(losses, 0.1, 0)
    return {"kept": keep.sum(axis=1), "powers": powers}


CASES = {
    "vital": {
        "half aligned": fitted(),
        "all aligned": fitted(n_aligned=160, epochs=2),
        "no dropout, features as they are": fitted(dropout=0.0, unit_features=False),
        "kept pairs": pairs,
    }
}
