"""Each published cell has the class that is known of it, and no other."""

from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import pytest

from mvlib.book.placeholders import fill
from mvlib.check import check_schema
from mvlib.records import load_claims, load_published, published, published_text

SCHEMA = Path(published.__file__).parent / "schemas" / "published.schema.json"
FIRST = ("stl-10", "cifar-10", "cifar-20", "imagenet-10", "imagenet-dogs")
LAST = ("dtd", "ucf-101", "imagenet-1k")
# NMI/ACC/ARI over the eight sets, ViT-B/32, as the table was quoted or recalled.
TABLE = """
k-means of images | 91.7/94.3/89.1 70.3/74.2/61.6 49.9/45.5/28.3 96.9/98.2/96.1 39.8/38.1/20.1 57.3/42.6/27.4 79.5/58.2/47.6 72.3/38.9/27.1
SIC | 95.3/98.1/95.9 84.7/92.6/84.4 59.3/58.3/43.9 97.0/98.2/96.1 69.0/69.7/55.8 59.6/45.9/30.5 81.0/61.9/53.6 77.2/47.0/34.3
TAC, no training | 92.3/94.5/89.5 80.8/90.1/79.8 60.7/55.8/42.7 97.5/98.6/97.0 75.1/75.1/63.6 60.1/45.9/29.0 81.6/61.3/52.4 77.8/48.9/36.4
zero-shot | 93.9/97.1/93.7 80.7/90.0/79.3 55.3/58.3/39.8 95.8/97.6/94.9 73.5/72.8/58.2 56.5/43.1/26.9 79.9/63.4/50.2 81.0/63.6/45.4
TAC, trained | 95.5/98.2/96.1 83.3/91.9/83.1 61.1/60.7/44.8 98.5/99.2/98.3 78.1/82.4/73.4 62.1/50.1/34.4 82.3/68.7/60.1 79.9/58.2/43.5
"""  # noqa: E501
# DXMC's figure, NMI/ACC/ARI over the first five.
FIGURE = """
JULE | 18.2/27.7/16.4 19.2/27.2/13.8 10.3/13.7/3.3 17.5/30.0/13.8 5.4/13.8/2.8
IDFD | 64.3/75.6/57.5 71.1/81.5/66.3 42.6/42.5/26.4 89.8/95.4/90.1 54.6/59.1/41.3
SPICE | 81.7/90.8/81.2 73.4/83.8/70.5 44.8/46.8/29.4 82.8/92.1/83.6 57.2/64.6/47.9
DXMC | 95.8/98.3/96.7 84.7/92.8/84.9 63.4/63.3/48.4 98.2/99.4/98.6 79.1/86.1/75.0
"""


@pytest.fixture(scope="module")
def rows():
    return load_published("cae")


def cells(text, sets):
    for line in text.strip().splitlines():
        method, values = line.split(" | ")
        for dataset, triple in zip(sets, values.split(), strict=True):
            for metric, value in zip(("nmi", "acc", "ari"), triple.split("/"), strict=True):
                yield (method, dataset, metric), float(value)


def test_of_tacs_family_only_the_first_five_sets_of_three_rows_were_quoted(rows):
    family = [row for row in rows if row["table"] == "vit-b-32" and row["method"] != "CAE"]
    for row in family:
        quoted = row["dataset"] in FIRST and row["method"] in (
            "k-means of images", "SIC", "TAC, trained",
        )  # fmt: skip
        assert row["source"] == ("secondary" if quoted else "recalled"), row["id"]
        assert ("Never seen in TAC's own table" in row["caveat"]) != quoted
    found = {
        (row["method"], row["dataset"], row["metric"]): row["value"]
        for row in family
        if row["value"] != 80.6
    }
    assert found == dict(cells(TABLE, FIRST + LAST))


def test_dogs_of_the_trained_tac_is_dxmcs_run_and_tacs_own_nmi_stands_beside_it(rows):
    dogs = [r for r in rows if r["method"] == "TAC, trained" and r["dataset"] == FIRST[-1]]
    theirs = {row["metric"]: row["value"] for row in dogs if "DXMC's own run" in row["caveat"]}
    assert theirs == {"nmi": 78.1, "acc": 82.4, "ari": 73.4}
    (own,) = [row for row in dogs if "DXMC's own run" not in row["caveat"]]
    assert (own["metric"], own["value"], own["source"]) == ("nmi", 80.6, "secondary")
    # No other cell is stated twice in a table.
    names = ("table", "method", "dataset", "metric")
    counts = Counter((*(row[name] for name in names), *row["setting"].items()) for row in rows)
    assert [(*cell[1:4], n) for cell, n in counts.items() if n > 1] == [
        ("TAC, trained", "imagenet-dogs", "nmi", 2)
    ]
    page = fill("<!-- mvlib: published_by_set cae nmi vit-b-32 -->", ".")
    assert "78.1 or 80.6" in page


