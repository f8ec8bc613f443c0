"""The catalogue: every line loads, is cited and has a version, and a new one costs a line."""

import ast
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mvlib import methods
from mvlib.methods import MvCLN
from mvlib.methods.catalogue import CATALOGUE, TASKS, VERSIONS, VIEWS, find, load
from mvlib.records import versions

ROOT = Path(__file__).resolve().parents[2]
TOY = '''"""Toy: everything in one cluster."""

import numpy as np


class Toy:
    """One cluster."""

    def __init__(self, n_clusters, *, random_state=None):
        self.n_clusters, self.random_state = n_clusters, random_state

    def fit_predict(self, Xs, aligned=None, y=None):
        """Return zeros."""
        return np.zeros(len(Xs[0]), dtype=np.int64)
'''
SEEN = """
from pathlib import Path
import mvlib
from mvlib.book.placeholders import fill
from mvlib.methods.catalogue import VERSIONS
from mvlib.records import versions
root = Path.cwd()
assert Path(mvlib.__file__).is_relative_to(root)
print(mvlib.methods.load("toy").__name__, mvlib.methods.Toy.__name__)
print(VERSIONS["toy"], versions.VERSIONS["Toy method"])
print(fill("<!-- mvlib: methods -->", root))
"""


@pytest.mark.parametrize("method", CATALOGUE, ids=lambda method: method.name)
def test_every_line_loads_an_estimator_of_its_tasks_interface(method):
    estimator = load(method.name)
    assert getattr(methods, estimator.__name__) is estimator
    assert method.task in TASKS
    assert method.needs
    if method.task == VIEWS:
        assert "random_state" in inspect.signature(estimator).parameters
        assert "aligned" in inspect.signature(estimator.fit_predict).parameters


@pytest.mark.parametrize("method", CATALOGUE, ids=lambda method: method.name)
def test_every_method_says_when_to_use_it_what_it_costs_and_what_to_run_beside_it(method):
    notes = inspect.getdoc(load(method.name)).partition("\nNotes\n-----\n")[2]
    said = " ".join(notes.partition("\n\n")[0].split())
    assert re.match(r"\*Use it\* .{20,} \*Cost\*: .{10,}", said)
    is_floor = method.estimator.split(".")[0] in ("baselines", "classics")
    assert ("*Beside it*: " in said) != is_floor
    for name in re.findall(r"`([A-Z]\w+)(?:\.\w+)?`", said.partition("*Beside it*")[2]):
        assert name in {each.estimator.split(".")[-1] for each in CATALOGUE}


@pytest.mark.parametrize("method", CATALOGUE, ids=lambda method: method.name)
def test_every_parameter_stands_once_in_the_docstring_with_its_own_default(method):
    estimator = load(method.name)
    section = estimator.__doc__.partition("\nParameters\n----------\n")[2].partition("\n\n")[0]
    heads = [line.partition(" : ") for line in section.splitlines() if line[:1] != " "]
    told = [name for names, _, _ in heads for name in names.split(", ")]
    parameters = inspect.signature(estimator).parameters
    assert sorted(told) == sorted(parameters)
    for names, _, kind in heads:
        default = kind.partition("default=")[2]
        if names in parameters and re.match(r"[-\d.\"(]|True|False", default):
            assert ast.literal_eval(default) == parameters[names].default


def test_a_docstring_has_what_parents_and_the_head_of_the_file_say_and_its_own_first():
    said = load("sure").__doc__
    assert "    Widths of the hidden layers of encoders and decoders." in said
    assert "decoders have them in reverse" not in said
    assert "n_negatives : int, default=30\n    Negative pairs of each aligned row" in said
    notes = said.partition("\nNotes\n-----\n")[2]
    assert (
        notes.index("*Use it*")
        < notes.index("Source: Yang et al.")
        < notes.index("**Deviations**")
    )
    assert notes.index("**Deviations**") < notes.index("Examples\n--------")
    assert "Picture" not in notes


def test_names_and_titles_stand_once():
    for told in ("name", "title", "estimator"):
        values = [getattr(method, told) for method in CATALOGUE]
        assert len(values) == len(set(values))


def test_every_source_is_in_the_bibliography():
    text = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    keys = set(re.findall(r"^@\w+\{([^,]+),", text, re.MULTILINE))
    assert {method.source for method in CATALOGUE} - {""} <= keys


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="'mvclm' is unknown. Did you mean 'mvcln'"):
        load("mvclm")
    with pytest.raises(ValueError, match="Did you mean 'set_clip'"):
        find("setclip")


def test_the_versions_of_numbers_and_of_records_are_those_of_the_catalogue():
    for method in CATALOGUE:
        assert VERSIONS[method.golden or method.name] >= method.version
        assert versions.VERSIONS[versions.method_of(method.title, "none")] >= method.version
    assert {name for name, version in VERSIONS.items() if version == 2} == {
        "cluster_naming", "sic", "tac", "tac_trained",
    }  # fmt: skip
    assert {name for name, version in versions.VERSIONS.items() if version == 2} == {
        "SIC", "TAC", "TAC, trained",
    }  # fmt: skip


def test_the_rows_that_mvcln_is_said_to_need_are_those_that_it_asks_for():
    defaults = inspect.signature(MvCLN).parameters
    a_row, batch = 1 + defaults["n_negatives"].default, defaults["batch_size"].default
    said = int(re.search(r"\d+", find("mvcln").needs)[0])
    assert (said - 1) * a_row < batch <= said * a_row


def test_a_new_method_costs_a_file_a_line_and_a_word(tmp_path):
    for name in ("mvlib", "notebooks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("_config.yml", "_toc.yml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    changed = {
        "mvlib/methods/catalogue.py": (
            "CATALOGUE = (\n",
            "CATALOGUE = (\n"
            'Method("toy", "Toy method", "toy.Toy", VIEWS, "any view", "duin1998multiple"),\n',
        ),
        "notebooks/lineup/plan.toml": (
            'grid = { method = ["mvcln"',
            'grid = { method = ["toy", "mvcln"',
        ),
    }
    (tmp_path / "mvlib" / "methods" / "toy.py").write_text(TOY)
    for name, (before, after) in changed.items():
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert text.count(before) == 1
        (tmp_path / name).write_text(text.replace(before, after), encoding="utf-8")

    def said(*command):
        run = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True,
            env={"PYTHONPATH": str(tmp_path), "MVLIB_ROOT": str(tmp_path)},
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        return run.stdout

    loaded, version, _, *table = said("-c", SEEN).splitlines()
    assert loaded == "Toy Toy"
    assert version == "1 1"
    (row,) = [line for line in table if "`toy`" in line]
    assert row == (
        "| {doc}`Toy method <../notebooks/lineup/method_toy>` | `toy` "
        "| {py:obj}`~mvlib.methods.Toy` | any view | {cite:p}`duin1998multiple` |"
    )
    planned = said("-m", "mvlib", "run", "lineup", "--dry-run", "--profile", "quick")
    assert "lineup/method/handwritten method toy ratio 0.5 seeds 5,15" in planned
