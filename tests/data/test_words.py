import csv
import gzip
import hashlib
import importlib.util
import io
import lzma
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mvlib.data import PROMPTS, DataFile, captions, nouns, openclipart_pairs, words
from mvlib.data.words import text_sources
from mvlib.encoders import TextBank, noun_rows
from mvlib.files import embedded_data

ROOT = Path(__file__).resolve().parents[2]
N_NOUNS = 119034

DATA_NOUN = """\
  1 This is the licence,
  2   of two lines.
00000010 03 n 02 china 0 dinner_set 1 001 @ 00000020 n 0000 | dishware; "my china"; "your ; set"
00000020 15 n 01 China 0 000 | a country "of Asia" in Asia;
00000030 03 n 0a a 0 b 0 c 0 d 0 e 0 f 0 g 0 h 0 i 0 china 1 000 | "only an example"
"""
INDEX_SENSE = """\
china%1:03:00:: 00000010 2 3
dinner_set%1:03:00:: 00000010 1 0
china%1:15:00:: 00000020 1 40
china%1:03:02:: 00000030 3 5
china%2:03:02:: 00000030 3 900
""" + "".join(f"{letter}%1:03:00:: 00000030 1 0\n" for letter in "abcdefghi")


@pytest.fixture(scope="module")
def script():
    path = ROOT / "data" / "build_nouns.py"
    spec = importlib.util.spec_from_file_location("build_nouns", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def wordnet(tmp_path):
    (tmp_path / "data.noun").write_text(DATA_NOUN)
    (tmp_path / "index.sense").write_text(INDEX_SENSE)
    return tmp_path


@pytest.fixture
def unread():
    def forget():
        words._listed.cache_clear()
        words._nouns.cache_clear()
        words._by_frequency.cache_clear()

    forget()
    yield
    forget()


def rows_of(name):
    content = lzma.decompress((embedded_data() / name).read_bytes()).decode()
    return list(csv.reader(io.StringIO(content, newline="")))[1:]


def test_the_nouns_are_those_of_tac_each_once_and_in_their_order():
    found = nouns()
    assert all(word and word == word.strip() for word in found)
    assert len(found) == len(set(found)) == N_NOUNS
    assert found[:4] == ["entity", "physical_entity", "abstraction", "abstract_entity"]
    assert {"nan", "null", "9/11", "Sep_11"} <= set(found)
    rows = [word for word, _ in rows_of("wordnet_nouns.csv.xz")]
    assert len(rows) == 146347
    seen = {}
    for place, word in enumerate(rows):
        seen.setdefault(word, place)
    assert [seen[word] for word in found] == sorted(seen.values())


def test_a_changed_answer_changes_no_later_one():
    nouns().clear()
    nouns(3).clear()
    assert len(nouns()) == N_NOUNS
    assert len(nouns(3)) == 3


def test_the_most_frequent_nouns_come_first_and_ties_in_the_order_of_the_file():
    counts = {word: int(count) for word, count in rows_of("wordnet_noun_counts.csv.xz")}
    assert len(counts) == 11916
    place = {word: row for row, word in enumerate(nouns())}
    found = nouns(8000)
    assert found[:5] == ["person", "group", "man", "location", "time"]
    for first, second in zip(found, found[1:], strict=False):
        assert (-counts[first], place[first]) < (-counts[second], place[second])
    least = counts[found[-1]]
    left_out = set(counts) - set(found)
    assert all(counts[word] <= least for word in left_out)


def test_fewer_nouns_are_the_first_of_more_and_untagged_ones_come_last():
    everything = nouns(N_NOUNS)
    assert nouns(100) == everything[:100]
    assert sorted(everything) == sorted(nouns())
    tagged = {word for word, _ in rows_of("wordnet_noun_counts.csv.xz")}
    assert set(everything[: len(tagged)]) == tagged


@pytest.mark.parametrize(
    "value", [0, -1, 2.5, float("nan"), float("inf"), True, N_NOUNS + 1, "8000"]
)
def test_a_bad_number_of_nouns_is_named(value):
    with pytest.raises(ValueError, match="most_frequent="):
        nouns(value)


def test_tac_has_a_row_a_noun_and_synset_and_repeats_nouns():
    content = lzma.decompress((embedded_data() / "wordnet_nouns.csv.xz").read_bytes())
    table = list(csv.reader(io.StringIO(content.decode())))[1:]
    rows = nouns(rows="tac")
    assert rows == [word for word, _ in table]
    assert len(rows) == 146_347
    assert len(set(rows)) == N_NOUNS
    # As counted in the authors' file.
    assert rows.count("head") == 33
    assert sum(n >= 5 for n in Counter(rows).values()) == 1418
    few = nouns(most_frequent=50, rows="tac")
    assert list(dict.fromkeys(few)) == nouns(most_frequent=50)
    assert all(few.count(word) == rows.count(word) for word in set(few))


def test_sic_has_the_first_noun_of_each_synset_but_the_first():
    content = lzma.decompress((embedded_data() / "wordnet_nouns.csv.xz").read_bytes())
    expected, before = [], None
    for word, definition in list(csv.reader(io.StringIO(content.decode())))[1:]:
        if definition != before:
            expected.append(word)
        before = definition
    assert expected[0] == "entity"
    rows = nouns(rows="sic")
    assert rows == expected[1:]
    # Of 82,113: neighbouring synsets with one definition cannot be told apart.
    assert len(rows) == 81_908
    assert set(nouns(most_frequent=50, rows="sic")) <= set(rows)
    with pytest.raises(ValueError, match="rows='first' is unknown"):
        nouns(rows="first")


def test_a_bank_repeats_its_nouns_as_the_authors_do_and_keeps_other_texts_once():
    features = np.arange(8, dtype=np.float32).reshape(4, 2) + 1
    bank = TextBank(("physical entity", "head", "no noun of any kind", "bow-wow"), features)
    listed = nouns(rows="tac")
    times = [1, 33, 1, listed.count("bow-wow")]
    tac = noun_rows(bank, "tac")
    assert times[3] > 1
    assert list(Counter(tac.texts).values()) == times
    assert np.array_equal(tac.features, np.repeat(features, times, axis=0))
    assert noun_rows(bank, "unique").texts == bank.texts
    assert noun_rows(bank, "sic").texts.count("head") == nouns(rows="sic").count("head") > 1


@pytest.mark.usefixtures("unread")
def test_damaged_nouns_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(words, "embedded_data", lambda: tmp_path)
    path = tmp_path / "wordnet_nouns.csv.xz"
    with pytest.raises(FileNotFoundError, match="ships with mvlib and is missing"):
        nouns()
    path.write_bytes(lzma.compress(b"word,definition\ncat,an animal\n"))
    with pytest.raises(ValueError, match="unpacks to sha256 .*: expected deff9dec"):
        nouns()
    path.write_bytes(b"no xz at all")
    with pytest.raises(ValueError, match="does not unpack"):
        nouns()


def test_the_licence_of_wordnet_ships_with_its_words():
    text = (embedded_data() / "WORDNET_LICENSE").read_text()
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in text
    assert "Permission to use, copy, modify and distribute" in text


def test_a_synset_gives_a_row_a_word_without_its_examples(script, wordnet):
    table = script.tables(wordnet)["wordnet_nouns.csv.xz"].decode()
    assert table.splitlines()[:4] == [
        "word,definition",
        "china,dishware",
        "dinner_set,dishware",
        "China,a country  in Asia",
    ]
    # The number of words is hexadecimal: 0a is ten.
    assert [line.split(",")[0] for line in table.splitlines()[4:]] == [*"abcdefghi", "china"]
    assert table.endswith("\nchina,\n")


def test_tags_count_by_spelling_over_noun_senses_only(script, wordnet):
    table = script.tables(wordnet)["wordnet_noun_counts.csv.xz"]
    assert table == b"word,count\nchina,8\nChina,40\n"


def test_the_licence_is_taken_without_its_line_numbers(script, wordnet):
    assert script.licence(wordnet) == "This is the licence,\n  of two lines.\n"


def test_another_wordnet_is_refused_and_nothing_is_written(script, wordnet, monkeypatch):
    monkeypatch.setattr("sys.argv", ["build_nouns.py", str(wordnet)])
    before = {path.name: path.stat().st_mtime_ns for path in embedded_data().iterdir()}
    with pytest.raises(SystemExit, match="unpacks to sha256 .*: expected deff9dec"):
        script.main()
    assert before == {p.name: p.stat().st_mtime_ns for p in embedded_data().iterdir()}


def test_there_are_seven_prompts_with_one_place_each():
    assert len(set(PROMPTS)) == 7
    assert all(
        prompt.format("cat").count("cat") == prompt.count("{}") == 1 for prompt in PROMPTS
    )


def test_caption_files_are_pinned():
    files = text_sources()["flickr30k"].files
    assert len({file.file for file in files}) == len({file.sha256 for file in files}) == 15
    for file in files:
        assert len(file.sha256) == 64
        assert int(file.sha256, 16)
        commit = file.url.removeprefix("https://raw.githubusercontent.com/").split("/")[2]
        assert len(commit) == 40
        assert int(commit, 16)
        assert file.url.rsplit("/", 1)[1] == file.file.rsplit("/", 1)[1]


def packed(split, number, images):
    lines = (f"{split} image {image} caption {number} \n" for image in range(images))
    return gzip.compress("".join(lines).encode(), mtime=0)


@pytest.fixture
def flickr(tmp_path, monkeypatch):
    """Return the bytes of small caption files, by name, as the registry now pins them."""
    contents = {
        f"multi30k/{split}.{number}.en.gz": packed(split, number, images)
        for split, images in (("train", 3), ("val", 1), ("test_2016", 2))
        for number in range(1, 6)
    }
    pin(monkeypatch, contents)
    return contents


def pin(monkeypatch, contents):
    files = tuple(
        DataFile(name, hashlib.sha256(content).hexdigest(), len(content), f"http://x/{name}")
        for name, content in contents.items()
    )
    source = replace(text_sources()["flickr30k"], files=files)
    monkeypatch.setitem(text_sources(), "flickr30k", source)


def put(folder, contents):
    (folder / "multi30k").mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def test_captions_come_image_by_image_split_by_split(flickr, tmp_path):
    put(tmp_path, flickr)
    found = captions("flickr30k")
    assert len(found) == 30
    assert found[:6] == [
        *(f"train image 0 caption {number}" for number in range(1, 6)),
        "train image 1 caption 1",
    ]
    assert found[15] == "val image 0 caption 1"
    assert found[20] == "test_2016 image 0 caption 1"
    assert found[::5] == [text for text in found if text.endswith("caption 1")]


def test_captions_that_are_not_there_say_where_they_go(flickr, tmp_path):
    put(tmp_path, flickr)
    missing = tmp_path / "multi30k" / "val.2.en.gz"
    missing.unlink()
    with pytest.raises(FileNotFoundError, match=r"Flickr30k.*val\.2\.en\.gz") as failure:
        captions("flickr30k")
    assert str(missing) in str(failure.value)
    assert "http://x/multi30k/val.2.en.gz" in str(failure.value)


def test_captions_are_fetched_to_the_folder_of_the_manifest(flickr, tmp_path, monkeypatch):
    import pooch

    asked = []

    def retrieve(url, known_hash, fname, path, downloader):
        content = flickr[url.removeprefix("http://x/")]
        assert known_hash == f"sha256:{hashlib.sha256(content).hexdigest()}"
        asked.append(url)
        Path(path).mkdir(exist_ok=True)
        (Path(path) / fname).write_bytes(content)

    monkeypatch.setenv("MVLIB_OFFLINE", "0")
    monkeypatch.setattr(pooch, "retrieve", retrieve)
    first = captions("flickr30k")
    assert len(asked) == 15
    assert sorted(path.name for path in (tmp_path / "multi30k").iterdir()) == sorted(
        Path(name).name for name in flickr
    )
    assert captions("flickr30k") == first
    assert len(asked) == 15


def test_damaged_captions_are_refused(flickr, tmp_path):
    put(tmp_path, flickr | {"multi30k/val.2.en.gz": packed("val", 3, 1)})
    with pytest.raises(ValueError, match=r"val\.2\.en\.gz has sha256"):
        captions("flickr30k")


def test_caption_files_of_different_lengths_are_refused(flickr, tmp_path, monkeypatch):
    uneven = flickr | {"multi30k/val.2.en.gz": packed("val", 2, 2)}
    pin(monkeypatch, uneven)
    put(tmp_path, uneven)
    with pytest.raises(ValueError, match=r"val have \[1, 2, 1, 1, 1\] lines"):
        captions("flickr30k")


@pytest.mark.parametrize("name", ["flickr30", "Flickr30K"])
def test_an_unknown_caption_set_is_refused_with_the_nearest(name):
    with pytest.raises(ValueError, match="Did you mean 'flickr30k'"):
        captions(name)


def test_the_captions_of_drawings_are_those_outside_the_evaluation_set():
    found = captions()
    assert found == captions("openclipart") == list(openclipart_pairs().captions)
    assert len(found) > 2000
    assert all(text.strip() for text in found)
