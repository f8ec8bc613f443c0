"""Figures of settings draw the numbers that they are given."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from mvlib import plots

mpl.use("agg")


def test_heat_maps_hold_the_means_and_frame_the_papers_point():
    frame = pd.DataFrame(
        {
            "a": [1.0, 1.0, 2.0, 2.0, 2.0],
            "b": [10, 20, 10, 20, 20],
            "acc": [0.1, 0.2, 0.3, 0.4, 0.6],
        }
    )
    figure = plots.plot_heatmaps({("a", "b"): frame}, mark={"a": 2.0, "b": 20})
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.texts] == ["10", "20", "30", "50"]
    (mark,) = ax.patches
    assert (mark.get_x(), mark.get_y()) == (1, 1)
    unmarked = plots.plot_heatmaps({("a", "b"): frame}, mark={"a": 3.0, "b": 20})
    assert list(unmarked.axes[0].patches) == []


def test_a_trend_is_the_mean_at_every_setting():
    frame = pd.DataFrame(
        {"method": ["m"] * 4, "views": [2, 2, 3, 3], "acc": [0.2, 0.4, 0.5, 0.7]}
    )
    (ax,) = plots.plot_trend(frame, "views", "number of views", log=False).axes
    line = ax.get_lines()[0]
    assert line.get_xdata().tolist() == [2, 3]
    assert np.allclose(line.get_ydata(), [30, 60])
    assert ax.get_xlabel() == "number of views"


def test_edges_are_drawn_once_a_group_at_their_mean():
    frame = pd.DataFrame(
        {
            "method": ["a", "a", "b"],
            "measure_precision": [0.2, 0.4, 0.9],
            "measure_recall": [0.5, 0.7, 0.1],
        }
    )
    lines = plots.plot_edges(frame).axes[0].get_lines()
    points = [(line.get_label(), *line.get_xydata()[0]) for line in lines]
    assert points == [("a", pytest.approx(60), pytest.approx(30)), ("b", 10, 90)]


def test_measures_are_dots_and_their_means_lines():
    frame = pd.DataFrame(
        {"method": ["a", "a", "b"], "measure_x": [1.0, 3.0, 5.0], "measure_y": [1.0, 1, 2]}
    )
    figure = plots.plot_measures(frame, {"measure_x": "X", "measure_y": "Y"})
    assert [ax.get_title() for ax in figure.axes] == ["X", "Y"]
    dots = figure.axes[0].get_lines()[0].get_xydata().tolist()
    assert dots == [[1, 0], [3, 0], [5, 1]]
    means = [c.get_segments()[0][0][0] for c in figure.axes[0].collections]
    assert means == [2, 5]


def test_costs_are_drawn_a_panel_each_and_unknown_ones_refused():
    frame = pd.DataFrame(
        {
            "method": ["blocks"] * 2,
            "rows": [10, 100],
            "measure_seconds_training": [1.0, 10.0],
            "measure_memory_mb": [5.0, 50.0],
        }
    )
    figure = plots.plot_costs(frame, "rows", ["seconds_training", "memory_mb"], "rows")
    assert np.allclose(figure.axes[1].get_lines()[0].get_ydata(), [5, 50])
    assert [ax.get_yscale() for ax in figure.axes] == ["log", "log"]
    with pytest.raises(ValueError, match="Did you mean 'memory_mb'"):
        plots.plot_costs(frame, "rows", ["memory_bm"], "rows")
