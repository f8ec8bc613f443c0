"""What the glossary says, and where other pages point at it."""

from pathlib import Path

from docutils import nodes
from docutils.core import publish_doctree
from sphinx.addnodes import pending_xref

from mvlib.book.glossary import mark, meanings

ROOT = Path(__file__).resolve().parents[2]
WORDS = {
    "floor": "Below.",
    "floors": "Below.",
    "start": "Begins.",
    "view 1": "First.",
    "ACC": "A.",
}


def marked(text, page="book/toy"):
    tree = publish_doctree(text)
    mark(tree, page, WORDS)
    return [(found["reftarget"], found.astext()) for found in tree.findall(pending_xref)]


def test_the_page_explains_what_other_pages_take_for_granted():
    found = meanings((ROOT / "book" / "glossary.md").read_text(encoding="utf-8"))
    asked = {
        "floor", "profile", "oracle", "start", "view 1", "record", "run", "seed", "split",
        "aligned share", "last epoch", "central epoch", "oracle epoch", "equivalence",
        "told apart", "source class", "ACC", "NMI", "ARI", "R@10", "Sinkhorn",
    }  # fmt: skip
    assert asked <= set(found)
    for word, said in found.items():
        assert said.endswith("."), word
        assert said.count(". ") <= 1, word
        assert len(said) <= 280, word
        assert not set("$\\{*") & set(said), word


def test_the_first_use_of_a_word_is_marked_once_for_all_its_forms():
    text = "Floors stand here; a floor too. Of view 1 the ACC, again view 1.\n\nThe floor."
    assert marked(text) == [("floors", "Floors"), ("view 1", "view 1"), ("ACC", "ACC")]


def test_words_of_daily_life_parts_of_words_code_tables_and_the_glossary_are_left_alone():
    assert marked("A start, ACCs, a sub-floor, ``floor``, *floor*.") == []
    assert marked("====  =====\nfloor  x\n====  =====") == []
    assert marked("A floor.", "book/glossary") == marked("A floor.", "book/api/index") == []


def test_a_marked_text_reads_as_before():
    tree = publish_doctree("Its floors, and ACC at the end")
    before = tree.astext()
    mark(tree, "book/toy", WORDS)
    assert tree.astext() == before
    assert len(list(tree.findall(nodes.paragraph))) == 1
