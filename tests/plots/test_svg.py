"""Small plots put each mark where its number says, and say it in words."""

import itertools
import re

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from mvlib.plots import svg


def read(text):
    return BeautifulSoup(text, "html.parser").svg


def places(plot, shape, **attributes):
    return [[float(tag[name]) for name in attributes["at"]] for tag in plot.select(shape)]


def test_a_strip_has_a_dot_a_value_with_its_words_and_the_mean_at_the_right():
    rows = {"a": pd.Series([50.0, 70.0], ["seed 1", "seed <2>"]), "b": pd.Series([60.0], ["s"])}
    plot = read(svg.strips("T", rows, lines={"floor": 60.0}, limits=(0, 100)))
    (x1, _), (x2, _), (x3, _) = places(plot, "circle", at=("cx", "cy"))
    assert x1 < x3 < x2
    assert x3 == pytest.approx((x1 + x2) / 2, abs=0.1)
    assert [t.get_text() for t in plot.select("circle title")][1] == "a, seed <2>: 70.0"
    level = plot.select_one("polyline.level")["points"].split(",")[0]
    assert float(level) == pytest.approx(x3, abs=0.1)
    assert [tag.get_text() for tag in plot.select("text.value")] == ["60.0", "60.0"]
    assert "a 60.0; b 60.0; floor 60.0" in plot["aria-label"]
    assert plot["role"] == "img"


def test_a_signed_strip_shows_zero_and_signs():
    plot = read(svg.strips("T", {"a": pd.Series([-2.0], ["s"])}, signed=True))
    (zero,) = plot.select("polyline.zero")
    assert float(zero["points"].split(",")[0]) > float(plot.circle["cx"])
    assert plot.select_one("text.value").get_text() == "-2.0"


def test_a_trend_joins_means_at_equal_distances_and_names_each_line_at_its_end():
    lines = {
        "up": {0.1: pd.Series([0.0, 20.0], ["s", "t"]), 1.0: pd.Series([90.0], ["s"])},
        "flat": {0.1: pd.Series([10.0], ["s"]), 1.0: pd.Series([88.0], ["s"])},
    }
    plot = read(svg.trend("T", lines, "share", levels={"chance": 5.0}, percent=True))
    up, flat = (
        [tuple(map(float, p.split(","))) for p in tag["points"].split()]
        for tag in plot.select("polyline.path")
    )
    assert up[0] == flat[0]
    assert up[1][1] < flat[1][1]
    ends = {tag.get_text(): float(tag["y"]) for tag in plot.select("text.end, text.tick")}
    # Lines that end together are named apart.
    assert ends["flat"] - ends["up"] == pytest.approx(14)
    assert {"10", "100", "chance"} <= set(ends)
    assert "up from 10.0 to 90.0" in plot["aria-label"]


@pytest.mark.parametrize("name", ["k", "a name as long as it gets"])
def test_the_settings_of_a_trend_stand_clear_of_each_other_and_the_last_is_named(name):
    line = {share / 5: pd.Series([1.0, 2.0], ["a", "b"]) for share in range(6)}
    plot = read(svg.trend("T", {name: line}, "share", percent=True))
    ticks = plot.select("text.tick[text-anchor=middle]")
    assert ticks[-1].get_text() == "100"
    assert "share (%)" in [label.get_text() for label in plot.select("text.label")]
    ends = [
        (float(t["x"]) - 3.4 * len(t.get_text()), float(t["x"]) + 3.4 * len(t.get_text()))
        for t in ticks
    ]
    assert len(ticks) > 1
    assert all(before[1] < after[0] for before, after in itertools.pairwise(ends))


def test_a_waterfall_ends_each_bar_where_the_next_begins():
    steps = {"first": 50.0, "more": 70.0, "less": 65.0}
    plot = read(svg.waterfall("T", steps, ("floor", 55.0), (0.0, 100.0), ("aside", 30.0)))
    aside, first, more, less = plot.select("rect")
    top = [float(tag["y"]) for tag in (aside, first, more, less)]
    height = [float(tag["height"]) for tag in (aside, first, more, less)]
    assert top[2] + height[2] == pytest.approx(top[1], abs=0.15)
    assert top[3] == pytest.approx(top[2], abs=0.15)
    # Twenty points are four times five; what stands before them is no part of the chain.
    assert height[2] == pytest.approx(4 * height[3], abs=0.3)
    assert height[1] == pytest.approx(50 / 20 * height[2], abs=0.3)
    assert [" ".join(tag["class"]) for tag in (aside, first, more, less)] == [
        "bar aside", "bar context", "bar gain", "bar loss"
    ]  # fmt: skip
    assert [tag.get_text() for tag in plot.select("text.value")] == [
        "30.0",
        "50.0",
        "+20.0",
        "-5.0",
    ]


def test_a_scatter_and_a_heat_map_place_what_they_are_given():
    points = pd.DataFrame({"x": [-1.0, 3.0], "y": [2.0, -2.0]}, ["one", "two"])
    plot = read(svg.scatter("T", {"k": points}, "across", "up"))
    (x1, y1), (x2, y2) = places(plot, "circle", at=("cx", "cy"))
    assert (x1 < x2, y1 < y2) == (True, True)
    assert plot.circle.get_text() == "k, one: -1.0, +2.0"
    table = pd.DataFrame({"set": [42.0, None]}, ["a", "b"])
    cells = read(svg.heat("T", table)).select("rect")
    assert [" ".join(tag["class"]) for tag in cells] == ["cell heat-4", "cell none"]
    assert cells[1].get_text() == "b, set: not run"


def test_no_mark_leaves_the_plot_and_no_two_pages_need_a_name():
    rows = {f"row {n}": pd.Series([n * 7.0], ["s"]) for n in range(5)}
    text = svg.strips("T", rows)
    assert not re.search(r"\bid=|url\(|href", text)
    plot = read(text)
    for x, y in places(plot, "circle", at=("cx", "cy")):
        assert 0 <= x <= svg.WIDTH
        assert 0 <= y <= float(plot["height"])
