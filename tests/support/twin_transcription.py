"""Slow transcriptions that the tests of the momentum twins share, and their small settings."""

import numpy as np
import torch
from problem_stand_ins import groups

SMALL = {
    "hidden_dims": (16, 12), "embedding_dim": 4, "epochs": 3, "batch_size": 16,
    "learning_rate": 1e-2, "random_state": 0, "device": "cpu",
}  # fmt: skip
XS, _ = groups(39, (6, 7), 3, spread=4)


def tensors(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [torch.tensor(rng.normal(size=shape)) for shape in shapes]


def slow_cosines(A, B):
    return np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in B] for a in A])


def slow_affinity(A, B, t):
    squared = [[max(2 - 2 * c, 0) for c in row] for row in slow_cosines(A, B)]
    return np.exp(-np.array(squared) / t)
