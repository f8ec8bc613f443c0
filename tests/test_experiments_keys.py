"""A run's key changes with all that its results depend on, and with nothing else."""

import dataclasses
import json

import pytest

from mvlib.experiments import provenance
from mvlib.experiments.keys import run_key, staleness
from mvlib.experiments.outcomes import lost, make_record
from mvlib.experiments.plan import PlannedRun
from mvlib.experiments.sources import code_of, reached_sources

PACKAGE = {
    "__init__.py": '_EXPORTS = {"data": "toy.data", "Method": "toy.methods.method"}\n',
    "_checks.py": "def check(): pass\n",
    "data/__init__.py": 'from mvlib._lazy import attach\n_EXPORTS = {"load": "toy.data.load"}\n'
    "__getattr__, __dir__ = attach(__name__, _EXPORTS)\n",
    "data/load.py": "from toy import _checks\ndef load(): return _checks.check()\n",
    "methods/__init__.py": '_EXPORTS = {"Method": "toy.methods.method", '
    '"Other": "toy.methods.other"}\n',
    "methods/method.py": '"""A method."""\ndef fit():\n    from toy.ops import kernel\n',
    "methods/other.py": "OTHER = 1\n",
    "ops/__init__.py": "from .kernel import kernel\n",
    "ops/kernel.py": "from . import deep\ndef kernel(): pass\n",
    "ops/deep.py": "DEEP = 1\n",
}


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "src" / "toy"
    for name, text in PACKAGE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("code", "reached"),
    [
        ("import numpy", []),
        ("from toy.data import load", ["toy._checks", "toy.data.load"]),
        ("from toy import data\ndata.load()", ["toy._checks", "toy.data.load"]),
        ("import toy.data as d\nd.load()", ["toy._checks", "toy.data.load"]),
        ("import toy\ntoy.data.load().x", ["toy._checks", "toy.data.load"]),
        ("from toy.data import *", ["toy._checks", "toy.data.load"]),
        ("from toy import data\nuse(data)", ["toy._checks", "toy.data.load"]),
        ("from toy import data", []),
        (
            "from toy.methods import Method",
            ["toy.methods.method", "toy.ops", "toy.ops.deep", "toy.ops.kernel"],
        ),
        (
            "from toy import Method",
            ["toy.methods.method", "toy.ops", "toy.ops.deep", "toy.ops.kernel"],
        ),
        ("def f():\n    from toy.methods.other import OTHER", ["toy.methods.other"]),
    ],
)
def test_imports_are_followed_to_the_modules_that_define(package, code, reached):
    assert sorted(reached_sources([code], package)) == reached


def test_prose_is_no_code():
    code = 'x = "# kept"\n\n\ndef f():\n    return x\n'
    prose = (
        '"""A page\nof prose."""\n# Why.\nx = "# kept"  # said beside it\n\n\n'
        'def f():\n    """Return it."""\n    return x\n'
    )
    assert code_of(prose) == code_of(code)
    assert code_of(code.replace("kept", "other")) != code_of(code)


@pytest.fixture
def project(tmp_path, package):
    notebook = tmp_path / "notebooks" / "a.ipynb"
    notebook.parent.mkdir()
    cells = [
        {"cell_type": "markdown", "source": ["prose"]},
        {"cell_type": "code", "source": ["from toy import Method"], "outputs": []},
    ]
    notebook.write_text(json.dumps({"cells": cells}))
    return tmp_path


def planned(**changes):
    run = PlannedRun(
        paper="toy",
        experiment="a",
        title="",
        notebook="notebooks/a.ipynb",
        profile="quick",
        parameters={"profile": "quick", "x": 1},
        datasets=("handwritten",),
    )
    return dataclasses.replace(run, **changes)


def edit(project, change):
    path = project / "notebooks" / "a.ipynb"
    content = json.loads(path.read_text())
    change(content["cells"])
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("module", ["methods/method.py", "ops/deep.py"])
def test_key_follows_the_sources_that_the_notebook_reaches(project, package, module):
    before = run_key(planned(), project, package=package)
    with (package / module).open("a") as stream:
        stream.write("MORE = 2\n")
    assert run_key(planned(), project, package=package) != before


@pytest.mark.parametrize(
    ("profile", "follows"), [("quick", True), ("reduced", False), ("full", False)]
)
def test_key_follows_the_drawing_of_figures_only_where_a_rerun_is_cheap(
    project, package, profile, follows
):
    (package / "plots.py").write_text("COLOUR = 1\n")
    code = "from toy import Method\nfrom toy.plots import COLOUR"
    edit(project, lambda cells: cells[1].update(source=[code]))
    run = planned(profile=profile)
    before = run_key(run, project, package=package)
    (package / "plots.py").write_text("COLOUR = 2\n")
    assert (run_key(run, project, package=package) != before) is follows


