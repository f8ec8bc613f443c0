"""Clustering and naming of images without nouns."""

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from support.colour_encoder import FakeEncoder, colours
from support.semantic_transcription import toy

from mvlib.methods import CLIPKMeans, ZeroShot
from mvlib.metrics import accuracy


def test_k_means_finds_the_classes_and_ignores_the_length_of_features():
    images, _, _, y = toy()
    length = np.random.default_rng(0).uniform(0.1, 30, size=(len(images), 1))
    model = CLIPKMeans(4, random_state=0).fit(images)
    scaled = CLIPKMeans(4, random_state=0).fit(length * images)
    assert accuracy(y, model.labels_) == 1.0
    assert np.array_equal(model.labels_, scaled.labels_)
    assert np.allclose(np.linalg.norm(model.embedding_, axis=1), 1, atol=1e-6)


def test_k_means_inertia_is_the_sum_of_cosine_distances_to_the_means():
    images, _, _, _ = toy(noise=0.3)
    model = CLIPKMeans(4, random_state=0).fit(images)
    total = 0.0
    for k in range(4):
        points = model.embedding_[model.labels_ == k].astype(np.float64)
        total += len(points) - np.linalg.norm(points.sum(axis=0))
    assert model.history_["inertia"] == pytest.approx(total, rel=1e-4)


def test_k_means_is_repeated_by_its_seed_and_does_not_depend_on_row_order():
    images, _, _, _ = toy(noise=0.2)
    order = np.random.default_rng(1).permutation(len(images))
    model = CLIPKMeans(4, random_state=3)
    labels = model.fit_predict(images)
    assert np.array_equal(labels, clone(model).fit_predict(images))
    assert accuracy(labels[order], clone(model).fit_predict(images[order])) == 1.0


def test_zero_shot_takes_the_class_name_of_largest_cosine():
    images, words, _, y = toy()
    names = words[:24].reshape(4, 6, -1).mean(axis=1)
    model = ZeroShot().fit(images, 7 * names)
    assert np.array_equal(model.labels_, y)
    cosine = images[5] @ names[2] / np.linalg.norm(images[5]) / np.linalg.norm(names[2])
    assert model.embedding_[5, 2] == pytest.approx(cosine, abs=1e-6)


def test_raw_images_and_class_names_go_through_the_encoder(tmp_path):
    images, y = colours()
    paths = []
    for i, image in enumerate(images):
        paths.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(image).save(paths[-1])
    pictures = [Image.fromarray(image) for image in images]
    names = ["rrrrr", "ggggg", "bbbbb"]
    for raw in (images, paths, np.array(paths), pictures):
        assert accuracy(y, CLIPKMeans(3, encoder=FakeEncoder()).fit_predict(raw)) == 1.0
        found = ZeroShot(encoder=FakeEncoder(), prompts=["{}"]).fit_predict(raw, names)
        assert np.array_equal(found, y)


def test_an_encoder_is_loaded_by_name(monkeypatch):
    monkeypatch.setattr(
        "mvlib.methods.words.load", lambda name, **_: {"colour": FakeEncoder()}[name]
    )
    images, y = colours()
    assert accuracy(y, CLIPKMeans(3, encoder="colour").fit_predict(images)) == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_clusters": 9}, "n_clusters=9 is more than n_samples=8"),
        ({"n_clusters": 0}, "n_clusters=0"),
        ({"n_init": 0}, "n_init=0"),
        ({"precision": "float61"}, "precision='float61' is unknown. Did you mean 'float16'"),
        ({"device": "gpu"}, "device='gpu'"),
    ],
)
def test_bad_parameters_are_named(change, message):
    model = CLIPKMeans(**({"n_clusters": 2} | change))
    with pytest.raises(ValueError, match=message):
        model.fit(np.eye(8))
