"""What a reproduction may do otherwise around SMART: scale, order, first weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from sklearn.preprocessing import minmax_scale, scale

from mvlib.check import check_choice
from mvlib.data import Dataset, PartialAlignment, min_max_scale, partially_align
from mvlib.methods import SMART

PAPER_RECIPE = "as in the paper"

_VIEWS: Mapping[str, Callable[[Sequence[np.ndarray]], list[np.ndarray]]] = MappingProxyType(
    {
        "each column to [0, 1]": lambda Xs: [minmax_scale(X).astype(np.float32) for X in Xs],
        "each column standardised": lambda Xs: [
            scale(X.astype(np.float64)).astype(np.float32) for X in Xs
        ],
        "view 2 first": lambda Xs: min_max_scale(Xs[::-1]),
    }
)
_SETTINGS: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "Xavier's first weights": {"weight_init": "xavier"},
        "float32 products": {"precision": "float32"},
    }
)

RECIPES = (PAPER_RECIPE, *_VIEWS, *_SETTINGS)


def fit_recipe(
    recipe: str,
    data_set: Dataset,
    aligned_ratio: float,
    split: int,
    settings: Mapping[str, Any],
) -> tuple[SMART, PartialAlignment]:
    """Train SMART with one choice around its equations changed."""
    check_choice("recipe", recipe, RECIPES)
    views = _VIEWS.get(recipe, min_max_scale)(data_set.Xs)
    problem = partially_align(views, data_set.y, aligned_ratio, split)
    model = SMART(data_set.n_clusters, **(dict(settings) | _SETTINGS.get(recipe, {})))
    return model.fit(problem.Xs, aligned=problem.aligned), problem
