"""Sets of pairs: their cards, and their loaders on small trees of each layout."""

import json

import numpy as np
import pytest
from pair_trees import TREES, put_tree

from mvlib.data import all_names, describe, fetch, is_at_hand, load_pairs, openclipart_pairs


@pytest.fixture
def put(folder, monkeypatch):
    return lambda name, **more: put_tree(folder, monkeypatch, name, **more)


@pytest.fixture
def proteins(folder):
    """Write two arrays of five proteins, and return their folder and the arrays."""
    generator = np.random.default_rng(0)
    arrays = {"sequence": generator.normal(size=(5, 4)), "structure": np.arange(15.0)}
    arrays["structure"] = arrays["structure"].reshape(5, 3).astype(np.float32)
    (folder / "proteins").mkdir()
    for name, array in arrays.items():
        np.save(folder / "proteins" / f"{name}.npy", array)
    return folder / "proteins", arrays


def rewrite(path, change):
    content = json.loads(path.read_text())
    change(content["images"])
    path.write_text(json.dumps(content))


def test_sizes_are_those_that_are_known():
    sums = {name: sum(describe(name).n_samples.values()) for name in all_names("pairs")}
    assert sums == {
        "openclipart-pairs": 2585,
        "flickr30k": 31014,
        "coco-captions": 123287,
        "rsicd": 10921,
        "ucm-captions": 2100,
        "sydney-captions": 613,
        "remote-sensing": 10921 + 2100 + 613,
        "proteins": 0,
    }
    together = describe("remote-sensing")
    for split, n in together.n_samples.items():
        parts = together.layout["parts"]
        assert n == sum(describe(part).n_samples[split] for part in parts)


@pytest.mark.parametrize("name", TREES)
def test_images_captions_and_splits_keep_the_order_of_the_file(put, folder, name):
    assert not is_at_hand(name)
    put(name)
    assert is_at_hand(name)
    assert fetch(name) == [folder / describe(name).files[0].file]
    for split in (None, *describe(name).n_samples):
        found = load_pairs(name, split)
        rows = [i for i, each in enumerate(TREES[name][0]) if split in (None, each)]
        assert found.splits.tolist() == [TREES[name][0][i] for i in rows]
        assert [image.name for image in found.images] == [f"{name}_{i}.png" for i in rows]
        assert all(image.is_file() for image in found.images)
        assert found.n_samples == len(rows)
        expected = [tuple(f"{name} {i}, caption {k} ." for k in range(5)) for i in rows]
        assert list(found.captions) == expected
        assert (found.name, found.y, found.class_names) == (name, None, ())
    with pytest.raises(ValueError, match="split='tests' is unknown. Did you mean 'test'"):
        load_pairs(name, "tests")


def test_pictures_of_coco_lie_where_the_file_says_with_any_number_of_captions(put):
    path = put("coco-captions")
    rewrite(path, lambda images: images[1]["sentences"].append({"raw": "a sixth"}))
    found = load_pairs("coco-captions")
    assert [len(each) for each in found.captions] == [5, 6, 5, 5]
    parents = [image.parent.name for image in found.images]
    assert parents == ["train2014", "val2014", "val2014", "val2014"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images: images.pop(), r"dataset\.json: test has 0 images: expected 1"),
        (
            lambda images: images.append(images[0] | {"split": "tset"}),
            "has the split 'tset': expected train, val, test",
        ),
    ],
)
def test_other_numbers_of_images_or_splits_than_the_cards_are_an_error(put, change, message):
    rewrite(put("ucm-captions"), change)
    with pytest.raises(ValueError, match=message):
        load_pairs("ucm-captions", "train")


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: entry.pop("filename"),
        lambda entry: entry.pop("split"),
        lambda entry: entry.pop("sentences"),
        lambda entry: entry.update(sentences=5),
        lambda entry: entry.update(sentences=[{"tokens": ["a"]}]),
        lambda entry: entry["sentences"][2].update(raw=" "),
        lambda entry: entry["sentences"][2].update(raw=None),
        lambda entry: entry.update(sentences=[]),
        lambda entry: entry.update(filepath=None),
    ],
)
def test_an_entry_of_another_layout_is_named(put, damage):
    path = put("rsicd")
    rewrite(path, lambda images: damage(images[3]))
    with pytest.raises(ValueError, match=r"dataset_rsicd\.json: images\[3\]"):
        load_pairs("rsicd")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"images": []}', '{"images": {}}'])
def test_a_file_that_is_no_list_of_images_is_an_error(put, text):
    put("rsicd").write_text(text)
    with pytest.raises(ValueError, match=r"dataset_rsicd\.json (is no JSON|holds no list)"):
        load_pairs("rsicd")


def test_what_is_missing_is_named_with_the_way_to_get_it(put, folder):
    missing = r"flickr30k\.json is missing \(2 of 2 .*\)\. Ask"
    with pytest.raises(FileNotFoundError, match=missing):
        load_pairs("flickr30k")
    put("flickr30k")
    (folder / "flickr30k" / "flickr30k-images" / "flickr30k_2.png").unlink()
    assert load_pairs("flickr30k", "test").n_samples == 1
    with pytest.raises(FileNotFoundError, match=r"flickr30k_2\.png is missing"):
        load_pairs("flickr30k")


