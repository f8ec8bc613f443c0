import json

import numpy as np
import pytest

from mvlib.book import fill
from mvlib.records import Ratio, load_benchmarks, save_benchmark

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
def test_a_target_that_says_no_direction_is_refused(target):
    with pytest.raises(ValueError, match="expected '>= number'"):
        Ratio("ratio", 1, target)


def test_the_page_shows_a_missed_target_as_missed(tmp_path):
    save_benchmark("bench_toy", RATIOS, tmp_path)
    lines = fill("<!-- mvlib: benchmarks bench_toy -->", tmp_path).splitlines()
    assert "| time, theirs / ours | 1.52 | at least 2 | missed |" in lines
    assert "| inertia | 1.0001 | at most 1.0005 | held |" in lines
    assert "thread" in lines[-1]


def test_the_page_says_what_was_not_measured(tmp_path):
    assert "Not measured yet." in fill("<!-- mvlib: benchmarks bench_toy -->", tmp_path)
