"""Records are read and written whole, and none is lost that should be kept."""

import json

import pytest
from toy_records import SCORES, make_record

from mvlib.records import store
from mvlib.records.store import (
    check_record,
    drop_records,
    latest_records,
    load_records,
    records_frame,
    records_path,
    save_record,
)


def keys(root, profile=None):
    return [record["key"][0] for record in load_records("toy", profile, root=root)]


def test_a_good_record_obeys_the_schema_with_any_rule_for_the_epoch():
    for changes in ({}, {"status": "failed"}, {"profile": "reduced"}):
        check_record(make_record(**changes))
    record = make_record()
    rules = ("last", "loss", "central", "oracle")
    record["results"][0]["metrics"] = dict.fromkeys(rules, SCORES)
    check_record(record)
    record["results"][0]["metrics"] = {"best": SCORES}
    with pytest.raises(ValueError, match="best"):
        check_record(record)


@pytest.mark.parametrize(
    "change",
    [
        {"key": "short"},
        {"profile": "medium"},
        {"executed": "/home/somebody/a.ipynb"},
        {"executed": "../a.ipynb"},
        {"executed": "runs\n/../../a.ipynb"},
        {"notebook": "notebooks/a\n/../../a.ipynb"},
        {"started": "2026-01-01 00:00"},
        {"started": "2026-01-01T00:00:00+02:00"},
        {"error": "but it is ok"},
        {"threads": 0},
        {"datasets": {"wiki": None}},
        {"surprise": 1},
        {"results": [{"method": "SMART"}]},
    ],
)
def test_the_schema_refuses(change):
    with pytest.raises(ValueError, match="^record: "):
        check_record(make_record(**change))


def test_the_schema_refuses_scores_out_of_range_and_missing_fields():
    wrong = make_record()
    wrong["results"][0]["metrics"]["last"] = SCORES | {"acc": 90.0}
    with pytest.raises(ValueError, match=r"results\[0\]\.metrics\.last\.acc=90"):
        check_record(wrong)
    lacking = make_record()
    del lacking["git_dirty"]
    with pytest.raises(ValueError, match="git_dirty"):
        check_record(lacking)


def test_records_are_sorted_by_key_and_read_back(tmp_path):
    for letter in "bca":
        save_record(make_record(key=letter * 64, cell=f"{ord(letter):016x}"), tmp_path)
    assert keys(tmp_path) == ["a", "b", "c"]
    first = load_records("toy", root=tmp_path)[0]
    assert first == make_record(cell=f"{ord('a'):016x}")
    (line, *_) = records_path("toy", "full", tmp_path).read_text().splitlines()
    assert line == json.dumps(first, sort_keys=True)
    assert load_records("toy", "quick", root=tmp_path) == []
    assert load_records("other", root=tmp_path) == []


@pytest.mark.parametrize(
    "torn",
    [
        pytest.param(b"\0" * 4096, id="zeros alone"),
        pytest.param(b'{"key": "bb"}', id="an object without the rest"),
        pytest.param(b"[" * 100_000, id="brackets without end"),
        pytest.param(b"12", id="a number"),
    ],
)
def test_whatever_a_power_cut_leaves_at_the_end_is_ignored_and_gone_next_time(tmp_path, torn):
    save_record(make_record(), tmp_path)
    path = records_path("toy", "full", tmp_path)
    path.write_bytes(path.read_bytes() + torn)
    with pytest.warns(UserWarning, match="torn"):
        assert keys(tmp_path) == ["a"]
    with pytest.warns(UserWarning, match="torn"):
        save_record(make_record(key="c" * 64, cell="2" * 16), tmp_path)
    assert keys(tmp_path) == ["a", "c"]


def test_the_newest_of_a_cell_is_the_last_recorded_though_the_clock_stepped_back(tmp_path):
    for letter, day in zip("abc", ("03", "02", "01"), strict=True):
        record = make_record(key=letter * 64, started=f"2026-01-{day}T00:00:00+00:00")
        save_record(record, tmp_path)
    records = load_records("toy", root=tmp_path)
    assert [record.get("sequence") for record in records] == [None, 2, 3]
    (newest,) = latest_records(records)
    assert newest["key"] == "c" * 64
    for record in records:
        check_record(record)


def test_records_without_a_number_are_ordered_by_time(tmp_path):
    old = [
        make_record(key=k * 64, started=f"2026-01-0{n}T00:00:00+00:00") for k, n in ("a2", "b1")
    ]
    (newest,) = latest_records(old)
    assert newest["key"] == "a" * 64


@pytest.mark.parametrize("first", [{"status": "failed"}, {"profile": "quick"}])
def test_a_success_replaces_the_failure_of_its_run_and_any_quick_record(tmp_path, first):
    save_record(make_record(**first), tmp_path)
    save_record(make_record(profile=first.get("profile", "full"), key="b" * 64), tmp_path)
    assert keys(tmp_path) == ["b"]


