"""The training loop of clustering heads: TAC's and SIC's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from mvlib._validation import check_number
from mvlib.methods.clustering_heads import assignments, clustering_head
from mvlib.methods.training import batches
from mvlib.ops import resolve_device

Rows = torch.Tensor | slice
Step = Callable[[nn.ModuleList, Rows, torch.Generator], list[torch.Tensor]]


def check_training(model: Any) -> None:
    """Check what `train_heads` reads of an estimator.

    Raises
    ------
    ValueError
        If one of its parameters is out of range.
    """
    for name in ("hidden_dim", "n_neighbors", "epochs"):
        check_number(name, getattr(model, name), low=1, integer=True)
    # Batch normalisation takes no batch of one.
    check_number("batch_size", model.batch_size, low=2, integer=True)
    check_number("learning_rate", model.learning_rate, low=0, open_low=True)
    check_number("entropy_weight", model.entropy_weight, low=0)
    if model.random_state is not None:
        check_number("random_state", model.random_state, low=0, integer=True)


def train_heads(
    model: Any,
    step: Step,
    parts: Sequence[str],
    n_heads: int,
    n_train: int,
    X: np.ndarray,
    betas: tuple[float, float],
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Train heads by Adam and return what the first one makes of the images.

    Parameters
    ----------
    model : estimator
        Read: `n_clusters`, `hidden_dim`, `epochs`, `batch_size`, `learning_rate`, `device`,
        `random_state`.
    step : callable
        From the heads, the rows of a batch and a generator to the loss and its parts.
    parts : sequence of str
        Names of the parts.
    n_heads : int
        How many heads.
    n_train : int
        Number of train images.
    X : ndarray of shape (n_samples, n_features), float32
        What to cluster after every epoch.
    betas : tuple of float
        Of Adam.

    Returns
    -------
    P : ndarray of shape (n_samples, n_clusters), float32
        Assignments after the last epoch.
    history : dict of str to ndarray
        "loss" and the parts, means over the batches of each epoch, and "labels" of shape
        (epochs, n_samples).

    Raises
    ------
    FloatingPointError
        If the loss stops being finite.
    """
    seed = model.random_state
    if seed is None:
        seed = int(np.random.SeedSequence().generate_state(1)[0])
    generator = torch.Generator().manual_seed(seed)
    device = resolve_device(model.device)
    # The heads' first weights come from torch's global generator: leave it as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        heads = nn.ModuleList(
            clustering_head(X.shape[1], model.n_clusters, model.hidden_dim)
            for _ in range(n_heads)
        ).to(device)
    optimizer = torch.optim.Adam(heads.parameters(), lr=model.learning_rate, betas=betas)
    images = torch.from_numpy(X).to(device)
    history: dict[str, list] = {name: [] for name in ("loss", *parts, "labels")}
    name = type(model).__name__
    for epoch in tqdm(range(model.epochs), desc=name, disable=None, leave=False):
        heads.train()
        totals = np.zeros(1 + len(parts))
        for rows in batches(n_train, model.batch_size, generator):
            losses = step(heads, rows, generator)
            optimizer.zero_grad(set_to_none=True)
            losses[0].backward()
            optimizer.step()
            size = n_train if isinstance(rows, slice) else len(rows)
            totals += size / n_train * torch.stack(losses).detach().cpu().numpy()
        if not np.isfinite(totals).all():
            raise FloatingPointError(
                f"the loss is {totals[0]} in epoch {epoch}: lower learning_rate "
                f"({model.learning_rate})"
            )
        for part, value in zip(("loss", *parts), totals, strict=True):
            history[part].append(value)
        P = assignments(heads[0], images)
        history["labels"].append(P.argmax(axis=1))
    return P, {part: np.stack(values) for part, values in history.items()}
