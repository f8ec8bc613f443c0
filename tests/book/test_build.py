import subprocess
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from mvlib import data
from mvlib.book import book_problems, build_book
from mvlib.book.build import toc_files
from mvlib.book.reference import public_names

ROOT = Path(__file__).resolve().parents[2]


def status():
    return subprocess.run(
        ["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    before = status()
    index = build_book(ROOT, tmp_path_factory.mktemp("book"))
    assert status() == before
    return index.parent


def page(book, name):
    return BeautifulSoup((book / f"{name}.html").read_text(encoding="utf-8"), "html.parser")


def test_the_book_builds_without_a_warning_and_passes_its_checks(book):
    assert (book / "index.html").exists()
    assert book_problems(book) == []


def test_every_page_of_the_contents_is_built_with_one_title(book):
    for name in toc_files(ROOT / "_toc.yml"):
        assert len(page(book, name).select("article h1")) == 1


def test_every_public_name_is_described_on_the_api_pages(book):
    described = set()
    for path in (book / "book" / "api" / "rooms").glob("*.html"):
        tree = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        described |= {tag["id"] for tag in tree.select("dt[id]")}
    parents = public_names()
    for room, names in parents.items():
        outer = parents.get(room.rpartition(".")[0], ())
        for name, module in names.items():
            if name not in outer and not module.endswith(f".{name}"):
                assert f"{room}.{name}" in described


def test_docstrings_reach_the_page_with_all_their_sections(book):
    text = page(book, "book/api/rooms/mvlib-data").get_text()
    assert "Whose protocol, see the notes." in text
    assert "Deviations" in text


def test_every_set_has_a_card_that_the_list_leads_to(book):
    links = {tag["href"] for tag in page(book, "book/data/index").select("article a[href]")}
    for name in data.all_names("views"):
        assert f"cards/{name}.html" in links
        assert data.describe(name).licence in page(book, f"book/data/cards/{name}").get_text()


def test_equations_are_numbered_and_set_by_the_vendored_mathjax(book):
    smart = page(book, "notebooks/smart/index")
    assert len(smart.select(".math .eqno")) >= 6
    (script,) = [tag["src"] for tag in smart.select("script[src]") if "mathjax" in tag["src"]]
    assert (book / "notebooks" / "smart" / script.partition("?")[0]).resolve().is_file()
    for part in ("core.js", "input/tex.js", "output/chtml.js", "LICENSE"):
        assert (book / "_static" / "mathjax" / part).is_file()


def test_citations_are_author_and_year(book):
    assert (
        "[Peng et al., 2025]"
        in page(book, "notebooks/smart/index").select_one("article").get_text()
    )
    assert "Huang et al., 2020" in page(book, "book/bibliography").get_text()


def test_search_knows_the_pages(book):
    index = (book / "searchindex.js").read_text(encoding="utf-8")
    assert '"book/protocols"' in index


def test_a_notebooks_page_says_which_profile_it_shows(book):
    for name in toc_files(ROOT / "_toc.yml"):
        if (ROOT / f"{name}.ipynb").is_file():
            assert "quick profile" in page(book, name).select_one("div.origin").get_text()
