import csv
import gzip
import importlib.util
import io
import lzma
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from image_stand_ins import sha256
from refusals import refuses

from mvlib.data import PROMPTS, DataFile, captions, noun_kinds, nouns, openclipart_pairs, words
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


ROWS = rows_of("wordnet_nouns.csv.xz")
COUNTS = {word: int(count) for word, count in rows_of("wordnet_noun_counts.csv.xz")}


def test_the_nouns_are_those_of_tac_each_once_and_in_their_order():
    found = nouns()
    assert found == list(dict.fromkeys(word for word, _ in ROWS))
    assert all(word and word == word.strip() for word in found)
    assert (len(ROWS), len(found)) == (146_347, N_NOUNS)
    assert found[:4] == ["entity", "physical_entity", "abstraction", "abstract_entity"]
    assert {"nan", "null", "9/11", "Sep_11"} <= set(found)
    # A changed answer changes no later one.
    nouns().clear()
    nouns(3).clear()
    assert (len(nouns()), len(nouns(3))) == (N_NOUNS, 3)


def test_the_most_frequent_nouns_come_first_ties_in_the_files_order_and_untagged_last():
    assert len(COUNTS) == 11916
    everything = nouns(N_NOUNS)
    assert everything == sorted(nouns(), key=lambda word: -COUNTS.get(word, 0))
    assert everything[:5] == ["person", "group", "man", "location", "time"]
    assert set(everything[: len(COUNTS)]) == set(COUNTS)
    for most in (100, 8000):
        assert nouns(most) == everything[:most]


test_a_bad_number_or_kind_of_nouns_is_named = refuses(
    nouns,
    *(
        ({"most_frequent": value}, "most_frequent=")
        for value in (0, 2.5, float("nan"), float("inf"), True, N_NOUNS + 1, "8000")
    ),
    ({"rows": "first"}, "rows='first' is unknown"),
)


def test_tac_has_a_row_a_noun_and_synset_and_repeats_nouns():
    rows = nouns(rows="tac")
    assert rows == [word for word, _ in ROWS]
    # As counted in the authors' file.
    assert rows.count("head") == 33
    assert sum(n >= 5 for n in Counter(rows).values()) == 1418
    few = nouns(most_frequent=50, rows="tac")
    assert list(dict.fromkeys(few)) == nouns(most_frequent=50)
    assert all(few.count(word) == rows.count(word) for word in set(few))


def test_sic_has_the_first_noun_of_each_synset_but_the_first():
    before = [None, *(definition for _, definition in ROWS)]
    expected = [word for (word, now), last in zip(ROWS, before, strict=False) if now != last]
    rows = nouns(rows="sic")
    assert (expected[0], expected[1:]) == ("entity", rows)
    # Of 82,113: neighbouring synsets with one definition cannot be told apart.
    assert len(rows) == 81_908
    assert set(nouns(most_frequent=50, rows="sic")) <= set(rows)


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


def test_the_tables_have_a_row_a_word_without_examples_and_tags_by_spelling(script, wordnet):
    words, counts, kinds = script.tables(wordnet).values()
    assert words.decode().splitlines() == [
        "word,definition", "china,dishware", "dinner_set,dishware", "China,a country  in Asia",
        # The number of words is hexadecimal: 0a is ten.
        *(f"{letter}," for letter in "abcdefghi"), "china,",
    ]  # fmt: skip
    # Of noun senses only.
    assert counts == b"word,count\nchina,8\nChina,40\n"
    assert kinds == b"kinds\n" + b"o" * 12 + b"\n"
    assert script.licence(wordnet) == "This is the licence,\n  of two lines.\n"


