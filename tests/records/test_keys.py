"""A run's key changes with the notebook's code, parameters, data and packages; nothing else."""

import dataclasses
import json

import pytest

from mvlib.records import provenance, versions
from mvlib.records.keys import (
    code_digest,
    code_in,
    data_checksums,
    merged_cells,
    record_key,
    run_key,
    staleness,
)
from mvlib.records.plan import PlannedRun
from mvlib.records.provenance import save_sources
from mvlib.records.store import records_path
from mvlib.run.saving import lost, make_record

GIT = {"git_commit": None, "git_dirty": None}


@pytest.fixture
def project(tmp_path):
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
        paper="toy", experiment="a", title="", notebook="notebooks/a.ipynb", profile="full",
        parameters={"profile": "full", "x": 1}, datasets=("handwritten",), method="Toy",
    )  # fmt: skip
    return dataclasses.replace(run, **changes)


def edit(project, change):
    path = project / "notebooks" / "a.ipynb"
    content = json.loads(path.read_text())
    change(content["cells"])
    path.write_text(json.dumps(content))


def recorded(project, run=None, methods=("Toy",), **changes):
    """Return the record of a run, as today's sources make it."""
    run = run or planned()
    scores = dict.fromkeys(("acc", "nmi", "ari", "purity"), 0.5)
    results = [
        {"method": method, "dataset": "wiki", "seed": 1, "parameters": {}, "seconds": None,
         "metrics": {"last": scores}}
        for method in methods
    ]  # fmt: skip
    said = lost(run, "") | {"status": "ok", "error": None, "executed": run.executed}
    said |= {"payload": {"results": results}} | changes
    key = run_key(run, project, said.get("versions"))
    return make_record(run, key, said, "cpu", 1, GIT)


def test_key_follows_code_cells_and_not_outputs_or_prose(project):
    before = run_key(planned(), project)
    edit(project, lambda cells: cells[0].update(source=["better prose"]))
    edit(project, lambda cells: cells[1].update(outputs=[{"data": {}}], execution_count=3))
    assert run_key(planned(), project) == before
    edit(project, lambda cells: cells[1]["source"].append("\nx = 2"))
    assert run_key(planned(), project) != before


def test_key_follows_parameters_and_data(project, monkeypatch):
    before = run_key(planned(), project)
    other = planned(parameters={"profile": "full", "x": 2})
    assert run_key(other, project) != before
    turned = planned(parameters={"x": 1, "profile": "full"})
    assert (run_key(turned, project), turned.cell) == (before, planned().cell)
    monkeypatch.setattr("mvlib.data.fingerprint_of", lambda name: "0" * 64, raising=False)
    assert run_key(planned(), project) != before


def test_key_follows_a_default_of_the_notebook_only_where_the_run_sets_nothing(project):
    def key(source):
        content = {"cell_type": "code", "metadata": {"tags": ["parameters"]}}
        edit(project, lambda cells: cells.insert(1, content | {"source": [source]}))
        found = run_key(planned(), project)
        edit(project, lambda cells: cells.pop(1))
        return found

    assert key('x = 5\ny = [1, 2]\ndevice = "auto"') == key("x = 6\ny = [1, 2]")
    assert key("y = [1, 2]") != key("y = [1, 3]")
    with pytest.raises(ValueError, match="line 1 of the parameters"):
        key("y = x + 1")
    with pytest.raises(ValueError, match="line 1 of the parameters"):
        key("y = {1: 2, 'a': 3}")


def test_key_follows_versions_but_not_pythons_last_part(project):
    def key(**changes):
        return run_key(planned(), project, provenance.versions() | changes)

    assert key(torch="1.0") != key()
    assert key(python="3.11.1") == key(python="3.11.9") != key(python="3.12.1")
    assert key(mvlib="9.9") == key()


def test_key_of_a_reader_follows_the_records_it_reads(project):
    reader = planned(experiment="table", after=("a",))
    before = run_key(reader, project)
    records = project / "data" / "results" / "toy.jsonl"
    records.parent.mkdir(parents=True)
    line = recorded(project, planned(experiment="b"))
    records.write_text(json.dumps(line) + "\n")
    assert run_key(reader, project) == before
    records.write_text(json.dumps(line | {"experiment": "a"}) + "\n")
    assert run_key(reader, project) != before
    afar = planned(experiment="table", after=("other/a",))
    before = run_key(afar, project)
    line |= {"paper": "other", "experiment": "a"}
    records.with_name("other.jsonl").write_text(json.dumps(line) + "\n")
    assert run_key(afar, project) != before


def test_quick_runs_of_one_machine_make_no_longer_run_an_earlier_one(project):
    long = planned(experiment="table", after=("a",))
    quick = planned(experiment="table", after=("a",), profile="quick")
    before = [run_key(run, project) for run in (long, quick)]
    line = recorded(project, planned(experiment="a")) | {"profile": "quick"}
    path = records_path("toy", "quick", project)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(line) + "\n")
    assert run_key(long, project) == before[0]
    assert run_key(quick, project) != before[1]


def test_a_quick_run_that_reads_records_follows_the_longer_ones_of_its_own(project):
    quick = planned(experiment="table", after=("a",), profile="quick")
    before = run_key(quick, project)
    keys = []
    for profile in ("quick", "full"):
        run = planned(experiment="table", profile=profile, datasets=("wiki",))
        path = records_path("toy", profile, project)
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(recorded(project, run)) + "\n")
        keys.append(run_key(quick, project))
    assert keys[0] == before
    assert keys[1] != before


