"""Checks of SMART's parameters."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mvlib._validation import check_choice, check_n_clusters, check_number
from mvlib.methods.smart.equations import VDA_TERMS
from mvlib.methods.smart.thresholds import threshold_rule
from mvlib.ops.device import PRECISIONS
from mvlib.ops.kmeans import INITS

if TYPE_CHECKING:
    from mvlib.methods.smart.estimator import SMART

SELECTIONS = ("last", "loss", "oracle")
MODES = ("eval", "train")


def check_parameters(model: SMART, views: Sequence[np.ndarray], y: Any) -> None:
    """Check everything that `SMART.__init__` took, before any work is done.

    Parameters
    ----------
    model : SMART
        The estimator.
    views : sequence of ndarray, each (n_samples, n_features_v)
        The views, checked by themselves.
    y : array-like or None
        What `fit` got.

    Raises
    ------
    ValueError
        If a parameter is of the wrong kind or out of range, or `selection="oracle"` has no
        labels.
    """
    n = len(views[0])
    if n < 2:
        raise ValueError(f"Xs has {n} row: expected at least 2, for batch normalisation")
    check_n_clusters(model.n_clusters, n)
    check_number("embedding_dim", model.embedding_dim, low=2, integer=True)
    for width in model.hidden_dims:
        check_number("hidden_dims", width, low=1, integer=True)
    check_number("batch_size", model.batch_size, low=2, integer=True)
    for name in ("epochs", "n_init"):
        check_number(name, getattr(model, name), low=1, integer=True)
    check_choice("init", model.init, INITS)
    for start in model.track_starts:
        if isinstance(start, str) or len(start) != 2:
            raise ValueError(
                f"track_starts holds {start!r}: expected pairs of an init and an n_init, such "
                "as ('draws', 20)"
            )
        check_choice("track_starts' init", start[0], INITS)
        check_number("track_starts' n_init", start[1], low=1, integer=True)
    for name in ("learning_rate", "temperature"):
        check_number(name, getattr(model, name), low=0, open_low=True)
    for name in ("weight_decay", "lambda1", "lambda2"):
        check_number(name, getattr(model, name), low=0)
    threshold_rule(model.threshold)
    for name, options in (("vda_terms", VDA_TERMS), ("track", MODES)):
        if isinstance(getattr(model, name), str):
            raise ValueError(
                f"{name}={getattr(model, name)!r} is a string: expected a sequence of "
                f"strings, such as ({getattr(model, name)!r},)"
            )
        for value in getattr(model, name):
            check_choice(name, value, options)
    if not model.vda_terms:
        raise ValueError("vda_terms is empty: expected a term; lambda1=0 leaves L_vda out")
    check_choice("selection", model.selection, SELECTIONS)
    check_choice("features", model.features, MODES)
    check_choice("precision", model.precision, PRECISIONS)
    if model.graph_batch_size is not None:
        check_number("graph_batch_size", model.graph_batch_size, low=1, integer=True)
    if model.random_state is not None:
        check_number("random_state", model.random_state, low=0, high=2**32 - 1, integer=True)
    if model.selection == "oracle":
        if y is None:
            raise ValueError(
                "selection='oracle' needs y, the labels of view 1: pass y to fit, or "
                "select by 'last' or 'loss'"
            )
        warnings.warn(
            "selection='oracle' reads the labels: its score is an upper bound, not what "
            "an unlabelled run would get",
            UserWarning,
            stacklevel=4,
        )
