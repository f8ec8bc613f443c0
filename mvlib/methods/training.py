"""The training loop of methods that learn by gradient."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from mvlib.check import RandomState, resolve_seed


def run(
    epochs: int,
    batches: Callable[[], Iterable[Any]],
    step: Callable[[Any], Mapping[str, torch.Tensor]],
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    parts: Sequence[str] = (),
    share: Callable[[Any], float] = lambda batch: 1,
    after_epoch: Callable[[int, dict[str, float]], Mapping[str, Any]] | None = None,
    name: str = "",
    verbose: bool | None = None,
) -> dict[str, np.ndarray]:
    """Lower a loss batch by batch; return for each epoch the mean of "loss" and of `parts`.

    `batches` gives the batches of an epoch, and `step` takes one to its losses, Tensors of
    shape (): "loss", which is minimised, and `parts` beside it. A part that a batch does not
    have makes the epoch's mean NaN. `share` says what a batch counts in the means; by default
    each the same. `after_epoch` takes the epoch's number, from 0, and its means, and gives what
    else to record. The network is in training mode at the start of each epoch. `verbose` is
    that of `progress`.
    """
    names = ("loss", *parts)
    history: dict[str, list] = {}
    for epoch in progress(epochs, name, verbose):
        network.train()
        totals, weight = torch.zeros(()), 0.0
        for batch in batches():
            losses = step(batch)
            optimizer.zero_grad(set_to_none=True)
            losses["loss"].backward()
            optimizer.step()
            missing = torch.full_like(losses["loss"], torch.nan)
            values = torch.stack([losses.get(part, missing).detach().float() for part in names])
            totals, weight = totals + share(batch) * values, weight + share(batch)
        means = dict(zip(names, (totals / weight).tolist(), strict=True))
        if not np.isfinite(means["loss"]):
            raise FloatingPointError(
                f"the loss is {means['loss']} in epoch {epoch}: lower learning_rate "
                f"({optimizer.param_groups[-1]['lr']}) or check the scale of the input"
            )
        more = after_epoch(epoch, means) if after_epoch else {}
        for part, value in (means | dict(more)).items():
            history.setdefault(part, []).append(value)
    return {part: np.asarray(values) for part, values in history.items()}


def train(
    model: Any,
    batches: Callable[[], Iterable[Any]],
    step: Callable[[Any], Mapping[str, torch.Tensor]],
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    epochs: int | None = None,
    **more: Any,
) -> dict[str, np.ndarray]:
    """`run` the epochs of a model, under its name and as `verbose` as it is."""
    more |= {"name": type(model).__name__, "verbose": model.verbose}
    epochs = model.epochs if epochs is None else epochs
    return run(epochs, batches, step, network, optimizer, **more)


def progress(epochs: int, name: str, verbose: bool | None = None) -> Iterable[int]:
    """Yield the epochs beside a bar: on a terminal alone, or by `verbose` always or never."""
    if verbose:
        # A bar of a notebook's own, where it has widgets.
        from tqdm.auto import tqdm as bar

        return bar(range(epochs), desc=name, leave=False)
    return tqdm(
        range(epochs), desc=name, leave=False, disable=None if verbose is None else True
    )


# First weights and dropout come from torch's global generator, which threads share.
_GLOBAL_GENERATOR = threading.RLock()


@contextmanager
def seeded(random_state: RandomState, device: torch.device) -> Iterator[torch.Generator]:
    """Seed torch's global generators, which first weights and dropout are drawn from.

    They are as before afterwards, and no other thread is in such a section meanwhile. Yields
    a generator of the same seed, on the CPU, for draws that shall be the same on every device.
    """
    seed = resolve_seed(random_state)
    devices = [device] if device.type == "cuda" else []
    with _GLOBAL_GENERATOR, torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)


def batches(
    n_samples: int, batch_size: int, generator: torch.Generator
) -> list[torch.Tensor | slice]:
    """Split the rows of an epoch into batches, shuffled unless there is only one.

    A last batch of one row, which batch normalisation cannot take, joins the one before.
    """
    if batch_size >= n_samples:
        return [slice(0, n_samples)]
    parts = list(torch.randperm(n_samples, generator=generator).split(batch_size))
    if len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts
