"""MvCLN: a noise-robust contrastive loss for partially view-aligned clustering.

Source: Yang et al., "Partially View-aligned Representation Learning with Noise-robust
Contrastive Loss", CVPR 2021. Each function follows the authors' code. No difference between
paper and code is known to us, so that there is one reading; which of the 80 epochs the paper
reports is unknown.

Two encoders learn from pairs of the aligned rows: row i of view 1 with its partner (y = 1),
and with 30 rows of view 2 drawn at random (y = 0). Some of these negatives are of the same
class, or the partner itself; the loss is made robust to them once they are far enough apart.
After training, all rows of view 2 are matched anew to those of view 1, the aligned ones too.

Picture
-------
given : two views; 34 rows are known partners, the others stand in any order
learns : an encoder a view
pulls : partners together; a partner and 30 random rows apart, robustly where these may be of
    one class
matches : each row of view 1 to the nearest row of view 2 that is free, known partners too
groups : k-means of both embeddings side by side

Deviations
----------
Pairs are kept as row numbers, not as 31 copies of the data. Of equally near rows the first is
taken; the authors' sort leaves that open. Any margin can be given, in the authors' code 1
alone. The rows are matched and clustered once, after the last epoch; theirs are after every
epoch, which moves their random numbers on. The authors split by one seed drawn anew for each
run and train by another that is always 64; here the split is the caller's, and
`random_state` decides all else. `keep_pairs` and `matching="hungarian"` are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import nn

from mvlib.check import choice, flag, optional, real, whole
from mvlib.methods.base import Mask, Views, kmeans_labels
from mvlib.methods.networks import TwoViewNetworks, on_device
from mvlib.methods.training import seeded, train
from mvlib.ops.adam import Adam
from mvlib.ops.device import resolve_device

MATCHINGS = ("greedy", "hungarian")


def pair_distances(H_1: torch.Tensor, H_2: torch.Tensor) -> torch.Tensor:
    """Return how far apart the two rows of each pair are, given their embeddings.

    d = |h1 - h2 + 1e-6|_2, 1e-6 in every dimension  (MvCLN, as coded)
    """
    return F.pairwise_distance(H_1, H_2, eps=1e-6)


def negative_term(d: torch.Tensor, margin: float, robust: bool) -> torch.Tensor:
    """Return what negative pairs of distances d cost, before and after the switch to `robust`.

    L_neg = max(m - d, 0)^2  (MvCLN, as coded, before the switch)
    L_neg = 1/m max(sqrt(d) (m - d), 0)^2  (MvCLN, as coded, after the switch)

    From the margin m on a pair costs nothing. After the switch the slope is (m - d)(m - 3d)/m:
    pairs nearer than m/3 are pulled together, as if they were false negatives.
    """
    hinge = F.relu(margin - d).square()
    return d * hinge / margin if robust else hinge


def contrastive_loss(
    d: torch.Tensor, positive: torch.Tensor, margin: float, robust: bool
) -> torch.Tensor:
    """Compute the total loss of N pairs; `positive` is y, whether a pair is of partners.

    L = 1/(2N) sum[y d^2 + (1-y) L_neg]  (MvCLN, as coded)
    """
    return torch.where(positive, d.square(), negative_term(d, margin, robust)).mean() / 2


def measured_margin(positive_distance: float, negative_distance: float) -> int:
    """Return the margin that the untrained networks' mean distances suggest.

    m = max(1, round(mean d, y = 1 + mean d, y = 0)), halves to even  (MvCLN, as coded)
    """
    return max(1, round(positive_distance + negative_distance))


def draw_pairs(n_aligned: int, n_negatives: int, generator: torch.Generator) -> torch.Tensor:
    """Pair each aligned row with its partner and with random aligned rows of view 2.

    The negatives of a row are distinct, all sets of them equally likely. Its partner can be
    among them, as in the authors' code. Gives (row of view 1, row of view 2, y), int64, the
    positive pairs first.
    """
    rows = torch.arange(n_aligned)
    negatives = torch.empty(n_aligned, n_negatives, dtype=torch.int64)
    # Floyd's sampling, for all rows at once: a draw met before gives way to the newest number.
    for k, newest in enumerate(range(n_aligned - n_negatives, n_aligned)):
        drawn = torch.randint(newest + 1, (n_aligned,), generator=generator)
        met = (negatives[:, :k] == drawn[:, None]).any(dim=1)
        negatives[:, k] = torch.where(met, newest, drawn)
    first = torch.cat([rows, rows.repeat_interleave(n_negatives)])
    second = torch.cat([rows, negatives.flatten()])
    return torch.stack([first, second, torch.arange(len(first)) < n_aligned], dim=1)


def distance_matrix(H_1: torch.Tensor, H_2: torch.Tensor) -> np.ndarray:
    """Return the distances of embeddings a of view 1 and b of view 2, to match rows by.

    C_ij = sqrt(max(|a_i|^2 + |b_j|^2 - 2 a_i b_j, 1e-12))  (MvCLN, as coded)
    """
    squares = H_1.square().sum(dim=1, keepdim=True) + H_2.square().sum(dim=1)
    return (squares - 2 * H_1 @ H_2.T).clamp_min(1e-12).sqrt().cpu().numpy()


def greedy_matching(C: np.ndarray) -> np.ndarray:
    """Give each row in turn the nearest free column, of equally near ones the first.

    j(i) = argmin of C_ij over the j not yet taken, i = 1, ..., B  (MvCLN, as coded)
    """
    C = C.copy()
    matched = np.empty(len(C), dtype=np.int64)
    for i in range(len(C)):
        matched[i] = C[i].argmin()
        C[:, matched[i]] = np.inf
    return matched


def matched_rows(
    H_1: torch.Tensor,
    H_2: torch.Tensor,
    aligned: np.ndarray,
    generator: torch.Generator,
    matching: str,
    batch_size: int,
    keep_pairs: bool,
) -> np.ndarray:
    """Match rows of view 2 to those of view 1 inside random batches, the last short one too.

    With `keep_pairs` aligned rows keep their partner, and the others alone are matched.
    """
    matched = np.arange(len(aligned))
    loose = np.flatnonzero(~aligned) if keep_pairs else matched.copy()
    order = torch.randperm(len(loose), generator=generator)
    for batch in order.split(batch_size):
        rows = loose[batch.numpy()]
        C = distance_matrix(H_1[rows], H_2[rows])
        greedy = matching == "greedy"
        matched[rows] = rows[greedy_matching(C) if greedy else linear_sum_assignment(C)[1]]
    return matched


def encoder(
    n_features: int, hidden_dims: Sequence[int], embedding_dim: int, dropout: float
) -> nn.Sequential:
    """Return the network of one view; its embeddings are not negative and not normalised.

    Batch normalisation and ReLU follow each layer; dropout all but the last.
    """
    layers: list[nn.Module] = []
    for width in hidden_dims:
        layers += [nn.Linear(n_features, width), nn.BatchNorm1d(width), nn.ReLU()]
        layers.append(nn.Dropout(dropout))
        n_features = width
    last = nn.Linear(n_features, embedding_dim)
    return nn.Sequential(*layers, last, nn.BatchNorm1d(embedding_dim), nn.ReLU())


@dataclass(eq=False, repr=False, kw_only=True)
class MvCLN(TwoViewNetworks):
    """Noise-robust contrastive learning for partially view-aligned clustering.

    Two views of the same things, of which only some rows are known to be partners. An
    encoder a view learns from the aligned rows alone; then every row of view 1 is matched to
    a row of view 2, and k-means clusters [h1, h2 matched]. Rows are named after view 1. New
    rows are taken as matched. The defaults are the authors' settings for all their data sets.

    Parameters
    ----------
    dropout : float, default=0.2
        After each hidden layer, from 0 to 1.
    epochs : int, default=80
        Passes over the pairs, after the one that measures the margin.
    batch_size : int, default=1024
        Pairs in a batch, of which there must be one at least. The pairs that fill no batch are
        left out of an epoch.
    n_negatives : int, default=30
        Negative pairs of each aligned row, at most as many as there are aligned rows.
    margin : float, optional
        m. By default it is measured in a pass without update, as `measured_margin` says.
    switch : float, default=1.0
        Once an epoch's mean negative distance reaches this share of m, the loss is robust
        from the next epoch on.
    matching : {"greedy", "hungarian"}, default="greedy"
        How rows are matched: each to the nearest row that is free, or all at the least sum
        of distances.
    match_batch_size : int, default=1024
        Among how many rows, drawn at random, a row looks for its match. A smaller batch has
        fewer wrong rows to choose from. From the number of rows on, all are matched at once.
    keep_pairs : bool, default=False
        Whether aligned rows keep their partner, and only the others are matched.

    Attributes
    ----------
    embedding_ : ndarray of shape (n_samples, 2 * embedding_dim), float32
        [h1, h2 matched], as clustered.
    matching_ : ndarray of shape (n_samples,), int64
        The row of view 2 that each row of view 1 was matched to.
    history_ : dict of str to ndarray
        A value an epoch: `loss`, the mean over batches; `positive_distance` and
        `negative_distance`, means over the pairs in training mode; `robust`, whether that
        epoch's loss was.
    margin_ : float
        m.
    network_ : ModuleList
        The two encoders, in evaluation mode, as they were after the last epoch.

    Notes
    -----
    *Use it* where two views have aligned rows enough for a batch of pairs, by default 34; not
    for more views, nor without aligned rows. *Cost*: an epoch has n_aligned * (1 + n_negatives)
    / batch_size steps, by default 60 for 2,000 aligned rows, and one pass more than `epochs` is
    made. Matching compares n * match_batch_size rows at the end. *Beside it*: `KMeansView`,
    `KMeansConcatenation`, `SpectralConcatenation` and `AutoencoderHungarian`.

    The authors leave views unscaled, but scale each feature of Reuters_dim10 to [0, 1].

    Examples
    --------
    >>> from mvlib import MvCLN, data
    >>> digits = data.load("handwritten")
    >>> scaled = data.min_max_scale(digits.Xs)
    >>> problem = data.partially_align(scaled, digits.y, ratio=0.5, protocol="mvcln")
    >>> model = MvCLN(10, random_state=0, epochs=1, hidden_dims=(64,))  # small, to be quick
    >>> labels = model.fit_predict(problem.Xs, aligned=problem.aligned)
    >>> labels.shape
    (2000,)
    """

    embedding_dim: int = 10
    hidden_dims: Sequence[int] = (1024, 1024, 1024)
    dropout: float = 0.2
    epochs: int = 80
    batch_size: int = 1024
    learning_rate: float = 1e-3
    n_negatives: int = 30
    margin: float | None = None
    switch: float = 1.0
    matching: str = "greedy"
    match_batch_size: int = 1024
    keep_pairs: bool = False

    _parts: ClassVar[tuple[str, ...]] = ()
    # Of which aligned rows errors speak.
    _among: ClassVar[str] = ""
    _bounds = {
        "n_negatives": whole(),
        "switch": real(0),
        "margin": optional(real(0, open_low=True)),
        "keep_pairs": flag,
        "matching": choice(MATCHINGS),
    }

    def _fit(
        self, views: Views, aligned: Mask, y: Any, seed: int, present: Mask | None = None
    ) -> None:
        whole = aligned if present is None else aligned & present.all(axis=1)
        self._check_rows(views, int(whole.sum()))
        device = resolve_device(self.device)
        tensors = on_device(views, device)
        rows = torch.from_numpy(np.flatnonzero(whole))
        with seeded(seed, device) as generator:
            self._train(tensors, rows, generator)
        self.network_.eval()
        H_1, H_2 = self._completed(self._encoded(tensors), present, generator)
        self.matching_ = self._match(H_1, H_2, aligned, generator)
        self.embedding_ = torch.cat([H_1, H_2[self.matching_]], dim=1).cpu().numpy()
        self.labels_ = kmeans_labels(self.embedding_, self.n_clusters, seed)

    @torch.no_grad()
    def _encoded(self, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        # The encoders come first in the network.
        return [
            torch.cat([encode(block) for block in X.split(8192)])
            for encode, X in zip(self.network_, tensors, strict=False)
        ]

    def _completed(
        self, H: Sequence[torch.Tensor], present: Mask | None, generator: torch.Generator
    ) -> Sequence[torch.Tensor]:
        """Return the embeddings, those of what a view lacks filled."""
        return H

    def _network(self) -> nn.ModuleList:
        settings = self.hidden_dims, self.embedding_dim, self.dropout
        return nn.ModuleList(encoder(width, *settings) for width in self.n_features_in_)

    def _train(
        self, Xs: Sequence[torch.Tensor], aligned: torch.Tensor, generator: torch.Generator
    ) -> None:
        device, size = Xs[0].device, self.batch_size
        network = self._network().to(device)
        pairs = draw_pairs(len(aligned), self.n_negatives, generator)
        pairs[:, :2] = aligned[pairs[:, :2]]
        pairs = pairs.to(device)
        robust, seen = False, []

        def batches() -> Sequence[torch.Tensor]:
            order = torch.randperm(len(pairs), generator=generator)
            return order[: len(order) // size * size].to(device).split(size)

        def embedded(batch: torch.Tensor) -> tuple[Any, ...]:
            *rows, y = pairs[batch].T
            inputs = [X[row] for X, row in zip(Xs, rows, strict=True)]
            H = [encode(X) for encode, X in zip(network, inputs, strict=False)]
            d = pair_distances(*H)
            kinds = torch.stack([y, 1 - y]).float()
            seen.append(torch.cat([kinds @ d.detach(), kinds.sum(dim=1)]))
            return d, y.bool(), inputs, H

        def mean_distances() -> list[float]:
            sums = torch.stack(seen).sum(dim=0)
            seen.clear()
            return (sums[:2] / sums[2:]).tolist()

        def step(batch: torch.Tensor) -> dict[str, torch.Tensor]:
            d, positive, inputs, H = embedded(batch)
            contrastive = contrastive_loss(d, positive, self.margin_, robust)
            return self._losses(contrastive, inputs, H, network)

        def after_epoch(epoch: int, means: dict[str, float]) -> dict[str, Any]:
            nonlocal robust
            positive, negative = mean_distances()
            recorded = {"positive_distance": positive, "negative_distance": negative}
            recorded["robust"] = robust
            robust = robust or negative >= self.switch * self.margin_
            return recorded

        # A pass without update, in training mode: batch normalisation sees it.
        with torch.no_grad():
            for batch in batches():
                embedded(batch)
        measured = measured_margin(*mean_distances())
        self.margin_ = measured if self.margin is None else self.margin
        optimizer = Adam(network.parameters(), lr=self.learning_rate, fused=True)
        self.history_ = train(
            self, batches, step, network, optimizer, after_epoch=after_epoch, parts=self._parts
        )
        self.network_ = network

    def _losses(
        self,
        contrastive: torch.Tensor,
        inputs: list[torch.Tensor],
        H: list[torch.Tensor],
        network: nn.ModuleList,
    ) -> dict[str, torch.Tensor]:
        """Return what is minimised, given the inputs and embeddings of a batch of pairs."""
        return {"loss": contrastive}

    def _match(
        self,
        H_1: torch.Tensor,
        H_2: torch.Tensor,
        aligned: np.ndarray,
        generator: torch.Generator,
    ) -> np.ndarray:
        ways = self.matching, self.match_batch_size, self.keep_pairs
        return matched_rows(H_1, H_2, aligned, generator, *ways)

    def _check_rows(self, views: Sequence[np.ndarray], n_aligned: int) -> None:
        """Refuse rows that the method cannot take."""
        if n_aligned < self.n_negatives:
            raise ValueError(
                f"aligned has {n_aligned} True{self._among}: expected at least n_negatives="
                f"{self.n_negatives}, since a row's negatives are distinct aligned rows"
            )
        n_pairs = n_aligned * (1 + self.n_negatives)
        if n_pairs < self.batch_size:
            raise ValueError(
                f"aligned has {n_aligned} True{self._among}, which make {n_pairs} pairs: "
                f"expected at least batch_size={self.batch_size}, since a batch that is not "
                "full is left out"
            )
