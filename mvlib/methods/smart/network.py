"""SMART's networks: an auto-encoder a view and one projector for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mvlib.ops.device import autocast


class XavierLinear(nn.Linear):
    """A linear layer whose first weights are Xavier's (uniform), and whose biases are 0."""

    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.weight)
        nn.init.zeros_(self.bias)


# By the names of SMART's parameter `weight_init`.
LINEAR = {"torch": nn.Linear, "xavier": XavierLinear}


def _layers(widths: Sequence[int], weight_init: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, (width_in, width_out) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
        layers.append(LINEAR[weight_init](width_in, width_out))
        if i < len(widths) - 2:
            layers += [nn.BatchNorm1d(width_out), nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*layers)


class AutoEncoder(nn.Module):
    """Fully connected auto-encoder of one view, the decoder mirrored.

    Batch normalisation and LeakyReLU(0.2) follow every layer but the last of each half; the
    embedding is not normalised. As in the authors' code, where `hidden_dims` are (2000,) * 3.
    First weights are as torch draws them, or Xavier's.
    """

    def __init__(
        self,
        n_features: int,
        hidden_dims: Sequence[int],
        embedding_dim: int,
        weight_init: str = "torch",
    ):
        super().__init__()
        widths = [n_features, *hidden_dims, embedding_dim]
        self.encoder = _layers(widths, weight_init)
        self.decoder = _layers(widths[::-1], weight_init)

    def forward(self, X: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return embeddings Z (n_samples, embedding_dim) and reconstructions X^ of a batch."""
        Z = self.encoder(X)
        return Z, self.decoder(Z)


class SMARTNetwork(nn.Module):
    """The auto-encoders of all views and the linear projector they share."""

    # A list of `AutoEncoder`, as torch's types cannot say.
    autoencoders: Any

    def __init__(
        self,
        n_features: Sequence[int],
        hidden_dims: Sequence[int],
        embedding_dim: int,
        weight_init: str = "torch",
    ):
        super().__init__()
        self.autoencoders = nn.ModuleList(
            AutoEncoder(width, hidden_dims, embedding_dim, weight_init) for width in n_features
        )
        self.projector = LINEAR[weight_init](embedding_dim, embedding_dim)

    def forward(
        self, Xs: Sequence[torch.Tensor]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
        """Return embeddings Z, reconstructions X^ and projections H of a batch.

        A tensor a view, all float32; rows of H have unit length.
        """
        both = [encoder(X) for encoder, X in zip(self.autoencoders, Xs, strict=True)]
        Zs = [Z for Z, _ in both]
        return (
            [Z.float() for Z in Zs],
            [X_hat.float() for _, X_hat in both],
            [self.project(Z) for Z in Zs],
        )

    def project(self, Z: torch.Tensor) -> torch.Tensor:
        """Return H: the projector's output, rows scaled to unit length, float32."""
        return F.normalize(self.projector(Z).float(), dim=1)

    def embed(
        self, Xs: Sequence[torch.Tensor]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return embeddings Z and projections H, without the decoders' work."""
        Zs = [encoder.encoder(X) for encoder, X in zip(self.autoencoders, Xs, strict=True)]
        return [Z.float() for Z in Zs], [self.project(Z) for Z in Zs]


@torch.no_grad()
def embed_rows(
    network: SMARTNetwork,
    Xs: Sequence[torch.Tensor],
    precision: str = "float32",
    block_rows: int = 8192,
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return Z and H of all rows, in blocks of rows; the network is in evaluation mode."""
    blocks = []
    with autocast(Xs[0].device, precision):
        for start in range(0, len(Xs[0]), block_rows):
            Zs, Hs = network.embed([X[start : start + block_rows] for X in Xs])
            blocks.append((*Zs, *Hs))
    tensors = [torch.cat(column) for column in zip(*blocks, strict=True)]
    return tensors[: len(Xs)], tensors[len(Xs) :]


def encoded(
    network: SMARTNetwork, views: Sequence[np.ndarray], precision: str = "float32"
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return Z and H of arrays, on the CPU."""
    device = network.projector.weight.device
    tensors = [torch.from_numpy(view).to(device) for view in views]
    Zs, Hs = embed_rows(network, tensors, precision)
    return [Z.cpu() for Z in Zs], [H.cpu() for H in Hs]
