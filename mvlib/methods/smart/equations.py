"""SMART's equations as functions of tensors.

Source: Peng et al., "SMART: Semantic Matching Contrastive Learning for Partially
View-Aligned Clustering", arXiv 2512.15396. The paper's full text was not at hand: each
function follows the authors' code, in the terms of the paper.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
import torch.nn.functional as F

from mvlib.check import check_choice, check_number
from mvlib.methods.smart.network import SMARTNetwork
from mvlib.ops.device import autocast

EPSILON = 1e-5
FLOOR = 0.01
VDA_TERMS = ("diagonal", "structure")
BLOCK_BYTES = 1 << 26
PAPER_RULE = "mean-std"
_STDS = {"mean-std": 1.0, "mean": 0.0, "mean-2std": 2.0}
_NUMBERED = re.compile(r"(percentile|nearest)-(\d+(?:\.\d+)?)")


def reconstruction_loss(
    views: list[torch.Tensor], reconstructions: list[torch.Tensor]
) -> torch.Tensor:
    """Return the mean squared errors of the auto-encoders, all rows, summed over the views.

    L_rec = sum_v MSE(X^_v, X_v)  (SMART, as coded)
    """
    errors = (F.mse_loss(X_hat, X) for X_hat, X in zip(reconstructions, views, strict=True))
    return reduce(torch.add, errors)


def standardize_rows(Z: torch.Tensor) -> torch.Tensor:
    """Return each row of `Z` with mean 0 and unbiased standard deviation 1.

    Mean and deviation are constants to the gradient, as in the authors' code. *Deviations*: a
    deviation below 1e-8 counts as 1e-8; the authors' code divides by 0.
    """
    constant = Z.detach()
    deviation = constant.std(dim=1, keepdim=True).clamp_min(1e-8)
    return (Z - constant.mean(dim=1, keepdim=True)) / deviation


def correlation_matrix(Z_a: torch.Tensor, Z_b: torch.Tensor, offset: int = 0) -> torch.Tensor:
    """Return the correlations of samples with samples across their embedding dimensions.

    C_ab = Z^_a Z^_b^T / (d - 1) + 1e-5 I  (SMART, as coded)

    Rows are standardised; the 1e-5 is added where row and partner meet: for a block of rows,
    `offset` is the column that the first one's partner stands in. The paper calls it a
    covariance; it compares samples, not dimensions.
    """
    matrix = standardize_rows(Z_a) @ standardize_rows(Z_b).T / (Z_a.shape[1] - 1)
    matrix.diagonal(offset).add_(EPSILON)
    return matrix


def view_distribution_alignment_loss(
    Z_1: torch.Tensor, Z_2: torch.Tensor, terms: tuple[str, ...] = VDA_TERMS
) -> torch.Tensor:
    """Pull the two embeddings of aligned rows together, and their inner structure.

    L_vda = mean_i (C_12[i,i] - 1)^2 + mean_ij (C_11[i,j] - C_22[i,j])^2  (SMART, as coded)

    Row i of both are partners; without a row the loss is 0. `terms` says which of the two means
    count, for ablations. The second is over n x n entries, yet needs no n x n matrix: for
    standardised A and B, |A A^T - B B^T|^2 = |A^T A|^2 + |B^T B|^2 - 2 |A^T B|^2, of d x d
    each.
    """
    n, d = Z_1.shape
    loss = Z_1.new_zeros(())
    if n == 0:
        return loss
    A, B = standardize_rows(Z_1), standardize_rows(Z_2)
    if "diagonal" in terms:
        diagonal = aligned_correlations(Z_1, Z_2)
        loss = loss + ((diagonal - 1) ** 2).mean()
    if "structure" in terms:
        if d <= n:
            squared = (A.T @ A).square() + (B.T @ B).square() - 2 * (A.T @ B).square()
        else:
            squared = (A @ A.T - B @ B.T).square()
        loss = loss + squared.sum() / ((d - 1) ** 2 * n**2)
    return loss


def aligned_correlations(Z_1: torch.Tensor, Z_2: torch.Tensor) -> torch.Tensor:
    """Return the diagonal of C_12: the correlation of each aligned row with its partner."""
    A, B = standardize_rows(Z_1), standardize_rows(Z_2)
    return (A * B).sum(dim=1) / (A.shape[1] - 1) + EPSILON


def semantic_threshold(
    Z_1: torch.Tensor, Z_2: torch.Tensor, n_std: float = 1.0
) -> torch.Tensor:
    """Return the correlation from which on two rows count as of one meaning, without gradient.

    T = max(mean(diag C_12) - std(diag C_12), 0.01), aligned rows  (SMART, as coded)

    It takes the embeddings of the aligned rows, at least one; the paper has `n_std` = 1.
    *Deviations*: the deviation of a single row counts as 0; it is NaN in the authors' code.
    """
    diagonal = aligned_correlations(Z_1.detach(), Z_2.detach())
    spread = diagonal.std() if len(diagonal) > 1 else diagonal.new_zeros(())
    return (diagonal.mean() - n_std * spread).clamp_min(FLOOR)


@dataclass(frozen=True)
class ThresholdRule:
    """When two rows are joined in the semantic graph.

    By `kind`: "spread", from the mean less `value` deviations of the aligned rows' correlations
    on; "percentile", from their percentile `value` on; "nearest", a row with its `value`
    largest correlations; "fixed", from `value` itself on.
    """

    kind: str
    value: float

    @property
    def needs_aligned(self) -> bool:
        """Whether the rule reads aligned rows."""
        return self.kind in ("spread", "percentile")

    def of_batch(
        self, Z_1: torch.Tensor, Z_2: torch.Tensor, last: torch.Tensor | float = FLOOR
    ) -> torch.Tensor | float:
        """Return T of a batch, from the embeddings of its aligned rows, at least 0.01 unless
        fixed.

        NaN under "nearest", where each row has its own, and `last` without an aligned row.
        """
        if self.kind == "fixed":
            return self.value
        if self.kind == "nearest":
            return float("nan")
        if len(Z_1) == 0:
            return last
        if self.kind == "spread":
            return semantic_threshold(Z_1, Z_2, self.value)
        diagonal = aligned_correlations(Z_1.detach(), Z_2.detach())
        return diagonal.quantile(self.value / 100).clamp_min(FLOOR)

    def of_rows(
        self, correlation: torch.Tensor, threshold: torch.Tensor | float
    ) -> torch.Tensor | float:
        """Return T, or under "nearest" what each row of a block of C_12 is held against."""
        if self.kind != "nearest":
            return threshold
        count = min(int(self.value), correlation.shape[1])
        largest = correlation.detach().topk(count, dim=1).values
        return largest[:, -1:].clamp_min(FLOOR)


def threshold_rule(threshold: str | float) -> ThresholdRule:
    """Read what `SMART(threshold=...)` was given, or raise a ValueError."""
    if not isinstance(threshold, str):
        return ThresholdRule("fixed", check_number("threshold", threshold, low=-1, high=1))
    if threshold in _STDS:
        return ThresholdRule("spread", _STDS[threshold])
    if not _NUMBERED.fullmatch(threshold):
        check_choice("threshold", threshold, (*_STDS, "percentile-16", "nearest-10"))
    kind, _, number = threshold.partition("-")
    value = float(number)
    if kind == "nearest":
        if not value.is_integer() or value < 1:
            raise ValueError(f"threshold={threshold!r}: expected a whole number K from 1")
        return ThresholdRule(kind, value)
    check_number(f"threshold={threshold!r}: Q", value, low=0, high=100)
    return ThresholdRule(kind, value)


def semantic_graph(
    correlation: torch.Tensor,
    threshold: torch.Tensor | float,
    aligned: torch.Tensor,
    offset: int = 0,
) -> torch.Tensor:
    """Return the weights W with which rows of view 1 look at rows of the other view.

    W_ij = C_12[i,j] if C_12[i,j] >= T else 0; W_ii = 1 if aligned  (SMART, as coded)

    A row of zeros gets 0.01 at its largest correlation. Rows are not normalised. W has no
    gradient. `correlation` is C_12 or a block of its rows, of which `aligned` speaks, with
    `offset` as in `correlation_matrix`; `threshold` is T, or one a row of shape (n_rows, 1).
    """
    C = correlation.detach()
    W = torch.where(threshold <= C, C, 0.0)
    W.diagonal(offset).masked_fill_(aligned, 1.0)
    # Over all rows, since to pick the empty ones a GPU would have to wait for the host.
    largest = C.argmax(dim=1, keepdim=True)
    empty = W.sum(dim=1, keepdim=True) == 0
    return W.scatter_(1, largest, torch.where(empty, FLOOR, W.gather(1, largest)))


def semantic_matching_loss(
    H_1: torch.Tensor, H_2: torch.Tensor, W: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Contrast each row of view 1 with all rows of the other, its graph neighbours positive.

    L_smc = -mean_i log(sum_j W_ij e_ij / sum_j e_ij), e = exp(H1 H2^T/tau)  (SMART, as coded)

    Rows of H have unit length. It goes from view 1 to the other only, over all rows, and can be
    negative: the rows of W do not sum to 1 (both as in the authors' code).
    """
    logits = H_1 @ H_2.T / temperature
    shift = logits.detach().amax(dim=1, keepdim=True)
    weights = torch.exp(logits - shift)
    tiny = torch.finfo(weights.dtype).tiny
    matched = torch.einsum("ij,ij->i", weights, W).clamp_min(tiny)
    return (torch.log(weights.sum(dim=1)) - torch.log(matched)).mean()


