"""A file without a known checksum is read in a process of its own, with limits."""

import os

import numpy as np
import pytest
import scipy.io

from mvlib.data import describe, load
from mvlib.data.readers import apart
from mvlib.data.readers.apart import read_apart
from mvlib.data.readers.views import read_layout, read_npz
from mvlib.files import embedded_data

CARD = describe("reuters-dim10")
NAMES = ["first", "second"]


@pytest.fixture
def reuters(tmp_path):
    rng = np.random.default_rng(0)
    contents = {"x_train": rng.random((2, 4, 10)), "x_test": rng.random((2, 2, 10))}
    contents |= {"y_train": np.array([[1, 2, 1, 2]]), "y_test": np.array([[1, 2]])}
    scipy.io.savemat(tmp_path / "small.mat", contents)
    return tmp_path / "small.mat", contents


def read(path, trusted=False):
    return read_layout(path, CARD.reader, CARD.layout, NAMES, trusted=trusted)


def test_what_is_read_apart_is_what_is_read_here(reuters):
    (found, y), (here, y_here) = read(reuters[0]), read(reuters[0], trusted=True)
    np.testing.assert_array_equal(y, y_here)
    assert list(found) == NAMES
    for name in NAMES:
        np.testing.assert_array_equal(found[name], here[name], strict=True)


@pytest.mark.fault("a damaged file whose reading kills its process")
def test_a_file_that_crashes_its_reader_is_an_error_and_no_crash(reuters, fault):
    path, _ = reuters
    content = bytearray(path.read_bytes())
    # The flags of the first variable: its numbers are complex, and half of them are missing.
    content[145] = 61
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"small\.mat is (damaged|not a readable)"):
        read(path)
    fault("A ValueError says that the file is damaged.")


@pytest.mark.fault("a file whose reading does not end")
def test_a_file_that_hangs_its_reader_is_an_error_in_time(reuters, monkeypatch, fault):
    monkeypatch.setattr(apart, "_LONGEST_SECONDS", 0.01)
    with pytest.raises(ValueError, match=r"small\.mat was not read within 0\.01 seconds"):
        read(reuters[0])
    fault("A ValueError at the limit of time.")


@pytest.mark.fault("a file whose reading takes all memory, or gives objects")
@pytest.mark.parametrize(
    ("reader", "message"),
    [
        ("take_six_gigabytes", r"small\.mat takes more than 4\.0 GiB of memory"),
        ("give_objects", r"small\.mat holds what is no array of numbers"),
    ],
)
def test_a_reader_that_asks_for_all_memory_or_gives_objects_is_an_error(
    reader, message, tmp_path, fault
):
    (tmp_path / "small.mat").write_bytes(b"x")
    with pytest.raises(ValueError, match=message):
        read_apart(f"bad_readers:{reader}", tmp_path / "small.mat")
    fault("A ValueError that names the file and the reason.")


def test_an_error_of_the_reader_says_the_same_as_here(reuters):
    path, contents = reuters
    scipy.io.savemat(path, {**contents, "x_test": contents["x_test"][:1]})
    said = []
    for trusted in (False, True):
        with pytest.raises(ValueError, match=r"expected at least 2$") as error:
            read(path, trusted)
        said.append(str(error.value))
    assert said[0] == said[1]


def test_cells_of_no_numbers_are_refused(tmp_path):
    cells = np.empty((1, 2), dtype=object)
    cells[0, 0] = cells[0, 1] = np.array([[{"a": 1}]], dtype=object)
    stream = {"X": cells, "gt": np.array([[1, 2]])}
    scipy.io.savemat(tmp_path / "small.mat", stream)
    card = describe("cub")
    with pytest.raises(ValueError, match=r"small\.mat"):
        read_layout(tmp_path / "small.mat", "cells", card.layout, ["image"], trusted=False)


@pytest.mark.parametrize("name", ["nus-wide", "reuters-dim10", "deep-animal"])
def test_sets_without_checksum_are_read_apart_and_others_here(name, tmp_path, monkeypatch):
    asked = []

    def note(reader, path, *more):
        asked.append(path.name)
        raise ValueError("asked")

    monkeypatch.setattr("mvlib.data.readers.views.read_apart", note)
    (tmp_path / describe(name).files[0].file).write_bytes(b"anything")
    with pytest.raises(ValueError, match="^asked$"):
        load(name)
    assert asked == [describe(name).files[0].file]
    load("handwritten")
    assert len(asked) == 1


@pytest.mark.fault("an npz file with one to three damaged bytes")
def test_a_damaged_npz_is_always_a_value_error(tmp_path, fault):
    content = (embedded_data() / "handwritten.npz").read_bytes()
    rng = np.random.default_rng(0)
    path, failed = tmp_path / "small.npz", 0
    # The directory at the end of a zip, whose damage raises errors of the most kinds.
    places = np.r_[np.arange(len(content) - 900, len(content)), np.arange(60)]
    for _ in range(120):
        damaged = bytearray(content)
        for place in rng.choice(places, rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            read_npz(path, {}, ["mor"])
        except ValueError:
            failed += 1
    assert failed > 20
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"small\.npz is not a readable npz"):
        read_npz(path, {}, ["mor"])
    os.unlink(path)
    with pytest.raises(FileNotFoundError):
        read_npz(path, {}, ["mor"])
    fault("Where it cannot be read, it is always a ValueError.", times=120)


def test_an_npz_of_other_arrays_is_a_value_error(tmp_path):
    path = tmp_path / "small.npz"
    np.savez(path, views=np.array(["pix"]), decimals=np.array(["a"]), pix=np.ones(3))
    with pytest.raises(ValueError, match=r"small\.npz is not a readable npz"):
        read_npz(path, {}, ["pix"])
