"""What was broken on purpose is kept, replaced one by one, and shown as it went."""

import json

import pytest

from mvlib.book import fill
from mvlib.records import Fault, load_faults, save_faults

KILL = Fault(
    tried="kill -9 of a kernel",
    happened="A rerun recorded all.",
    verdict="passed",
    times=4,
    seconds=81.25,
    date="2026-01-31",
    versions={"python": "3.11.7"},
)
CHANGES = {"tried": "a full disk", "verdict": "could not be tried", "times": 0}


def changed(**changes):
    return Fault(**(vars(KILL) | changes))


def test_what_happened_is_read_back_and_another_try_replaces_its_own_only(tmp_path):
    assert load_faults(tmp_path) == {}
    save_faults({"kill": KILL, "disk": changed(**CHANGES)}, tmp_path)
    path = save_faults({"kill": changed(verdict="failed")}, tmp_path)
    assert load_faults(tmp_path) == {
        "disk": changed(**CHANGES),
        "kill": changed(verdict="failed"),
    }
    assert list(json.loads(path.read_text())) == ["disk", "kill"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verdict": "pased"}, "Did you mean 'passed'"),
        ({"times": -1}, "times"),
        ({"times": 1.5}, "times"),
        ({"seconds": float("nan")}, "seconds"),
    ],
)
def test_a_wrong_entry_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        changed(**change)


def test_the_page_shows_what_passed_and_what_could_not_be_tried(tmp_path):
    save_faults({"kill": KILL, "disk": changed(**CHANGES)}, tmp_path)
    lines = fill("<!-- mvlib: faults -->", tmp_path).splitlines()
    kill = "| kill -9 of a kernel | A rerun recorded all. | passed | 4 | 81.2 | 2026-01-31 |"
    assert kill in lines
    assert any(
        line.startswith("| a full disk") and "could not be tried" in line for line in lines
    )
    assert lines[-1] == "Tried with python 3.11.7."


def test_the_page_says_that_nothing_was_tried(tmp_path):
    assert fill("<!-- mvlib: faults -->", tmp_path) == "Nothing tried yet."
