"""What clustering heads on features share: training, batches, neighbours, probabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mvlib.methods.training import train
from mvlib.ops import resolve_device
from mvlib.ops.adam import Adam


def train_heads(
    model: Any,
    heads: nn.ModuleList,
    X: np.ndarray,
    batches: Callable[[], Sequence[torch.Tensor]],
    step: Callable[[torch.Tensor], Mapping[str, torch.Tensor]],
    parts: Sequence[str],
    **adam: Any,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Train heads by Adam; return the first one's probabilities of images, and the history.

    The history has "loss" and the parts, means over the rows of each epoch, and "labels" of
    shape (epochs, n_samples).
    """
    optimizer = Adam(heads.parameters(), lr=model.learning_rate, **adam)
    images = torch.from_numpy(X).to(resolve_device(model.device))

    def after_epoch(_: int, __: dict[str, float]) -> dict[str, np.ndarray]:
        return {"labels": assignments(heads[0], images).argmax(axis=1)}

    history = train(
        model, batches, step, heads, optimizer, parts=parts, share=len, after_epoch=after_epoch
    )
    return assignments(heads[0], images), history


@torch.no_grad()
def assignments(
    head: nn.Module, X: torch.Tensor | np.ndarray, block_rows: int = 8192
) -> np.ndarray:
    """Return a head's probabilities in evaluation mode; the head stays in that mode."""
    head.eval()
    X = torch.as_tensor(X, device=next(head.parameters()).device)
    return torch.cat([head(block) for block in X.split(block_rows)]).cpu().numpy()


class WeightNormLinear(nn.Linear):
    """A linear layer of gains times directions, both learnt, which starts as a plain one."""

    def __init__(self, in_features: int, out_features: int, *, bias: bool) -> None:
        super().__init__(in_features, out_features, bias=bias)
        self.gain = nn.Parameter(self.weight.detach().norm(dim=1, keepdim=True))

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Return the products with the rows."""
        return F.linear(X, self.gain * F.normalize(self.weight, dim=1), self.bias)


def check_batch_size(batch_size: int, n_train: int) -> None:
    """Raise unless the train images fill a batch, where short ones are dropped."""
    if batch_size > n_train:
        raise ValueError(
            f"batch_size={batch_size} is more than the {n_train} train images: expected at "
            "most as many, since a short batch is dropped and nothing would be trained"
        )


def full_batches(
    n_samples: int, batch_size: int, generator: torch.Generator
) -> list[torch.Tensor]:
    """Return the shuffled rows in batches; the last is dropped if it is short."""
    order = torch.randperm(n_samples, generator=generator)
    return list(order[: n_samples - n_samples % batch_size].split(batch_size))


def draw_neighbours(neighbours: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return one of each row's neighbours, (n_samples, n_neighbors), at random."""
    n_samples, n_neighbors = neighbours.shape
    drawn = torch.randint(n_neighbors, (n_samples, 1), generator=generator)
    return neighbours.gather(1, drawn).squeeze(1)
