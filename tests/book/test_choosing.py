"""The page on which method to take: all of the catalogue, lines that run, signs held."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from mvlib.book.choosing import choice_list, choice_records, choice_tree, choices, lines_of
from mvlib.book.method_pages import page_of, planned_methods
from mvlib.methods.catalogue import CATALOGUE, TASKS, find, load

ROOT = Path(__file__).resolve().parents[2]


def test_tree_and_list_hold_each_method_once_under_the_same_branch_with_what_it_needs():
    # Markdown takes a div, and no list, for a block that it leaves alone.
    tree = ElementTree.fromstring(choice_tree(ROOT))
    assert tree.tag == "div"
    assert "\n" not in choice_tree(ROOT)
    pills = ["".join(link.itertext()) for link in tree.iter("a")]
    titles = sorted(method.title for method in CATALOGUE)
    assert sorted(pills) == sorted(re.findall(r"dropdown\} (.*)", choice_list(ROOT))) == titles
    branches, needs = {}, {}
    for branch in tree.iter("li"):
        assert list(branch.iter("a")), branch.text
        for link in branch.iter("a"):
            branches["".join(link.itertext())] = branch.text
            needs["".join(link.itertext())] = link.get("title")
    assert needs == {method.title: method.needs for method in CATALOGUE}
    parts = re.split(r"(?m)^\*\*(.*)\*\*$", choice_list(ROOT))[1:]
    for known, text in zip(parts[::2], parts[1::2], strict=True):
        for title, needed in re.findall(r"dropdown\} (.*)\n.* Needs (.*)\.\n", text):
            assert (known, needed) == (branches.pop(title), needs[title])
    assert branches == {}


def test_a_branch_is_the_one_that_its_methods_need():
    found = {m.name: known for _, tree in choices() for known, some in tree for m in some}
    for known, names in {
        "No pair is known": ("kmeans_view", "unaligned_nmf", "gromov_wasserstein", "chance"),
        "All rows are paired, some perhaps wrongly": ("candy", "spectral_concatenation"),
        "All rows are paired, and rightly": ("wah",),
        "Some pairs are known, the other rows are shuffled": ("smart", "vital"),
        "Some things lack a view": ("sure", "completer", "dcp", "camera"),
        "Some pairs are known": ("procrustes", "set_clip"),
        "The images alone": ("clip_kmeans", "temi"),
        "A list of words, not sorted": ("tac", "cae"),
        "The names of the classes": ("zero_shot",),
    }.items():
        assert {found[name] for name in names} == {known}


def test_a_link_of_the_tree_leads_to_a_page_of_the_book():
    planned = {page_of(*place) for place in planned_methods(ROOT)}
    assert len(planned) > 20
    for link in ElementTree.fromstring(choice_tree(ROOT)).iter("a"):
        page = link.get("href").partition("#")[0].removesuffix(".html")
        if not page.startswith("api/") and page.removeprefix("../") not in planned:
            source = ROOT / "book" / page
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
