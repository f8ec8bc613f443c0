"""Whatever is typed, and whatever the project's files hold: an exit status and a line."""

import contextlib
import io
import json
import re
import sys
from types import SimpleNamespace

import pytest
from fuzzing import NOTEBOOK, PLAN, PUBLISHED, RECORD, fuzz, spoilt, spoilt_bytes, spoilt_toml
from hypothesis import given
from hypothesis import strategies as st

from mvlib.cli import main

CANNOT = PLAN.replace("bdgp", "wiki").replace("seeds = [1]", "datasets = ['nus-wide']")
README = "# Toy\n\n<!-- mvlib: results -->\n<!-- mvlib: end -->\n"
# What reaches further than files: a build of the book, a watch that lasts, other machines.
COMMANDS = ["run", "status", "table", "clean", "store", "data", "cluster", "x", "--version"]
COMMANDS += ["search", "cache"]
FLAGS = [
    "--profile", "--dataset", "--where", "--jobs", "--device", "--dry-run", "--rerun-earlier",
    "--again", "--limit-minutes", "--readme", "-k", "--method", "--encoder", "--pretrained",
    "--words", "--captions", "--out", "--seed", "--help", "--", "-x", "--cluster",
    "--export", "--sidecars", "--undo", "--vectors", "--edits", "--update", "--cache",
    "--clear", "--like", "-n",
]  # fmt: skip
VALUES = [
    "quick", "full", "toy", "toy/method", "toy/*", "*", "[", "method", "wiki", "nus-wide",
    "list", "card", "fetch", "0", "1", "-1", "1e999", "nan", "9" * 400, "9" * 5000,
    "ratio=0.5", "seeds=5", "=", "a=", "ratio=", "auto", "cpu", "", " ", ".", "..", "/",
    "missing", "a" * 300, "a\nb", "\x1b[2J", "é", "\udcff", "%s", "{}", "{",
    "offline", "openclip:x/y", "kmeans",
]  # fmt: skip


def write_project(root):
    for folder in ("data/results/reduced", "notebooks/toy", "runs/records"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    record = RECORD | {"paper": "toy", "experiment": "method"}
    for name, text in {
        "notebooks/toy/plan.toml": CANNOT,
        "notebooks/toy/published.toml": PUBLISHED,
        "notebooks/toy/method.ipynb": json.dumps(NOTEBOOK),
        "notebooks/toy/table.ipynb": json.dumps(NOTEBOOK),
        "data/results/toy.jsonl": json.dumps(record) + "\n",
        "README.md": README,
    }.items():
        (root / name).write_text(text)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    write_project(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MVLIB_ROOT", str(root))
        patch.setenv("MVLIB_DATA", str(root / "no-data"))
        patch.setenv("MVLIB_OFFLINE", "1")
        patch.chdir(root)
        # It imports torch; what it checks itself has its own tests.
        fake = SimpleNamespace(cluster_folder=no_folder)
        patch.setitem(sys.modules, "mvlib.report.clustering", fake)
        fake = SimpleNamespace(search_folder=no_folder)
        patch.setitem(sys.modules, "mvlib.report.curate.find", fake)
        patch.setenv("MVLIB_CACHE", str(root / "no-cache"))
        yield root


def no_folder(directory, *arguments, **settings):
    raise ValueError(f"directory={directory!r} cannot be read: expected a folder of images")


def end_of(arguments):
    """Return the exit status of a command; whatever is wrong is told in one line."""
    said, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
        try:
            status = main(arguments)
        except SystemExit as end:
            status = end.code
            if status == 2:
                assert re.search(r"^mvlib.*: error: ", told.getvalue(), re.MULTILINE)
        else:
            if status == 2:
                assert told.getvalue().startswith("mvlib: ")
                assert len(told.getvalue().splitlines()) == 1, told.getvalue()
    assert status in (0, 1, 2, 130)
    assert "Traceback" not in said.getvalue() + told.getvalue()
    return status


ARGUMENTS = st.lists(st.sampled_from(FLAGS) | st.sampled_from(VALUES), max_size=6)


@fuzz(150)
@given(command=st.sampled_from(COMMANDS), arguments=ARGUMENTS)
def test_whatever_is_typed_ends_with_a_status_and_a_line(project, command, arguments):
    write_project(project)
    end_of([command, *arguments])


SPOILT = {
    "notebooks/toy/plan.toml": spoilt_toml(CANNOT).map(str.encode),
    "notebooks/toy/published.toml": spoilt_toml(PUBLISHED).map(str.encode),
    "data/results/toy.jsonl": spoilt(RECORD).map(lambda r: json.dumps(r).encode() + b"\n"),
    "data/results/reduced/toy.jsonl": spoilt_bytes(json.dumps(RECORD).encode()),
    "runs/records/toy.jsonl": spoilt_bytes(json.dumps(RECORD).encode() + b"\n{}"),
    "notebooks/toy/method.ipynb": spoilt(NOTEBOOK).map(lambda n: json.dumps(n).encode()),
    "README.md": spoilt_bytes(README.encode()),
}
LOOKS = [
    ["run", "--dry-run"],
    ["run", "--dry-run", "--profile", "full", "--again"],
    ["run", "table", "--profile", "full"],
    ["status"],
    ["table", "toy"],
    ["table", "toy", "--profile", "quick"],
    ["table", "--readme"],
]


@pytest.mark.filterwarnings("ignore:.*torn and ignored")
@fuzz(100)
@given(name=st.sampled_from(sorted(SPOILT)), look=st.sampled_from(LOOKS), draw=st.data())
def test_whatever_a_file_of_the_project_holds_ends_with_a_status_and_a_line(
    project, name, look, draw
):
    write_project(project)
    path = project / name
    path.write_bytes(draw.draw(SPOILT[name]))
    end_of(look)
    path.unlink()


@pytest.mark.parametrize(
    "arguments",
    [
        *(["run", "--jobs", number] for number in ("9" * 5000, "9" * 400)),
        ["run", "--limit-minutes", "nan"],
        ["run", "["],
        ["run", "--where", "a\nb=1"],
        ["run", "--cluster", "missing.yml"],
        *(["cluster", "missing", "-k", number] for number in ("a\nb", "9" * 400)),
        ["cluster", "missing", "--seed", "9" * 400],
        ["data", "card", "\udcff"],
    ],
)
def test_what_is_wrong_is_told_in_one_line(project, arguments):
    write_project(project)
    assert end_of(arguments) == 2


def test_a_folder_in_place_of_a_file_and_no_project_are_told_in_one_line(project, monkeypatch):
    write_project(project)
    path = project / "data" / "results" / "toy.jsonl"
    path.unlink()
    path.mkdir()
    assert end_of(["status"]) == 2
    path.rmdir()
    monkeypatch.setenv("MVLIB_ROOT", str(project / "nothing"))
    for look in LOOKS:
        assert end_of(look) in (0, 2)
