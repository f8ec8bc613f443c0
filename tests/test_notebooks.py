"""The committed notebooks: fit to be run, compared and read."""

import re
import subprocess
from pathlib import Path

import nbformat
import pytest

from mvlib.records import load_plan, plan_papers

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*/*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_every_notebook_is_planned_and_every_planned_one_is_there():
    planned = {
        ROOT / experiment["notebook"]
        for chapter in plan_papers(ROOT)
        for experiment in load_plan(chapter, ROOT)["experiment"]
    }
    assert planned == set(NOTEBOOKS)
    assert len(planned) > 50


def test_what_is_committed_for_the_book_is_small():
    listed = subprocess.check_output(
        ["git", "ls-files", "-co", "--exclude-standard", "book", "notebooks"],
        cwd=ROOT,
        text=True,
    ).split()
    assert listed
    assert [name for name in listed if (ROOT / name).stat().st_size > 1_000_000] == []


def test_cells_are_few_and_short_and_were_run_in_order_the_last_leaves_a_stamp(notebook):
    cells = code(notebook)
    assert len(cells) <= 16
    assert max(cell.source.count("\n") + 1 for cell in cells) <= 24
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert cells[-1].source == "recorder.finish()"
    assert "profile quick" in str(cells[-1].outputs[0].data["text/plain"])
    (tagged,) = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    assert 'profile = "quick"' in tagged.source


def test_no_cell_holds_what_the_comparison_of_outputs_cannot_see(notebook):
    for cell in code(notebook):
        assert not re.search(r"^\s*[%!]|;\s*$", cell.source, re.MULTILINE), cell.source


def test_outputs_hold_no_error_no_warning_no_address_and_no_path(notebook):
    for cell in code(notebook):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.get("text")
            text = str(output.get("text", "")) + str(output.get("data", {}).get("text/plain"))
            assert not re.search(r"0x[0-9a-f]{6,}|/home/|/root/|/tmp/|/Users/", text)


def test_every_figure_says_in_words_what_it_shows(notebook):
    for cell in code(notebook):
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            stated = cell.metadata["mystnb"]
            assert len(stated["image"]["alt"]) > 40
            assert len(stated["figure"]["caption"]) > 40


def test_cells_whose_output_is_not_compared_are_those_with_trained_numbers(notebook):
    for cell in code(notebook):
        if "nbval-ignore-output" in cell.metadata.get("tags", []):
            assert re.search(
                r"score_table|variance_shares|compare_|recorder"
                r"|results_table\(\s*\"(smart|cae|ntk_spectral)\", \"quick\"|rank_agreement"
                r"|mean_pairwise_cosine|retrieval_table|recall_table"
                r"|plan_failures|class_confusions|put_right|cluster_names_|retrieve_top_k|weights"
                r"|theorem_1_readings|random_words_differences",
                cell.source,
            )


def test_every_exercise_has_a_folded_solution(notebook):
    for cell in notebook.cells:
        _, heading, text = cell.source.partition("## Exercises\n")
        if heading:
            asked, _, solved = text.partition("\n:::{admonition} Solutions\n:class: dropdown\n")
            numbers = [re.findall(r"(?m)^(\d)\. ", part) for part in (asked, solved)]
            assert numbers[0] == numbers[1] != []
            assert solved.rstrip().endswith("\n:::")
