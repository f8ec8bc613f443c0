"""In a browser tables sort, filter and unfold; without script all rows are there."""

from pathlib import Path

import pytest

STATIC = Path(__file__).resolve().parents[2] / "book" / "_static"
ROWS = "[...document.querySelectorAll('tbody tr')]"
TEXT = "two views of the same things, of which some rows are known to be partners"
SHOWN = f"{ROWS}.filter(r => r.offsetParent !== null).map(r => r.cells[0].innerText)"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    body = "".join(
        f"<tr><td>row {n}</td><td>{'' if n == 3 else f'{(7 * n) % 20}.5 ± 9'}</td></tr>"
        for n in range(20)
    )
    head = "<thead><tr><th>name</th><th>ACC</th></tr></thead>"
    parts = [
        '<!doctype html><meta charset="utf-8"><title>Tables</title>',
        f"<style>{(STATIC / 'custom.css').read_text()}</style>",
        f'<article class="bd-article"><table class="table">{head}<tbody>{body}</tbody></table>',
        "<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>",
        f"<table id='words'><tr>{f'<td>{TEXT}</td>' * 5}</tr></table>",
        f"</article><script>{(STATIC / 'tables.js').read_text()}</script>",
    ]
    path = tmp_path_factory.mktemp("tables") / "page.html"
    path.write_text("".join(parts))
    return path.as_uri()


def test_a_long_table_is_folded_and_unfolds_and_a_short_one_is_left_alone(page, address):
    page.open(address)
    assert len(page.run(SHOWN)) == 12 + 2
    assert page.run("document.querySelectorAll('button.sort').length") == 2
    page.run("document.querySelector('.table-more').click()")
    assert len(page.run(SHOWN)) == 20 + 2
    assert page.said == []


def test_a_click_sorts_by_number_a_second_one_backwards_and_empty_cells_stay_last(
    page, address
):
    page.open(address)
    page.run("document.querySelector('.table-more').click()")
    click = "document.querySelectorAll('button.sort')[1].click()"
    for backwards in (False, True):
        page.run(click)
        names = page.run(SHOWN)[:20]
        numbers = [(7 * int(name.split()[1])) % 20 for name in names]
        assert names[-1] == "row 3"
        assert numbers[:-1] == sorted(numbers[:-1], reverse=backwards)
        way = "descending" if backwards else "ascending"
        assert page.run("document.querySelectorAll('th')[1].getAttribute('aria-sort')") == way


def test_a_filter_looks_through_folded_rows_too(page, address):
    page.open(address)
    page.run(
        "(f => { f.value = 'ROW 19'; f.dispatchEvent(new Event('input')) })"
        "(document.querySelector('.table-filter'))"
    )
    assert page.run(SHOWN) == ["row 19", "1", TEXT]


def test_without_script_every_row_is_there(page, address):
    page.open(address, scripts=False)
    assert page.run(f"{ROWS}.length") == 22
    assert page.run("document.querySelectorAll('button').length") == 0


def test_on_a_phone_sentences_in_a_wide_table_are_wider_than_a_word(page, address):
    page.open(address, width=390)
    widths = "[...document.querySelectorAll('#words td')].map(c => c.offsetWidth)"
    assert min(page.run(widths)) > 150
