"""What a method's page says before its run: idea, picture, equations, standing."""

from html import escape

import pandas as pd
import pytest

from mvlib.book.method_pages import CHAPTERS, STEPS, head, planned_methods, told
from mvlib.files import project_root
from mvlib.methods.catalogue import find

ROOT = project_root()
COLUMNS = ["task", "profile", "setting", "dataset", "row", "mean", "std", "n"]


def scores(*rows):
    told = ("views", "reduced", "50% aligned")
    return pd.DataFrame([(*told, *row) for row in rows], columns=COLUMNS)


@pytest.mark.parametrize("name", sorted({method for _, method in planned_methods(ROOT)}))
def test_every_planned_method_tells_its_idea_in_five_steps_or_has_a_chapter(name):
    line = find(name)
    idea, steps = told(line)
    file = line.estimator.partition(".")[0]
    assert idea or file == "baselines"
    if file not in {*CHAPTERS, "baselines"}:
        assert tuple(steps) == STEPS
        assert all(4 < len(text) < 130 for text in steps.values())
        assert text_of_steps(steps) in head(line, scores())


def text_of_steps(steps):
    return "".join(
        f'<li class="{name}"><b>{name}</b> {escape(steps[name])}</li>' for name in STEPS
    )


def test_a_chapter_has_one_page_a_method_though_two_notebooks_run_it():
    pages = [
        (notebook.rpartition("/")[0], method) for notebook, method in planned_methods(ROOT)
    ]
    assert len(pages) == len(set(pages))
    assert ("notebooks/lineup/method.ipynb", "vital") in planned_methods(ROOT)


def test_no_two_files_draw_the_same_picture():
    names = {method for _, method in planned_methods(ROOT)}
    files = {find(name).estimator.rpartition(".")[0]: name for name in names}
    drawn = [tuple(told(find(name))[1].values()) for name in files.values()]
    drawn = [steps for steps in drawn if steps]
    assert len(drawn) == len(set(drawn))


def test_a_method_stands_beside_the_best_floor_and_among_what_was_trained():
    text = head(
        find("mvcln"),
        scores(
            ("cub", "MvCLN", 60.0, 2.0, 3),
            ("cub", "SURE", 70.0, 1.0, 3),
            ("cub", "k-means, view 1", 55.0, 0.0, 3),
            ("cub", "spectral, unit rows", 57.5, 0.0, 3),
            ("cub", "k-means, true concatenation", 99.0, 0.0, 3),
            ("bdgp", "MvCLN", 40.0, None, 1),
            ("bdgp", "k-means, view 1", 50.0, 0.0, 3),
            ("wiki", "SURE", 50.0, 0.0, 3),
        ),
    )
    assert "**Above the best floor in 1 of 2 recorded settings**, by -10.0 to +2.5" in text
    cub, bdgp = (line for line in text.splitlines() if line.startswith(("| CUB", "| BDGP")))
    assert [
        told
        for told in ("60.0 ± 2.0 (3)", "57.5, spectral, unit rows", "2 of 2")
        if told not in cub
    ] == []
    assert [told for told in ("40.0 (1)", "1 of 1") if told not in bdgp] == []
    assert text.index("| CUB") < text.index("| BDGP")


def test_a_method_without_records_says_so_and_one_with_a_chapter_leads_there():
    assert "stands beside a floor in the records yet" in head(find("temi"), scores())
    assert "(../../notebooks/smart/index)" in head(find("smart"), scores())