def test_kinds_come_from_the_synsets_above_and_from_what_wordnet_says_of_a_word(
    script, tmp_path
):
    tree = {
        1: ("physical_entity", 0, ""), 2: ("person", 1, "a human being"),
        3: ("animal", 1, "a living organism characterized by movement"),
        4: ("bad_person", 2, "a person who does harm"), 5: ("nurse", 2, "cares for the sick"),
        6: ("rogue", 4, ""), 7: ("ape", 3, ""), 8: ("cup", 1, ""), 9: ("idea", 0, ""),
        10: ("darling", 2, "(ethnic slur) offensive term for somebody"), 11: ("boy", 6, ""),
        12: ("cup", 6, ""), 13: ("idea", 6, ""), 14: ("crook", 8, ""),
    }  # fmt: skip
    lines, senses = [], []
    for number, (word, above, gloss) in tree.items():
        pointer = f"001 @ {above:08} n 0000" if above else "000"
        lines.append(f"{number:08} 03 n 01 {word} 0 {pointer} | {gloss}\n")
        senses.append(f"{word}%1:03:00:: {number:08} {2 if number in (12, 13) else 1} 0\n")
    (tmp_path / "data.noun").write_text("".join(lines))
    (tmp_path / "index.sense").write_text("".join(senses))
    asked = ["nurse", "rogue", "ape", "cup", "idea", "darling", "boy", "person", "crook"]
    # A thing that is an insult besides stays a thing; an idea that is one does not.
    assert script.kinds(tmp_path, asked) == "piatiipPi"


def test_no_insult_is_left_among_the_frequent_nouns_that_a_bank_takes():
    kinds = noun_kinds()
    assert list(kinds) == nouns()
    worst = {"nigger", "whore", "half-breed", "savage", "idiot", "coon", "slob", "cripple"}
    assert {kinds[word] for word in worst & set(nouns(8000))} == {"insult"}
    assert [kinds[w] for w in ("dog", "cup", "nurse", "people", "idea", "boy")] == [
        "animal", "thing", "person", "people", "other", "person",
    ]  # fmt: skip
    assert sum(kind == "insult" for kind in map(kinds.get, nouns(8000))) > 100


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
        DataFile(name, sha256(content), len(content), f"http://x/{name}")
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
    assert captions("flickr30k") == [
        f"{split} image {image} caption {number}"
        for split, images in (("train", 3), ("val", 1), ("test_2016", 2))
        for image in range(images)
        for number in range(1, 6)
    ]


def test_missing_damaged_uneven_and_unknown_captions_are_refused(flickr, tmp_path, monkeypatch):
    name = "multi30k/val.2.en.gz"
    put(tmp_path, flickr | {name: packed("val", 3, 1)})
    with pytest.raises(ValueError, match=r"val\.2\.en\.gz has sha256"):
        captions("flickr30k")
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=r"Flickr30k.*val\.2\.en\.gz") as failure:
        captions("flickr30k")
    for part in (tmp_path / name, f"http://x/{name}"):
        assert str(part) in str(failure.value)
    uneven = flickr | {name: packed("val", 2, 2)}
    pin(monkeypatch, uneven)
    put(tmp_path, uneven)
    with pytest.raises(ValueError, match=r"val have \[1, 2, 1, 1, 1\] lines"):
        captions("flickr30k")
    for unknown in ("flickr30", "Flickr30K"):
        with pytest.raises(ValueError, match="Did you mean 'flickr30k'"):
            captions(unknown)


def test_captions_are_fetched_once_to_the_folder_of_the_manifest(flickr, tmp_path, monkeypatch):
    import pooch

    asked = []

    def retrieve(url, known_hash, fname, path, downloader):
        content = flickr[url.removeprefix("http://x/")]
        assert known_hash == f"sha256:{sha256(content)}"
        asked.append(url)
        Path(path).mkdir(exist_ok=True)
        (Path(path) / fname).write_bytes(content)

    monkeypatch.setenv("MVLIB_OFFLINE", "0")
    monkeypatch.setattr(pooch, "retrieve", retrieve)
    assert captions("flickr30k") == captions("flickr30k")
    assert len(asked) == 15
    assert {f"multi30k/{p.name}" for p in (tmp_path / "multi30k").iterdir()} == set(flickr)


def test_the_captions_of_drawings_are_those_outside_the_evaluation_set():
    found = captions()
    assert found == captions("openclipart") == list(openclipart_pairs().captions)
    assert len(found) > 2000
    assert all(text.strip() for text in found)
