import subprocess
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from mvlib.book import book_problems, build_book
from mvlib.book.build import toc_files
from mvlib.book.reference import public_names

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    status = ("git", "status", "--porcelain")
    before = subprocess.check_output(status, cwd=ROOT)
    index = build_book(ROOT, tmp_path_factory.mktemp("book"))
    assert subprocess.check_output(status, cwd=ROOT) == before
    return index.parent


def page(book, name):
    return BeautifulSoup((book / f"{name}.html").read_text(encoding="utf-8"), "html.parser")


def test_the_book_builds_with_each_page_of_its_contents_and_passes_its_checks(book):
    assert book_problems(book) == []
    for name in toc_files(ROOT / "_toc.yml"):
        built = page(book, name)
        assert len(built.select("article h1")) == 1
        if (ROOT / f"{name}.ipynb").is_file():
            assert "quick profile" in built.select_one("div.origin").get_text()


def test_every_public_name_is_described_on_the_api_pages_with_all_its_sections(book):
    described = set()
    for path in (book / "book" / "api" / "rooms").glob("*.html"):
        tree = page(book, f"book/api/rooms/{path.stem}")
        described |= {tag["id"] for tag in tree.select("dt[id]")}
    parents = public_names()
    for room, names in parents.items():
        outer = parents.get(room.rpartition(".")[0], ())
        for name, module in names.items():
            home = public_names().get(module.rpartition(".")[0], ())
            given_on = module.rpartition(".")[0] != room and name in home
            if name not in outer and not given_on and not module.endswith(f".{name}"):
                assert f"{room}.{name}" in described
    text = page(book, "book/api/rooms/mvlib-data").get_text()
    assert "Whose protocol, see the notes." in text
    assert "Deviations" in text


def test_equations_are_numbered_and_set_by_the_vendored_mathjax(book):
    smart = page(book, "notebooks/smart/index")
    assert len(smart.select(".math .eqno")) >= 6
    (script,) = [tag["src"] for tag in smart.select("script[src]") if "mathjax" in tag["src"]]
    assert (book / "notebooks" / "smart" / script.partition("?")[0]).resolve().is_file()
    for part in ("core.js", "input/tex.js", "output/chtml.js", "LICENSE"):
        assert (book / "_static" / "mathjax" / part).is_file()


def test_citations_are_author_and_year_and_search_knows_the_pages(book):
    smart = page(book, "notebooks/smart/index")
    assert "[Peng et al., 2025a]" in smart.select_one("article").get_text()
    assert "Huang et al., 2020" in page(book, "book/bibliography").get_text()
    index = (book / "searchindex.js").read_text(encoding="utf-8")
    assert '"book/protocols"' in index
    # What the search puts first, whatever other pages are called.
    for words in ("which method", "which file", "glossary", "sinkhorn"):
        assert f'"{words}": [[' in index


# Tables and figures that stick out of the column of a page, or of a box that would scroll.
STICK_OUT = """(() => {
    const end = document.querySelector('article').getBoundingClientRect().right + 1
    const shown = 'article :is(table, figure, img, svg)'
    return [...document.querySelectorAll(shown)]
        .filter(e => e.checkVisibility() && e.getBoundingClientRect().right > end)
        .map(e => e.tagName + ' ' + e.textContent.trim().slice(0, 40))
})()"""


def test_on_a_desk_tables_and_figures_fit_their_column_and_no_page_scrolls_on_a_phone(
    book, browser
):
    wide = {}
    for name in toc_files(ROOT / "_toc.yml"):
        # Without scripts: equations, which MathJax would set, have a test of their own.
        browser.open((book / f"{name}.html").as_uri(), width=1280, scripts=False)
        if found := browser.run(STICK_OUT):
            wide[name, 1280] = found
        browser.resize(390)
        if (reach := browser.run("document.documentElement.scrollWidth")) > 390:
            wide[name, 390] = reach
    assert wide == {}