def test_key_of_hours_ignores_the_module_that_prints_tables(project, package):
    (package / "experiments").mkdir()
    (package / "experiments" / "__init__.py").write_text("")
    module = package / "experiments" / "markdown.py"
    module.write_text("BORDER = 1\n")
    code = "from toy import Method\nfrom toy.experiments.markdown import BORDER"
    edit(project, lambda cells: cells[1].update(source=[code]))
    keys = {}
    for border in (1, 2):
        module.write_text(f"BORDER = {border}\n")
        for profile in ("quick", "full"):
            keys[profile, border] = run_key(planned(profile=profile), project, package=package)
    assert keys["full", 1] == keys["full", 2]
    assert keys["quick", 1] != keys["quick", 2]


@pytest.mark.parametrize("module", ["methods/other.py", "_checks.py", "data/load.py"])
def test_key_ignores_sources_that_the_notebook_does_not_reach(project, package, module):
    before = run_key(planned(), project, package=package)
    with (package / module).open("a") as stream:
        stream.write("MORE = 2\n")
    assert run_key(planned(), project, package=package) == before


def test_key_ignores_a_new_lazy_export(project, package):
    before = run_key(planned(), project, package=package)
    index = package / "methods" / "__init__.py"
    index.write_text(index.read_text().replace("{", '{"New": "toy.methods.new", '))
    assert run_key(planned(), project, package=package) == before


def test_key_follows_code_cells_and_not_outputs_or_prose(project, package):
    before = run_key(planned(), project, package=package)
    edit(project, lambda cells: cells[0].update(source=["better prose"]))
    edit(project, lambda cells: cells[1].update(outputs=[{"data": {}}], execution_count=3))
    assert run_key(planned(), project, package=package) == before
    edit(project, lambda cells: cells[1]["source"].append("\nx = 2"))
    assert run_key(planned(), project, package=package) != before


def test_key_follows_parameters_and_data(project, package, monkeypatch):
    before = run_key(planned(), project, package=package)
    other = planned(parameters={"profile": "quick", "x": 2})
    assert run_key(other, project, package=package) != before
    monkeypatch.setattr("mvlib.data.fingerprint_of", lambda name: "0" * 64, raising=False)
    assert run_key(planned(), project, package=package) != before


def test_key_follows_a_default_of_the_notebook_only_where_the_run_sets_nothing(
    project, package
):
    def key(source):
        content = {"cell_type": "code", "metadata": {"tags": ["parameters"]}}
        edit(project, lambda cells: cells.insert(1, content | {"source": [source]}))
        found = run_key(planned(), project, package=package)
        edit(project, lambda cells: cells.pop(1))
        return found

    assert key('x = 5\ny = [1, 2]\ndevice = "auto"') == key("x = 6\ny = [1, 2]")
    assert key("y = [1, 2]") != key("y = [1, 3]")
    with pytest.raises(ValueError, match="line 1 of the parameters"):
        key("y = x + 1")


def test_key_follows_versions_but_not_pythons_last_part(project, package):
    def key(**changes):
        return run_key(planned(), project, provenance.versions() | changes, package)

    assert key(torch="1.0") != key()
    assert key(python="3.11.1") == key(python="3.11.9") != key(python="3.12.1")
    assert key(mvlib="9.9") == key()


def test_key_of_a_reader_follows_the_records_it_reads(project, package):
    reader = planned(experiment="table", after=("a",))
    before = run_key(reader, project, package=package)
    records = project / "runs" / "records" / "toy.jsonl"
    records.parent.mkdir(parents=True)
    git = {"git_commit": None, "git_dirty": None}
    outcome = lost(planned(), "it broke")
    line = make_record(planned(experiment="b"), "1" * 64, outcome, "cpu", 1, git)
    records.write_text(json.dumps(line) + "\n")
    assert run_key(reader, project, package=package) == before
    records.write_text(json.dumps(line | {"experiment": "a"}) + "\n")
    assert run_key(reader, project, package=package) != before


def test_missing_notebook_and_broken_code_are_told(project, package):
    with pytest.raises(ValueError, match=r"b\.ipynb is missing"):
        run_key(planned(notebook="notebooks/b.ipynb"), project, package=package)
    edit(project, lambda cells: cells[1].update(source=["%matplotlib inline"]))
    with pytest.raises(ValueError, match="no Python"):
        run_key(planned(), project, package=package)


def test_staleness_looks_at_sources_and_not_at_this_machines_packages(project):
    edit(project, lambda cells: cells[1].update(source=["import numpy"]))
    versions = {"python": "3.10.2", "mvlib": "0.0", "torch": "1.0"}
    record = {
        "paper": "toy", "experiment": "a", "notebook": "notebooks/a.ipynb",
        "profile": "quick", "parameters": {"profile": "quick", "x": 1},
        "datasets": {"handwritten": "any"}, "versions": versions,
        "key": run_key(planned(), project, versions),
    }  # fmt: skip
    assert staleness(record, project) == "current"
    edit(project, lambda cells: cells[1].update(source=["import scipy"]))
    assert staleness(record, project) == "earlier version"
    (project / "notebooks" / "a.ipynb").unlink()
    assert staleness(record, project) == "earlier version"


def test_cell_does_not_depend_on_sources_or_title():
    assert planned().cell == planned(title="other", minutes=5).cell
    assert planned().cell != planned(profile="full").cell
