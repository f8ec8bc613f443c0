"""What a person corrected holds: at once, in later runs, and with further images."""

import json

import numpy as np
import pytest
from report_stand_ins import cluster_patches, rows_of, write_patches

from mvlib.report.curate.edits import NONE


@pytest.fixture
def folder(tmp_path):
    write_patches(tmp_path / "images")
    return tmp_path / "images"


def write_edits(path, groups, none=()):
    rows = [
        {"name": name, "files": files} | ({"number": number} if number else {})
        for number, name, files in groups
    ]
    content = {"format": "mvlib edits 1", "groups": rows, "none": list(none)}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def members(result):
    """Return the files of each group by its name, in the order of the groups."""
    return {
        name: [file for file, k in zip(result.files, result.labels, strict=True) if k == group]
        for group, name in enumerate(result.names)
    }


def of(colour, *numbers):
    return [f"{colour}{number}.png" for number in numbers]


def test_renamed_moved_merged_split_and_set_aside_images_are_where_they_were_put(
    folder, tmp_path
):
    edits = write_edits(
        tmp_path / "edits.json",
        [
            (1, "warm", [*of("red", *range(6)), "green0.png"]),
            (2, "grass", of("green", 1, 2, 3)),
            (None, "trees", of("green", 4)),
        ],
        none=of("red", 7),
    )
    found = cluster_patches(folder)
    result = cluster_patches(folder, edits=edits)
    groups = members(result)
    assert list(groups) == ["warm", "grass", "blue", "trees", NONE]
    assert groups["warm"] == ["green0.png", *of("red", *range(7))]
    assert sorted(groups["trees"] + groups["grass"]) == of("green", *range(1, 6))
    assert groups["blue"] == members(found)["blue"]
    assert groups[NONE] == ["red7.png"]
    aside = result.files.index("red7.png")
    assert (result.confidence[aside], result.next_group[aside]) == (0, -1)
    assert not np.isin(result.next_group, [4]).any()
    assert result.groups[0].nouns == found.groups[0].nouns


def test_a_merged_group_takes_the_images_that_come_later(folder, tmp_path):
    both = [*of("green", *range(6)), *of("blue", *range(5))]
    edits = write_edits(tmp_path / "edits.json", [(2, "cool", both)])
    write_patches(folder, (8, 8, 7), seed=1)
    groups = members(cluster_patches(folder, edits=edits))
    assert list(groups) == ["red", "cool"]
    assert groups["cool"] == sorted([*of("green", *range(8)), *of("blue", *range(7))])


def test_a_few_moved_images_do_not_take_their_old_group_with_them(folder, tmp_path):
    edits = write_edits(tmp_path / "edits.json", [(3, "mine", of("red", 0, 1))])
    groups = members(cluster_patches(folder, edits=edits))
    assert list(groups) == ["red", "green", "mine", "blue"]
    assert groups["mine"] == of("red", 0, 1)
    assert groups["red"] == of("red", *range(2, 8))


def test_later_runs_keep_the_edits_until_they_are_told_not_to(folder, tmp_path):
    out = tmp_path / "out"
    edits = write_edits(tmp_path / "edits.json", [(1, "scarlet", of("red", *range(8)))])
    assert cluster_patches(folder, out, edits=edits).names[0] == "scarlet"
    edits.unlink()
    again = cluster_patches(folder, out)
    assert again.names == ("scarlet", "green", "blue")
    assert {row["cluster_name"] for row in rows_of(out)} == set(again.names)
    assert cluster_patches(folder, out, edits="none").names == ("red", "green", "blue")
    assert cluster_patches(folder, out, n_clusters=2).names[0] == "scarlet"


GOOD = {"format": "mvlib edits 1", "groups": [{"name": "a", "files": ["red0.png"]}], "none": []}
BAD = {
    "no format": ({"groups": [], "none": []}, "lacks format"),
    "another format": (GOOD | {"format": "mvlib edits 2"}, "format"),
    "a strange entry": (GOOD | {"moved": []}, "moved"),
    "a file in two groups": (GOOD | {"none": ["red0.png"]}, "in two places"),
    "a name that is none": (GOOD | {"groups": [{"name": "", "files": []}]}, "name"),
    "another folder": (GOOD | {"groups": [{"name": "a", "files": ["x"]}]}, "names none"),
}


@pytest.mark.parametrize("case", BAD)
def test_edits_that_do_not_fit_are_refused(case, folder, tmp_path):
    content, words = BAD[case]
    path = tmp_path / "edits.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=words):
        cluster_patches(folder, tmp_path / "out", edits=path)
    assert not (tmp_path / "out").exists()
