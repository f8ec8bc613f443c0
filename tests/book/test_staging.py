import json
import subprocess
from types import SimpleNamespace

import nbformat
import pytest
from projects import HEADER
from toy_records import make_record

from mvlib import records
from mvlib.book import build, build_book, stage_book
from mvlib.records import PlannedRun, run_key
from mvlib.records.keys import record_key
from mvlib.records.provenance import save_sources, versions

TOC = """
format: jb-book
root: book/index
chapters:
  - file: notebooks/toy/good
"""
PLAN = f"""{HEADER}
[[experiment]]
name = "good"
title = "Good"
notebook = "notebooks/toy/good.ipynb"

[experiment.quick]
grid = {{ x = [1, 2] }}
"""
CODE = "print(x)"


def notebook(outputs, prose="Prose.", injected=None, image=None):
    new = nbformat.v4
    printed = [new.new_output("stream", name="stdout", text=outputs)]
    if image:
        printed.append(new.new_output("display_data", {"image/png": "AAAA"}, metadata=image))
    cells = [
        new.new_markdown_cell(f"# Good\n\n{prose}", id="head"),
        new.new_code_cell("x = 0", id="parameters", metadata={"tags": ["parameters"]}),
        new.new_code_cell(CODE, id="code", outputs=printed, execution_count=1),
    ]
    if injected:
        cells.insert(
            2,
            new.new_code_cell(
                injected, id="injected", metadata={"tags": ["injected-parameters"]}
            ),
        )
    return new.new_notebook(cells=cells)


def write(path, page):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(page, path)


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    (root / "book" / "_static").mkdir(parents=True)
    (root / "notebooks" / "toy").mkdir(parents=True, exist_ok=True)
    (root / "_config.yml").write_text("title: Toy\nonly_build_toc_files: true\n")
    (root / "_toc.yml").write_text(TOC)
    (root / "book" / "index.md").write_text("# Toy\n\nA [page](../notebooks/toy/good.ipynb).\n")
    (root / "notebooks" / "toy" / "plan.toml").write_text(PLAN)
    write(root / "notebooks" / "toy" / "good.ipynb", notebook("committed"))
    return root


def add_run(root, x, started, outputs, parameters=None, **changes):
    parameters = parameters or {"profile": "quick", "x": x}
    run = PlannedRun("toy", "good", "", "notebooks/toy/good.ipynb", "quick", parameters)
    record = make_record(
        key=record_key(run_key(run, root), {}), method_versions={}, cell=run.cell,
        experiment="good", notebook=run.notebook, profile="quick", parameters=parameters,
        datasets={}, results=[], wall_seconds=3.0, device="Toy processor",
        versions=versions(), started=started, executed=run.executed,
    )  # fmt: skip
    save_sources(run.executed, {}, root)
    write(root / run.executed, notebook(outputs, "Older prose.", injected=f"x = {x}"))
    records.save_record(record | changes, root)


def staged(root):
    stage_book(root, root / "_build" / "stage")
    path = root / "_build" / "stage" / "notebooks" / "toy" / "good.ipynb"
    return nbformat.read(path, as_version=4)


def text_of(page):
    return json.dumps(page)


def test_without_a_run_the_committed_outputs_are_shown_and_said_to_be(project):
    page = text_of(staged(project))
    assert "committed with the notebook" in page
    assert '"text": "committed"' in page


def pages_of_methods(root):
    """Stage the project with a plan that runs the notebook for two methods."""
    plan = root / "notebooks" / "toy" / "plan.toml"
    plan.write_text(PLAN.replace("x = [1, 2]", 'method = ["smart", "mvcln"]'))
    staged(root)
    folder = root / "_build" / "stage" / "notebooks" / "toy"
    return {path.stem: text_of(nbformat.read(path, 4)) for path in folder.glob("method_*")}


def test_each_method_that_a_notebook_ran_for_has_a_page_under_its_title(project):
    for method in ("smart", "mvcln"):
        parameters = {"profile": "quick", "method": method}
        add_run(project, 1, "2026-01-01T00:00:00+00:00", f"of {method}", parameters=parameters)
    pages = pages_of_methods(project)
    assert set(pages) == {"method_smart", "method_mvcln"}
    for name, title in (("smart", "SMART"), ("mvcln", "MvCLN")):
        assert f"# {title}" in pages[f"method_{name}"]
        assert "# Good" not in pages[f"method_{name}"]
        assert f"of {name}" in pages[f"method_{name}"]


def test_without_a_run_the_first_method_alone_has_a_page_the_committed_one(project):
    (page,) = pages_of_methods(project).values()
    assert "# SMART" in page
    assert "committed with the notebook" in page


