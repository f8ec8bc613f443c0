"""A data card says what there is, what it needs, and what is easily mistaken."""

import re
from pathlib import Path

import pytest

from mvlib.book import card_page, draw_card, fill
from mvlib.book.data_cards.cards import card_pages
from mvlib.data import all_names, describe
from mvlib.tasks import list_modalities

INDEX = Path(__file__).resolve().parents[2] / "book" / "data" / "index.md"


@pytest.mark.parametrize("name", all_names())
def test_a_card_gives_views_splits_terms_and_how_to_get_the_set(name, tmp_path):
    about = describe(name)
    page = card_page(name, tmp_path)
    assert page.startswith(f"# {about.title}\n")
    assert "```{figure}" not in page
    for text in (about.licence, about.citation, about.how_to_get, *about.caveats):
        assert text in page
    shown = (about.embedded_file,) if about.embedded_file else about.files
    for file in (*shown, *about.packed.values()):
        assert f"| `{file.file}` |" in page
        assert (file.sha256 or "unknown") in page
    if about.kind == "views":
        assert all(f"| `{view.name}` | {view.meaning}" in page for view in about.views)
        assert "could not be drawn" in page
        return
    for split, n in about.splits.items():
        assert f"| `{split}` | {n:,} |" in page
    if about.kind == "images":
        assert f"shorter side to {about.resize} pixels" in page
        assert about.class_names[-1] in page
    else:
        assert f'load_modalities("{name}")' in page
        assert name in list_modalities()


@pytest.mark.parametrize(
    ("name", "words"), [("stl-10", "contact sheet"), ("handwritten", "pix and fac")]
)
def test_a_card_with_a_figure_has_words_for_it(tmp_path, name, words):
    figure = tmp_path / "book" / "_static" / "cards" / f"{name}.png"
    figure.parent.mkdir(parents=True)
    figure.write_bytes(b"")
    page = card_page(name, tmp_path)
    assert "could not be drawn" not in page
    ((source, told),) = re.findall(r"```{figure} (.+)\n:alt: (.+)", page)
    assert source == f"../../_static/cards/{name}.png"
    assert words in told


def test_the_figure_of_a_card_is_drawn_from_the_data_or_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="handwriten"):
        draw_card("handwriten", tmp_path / "figure.png")
    assert list(tmp_path.iterdir()) == []
    path = draw_card("handwritten", tmp_path / "figure.png", max_samples=60)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [path]


def test_the_data_page_lists_every_set_and_each_has_a_card(tmp_path):
    index = fill(INDEX.read_text("utf-8"), tmp_path)
    assert set(card_pages(tmp_path)) == {f"book/data/cards/{name}.md" for name in all_names()}
    for name in all_names():
        assert f"](cards/{name}.md)" in index
    assert "| 31,014 |" in index
    assert "| yours |" in index
    (shipped,) = [line for line in index.splitlines() if "(cards/openclipart-pairs.md)" in line]
    assert "| ships with mvlib |" in shipped
