"""Notebooks and measured ratios: what is in them, or an error that names the file."""

import json
import os

import pytest
from fuzzing import NOTEBOOK, PAYLOAD, fuzz, read_or_told, spoilt, spoilt_json
from hypothesis import given
from hypothesis import strategies as st

from mvlib.book.placeholders import fill
from mvlib.records.evidence import load_benchmarks, load_faults
from mvlib.records.keys import code_cells, parameter_values, run_key
from mvlib.records.plan import PlannedRun
from mvlib.records.provenance import sources_are_those_of
from mvlib.records.recorder import RESULTS_MIME
from mvlib.records.versions import LEDGER, recorded_versions
from mvlib.run.saving import results_in

VERSIONS = {"python": "3.11.7", "mvlib": "0.1.0"}
BENCHMARKS = {
    "bench_toy": {
        "conditions": {"versions": VERSIONS, "threads": 1, "instructions": ["avx2"]},
        "ratios": [{"name": "a / b", "value": 2.5, "target": ">= 2"}],
    }
}
FAULTS = {
    "test_toy": {
        "tried": "a runner that is killed", "happened": "All was recorded.", "times": 20,
        "verdict": "passed", "seconds": 2.5, "date": "2026-01-01", "versions": VERSIONS,
    }
}  # fmt: skip
SOURCES = {"ops/kmeans.py": "0" * 64, "__init__.py": "1" * 64}
ODD_CODE = [
    "x = {1: 2, 'a': 3}", "x = {[]: 1}", "x = b'a'", "x = {1, 2}", "x = 1j", "x = ...",
    "x = 1e999", "x = y", "x, y = 1, 2", "x += 1", "x: int", "def f(): pass", "%matplotlib",
    "x = '\0'", "x = " + "(" * 300, "x = " + "-" * 5000 + "1", "x = " + "9" * 5000, "import .",
    "from . import x", "from .. import y", "import mvlib.nothing", "from mvlib import *",
    "x = '\ud800'", "\tx = 1\n  y = 2", "mvlib = 3\nmvlib.data.load",
    "import mvlib; mvlib.a.b()",
]  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    (root / "data" / "results").mkdir(parents=True)
    return root


@fuzz(110)
@given(content=spoilt_json(BENCHMARKS))
def test_spoilt_ratios_are_shown_or_an_error_names_the_file(project, content):
    (project / "data" / "results" / "benchmarks.json").write_bytes(content)
    if read_or_told(lambda: load_benchmarks(project), "benchmarks.json") is not None:
        fill("<!-- mvlib: benchmarks bench_toy -->", project).encode()


@fuzz(60)
@given(content=spoilt(FAULTS))
def test_spoilt_faults_are_shown_or_an_error_names_the_file(project, content):
    (project / "data" / "results" / "faults.json").write_text(json.dumps(content))
    if read_or_told(lambda: load_faults(project), "faults.json") is not None:
        fill("<!-- mvlib: faults -->", project).encode()


@fuzz(80)
@given(content=spoilt(SOURCES))
def test_spoilt_checksums_of_modules_make_a_run_old_and_no_error(project, content):
    (project / "toy.sources.json").write_text(json.dumps(content))
    assert sources_are_those_of("toy.ipynb", project) is (content == {})


@fuzz(60)
@given(content=spoilt({"1": ["a" * 64, "b" * 64]}))
def test_a_spoilt_ledger_of_versions_is_read_or_an_error_names_it(project, content):
    path = project / LEDGER
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(json.dumps(content))
    os.utime(path, ns=(before + 10**9, before + 10**9))
    record = {"key": "a" * 64, "results": []}
    read_or_told(lambda: recorded_versions(record, "SMART", project), "versions.json")


def keyed(project, content):
    path = project / "toy.ipynb"
    path.write_bytes(content)
    run = PlannedRun("toy", "method", "Toy", "toy.ipynb", "quick", {"profile": "quick"})
    if found := read_or_told(lambda: code_cells(path), "toy.ipynb"):
        assert all(isinstance(source, str) for source in (*found[0], found[1]))
    key = read_or_told(lambda: run_key(run, project, VERSIONS), "toy.ipynb")
    assert key is None or len(key) == 64


@fuzz(110)
@given(content=spoilt_json(NOTEBOOK))
def test_a_spoilt_notebook_has_a_key_or_an_error_with_its_name(project, content):
    keyed(project, content)


@pytest.mark.parametrize("cell", [1, 2])
@pytest.mark.parametrize("code", ODD_CODE)
def test_odd_code_has_a_key_or_an_error_with_the_notebooks_name(project, cell, code):
    notebook = json.loads(json.dumps(NOTEBOOK))
    notebook["cells"][cell]["source"] = code
    keyed(project, json.dumps(notebook).encode())


@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
@fuzz(60)
@given(code=st.text(alphabet="x=1[](){}:,'\"\n -+*.#\\ab\0", max_size=40))
def test_what_parameters_assign_is_plain_or_refused(code):
    try:
        values = parameter_values(code)
    except (SyntaxError, ValueError):
        return
    json.dumps(values, sort_keys=True)


@fuzz(60)
@given(payload=spoilt(PAYLOAD))
def test_what_a_notebook_hands_over_is_results_or_refused(payload):
    notebook = json.loads(json.dumps(NOTEBOOK))
    notebook["cells"][2]["outputs"][0]["data"][RESULTS_MIME] = payload
    found = read_or_told(lambda: results_in(notebook, PAYLOAD), "the notebook")
    assert found is None or isinstance(found["results"], list)
