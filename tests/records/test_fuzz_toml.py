"""Plans, published numbers and registries: a right answer, or an error with the file's name."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
from fuzzing import (
    ODD_TOML,
    PLAN,
    PUBLISHED,
    assert_clear,
    fuzz,
    read_or_told,
    spoilt_bytes,
    spoilt_toml,
)
from hypothesis import given
from hypothesis import strategies as st

import mvlib.data
from mvlib import data
from mvlib.book.placeholders import fill
from mvlib.data import cards, words
from mvlib.data.cards import check_registries
from mvlib.records import comparison_table, store
from mvlib.records.plan import load_plan, plan_runs
from mvlib.records.published import load_claims, load_published
from mvlib.records.recorder import PROFILES

ROOT = Path(__file__).resolve().parents[2]
RELATIVE = json.loads(store.RECORD_SCHEMA.read_text("utf-8"))["$defs"]["relative_path"][
    "pattern"
]
SHIPPED = Path(mvlib.data.__file__).parent
FILES = ("registry.toml", "words.toml")


def first_entries(name, entries=2):
    """Return some entries of each kind of a registry, for the whole takes long to read."""
    kept, kinds = [], []
    for entry in re.split(r"(?m)^(?=\[[^.\]]+\]$)", (SHIPPED / name).read_text("utf-8"))[1:]:
        kinds += re.findall(r"(?m)^kind = .*", entry) or ["one"]
        if kinds.count(kinds[-1]) <= entries:
            kept.append(entry)
    return "".join(kept)


BEGINNINGS = {name: first_entries(name) for name in FILES}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    for folder in ("data/results", "notebooks/toy"):
        (root / folder).mkdir(parents=True)
    (root / "notebooks" / "toy" / "plan.toml").write_text(PLAN)
    return root


def spoilt_text(text):
    return spoilt_toml(text).map(str.encode) | spoilt_bytes(text.encode())


@fuzz(130)
@given(content=spoilt_text(PLAN))
def test_a_spoilt_plan_gives_runs_or_an_error_with_its_name(project, content):
    (project / "notebooks" / "toy" / "plan.toml").write_bytes(content)
    if read_or_told(lambda: load_plan("toy", project), "toy/plan.toml") is None:
        return
    for profile in PROFILES:
        for run in plan_runs(profile, root=project):
            executed = (project / run.executed).resolve()
            assert executed.is_relative_to(project / "runs")
            assert len(executed.name) < 255
            for each in (run.executed, run.notebook):
                assert re.search(RELATIVE, each)
            assert run.name.encode()
            assert json.loads(json.dumps(asdict(run), allow_nan=False))
            assert 0 < run.minutes < float("inf")


@fuzz(130)
@given(content=spoilt_text(PUBLISHED))
def test_spoilt_published_numbers_are_shown_or_an_error_names_the_file(project, content):
    (project / "notebooks" / "toy" / "plan.toml").write_text(PLAN)
    (project / "notebooks" / "toy" / "published.toml").write_bytes(content)
    both = [
        read_or_told(lambda: load("toy", project), "toy/published.toml")  # noqa: B023
        for load in (load_published, load_claims)
    ]
    if None in both:
        return
    rows, _ = both
    for place in ("published toy", "published_by_set toy acc", "claims toy"):
        fill(f"<!-- mvlib: {place} -->", project).encode()
    for table in {row["table"] for row in rows}:
        comparison_table("toy", table, project)


@pytest.fixture
def registries(tmp_path, monkeypatch):
    """Return a function that puts a text in place of a registry, and the folder."""
    for name in (*FILES, "imagenet_classes.csv"):
        (tmp_path / name).write_text(
            BEGINNINGS.get(name) or (SHIPPED / name).read_text(encoding="utf-8"),
            encoding="utf-8",
        )
    for module in (cards, words):
        monkeypatch.setattr(module, "__file__", str(tmp_path / "module.py"))

    def put(name, text):
        (tmp_path / name).write_text(text, encoding="utf-8", errors="surrogateescape")
        forget()

    def forget():
        cards._cards.cache_clear()
        words.text_sources.cache_clear()

    put.folder = tmp_path
    yield put
    monkeypatch.undo()
    forget()


def test_the_registries_that_ship_are_good():
    check_registries()


@pytest.mark.parametrize("name", FILES)
def test_a_spoilt_registry_reads_well_or_is_told_with_its_name(registries, name):
    @fuzz(25)
    @given(text=spoilt_toml(BEGINNINGS[name]))
    def check(text):
        registries(name, text)
        if read_or_told(lambda: check_registries(registries.folder) or True, name) is None:
            return
        for each in data.all_names():
            about = data.describe(each)
            assert about.title is not None
            assert len(data.fingerprint_of(each)) == 64
        words.text_sources()

    check()
    registries(name, BEGINNINGS[name])


@fuzz(20)
@given(value=st.sampled_from(ODD_TOML), name=st.sampled_from(["file", "sha256", "url"]))
def test_a_registry_names_no_file_outside_the_data_folder(tmp_path_factory, value, name):
    folder = tmp_path_factory.mktemp("registries")
    entry = {"file": '"a.csv"', "sha256": f'"{"0" * 64}"'} | {name: value}
    line = ", ".join(f"{key} = {each}" for key, each in entry.items())
    text = "[nouns]\ntitle = 'x'\nlicence = 'x'\ncitation = 'x'\nhow_to_get = 'x'\n"
    (folder / "words.toml").write_text(f"{text}files = [{{ {line} }}]\n", encoding="utf-8")
    (folder / "registry.toml").write_text("")
    (folder / "imagenet_classes.csv").write_text("wnid,class_name,prompt_name\n")
    try:
        check_registries(folder)
    except ValueError as error:
        assert_clear(error, "words.toml")
    else:
        assert name == "file"
        assert value == '"x"'
