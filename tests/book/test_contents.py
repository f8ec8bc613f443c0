"""The committed table of contents is what the plans make of it."""

from pathlib import Path

import yaml

from mvlib.book.build import contents, write_contents
from mvlib.cli import main

ROOT = Path(__file__).resolve().parents[2]
PLAN = 'paper = "toy"\ntitle = "Toy"\nmethod = "toy"\n'
EXPERIMENT = '[[experiment]]\nname = "{0}"\ntitle = "T"\nnotebook = "notebooks/toy/{0}.ipynb"\n'
DECLARED = """
root = "book/index"
caption = "Papers"
chapters = ["first"]
[[first]]
caption = "Before"
chapters = [{ file = "book/before" }]
[[after]]
caption = "After"
chapters = [{ file = "book/after", sections = [{ glob = "book/more/*" }] }]
"""


def test_the_committed_table_of_contents_is_that_of_the_plans():
    assert (ROOT / "_toc.yml").read_text("utf-8") == contents(ROOT), "run `mvlib contents`"


def test_an_experiment_or_a_chapter_gets_its_place_without_an_edit_by_hand(
    tmp_path, monkeypatch, capsys
):
    def write(name, text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    write("book/contents.toml", DECLARED)
    write("notebooks/first/plan.toml", PLAN.replace("toy", "first"))
    write("notebooks/first/index.md", "# First\n")
    assert write_contents(tmp_path)
    write("notebooks/toy/plan.toml", PLAN + EXPERIMENT.format("b") + EXPERIMENT.format("a"))
    write("notebooks/toy/index.md", "# Toy\n")
    write("notebooks/toy/beliefs.md", "# What we believe\n")
    # Without a page of its own it is no chapter.
    write("notebooks/lineup/plan.toml", PLAN.replace("toy", "lineup"))
    monkeypatch.setenv("MVLIB_ROOT", str(tmp_path))
    assert main(["contents"]) == main(["contents"]) == 0
    assert capsys.readouterr().out == "_toc.yml written\n_toc.yml was up to date\n"
    toc = yaml.safe_load((tmp_path / "_toc.yml").read_text())
    parts = {part["caption"]: part["chapters"] for part in toc["parts"]}
    assert list(parts) == ["Before", "Papers", "After"]
    first, last = parts["Papers"]
    assert first == {"file": "notebooks/first/index"}
    assert last["file"] == "notebooks/toy/index"
    assert last["sections"] == [{"file": f"notebooks/toy/{n}"} for n in ("b", "a", "beliefs")]
    assert parts["After"][0]["sections"] == [{"glob": "book/more/*"}]
