"""Images are found by words and by example; copies, bursts and odd ones are told."""

import json

import numpy as np
import pytest
from PIL import Image
from report_stand_ins import ColourEncoder, cluster_patches, write_patches

from mvlib import encoders
from mvlib.cli import main
from mvlib.encoders import TextBank
from mvlib.report import search_folder
from mvlib.report.curate.features import Known
from mvlib.report.curate.find import Repeat, findings


@pytest.fixture
def folder(tmp_path):
    write_patches(tmp_path / "images", (4, 3, 2))
    return tmp_path / "images"


def known(features, digests=None, hashes=None, taken=None):
    n = len(features)
    return Known(
        tuple(digests or map(str, range(n))),
        np.float32(features),
        np.array(hashes if hashes is not None else range(n), np.uint64) * 0x0101010101010101,
        np.arange(n, 0, -1, dtype=np.float32),
        np.float64(taken if taken is not None else [-1] * n),
    )


def found(**given):
    some, words = known(**given), TextBank(("x", "y"), np.eye(2, 4, dtype=np.float32))
    return findings(some, some.features, some.features, words)


def test_copies_near_copies_and_bursts_are_told_apart_and_the_sharpest_is_proposed():
    generator = np.random.default_rng(0)
    base = np.repeat(np.eye(4), [3, 2, 2, 5], axis=0)
    features = base + generator.normal(0, 0.01, base.shape)
    features[7:] = generator.normal(size=(5, 4))
    digests = ["a", "a", "a", *"bcdefghij"[:9]]
    # Bits that differ: none within the first two sets, many within the third.
    hashes = [0, 0, 0, 1, 1, 2, 253, *range(100, 105)]
    taken = [-1] * 5 + [1000, 1002] + [5000 * k for k in range(5)]
    repeats = found(features=features, digests=digests, hashes=hashes, taken=taken).repeats
    assert repeats == (
        Repeat("copies", (0, 1, 2), 0),
        Repeat("near copies", (3, 4), 3),
        Repeat("burst", (5, 6), 5),
    )


def test_photos_without_a_time_and_flat_ones_that_differ_are_no_repeats():
    features = np.eye(4)
    assert found(features=features, hashes=[0] * 4).repeats == ()
    alike = np.tile([1.0, 0.2, 0, 0], (2, 1))
    assert found(features=alike, hashes=[0, 255]).repeats == ()
    assert len(found(features=alike, hashes=[0, 255], taken=[1, 2]).repeats) == 1


def test_an_image_unlike_all_others_is_odd_and_a_lone_image_is_not():
    generator = np.random.default_rng(1)
    features = np.eye(4)[np.repeat([0, 1], 12)] + generator.normal(0, 0.05, (24, 4))
    features = np.vstack([features, [0, 0, 0, 1]])
    assert found(features=features).odd == (24,)
    assert found(features=[[1, 0, 0, 0]]).odd == ()


def test_the_nearest_words_and_images_are_those_of_the_largest_cosine():
    features = np.float32([[1, 0, 0, 0], [0.9, 0.1, 0, 0], [0, 1, 0, 0], [0.1, 0.9, 0, 0]])
    result = found(features=features)
    assert [words[0] for words in result.words] == ["x", "x", "y", "y"]
    assert result.neighbours[:, 0].tolist() == [1, 0, 3, 2]
    assert all(row not in near for row, near in enumerate(result.neighbours.tolist()))


def test_many_copies_of_one_image_do_not_have_themselves_as_neighbours():
    result = found(features=np.ones((12, 4)), digests=["a"] * 12)
    assert result.neighbours.shape == (12, 8)
    assert all(row not in near for row, near in enumerate(result.neighbours.tolist()))
    assert result.repeats == (Repeat("copies", tuple(range(12)), 0),)


def test_a_search_by_words_or_by_example_puts_what_fits_first(folder, tmp_path):
    names = [file for file, _ in search_folder(folder, "blue", encoder=ColourEncoder(), n=3)]
    assert set(names[:2]) == {"blue0.png", "blue1.png"}
    assert len(names) == 3
    Image.new("RGB", (30, 30), (30, 200, 40)).save(tmp_path / "query.png")
    found = search_folder(folder, like=tmp_path / "query.png", encoder=ColourEncoder())
    assert {file for file, _ in found[:3]} == {"green0.png", "green1.png", "green2.png"}
    cosines = [cosine for _, cosine in found]
    assert cosines == sorted(cosines, reverse=True)
    assert len(found) == 9


def test_the_command_searches_and_tells_mistakes_in_one_line(folder, monkeypatch, capsys):
    monkeypatch.setattr(encoders, "load", lambda name, **_: ColourEncoder(), raising=False)
    assert main(["search", str(folder), "red thing", "-n", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all("  red" in line for line in lines)
    (folder / "red0.png").rename(folder / "red\x1b[31m\r.png")
    assert main(["search", str(folder), "red", "-n", "9"]) == 0
    said = capsys.readouterr().out
    assert "red\\x1b[31m\\r.png" in said
    assert said.replace("\n", "").isprintable()
    for arguments, words in (
        ([str(folder)], "expected one of them"),
        ([str(folder), "a", "--like", "b.png"], "expected one of them"),
        ([str(folder), "a", "-n", "0"], "-n '0'"),
        ([str(folder), "--like", str(folder / "none.png")], "cannot be read"),
        ([str(folder / "none"), "a"], "cannot be read"),
    ):
        assert main(["search", *arguments]) == 2
        said = capsys.readouterr().err
        assert words in said
        assert said.count("\n") == 1


def test_copies_are_told_in_the_json_and_count_once_in_clustering(folder, tmp_path):
    for number in range(5):
        copy = folder / f"blue-copy{number}.png"
        copy.write_bytes((folder / "blue0.png").read_bytes())
    plain = cluster_patches(folder, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "groups.json").read_text(encoding="utf-8"))
    (copies,) = [each for each in content["repeats"] if len(each["files"]) == 6]
    assert copies["kind"] == "copies"
    assert plain.sizes.tolist() == [7, 4, 3]
    labels = dict(zip(plain.files, plain.labels, strict=True))
    assert {labels[file] for file in copies["files"]} == {0}
