"""SMART's networks: an auto-encoder a view and one projector for all."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from mvlib.ops.device import autocast


def _layers(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, (width_in, width_out) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
        layers.append(nn.Linear(width_in, width_out))
        if i < len(widths) - 2:
            layers += [nn.BatchNorm1d(width_out), nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*layers)


class AutoEncoder(nn.Module):
    """Fully connected auto-encoder of one view, the decoder mirrored.

    Batch normalisation and LeakyReLU(0.2) follow every layer but the last of each half; the
    embedding is not normalised. As in the authors' code.

    Parameters
    ----------
    n_features : int
        Width of the view.
    hidden_dims : sequence of int
        Widths of the encoder's hidden layers; (2000, 2000, 2000) in the paper.
    embedding_dim : int
        Width of the embedding, d.
    """

    def __init__(self, n_features: int, hidden_dims: Sequence[int], embedding_dim: int):
        super().__init__()
        widths = [n_features, *hidden_dims, embedding_dim]
        self.encoder = _layers(widths)
        self.decoder = _layers(widths[::-1])

    def forward(self, X: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return embedding Z and reconstruction X^ of a batch.

        Parameters
        ----------
        X : Tensor of shape (n_samples, n_features)
            A batch of the view.

        Returns
        -------
        Z : Tensor of shape (n_samples, embedding_dim)
            Embedding.
        X_hat : Tensor of shape (n_samples, n_features)
            Reconstruction.
        """
        Z = self.encoder(X)
        return Z, self.decoder(Z)


class SMARTNetwork(nn.Module):
    """The auto-encoders of all views and the linear projector they share.

    Parameters
    ----------
    n_features : sequence of int
        Width of each view.
    hidden_dims : sequence of int
        Widths of each encoder's hidden layers.
    embedding_dim : int
        Width of the embeddings and of the projections, d.
    """

    def __init__(
        self, n_features: Sequence[int], hidden_dims: Sequence[int], embedding_dim: int
    ):
        super().__init__()
        self.autoencoders = nn.ModuleList(
            AutoEncoder(width, hidden_dims, embedding_dim) for width in n_features
        )
        self.projector = nn.Linear(embedding_dim, embedding_dim)

    def forward(
        self, Xs: Sequence[torch.Tensor]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
        """Return embeddings Z, reconstructions X^ and projections H of a batch.

        Parameters
        ----------
        Xs : sequence of Tensor, each (n_samples, n_features_v)
            The batch, a tensor a view.

        Returns
        -------
        Zs, X_hats, Hs : list of Tensor
            A tensor a view; rows of H have unit length. All float32.
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
        """Return embeddings Z and projections H, without the decoders' work.

        Parameters
        ----------
        Xs : sequence of Tensor, each (n_samples, n_features_v)
            The rows, a tensor a view.

        Returns
        -------
        Zs, Hs : list of Tensor, each (n_samples, embedding_dim)
            Float32.
        """
        Zs = [encoder.encoder(X) for encoder, X in zip(self.autoencoders, Xs, strict=True)]
        return [Z.float() for Z in Zs], [self.project(Z) for Z in Zs]


@torch.no_grad()
def embed_rows(
    network: SMARTNetwork,
    Xs: Sequence[torch.Tensor],
    precision: str = "float32",
    block_rows: int = 8192,
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return embeddings Z and projections H of all rows, in blocks of rows.

    Parameters
    ----------
    network : SMARTNetwork
        In evaluation mode, so that the blocks do not matter.
    Xs : sequence of Tensor, each (n_samples, n_features_v)
        The views.
    precision : {"float32", "bfloat16"}, default="float32"
        Of the matrix products.
    block_rows : int, default=8192
        Rows at a time.

    Returns
    -------
    Zs, Hs : list of Tensor, each (n_samples, embedding_dim)
        Float32, a tensor a view.
    """
    blocks = []
    with autocast(Xs[0].device, precision):
        for start in range(0, len(Xs[0]), block_rows):
            Zs, Hs = network.embed([X[start : start + block_rows] for X in Xs])
            blocks.append((*Zs, *Hs))
    tensors = [torch.cat(column) for column in zip(*blocks, strict=True)]
    return tensors[: len(Xs)], tensors[len(Xs) :]
