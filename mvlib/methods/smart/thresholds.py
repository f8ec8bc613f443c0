"""Rules for the threshold of SMART's graph: the paper's, and others to set beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from mvlib._validation import check_choice, check_number
from mvlib.methods.smart.equations import FLOOR, aligned_correlations, semantic_threshold

PAPER_RULE = "mean-std"
_STDS = {"mean-std": 1.0, "mean": 0.0, "mean-2std": 2.0}
_NUMBERED = re.compile(r"(percentile|nearest)-(\d+(?:\.\d+)?)")


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
        """Return T of a batch.

        Parameters
        ----------
        Z_1, Z_2 : Tensor of shape (n_aligned, embedding_dim)
            Embeddings of the batch's aligned rows; there may be none.
        last : Tensor of shape () or float, default=0.01
            T of the batch before, which a batch without aligned rows takes.

        Returns
        -------
        Tensor of shape () or float
            At least 0.01, unless fixed; NaN under "nearest", where each row has its own.
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
        """Return what the rows of a block of the graph are held against.

        Parameters
        ----------
        correlation : Tensor of shape (n_rows, n_columns)
            A block of C_12 with all its columns.
        threshold : Tensor of shape () or float
            As `of_batch` gives it.

        Returns
        -------
        Tensor of shape () or (n_rows, 1), or float
            `threshold`; under "nearest" the correlation of each row's last neighbour, at
            least 0.01.
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
        return ThresholdRule(kind, check_number(f"threshold={threshold!r}: K", value, low=1))
    check_number(f"threshold={threshold!r}: Q", value, low=0, high=100)
    return ThresholdRule(kind, value)
