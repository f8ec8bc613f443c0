import inspect
import re
from pathlib import Path

import pandas as pd
import pytest
import toy_records
from docutils.core import publish_doctree
from pybtex.database import parse_string

from mvlib import data, methods, records
from mvlib.book import api_pages, failures_page, fill, placeholders, status_page
from mvlib.book.reference import equations, equations_page
from mvlib.book.sphinx_extension import (
    author_year,
    deviations_as_notes,
    escape_formulas,
    keep_spreads_whole,
)
from mvlib.records.evidence import Fault, save_faults

ROOT = Path(__file__).resolve().parents[2]


def make_record(**changes):
    return toy_records.make_record(
        **{
            "paper": "smart", "profile": "quick", "datasets": {}, "results": [],
            "parameters": {"profile": "quick", "aligned_ratio": 0.5, "seeds": [5, 15]},
            "wall_seconds": 90.0, "peak_memory_bytes": 1_500_000_000,
            "device": "Some processor", "started": "2026-01-02T03:04:05+00:00",
            "executed": "runs/quick/smart/method--x.ipynb",
        } | changes
    )  # fmt: skip


@pytest.fixture
def project(tmp_path):
    (tmp_path / "notebooks").mkdir()
    return tmp_path


def section(page, heading):
    return page.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]


def test_status_gives_time_device_minutes_memory_of_each_run(project):
    full = {"key": "b" * 64, "cell": "d" * 16, "profile": "full"}
    other = make_record(gpu_peak_memory_bytes=2_000_000_000, **full)
    page = status_page([make_record(), other], project)
    (line,) = [line for line in section(page, "Quick profile").splitlines() if "0.5" in line]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == [
        "smart: method", "aligned ratio 0.5; seeds 5, 15", "Some processor",
        "2026-01-02 03:04", "earlier version", "ok", "1.5", "1.50", "",
    ]  # fmt: skip
    assert "2.00" in section(page, "Full profile")
    assert "1 of 1 runs succeeded, 1.5 minutes in all" in page
    assert "No run of the reduced profile" in section(page, "Reduced profile")


def test_status_counts_what_was_broken_on_purpose_by_its_verdict(project):
    assert "## Faults" not in status_page(None, project)
    common = {"happened": "It went on.", "times": 1, "seconds": 1.0, "versions": {}}
    ends = {"a": ("passed", "01-02"), "b": ("passed", "03-04"), "c": ("failed", "02-01")}
    faults = {
        name: Fault(name, verdict=verdict, date=f"2026-{day}", **common)
        for name, (verdict, day) in ends.items()
    }
    save_faults(faults, project)
    told = section(status_page(None, project), "Faults")
    assert "2 passed, 1 failed; the last on 2026-03-04" in told
    assert "(faults.md)" in told


def test_a_failed_run_ends_with_its_traceback_in_its_block_until_it_succeeds(project):
    lines = [f"frame {number}" for number in range(50)]
    error = "\n".join([*lines, "```", "````", "ValueError: `lambda1`|x"])
    failed = make_record(status="failed", error=error, started="2026-01-01T00:00:00+00:00")
    status = status_page([failed], project)
    assert "[failed](failures.md)" in status
    assert "0 of 1 runs succeeded" in status
    page = failures_page([failed], project)
    block = page.split("````text\n")[1].split("\n````")[0]
    assert block.endswith("ValueError: `lambda1`|x")
    assert "frame 49" in block
    assert "frame 10" not in page
    assert "of 53 lines" in page
    assert page.count("````") == 2
    later = failures_page([failed, make_record(key="b" * 64)], project)
    assert "None: no recorded run has failed." in later
    assert "frame 49" not in later


def test_verdict_rules_are_those_of_the_code_and_an_unknown_placeholder_names_the_nearest():
    page = fill("# A\n\n<!-- mvlib: verdict_rules -->\n", ROOT)
    for word, rule in records.VERDICT_RULES.items():
        assert f"{word}\n: {rule}" in page
    with pytest.raises(ValueError, match="Did you mean 'verdict_rules'"):
        fill("<!-- mvlib: verdict_rule -->", ROOT)


def test_what_is_said_of_unknown_settings_and_findings_comes_from_records(project):
    settings = "<!-- mvlib: unknown_settings cae reduced unknowns -->"
    assert fill(settings, project) == "*Nothing is recorded yet.*"
    asked = project / "notebooks" / "toy" / "findings.toml"
    asked.parent.mkdir()
    asked.write_text('[parts]\nexperiment = "parts"\n')
    assert fill("<!-- mvlib: finding toy parts -->", project) == "*Nothing is recorded yet.*"
    assert "| CAE | k-means of images | " in fill("<!-- mvlib: finding cae words -->", ROOT)
    table = [line.split(" | ") for line in fill(settings, ROOT).splitlines()[4:]]
    bounds = [(float(low), float(high.rstrip(" |"))) for *_, low, high in table]
    assert bounds
    assert all(low * high >= 0 for low, high in bounds)


