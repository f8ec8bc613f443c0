"""SMART's objective on a batch, and the features that are clustered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from mvlib.methods.smart.equations import (
    FLOOR,
    VDA_TERMS,
    correlation_matrix,
    reconstruction_loss,
    semantic_graph,
    semantic_matching_loss,
    view_distribution_alignment_loss,
)
from mvlib.methods.smart.network import SMARTNetwork
from mvlib.methods.smart.thresholds import PAPER_RULE, ThresholdRule, threshold_rule
from mvlib.ops.device import autocast

BLOCK_BYTES = 1 << 26


@dataclass(frozen=True)
class Objective:
    """What SMART minimises: the weights of its losses and the rule of its graph.

    Attributes
    ----------
    lambda1, lambda2 : float
        Weights of L_vda and L_smc.
    temperature : float
        tau of L_smc.
    rule : ThresholdRule
        When two rows are joined; the paper's, by default.
    vda_terms : tuple of str
        Which terms of L_vda count.
    """

    lambda1: float
    lambda2: float
    temperature: float
    rule: ThresholdRule = threshold_rule(PAPER_RULE)
    vda_terms: tuple[str, ...] = VDA_TERMS


@dataclass(frozen=True)
class Step:
    """The losses of one batch and the features that it gives on the way.

    Attributes
    ----------
    loss : Tensor of shape ()
        L, to be minimised.
    parts : dict of str to Tensor
        L_rec, and L_vda and L_smc where their weight is not 0, without gradient.
    threshold : float
        T of the last pair of views; NaN where each row has its own.
    features : Tensor or None
        [H1, norm(W H2), ...] of the batch, without gradient, if asked for.
    """

    loss: torch.Tensor
    parts: dict[str, torch.Tensor]
    threshold: float
    features: torch.Tensor | None


def objective_step(
    network: SMARTNetwork,
    Xs: Sequence[torch.Tensor],
    aligned: torch.Tensor,
    objective: Objective,
    last_threshold: float = FLOOR,
    with_features: bool = False,
    precision: str = "float32",
) -> Step:
    """Compute L = L_rec + lambda1 L_vda + lambda2 L_smc on a batch.

    Parameters
    ----------
    network : SMARTNetwork
        In training mode.
    Xs : sequence of Tensor, each (n_samples, n_features_v)
        The batch.
    aligned : Tensor of shape (n_samples,), bool
        Which of its rows are aligned.
    objective : Objective
        Weights and rules.
    last_threshold : float, default=0.01
        The threshold of the batch before.
    with_features : bool, default=False
        Whether to return the features that the authors cluster.
    precision : {"float32", "bfloat16"}, default="float32"
        Of the networks' matrix products; the losses are float32 always.

    Returns
    -------
    Step

    Notes
    -----
    *Deviations*: the paper has two views. With more, L_vda and L_smc are means over the
    pairs (view 1, view v), so that their weights keep their meaning.
    """
    with autocast(aligned.device, precision):
        Zs, X_hats, Hs = network(Xs)
    rec = reconstruction_loss(list(Xs), X_hats)
    parts = {"reconstruction": rec.detach()}
    loss = rec
    n_pairs = len(Xs) - 1
    if objective.lambda1:
        Z_1 = Zs[0][aligned]
        vda = sum(
            view_distribution_alignment_loss(Z_1, Z[aligned], objective.vda_terms)
            for Z in Zs[1:]
        )
        vda = vda / n_pairs
        parts["distribution_alignment"] = vda.detach()
        loss = loss + objective.lambda1 * vda
    features = [Hs[0].detach()]
    threshold: torch.Tensor | float = last_threshold
    if objective.lambda2 or with_features:
        smc = rec.new_zeros(())
        for Z, H in zip(Zs[1:], Hs[1:], strict=True):
            with torch.no_grad():
                threshold = objective.rule.of_batch(Zs[0][aligned], Z[aligned], last_threshold)
                C = correlation_matrix(Zs[0], Z)
                W = semantic_graph(C, objective.rule.of_rows(C, threshold), aligned)
            if objective.lambda2:
                smc = smc + semantic_matching_loss(Hs[0], H, W, objective.temperature)
            if with_features:
                features.append(F.normalize(W @ H.detach(), dim=1))
        if objective.lambda2:
            parts["semantic_matching"] = smc.detach() / n_pairs
            loss = loss + objective.lambda2 * smc / n_pairs
    return Step(
        loss, parts, float(threshold), torch.cat(features, dim=1) if with_features else None
    )


def graph_blocks(
    Z_1: torch.Tensor,
    Z_2: torch.Tensor,
    aligned: torch.Tensor,
    objective: Objective,
    batch_size: int,
) -> Iterator[tuple[slice, slice, torch.Tensor]]:
    """Give the semantic graph in blocks of rows, none over 64 MB.

    Parameters
    ----------
    Z_1, Z_2 : Tensor of shape (n_samples, embedding_dim)
        Embeddings of two views.
    aligned : Tensor of shape (n_samples,), bool
        Which rows are aligned.
    objective : Objective
        The rule of the threshold.
    batch_size : int
        Rows of view 1 look for partners among this many rows of view 2, in row order; from
        n_samples on it is the full graph.

    Yields
    ------
    rows, columns : slice
        Where the block stands.
    W : Tensor
        The block.
    """
    threshold: torch.Tensor | float = FLOOR
    for start in range(0, len(Z_1), batch_size):
        stop = min(start + batch_size, len(Z_1))
        columns = slice(start, stop)
        flags = aligned[columns]
        threshold = objective.rule.of_batch(Z_1[columns][flags], Z_2[columns][flags], threshold)
        block = max(1, BLOCK_BYTES // (4 * (stop - start)))
        for first in range(start, stop, block):
            rows = slice(first, min(first + block, stop))
            C = correlation_matrix(Z_1[rows], Z_2[columns], first - start)
            least = objective.rule.of_rows(C, threshold)
            yield rows, columns, semantic_graph(C, least, aligned[rows], first - start)


def clustering_features(
    Zs: Sequence[torch.Tensor],
    Hs: Sequence[torch.Tensor],
    aligned: torch.Tensor,
    objective: Objective,
    batch_size: int,
) -> torch.Tensor:
    """Return [H1, norm(W H2), ...], the features that SMART clusters.

    Parameters
    ----------
    Zs, Hs : sequence of Tensor, each (n_samples, embedding_dim)
        Embeddings and projections of all rows, a tensor a view.
    aligned : Tensor of shape (n_samples,), bool
        Which rows are aligned.
    objective : Objective
        The rule of the threshold.
    batch_size : int
        As in `graph_blocks`.

    Returns
    -------
    Tensor of shape (n_samples, n_views * embedding_dim)
        A row stands for the thing that row of view 1 shows.
    """
    features = [Hs[0]]
    for Z, H in zip(Zs[1:], Hs[1:], strict=True):
        matched = torch.empty_like(H)
        for rows, columns, W in graph_blocks(Zs[0], Z, aligned, objective, batch_size):
            matched[rows] = F.normalize(W @ H[columns], dim=1)
        features.append(matched)
    return torch.cat(features, dim=1)


def batches(
    n_samples: int, batch_size: int, generator: torch.Generator
) -> list[torch.Tensor | slice]:
    """Split the rows of an epoch into batches, shuffled unless there is only one.

    Parameters
    ----------
    n_samples : int
        Number of rows.
    batch_size : int
        Rows in a batch. A last batch of one row, which batch normalisation cannot take,
        joins the one before.
    generator : torch.Generator
        Of the shuffle.

    Returns
    -------
    list of Tensor or slice
        Row numbers of each batch.
    """
    if batch_size >= n_samples:
        return [slice(0, n_samples)]
    parts = list(torch.randperm(n_samples, generator=generator).split(batch_size))
    if len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts
