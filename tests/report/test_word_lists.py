"""Words to name groups by: of any kind of file, and none that insults or judges people."""

import numpy as np
import pytest
from report_stand_ins import ColourEncoder

from mvlib.data import noun_kinds
from mvlib.report.word_lists import given_texts, kinds_of, text_banks

TABLE = "id,Word\n1,cat\n2,dog\n3,house\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.txt", b"cat\n dog \n\nhouse\ncat\n"),
        ("mark.txt", "cat\ndog\nhouse".encode("utf-8-sig")),
        ("wide.txt", "cat\r\ndog\r\nhouse\r\n".encode("utf-16")),
        ("none", b"cat\ndog\nhouse"),
        ("table.csv", TABLE.encode()),
        ("mark.csv", "Word,id\ncat,1\ndog,2\nhouse,3\n".encode("utf-8-sig")),
        ("table.tsv", TABLE.replace(",", "\t").encode()),
        ("semicolons.csv", TABLE.replace(",", ";").encode()),
        ("column.csv", b'cat\n"dog"\nhouse\n'),
    ],
)
def test_a_list_of_any_kind_is_used(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert given_texts(tmp_path / name, "words", fewest=2) == ("cat", "dog", "house")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", b'["cat"]', "of a kind that is not read"),
        ("a.txt", b"cat\nred\x1b[31m\n", "control characters"),
        ("a.txt", b"cat\n" + b"w" * 3000, "3000 characters"),
        ("a.txt", b"cat\n", "holds 1 text"),
        ("a.csv", b"id;what\n1;cat\n", "columns 'id', 'what'"),
        ("a.csv", b"id,what\n1,cat\n", "columns 'id', 'what'"),
        ("a.txt", b"caf\xe9\n", "not UTF-8"),
        ("a.csv", b"", "no text"),
    ],
)
def test_a_list_that_is_not_used_is_refused_in_words_that_a_terminal_can_show(
    tmp_path, name, content, said
):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=said) as refused:
        given_texts(tmp_path / name, "words", fewest=2)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 500


def test_the_shipped_words_name_neither_what_people_are_worth_nor_what_they_do():
    banks = text_banks(ColourEncoder(), (), (), method="kmeans", block=["Dog"])
    texts = banks["nouns"].texts
    assert len(texts) == len(banks["nouns"].features) > 2000
    assert {"person", "child", "cat", "cup"} <= set(texts)
    assert not {"dog", "nurse", "Sweden", "whore", "idiot", "Negro", "idea"} & set(texts)
    assert set(kinds_of(texts)) == {"thing", "animal", "people"}


def test_ones_own_words_are_taken_as_they_are_but_for_the_blocked():
    own = ("nurse", "red thing", "Sweden", "blue")
    banks = text_banks(ColourEncoder(), own, (), method="cae", block=["SWEDEN"])
    assert banks["nouns"].texts == ("nurse", "red thing", "blue")
    np.testing.assert_array_equal(
        banks["nouns"].features[2], ColourEncoder().encode_texts(["a photo of a blue."])[0]
    )
    with pytest.raises(ValueError, match="block leaves no word"):
        text_banks(ColourEncoder(), ("cat", "dog"), (), method="kmeans", block=["cat", "dog"])
    assert kinds_of(["dog", "no such noun"]) == ["animal", "other"]
    assert noun_kinds()["dog"] == "animal"
