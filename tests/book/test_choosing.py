"""The page on which method to take: all of the catalogue, lines that run, signs held."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from mvlib.book.choosing import choice_list, choice_records, choice_tree, lines_of
from mvlib.methods.catalogue import CATALOGUE, TASKS, find, load

ROOT = Path(__file__).resolve().parents[2]


def test_tree_and_list_hold_each_method_once_under_what_it_needs():
    # Markdown takes a div, and no list, for a block that it leaves alone.
    tree = ElementTree.fromstring(choice_tree())
    assert tree.tag == "div"
    assert "\n" not in choice_tree()
    pills = ["".join(link.itertext()) for link in tree.iter("a")]
    titles = sorted(method.title for method in CATALOGUE)
    assert sorted(pills) == sorted(re.findall(r"dropdown\} (.*)", choice_list())) == titles
    branches = {}
    for branch in tree.iter("li"):
        branches |= {"".join(link.itertext()): branch.text for link in branch.iter("a")}
    needed = ""
    for line in choice_list().splitlines():
        needed = line.strip("*") if line.startswith("**") else needed
        for method in CATALOGUE:
            if line == f":::{{dropdown}} {method.title}":
                assert needed.lower() == method.needs.lower()
                assert branches[method.title] == needed


def test_a_link_of_the_tree_leads_to_a_page_of_the_book():
    for link in ElementTree.fromstring(choice_tree()).iter("a"):
        page = link.get("href").partition("#")[0]
        if not page.startswith("api/"):
            source = (ROOT / "book" / page).with_suffix("")
            assert any(source.with_suffix(kind).is_file() for kind in (".md", ".ipynb")), page


@pytest.mark.parametrize("name", ["kmeans_view", "cca", "clip_kmeans"])
def test_the_lines_of_a_method_run_with_data_that_ship(name):
    assert find(name).task in TASKS
    assert len({find(name).task for name in ("kmeans_view", "cca", "clip_kmeans")}) == len(
        TASKS
    )
    found = {}
    exec(lines_of(find(name)), found)
    if name == "cca":
        assert [len(part) for part in (found["images"], found["texts"])] == [200, 200]
    else:
        assert len(np.unique(found["labels"])) == found["model"].n_clusters


def test_the_lines_of_every_method_name_it_and_fit_it():
    for method in CATALOGUE:
        lines = lines_of(method)
        assert f'methods.load("{method.name}")' in lines
        assert load(method.name).__name__ == method.estimator.rpartition(".")[2]
        assert len(lines.splitlines()) <= 6
        compile(lines, method.name, "exec")


def test_what_the_page_says_of_signs_is_what_the_records_hold():
    rows = [line.split(" | ") for line in choice_records(ROOT, "views").splitlines()[2:]]
    gains = [re.fullmatch(r"([+-])[\d.]+ \((\d) of 3\)", row[1]).groups() for row in rows]
    assert len(gains) >= 7
    assert {("+", "3"), ("-", "0")} == set(gains)
    points = [float(row[1].split()[0]) for row in rows]
    assert points == sorted(points, reverse=True)


def test_without_records_the_page_says_so(tmp_path):
    (tmp_path / "notebooks").mkdir()
    for task in ("views", "modalities", "words"):
        assert choice_records(tmp_path, task) == "*Nothing is recorded yet.*"
