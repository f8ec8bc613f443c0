import csv
import re
import shutil
from collections import Counter
from hashlib import sha256

import numpy as np
import pytest
from PIL import Image

from mvlib.data import ImageTextPairs, openclipart_pairs
from mvlib.data import openclipart as reader
from mvlib.files import embedded_data

FOLDER = embedded_data() / "openclipart"


@pytest.fixture(scope="module")
def index():
    with open(FOLDER / "index.csv", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def pair_rows():
    with open(embedded_data() / "openclipart_pairs.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def words(text):
    return set(re.findall(r"[^\W_]+", text.lower()))


def singular(texts):
    return {word[:-1] if word.endswith("s") else word for word in texts}


def test_the_index_lists_exactly_the_files_with_their_sha256(index):
    found = {
        path.relative_to(FOLDER).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in FOLDER.rglob("*.png")
    }
    assert found == {row["file"]: row["sha256"] for row in index}
    assert len(set(found.values())) == len(index)


def test_there_are_10_to_16_classes_of_at_most_60_in_under_8_megabytes(index):
    counts = Counter(row["label"] for row in index)
    assert 10 <= len(counts) <= 16
    assert 25 <= min(counts.values()) <= max(counts.values()) <= 60
    assert 600 <= len(index) <= 720
    assert sum(path.stat().st_size for path in FOLDER.rglob("*.*")) < 8_000_000


def test_the_drawings_are_128_pixels_square_on_white_without_metadata(index):
    white_corners = 0
    for row in index:
        with Image.open(FOLDER / row["file"]) as image:
            assert (image.format, image.size, image.info) == ("PNG", (128, 128), {})
            assert image.mode in ("RGB", "P")
            pixels = np.asarray(image.convert("RGB"))
        white_corners += bool((pixels[::127, ::127] == 255).all())
    assert white_corners > 0.95 * len(index)


def test_read_openclipart_gives_paths_labels_names_and_captions_in_the_indexs_order(index):
    paths, y, class_names, captions = reader.read_openclipart()
    assert [path.relative_to(FOLDER).as_posix() for path in paths] == [r["file"] for r in index]
    assert y.dtype == np.int64
    assert [class_names[label] for label in y] == [row["label"] for row in index]
    assert class_names == tuple(sorted(set(class_names)))
    assert captions == tuple(row["caption"] for row in index)


def test_what_a_caller_does_to_the_labels_stays_with_the_caller():
    paths, y, *_ = reader.read_openclipart()
    y[:], first = 7, paths.pop(0)
    paths, y, *_ = reader.read_openclipart()
    assert y[0] == 0
    assert paths[0] == first


def test_pairs_come_in_the_order_of_their_ids_with_captions_and_titles(pair_rows):
    pairs = openclipart_pairs()
    assert isinstance(pairs, ImageTextPairs)
    assert len(pairs) == len(pairs.captions) == len(pairs.titles) == len(pair_rows) > 2000
    assert list(pairs.ids) == [f"pair-{i:04d}" for i in range(len(pairs))]
    assert pairs.captions[5] == pair_rows[5]["caption"]
    assert pairs.titles[5] == pair_rows[5]["title"]


def test_no_pair_is_a_drawing_of_the_evaluation_set(index, pair_rows):
    sources = [row["source"] for row in pair_rows]
    assert len(set(sources)) == len(sources)
    assert not set(sources) & {row["source"] for row in index}


def test_no_pair_is_the_outline_of_a_drawing_of_the_evaluation_set(index, pair_rows):
    originals = {row["source"] for row in index}
    assert not originals & {row["source"].replace("_bw", "") for row in pair_rows}


@pytest.mark.parametrize("rows", ["index", "pair_rows"])
def test_every_drawing_has_a_caption_of_words(rows, request):
    for row in request.getfixturevalue(rows):
        assert re.search(r"[^\W\d_]{3}", row["caption"]), row


def test_captions_do_not_give_the_class_or_its_folder_away(index):
    for row in index:
        folder = row["source"].rsplit("/", 1)[0]
        given = singular(words(f"{folder} {row['label']}")) - {"and"}
        said = singular(words(row["caption"]))
        assert not said & given, row


def test_a_damaged_drawing_raises_a_value_error_that_names_it(tmp_path, monkeypatch, index):
    name = index[3]["file"]
    shutil.copytree(FOLDER, tmp_path / "openclipart")
    with open(tmp_path / "openclipart" / name, "ab") as stream:
        stream.write(b"!")
    monkeypatch.setattr(reader, "embedded_data", lambda: tmp_path)
    with pytest.raises(ValueError, match=rf"{re.escape(name)} has sha256 .* expected"):
        reader.read_openclipart()
    (tmp_path / "openclipart" / name).unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(name)):
        reader.read_openclipart()


def test_an_index_of_other_columns_raises_a_value_error(tmp_path, monkeypatch):
    (tmp_path / "openclipart").mkdir()
    (tmp_path / "openclipart" / "index.csv").write_text("file,label\na.png,bird\n")
    monkeypatch.setattr(reader, "embedded_data", lambda: tmp_path)
    with pytest.raises(ValueError, match="columns"):
        reader.read_openclipart()


def test_changed_or_missing_pairs_raise_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "embedded_data", lambda: tmp_path)
    with pytest.raises(FileNotFoundError, match="openclipart_pairs"):
        openclipart_pairs()
    whole = (embedded_data() / "openclipart_pairs.csv").read_bytes()
    (tmp_path / "openclipart_pairs.csv").write_bytes(whole[:-1])
    with pytest.raises(ValueError, match="openclipart_pairs.csv has sha256"):
        openclipart_pairs()
