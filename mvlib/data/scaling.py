"""Bringing views to one range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mvlib.check import check_views


def min_max_scale(Xs: Sequence[Any]) -> list[np.ndarray]:
    """Scale each view to [0, 1] as one block.

    A view's smallest entry becomes 0 and its largest 1, over all rows and columns at
    once, so the columns of a view keep their sizes relative to each other.

    Parameters
    ----------
    Xs : sequence of array-like, each (n_samples, n_features_v)
        The views.

    Returns
    -------
    list of ndarray, each (n_samples, n_features_v), float32
        New arrays. The arithmetic is in float64.

    Raises
    ------
    ValueError
        If the views are malformed (see `mvlib.data.partially_align`) or one is constant.

    Notes
    -----
    As in the code of SMART and of PVC. The others differ: VITAL brings each column to
    [0, 1] by itself; MvCLN scales nothing but the columns of Reuters_dim10, SURE those and the
    second view of MNIST-USPS. SMART's authors scale before they choose the aligned rows.
    """
    scaled = []
    for v, X in enumerate(check_views(Xs, dtype=np.float64)):
        low, high = X.min(), X.max()
        if low == high:
            raise ValueError(
                f"Xs[{v}] is constant, {low} everywhere: expected a view with at least two "
                "different values, since there is no range to scale"
            )
        scaled.append(((X - low) / (high - low)).astype(np.float32))
    return scaled