@dataclass(frozen=True)
class Objective:
    """What SMART minimises: the weights of its losses, tau, and the rule of its graph."""

    lambda1: float
    lambda2: float
    temperature: float
    rule: ThresholdRule = threshold_rule(PAPER_RULE)
    vda_terms: tuple[str, ...] = VDA_TERMS


@dataclass(frozen=True)
class Step:
    """The losses of one batch and the features that it gives on the way.

    `parts` has L_rec, and L_vda and L_smc where their weight is not 0. `threshold` is T of the
    last pair of views, NaN where each row has its own. `features` are [H1, norm(W H2), ...],
    if asked for. All but `loss` is without gradient.
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
    """Compute the total loss of a batch, of which `aligned` says which rows are aligned.

    L = L_rec + lambda1 L_vda + lambda2 L_smc  (SMART, as coded)

    `precision` is that of the networks' matrix products; the losses are float32 always.
    *Deviations*: the paper has two views. With more, L_vda and L_smc are means over the pairs
    (view 1, view v), so that their weights keep their meaning.
    """
    rows = aligned.nonzero().squeeze(1)
    loss, parts, threshold, features = batch_losses(
        network, Xs, aligned, rows, objective, last_threshold, with_features, precision
    )
    return Step(loss, parts, float(threshold), features)


def batch_losses(
    network: SMARTNetwork,
    Xs: Sequence[torch.Tensor],
    aligned: torch.Tensor,
    rows: torch.Tensor,
    objective: Objective,
    last_threshold: float,
    with_features: bool,
    precision: str,
) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor | float, torch.Tensor | None]:
    """Return `loss`, `parts`, T and `features` of `Step`; `rows` are those of `aligned`.

    Nothing here waits for a number of the device.
    """
    with autocast(aligned.device, precision):
        Zs, X_hats, Hs = network(Xs)
    rec = reconstruction_loss(list(Xs), X_hats)
    parts = {"reconstruction": rec.detach()}
    loss = rec
    n_pairs = len(Xs) - 1
    if objective.lambda1:
        Z_1 = Zs[0][rows]
        pairs = (
            view_distribution_alignment_loss(Z_1, Z[rows], objective.vda_terms) for Z in Zs[1:]
        )
        vda = reduce(torch.add, pairs) / n_pairs
        parts["distribution_alignment"] = vda.detach()
        loss = loss + objective.lambda1 * vda
    features = [Hs[0].detach()]
    threshold: torch.Tensor | float = last_threshold
    if objective.lambda2 or with_features:
        smc = rec.new_zeros(())
        for Z, H in zip(Zs[1:], Hs[1:], strict=True):
            with torch.no_grad():
                threshold = objective.rule.of_batch(Zs[0][rows], Z[rows], last_threshold)
                C = correlation_matrix(Zs[0], Z)
                W = semantic_graph(C, objective.rule.of_rows(C, threshold), aligned)
            if objective.lambda2:
                smc = smc + semantic_matching_loss(Hs[0], H, W, objective.temperature)
            if with_features:
                features.append(F.normalize(W @ H.detach(), dim=1))
        if objective.lambda2:
            parts["semantic_matching"] = smc.detach() / n_pairs
            loss = loss + objective.lambda2 * smc / n_pairs
    return loss, parts, threshold, torch.cat(features, dim=1) if with_features else None


def graph_blocks(
    Z_1: torch.Tensor,
    Z_2: torch.Tensor,
    aligned: torch.Tensor,
    objective: Objective,
    batch_size: int,
) -> Iterator[tuple[slice, slice, torch.Tensor]]:
    """Give the semantic graph in blocks (rows, columns, W), none over 64 MB.

    Rows of view 1 look for partners among `batch_size` rows of view 2, in row order; from
    n_samples on it is the full graph.
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
    """Return the features that SMART clusters, (n_samples, n_views * embedding_dim).

    F = [H1, norm(W H2)]  (SMART, as coded)

    A row stands for the thing that row of view 1 shows; `batch_size` is as in `graph_blocks`.
    """
    features = [Hs[0]]
    for Z, H in zip(Zs[1:], Hs[1:], strict=True):
        matched = torch.empty_like(H)
        for rows, columns, W in graph_blocks(Zs[0], Z, aligned, objective, batch_size):
            matched[rows] = F.normalize(W @ H[columns], dim=1)
        features.append(matched)
    return torch.cat(features, dim=1)
