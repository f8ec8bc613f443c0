"""The training loop of clustering heads: TAC's and SIC's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from mvlib.check import check_number
from mvlib.methods.clustering_heads import assignments
from mvlib.ops import resolve_device

Step = Callable[[nn.ModuleList, torch.Tensor, torch.Generator], list[torch.Tensor]]


def check_training(model: Any, smallest_batch: int = 1) -> None:
    """Check what `train_heads` reads of an estimator.

    Raises
    ------
    ValueError
        If one of its parameters is out of range.
    """
    for name in ("n_neighbors", "epochs"):
        check_number(name, getattr(model, name), low=1, integer=True)
    check_number("batch_size", model.batch_size, low=smallest_batch, integer=True)
    check_number("learning_rate", model.learning_rate, low=0, open_low=True)
    check_number("entropy_weight", model.entropy_weight, low=0)
    if model.random_state is not None:
        check_number("random_state", model.random_state, low=0, integer=True)


def train_heads(
    model: Any,
    make_heads: Callable[[], list[nn.Module]],
    step: Step,
    parts: Sequence[str],
    n_train: int,
    X: np.ndarray,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.0,
    drop_last: bool = False,
    before_epoch: Callable[[nn.ModuleList], None] | None = None,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Train heads by Adam and return what the first one makes of the images.

    Parameters
    ----------
    model : estimator
        Read: `epochs`, `batch_size`, `learning_rate`, `device`, `random_state`.
    make_heads : callable
        Makes the heads.
    step : callable
        From the heads, the rows of a batch and a generator to the loss and its parts.
    parts : sequence of str
        Names of the parts.
    n_train : int
        Number of train images.
    X : ndarray of shape (n_samples, n_features), float32
        What to cluster after every epoch.
    betas : tuple of float, default=(0.9, 0.999)
        Of Adam.
    weight_decay : float, default=0.0
        Of Adam: added to the gradient.
    drop_last : bool, default=False
        Whether a last batch that is not full is left out.
    before_epoch : callable, optional
        Called with the heads, in evaluation mode and without gradients.

    Returns
    -------
    P : ndarray of shape (n_samples, n_clusters), float32
        Assignments after the last epoch.
    history : dict of str to ndarray
        "loss" and the parts, means over the rows of each epoch, and "labels" of shape
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
        heads = nn.ModuleList(make_heads()).to(device)
    optimizer = torch.optim.Adam(
        heads.parameters(), lr=model.learning_rate, betas=betas, weight_decay=weight_decay
    )
    images = torch.from_numpy(X).to(device)
    n_used = n_train - n_train % model.batch_size if drop_last else n_train
    history: dict[str, list] = {name: [] for name in ("loss", *parts, "labels")}
    name = type(model).__name__
    for epoch in tqdm(range(model.epochs), desc=name, disable=None, leave=False):
        if before_epoch is not None:
            with torch.no_grad():
                before_epoch(heads.eval())
        heads.train()
        totals = np.zeros(1 + len(parts))
        order = torch.randperm(n_train, generator=generator)[:n_used]
        for rows in order.split(model.batch_size):
            losses = step(heads, rows, generator)
            optimizer.zero_grad(set_to_none=True)
            losses[0].backward()
            optimizer.step()
            totals += len(rows) / n_used * torch.stack(losses).detach().cpu().numpy()
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
