"""Record files from anywhere give whole records or an error that names file and line."""

import json
import warnings
from contextlib import nullcontext

import pytest
from fuzzing import RECORD, assert_clear, fuzz, read_or_told, spoilt, spoilt_bytes
from hypothesis import given
from jsonschema import Draft202012Validator

from mvlib.book.pages import failures_page, status_page
from mvlib.check import check_schema
from mvlib.records.store import (
    RECORD_SCHEMA,
    latest_records,
    load_records,
    records_frame,
    save_record,
)

INTERPRETED = Draft202012Validator(json.loads(RECORD_SCHEMA.read_text("utf-8")))
LINE = json.dumps(RECORD).encode() + b"\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    (root / "data" / "results").mkdir(parents=True)
    return root


def read(project, content):
    """Return the records of a file, shown in every way there is; None after a clear error."""
    (project / "data" / "results" / "toy.jsonl").write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        records = read_or_told(lambda: load_records("toy", root=project), "toy.jsonl")
    if records is None:
        return None
    for record in records:
        assert INTERPRETED.is_valid(record)
        json.dumps(record, allow_nan=False).encode()
    latest = latest_records(records)
    records_frame(latest)
    status_page(latest, project).encode()
    failures_page(latest, project).encode()
    return records


@fuzz(80)
@given(record=spoilt(RECORD), content=spoilt_bytes(LINE * 2))
def test_what_is_spoilt_is_a_record_or_an_error_with_its_line(project, record, content):
    found = read(project, json.dumps(record).encode() + b"\n" + LINE)
    assert found is None or found == [record, RECORD]
    read(project, content)


@fuzz(60)
@given(record=spoilt(RECORD))
def test_compiled_and_interpreted_schema_agree(record):
    # The compiled one alone refuses a line break after a name.
    text = json.dumps(record)
    if "\\n" not in text:
        right = INTERPRETED.is_valid(record)
        with nullcontext() if right else pytest.raises(ValueError, match="^it"):
            check_schema("it", record, RECORD_SCHEMA)


@fuzz(40)
@given(record=spoilt(RECORD))
def test_a_spoilt_record_is_not_saved_and_what_is_there_stays(project, record):
    path = project / "data" / "results" / "smart.jsonl"
    path.write_bytes(LINE)
    try:
        save_record(record, project)
    except ValueError:
        assert path.read_bytes() == LINE
    else:
        saved = load_records(root=project)
        for each in (record, *saved):
            each.pop("sequence", None)
        assert record in saved
    for other in path.parent.glob("*"):
        other.unlink()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"key": 1, "key": 2}', "'key' stands twice"),
        (b'{"wall_seconds": NaN}', "NaN"),
        (b'{"wall_seconds": 1e999}', "wall_seconds is inf"),
        (b'{"threads": ' + b"9" * 5000 + b"}", "cannot be taken as JSON"),
        (b'{"threads": ' + b"9" * 50 + b"}", "beyond 64 bits"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deep"),
        (b'"\\ud800"', "whole characters"),
        (b"3", "it=3: expected a table"),
        (b'{"key": "bb"}', "it lacks cell"),
        (b"\xff{}", "0xff is no UTF-8"),
        (b'{"key"', "is not JSON"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(project, line, said):
    (project / "data" / "results" / "toy.jsonl").write_bytes(line + b"\n" + LINE)
    with pytest.raises(ValueError, match=r"toy\.jsonl line 1") as failure:
        load_records("toy", root=project)
    assert_clear(failure.value, said)


def test_a_whole_last_line_that_is_no_record_is_not_lost(project):
    content = LINE + json.dumps(RECORD | {"surprise": 1}).encode() + b"\n"
    assert read(project, content) is None
    with pytest.raises(ValueError, match="surprise"):
        save_record(RECORD | {"paper": "toy", "key": "a" * 64}, project)
    assert (project / "data" / "results" / "toy.jsonl").read_bytes() == content
