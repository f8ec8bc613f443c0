"""Scaling views to [0, 1], as one block or column by column, and new rows by the same scale."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from mvlib.check import check_choice, check_views, check_widths, lost_column

SCALES = ("block", "column")


class ViewScaler(BaseEstimator):
    """Bring views to [0, 1], and new rows of them by the scale that was fitted.

    Parameters
    ----------
    by : {"block", "column"}, default="block"
        "block" takes the smallest and the largest entry over all rows and columns of a view,
        so that its columns keep their sizes relative to each other. "column" takes those of
        each column; one that is constant becomes 0.

    Attributes
    ----------
    low_, high_ : list of ndarray, each of shape () or (n_features_v,), float64
        The entries that become 0 and 1, a view each.
    n_features_in_ : list of int
        Widths of the views.

    Notes
    -----
    Which scale is better hangs on the data. Columns of different units ask for "column";
    counts and pixels, whose sizes tell something, for "block". `mvlib.compare` tries both.

    Examples
    --------
    >>> import numpy as np
    >>> from mvlib.data import ViewScaler
    >>> scaler = ViewScaler().fit([np.array([[0.0, 2.0], [4.0, 1.0]])])
    >>> scaler.transform([np.array([[1.0, 6.0]])])
    [array([[0.25, 1.5 ]], dtype=float32)]
    """

    def __init__(self, by: str = "block"):
        self.by = by

    def fit(self, Xs: Sequence[Any], y: Any = None) -> ViewScaler:
        """Read the scales.

        Parameters
        ----------
        Xs : sequence of array-like, each (n_samples, n_features_v)
            The views.
        y
            Not read.

        Raises
        ------
        ValueError
            If the views are malformed, or one is constant and scaled as a block.
        """
        axis = None if check_choice("by", self.by, SCALES) == "block" else 0
        views = check_views(Xs, dtype=np.float64)
        lows, highs = ([f(X, axis=axis) for X in views] for f in (np.min, np.max))
        for v, (low, high) in enumerate(zip(lows, highs, strict=True)):
            if axis is None and low == high:
                raise ValueError(
                    f"Xs[{v}] is constant, {low} everywhere: expected a view with at least two "
                    "different values, since there is no range to scale"
                )
        self.low_, self.high_ = lows, highs
        self.n_features_in_ = [X.shape[1] for X in views]
        return self

    def transform(self, Xs: Sequence[Any]) -> list[np.ndarray]:
        """Return views by the scale that was fitted; entries beyond it leave [0, 1].

        Parameters
        ----------
        Xs : sequence of array-like, each (n_samples, n_features_v)
            Views of the widths that were fitted.

        Returns
        -------
        list of ndarray, each (n_samples, n_features_v), float32
            New arrays. The arithmetic is in float64.

        Raises
        ------
        ValueError
            If the views are malformed, or their number or widths differ.
        """
        check_is_fitted(self)
        views = check_views(Xs, dtype=np.float64)
        check_widths(views, self.n_features_in_)
        scaled = []
        for v, (X, low, high) in enumerate(zip(views, self.low_, self.high_, strict=True)):
            with np.errstate(over="ignore"):
                span = high - low
            if not np.isfinite(span).all():
                X, low, span = X / 2, low / 2, high / 2 - low / 2
            unit = (X - low) / np.where(span > 0, span, 1)
            column = lost_column(unit)
            if column is not None:
                warnings.warn(
                    f"Xs[{v}] has a column, {column}, whose spread float32 hardly holds beside "
                    "the view's: scale it by column, or subtract the column's mean first",
                    UserWarning,
                    stacklevel=2,
                )
            scaled.append(unit.astype(np.float32))
        return scaled

    def fit_transform(self, Xs: Sequence[Any], y: Any = None) -> list[np.ndarray]:
        """Return what `transform` makes of the views that are fitted."""
        return self.fit(Xs).transform(Xs)


def min_max_scale(Xs: Sequence[Any]) -> list[np.ndarray]:
    """Scale each view to [0, 1] as one block: `ViewScaler`, which remembers the scale.

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
    return ViewScaler().fit_transform(Xs)
