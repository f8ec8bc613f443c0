"""What the tests of CPP and PRO-DSC share: codes, images, and slow transcriptions."""

import numpy as np
import torch

from mvlib.ops import unit_rows

SMALL = {"embedding_dim": 6, "body_dim": 16, "training_steps": 8, "warmup_steps": 2}
SMALL |= {"batch_size": 20, "random_state": 0, "device": "cpu"}


def drawn(n=9, d=4, seed=0):
    Z = unit_rows(np.random.default_rng(seed).normal(size=(n, d)))
    return torch.tensor(Z, dtype=torch.float64, requires_grad=True)


def planted(n_per_class=20, k=3, width=12, seed=0):
    """Images of k classes, each near its own plane."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(k), n_per_class)
    X = 0.1 * rng.normal(size=(len(y), width))
    for c in range(k):
        rows = np.flatnonzero(y == c)
        X[rows, 2 * c] += 10
        X[rows, 2 * c + 1] += rng.normal(size=len(rows))
    return X.astype(np.float32), y


def plain_sinkhorn(C, eta, half_steps):
    """B times the plan; rows, columns, rows, ... brought to sums of 1/B; and its potentials."""
    B = len(C)
    K = np.array([[np.exp(abs(a @ b) / eta) for b in C] for a in C])
    u, v = np.ones(B), np.ones(B)
    for half in range(half_steps):
        if half % 2 == 0:
            u = np.array([1 / B / sum(K[i] * v) for i in range(B)])
        else:
            v = np.array([1 / B / sum(K[:, j] * u) for j in range(B)])
    return B * u[:, None] * K * v, np.log(v)


def plain_rate(Z, epsilon):
    m, d = Z.shape
    S = np.eye(d) + d / (m * epsilon) * sum(np.outer(z, z) for z in Z)
    return np.linalg.slogdet(S)[1] / 2
