"""The committed notebooks: fit to be run, compared and read."""

import importlib.util
import itertools
import os
import re
import subprocess
from pathlib import Path

import matplotlib.pyplot as plt
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


def test_every_figure_says_in_words_what_it_shows_and_has_its_caption_below(notebook):
    for cell, below in itertools.pairwise(notebook.cells):
        shown = any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))
        assert shown == ("caption" in below.metadata.get("tags", []))
        if shown:
            assert len(cell.metadata["mystnb"]["image"]["alt"]) > 40
            assert len(below.source) > 40


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


def test_a_table_of_what_the_page_itself_trains_is_not_compared_between_processors(notebook):
    for cell in code(notebook):
        if "score_table(frame" in cell.source and "results_frame(" not in cell.source:
            assert "nbval-ignore-output" in cell.metadata.get("tags", []), cell.source


def test_every_exercise_has_a_folded_solution(notebook):
    for cell in notebook.cells:
        _, heading, text = cell.source.partition("## Exercises\n")
        if heading:
            asked, _, solved = text.partition("\n:::{admonition} Solutions\n:class: dropdown\n")
            numbers = [re.findall(r"(?m)^(\d)\. ", part) for part in (asked, solved)]
            assert numbers[0] == numbers[1] != []
            assert solved.rstrip().endswith("\n:::")


@pytest.mark.parametrize(
    ("name", "exchanged", "precision", "share"),
    [
        # A training of 25 known pairs goes another way on another processor.
        (
            "smart/tutorial",
            {"aligned_ratio = 0.5": "aligned_ratio = 0.05"},
            "between 0.10 and 0.26",
            (0.25, 0.65),
        ),
        (
            "smart/what_the_graph_sees",
            {
                "[1, 5, 10]": "[10]",
                "(dataset, profile)": "(dataset, profile) | {'lambda2': 0.0}",
            },
            "between 0.22 and 0.28",
            (0.6, 0.9),
        ),
    ],
)
def test_what_a_solution_tells_of_another_setting_comes_out_with_it(
    name, exchanged, precision, share
):
    cells = code(nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4))
    source = "\n".join(cell.source for cell in cells[:-1])
    assert f"precision comes to {precision}" in str(
        nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    )
    for old, new in exchanged.items():
        assert source.count(old) == 1
        source = source.replace(old, new)
    left = {}
    with plt.rc_context():
        exec(source, left)
    plt.close("all")
    frame = left["recorder"].frame()
    known = frame["measure_precision"].dropna() if "measure_precision" in frame else None
    found = left["edges"]["precision"] if known is None else known.mean()
    low, high = (float(end) for end in re.findall(r"0\.\d+", precision))
    assert low - 0.02 < found < high + 0.02
    accuracies = 100 * frame["acc"].dropna()
    page = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    shown = str([cell.outputs for cell in code(page)])
    # After training, and after the last of the epochs.
    (accuracy,) = re.findall(r"'acc': (\d+)|\| 10 \|[^\n]* (\d+\.\d+) \|", shown)
    assert share[0] < accuracies.max() / float("".join(accuracy)) < share[1]


# A short one; AGAIN="smart/tutorial cae/tutorial" names others.
AGAIN = os.environ.get("AGAIN", "choices/protocols").split()
# Pictures and their sizes, and what is of the run and not of its result.
UNLIKE = (
    "/metadata",
    "/cells/*/id",
    "/cells/*/outputs/*/metadata",
    "/cells/*/outputs/*/data/image",
)


@pytest.mark.filterwarnings("ignore:Field .* type could not be converted:UserWarning")
@pytest.mark.parametrize("name", AGAIN)
def test_a_second_comparer_finds_every_stored_output_but_the_one_that_was_changed(
    name, tmp_path
):
    from pytest_notebook.nb_regression import NBRegressionFixture

    path = ROOT / "notebooks" / f"{name}.ipynb"
    stored = nbformat.read(path, as_version=4)
    loose = {
        number
        for number, cell in enumerate(stored.cells)
        if "nbval-ignore-output" in cell.metadata.get("tags", [])
    }
    told = [
        (number, output)
        for number, cell in enumerate(stored.cells)
        for output in cell.get("outputs", [])
        if number not in loose
    ]
    changed, output = told[-1]
    texts = output if "text" in output else output.data
    kind = min({"text", "text/markdown", "text/plain"} & set(texts))
    texts[kind] = texts[kind] + " and more"
    nbformat.write(stored, tmp_path / path.name)
    unlike = tuple(f"/cells/{number}/outputs" for number in loose)
    comparer = NBRegressionFixture(
        exec_cwd=str(path.parent),
        exec_timeout=300,
        diff_use_color=False,
        diff_ignore=(*UNLIKE, *unlike),
    )
    found = comparer.check(tmp_path / path.name, raise_errors=False)
    assert [patch.key for patch in found.diff_filtered] == ["cells"], found.diff_string
    assert [patch.key for patch in found.diff_filtered[0].diff] == [changed], found.diff_string


@pytest.fixture
def kernels():
    """The module that gives a notebook the kernel of the one before; its kernels end here."""
    path = ROOT / "notebooks" / "conftest.py"
    spec = importlib.util.spec_from_file_location("kernels_in_turns", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    module.pytest_sessionfinish()


def value(kernel, text):
    """Return what an expression is in a kernel, as its text."""
    reply = kernel.kc.execute("", user_expressions={"value": text}, reply=True, timeout=60)
    return reply["content"]["user_expressions"]["value"]["data"]["text/plain"]


def test_a_notebook_finds_nothing_of_the_one_before_in_their_kernel(kernels, tmp_path):
    first = kernels.KernelInTurns("python3", cwd=str(ROOT))
    process = value(first, "__import__('os').getpid()")
    left = """
import warnings
import matplotlib, torch
import mvlib.files
mvlib.files.left = 1
matplotlib.rcParams["lines.linewidth"] = 9.0
shown = matplotlib.__dict__.setdefault("__warningregistry__", {})
warnings.warn_explicit("once", UserWarning, matplotlib.__file__, 1, registry=shown)
"""
    assert first.kc.execute(left, reply=True, timeout=60)["content"]["status"] == "ok"
    assert value(first, "bool(matplotlib.__warningregistry__)") == "True"
    first.stop()
    assert not first.is_alive()
    second = kernels.KernelInTurns("python3", cwd=str(tmp_path))
    assert value(second, "__import__('os').getpid()") == process
    assert value(second, "__import__('os').getcwd()") == repr(str(tmp_path))
    assert value(second, "{'matplotlib', 'mvlib', 'shown'} & set(globals())") == "set()"
    # Without it, no process can be started from the notebook.
    assert value(second, "'__spec__' in globals()") == "True"
    assert value(second, "hasattr(__import__('mvlib.files').files, 'left')") == "False"
    figures = "__import__('matplotlib')"
    assert value(second, f"{figures}.rcParams['lines.linewidth']") == "1.5"
    assert value(second, f"bool({figures}.__warningregistry__)") == "False"
    second.stop()


def test_a_kernel_that_is_stuck_is_given_to_no_further_notebook(kernels, monkeypatch):
    first = kernels.KernelInTurns("python3", cwd=str(ROOT))
    process = value(first, "__import__('os').getpid()")
    first.kc.execute("import time; time.sleep(600)")
    first.stop()
    monkeypatch.setattr(kernels, "SECONDS", 0.2)
    second = kernels.KernelInTurns("python3", cwd=str(ROOT))
    assert value(second, "__import__('os').getpid()") != process
    second.stop()