def test_the_figure_of_dxmc_is_of_class_code_and_compares_with_nothing_here(rows):
    figure = {
        (row["method"], row["dataset"], row["metric"]): row
        for row in rows
        if row["id"].startswith("dxmc") and row["method"] != "TAC, trained"
    }
    for cell, value in cells(FIGURE, FIRST):
        assert figure[cell]["value"] == value
    assert len({method for method, _, _ in figure}) == 14
    for row in figure.values():
        assert row["source"] == "code"
        assert not row["comparable"]
        assert "not implemented here" in row["reason"]


def test_caes_number_is_the_sum_of_tacs_and_the_gain_and_says_so(rows):
    sums = {row["metric"]: row for row in rows if row["addends"]}
    assert {row["id"] for row in sums.values()} == {"cae-imagenet-1k"}
    tac = {row["metric"]: row for row in rows if row["id"] == "tac-imagenet-1k"}
    for metric, gain in (("acc", 4.2), ("ari", 2.9)):
        assert sums[metric]["addends"] == [tac[metric]["value"], gain]
        assert sums[metric]["value"] == pytest.approx(sum(sums[metric]["addends"]))
        assert sums[metric]["source"] == tac[metric]["source"]
    assert published_text(sums["acc"]) == "53.1 (48.9 + 4.2)"
    assert published_text(tac["acc"]) == "48.9"


SHARED = {
    "table": "t", "id": "a", "method": "A", "setting": {}, "rule": "last", "digits": 1,
    "source": "recalled", "where": "w", "caveat": "", "comparable": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ({"cells": {"wiki": {"acc": 1.0}}}, True),
        ({"dataset": "wiki", "values": {"acc": 1.0}}, True),
        ({"dataset": "wiki", "cells": {"wiki": {"acc": 1.0}}}, False),
        ({"dataset": "wiki"}, False),
        ({"cells": {}}, False),
        ({"cells": {"wiki": {"hearsay": 1.0}}}, False),
    ],
)
def test_a_row_is_of_one_set_or_of_several_and_not_both(given, right):
    content = {"paper": "toy", "row": [SHARED | given]}
    with nullcontext() if right else pytest.raises(ValueError, match="row"):
        check_schema("toy", content, SCHEMA)


QUOTED = {
    ("ViT-B-32", "NTK"): {
        "stl-10": 98.3, "cifar-10": 92.0, "imagenet-dogs": 84.9, "dtd": 52.0,
        "ucf-101": 67.9, "imagenet-1k": 56.3,
    },
    ("ViT-B-32", "TAC features, spectral"): {
        "stl-10": 94.3, "cifar-10": 90.3, "imagenet-dogs": 75.8, "dtd": 44.0,
        "ucf-101": 60.0, "imagenet-1k": 49.1,
    },
    ("ViT-B-16", "NTK"): {"stl-10": 99.0, "dtd": 55.8},
    ("ViT-L-14", "NTK"): {"stl-10": 99.5, "cifar-10": 96.6},
}  # fmt: skip


@pytest.fixture(scope="module")
def ntk_rows():
    return load_published("ntk_spectral")


def test_each_number_is_the_one_that_is_quoted_and_there_are_no_others(ntk_rows):
    found = {}
    for row in ntk_rows:
        encoder = row["setting"]["encoder"].removeprefix("openclip:").removesuffix("/openai")
        if row["metric"] == "acc":
            found.setdefault((encoder, row["method"]), {})[row["dataset"]] = row["value"]
    assert found == QUOTED
    (other,) = [row for row in ntk_rows if row["metric"] != "acc"]
    assert (other["dataset"], other["metric"], other["value"]) == ("imagenet-dogs", "nmi", 82.4)


def test_all_are_at_second_hand_need_clips_weights_and_agree_with_their_quoted_mean(ntk_rows):
    values = [
        row["value"]
        for row in ntk_rows
        if row["method"] == "NTK" and "as 58.7" in row["caveat"] and row["metric"] == "acc"
    ]
    assert (len(values), sum(values) / 3) == (3, pytest.approx(58.7, abs=0.05))
    for row in ntk_rows:
        assert (row["source"], row["needs"], row["rule"]) == (
            "secondary", "CLIP weights", "last",
        )  # fmt: skip
        assert row["comparable"]
        assert "Not seen in the paper" in row["caveat"]
        assert row["table"] == row["setting"]["encoder"].split(":")[1].split("/")[0].lower()


def test_the_sentences_of_a_paper_stand_beside_its_numbers(tmp_path):
    path = tmp_path / "notebooks" / "toy" / "published.toml"
    path.parent.mkdir(parents=True)
    claim = {"text": "better", "unit": "points", "source": "abstract", "where": "abstract"}
    lines = [f'{name} = "{text}"' for name, text in claim.items()]
    own = ["value = 2.5", 'unknown = ["the data set"]']
    path.write_text("\n".join(['paper = "toy"', "[[claim]]", *lines, *own]))
    claim |= {"value": 2.5, "unknown": ["the data set"]}
    assert load_claims("toy", tmp_path) == [claim]
