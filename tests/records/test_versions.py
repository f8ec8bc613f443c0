"""Which version of which method a record is of."""

import json
from pathlib import Path

import pytest

from mvlib.records import load_records
from mvlib.records.plan import load_plan, plan_papers
from mvlib.records.versions import (
    LEDGER,
    VERSIONS,
    is_earlier,
    is_vouched_for,
    method_of,
    recorded_versions,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("recorded", "method"),
    [
        ("SMART", "SMART"),
        ("k-means, view 1", "k-means"),
        ("k-means of images", "k-means"),
        ("TAC, no training, float16", "TAC"),
        ("TAC, trained", "TAC, trained"),
        ("TAC features, spectral", "TAC"),
        ("NTK, mean", "NTK"),
        ("without L_smc", "the paper's"),
        ("SMARTER", "the paper's"),
        ("S-CLIP", "S-CLIP"),
    ],
)
def test_a_recorded_name_belongs_to_the_longest_name_that_begins_it(recorded, method):
    assert method_of(recorded, "the paper's") == method


def test_the_papers_own_methods_have_versions():
    for paper in plan_papers(ROOT):
        assert load_plan(paper, ROOT)["method"] in VERSIONS


def test_the_ledger_names_records_that_are_there():
    ledger = json.loads((ROOT / LEDGER).read_text(encoding="utf-8"))
    listed = [key for keys in ledger.values() for key in keys]
    assert len(listed) == len(set(listed))
    known = {record["key"] for record in load_records(root=ROOT)}
    assert set(listed) <= known


def test_a_record_in_neither_is_of_version_0(tmp_path):
    record = {"key": "a" * 64, "results": [{"method": "SMART"}]}
    assert recorded_versions(record, "SMART", tmp_path) == {"SMART": 0}
    assert not is_vouched_for(record, tmp_path)


def test_the_ledger_gives_a_version_and_what_a_record_says_of_itself_goes_before(tmp_path):
    path = tmp_path / LEDGER
    path.parent.mkdir(parents=True)
    path.write_text('{"2": ["' + "a" * 64 + '"]}')
    record = {"key": "a" * 64, "results": [{"method": "SMART"}]}
    assert recorded_versions(record, "SMART", tmp_path) == {"SMART": 2}
    assert is_vouched_for(record, tmp_path)
    said = record | {"method_versions": {"SMART": 3}}
    assert recorded_versions(said, "SMART", tmp_path) == {"SMART": 3}


def test_a_version_is_earlier_where_any_is_below_todays():
    today = {"SMART": VERSIONS["SMART"], "no method of the catalogue": 1}
    assert not is_earlier(today)
    assert is_earlier(today | {"SMART": VERSIONS["SMART"] - 1})
    assert is_earlier(today | {"no method of the catalogue": 0})


@pytest.mark.parametrize("ledger", ["[]", '{"one": []}', '{"1": [3]}', '{"1": "a"}', "{"])
def test_a_damaged_ledger_is_told_by_its_name(tmp_path, ledger):
    path = tmp_path / LEDGER
    path.parent.mkdir(parents=True)
    path.write_text(ledger)
    with pytest.raises(ValueError, match="versions.json"):
        recorded_versions({"key": "a" * 64, "results": []}, "SMART", tmp_path)
