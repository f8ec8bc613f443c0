"""The diagrams of the methods are what their script draws, and their words are on the pages."""

import importlib.util
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = {"smart": "smart", "leak": "set_clip", "ribbons": "cae", "product": "ntk_spectral"}
place = importlib.util.spec_from_file_location("make", ROOT / "book" / "diagrams" / "make.py")
make = importlib.util.module_from_spec(place)
place.loader.exec_module(make)


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_diagram_is_what_its_script_draws(name):
    held = (make.OUT / f"{name}.svg").read_text(encoding="utf-8")
    made = make.MAKERS[name]()
    if name in ("smart", "leak"):
        assert made == held
    # Numbers of the others may differ in a last digit from one processor to another.
    assert [mark.tag for mark in ElementTree.fromstring(made).iter()] == [
        mark.tag for mark in ElementTree.fromstring(held).iter()
    ]
    for mine, theirs in zip(
        *(re.findall(r"\d+(?:\.\d+)?", text) for text in (made, held)), strict=True
    ):
        assert abs(float(mine) - float(theirs)) <= 1


@pytest.mark.parametrize(("name", "chapter"), CHAPTERS.items())
def test_a_chapter_shows_its_diagram_in_the_diagrams_own_words(name, chapter):
    page = (ROOT / "notebooks" / chapter / "index.md").read_text(encoding="utf-8")
    (shown,) = re.findall(rf"diagrams/{name}.svg\n:alt: (.*)", page)
    title = "{http://www.w3.org/2000/svg}title"
    drawn = ElementTree.parse(make.OUT / f"{name}.svg").find(title).text
    assert shown == drawn == make.SAID[name]


def test_the_batches_of_the_leak_hold_as_many_partners_as_they_say():
    drawn = "".join(ElementTree.fromstring(make.leak()).itertext())
    assert re.findall(r"(\d) of 8", drawn) == ["8", "1"]
    lines = [
        mark for mark in ElementTree.fromstring(make.leak()).iter() if mark.tag.endswith("line")
    ]
    assert len(lines) == 9
