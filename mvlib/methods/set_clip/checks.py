"""Checks of Set-CLIP's parameters and of raw input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from mvlib._validation import check_choice, check_number
from mvlib.methods.set_clip.discrepancy import NINETEEN_BANDWIDTHS
from mvlib.methods.set_clip.network import AUGMENTATIONS, HEADS
from mvlib.methods.set_clip.objective import PARTS, Objective
from mvlib.methods.set_clip.sampling import SAMPLINGS
from mvlib.methods.set_clip.settings import PAPER_SETTINGS

if TYPE_CHECKING:
    from mvlib.methods.set_clip.estimator import SetCLIP


def check_parameters(model: SetCLIP) -> None:
    """Check everything that `SetCLIP.__init__` took, before any work is done.

    Raises
    ------
    ValueError
        If a parameter is of the wrong kind or out of range.
    """
    check_number("batch_size", model.batch_size, low=4, integer=True)
    for name in ("n_epochs", "embedding_dim"):
        check_number(name, getattr(model, name), low=1, integer=True)
    check_number("patience", model.patience, low=0, integer=True)
    if model.pairs_per_batch is not None:
        check_number("pairs_per_batch", model.pairs_per_batch, low=1, integer=True)
    positive = ("temperature", "learning_rate", "encoder_learning_rate", "density_bandwidth")
    for name in positive:
        check_number(name, getattr(model, name), low=0, open_low=True)
    for name in ("weight_decay", "augmentation_strength"):
        check_number(name, getattr(model, name), low=0)
    check_number("factor", model.factor, low=0, high=1, open_low=True)
    check_number("dropout", model.dropout, low=0, high=0.99)
    check_choice("sampling", model.sampling, SAMPLINGS)
    check_choice("plateau", model.plateau, ("epoch", "last_batch"))
    for head in by_modality("heads", model.heads):
        if not isinstance(head, nn.Module):
            check_choice("heads", head, HEADS)
    for augmentation in by_modality("augmentation", model.augmentation):
        if not callable(augmentation):
            check_choice("augmentation", augmentation, AUGMENTATIONS)
        if augmentation == "dropout":
            check_number("augmentation_strength", model.augmentation_strength, high=0.99)
    for encoder in by_modality("encoders", model.encoders):
        if encoder is not None and not isinstance(encoder, nn.Module):
            raise ValueError(f"encoders holds {encoder!r}: expected torch modules or None")


def by_modality(argument: str, value: Any) -> tuple[Any, Any]:
    """Return a parameter as a pair, one entry a modality.

    Raises
    ------
    ValueError
        If it is a sequence of another length.
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) != 2:
            raise ValueError(f"{argument} has {len(value)} entries: expected one a modality")
        return value[0], value[1]
    return value, value


def objective(model: SetCLIP) -> Objective:
    """Return the losses and weights that a model's parameters name.

    Raises
    ------
    ValueError
        If a weight is unknown, negative, or all are 0, or the bandwidths are unknown.
    """
    named = PAPER_SETTINGS["vit"]["weights"] if model.weights is None else model.weights
    if not isinstance(named, Mapping):
        raise ValueError(f"weights={named!r}: expected a mapping from {', '.join(PARTS)}")
    for name, weight in named.items():
        check_choice("weights", name, PARTS)
        check_number(f"weights[{name!r}]", weight, low=0)
    weights = {part: float(named.get(part, 0)) for part in PARTS}
    if not any(weights.values()):
        raise ValueError("weights has none above 0: expected a loss to minimise")
    widths = model.mmd_bandwidths
    if isinstance(widths, str):
        check_choice("mmd_bandwidths", widths, ("nineteen",))
        widths = NINETEEN_BANDWIDTHS
    widths = (widths,) if isinstance(widths, int | float) else tuple(widths)
    for width in widths:
        check_number("mmd_bandwidths", width, low=0, open_low=True)
    if not widths:
        raise ValueError("mmd_bandwidths is empty: expected at least one")
    return Objective(
        weights,
        model.temperature,
        model.density_bandwidth,
        bool(model.normalized_density),
        widths,
    )


def check_raw(X: Any, argument: str) -> np.ndarray:
    """Return what an encoder is to read: floats as float32, whole numbers as int64.

    Raises
    ------
    ValueError
        If it is not numeric, has fewer than two axes, is empty or not finite.
    """
    rows = np.asarray(X)
    if rows.dtype.kind not in "fiub" or rows.ndim < 2 or 0 in rows.shape:
        raise ValueError(
            f"{argument} has shape {rows.shape} and dtype {rows.dtype}: expected numbers, "
            "(n_samples, ...), none of the axes empty"
        )
    if rows.dtype.kind != "f":
        return rows.astype(np.int64)
    if not np.isfinite(rows).all():
        raise ValueError(f"{argument} holds NaN or infinity: expected finite numbers")
    return rows.astype(np.float32)
