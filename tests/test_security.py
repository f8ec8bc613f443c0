"""What the security page says of the code is so."""

import ast
import json
import re
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt
from toy_records import make_record

from mvlib import data
from mvlib.book.notebooks import _origin
from mvlib.book.pages import failures_page, status_page
from mvlib.book.placeholders import fill
from mvlib.data.words import text_sources
from mvlib.records.tables import inert

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([*(ROOT / "mvlib").rglob("*.py"), *(ROOT / "data").rglob("*.py")])
UNPICKLING = {
    "pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve",
}  # fmt: skip
# A call is safe with this argument, and else not.
ARGUMENT = {
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "lib.format.read_array": ("allow_pickle", False),
    "torch.load": ("weights_only", True),
    "open_clip.create_model": ("weights_only", True),
    "extractall": ("filter", "data"),
}
NEVER = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load",
    "yaml.unsafe_load", "yaml.full_load", "pd.read_pickle", "pd.eval", "pandas.read_pickle",
    "pandas.eval", "tempfile.mktemp", "torch.hub.load", "torch.jit.load",
    "ssl._create_unverified_context",
}  # fmt: skip
HOSTILE = (
    "<script>alert(1)</script> [x](../../secret.txt) ![x](/x.png) {download}`/x` {{ 7*7 }} $x$"
)


def problems_of(source):
    """Return what some code does that could run what it reads."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            modules = names if isinstance(node, ast.Import) else [node.module or ""]
            found += [name for name in modules if name.split(".")[0] in UNPICKLING]
        if not isinstance(node, ast.Call):
            continue
        # With the abbreviations that everything here imports packages by.
        name = ast.unparse(node.func)
        given = {
            each.arg: each.value.value
            for each in node.keywords
            if isinstance(each.value, ast.Constant)
        }
        if name in NEVER or given.get("shell") is True or given.get("verify") is False:
            found.append(name)
        for call, (argument, value) in ARGUMENT.items():
            if f".{name}".endswith(f".{call}") and given.get(argument) != value:
                found.append(f"{name} without {argument}={value!r}")
    return found


def test_no_module_runs_what_it_reads():
    found = {
        path.relative_to(ROOT).as_posix(): problems
        for path in SOURCES
        if (problems := problems_of(path.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from joblib import load", "np.load(p)", "torch.load(p)",
        "np.load(p, allow_pickle=True)", "yaml.load(t)",
        "x = torch.load(p, weights_only=False)", "eval(t)", "exec(t)", "os.system(t)",
        "subprocess.run(t, shell=True)", "archive.extractall(p)",
        "tarfile.open(p).extractall(q)", "requests.get(u, verify=False)", "pd.read_pickle(p)",
    ],
)  # fmt: skip
def test_the_check_would_find(source):
    assert problems_of(source)


def test_nothing_is_downloaded_without_a_checksum_and_the_page_lists_sets_without():
    cards = [data.describe(name) for name in data.all_names()]
    files = [file for about in (*cards, *text_sources().values()) for file in about.files]
    assert sum(file.url is not None for file in files) > 20
    assert all(file.sha256 for file in files if file.url is not None)
    page = fill("<!-- mvlib: unpinned -->", ROOT)
    for about in cards:
        unknown = any(file.sha256 is None for file in about.files)
        assert (f"cards/{about.name}.md)" in page) == unknown


def test_building_the_book_runs_no_notebook_and_no_template():
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert config["execute"]["execute_notebooks"] == "off"
    # It evaluates {{ ... }} with Jinja outside any sandbox, in outputs too.
    assert "substitution" not in config["parse"]["myst_enable_extensions"]
    places = [("book", "*.md"), ("notebooks", "*.md"), ("notebooks", "*.ipynb")]
    pages = [page for folder, kind in places for page in (ROOT / folder).rglob(kind)]
    assert not any("{{" in page.read_text(encoding="utf-8") for page in pages)


def assert_inert(page):
    assert "alert(1)" in page
    html = MarkdownIt().enable("table").render(page)
    assert "<script" not in html
    assert "<img" not in html
    assert "secret.txt" not in html.replace("(../../secret.txt)", "")
    outside = page.split("````")[0] + page.split("````")[-1]
    assert not re.search(r"(?<!\\)\}`", outside)
    assert not re.search(r"(?<!\\)\{\{", re.sub(r"(?<!\\)`[^`]*`", "", outside))


@pytest.mark.fault("markup and raw HTML in what a record says")
def test_what_a_record_says_stays_text_in_the_book(tmp_path, fault):
    record = make_record(
        profile="quick", results=[], parameters={"profile": "quick", HOSTILE: HOSTILE},
        datasets={}, device=HOSTILE, status="failed",
        error=f"{HOSTILE}\n   ````\n{HOSTILE}", executed=f"runs/`{HOSTILE}`.ipynb",
    )  # fmt: skip
    (tmp_path / "notebooks" / "toy").mkdir(parents=True)
    pages = [status_page([record], tmp_path), failures_page([record], tmp_path)]
    # Its last sentence is a link of ours.
    pages.append(
        _origin([record, record], "a.ipynb", None)["source"].partition(" To change it")[0]
    )
    for page in pages:
        assert_inert(page)
    assert pages[1].count("````") == 2
    fault("They are text in the book.")


@pytest.mark.fault("markup, links and raw HTML in what faults and benchmarks say")
@pytest.mark.parametrize("end", ["\n\n", "\r\r", "\n"])
def test_what_was_measured_or_broken_stays_text_in_the_book(end, tmp_path, fault):
    hostile = f"{end}{HOSTILE} [x\\](../../secret.txt){end}```{{raw}} html{end}{HOSTILE}{end}"
    versions = {hostile: hostile}
    broken = {
        "tried": hostile, "happened": hostile, "verdict": "passed", "times": 1,
        "seconds": 1, "date": hostile, "versions": versions,
    }  # fmt: skip
    conditions = {"versions": versions, "threads": 1, "instructions": [hostile]}
    conditions["date"] = hostile
    ratio = {"name": hostile, "value": 1.5, "target": "none"}
    results = tmp_path / "data" / "results"
    results.mkdir(parents=True)
    (results / "faults.json").write_text(json.dumps({"kill": broken}))
    kept = {"bench": {"conditions": conditions, "ratios": [ratio]}}
    (results / "benchmarks.json").write_text(json.dumps(kept))
    for text in ("<!-- mvlib: faults -->", "<!-- mvlib: benchmarks bench -->"):
        page = fill(text, tmp_path)
        assert_inert(page)
        # A table of one row and a sentence.
        assert len(page.splitlines()) == 5
    assert_inert(status_page([], tmp_path))
    fault("They are text in the book.")


def test_words_that_are_no_markup_stay_as_they_are():
    for text in ("a < b", "x <= 1", "[1, 2]", "{a}", "f(x) -> y", "5 <6", "a | b"):
        assert inert(text) == text