def test_settings_on_the_page_are_those_of_the_code(project):
    page = fill("<!-- mvlib: smart_settings -->", project)
    for name, settings in methods.smart.PAPER_SETTINGS.items():
        title = "any other set" if name == "other" else f"[{data.describe(name).title}]"
        (line,) = [line for line in page.splitlines() if title in line]
        values = [float(cell) for cell in line.strip("| ").split("|")[3:]]
        assert values == list(settings.values())


def test_published_numbers_carry_their_source_class_and_a_table_leaves_others_out(project):
    row = (
        '[[row]]\ntable = "{table}"\nid = "{table}"\ndataset = "wiki"\nmethod = "{method}"\n'
        'setting = {{ aligned_ratio = {ratio} }}\nrule = "last"\nvalues = {{ acc = {acc} }}\n'
        'digits = 2\nsource = "code"\nwhere = "w"\ncaveat = ""\ncomparable = true\n'
    )
    rows = [
        row.format(table="small", method="A", ratio=0.5, acc=36.5),
        row.format(table="large", method="B", ratio=1.0, acc=50),
    ]
    (project / "notebooks" / "toy").mkdir()
    path = project / "notebooks" / "toy" / "published.toml"
    path.write_text('paper = "toy"\n' + "".join(rows))
    page = fill("<!-- mvlib: published toy A -->", project)
    (line,) = page.splitlines()[2:]
    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        "A", data.describe("wiki").title, "50 % aligned", "code", "36.50",
    ]  # fmt: skip
    page = fill("<!-- mvlib: published_by_set toy acc small -->", project)
    assert "36.5" in page
    assert "50.0" not in page


@pytest.mark.parametrize(
    ("room", "directive"),
    [
        ("data", "## load\n\n```{eval-rst}\n.. autofunction:: mvlib.data.load\n"),
        ("data", ".. autoexception:: mvlib.data.DownloadError\n"),
        ("data", ".. py:data:: mvlib.data.PROMPTS\n\n   In the order of TAC's code;"),
        ("methods", ".. autoclass:: mvlib.methods.SMART\n   :members:\n"),
        ("methods", "A room of its own: [`mvlib.methods.smart`](mvlib-methods-smart.md)."),
        ("methods-smart", "{py:obj}`mvlib.methods.SMART`"),
    ],
)
def test_a_public_name_has_the_directive_of_its_kind(room, directive):
    assert directive in api_pages()[f"book/api/rooms/mvlib-{room}.md"]


def test_bars_of_formulas_are_escaped_and_those_of_code_left():
    assert escape_formulas("|A - B|^2 and `a | b`") == r"\|A - B\|^2 and `a | b`"


@pytest.mark.parametrize("notes", ["Notes\n-----\nNote.\n\n", ""])
def test_a_deviations_section_is_the_end_of_the_notes(notes):
    text = f"Do.\n\n{notes}Deviations\n----------\nOther.\n\nReferences\n----------\nR."
    moved = "\n".join(deviations_as_notes(text.splitlines()))
    head = notes or "Notes\n-----\n"
    assert moved == f"Do.\n\n{head}**Deviations**\n\nOther.\n\nReferences\n----------\nR."


@pytest.mark.parametrize(
    ("authors", "label"),
    [
        ("Kuhn, Harold W.", "Kuhn, 1955"),
        ("Hubert, Lawrence and Arabie, Phipps", "Hubert and Arabie, 1955"),
        ("van der Maaten, Laurens and Hinton, G. and Other, A.", "van der Maaten et al., 1955"),
        ("{{Executable Books Community}}", "Executable Books Community, 1955"),
    ],
)
def test_a_bibliography_entry_is_named_by_authors_and_year(authors, label):
    text = f"@misc{{key, author = {{{authors}}}, title = {{T}}, year = {{1955}}}}"
    entry = parse_string(text, "bibtex").entries["key"]
    assert author_year(entry) == label


