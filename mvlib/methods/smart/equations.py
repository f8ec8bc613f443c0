"""SMART's equations as functions of tensors.

Source: Peng et al., "SMART: Semantic Matching Contrastive Learning for Partially
View-Aligned Clustering", arXiv 2512.15396. The paper's full text was not at hand: each
function follows the authors' code, in the terms of the paper.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
    """Return the mean squared errors of the auto-encoders, summed over the views.

    L_rec = sum_v MSE(X^_v, X_v)  (SMART, as coded)

    Parameters
    ----------
    views, reconstructions : list of Tensor, each (n_samples, n_features_v)
        X and X^, all rows, aligned or not.
    """
    return sum(F.mse_loss(X_hat, X) for X_hat, X in zip(reconstructions, views, strict=True))


def standardize_rows(Z: torch.Tensor) -> torch.Tensor:
    """Return each row of `Z` with mean 0 and unbiased standard deviation 1.

    Mean and deviation are constants to the gradient, as in the authors' code.

    Parameters
    ----------
    Z : Tensor of shape (n_samples, embedding_dim)
        Embeddings, float32.

    Notes
    -----
    *Deviations*: a deviation below 1e-8 counts as 1e-8; the authors' code divides by 0.
    """
    constant = Z.detach()
    deviation = constant.std(dim=1, keepdim=True).clamp_min(1e-8)
    return (Z - constant.mean(dim=1, keepdim=True)) / deviation


def correlation_matrix(Z_a: torch.Tensor, Z_b: torch.Tensor, offset: int = 0) -> torch.Tensor:
    """Return the correlations of samples with samples across their embedding dimensions.

    C_ab = Z^_a Z^_b^T / (d - 1) + 1e-5 I  (SMART, as coded)

    Rows are standardised; the 1e-5 is added where row and partner meet. The paper calls it a
    covariance; it compares samples, not dimensions.

    Parameters
    ----------
    Z_a, Z_b : Tensor of shape (n_a, embedding_dim), (n_b, embedding_dim)
        Embeddings of one view, and of another or the same.
    offset : int, default=0
        The column that the first row's own partner stands in, for a block of rows.
    """
    matrix = standardize_rows(Z_a) @ standardize_rows(Z_b).T / (Z_a.shape[1] - 1)
    matrix.diagonal(offset).add_(EPSILON)
    return matrix


def view_distribution_alignment_loss(
    Z_1: torch.Tensor, Z_2: torch.Tensor, terms: tuple[str, ...] = VDA_TERMS
) -> torch.Tensor:
    """Pull the two embeddings of aligned rows together, and their inner structure.

    L_vda = mean_i (C_12[i,i] - 1)^2 + mean_ij (C_11[i,j] - C_22[i,j])^2  (SMART, as coded)

    Parameters
    ----------
    Z_1, Z_2 : Tensor of shape (n_aligned, embedding_dim)
        Embeddings of the aligned rows of two views, row i of both partners. Without a row
        the loss is 0.
    terms : tuple of {"diagonal", "structure"}, default=both
        Which of the two means count, for ablations.

    Notes
    -----
    The second mean is over n x n entries, yet needs no n x n matrix: for standardised rows
    A and B, |A A^T - B B^T|^2 = |A^T A|^2 + |B^T B|^2 - 2 |A^T B|^2, three d x d products.
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
    """Return the diagonal of C_12: the correlation of each row with its partner.

    Parameters
    ----------
    Z_1, Z_2 : Tensor of shape (n_aligned, embedding_dim)
        Embeddings of the aligned rows of two views.
    """
    A, B = standardize_rows(Z_1), standardize_rows(Z_2)
    return (A * B).sum(dim=1) / (A.shape[1] - 1) + EPSILON


