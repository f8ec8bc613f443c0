"""What a disk, a clock and a power cut can do to records, done for real."""

import json

import pytest
from projects import SmallDisk
from toy_records import make_record

from mvlib.records.store import latest_records, load_records, records_path, save_record


def keys(root):
    return [record["key"][0] for record in load_records("toy", root=root)]


@pytest.mark.fault("a disk that is full when a record is written")
def test_a_full_disk_loses_no_record_and_leaves_no_half_file(tmp_path, fault):
    path = records_path("toy", "full", tmp_path)
    with SmallDisk(path.parent) as disk:
        save_record(make_record(), tmp_path)
        before = path.read_bytes()
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            save_record(make_record(key="b" * 64, cell="2" * 16), tmp_path)
        assert path.read_bytes() == before
        assert sorted(p.name for p in path.parent.iterdir()) == ["ballast", "toy.jsonl"]
        disk.empty()
        save_record(make_record(key="b" * 64, cell="2" * 16), tmp_path)
        assert keys(tmp_path) == ["a", "b"]
    fault("An error says so; the records there stay whole; once there is room, it is written.")


@pytest.mark.fault("a results folder that cannot be written to when a record is")
def test_a_read_only_folder_leaves_the_records_as_they_are(tmp_path, fault):
    path = records_path("toy", "full", tmp_path)
    with SmallDisk(path.parent) as disk:
        save_record(make_record(), tmp_path)
        disk.set_writable(False)
        with pytest.raises(OSError, match="Read-only"):
            save_record(make_record(key="b" * 64, cell="2" * 16), tmp_path)
        assert keys(tmp_path) == ["a"]
        disk.set_writable(True)
        save_record(make_record(key="b" * 64, cell="2" * 16), tmp_path)
        assert keys(tmp_path) == ["a", "b"]
    fault("An error says so; the records there can be read; nothing else changes.")


@pytest.mark.fault("a record file whose last line is torn at any of its bytes")
def test_a_file_that_ends_anywhere_loses_its_last_record_at_most(tmp_path, fault):
    path = records_path("toy", "full", tmp_path)
    save_record(make_record(), tmp_path)
    last = json.dumps(
        make_record(key="b" * 64, device="Prozessor für alles"), ensure_ascii=False
    )
    whole, line = path.read_bytes(), last.encode()
    tries = [(end, b"") for end in range(1, len(line))]
    tries += [(end, bytes(512)) for end in range(0, len(line), 20)]
    for end, rest in tries:
        path.write_bytes(whole + line[:end] + rest)
        with pytest.warns(UserWarning, match="last line is torn"):
            assert keys(tmp_path) == ["a"]
    path.write_bytes(whole + line)
    assert keys(tmp_path) == ["a", "b"]
    path.write_bytes(whole + line[:-1])
    with pytest.warns(UserWarning, match="torn"):
        save_record(make_record(key="c" * 64, cell="2" * 16), tmp_path)
    assert keys(tmp_path) == ["a", "c"]
    fault(
        "Only the last record is ignored, with a warning, also when the file was cut within a "
        "character or ends in zeros; the next record written puts the file right.",
        times=len(tries),
    )


@pytest.mark.fault("a clock that steps back a year between two versions of a run")
def test_a_clock_that_steps_back_does_not_bring_an_older_record_back(tmp_path, fault):
    days = ("2027-01-01", "2026-01-01", "2026-01-02")
    for letter, day in zip("cba", days, strict=True):
        save_record(make_record(key=letter * 64, started=f"{day}T00:00:00+00:00"), tmp_path)
    (newest,) = latest_records(load_records("toy", root=tmp_path))
    assert newest["key"] == "a" * 64
    fault("The record that came last counts; its time is shown as the clock gave it.")
