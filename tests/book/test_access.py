"""What those are told who do not see a page, or see it on a phone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from mvlib.book import book_problems, build_book
from mvlib.book.access import break_names, name_tables
from mvlib.files import python_path

ROOT = Path(__file__).resolve().parents[2]
HEAD, ROW = "<thead><tr><th>a</th></tr></thead>", "<tr><th>b</th><td>1</td></tr>"
TABLE = f"<table>{HEAD}<tbody>{ROW}</tbody></table>"
BOX = '<div class="pst-scrollable-table-container">'
PAGE = r"""# Access

A floor, and an equation that a phone has no room for:

$$
L = \frac{1}{n} \sum_{i=1}^{n} \bigl(x_i + y_i + z_i\bigr)^2 + \frac{1}{m} \sum_{j=1}^{m}
    \bigl(a_j + b_j + c_j + d_j\bigr)^2 + \lambda_1 \Omega(W) + \lambda_2 \Psi(H)
$$ (toy-loss)

## Scores

| method | acc |
|:--|--:|
| one | 1 |
"""
GLOSSARY = "# Glossary\n\n```{glossary}\nfloor\n  What is below.\n```\n"


def test_heads_of_tables_say_what_they_head_and_tables_are_named_by_their_heading():
    heading = '<h2>Of <em>a</em> &amp; b<a class="headerlink" href="#x">#</a></h2>'
    body = f"{heading}{BOX}{TABLE}</div>{TABLE}"
    tree = BeautifulSoup(name_tables(body), "html.parser")
    assert [head["scope"] for head in tree.select("th")] == ["col", "row"] * 2
    captions = [caption.get_text() for caption in tree.select("table > caption")]
    assert captions == ["Of a & b", "Of a & b, table 2"]
    (box,) = tree.select("div")
    assert (box["tabindex"], box["role"], box["aria-label"]) == ("0", "region", "Of a & b")


def test_a_caption_and_a_scope_that_are_there_are_left_and_a_page_without_tables_is_too():
    head = '<thead><tr><th scope="colgroup">a</th></tr></thead>'
    own = f"<table><caption>Mine</caption>{head}</table>"
    assert name_tables(own) == own
    assert name_tables("<h1>Title</h1><p>Prose.</p>") == "<h1>Title</h1><p>Prose.</p>"


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    (root / "book").mkdir()
    (root / "notebooks").mkdir()
    (root / "book" / "_static").symlink_to(ROOT / "book" / "_static")
    for name in ("_config.yml", "book/references.bib"):
        (root / name).write_text((ROOT / name).read_text())
    (root / "book" / "index.md").write_text(PAGE)
    (root / "book" / "glossary.md").write_text(GLOSSARY)
    toc = "format: jb-book\nroot: book/index\nchapters:\n  - file: book/glossary\n"
    (root / "_toc.yml").write_text(toc)
    return build_book(root).parent


def test_a_built_page_explains_a_word_and_names_its_table(book):
    tree = BeautifulSoup((book / "book" / "index.html").read_text(), "html.parser")
    (word,) = tree.select("a:has(> .std-term)")
    assert word["title"] == "What is below."
    assert word["href"] == "glossary.html#term-floor"
    assert tree.select_one("table > caption").get_text() == "Scores"
    assert tree.select_one('[role="region"]')["aria-label"] == "Scores"


def test_plain_sphinx_builds_the_same_pages_from_the_exported_configuration(book, tmp_path):
    stage = tmp_path / "stage"
    shutil.copytree(book.parent / "stage", stage)
    export = "from jupyter_book.cli.main import main; main(prog_name='jupyter-book')"
    options = {"env": {**os.environ, "PYTHONPATH": python_path()}, "check": True}
    subprocess.run([sys.executable, "-c", export, "config", "sphinx", str(stage)], **options)
    command = [sys.executable, "-m", "sphinx", "-n", "-W", "-q", "-b", "html"]
    subprocess.run([*command, str(stage), str(tmp_path / "html")], **options)
    article = "article.bd-article"
    for name in ("book/index", "book/glossary"):
        texts = [
            BeautifulSoup((folder / f"{name}.html").read_text(), "html.parser").select_one(
                article
            )
            for folder in (book, tmp_path / "html")
        ]
        assert texts[0].get_text() == texts[1].get_text()
    assert book_problems(tmp_path / "html") == []


def test_a_name_in_code_breaks_at_its_joints_and_reads_and_copies_as_before():
    code = '<code a="b_c=d"><span class="pre">kept_pairs(rate=0.5,</span> x_y</code> a_b'
    broken = break_names(code)
    assert broken.replace("<wbr>", "") == code
    assert '<span class="pre">kept_<wbr>pairs(rate=0.5,</span>' in broken
    assert broken.count("<wbr>") == 1
    assert break_names(f'<span class="pre">{"0a" * 20}</span>').count("<wbr>") == 2


@pytest.mark.parametrize("width", [1280, 390])
def test_an_equation_speaks_and_is_neither_covered_by_its_number_nor_wider_than_the_page(
    page, book, width
):
    page.open((book / "book" / "index.html").as_uri(), width=width)
    page.run("MathJax.startup.promise.then(() => true)")
    assert page.run("document.querySelectorAll('mjx-assistive-mml math').length") == 1
    assert all(url.startswith(("file:", "data:")) for url in page.asked)
    box = (
        "(e => [e.left, e.right, e.top, e.bottom])"
        "(document.querySelector('{}').getBoundingClientRect())"
    )
    equation, number = (
        page.run(box.format(f"div.math > {part}")) for part in ("mjx-container", ".eqno")
    )
    beside = (
        equation[1] <= number[0] + 1
        or number[3] <= equation[2] + 1
        or number[2] >= equation[3] - 1
    )
    assert beside, (equation, number)
    assert 0 <= equation[0] <= equation[1] <= width
    # On a phone the number takes nothing of its width.
    assert equation[1] - equation[0] > (0.9 * width if width < 600 else 400)
    assert 0 <= number[0] <= number[1] <= width
    assert page.run("document.documentElement.scrollWidth") <= width
    # What does not fit scrolls in its own box.
    fits = "(e => e.scrollWidth <= e.clientWidth || getComputedStyle(e).overflowX == 'auto')"
    assert page.run(f"{fits}(document.querySelector('div.math > mjx-container'))")


def test_the_search_finds_the_glossary_first(page, book):
    page.open(f"{(book / 'search.html').as_uri()}?q=glossary")
    found = """new Promise(done => { const look = () => {
        const first = document.querySelector('#search-results li a');
        first ? done(first.getAttribute('href')) : setTimeout(look, 100) }; look() })"""
    assert page.run(found).startswith("book/glossary.html")