def semantic_threshold(
    Z_1: torch.Tensor, Z_2: torch.Tensor, n_std: float = 1.0
) -> torch.Tensor:
    """Return the correlation from which on two rows count as of one meaning, without gradient.

    T = max(mean(diag C_12) - std(diag C_12), 0.01), aligned rows  (SMART, as coded)

    Parameters
    ----------
    Z_1, Z_2 : Tensor of shape (n_aligned, embedding_dim)
        Embeddings of the aligned rows, at least one.
    n_std : float, default=1.0
        How many standard deviations below the mean. The paper has one.

    Notes
    -----
    *Deviations*: the deviation of a single aligned row counts as 0; it is NaN in the
    authors' code.
    """
    diagonal = aligned_correlations(Z_1.detach(), Z_2.detach())
    spread = diagonal.std() if len(diagonal) > 1 else diagonal.new_zeros(())
    return (diagonal.mean() - n_std * spread).clamp_min(FLOOR)


@dataclass(frozen=True)
class ThresholdRule:
    """When two rows are joined in the semantic graph.

    Attributes
    ----------
    kind : {"spread", "percentile", "nearest", "fixed"}
        Mean less `value` deviations of the aligned rows' correlations; their percentile
        `value`; for each row its `value` largest correlations; or `value` itself.
    value : float
        See `kind`.
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
        """Return T of a batch, from the embeddings of its aligned rows.

        At least 0.01, unless fixed; NaN under "nearest", where each row has its own. A batch
        without aligned rows takes the `last` one.
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
        """Return what the rows of a block of C_12, with all its columns, are held against.

        That is `threshold`, as `of_batch` gives it; under "nearest" the correlation of each
        row's last neighbour, at least 0.01, of shape (n_rows, 1).
        """
        if self.kind != "nearest":
            return threshold
        count = min(int(self.value), correlation.shape[1])
        largest = correlation.detach().topk(count, dim=1).values
        return largest[:, -1:].clamp_min(FLOOR)


def threshold_rule(threshold: str | float) -> ThresholdRule:
    """Read what `SMART(threshold=...)` was given.

    Parameters
    ----------
    threshold : str or float
        "mean-std", "mean", "mean-2std", "percentile-Q" with Q from 0 to 100, "nearest-K"
        with K from 1, or a correlation from -1 to 1.

    Raises
    ------
    ValueError
        If it is none of them.
    """
    if not isinstance(threshold, str):
        return ThresholdRule("fixed", check_number("threshold", threshold, low=-1, high=1))
    if threshold in _STDS:
        return ThresholdRule("spread", _STDS[threshold])
    numbered = _NUMBERED.fullmatch(threshold)
    if numbered is None:
        check_choice("threshold", threshold, (*_STDS, "percentile-16", "nearest-10"))
    kind, value = numbered[1], float(numbered[2])
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
    gradient.

    Parameters
    ----------
    correlation : Tensor of shape (n_rows, n_columns)
        C_12, or a block of its rows.
    threshold : Tensor of shape () or (n_rows, 1), or float
        T, as `semantic_threshold` gives it, or one a row.
    aligned : Tensor of shape (n_rows,), bool
        Which of these rows are aligned.
    offset : int, default=0
        The column that the first row's own partner stands in, for a block of rows.
    """
    C = correlation.detach()
    W = torch.where(threshold <= C, C, 0.0)
    W.diagonal(offset).masked_fill_(aligned, 1.0)
    empty = (W.sum(dim=1) == 0).nonzero().flatten()
    W[empty, C[empty].argmax(dim=1)] = FLOOR
    return W


def semantic_matching_loss(
    H_1: torch.Tensor, H_2: torch.Tensor, W: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Contrast each row of view 1 with all rows of the other, its graph neighbours positive.

    L_smc = -mean_i log(sum_j W_ij e_ij / sum_j e_ij), e = exp(H1 H2^T/tau)  (SMART, as coded)

    It goes from view 1 to the other only, over all rows, and can be negative: the rows of W do
    not sum to 1 (both as in the authors' code).

    Parameters
    ----------
    H_1, H_2 : Tensor of shape (n_samples, embedding_dim)
        Projections of two views, rows of unit length.
    W : Tensor of shape (n_samples, n_samples)
        As `semantic_graph` gives it.
    temperature : float
        tau.
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
