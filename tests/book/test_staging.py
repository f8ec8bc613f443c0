import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile

import nbformat
import pytest
from projects import HEADER
from toy_records import make_record

from mvlib import records
from mvlib.book import build, build_book, stage_book, store_outputs
from mvlib.records import PlannedRun, run_key
from mvlib.records.keys import record_key
from mvlib.records.provenance import save_sources, versions

ROOT = Path(__file__).resolve().parents[2]
TOC = """
format: jb-book
root: book/index
chapters:
  - file: notebooks/toy/good
"""
NOTEBOOK = "notebooks/toy/good.ipynb"
PLAN = f"""{HEADER}
[[experiment]]
name = "good"
title = "Good"
notebook = "notebooks/toy/good.ipynb"

[experiment.quick]
grid = {{ x = [1, 2] }}
"""


def notebook(outputs, prose="Prose.", injected=None):
    new = nbformat.v4
    tags = {"tags": ["injected-parameters"]}
    cells = [
        new.new_markdown_cell(f"# Good\n\n{prose}", id="head"),
        new.new_code_cell("x = 0", id="parameters", metadata={"tags": ["parameters"]}),
        *([new.new_code_cell(injected, id="injected", metadata=tags)] if injected else []),
        new.new_code_cell("print(x)", id="code", execution_count=1),
    ]
    cells[-1].outputs = [new.new_output("stream", name="stdout", text=outputs)]
    return new.new_notebook(cells=cells)


def write(path, page):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(page, path)


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    (root / "book" / "_static").mkdir(parents=True)
    write(root / NOTEBOOK, notebook("committed"))
    (root / "_config.yml").write_text("title: Toy\nonly_build_toc_files: true\n")
    (root / "_toc.yml").write_text(TOC)
    (root / "book" / "index.md").write_text("# Toy\n\nA [page](../notebooks/toy/good.ipynb).\n")
    (root / "notebooks" / "toy" / "plan.toml").write_text(PLAN)
    return root


def add_run(root, outputs="from the run", day=1, parameters=None, **changes):
    parameters = {"profile": "quick"} | (parameters or {"x": day})
    run = PlannedRun("toy", "good", "", NOTEBOOK, "quick", parameters)
    record = make_record(
        key=record_key(run_key(run, root), {}), method_versions={}, cell=run.cell,
        experiment="good", notebook=run.notebook, profile="quick", parameters=parameters,
        datasets={}, results=[], wall_seconds=3.0, device="Toy processor",
        versions=versions(), started=f"2026-01-0{day}T00:00:00+00:00", executed=run.executed,
    )  # fmt: skip
    save_sources(run.executed, {}, root)
    write(root / run.executed, notebook(outputs, "Older prose.", injected=f"x = {day}"))
    records.save_record(record | changes, root)


def staged(root):
    stage_book(root, root / "_build" / "stage")
    return nbformat.read(root / "_build" / "stage" / NOTEBOOK, as_version=4)


def pages_of_methods(root):
    """Stage the project with a plan that runs the notebook for two methods."""
    plan = root / "notebooks" / "toy" / "plan.toml"
    plan.write_text(PLAN.replace("x = [1, 2]", 'method = ["smart", "mvcln"]'))
    staged(root)
    folder = root / "_build" / "stage" / "notebooks" / "toy"
    return {path.stem: path.read_text() for path in folder.glob("method_*")}


def test_each_method_that_a_notebook_ran_for_has_a_page_under_its_title(project):
    pages = pages_of_methods(project)
    assert "# SMART" in pages["method_smart"]
    assert "committed with the notebook" in pages["method_smart"]
    # What has not run has its idea, and its command.
    assert "<b>pulls</b>" in pages["method_mvcln"]
    assert "`mvlib run toy/good --profile quick --where method=mvcln`" in pages["method_mvcln"]
    titles = {"smart": "SMART", "mvcln": "MvCLN"}
    for method in titles:
        add_run(project, f"of {method}", parameters={"method": method})
    pages = pages_of_methods(project)
    assert set(pages) == {"method_smart", "method_mvcln"}
    for name, title in titles.items():
        assert f"# {title}" in pages[f"method_{name}"]
        assert "# Good" not in pages[f"method_{name}"]
        assert f"of {name}" in pages[f"method_{name}"]


