"""TAC's clustering head."""

from __future__ import annotations

from torch import nn


def clustering_head(
    n_features: int, n_clusters: int, hidden_dim: int | None = None
) -> nn.Sequential:
    """Return Linear, batch normalisation, ReLU, Linear, softmax; as wide as the features.

    Both weights start from a normal distribution of standard deviation 0.02, biases as
    PyTorch has them.
    """
    hidden_dim = n_features if hidden_dim is None else hidden_dim
    first, last = nn.Linear(n_features, hidden_dim), nn.Linear(hidden_dim, n_clusters)
    for layer in (first, last):
        # Cut at -2 and 2, a hundred standard deviations away.
        nn.init.trunc_normal_(layer.weight, std=0.02)
    return nn.Sequential(first, nn.BatchNorm1d(hidden_dim), nn.ReLU(), last, nn.Softmax(dim=1))
