"""What CAE's Theorem 1 speaks of, measured: column marginals and semantic error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mvlib.methods.cae_equations import optimal_transport_plan
from mvlib.methods.cae_space import softmax_marginals
from mvlib.methods.counterparts import counterpart, softmax_counterpart
from mvlib.methods.semantic_inputs import check_features, check_same_space
from mvlib.ops.rows import unit_rows


@dataclass(frozen=True)
class CounterpartQuantities:
    """One kind of counterpart, measured.

    Attributes
    ----------
    column_marginals : ndarray of shape (n_words,), float64
        Share of all weight that falls on each word; sums to one.
    column_error : float
        Their L1 distance from the marginals asked for, from 0 to 2.
    semantic_error : float
        |sum_j c_j u_j - sum_j b_j u_j|_2, with c the column marginals, b those asked for and
        u_j the words at unit length. At most `column_error`.
    target_errors : ndarray of shape (n_samples,), float64, or None
        1 - cos(counterpart, target) of each image.
    """

    column_marginals: np.ndarray
    column_error: float
    semantic_error: float
    target_errors: np.ndarray | None

    @property
    def target_error(self) -> float | None:
        """Mean of `target_errors`."""
        return None if self.target_errors is None else float(self.target_errors.mean())


def theorem_1_quantities(
    X: np.ndarray,
    words: np.ndarray,
    *,
    targets: np.ndarray | None = None,
    column_marginals: np.ndarray | None = None,
    temperature: float = 0.005,
    epsilon: float = 0.01,
    max_iter: int = 1000,
    similarity: bool = True,
    device: str = "auto",
) -> dict[str, CounterpartQuantities]:
    """Measure the counterparts of softmax, transport and a blind plan in one semantic space.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Image features.
    words : array-like of shape (n_words, n_features)
        Text features of the space.
    targets : array-like of shape (n_samples, n_features), optional
        What each counterpart should say, such as the embedding of the image's own caption
        or of its class name. Labels in disguise: for measuring, never for clustering.
    column_marginals : array-like of shape (n_words,), optional
        b, the mass asked for. Uniform, by default.
    temperature : float, default=0.005
        tau of the softmax.
    epsilon : float, default=0.01
        Of the transport. With epsilon = tau the plan is the softmax, rescaled to fit b.
    max_iter : int, default=1000
        Bound on Sinkhorn's iterations.
    similarity : bool, default=True
        Whether the counterparts of the plans are weighed by s_ij (`target_errors` alone
        depend on it).
    device : str, default="auto"
        Where to compute.

    Returns
    -------
    dict of str to CounterpartQuantities
        "softmax"; "transport"; "blind", the plan that meets both marginals and
        ignores the images: every image gets b.

    Raises
    ------
    TransportError
        If the plan is empty, NaN, or misses its marginals.
    ValueError
        If shapes differ, values are not finite, or a parameter is out of range.

    Notes
    -----
    Of Theorem 1 (arXiv 2512.00904) only the claim is known, secondary: the column constraints
    bound the semantic error by that of TAC's softmax. *Deviations*. Its definition of the
    error is unknown, so the theorem itself is not checked here. Two readings are measured.

    - Of the images together: `semantic_error` is how far their mean description, before its
      norm is divided out and without s_ij, is from the description that b asks for. By the
      triangle inequality it is at most the column error, so whatever meets the columns passes,
      "blind" included. Under this reading the claim follows from the constraint and says
      nothing of any image.
    - Of each image: `target_errors` of "transport" are at most those of "softmax". This can
      fail, and does where the true shares of the words are far from b.
    """
    X, words = check_features("X", X), check_features("words", words)
    check_same_space(images=X, words=words)
    if targets is not None:
        targets = check_features("targets", targets)
        if targets.shape != X.shape:
            raise ValueError(f"targets has shape {targets.shape}: expected {X.shape}, as X")
    found = optimal_transport_plan(
        X,
        words,
        column_marginals=column_marginals,
        epsilon=epsilon,
        max_iter=max_iter,
        device=device,
    )
    if column_marginals is None:
        asked = np.full(len(words), 1 / len(words))
    else:
        asked = np.asarray(column_marginals, dtype=np.float64)
        asked = asked / asked.sum()
    plans = {
        "transport": found.plan,
        "blind": np.tile(asked.astype(np.float32), (len(X), 1)),
    }
    told = {"softmax": softmax_counterpart(X, words, temperature, device=device)}
    marginals = {"softmax": softmax_marginals(X, words, temperature, device)}
    for kind, plan in plans.items():
        told[kind] = counterpart(X, words, plan, similarity=similarity, device=device)
        mass = plan.sum(axis=0, dtype=np.float64)
        marginals[kind] = mass / mass.sum()
    return {kind: _measure(marginals[kind], asked, words, told[kind], targets) for kind in told}


def _measure(
    marginals: np.ndarray,
    asked: np.ndarray,
    words: np.ndarray,
    told: np.ndarray,
    targets: np.ndarray | None,
) -> CounterpartQuantities:
    shift = (marginals - asked) @ unit_rows(words.astype(np.float64))
    target_errors = None
    if targets is not None:
        cosines = (unit_rows(told) * unit_rows(targets)).sum(axis=1, dtype=np.float64)
        target_errors = 1 - cosines
    return CounterpartQuantities(
        marginals,
        float(np.abs(marginals - asked).sum()),
        float(np.linalg.norm(shift)),
        target_errors,
    )
