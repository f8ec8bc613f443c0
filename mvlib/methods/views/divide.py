"""DIVIDE: contrastive learning with targets that a random walk among the rows of a batch makes.

Source: Lu et al., "Decoupled Contrastive Multi-View Clustering with High-Order Random Walks",
AAAI 2024. Each function follows the authors' code. Encoders, heads and the loop are those of
`mvlib/methods/views/momentum_twins.py`.

Picture
-------
given : two views, rows paired rightly; a sample may lack one
learns : an encoder a view, its slow twin, a head to the other view's code
pulls : each row to those that a random walk among the rows of the batch reaches
matches : nothing; a code that is missing is predicted by the head from the other
groups : k-means of the twins' codes side by side

Deviations
----------
Those of `mvlib/methods/views/momentum_twins.py`. The authors' loader is meant to shuffle anew
in each epoch, but is never told the epoch: `fixed_batches=True`, the default, does as it does,
so that the rows that fill no batch are never learnt from; False shuffles. `rematch` other than
"none" is ours: the row of view 2 is chosen as in CANDY, the features stay DIVIDE's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from mvlib.check import flag
from mvlib.methods.views.momentum_twins import (
    Codes,
    MomentumTwins,
    gaussian_affinity,
    soft_info_nce,
    twin_losses,
)

WIDTH = 0.1
STEPS = 5
SELF_WEIGHT = 0.5


def random_walk_target(z_bar: torch.Tensor) -> torch.Tensor:
    """Return which rows of a batch are to be alike, by a walk of five steps among them.

    T = 1/2 I + 1/2 W^5, W_ij = G_ij/sum_j G_ij  (DIVIDE, as coded)

    G is `gaussian_affinity` with t = 0.1, the row itself included; W^5 is a product of
    matrices. Rows of T sum to one.
    """
    G = gaussian_affinity(z_bar, z_bar, WIDTH)
    walk = torch.linalg.matrix_power(G / G.sum(dim=1, keepdim=True), STEPS)
    return SELF_WEIGHT * torch.eye(len(walk), device=walk.device) + (1 - SELF_WEIGHT) * walk


@dataclass(eq=False, repr=False, kw_only=True)
class DIVIDE(MomentumTwins):
    """Decoupled contrastive clustering of two views with high-order random walks.

    Two views, of which a sample may lack one: pass `present`. The encoders learn from the
    samples that have both. A code that is missing is predicted from the other view's. Use it
    where rows are partners; `aligned` is not read, and it has no defence against wrong ones,
    for which CANDY and CorreGen are made. k-means clusters [g_1(zbar_1), g_2(zbar_2)], the
    predictions from both views. The defaults are the authors' settings for Scene-15.

    Parameters
    ----------
    batch_size : int, default=1024
        Rows in a batch; all, if there are fewer. The rows that fill no batch are left out.
    fixed_batches : bool, default=True
        Whether all epochs have the batches of the first, as in the authors' code.
    rematch : {"none", "batch", "global"}, default="none"
        As in `CANDY`; only samples that have both views are matched anew.

    Notes
    -----
    *Use it* where rows are partners, of which some lack a view. The scale or an offset of a
    column changes nothing. *Cost*: n // batch_size steps an epoch, by default 200 in all for
    2,000 rows, each of batch_size squared. *Beside it*: `KMeansView`, `KMeansConcatenation`,
    `SpectralConcatenation`; `CANDY` and `CorreGen` where partners are wrong.

    What a missing view is filled with passes two heads: that of the view that is there
    gives the code, that of the view that lacks the prediction.

    Examples
    --------
    >>> from mvlib import data, methods
    >>> digits = data.load("handwritten")
    >>> problem = data.hide_views(digits.Xs, digits.y, rate=0.5, protocol="half")
    >>> model = methods.DIVIDE(10, random_state=0)
    >>> labels = model.fit_predict(problem.Xs, present=problem.present)  # doctest: +SKIP
    """

    identity_epochs: int = 100
    fixed_batches: bool = True
    rematch: str = "none"

    _takes_missing = True
    _bounds = {"fixed_batches": flag}

    def _losses(
        self, codes: Codes, epoch: int, batch: torch.Tensor
    ) -> Mapping[str, torch.Tensor]:
        if epoch < self.identity_epochs:
            T = [torch.eye(len(batch), device=batch.device)] * 2
        else:
            T = [random_walk_target(z_bar) for z_bar in codes.z_bar]
        # The target belongs to the view of the keys.
        loss = partial(soft_info_nce, temperature=self.temperature)
        return twin_losses(codes, [T, T], loss)

    def _features(self, Z: Sequence[torch.Tensor], matched: np.ndarray) -> np.ndarray:
        both = [self.network_.predict(Z_v, v) for v, Z_v in enumerate(Z)]
        return super()._features(both, matched)
