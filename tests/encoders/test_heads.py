import json

import numpy as np
import pytest
import torch
from plain import unit
from refusals import refuses

from mvlib.encoders import Heads, ridge_map, train_heads


def pairs(n=192, n_topics=8, noise=0.2, seed=0):
    """Return two views of the same topics, in spaces that share nothing."""
    rng = np.random.default_rng(seed)
    topic = rng.integers(0, n_topics, n)
    sides = [rng.normal(size=(n_topics, d))[topic] for d in (20, 12)]
    images, texts = (side + noise * rng.normal(size=side.shape) for side in sides)
    return np.float32(3 + 2 * images), np.float32(texts / 10), topic


def trained(images, texts, **settings):
    defaults = {"dim": 8, "epochs": 40, "batch_size": 64, "learning_rate": 1e-2}
    return train_heads(images, texts, **{"random_state": 0, **defaults, **settings})


@pytest.fixture(scope="module")
def heads():
    return trained(*pairs()[:2])


def test_training_brings_pairs_together_that_were_not_trained_on(heads):
    images, texts, topic = pairs(noise=0.2, seed=0)
    rng = np.random.default_rng(5)
    images = images + rng.normal(size=images.shape).astype(np.float32) * 0.2
    cosine = unit(heads.project_images(images)) @ unit(heads.project_texts(texts)).T
    assert (topic[cosine.argmax(axis=1)] == topic).mean() > 0.95
    assert heads.history[-1] < heads.history[0] - 1
    assert len(heads.history) == 40


def test_the_same_seed_gives_the_same_heads_and_leaves_the_global_one_alone(heads):
    state = torch.random.get_rng_state()
    images, texts, _ = pairs()
    same, other = trained(images, texts), trained(images, texts, random_state=1)
    assert same.fingerprint == heads.fingerprint
    assert same.history == heads.history
    assert other.fingerprint != heads.fingerprint
    assert torch.equal(torch.random.get_rng_state(), state)


def test_heads_do_not_depend_on_the_features_origin_or_unit():
    images, texts, _ = pairs()
    other = 10 * images - 7
    heads = trained(images, texts, epochs=3)
    moved = trained(other, 100 * texts + 1, epochs=3)
    assert moved.history == pytest.approx(heads.history, rel=1e-3)
    assert np.allclose(moved.project_images(other), heads.project_images(images), atol=1e-2)


def test_the_image_head_is_affine_and_its_bias_is_minus_the_mean_before_training():
    images, texts, _ = pairs()
    heads = trained(images, texts, epochs=1, learning_rate=1e-12, dropout=0.0)
    scaled = (images - images.mean(axis=0)) / np.sqrt(((images - images.mean(0)) ** 2).mean())
    projected, inputs = heads.project_images(images), np.c_[scaled, np.ones(len(images))]
    weight = np.linalg.lstsq(inputs, projected, rcond=None)[0]
    assert np.allclose(inputs @ weight, projected, atol=1e-4)
    assert np.abs(weight).max() <= images.shape[1] ** -0.5 + 1e-4


def test_class_pairs_teach_names_that_no_caption_has():
    images, texts, _ = pairs()
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(32, 20)).astype(np.float32)
    names = rng.normal(size=(32, 12)).astype(np.float32) / 10
    settings = {"epochs": 150, "dim": 16, "dropout": 0.1}
    classes = {"class_image_features": rows, "class_text_features": names}
    taught = trained(images, texts, **classes, **settings)
    assert taught.recipe["n_class_pairs"] == "32"
    # A row of the classifier stands for a direction from the mean image.
    center = images.mean(axis=0)
    length = np.linalg.norm(images - center, axis=1).mean()
    directions = center + length * unit(rows - rows.mean(axis=0))

    def found(heads):
        image, text = heads.project_images(directions), heads.project_texts(names)
        return ((unit(image) @ unit(text).T).argmax(axis=1) == np.arange(32)).mean()

    assert found(taught) > 0.6
    assert found(trained(images, texts, **settings)) < 0.2


