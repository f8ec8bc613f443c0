"""What was measured and what was broken is kept, replaced one by one, and shown."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from mvlib.book import fill
from mvlib.records import (
    Fault,
    Ratio,
    evidence,
    load_benchmarks,
    load_faults,
    save_benchmark,
    save_faults,
)

RATIOS = [
    Ratio("time, theirs / ours", np.float32(1.52), ">= 2"),
    Ratio("inertia", 1.0001, "<= 1.0005"),
]


def test_what_was_measured_is_read_back_with_its_conditions(tmp_path):
    save_benchmark("bench_toy", RATIOS, tmp_path)
    found = load_benchmarks(tmp_path)["bench_toy"]
    assert found.ratios == tuple(RATIOS)
    assert found.conditions["versions"]["python"]
    assert found.conditions["threads"] >= 1
    assert found.conditions["date"] == datetime.now(UTC).date().isoformat()


def test_measuring_one_file_again_replaces_its_ratios_and_keeps_the_others(tmp_path):
    save_benchmark("bench_toy", RATIOS, tmp_path)
    save_benchmark("bench_other", RATIOS[:1], tmp_path)
    path = save_benchmark("bench_toy", RATIOS[1:], tmp_path)
    found = load_benchmarks(tmp_path)
    assert found["bench_toy"].ratios == tuple(RATIOS[1:])
    assert found["bench_other"].ratios == tuple(RATIOS[:1])
    assert list(json.loads(path.read_text())) == ["bench_other", "bench_toy"]


@pytest.mark.parametrize(
    ("value", "target", "held"),
    [(2, ">= 2", True), (1.9, ">= 2", False), (1.4, "<= 1.4", True), (1.5, "<= 1.4", False),
     (1, "none", None)],
)  # fmt: skip
def test_a_target_is_held_up_to_its_bound(value, target, held):
    assert Ratio("ratio", value, target).held is held


@pytest.mark.parametrize("target", ["2", "> 2", "= 2", ">= two", ""])
def test_a_target_that_says_no_direction_is_refused(tmp_path, target):
    with pytest.raises(ValueError, match="expected '>= number'"):
        save_benchmark("bench_toy", [Ratio("ratio", 1, target)], tmp_path)


def test_the_page_shows_a_missed_target_as_missed_and_what_was_not_measured(tmp_path):
    assert "Not measured yet." in fill("<!-- mvlib: benchmarks bench_toy -->", tmp_path)
    save_benchmark("bench_toy", RATIOS, tmp_path)
    lines = fill("<!-- mvlib: benchmarks bench_toy -->", tmp_path).splitlines()
    assert "| time, theirs / ours | 1.52 | at least 2 | missed |" in lines
    assert "| inertia | 1.0001 | at most 1.0005 | held |" in lines
    assert "thread" in lines[-1]


KILL = Fault(
    tried="kill -9 of a kernel", happened="A rerun recorded all.", verdict="passed", times=4,
    seconds=81.25, date="2026-01-31", versions={"python": "3.11.7"},
)  # fmt: skip
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
def test_a_wrong_entry_is_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        save_faults({"kill": changed(**change)}, tmp_path)


def test_the_page_shows_what_passed_and_what_could_not_be_tried(tmp_path):
    assert fill("<!-- mvlib: faults -->", tmp_path) == "Nothing tried yet."
    save_faults({"kill": KILL, "disk": changed(**CHANGES)}, tmp_path)
    lines = fill("<!-- mvlib: faults -->", tmp_path).splitlines()
    kill = "| kill -9 of a kernel | A rerun recorded all. | passed | 4 | 81.2 | 2026-01-31 |"
    assert kill in lines
    assert any(
        line.startswith("| a full disk") and "could not be tried" in line for line in lines
    )
    assert lines[-1] == "Tried with python 3.11.7."


def test_a_machine_that_tells_nothing_of_its_processor_has_no_instructions(monkeypatch):
    def refuse(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", refuse)
    assert evidence._instructions() == []
