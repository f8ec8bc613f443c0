"""Problems of two modalities: what is paired, what is drawn, and what encodes it."""

import numpy as np
import pytest
from pair_trees import TREES, put_tree

from mvlib import data, encoders
from mvlib.encoders import Encoder, OfflineEncoder
from mvlib.tasks import list_modalities, load_modalities
from mvlib.tasks.modalities import _VIEWS, CLIP_RN50


def never(self, *_, **__):
    raise AssertionError("this must not be asked")


class Joint(Encoder):
    """Encodes an image and a text by the length of the name and of the text; keeps both."""

    name, __init__, _image_features, _text_features = "openclip:r", lambda _: None, never, never

    def encode_images(self, images):
        self.images = [image.name for image in images]
        return np.array([[len(name), 1.0] for name in self.images], np.float32)

    def encode_texts(self, texts):
        self.texts = list(texts)
        return np.array([[len(text), 2.0, 3.0] for text in texts], np.float32)


class Towers(OfflineEncoder):
    """The offline encoder without its networks: the heads that join them must not be asked."""

    name, __init__, encode_images, encode_texts = "offline", lambda _: None, never, never
    image_tower, text_tower = Joint.encode_images, Joint.encode_texts


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MVLIB_DATA", str(tmp_path))
    monkeypatch.setenv("MVLIB_OFFLINE", "1")
    return tmp_path


@pytest.fixture
def loaded(monkeypatch):
    """Return what is asked of `encoders.load`, which gives an encoder that records."""
    asked = []

    def load(name, *, device):
        asked.append((name, device))
        return Towers() if name == "offline" else Joint()

    monkeypatch.setattr(encoders, "load", load)
    return asked


def test_every_problem_can_be_named_in_a_plan():
    names = list_modalities()
    assert len(set(names)) == len(names)
    assert set(names) <= set(data.all_names())
    assert set(data.all_names("pairs")) <= set(names)
    for name, views in _VIEWS.items():
        assert set(views) <= {view.name for view in data.describe(name).views}
        assert "text" not in views or views[1] == "text"


def test_two_views_are_a_problem():
    found = load_modalities("HandWritten")
    whole = data.load("handwritten", ["pix", "fac"])
    assert (found.name, found.names) == ("handwritten", ("pix", "fac"))
    for X, expected in zip(found.Xs, whole.Xs, strict=True):
        np.testing.assert_array_equal(X, expected)
    np.testing.assert_array_equal(found.y, whole.y)
    assert (found.n_samples, found.n_clusters, found.is_joint) == (2000, 10, False)
    assert (found.encoder, found.captions, found.splits) == (None, None, None)
    assert found.sha256 == whole.sha256


def test_rows_are_drawn_by_the_seed_and_stay_pairs():
    whole = load_modalities("handwritten")
    few = load_modalities("handwritten", 300, random_state=3)
    assert (np.diff(few.rows) > 0).all()
    assert len(few.rows) == few.n_samples == len(few.y) == 300
    for X, all_rows in zip(few.Xs, whole.Xs, strict=True):
        np.testing.assert_array_equal(X, all_rows[few.rows])
    np.testing.assert_array_equal(few.y, whole.y[few.rows])
    again, other = (load_modalities("handwritten", 300, random_state=r).rows for r in (3, 4))
    np.testing.assert_array_equal(again, few.rows)
    assert not np.array_equal(other, few.rows)
    assert few.sha256 == whole.sha256


def test_the_shipped_pairs_are_of_towers_that_know_nothing_of_each_other():
    found = load_modalities("openclipart-pairs", 200, random_state=0)
    whole = data.load_pairs("openclipart-pairs")
    assert [X.shape for X in found.Xs] == [(200, 1280), (200, 384)]
    for X, all_rows in zip(found.Xs, whole.Xs, strict=True):
        np.testing.assert_array_equal(X, all_rows[found.rows])
    texts = data.captions("openclipart")
    assert found.captions == tuple(texts[row] for row in found.rows)
    assert (found.names, found.y, found.n_clusters) == (("image", "text"), None, None)
    assert (found.encoder, found.is_joint) == ("offline", False)
    same = load_modalities("openclipart-pairs", 200, 0, encoder="offline")
    np.testing.assert_array_equal(same.rows, found.rows)


def test_the_drawings_are_encoded_by_the_towers_without_the_heads(loaded):
    found = load_modalities("openclipart", 30, random_state=1, device="cpu")
    whole = data.load_images("openclipart")
    assert loaded == [("offline", "cpu")]
    names = [whole.images[row].name for row in found.rows]
    np.testing.assert_array_equal(found.Xs[0][:, 0], [len(name) for name in names])
    assert found.captions == tuple(whole.captions[row] for row in found.rows)
    np.testing.assert_array_equal(found.Xs[1][:, 0], [len(text) for text in found.captions])
    np.testing.assert_array_equal(found.y, whole.y[found.rows])
    assert (found.encoder, found.is_joint, found.splits) == ("offline", False, None)


