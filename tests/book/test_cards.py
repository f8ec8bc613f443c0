"""A data card says what there is, what it needs, and what is easily mistaken."""

from pathlib import Path

import pytest

from mvlib.book import card_page, fill
from mvlib.book.cards import card_pages
from mvlib.data import all_names, describe
from mvlib.tasks import list_modalities

INDEX = Path(__file__).resolve().parents[2] / "book" / "data" / "index.md"


@pytest.mark.parametrize("name", all_names("images") + all_names("pairs"))
def test_a_card_gives_splits_terms_and_how_to_get_the_set(name, tmp_path):
    about = describe(name)
    page = card_page(name, tmp_path)
    assert page.startswith(f"# {about.title}\n")
    for split, n in about.n_samples.items():
        assert f"| `{split}` | {n:,} |" in page
    for text in (about.licence, about.citation, about.how_to_get, *about.caveats):
        assert text in page
    for file in (*about.files, *about.packed.values()):
        assert f"| `{file.file}` |" in page
        assert (file.sha256 or "unknown") in page
    if about.kind == "images":
        assert f"shorter side to {about.resize} pixels" in page
        assert about.class_names[-1] in page
    else:
        assert f'load_modalities("{name}")' in page
        assert name in list_modalities()


def test_a_card_of_images_shows_its_figure_where_there_is_one(tmp_path):
    assert "```{figure}" not in card_page("stl-10", tmp_path)
    figure = tmp_path / "book" / "_static" / "cards" / "stl-10.png"
    figure.parent.mkdir(parents=True)
    figure.write_bytes(b"")
    page = card_page("stl-10", tmp_path)
    assert "```{figure} ../../_static/cards/stl-10.png\n:alt: " in page


def test_the_data_page_lists_every_set_and_each_has_a_card(tmp_path):
    index = fill(INDEX.read_text("utf-8"), tmp_path)
    assert set(card_pages(tmp_path)) == {f"book/data/cards/{name}.md" for name in all_names()}
    for name in all_names():
        assert f"](cards/{name}.md)" in index
    assert "| 31,014 |" in index
    assert "| yours |" in index
    (shipped,) = [line for line in index.splitlines() if "(cards/openclipart-pairs.md)" in line]
    assert "| ships with mvlib |" in shipped
