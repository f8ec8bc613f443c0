"""The widgets: their numbers are mvlib's, their pictures those that the scripts draw.

Their functions run in an engine that comes with the tests. What needs a page, keys and the
width of a phone runs where a Chromium is found, as `support/browser.py` says, and is skipped,
with the reason, where there is none.
"""

import importlib.util
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup

from mvlib.book.placeholders import fill
from mvlib.methods.set_clip.equations import semantic_density_distribution_loss
from mvlib.metrics import graph_precision_recall
from mvlib.ops import transport_plan
from mvlib.ops.discrepancy import mmd

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("clouds", "graph", "plan", "protocol", "starts", "threshold")
SCRIPTS = ROOT / "book" / "_static" / "widgets"


def load_maker():
    place = importlib.util.spec_from_file_location(
        "make", ROOT / "book" / "widgets" / "make.py"
    )
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


make = load_maker()


def data_of(name):
    return json.loads((ROOT / "book" / "widgets" / f"{name}.json").read_text())


def value(name, code):
    return json.loads(make.engine(name).eval(f"['', JSON.stringify({code})].join('')"))


def test_the_page_has_each_widget_and_nothing_of_it_is_large():
    assert sorted(make.MAKERS) == sorted(NAMES)
    page = (ROOT / "book" / "play.md").read_text()
    assert sorted(re.findall(r"<!-- mvlib: widget (\w+) -->", page)) == sorted(NAMES)
    shared = (SCRIPTS / "widgets.js").stat().st_size
    for name in NAMES:
        whole = len(fill(f"<!-- mvlib: widget {name} -->", ROOT))
        assert shared + whole + (SCRIPTS / f"{name}.js").stat().st_size < 50_000, name


@pytest.mark.parametrize("name", NAMES)
def test_the_still_picture_is_what_the_script_draws_first_and_its_words_are_those(name):
    drawn = (SCRIPTS / f"{name}.svg").read_text()
    assert drawn == make.still(name)
    said = ElementTree.fromstring(drawn).get("aria-label")
    assert len(said) > 100
    held = fill(f"<!-- mvlib: widget {name} -->", ROOT)
    assert BeautifulSoup(held, "html.parser").img["alt"] == said
    assert value(name, "widget.tell(data, widget.start(data))") in said


@pytest.mark.parametrize("name", NAMES)
def test_a_widget_draws_and_tells_at_both_ends_of_each_of_its_controls(name):
    controls = value(name, "widget.controls(data)")
    begin = value(name, "widget.start(data)")
    told = set()
    for control in controls:
        ends = [option for option, _ in control.get("options", [])]
        for end in ends or (control["min"], control["max"]):
            state = json.dumps(begin | {control["key"]: end})
            drawn = make.engine(name).eval(f"[widget.draw(data, {state}), ''].join('')")
            tree = ElementTree.fromstring(drawn)
            _, _, width, height = map(float, tree.get("viewBox").split())
            assert not re.search("NaN|undefined|Infinity", drawn)
            for mark in tree.iter("{http://www.w3.org/2000/svg}circle"):
                assert 0 <= float(mark.get("cx")) <= width
                assert 0 <= float(mark.get("cy")) <= height
            told.add(value(name, f"widget.tell(data, {state})"))
    assert len(told) >= 2


@pytest.mark.parametrize("name", ["plan", "protocol", "clouds"])
def test_committed_data_are_what_their_function_makes(name):
    made, held = json.loads(json.dumps(make.MAKERS[name]())), data_of(name)
    if name == "plan":
        np.testing.assert_allclose(made.pop("likeness"), held.pop("likeness"), atol=2e-3)
    assert made == held


def test_the_start_that_is_kept_and_the_ranges_are_those_of_the_data():
    held = data_of("starts")
    for whose in ("draws", "authors"):
        found = value("starts", f"widget.kept(data, '{whose}')")
        assert found["least"] == int(np.argmin([one["distances"] for one in held[whose]]))
        assert found["best"] == int(np.argmax([one["accuracy"] for one in held[whose]]))
        assert len(held[whose]) == 20


@pytest.mark.parametrize("exponent", [-2, -1, 0])
def test_the_plan_of_the_page_is_that_of_the_library(exponent):
    likeness = np.array(data_of("plan")["likeness"])
    epsilon = 10.0**exponent
    state = json.dumps({"how": "plan", "exponent": exponent})
    found = value("plan", f"widget.shares(data, {state})")
    settings = {"method": "log", "max_iter": 20_000, "tol": 1e-9, "device": "cpu"}
    ours = transport_plan(-likeness, epsilon=epsilon, **settings).plan
    np.testing.assert_allclose(found, ours, atol=1e-4)
    rows = np.exp((likeness - likeness.max(axis=1, keepdims=True)) / epsilon)
    softmax = rows / rows.sum(axis=1, keepdims=True) / len(rows)
    state = json.dumps({"how": "softmax", "exponent": exponent})
    np.testing.assert_allclose(value("plan", f"widget.shares(data, {state})"), softmax)


