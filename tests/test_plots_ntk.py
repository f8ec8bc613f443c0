"""Figures of the chapter on NTK spectral clustering."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

from mvlib import plots

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def test_affinities_are_drawn_with_the_images_of_a_class_side_by_side():
    y = np.array([1, 0, 1, 0])
    matrix = (y[:, None] == y).astype(float)
    figure = plots.plot_affinities({"first": matrix, "second": 2 * matrix}, y)
    assert [ax.get_title() for ax in figure.axes] == ["first", "second"]
    shown = figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal(shown, np.kron(np.eye(2), np.ones((2, 2))))


def test_many_images_are_thinned_evenly_over_the_classes():
    y = np.repeat([0, 1], 50)
    matrix = (y[:, None] == y).astype(float)
    (ax,) = plots.plot_affinities({"only": matrix}, y, columns=1, most=40).axes
    shown = ax.images[0].get_array()
    assert shown.shape == (34, 34)
    assert shown[:, 0].sum() == 17


def test_transitions_share_one_scale_from_0_to_1():
    table = np.array([[0.75, 0.25], [0.5, 0.5]])
    figure = plots.plot_transitions({"a": table, "b": np.eye(2)}, ["cat", "dog"])
    limits = {ax.images[0].get_clim() for ax in figure.axes if ax.images}
    assert limits == {(0, 1)}
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["cat", "dog"]


def test_the_objective_is_drawn_above_its_last_value_and_weights_beside_equal_ones():
    steps = ("start", "diffusion", "weights", "diffusion", "weights")
    figure = plots.plot_diffusion(np.array([9.0, 5, 4, 2, 1]), steps, np.array([0.5, 0.3, 0.2]))
    left, right = figure.axes
    np.testing.assert_allclose(left.lines[0].get_ydata(), [8, 4, 3, 1])
    np.testing.assert_allclose(left.lines[2].get_xdata(), [2])
    assert [bar.get_height() for bar in right.patches] == [0.5, 0.3, 0.2]
    np.testing.assert_allclose(right.lines[0].get_ydata(), 1 / 3)


def test_a_setting_has_its_own_panel_with_the_papers_value_dotted():
    frame = pd.DataFrame(
        {
            "setting": ["mu", "mu", "mu", "top"],
            "value": [0.1, 1.0, 1.0, 5.0],
            "acc": [0.5, 0.6, 0.8, 0.4],
        }
    )
    figure = plots.plot_settings(frame, {"mu": 1.0}, {"mu": "pull", "top": "nouns"}, columns=3)
    first, second, empty = figure.axes
    np.testing.assert_allclose(first.lines[1].get_ydata(), [50, 70])
    np.testing.assert_allclose(first.lines[2].get_xdata(), 1)
    assert len(second.lines) == 2
    assert not empty.axison


def test_growth_is_drawn_on_logarithmic_axes_with_the_sizes_as_ticks():
    frame = pd.DataFrame(
        {"method": ["a", "a", "b"], "n_samples": [100, 1000, 100], "s": [1.0, 10, 2]}
    )
    (ax,) = plots.plot_growth(frame, {"s": "seconds"}).axes
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["100", "1,000"]