def test_without_a_run_a_page_ends_with_its_command_and_all_notebooks_are_one_file(project):
    (*_, last) = staged(project).cells
    assert "`mvlib run toy/good`" in last.source
    packed = project / "_build" / "stage" / "book" / "notebooks.zip"
    with ZipFile(packed) as opened:
        assert opened.namelist() == [NOTEBOOK]
        assert opened.read(NOTEBOOK) == (project / NOTEBOOK).read_bytes()
    # Staged again on another day, the book has not changed.
    before = packed.read_bytes()
    os.utime(project / NOTEBOOK, (0, 0))
    staged(project)
    assert packed.read_bytes() == before


def test_of_several_current_runs_the_plans_first_is_shown_with_the_committed_prose(project):
    add_run(project, "of one")
    add_run(project, "of two", day=2)
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    page = staged(project)
    text = json.dumps(page)
    assert "of one" in text
    assert "of two" not in text
    assert "Older prose." not in text
    origin = next(cell for cell in page.cells if "origin" in cell.source)
    assert "**quick** profile, x 1" in origin.source
    assert "Toy processor" in origin.source
    assert "It also ran with x 2" in origin.source
    assert page.cells[-1] is origin
    assert "`mvlib run toy/good`" in origin.source
    assert "{download}`download this notebook <good.ipynb>`" in origin.source
    assert "{download}`all of them <../../book/notebooks.zip>`" in origin.source
    (given,) = (cell for cell in page.cells if cell.source == "x = 1")
    assert "hide-input" in given.metadata["tags"]
    # The repository itself is left alone.
    assert {path: path.read_bytes() for path in before} == before
    shutil.rmtree(project / "_build")
    assert {path for path in project.rglob("*") if path.is_file()} == set(before)


@pytest.mark.parametrize("why", ["earlier code", "failed"])
def test_a_run_of_earlier_code_or_a_failed_one_gives_way_to_the_committed_outputs(project, why):
    failure = {"status": "failed", "error": "boom"} if why == "failed" else {}
    add_run(project, **failure)
    if why == "earlier code":
        path = project / NOTEBOOK
        path.write_text(path.read_text().replace("print(x)", "print(x + 1)"))
    page = json.dumps(staged(project))
    assert "from the run" not in page
    assert "committed with the notebook" in page
    assert '"text": "committed"' in page


@pytest.mark.parametrize(
    ("source", "folded"),
    [
        ("import os", True),
        ("from x import y", True),
        ("recorder.finish()", True),
        ("a = 1", False),
    ],
)
def test_what_sets_a_page_up_or_ends_it_is_folded(project, source, folded):
    page = notebook("committed")
    page.cells.append(nbformat.v4.new_code_cell(source))
    write(project / NOTEBOOK, page)
    (cell,) = (cell for cell in staged(project).cells if cell.source == source)
    assert ("hide-input" in cell.metadata.get("tags", [])) == folded


def test_an_image_gets_the_words_of_its_output_and_what_the_runner_reads_is_left_out(project):
    page = notebook("committed")
    for data, metadata in (
        ({"image/png": "AAAA"}, {"alt": "A rising line."}),
        ({"text/plain": "stamp", "application/vnd.mvlib.results+json": {}}, {}),
    ):
        new = nbformat.v4.new_output("display_data", data, metadata=metadata)
        page.cells[-1].outputs.append(new)
    write(project / NOTEBOOK, page)
    cell = staged(project).cells[-2]
    assert cell.metadata["mystnb"]["image"]["alt"] == "A rising line."
    assert "stamp" in json.dumps(cell)
    assert "vnd.mvlib.results" not in json.dumps(cell)