@pytest.mark.parametrize("angle", [0, 50, 130])
def test_the_losses_of_the_clouds_are_those_of_the_library(angle):
    held = data_of("clouds")
    found = value("clouds", f"widget.measures(data, {{angle: {angle}}})")
    first, second = (
        torch.tensor(p, dtype=torch.float64) for p in (held["first"], found["second"])
    )
    sdd = semantic_density_distribution_loss(first, second, held["bandwidth"])
    assert found["sdd"] == pytest.approx(float(sdd), rel=1e-5)
    assert found["mmd"] == pytest.approx(float(mmd(first, second, held["width"])), rel=1e-5)


def test_both_losses_are_lowest_where_partners_meet_and_low_again_where_they_do_not():
    swept = value("clouds", "widget.swept(data)")
    right = np.arange(0, 364, 4)
    for name in ("sdd", "mmd"):
        losses = np.array(swept[name])
        best = right[losses.argmin()]
        assert 126 <= best <= 134
        other = losses[(right > 270) & (right < 350)].min()
        assert other < losses.max() / 5
    found = {
        a: value("clouds", f"widget.measures(data, {{angle: {a}}}).found") for a in (130, 310)
    }
    assert found[130] > 50
    assert found[310] < 10


@pytest.mark.parametrize("cut", [0.2, 0.6])
def test_precision_and_recall_of_the_cut_are_those_of_the_library(cut):
    held = data_of("threshold")
    labels = np.array(list(held["labels"]))
    edges = np.array(held["correlations"]) >= cut
    ours = graph_precision_recall(edges.astype(float), labels, labels)
    found = value("threshold", f"widget.measures(data, {{cut: {cut}}})")
    assert found["precision"] == pytest.approx(100 * ours["precision"])
    assert found["recall"] == pytest.approx(100 * ours["recall"])


def test_the_protocols_read_what_the_record_says():
    rules = data_of("protocol")["0.5"]
    assert len(rules) == 6
    for name, one in rules.items():
        assert one["curve"][-1] == one["rules"]["last"], name
        assert max(one["curve"]) == one["rules"]["oracle"], name
    low, high, count = value("protocol", "widget.range(data, {share: '0.5'})")
    every = [number for one in rules.values() for number in one["rules"].values()]
    assert (low, high, count) == (min(every), max(every), 24)


@pytest.fixture(scope="module")
def play(tmp_path_factory):
    """The blocks of the page that hold widgets, with the book's styles."""
    folder = tmp_path_factory.mktemp("play")
    text = fill((ROOT / "book" / "play.md").read_text(), ROOT)
    blocks = [line for line in text.splitlines() if re.match("<(div|script)", line)]
    style = (ROOT / "book" / "_static" / "custom.css").read_text()
    (folder / "book").mkdir()
    (folder / "_static").symlink_to(ROOT / "book" / "_static")
    head = f'<!doctype html><meta charset="utf-8"><title>Play</title><style>{style}</style>'
    path = folder / "book" / "play.html"
    path.write_text(head + '<article class="bd-article">' + "\n".join(blocks))
    return path.as_uri()


@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser_each_widget_lives_by_itself_and_no_page_is_wider_than_the_screen(
    page, play, width
):
    page.open(play, width=width)
    assert page.run("document.querySelectorAll('.widget.alive svg[role=img]').length") == len(
        NAMES
    )
    assert page.said == []
    assert all(url.startswith("file:") for url in page.asked)
    assert page.run("document.documentElement.scrollWidth") <= width
    unnamed = (
        "[...document.querySelectorAll('input, select')].filter(e => !e.labels.length).length"
    )
    assert page.run(unnamed) == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_key_moves_a_widget_and_its_words_are_told(page, play, name):
    page.open(play)
    words = f"document.querySelector('#widget-{name} [role=status]').textContent"
    drawing = f"document.querySelector('#widget-{name} svg').outerHTML"
    before = page.run(words), page.run(drawing)
    page.run(f"document.querySelector('#widget-{name} input, #widget-{name} select').focus()")
    if name in ("starts", "protocol", "plan"):
        # A list is opened by its first control; its keys are the browser's own.
        choose = "e.selectedIndex = 1; e.dispatchEvent(new Event('input'))"
        page.run(f"{{ const e = document.activeElement; {choose} }}")
    else:
        page.press("ArrowRight")
    assert page.run(words) != before[0]
    assert page.run(drawing) != before[1]
    assert page.run(f"document.querySelector('#widget-{name} svg').getAttribute('aria-label')")


def test_without_scripts_each_widget_is_its_still_picture(page, play):
    page.open(play, scripts=False)
    try:
        assert page.said == []
        loaded = [url for url in page.asked if url.endswith(".svg")]
        assert sorted(Path(url).stem for url in loaded) == sorted(NAMES)
    finally:
        page.open("about:blank")