def test_the_temperature_is_learnt_and_falls_where_pairs_are_easy():
    images, texts, _ = pairs(n=64, n_topics=64, noise=0.0)
    easy = trained(images, texts, dropout=0.0, dim=32)
    hard = trained(images, texts[::-1].copy(), dropout=0.9, dim=2)
    assert 0 < easy.temperature < 0.068
    assert hard.temperature > 0.072


def test_heads_come_back_from_disk_whole(heads, tmp_path):
    path = tmp_path / "heads.safetensors"
    heads.with_recipe(pairs="some").save(path)
    found = Heads.load(path)
    assert found.fingerprint == heads.fingerprint
    assert found.recipe == {**heads.recipe, "pairs": "some"}
    assert found.history == pytest.approx(heads.history, abs=1e-5)
    assert found.temperature == heads.temperature
    images = pairs()[0]
    assert np.array_equal(found.project_images(images), heads.project_images(images))


@pytest.mark.parametrize("damage", ["cut off", "text", "no history", "no bias", "missing"])
def test_a_file_without_heads_is_refused_by_name(heads, damage, tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "heads.safetensors"
    heads.save(path)
    weight, bias = heads.image_weight, heads.image_bias
    arrays = {"image_weight": weight, "image_bias": bias}
    if damage == "cut off":
        path.write_bytes(path.read_bytes()[:-9])
    elif damage == "text":
        path.write_text(json.dumps({"image_weight": 1}))
    elif damage == "no history":
        save_file({**arrays, "text_weight": weight, "text_bias": bias}, path)
    elif damage == "no bias":
        save_file({"image_weight": weight}, path, {"temperature": "1"})
    else:
        path.unlink()
    error = FileNotFoundError if damage == "missing" else ValueError
    with pytest.raises(error, match=r"heads\.safetensors"):
        Heads.load(path)


IMAGES, TEXTS, _ = pairs()
test_bad_input_of_training_is_refused_by_name = refuses(
    lambda **change: train_heads(
        **{"image_features": IMAGES, "text_features": TEXTS, "batch_size": 64} | change
    ),
    ({"image_features": IMAGES * np.nan}, r"\[0\] holds nan"),
    ({"text_features": np.full((192, 12), np.inf)}, r"\[1\] holds inf"),
    ({"text_features": np.zeros((191, 12))}, "different lengths"),
    ({"image_features": np.zeros((192, 20))}, "alike"),
    ({"image_features": np.zeros((0, 20))}, "shape"),
    ({"batch_size": 193}, "batch_size=193"),
    ({"dropout": 1.0}, "dropout"),
    ({"epochs": 0}, "epochs"),
    ({"learning_rate": 0}, "learning_rate"),
    ({"random_state": -1}, "random_state"),
    ({"class_text_features": np.ones((3, 12))}, "class"),
)


@pytest.mark.parametrize("features", [np.ones((2, 19)), np.full((2, 20), np.nan), np.ones(20)])
def test_features_of_another_tower_are_refused(heads, features):
    with pytest.raises(ValueError, match="features"):
        heads.project_images(features)


def test_the_ridge_map_minimises_its_penalised_squares():
    rng = np.random.default_rng(0)
    texts, rows = rng.normal(size=(30, 6)), rng.normal(size=(30, 9)) + 4
    found = ridge_map(texts, rows, alpha=2.5)
    X, Y = texts - texts.mean(axis=0), unit(rows - rows.mean(axis=0))

    def objective(weight):
        return ((X @ weight - Y) ** 2).sum() + 2.5 * (weight**2).sum()

    least = objective(found.weight)
    for _ in range(20):
        assert objective(found.weight + 1e-3 * rng.normal(size=(6, 9))) > least
    assert np.allclose(found.project(texts), X @ found.weight, atol=1e-5)


test_bad_input_of_the_ridge_map_is_refused_by_name = refuses(
    ridge_map,
    (lambda: ridge_map(np.ones((3, 2)), np.ones((4, 2))), "different lengths"),
    (lambda: ridge_map(np.full((3, 2), np.nan), np.ones((3, 2))), "nan"),
    (lambda: ridge_map(np.ones((3, 2)), np.ones((3, 2)), alpha=0), "alpha"),
    (lambda: ridge_map(np.eye(6), np.eye(6)).project(np.ones((1, 2))), "2 features|expected 6"),
)
