"""The command line says in one line what is wrong, and touches only what it says."""

import json
import subprocess
import sys
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

import pytest
from projects import GIT, HEADER, experiment, make_project, notebook_of

from mvlib.cli import main
from mvlib.records import plan_runs, save_record
from mvlib.records.keys import run_key
from mvlib.records.provenance import save_sources
from mvlib.records.recorder import PROFILES
from mvlib.run.saving import lost, make_record

SETS = 'grid = { dataset = ["handwritten", "deep-animal"] }'
PLAN = HEADER + experiment("method", f"{SETS}, seeds = [5], minutes = 2, disk_mb = 3")
SOURCE = "profile = 'quick'\ndatasett = 'handwritten'\nseeds = [5]"


@pytest.fixture
def project(tmp_path, monkeypatch):
    make_project(tmp_path, PLAN, {})
    notebook = tmp_path / "notebooks" / "toy" / "method.ipynb"
    notebook.write_text(json.dumps(notebook_of(SOURCE)))
    monkeypatch.setenv("MVLIB_ROOT", str(tmp_path))
    monkeypatch.setenv("MVLIB_DATA", str(tmp_path / "no-data"))
    return tmp_path


def test_dry_run_says_what_would_run_on_what_for_how_long(project, capsys):
    assert main(["run", "--dry-run"]) == 0
    out = capsys.readouterr().out
    ready, absent = out.splitlines()[1:3]
    assert ready.split()[-4:] == ["at", "hand", "2", "3"]
    assert "to run" in ready
    assert "cannot" in absent
    assert "not at hand" in absent
    assert "1 of 2 runs would run: 2 minutes expected" in out
    assert "3 MB" in out
    assert "cannot: deep-animal: data not at hand" in out
    assert not (project / "runs").exists()


def test_where_leaves_the_runs_with_these_parameters(project, capsys):
    for more in ([], ["seeds=5"], ["--where", "profile=quick"]):
        assert main(["run", "--dry-run", "--where", "dataset=handwritten", *more]) == 0
        out = capsys.readouterr().out
        assert "toy/method/handwritten seeds 5" in out
        assert "deep-animal" not in out
        assert "1 of 1 runs would run" in out


def test_again_says_of_a_recorded_run_that_it_would_run(project, capsys):
    (run,) = plan_runs("quick", where={"dataset": "handwritten"}, root=project)
    outcome = lost(run, "") | {"status": "ok", "error": None, "executed": run.executed}
    save_record(make_record(run, run_key(run, project), outcome, "cpu", 1, GIT), project)
    (project / run.executed).parent.mkdir(parents=True)
    (project / run.executed).write_text('{"cells": []}')
    save_sources(run.executed, {}, project)
    only = ["run", "--dry-run", "--where", "dataset=handwritten"]
    assert main(only) == 0
    assert "0 of 1 runs would run" in capsys.readouterr().out
    assert main([*only, "--again"]) == 0
    assert "1 of 1 runs would run" in capsys.readouterr().out


@pytest.fixture
def asked(monkeypatch):
    """Stand in for the runner; return what it was asked for."""
    asked = {}

    def run_all(runs, **options):
        asked.update(options, runs=runs)
        return SimpleNamespace(table=str, exit_code=7)

    monkeypatch.setattr("mvlib.run.runner.run_all", run_all)
    return asked


@pytest.mark.parametrize("again", [False, True])
def test_what_is_asked_of_a_run_reaches_the_runner(project, asked, again):
    flags = ["--again"] if again else ["--rerun-earlier"]
    assert main(["run", "method", "--where", "dataset=deep-animal", "--jobs", "1", *flags]) == 7
    assert [run.datasets for run in asked["runs"]] == [("deep-animal",)]
    assert (asked["again"], asked["rerun_earlier"], asked["jobs"]) == (again, not again, 1)


@pytest.fixture
def dask(monkeypatch):
    """Stand in for `mvlib.run.dask`; return what it was asked for."""
    connected = []

    @contextmanager
    def connect(address):
        if "none" in address:
            raise ModuleNotFoundError("No module named 'distributed'", name="distributed")
        connected.append(address)
        yield SimpleNamespace(
            dashboard_link="http://127.0.0.1:8787/status",
            open_address=address if "10.0.0.5" in address else None,
        )
        connected.append("ended")

    module = ModuleType("mvlib.run.dask")
    module.connect = connect
    monkeypatch.setitem(sys.modules, "mvlib.run.dask", module)
    return connected


@pytest.mark.parametrize("host", ["10.0.0.5", "127.0.0.1"])
def test_dask_runs_what_is_asked_and_its_dashboard_and_open_door_are_told(
    project, capsys, dask, asked, host
):
    address = f"tcp://{host}:8786"
    assert main(["run", "--scheduler", address]) == 7
    assert dask == [address, "ended"]
    assert asked["engine"].dashboard_link
    assert asked["jobs"] is None
    told = capsys.readouterr()
    assert "dashboard: http://127.0.0.1:8787/status" in told.out
    warning = "warning: no TLS at tcp://10.0.0.5:8786: whoever reaches it can run code"
    assert (warning in told.err) == (host == "10.0.0.5")


def test_places_to_run_exclude_each_other_and_a_missing_engine_is_told(project, capsys, dask):
    with pytest.raises(SystemExit) as ending:
        main(["run", "--scheduler", "tcp://a:1", "--jobs", "2"])
    assert ending.value.code == 2
    assert "not allowed with argument" in capsys.readouterr().err
    assert main(["run", "--scheduler", "tcp://none:8786"]) == 2
    err = capsys.readouterr().err
    assert err == 'mvlib: distributed is not installed: pip install "mvlib[cluster]"\n'
    assert dask == []


