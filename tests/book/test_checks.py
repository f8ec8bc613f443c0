import pytest

from mvlib.book import book_problems, page_problems

HEAD = '<html><head><link rel="stylesheet" href="s.css"></head><body><h1 id="top-of">T</h1>'


def write_book(folder, pages, css="", js=""):
    folder.mkdir(exist_ok=True)
    (folder / "s.css").write_text(css)
    (folder / "s.js").write_text(js)
    for name, body in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        up = "../" * name.count("/")
        path.write_text(HEAD.replace("s.css", f"{up}s.css") + body)
    return folder


def test_a_sound_book_has_no_problems(tmp_path):
    body = (
        '<a href="b/two.html#place">two</a> <a href="https://arxiv.org/abs/1">paper</a>'
        '<a href="#top-of">up</a><a href="b/">folder</a><img src="data:image/png;base64,AA" '
        'alt="A red dot."><script src="s.js"></script>'
    )
    pages = {"index.html": body, "b/two.html": '<p id="place">', "b/index.html": "<p>"}
    assert book_problems(write_book(tmp_path / "html", pages)) == []


@pytest.mark.parametrize(
    "body",
    [
        '<script src="https://cdn.example.org/x.js"></script>',
        '<script src="//cdn.example.org/x.js"></script>',
        '<link rel="stylesheet" href="https://fonts.example.org/css">',
        '<img src="http://example.org/x.png" alt="A picture.">',
        '<img srcset="https://example.org/x.png 2x" alt="A picture.">',
        '<iframe src="https://example.org"></iframe>',
        '<style>@import "https://example.org/x.css";</style>',
        '<p style="background: url(https://example.org/x.png)">',
        '<script>const THEBE_JS_URL = "https://unpkg.com/thebe@0.8.2/lib/index.js"</script>',
        "<script>import('https://example.org/x.mjs')</script>",
    ],
)
def test_whatever_a_page_loads_from_outside_is_found(body):
    problems = page_problems(body)
    assert len(problems) == 1
    assert "from outside" in problems[0]


@pytest.mark.parametrize("words", ["", 'alt=" "', 'alt="../_images/a.png"', 'alt="figure.SVG"'])
def test_an_image_without_words_is_found(words):
    (problem,) = page_problems(f'<img src="_images/a.png" {words}>')
    assert "alternative text" in problem
    assert "_images/a" in problem


@pytest.mark.parametrize(
    ("tag", "link", "what"),
    [
        ("a href", "three.html", "no file"),
        ("a href", "../outside.html", "no file"),
        ("a href", "two.html#nowhere", "no such place"),
        ("a href", "#nowhere", "no such place"),
        ('img alt="A picture." src', "gone.png", "no file"),
    ],
)
def test_a_link_or_picture_that_leads_nowhere_is_found_with_its_page(tmp_path, tag, link, what):
    (tmp_path / "outside.html").write_text("<p>")
    pages = {"index.html": f'<{tag}="{link}">', "two.html": "<p>"}
    (problem,) = book_problems(write_book(tmp_path / "html", pages))
    assert problem.startswith("index.html: ")
    assert link in problem
    assert what in problem


def test_styles_and_scripts_that_load_from_outside_are_found(tmp_path):
    folder = write_book(
        tmp_path / "html",
        {"index.html": "<p>"},
        css="a { src: url('https://example.org/a.woff2'); } b { src: url(b.woff2) }",
        js='var ns = "http://www.w3.org/2000/svg"; load("https://cdn.jsdelivr.net/npm/x");',
    )
    problems = book_problems(folder)
    assert [problem.split(":")[0] for problem in problems] == ["s.css", "s.js"]
    assert "a.woff2" in problems[0]
    assert "jsdelivr" in problems[1]