def test_the_sha256_follows_captions_and_sizes_of_images(put, folder):
    path = put("flickr30k")
    first = load_pairs("flickr30k").sha256
    assert load_pairs("flickr30k").sha256 == first
    rewrite(path, lambda images: images[0]["sentences"][0].update(raw="another"))
    second = load_pairs("flickr30k").sha256
    image = folder / "flickr30k" / "flickr30k-images" / "flickr30k_0.png"
    image.write_bytes(image.read_bytes() + b"\0")
    assert len({first, second, load_pairs("flickr30k").sha256}) == 3


def test_classes_come_from_lists_where_there_are_any(put, folder):
    put("rsicd")
    lists = folder / "rsicd" / "txtclasses_rsicd"
    lists.mkdir()
    (lists / "river.txt").write_text("rsicd_0.png\n\nrsicd_3.png\n")
    (lists / "airport.txt").write_text("rsicd_1.png \nrsicd_2.png\nrsicd_4.png\n")
    found = load_pairs("rsicd")
    assert found.class_names == ("airport", "river")
    np.testing.assert_array_equal(found.y, np.array([1, 0, 0, 1, 0]), strict=True)
    assert load_pairs("rsicd", "test").y.tolist() == [1, 0]
    for river, message in (
        ("rsicd_0.png", r"lists no class of 'rsicd_3\.png' \(1 of 5 images"),
        ("rsicd_1.png", r"'rsicd_1\.png' is listed as airport and river"),
    ):
        (lists / "river.txt").write_text(river)
        with pytest.raises(ValueError, match=message):
            load_pairs("rsicd")


def test_the_remote_sensing_sets_stand_one_after_the_other(put):
    parts = ["rsicd", "ucm-captions", "sydney-captions"]
    for part in parts:
        assert not is_at_hand("remote-sensing")
        put(part)
    assert is_at_hand("remote-sensing")
    found = load_pairs("remote-sensing")
    alone = [load_pairs(part) for part in parts]
    assert found.images == sum((part.images for part in alone), ())
    assert found.captions == sum((part.captions for part in alone), ())
    assert found.splits.tolist() == [s for part in alone for s in part.splits]
    assert load_pairs("remote-sensing", "val").n_samples == 3
    assert found.sha256 not in {part.sha256 for part in alone}


def test_the_shipped_features_are_a_row_a_caption():
    found = load_pairs("openclipart-pairs")
    assert [X.shape for X in found.Xs] == [(2585, 1280), (2585, 384)]
    assert {X.dtype for X in found.Xs} == {np.dtype(np.float32)}
    assert found.n_samples == len(openclipart_pairs())
    assert found.y is None
    np.testing.assert_allclose(np.linalg.norm(found.Xs[1], axis=1), 1, atol=2e-3)
    assert load_pairs("openclipart-pairs", "all").sha256 == found.sha256
    with pytest.raises(ValueError, match="split='train' is unknown"):
        load_pairs("openclipart-pairs", "train")


def test_arrays_of_a_user_are_read_row_by_row(proteins):
    where, arrays = proteins
    found = load_pairs("proteins")
    for X, array in zip(found.Xs, arrays.values(), strict=True):
        np.testing.assert_array_equal(X, array.astype(np.float32), strict=True)
    assert found.y is None
    np.save(where / "labels.npy", np.array(["kinase", "globin", "kinase", "globin", "lyase"]))
    labelled = load_pairs("proteins")
    assert labelled.y.tolist() == [1, 0, 1, 0, 2]
    assert labelled.sha256 != found.sha256


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("structure", np.zeros((4, 3)), r"different lengths \[5, 4\]"),
        ("structure", np.zeros(5), r"structure\.npy\[0\] has shape \(5,\)"),
        ("structure", np.full((5, 2), np.nan), r"structure\.npy\[0\] holds nan"),
        ("sequence", np.full((5, 2), np.inf), r"sequence\.npy\[0\] holds inf"),
        ("sequence", np.array([["a"] * 2] * 5), r"sequence\.npy\[0\] is not numeric"),
        ("sequence", np.zeros((0, 2)), r"sequence\.npy\[0\] has shape \(0, 2\)"),
        ("labels", np.zeros(4), r"labels\.npy has shape \(4,\)"),
    ],
)
def test_arrays_that_do_not_fit_are_named(proteins, name, array, message):
    np.save(proteins[0] / f"{name}.npy", array)
    with pytest.raises(ValueError, match=message):
        load_pairs("proteins")


def test_nothing_is_unpickled_and_other_files_are_refused(proteins):
    path = proteins[0] / "sequence.npy"
    np.save(path, np.array([{}] * 5), allow_pickle=True)
    for content in (path.read_bytes(), b"no array"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"sequence\.npy is not a readable \.npy file"):
            load_pairs("proteins")
    path.unlink()
    missing = r"sequence\.npy is missing \(1 of 2 .*\)\. Choose"
    with pytest.raises(FileNotFoundError, match=missing):
        load_pairs("proteins")