def test_records_of_other_data_make_no_run_on_a_set_an_earlier_one(project):
    on_a_set = planned(experiment="table", after=("a",), datasets=("handwritten",))
    on_all = planned(experiment="table", after=("a",), datasets=())
    before = [run_key(run, project) for run in (on_a_set, on_all)]
    line = recorded(project, planned(experiment="a", datasets=("wiki", "cub")))
    path = records_path("toy", "full", project)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(line) + "\n")
    assert run_key(on_a_set, project) == before[0]
    assert run_key(on_all, project) != before[1]
    line |= {"datasets": line["datasets"] | {"handwritten": "0" * 64}}
    path.write_text(json.dumps(line) + "\n")
    assert run_key(on_a_set, project) != before[0]


def test_missing_notebook_and_broken_parameters_are_told(project):
    with pytest.raises(ValueError, match=r"b\.ipynb is missing"):
        run_key(planned(notebook="notebooks/b.ipynb"), project)
    tagged = {"source": ["%matplotlib inline"], "metadata": {"tags": ["parameters"]}}
    edit(project, lambda cells: cells[1].update(tagged))
    with pytest.raises(ValueError, match="no Python"):
        run_key(planned(), project)


def test_key_of_a_record_follows_the_versions_of_its_methods():
    assert record_key("a", {"SMART": 1}) != record_key("a", {"SMART": 2})
    assert record_key("a", {"SMART": 1}) != record_key("b", {"SMART": 1})


def test_a_record_says_its_versions_and_is_old_once_one_of_them_is_raised(project, monkeypatch):
    record = recorded(project, methods=("SMART", "k-means, view 1", "without L_smc"))
    assert record["method_versions"] == {"SMART": 1, "Toy": 1, "k-means": 1}
    assert staleness(record, project) == "current"
    with monkeypatch.context() as raised:
        raised.setitem(versions.VERSIONS, "k-means", 2)
        assert staleness(record, project) == "earlier version"
        assert recorded(project, methods=("k-means",))["method_versions"] == {"k-means": 2}
    with monkeypatch.context() as raised:
        raised.setitem(versions.VERSIONS, "SIC", 2)
        assert staleness(record, project) == "current"


def test_staleness_looks_at_the_notebook_and_not_at_this_machines_packages(project):
    there = {"python": "3.10.2", "mvlib": "0.0", "torch": "1.0"}
    record = recorded(project, versions=there)
    assert staleness(record, project) == "current"
    edit(project, lambda cells: cells[1].update(source=["import scipy"]))
    assert staleness(record, project) == "earlier version"
    (project / "notebooks" / "a.ipynb").unlink()
    assert staleness(record, project) == "earlier version"


def test_the_ledger_vouches_for_records_whatever_becomes_of_their_notebook(
    project, monkeypatch
):
    record = recorded(project, methods=("SMART",))
    del record["method_versions"]
    assert staleness(record, project) == "earlier version"
    ledger = project / versions.LEDGER
    ledger.parent.mkdir(parents=True)
    ledger.write_text(json.dumps({"1": [record["key"]]}))
    assert staleness(record, project) == "current"
    (project / "notebooks" / "a.ipynb").unlink()
    assert staleness(record, project) == "current"
    monkeypatch.setitem(versions.VERSIONS, "SMART", 2)
    assert staleness(record, project) == "earlier version"


def test_a_quick_record_is_old_once_a_module_that_it_loaded_has_changed(
    project, tmp_path, monkeypatch
):
    package = tmp_path / "mvlib"
    package.mkdir()
    (package / "used.py").write_text("x = 1")
    (package / "other.py").write_text("x = 1")
    monkeypatch.setattr(provenance, "_PACKAGE", package)
    run = planned(profile="quick")
    record = recorded(project, run)
    assert staleness(record, project) == "earlier version"
    used = provenance.package_files([str(package / "used.py"), "/os.py"])
    assert used == ["used.py"]
    save_sources(run.executed, provenance.checksums(used), project)
    assert staleness(record, project) == "current"
    (package / "other.py").write_text("x = 2")
    assert staleness(record, project) == "current"
    (package / "used.py").write_text("x = 2")
    assert staleness(record, project) == "earlier version"
    (package / "used.py").unlink()
    assert staleness(record, project) == "earlier version"


def test_cell_does_not_depend_on_sources_or_title():
    assert planned().cell == planned(title="other", minutes=5).cell
    assert planned().cell != planned(profile="quick").cell


def test_the_code_that_ran_stands_amid_the_prose_that_is_written():
    def cell(kind, source, **metadata):
        return {"cell_type": kind, "source": [source], "metadata": metadata}

    first, last = cell("code", "x = 1", tags=["parameters"]), cell("code", "y = x")
    written = {"cells": [cell("markdown", "new prose"), first, last]}
    injected = cell("code", "x = 2", tags=["injected-parameters"])
    ran = cell("code", "y = x", outputs="2")
    executed = {"cells": [cell("markdown", "prose"), cell("code", "x = 1"), injected, ran]}
    expected = [written["cells"][0], first, injected, last]
    assert merged_cells(written, executed) == expected
    assert merged_cells({"cells": [first, cell("code", "y = 3")]}, executed) is None
    digests = {code_digest(*code_in(book, "a.ipynb")) for book in (written, executed)}
    assert digests == {code_digest(["y = x"], "x = 1")} != {code_digest(["y = x"], "x = 2")}
    assert code_in(written, "a.ipynb") == (["y = x"], "x = 1")
    untagged = code_in({"cells": [injected, ran]}, "a.ipynb")
    assert untagged == (["y = x"], "")


def test_a_run_of_no_data_has_no_checksums():
    assert data_checksums(()) == {}
