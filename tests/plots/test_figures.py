"""Figures draw the numbers that they are given."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

from mvlib import plots
from mvlib.tasks.modalities import INDEPENDENT, SAME

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def test_affinities_and_graphs_are_drawn_with_the_images_of_a_class_side_by_side():
    y = np.array([1, 0, 1, 0])
    matrix = (y[:, None] == y).astype(float)
    figure = plots.plot_affinities({"first": matrix, "second": 2 * matrix}, y)
    assert [ax.get_title() for ax in figure.axes] == ["first", "second"]
    shown = figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal(shown, np.kron(np.eye(2), np.ones((2, 2))))
    (image,) = plots.plot_graph({"graph": matrix}, y).axes[0].get_images()
    np.testing.assert_array_equal(image.get_array(), shown)
    # Many images are thinned, evenly over the classes.
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
    rows = [["mu", 0.1, 0.5], ["mu", 1.0, 0.6], ["mu", 1.0, 0.8], ["top", 5.0, 0.4]]
    frame = pd.DataFrame(rows, columns=["setting", "value", "acc"])
    figure = plots.plot_settings(frame, {"mu": 1.0}, {"mu": "pull", "top": "nouns"}, columns=3)
    first, second, empty = figure.axes
    np.testing.assert_allclose(first.lines[1].get_ydata(), [50, 70])
    np.testing.assert_allclose(first.lines[2].get_xdata(), 1)
    assert len(second.lines) == 2
    assert not empty.axison


def test_growth_is_drawn_on_logarithmic_axes_with_the_sizes_as_ticks():
    rows = [["a", 100, 1.0], ["a", 1000, 10], ["b", 100, 2]]
    frame = pd.DataFrame(rows, columns=["method", "n_samples", "s"])
    (ax,) = plots.plot_growth(frame, {"s": "seconds"}).axes
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["100", "1,000"]


def test_heat_maps_hold_the_means_and_frame_the_papers_point():
    rows = [[1.0, 10, 0.1], [1.0, 20, 0.2], [2.0, 10, 0.3], [2.0, 20, 0.4], [2.0, 20, 0.6]]
    frame = pd.DataFrame(rows, columns=["a", "b", "acc"])
    figure = plots.plot_heatmaps({("a", "b"): frame}, mark={"a": 2.0, "b": 20})
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.texts] == ["10", "20", "30", "50"]
    (mark,) = ax.patches
    assert (mark.get_x(), mark.get_y()) == (1, 1)
    unmarked = plots.plot_heatmaps({("a", "b"): frame}, mark={"a": 3.0, "b": 20})
    assert list(unmarked.axes[0].patches) == []


def test_a_trend_is_the_mean_at_every_setting():
    frame = pd.DataFrame({"method": "m", "views": [2, 2, 3, 3], "acc": [0.2, 0.4, 0.5, 0.7]})
    (ax,) = plots.plot_trend(frame, "views", "number of views", log=False).axes
    line = ax.get_lines()[0]
    assert line.get_xdata().tolist() == [2, 3]
    assert np.allclose(line.get_ydata(), [30, 60])
    assert ax.get_xlabel() == "number of views"


def test_edges_are_drawn_once_a_group_at_their_mean():
    rows = [["a", 0.2, 0.5], ["a", 0.4, 0.7], ["b", 0.9, 0.1]]
    frame = pd.DataFrame(rows, columns=["method", "measure_precision", "measure_recall"])
    lines = plots.plot_edges(frame).axes[0].get_lines()
    points = [(line.get_label(), *line.get_xydata()[0]) for line in lines]
    assert points == [("a", pytest.approx(60), pytest.approx(30)), ("b", 10, 90)]


def test_measures_are_dots_and_their_means_lines():
    rows = [["a", 1.0, 1.0], ["a", 3.0, 1.0], ["b", 5.0, 2.0]]
    frame = pd.DataFrame(rows, columns=["method", "measure_x", "measure_y"])
    figure = plots.plot_measures(frame, {"measure_x": "X", "measure_y": "Y"})
    assert [ax.get_title() for ax in figure.axes] == ["X", "Y"]
    dots = figure.axes[0].get_lines()[0].get_xydata().tolist()
    assert dots == [[1, 0], [3, 0], [5, 1]]
    (lines,) = figure.axes[0].collections
    means = [line[0][0] for line in lines.get_segments()]
    assert means == [2, 5]


def test_costs_are_drawn_a_panel_each_and_unknown_ones_refused():
    measures = {"measure_seconds_training": [1.0, 10.0], "measure_memory_mb": [5.0, 50.0]}
    frame = pd.DataFrame({"method": "blocks", "rows": [10, 100]} | measures)
    figure = plots.plot_costs(frame, "rows", ["seconds_training", "memory_mb"], "rows")
    assert np.allclose(figure.axes[1].get_lines()[0].get_ydata(), [5, 50])
    assert [ax.get_yscale() for ax in figure.axes] == ["log", "log"]
    with pytest.raises(ValueError, match="Did you mean 'memory_mb'"):
        plots.plot_costs(frame, "rows", ["memory_bm"], "rows")


def test_accuracy_by_epoch_and_scores_draw_what_they_are_given():
    curve = np.array([0.2, 0.4, 0.5])
    figure = plots.plot_accuracy_by_epoch({"a": curve}, {"floor": 0.5}, [("last", 2, 0.5)])
    lines = figure.axes[0].get_lines()
    assert np.allclose(lines[0].get_ydata(), 100 * curve)
    assert np.allclose(lines[1].get_ydata(), 50)
    losses = ("reconstruction", "distribution_alignment", "semantic_matching", "threshold")
    assert len(plots.plot_losses(dict.fromkeys(losses, curve)).axes) == 4
    frame = pd.DataFrame({"rule": ["last", "oracle"] * 2, "features": list("aabb")})
    frame["acc"] = [0.1, 0.2, 0.3, 0.5]
    for hue in (None, "features"):
        lines = plots.plot_scores(frame, by="rule", hue=hue).axes[0].get_lines()
        drawn = np.concatenate([line.get_xdata() for line in lines])
        assert sorted(drawn) == pytest.approx([10, 20, 30, 50])


def test_recall_is_drawn_with_chance_and_ratios_in_per_cent():
    frame = pd.DataFrame({"draws": [SAME, INDEPENDENT] * 4, "ratio": 0.0})
    frame = frame.assign(measure_r10=np.arange(8) / 10, measure_gallery=100.0)
    later = frame.assign(ratio=0.05)
    figure = plots.plot_recall(pd.concat([frame, later]), "ratio", "draws", "known pairs (%)")
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "5"]
    dotted = [line.get_ydata() for line in ax.lines if line.get_linestyle() == ":"]
    assert any(np.allclose(level, 10) for level in dotted)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [SAME, INDEPENDENT, "chance"]
