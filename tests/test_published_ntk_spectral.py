"""What is quoted of the paper stands in its file, each number with what is known of it."""

import pytest

from mvlib.records import load_published

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
def rows():
    return load_published("ntk_spectral")


def test_each_number_is_the_one_that_is_quoted_and_there_are_no_others(rows):
    found = {}
    for row in rows:
        encoder = row["setting"]["encoder"].removeprefix("openclip:").removesuffix("/openai")
        if row["metric"] == "acc":
            found.setdefault((encoder, row["method"]), {})[row["dataset"]] = row["value"]
    assert found == QUOTED
    (other,) = [row for row in rows if row["metric"] != "acc"]
    assert (other["dataset"], other["metric"], other["value"]) == ("imagenet-dogs", "nmi", 82.4)


def test_the_mean_that_is_quoted_beside_three_of_them_agrees(rows):
    values = [
        row["value"]
        for row in rows
        if row["method"] == "NTK" and "as 58.7" in row["caveat"] and row["metric"] == "acc"
    ]
    assert len(values) == 3
    assert sum(values) / 3 == pytest.approx(58.7, abs=0.05)


def test_all_are_at_second_hand_and_need_clips_weights(rows):
    for row in rows:
        assert (row["source"], row["needs"], row["rule"]) == (
            "secondary", "CLIP weights", "last",
        )  # fmt: skip
        assert row["comparable"]
        assert "Not seen in the paper" in row["caveat"]
        assert row["table"] == row["setting"]["encoder"].split(":")[1].split("/")[0].lower()
