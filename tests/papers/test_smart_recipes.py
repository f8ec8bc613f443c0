"""SMART's recipes: what each one changes, and what it leaves alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from mvlib import data
from mvlib.papers.smart_recipes import PAPER_RECIPE, RECIPES, fit_recipe

SETTINGS = {"hidden_dims": (8,), "embedding_dim": 4, "epochs": 1, "batch_size": 30}
SETTINGS |= {"precision": "bfloat16", "device": "cpu", "random_state": 3}


@pytest.fixture(scope="module")
def data_set():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 15)
    Xs = [rng.normal(y[:, None], size=(30, d)) * np.arange(1, d + 1) for d in (5, 3)]
    return replace(data.load("handwritten"), Xs=[X.astype(np.float32) for X in Xs], y=y)


def fitted(recipe, data_set, ratio=1.0):
    return fit_recipe(recipe, data_set, ratio, 20, SETTINGS)


def first_weights(recipe, data_set):
    """Return SMART's layers as they began: at such a rate its epoch hardly moves them."""
    given = SETTINGS | {"learning_rate": 1e-30, "weight_decay": 0.0}
    model, _ = fit_recipe(recipe, data_set, 1.0, 20, given)
    return [layer for layer in model.network_.modules() if isinstance(layer, nn.Linear)]


def test_the_papers_recipe_scales_each_view_as_one_block(data_set):
    _, problem = fitted(PAPER_RECIPE, data_set)
    scaled = data.min_max_scale(data_set.Xs)
    for X, whole, order in zip(problem.Xs, scaled, problem.permutations, strict=True):
        assert np.array_equal(X, whole[order])


def test_columns_are_scaled_one_by_one_where_the_name_says_so(data_set):
    for recipe, of_0, of_1 in (
        ("each column to [0, 1]", np.min, np.max),
        ("each column standardised", np.mean, np.std),
    ):
        _, problem = fitted(recipe, data_set)
        for X in problem.Xs:
            np.testing.assert_allclose(of_0(X, axis=0), 0, atol=1e-5)
            np.testing.assert_allclose(of_1(X, axis=0), 1, atol=1e-5)


def test_view_2_comes_first_with_the_labels_of_its_rows(data_set):
    _, problem = fitted("view 2 first", data_set, ratio=0.5)
    second, first = data.min_max_scale(data_set.Xs)
    assert np.array_equal(problem.Xs[0], first[problem.permutations[0]])
    assert np.array_equal(problem.Xs[1], second[problem.permutations[1]])
    assert np.array_equal(problem.y, data_set.y[problem.permutations[0]])


def test_xaviers_weights_are_drawn_for_one_fit_alone(data_set):
    own = nn.Linear.reset_parameters
    for recipe, zero in (("Xavier's first weights", True), (PAPER_RECIPE, False)):
        for layer in first_weights(recipe, data_set):
            bound = np.sqrt(6 / sum(layer.weight.shape)) if zero else layer.in_features**-0.5
            assert layer.weight.abs().max() <= bound * (1 + 1e-6)
            assert torch.all(layer.bias.abs() < 1e-20) == zero
    assert nn.Linear.reset_parameters is own


def test_only_one_recipe_changes_the_precision(data_set):
    found = {recipe: fitted(recipe, data_set)[0].precision for recipe in RECIPES}
    assert found.pop("float32 products") == "float32"
    assert set(found.values()) == {"bfloat16"}


def test_an_unknown_recipe_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'view 2 first'"):
        fit_recipe("view 1 first", None, 1.0, 20, SETTINGS)