@pytest.mark.parametrize("name", TREES)
def test_images_with_captions_are_encoded_by_clip_unless_told_otherwise(
    folder, monkeypatch, loaded, name
):
    put_tree(folder, monkeypatch, name)
    found = load_modalities(name)
    assert loaded == [(CLIP_RN50, "auto")]
    assert found.names == ("image", "text")
    assert [X.shape for X in found.Xs] == [(len(TREES[name][0]), 2), (len(TREES[name][0]), 3)]
    assert found.splits.tolist() == TREES[name][0]
    assert found.captions == tuple(f"{name} {i}, caption 0 ." for i in found.rows)
    assert found.is_joint
    assert not load_modalities(name, encoder="offline").is_joint
    assert found.y is None


def test_only_the_chosen_rows_split_and_caption_are_encoded(folder, monkeypatch):
    put_tree(folder, monkeypatch, "rsicd", n_captions=2)
    encoder = Joint()
    found = load_modalities("rsicd", 1, 0, split="test", encoder=encoder, caption=1)
    number = found.rows[0] + 3
    assert encoder.images == [f"rsicd_{number}.png"]
    assert encoder.texts == list(found.captions) == [f"rsicd {number}, caption 1 ."]
    assert found.splits.tolist() == ["test"]
    assert found.encoder == "openclip:r"
    with pytest.raises(ValueError, match="caption=2 .* expected an integer from 0 to 1"):
        load_modalities("rsicd", encoder=encoder, caption=2)


def test_classes_of_images_follow_the_rows(folder, monkeypatch):
    put_tree(folder, monkeypatch, "rsicd")
    lists = folder / "rsicd" / "txtclasses_rsicd"
    lists.mkdir()
    (lists / "a.txt").write_text("rsicd_0.png\nrsicd_1.png\nrsicd_3.png")
    (lists / "b.txt").write_text("rsicd_2.png\nrsicd_4.png")
    found = load_modalities("rsicd", 3, 2, encoder=Joint())
    assert found.y.tolist() == [[0, 0, 1, 0, 1][row] for row in found.rows]


def test_embeddings_of_a_user_are_a_problem(folder):
    (folder / "proteins").mkdir()
    for name, dim in (("sequence", 4), ("structure", 3)):
        array = np.arange(6.0 * dim).reshape(6, dim)
        np.save(folder / "proteins" / f"{name}.npy", array)
    np.save(folder / "proteins" / "labels.npy", np.array([3, 3, 5, 5, 5, 3]))
    found = load_modalities("proteins", 4, random_state=0)
    assert found.names == ("sequence", "structure")
    np.testing.assert_array_equal(found.Xs[1][:, 0], 3 * found.rows)
    assert found.y.tolist() == [[0, 0, 1, 1, 1, 0][row] for row in found.rows]
    assert (found.encoder, found.captions, found.is_joint) == (None, None, False)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("handwriten", {}, "name='handwriten' is unknown. Did you mean 'handwritten'"),
        ("cifar-10", {}, "name='cifar-10' is unknown"),
        ("handwritten", {"size": 0}, "size=0 is out of range: expected an integer >= 1 and"),
        ("handwritten", {"size": 2001}, "size=2001 .* <= 2000"),
        ("handwritten", {"size": 2.5}, "size=2.5"),
        ("handwritten", {"size": 5, "random_state": -1}, "random_state=-1"),
        ("handwritten", {"random_state": "a"}, "random_state='a'"),
        ("handwritten", {"caption": -1}, "caption=-1"),
        ("handwritten", {"caption": 1}, "caption=1 is not for 'handwritten'"),
        ("handwritten", {"split": "train"}, "split='train' is not for 'handwritten'"),
        ("handwritten", {"encoder": "offline"}, "encoder='offline' is not for"),
        ("openclipart-pairs", {"encoder": CLIP_RN50}, "encoder='openclip.* is not for"),
        ("openclipart-pairs", {"split": "test"}, "split='test' is unknown"),
        ("openclipart", {"split": "test"}, "split='test' is not for 'openclipart'"),
        ("openclipart", {"caption": 1}, "caption=1 is out of range"),
        ("openclipart", {"encoder": "ofline"}, "Did you mean 'offline'"),
        ("openclipart", {"encoder": 3}, "name=3 is unknown"),
    ],
)
def test_bad_input_is_named(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        load_modalities(name, **arguments)