@pytest.mark.parametrize("profile", ["full", "reduced"])
def test_a_committed_record_of_earlier_sources_is_kept_beside_the_new_one(tmp_path, profile):
    save_record(make_record(profile=profile), tmp_path)
    newer = make_record(profile=profile, key="b" * 64, started="2026-02-01T00:00:00+00:00")
    save_record(newer, tmp_path)
    assert keys(tmp_path) == ["a", "b"]
    assert latest_records(load_records("toy", root=tmp_path)) == [newer | {"sequence": 2}]


@pytest.mark.parametrize("profile", ["full", "reduced"])
def test_a_failure_of_its_key_or_of_another_leaves_a_committed_success(tmp_path, profile):
    good = make_record(profile=profile)
    save_record(good, tmp_path)
    failed = {"profile": profile, "status": "failed", "started": "2026-02-01T00:00:00+00:00"}
    save_record(make_record(key="b" * 64, **failed), tmp_path)
    assert keys(tmp_path) == ["a", "b"]
    assert latest_records(load_records(root=tmp_path)) == [good]
    save_record(make_record(**failed), tmp_path)
    assert latest_records(load_records(root=tmp_path)) == [good]
    better = make_record(profile=profile, started="2026-03-01T00:00:00+00:00")
    save_record(better, tmp_path)
    assert load_records(root=tmp_path) == [better | {"sequence": 4}]


def test_profiles_are_kept_apart_and_read_with_the_full_one_first(tmp_path):
    for letter, profile in zip("abc", ("quick", "reduced", "full"), strict=True):
        save_record(make_record(key=letter * 64, profile=profile), tmp_path)
    assert keys(tmp_path) == ["c", "b", "a"]
    assert [r["profile"] for r in load_records(root=tmp_path)] == ["full", "reduced", "quick"]
    assert records_path("toy", "full", tmp_path) == tmp_path / "data/results/toy.jsonl"
    reduced = tmp_path / "data/results/reduced/toy.jsonl"
    assert records_path("toy", "reduced", tmp_path) == reduced
    assert records_path("toy", "quick", tmp_path) == tmp_path / "runs/records/toy.jsonl"
    for letter, profile in zip("abc", ("quick", "reduced", "full"), strict=True):
        assert keys(tmp_path, profile) == [letter]
        assert len(load_records(profile=profile, root=tmp_path)) == 1


def test_what_a_killed_writer_left_is_swept(tmp_path):
    folder = records_path("toy", "full", tmp_path).parent
    folder.mkdir(parents=True)
    (folder / ".toy.abc.jsonl").write_text("{half")
    save_record(make_record(), tmp_path)
    assert [path.name for path in folder.iterdir()] == ["toy.jsonl"]
    assert keys(tmp_path) == ["a"]


def test_unplanned_records_are_dropped_by_cell(tmp_path):
    save_record(make_record(profile="quick"), tmp_path)
    save_record(make_record(profile="quick", key="b" * 64, cell="2" * 16), tmp_path)
    drop_records("toy", "quick", {"1" * 16}, tmp_path)
    assert keys(tmp_path) == ["b"]


def test_frame_has_the_runs_parameters_beside_the_results_own():
    frame = records_frame([make_record(), make_record(status="failed")])
    assert len(frame) == 1
    row = frame.iloc[0]
    assert (row["aligned_ratio"], row["epochs"], row["seed"]) == (0.5, 3, 5)
    assert (row["rule"], row["acc"], row["dataset"]) == ("last", 0.9, "wiki")
    assert "seeds" not in frame.columns
    assert "acc" in records_frame([]).columns


def test_a_run_that_has_a_parameter_method_names_no_column_twice():
    frame = records_frame([make_record(parameters={"method": "smart"})])
    assert frame.columns.is_unique
    assert frame["method"].tolist() == ["SMART"]


def test_committed_records_found_good_are_checked_once_and_anew_when_changed(
    tmp_path, monkeypatch
):
    (tmp_path / "runs").mkdir()
    for letter in "ab":
        save_record(make_record(profile="reduced", key=letter * 64), tmp_path)
        first, checked = load_records(root=tmp_path), []
        with monkeypatch.context() as patch:
            patch.setattr(store, "_check", checked.append)
            assert load_records(root=tmp_path) == first
            assert checked == []
    path = records_path("toy", "reduced", tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"status": "ok"', b'"status": "OK"'))
    with pytest.raises(ValueError, match="no record"):
        load_records(root=tmp_path)


def test_records_of_some_cells_are_read_and_no_others_are_parsed(tmp_path, monkeypatch):
    for cell in ("a" * 16, "b" * 16):
        save_record(make_record(profile="reduced", cell=cell, key=cell * 4), tmp_path)
    (tmp_path / "runs").mkdir()
    wanted = [r for r in load_records(root=tmp_path) if r["cell"][0] == "b"]
    read, loads = [], store.json.loads
    with monkeypatch.context() as patch:
        patch.setattr(store.json, "loads", lambda text: read.append(text) or loads(text))
        assert load_records(root=tmp_path, cells={"b" * 16}) == wanted
    assert len(read) == 1
    path = records_path("toy", "reduced", tmp_path)
    path.write_bytes(path.read_bytes().replace(b'{"cell": ', b'{ "cell": '))
    for _ in range(2):
        assert load_records(root=tmp_path, cells={"b" * 16}) == wanted