def test_a_dry_run_with_an_engine_starts_none_and_leaves_the_data_to_it(project, capsys, dask):
    assert main(["run", "--dry-run", "--scheduler", "tcp://127.0.0.1:8786"]) == 0
    assert "2 of 2 runs would run" in capsys.readouterr().out
    assert dask == []


def test_data_that_cannot_be_had_stop_nothing_and_an_unknown_parameter_all(project, capsys):
    assert main(["run", "--dataset", "deep-animal"]) == 0
    out = capsys.readouterr().out
    assert "cannot toy/method/deep-animal seeds 5: data not at hand" in out
    assert main(["run"]) == 2
    err = capsys.readouterr().err
    assert "parameter='dataset' is unknown. Did you mean 'datasett'?" in err
    assert not list(project.rglob("*.jsonl"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "metod"], "Did you mean 'method'"),
        (["run", "--dataset", "handwriten"], "Did you mean 'handwritten'"),
        (["run", "--jobs", "0", "--dataset", "handwritten"], "jobs=0"),
        (["run", "--limit-minutes", "-1", "--dataset", "handwritten"], "limit_minutes=-1"),
        (["run", "--where", "datset=handwritten"], "Did you mean 'dataset'"),
        (["run", "--where", "dataset=handwriten"], "Did you mean 'handwritten'"),
        (["run", "--where", "seeds=7"], "where: seeds='7' is unknown. Expected one of: 5"),
        (["run", "--where", "seeds"], "where='seeds': expected NAME=VALUE"),
        (["run", "--where", "seeds="], "where='seeds=': expected NAME=VALUE"),
        (["run", "--where", "=5"], "where='=5': expected NAME=VALUE"),
        (["run", "--where", "seeds=5", "dataset:x"], "where='dataset:x': expected NAME=VALUE"),
        (["table", "toi"], "Did you mean 'toy'"),
        (["table"], "expected one of toy"),
        (["table", "--readme"], "README.md"),
        (["data", "card", "wikki"], "Did you mean 'wiki'"),
        (["data", "card"], "name is missing"),
        (["status"], "toy/plan.toml is no TOML"),
    ],
)
def test_bad_input_is_one_line_and_status_2(project, capsys, arguments, message):
    if arguments == ["status"]:
        (project / "notebooks" / "toy" / "plan.toml").write_text("paper = ")
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("mvlib: ")
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err


def test_clean_removes_what_runs_made_and_nothing_else(project, capsys):
    for name in ("runs/quick", "_build/html", "data/results"):
        (project / name).mkdir(parents=True)
        (project / name / "file").write_text("x")
    assert main(["clean"]) == 0
    assert "removed runs/" in capsys.readouterr().out
    kept = ["_config.yml", "data", "notebooks"]
    assert sorted(path.name for path in project.iterdir()) == kept
    assert (project / "data" / "results" / "file").exists()
    assert main(["clean"]) == 0
    assert "runs/ is not there" in capsys.readouterr().out


def test_status_lists_the_runs_of_every_profile_or_of_one(project, capsys):
    plan = project / "notebooks" / "toy" / "plan.toml"
    sizes = "".join(f"\n[experiment.{name}]\nseeds = [1]\n" for name in ("reduced", "full"))
    plan.write_text(plan.read_text() + sizes)
    assert main(["status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == [
        "run", "toy/method/handwritten", "toy/method/deep-animal",
    ]  # fmt: skip
    assert "to run" in lines[1]
    found = [next(word for word in line.split() if word in PROFILES) for line in lines[1:]]
    assert found == ["quick", "quick", "reduced", "full"]
    assert main(["status", "--profile", "reduced"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_table_and_data_show_what_there_is(project, capsys):
    assert main(["table", "toy", "--profile", "reduced"]) == 0
    out = capsys.readouterr().out
    assert "Results of the reduced profile" in out
    assert "No run is recorded." in out
    plan = project / "notebooks" / "toy" / "published.toml"
    plan.write_text(
        'paper = "toy"\n[[claim]]\ntext = "more"\nsource = "abstract"\nwhere = "here"\n'
        'unknown = ["of what"]\n'
    )
    for command in (["table", "--json"], ["table", "toy", "--json"]):
        assert main(command) == 0
        (claim,) = json.loads(capsys.readouterr().out)
        assert (claim["paper"], claim["claim"], claim["verdict"]) == ("toy", "more", "open")
    assert main(["table", "toi", "--json"]) == 2
    assert "Did you mean 'toy'" in capsys.readouterr().err
    assert main(["data", "list"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["handwritten"].split()[1:] == ["2000", "10", "at", "hand"]
    assert lines["deep-animal"].endswith("not at hand")
    assert main(["data", "card", "handwritten"]) == 0
    assert "CC BY 4.0" in capsys.readouterr().out


def test_a_command_that_runs_nothing_imports_nothing_heavy(project):
    code = (
        "import sys; from mvlib.cli import main; main(['run', '--dry-run']); "
        "heavy = {'torch', 'pandas', 'papermill', 'sklearn', 'matplotlib', 'jsonschema'}; "
        "print(sorted((heavy | {'scipy'}) & set(sys.modules)))"
    )
    told = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert told.splitlines()[-1] == "[]"
