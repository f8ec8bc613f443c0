"""Set-CLIP's networks: an encoder or none, a scale and a projection head a modality."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mvlib.check import as_numbers

HEADS = ("residual", "linear")
AUGMENTATIONS = ("dropout", "noise", "none")
Augmentation = str | Callable[[torch.Tensor, torch.Generator], torch.Tensor]


class ProjectionHead(nn.Module):
    """Linear, GELU, Linear, dropout, residual, LayerNorm; as in the authors' code."""

    def __init__(self, n_features: int, embedding_dim: int = 256, dropout: float = 0.1):
        super().__init__()
        self.projection = nn.Linear(n_features, embedding_dim)
        self.layer = nn.Linear(embedding_dim, embedding_dim)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(embedding_dim)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return projections (n_samples, embedding_dim) of features."""
        projected = self.projection(features)
        return self.norm(projected + self.dropout(self.layer(F.gelu(projected))))


class Branch(nn.Module):
    """One modality's way into the shared space.

    An encoder maps raw rows to features; without one the rows are features, which are centred
    on the mean of `sample` and divided by one number, their root mean square. The head is the
    paper's, "linear" (dropout and a linear map), or a module. Modules are copied, not changed.
    """

    center: torch.Tensor
    size: torch.Tensor

    def __init__(
        self,
        encoder: nn.Module | None,
        sample: torch.Tensor,
        head: str | nn.Module,
        embedding_dim: int,
        dropout: float,
    ):
        super().__init__()
        self.encoder = encoder
        if encoder is None:
            center = sample.mean(dim=0)
            size = (sample - center).square().mean().sqrt()
            size = torch.where(size > 0, size, torch.ones_like(size))
            width = sample.shape[1]
        else:
            center, size = torch.zeros(()), torch.ones(())
            self.encoder = copy.deepcopy(encoder).to(sample.device)
            with torch.no_grad():
                features = self.encoder.eval()(sample[:2])
            if features.ndim != 2:
                raise ValueError(
                    f"encoders gives features of shape {tuple(features.shape)} for 2 rows: "
                    "expected (2, n_features)"
                )
            width = features.shape[1]
        self.register_buffer("center", center)
        self.register_buffer("size", size)
        if isinstance(head, nn.Module):
            self.head = copy.deepcopy(head)
        elif head == "linear":
            self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, embedding_dim))
        else:
            self.head = ProjectionHead(width, embedding_dim, dropout)

    def features(self, rows: torch.Tensor) -> torch.Tensor:
        """Return what the head reads of raw rows."""
        if self.encoder is not None:
            return self.encoder(rows).float()
        return (rows - self.center) / self.size

    def project(self, features: torch.Tensor) -> torch.Tensor:
        """Return embeddings of unit length, float32."""
        return F.normalize(self.head(features).float(), dim=1)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return embeddings (n_samples, embedding_dim) of raw rows."""
        return self.project(self.features(rows))

    def two_views(
        self,
        rows: torch.Tensor,
        augmentation: Augmentation,
        strength: float,
        generator: torch.Generator,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return embeddings of the rows, and of a second view of each.

        The names of augmentations change features: a share of them, `strength`, set to 0, the
        others raised to keep the mean; Gaussian noise, `strength` times the features' own
        deviation; nothing, so that only the network's own dropout tells the views apart. A
        callable takes raw rows and a generator, on the CPU, to other raw rows.
        """
        if callable(augmentation):
            features = self.features(torch.cat([rows, augmentation(rows, generator)]))
        elif augmentation == "none" and self.encoder is not None:
            features = self.features(torch.cat([rows, rows]))
        else:
            clean = self.features(rows)
            features = torch.cat([clean, _changed(clean, augmentation, strength)])
        view_1, view_2 = self.project(features).chunk(2)
        return view_1, view_2


def _changed(features: torch.Tensor, augmentation: str, strength: float) -> torch.Tensor:
    if augmentation == "dropout":
        return F.dropout(features, strength)
    if augmentation == "noise":
        return features + strength * features.detach().std() * torch.randn_like(features)
    return features


def raw_rows(X: Any, argument: str) -> np.ndarray:
    """Return what an encoder is to read: floats as float32, whole numbers as int64."""
    rows = as_numbers(X, argument)
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
