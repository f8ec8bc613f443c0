"""One semantic space of CAE: the words kept, the images told in them, what tells how well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mvlib.check import check_choice
from mvlib.encoders import TextBank
from mvlib.methods.cae_equations import optimal_transport_plan
from mvlib.methods.counterparts import (
    Block,
    cluster_mass,
    counterpart,
    plan_blocks,
    softmax_blocks,
    softmax_counterpart,
)
from mvlib.methods.semantic_space import retrieve_top_k

COLUMN_MARGINALS = ("uniform", "retrieval", "softmax")

# Least mass of a word, as a share of the equal one: a word that nothing asks for would
# otherwise leave the plan a column without mass.
LEAST_SHARE = 1e-3


@dataclass(frozen=True)
class SemanticSpace:
    """Images told in the words of one kind.

    Attributes
    ----------
    kept : ndarray of shape (n_kept,), int64
        Rows of the bank.
    words : TextBank
        The kept words.
    counterpart : ndarray of shape (n_samples, n_features), float32
        Of unit length.
    plan : ndarray of shape (n_samples, n_kept) or None
        The transport; None under the softmax.
    row_error, column_error : float
        L1 distances of the marginals of the weights from those asked for.
    transport_iterations : int
        Of Sinkhorn; 0 under the softmax.
    """

    kept: np.ndarray
    words: TextBank
    counterpart: np.ndarray
    plan: np.ndarray | None
    row_error: float
    column_error: float
    transport_iterations: int

    def blocks(self, X: np.ndarray, temperature: float, device: str) -> Iterator[Block]:
        """Give the counterparts' weights in blocks of rows."""
        if self.plan is None:
            return softmax_blocks(X, self.words.features, temperature, device)
        return plan_blocks(X, self.words.features, self.plan, device=device)


def build_space(
    model: Any, X: np.ndarray, centres: np.ndarray, bank: TextBank
) -> SemanticSpace:
    """Return the semantic space of one kind of words, by the parameters of a `CAE`.

    Parameters
    ----------
    model : CAE
        Its parameters are read.
    X : ndarray of shape (n_samples, n_features), float32
        Images.
    centres : ndarray of shape (n_centers, n_features), float32
        What chooses the words.
    bank : TextBank
        The words.

    Returns
    -------
    SemanticSpace

    Raises
    ------
    TransportError
        If the plan is empty, NaN, or misses its marginals.
    ValueError
        If there are fewer words than `top_k`, or a parameter is out of range.
    """
    kept, counts = retrieve_top_k(centres, bank.features, model.top_k, device=model.device)
    words = TextBank(tuple(bank.texts[j] for j in kept), bank.features[kept])
    U = words.features
    columns = word_marginals(
        model.column_marginals, X, U, counts, model.temperature, model.device
    )
    if model.counterpart == "softmax":
        used = softmax_marginals(X, U, model.temperature, model.device)
        told = softmax_counterpart(X, U, model.temperature, device=model.device)
        error = float(np.abs(used - columns).sum())
        return SemanticSpace(kept, words, told, None, 0.0, error, 0)
    found = optimal_transport_plan(
        X,
        U,
        row_marginals=None if isinstance(model.row_marginals, str) else model.row_marginals,
        column_marginals=columns,
        cost=model.cost,
        epsilon=model.epsilon,
        max_iter=model.max_iter,
        device=model.device,
    )
    told = counterpart(X, U, found.plan, device=model.device)
    return SemanticSpace(
        kept, words, told, found.plan, found.row_error, found.column_error, found.n_iter
    )


def word_marginals(
    kind: str,
    X: np.ndarray,
    words: np.ndarray,
    counts: np.ndarray,
    temperature: float,
    device: str = "auto",
) -> np.ndarray:
    """Return the mass that a plan is to give each word.

    Parameters
    ----------
    kind : {"uniform", "retrieval", "softmax"}
        Equal; in proportion to `counts`; or the share of TAC's softmax, no word under a
        thousandth of the equal share.
    X : ndarray of shape (n_samples, n_features), float32
        Images.
    words : ndarray of shape (n_words, n_features), float32
        Words.
    counts : ndarray of shape (n_words,)
        For how many centres each was retrieved.
    temperature : float
        Of the softmax.
    device : str, default="auto"
        Where to compute.

    Returns
    -------
    ndarray of shape (n_words,), float64
        Sums to one.

    Raises
    ------
    ValueError
        If the kind is unknown.
    """
    check_choice("column_marginals", kind, COLUMN_MARGINALS)
    if kind == "uniform":
        return np.full(len(words), 1 / len(words))
    if kind == "retrieval":
        return counts / counts.sum()
    mass = softmax_marginals(X, words, temperature, device)
    mass = np.maximum(mass, LEAST_SHARE / len(words))
    return mass / mass.sum()


def softmax_marginals(
    X: np.ndarray, words: np.ndarray, temperature: float, device: str = "auto"
) -> np.ndarray:
    """Return the share of TAC's weights that falls on each word.

    Parameters
    ----------
    X, words : ndarray of shape (n_rows, n_features), float32
        Images and words.
    temperature : float
        tau.
    device : str, default="auto"
        Where to compute.

    Returns
    -------
    ndarray of shape (n_words,), float64
        Sums to one.
    """
    blocks = softmax_blocks(X, words, temperature, device)
    mass = cluster_mass(blocks, np.zeros(len(X), dtype=np.int64), 1, len(words))[0]
    return mass / mass.sum()
