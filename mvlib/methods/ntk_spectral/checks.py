"""Whether the estimator's parameters make sense."""

from __future__ import annotations

from typing import Any

from mvlib._validation import check_choice, check_number
from mvlib.methods.ntk_spectral.equations import AFFINITIES
from mvlib.methods.ntk_spectral.graph import GRAPHS, NORMALIZATIONS
from mvlib.methods.ntk_spectral.neighbors import SEARCHES
from mvlib.methods.ntk_spectral.nouns import PROMPT_MEANS, THREE_A_CLASS
from mvlib.methods.ntk_spectral.weights import RULES

FUSIONS = ("diffusion", "mean", "single")
SOLVERS = ("auto", "full", "subspace", "features")


def check_parameters(model: Any) -> None:
    """Raise unless the estimator's own parameters are in range.

    Parameters
    ----------
    model : NTKSpectralClustering
        Its parameters are read.

    Raises
    ------
    ValueError
        If one is not.
    """
    for argument, options in (
        ("graph", GRAPHS),
        ("normalization", NORMALIZATIONS),
        ("fusion", FUSIONS),
        ("affinity", AFFINITIES),
        ("weights", RULES),
        ("prompt_mean", PROMPT_MEANS),
        ("solver", SOLVERS),
        ("search", SEARCHES),
    ):
        check_choice(argument, getattr(model, argument), options)
    for argument in ("temperature", "mu", "regularization"):
        check_number(argument, getattr(model, argument), low=0, open_low=True)
    check_number("degree_floor", model.degree_floor, low=0)
    for argument in ("n_clusters", "n_neighbors", "n_rounds", "n_steps", "n_features"):
        check_number(argument, getattr(model, argument), low=1, integer=True)
    if isinstance(model.n_centers, str):
        check_choice("n_centers", model.n_centers, (THREE_A_CLASS,))
    for argument in ("rank", "n_centers", "top"):
        value = getattr(model, argument)
        if value is not None and not isinstance(value, str):
            check_number(argument, value, low=1, integer=True)
    if model.solver == "features" and model.fusion == "diffusion":
        raise ValueError(
            "solver='features' has no graph to diffuse: expected fusion='mean' or 'single'"
        )