def test_the_words_below_a_figure_are_its_caption_in_the_book_and_stay_in_the_download(project):
    page = notebook("committed")
    tags = {"tags": ["caption"]}
    page.cells.append(nbformat.v4.new_markdown_cell("How to read it.", metadata=tags))
    write(project / NOTEBOOK, page)
    figure, caption = staged(project).cells[-3:-1]
    assert figure.metadata["mystnb"]["figure"]["caption"] == caption.source == "How to read it."
    assert "remove-cell" in caption.metadata["tags"]


def test_a_page_that_the_contents_name_and_nobody_wrote_is_an_error(project):
    (project / "_toc.yml").write_text(TOC + "  - file: notebooks/toy/gone\n")
    with pytest.raises(ValueError, match="notebooks/toy/gone"):
        stage_book(project, project / "_build" / "stage")


def test_storing_puts_the_shown_runs_outputs_into_the_notebooks_named_and_into_no_other(
    project,
):
    write(project / "notebooks" / "toy" / "never_run.ipynb", notebook("committed"))
    add_run(project)
    assert store_outputs(["toy/good"], project) == [project / NOTEBOOK]
    page = nbformat.read(project / NOTEBOOK, as_version=4)
    assert [cell.source for cell in page.cells] == ["# Good\n\nProse.", "x = 0", "print(x)"]
    assert page.cells[-1].outputs[0].text == "from the run"
    assert [cell.execution_count for cell in page.cells[1:]] == [1, 2]
    assert store_outputs(["toy/good"], project) == []
    with pytest.raises(ValueError, match="never_run.ipynb has no current quick run"):
        store_outputs(root=project)
    with pytest.raises(ValueError, match="notebook='toy/gone' is unknown"):
        store_outputs(["toy/gone"], project)


@pytest.fixture
def builder(monkeypatch):
    """Stand in for Sphinx: one page, of the staged first page's text."""
    builds = SimpleNamespace(count=0, body="", fails=False)

    def run(stage, folder, log):
        builds.count += 1
        if builds.fails:
            raise RuntimeError("the book did not build")
        html = folder / "html"
        html.mkdir()
        text = (stage / "book" / "index.md").read_text()
        (html / "index.html").write_text(text + builds.body)
        return html

    monkeypatch.setattr(build, "_run", run)
    return builds


def test_a_book_is_built_again_if_changed_or_gone_and_else_not(project, builder):
    index = build_book(project)
    # As a build that was killed between its two renames leaves it.
    index.parent.rename(index.parents[1] / ".html-before")
    assert build_book(project) == index
    assert builder.count == 1
    (project / "book" / "index.md").write_text("# Changed\n")
    assert "Changed" in build_book(project).read_text()
    add_run(project)
    build_book(project).unlink()
    assert builder.count == 3
    assert build_book(project).exists()
    assert builder.count == 4


@pytest.mark.parametrize("failure", ["build", "check"])
def test_a_failed_build_keeps_the_last_good_book(project, builder, failure):
    index = build_book(project)
    (project / "book" / "index.md").write_text("# Changed\n")
    builder.fails = failure == "build"
    builder.body = '<img src="https://example.org/x.png">'
    with pytest.raises(RuntimeError, match="did not build" if builder.fails else "outside"):
        build_book(project)
    assert "# Toy" in index.read_text()
    left = {path.name for path in index.parents[1].iterdir()}
    assert left == {".book.lock", "html", "stage"}
    builder.fails, builder.body = False, ""
    assert "Changed" in build_book(project).read_text()


def test_a_warning_of_the_build_is_an_error_that_quotes_it_and_odd_tracebacks_give_none(
    project,
):
    (project / "book" / "index.md").write_text("# Toy\n\n[nowhere](gone.md)\n")
    shutil.copyfile(ROOT / "_config.yml", project / "_config.yml")
    page = notebook("committed")
    error = {"ename": "ValueError", "evalue": "?", "traceback": ['x = "a', "$ ?? ¬"]}
    page.cells[-1].outputs.append(nbformat.v4.new_output("error", **error))
    write(project / NOTEBOOK, page)
    with pytest.raises(RuntimeError, match="gone.md"):
        build_book(project)
    log = (project / "_build" / "book.log").read_text()
    assert "gone.md" in log
    assert "Lexing" not in log
    assert not (project / "_build" / "html").exists()