def test_defaults_on_smarts_page_are_those_of_the_code():
    text = (ROOT / "notebooks" / "smart" / "index.md").read_text(encoding="utf-8")
    signature = inspect.signature(methods.SMART).parameters
    rows = [line.split("|")[4:6] for line in text.splitlines() if "{py:obj}" in line]
    found = [
        (name, value.strip())
        for names, values in rows
        if "`" in names
        for name, value in zip(re.findall(r"`(\w+)`", names), values.split(","), strict=True)
    ]
    assert len(found) == 10
    for name, value in found:
        default = signature[name].default
        assert value == (default if isinstance(default, str) else f"{default:g}")


@pytest.mark.parametrize("name", ["smart", "set_clip", "cae", "ntk_spectral"])
def test_every_finding_that_we_believe_is_linked_to_a_page_that_is_there(name):
    page = ROOT / "notebooks" / name / "beliefs.md"
    head, *findings = re.split(r"(?m)^## ", page.read_text(encoding="utf-8"))
    for finding in findings or [head]:
        prose = re.sub(r"\]\([^)]*\)", "]", re.sub(r"<!--.*?-->|\|.*", "", finding))
        assert len(prose.split()) <= 420
        links = re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", finding)
        # A figure or a table that is made of the records leads to their page itself.
        assert links or "<!-- mvlib: " in finding, f"no link backs: {finding}"
        for link in links:
            # Pages made by the build have no file here.
            made = link in ("../../book/status.md", "../../book/failures.md")
            assert made or (page.parent / link).is_file(), link


def test_a_mean_and_its_spread_stay_on_one_line_of_a_table_and_prose_is_left_alone():
    rule = "====  =========="
    rows = "row   93.2 ± 0.4\nb     1 (4 of 5)"
    text = f"A line of 1 ± 2\n\n{rule}\na_b   the_spread\n{rule}\n{rows}\n{rule}\n"
    page = publish_doctree(text)
    keep_spreads_whole(page)
    assert "93.2\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}0.4" in page.astext()
    assert "1 (4\N{NO-BREAK SPACE}of\N{NO-BREAK SPACE}5)" in page.astext()
    # A long name in a head may break where its words end.
    assert "the_\N{ZERO WIDTH SPACE}spread" in page.astext()
    assert "1 ± 2" in page.astext()


def test_every_equation_has_a_row_and_one_without_a_test_stops_the_book(tmp_path):
    found = equations()
    papers = {"SMART", "MvCLN", "Set-CLIP", "CAE", "TAC", "SIC", "NTK"}
    assert papers <= {equation.paper for equation in found}
    page = equations_page()
    for equation in found:
        assert f"{equation.file.removeprefix('mvlib/methods/')}:{equation.line} |" in page
        source = Path(equation.file).read_text().splitlines()[equation.line - 1]
        assert re.match(rf" *(def|class) {equation.name}\b", source)
    methods, tests = tmp_path / "mvlib" / "methods", tmp_path / "tests"
    methods.mkdir(parents=True)
    tests.mkdir()
    toy = 'def loss():\n    """Sum.\n\n    L = x + y  (Toy, as coded)\n    """\n'
    (methods / "toy.py").write_text(toy)
    missing = "toy.py:1: no test names loss, whose equation is L = x"
    with pytest.raises(ValueError, match=missing):
        equations_page(methods, tests)
    (tests / "test_toy.py").write_text("def test_it_adds():\n    loss()\n")
    assert "| Toy | as coded | `L = x + y` |" in equations_page(methods, tests)
    # Another method's function of that name is held by another test.
    (tests / "test_a_rival.py").write_text("def test_it_takes_away():\n    loss()\n")
    assert "toy.py:1 | it adds |" in equations_page(methods, tests)
    folder = methods / "toy"
    folder.mkdir()
    (methods / "toy.py").rename(folder / "equations.py")
    equations.cache_clear()
    (tests / "test_equations.py").write_text("def test_symbols():\n    loss()\n")
    assert "toy/equations.py:1 | it adds |" in equations_page(methods, tests)


def test_measures_of_a_variant_are_means_over_seeds_in_percent(project, monkeypatch):
    measured = "<!-- mvlib: measures cae reduced own_images names -->"
    assert fill(measured, project) == "*Nothing is recorded yet.*"
    rows = [("names", 1, 0.5), ("names", 2, 0.25), ("nowhere", 1, 1.0), (None, 1, None)]
    frame = pd.DataFrame(rows, columns=["variant", "seed", "measure_either_of_sure"])
    frame = frame.assign(dataset="openclipart", method="plain cosine", paper="cae")
    monkeypatch.setattr(placeholders, "results_frame", lambda *_, **__: frame)
    head, _, *lines = fill(measured, project).splitlines()
    assert head == "| data set | method | either of sure |"
    assert lines == ["| Open Clip Art | plain cosine | 37.5 |"]