def test_a_current_run_is_shown_with_its_profile_and_the_committed_prose(project):
    add_run(project, 1, "2026-01-01T00:00:00+00:00", "from the run")
    page = staged(project)
    text = text_of(page)
    assert "from the run" in text
    assert "Older prose." not in text
    origin = next(cell for cell in page.cells if "origin" in cell.source)
    assert "**quick** profile, x 1" in origin.source
    assert "Toy processor" in origin.source
    injected = next(cell for cell in page.cells if cell.source == "x = 1")
    assert "hide-input" in injected.metadata["tags"]
    assert [cell.source for cell in page.cells].index("x = 1") == 3


def test_of_several_runs_the_plans_first_is_shown_and_the_others_named(project):
    add_run(project, 1, "2026-01-01T00:00:00+00:00", "of one")
    add_run(project, 2, "2026-01-02T00:00:00+00:00", "of two")
    text = text_of(staged(project))
    assert "of one" in text
    assert "of two" not in text
    assert "It also ran with x 2" in text


def test_a_run_of_earlier_code_is_not_shown(project):
    add_run(project, 1, "2026-01-01T00:00:00+00:00", "from the run")
    path = project / "notebooks" / "toy" / "good.ipynb"
    path.write_text(path.read_text().replace("print(x)", "print(x + 1)"))
    assert "from the run" not in text_of(staged(project))


def test_a_failed_run_is_not_shown(project):
    started = "2026-01-01T00:00:00+00:00"
    add_run(project, 1, started, "half a page", status="failed", error="boom")
    assert "half a page" not in text_of(staged(project))


def test_staging_leaves_the_repository_alone(project):
    add_run(project, 1, "2026-01-01T00:00:00+00:00", "from the run")
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    staged(project)
    after = {
        path: path.read_bytes()
        for path in project.rglob("*")
        if path.is_file() and "_build" not in path.parts
    }
    assert after == before


def test_the_words_of_an_image_come_from_its_output(project):
    page = notebook("committed", image={"alt": "A rising line."})
    write(project / "notebooks" / "toy" / "good.ipynb", page)
    cell = staged(project).cells[-1]
    assert cell.metadata["mystnb"]["image"]["alt"] == "A rising line."


def test_what_the_runner_reads_is_not_on_the_page(project):
    page = notebook("committed")
    data = {"text/plain": "stamp", "application/vnd.mvlib.results+json": {"results": []}}
    page.cells[-1].outputs.append(nbformat.v4.new_output("display_data", data))
    write(project / "notebooks" / "toy" / "good.ipynb", page)
    text = text_of(staged(project))
    assert "stamp" in text
    assert "vnd.mvlib.results" not in text


def test_a_page_that_the_contents_name_and_nobody_wrote_is_an_error(project):
    (project / "_toc.yml").write_text(TOC + "  - file: notebooks/toy/gone\n")
    with pytest.raises(ValueError, match="notebooks/toy/gone"):
        stage_book(project, project / "_build" / "stage")


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
        (html / "index.html").write_text(
            (stage / "book" / "index.md").read_text() + builds.body
        )
        return html

    monkeypatch.setattr(build, "_run", run)
    return builds


def test_an_unchanged_book_is_not_built_again_and_a_changed_one_is(project, builder):
    index = build_book(project)
    assert build_book(project) == index
    assert builder.count == 1
    (project / "book" / "index.md").write_text("# Changed\n")
    assert "Changed" in build_book(project).read_text()
    add_run(project, 1, "2026-01-01T00:00:00+00:00", "from the run")
    build_book(project)
    assert builder.count == 3


def test_a_book_whose_first_page_is_gone_is_built_again(project, builder):
    build_book(project).unlink()
    assert build_book(project).exists()
    assert builder.count == 2


@pytest.mark.parametrize("failure", ["build", "check"])
def test_a_failed_build_keeps_the_last_good_book(project, builder, failure):
    index = build_book(project)
    (project / "book" / "index.md").write_text("# Changed\n")
    builder.fails = failure == "build"
    builder.body = '<img src="https://example.org/x.png">'
    with pytest.raises(RuntimeError, match="did not build" if builder.fails else "outside"):
        build_book(project)
    assert "# Toy" in index.read_text()
    assert sorted(path.name for path in index.parents[1].iterdir()) == [
        ".book.lock",
        "html",
        "stage",
    ]
    builder.fails, builder.body = False, ""
    assert "Changed" in build_book(project).read_text()


def test_a_build_killed_between_its_renames_loses_nothing(project, builder):
    index = build_book(project)
    index.parent.rename(index.parents[1] / ".html-before")
    assert build_book(project) == index
    assert builder.count == 1


def test_a_warning_of_the_build_is_an_error_that_quotes_it(project):
    (project / "book" / "index.md").write_text("# Toy\n\n[nowhere](gone.md)\n")
    with pytest.raises(RuntimeError, match="gone.md"):
        build_book(project)
    assert "gone.md" in (project / "_build" / "book.log").read_text()
    assert not (project / "_build" / "html").exists()


def test_the_committed_figures_and_scripts_are_small():
    root = build.Path(__file__).resolve().parents[2]
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "book"],
        cwd=root, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    large = [name for name in listed if (root / name).stat().st_size > 1_000_000]
    assert listed
    assert large == []
