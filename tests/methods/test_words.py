"""What methods with words share: what they accept, and the centres of the images."""

import numpy as np
import pytest
import torch
from support.colour_encoder import FakeEncoder, colours
from support.semantic_transcription import toy

from mvlib.encoders import TextBank
from mvlib.methods import CLIPKMeans, ZeroShot, number_of_centres, semantic_centres
from mvlib.methods.words import image_features, text_bank
from mvlib.ops import faiss_kmeans


def test_prompts_are_averaged_before_any_normalisation():
    bank = text_bank("texts", ["g"], FakeEncoder(), ["{} rrrr", "b {}"])
    assert bank.texts == ("g",)
    assert np.allclose(bank.features, [[(5 + 1) / 2, 2, (1 + 2) / 2]])
    plain = text_bank("texts", ["g"], FakeEncoder())
    assert np.allclose(plain.features, [[1, 2, 1]])


def test_a_bank_keeps_its_words_and_features_alone_are_named_by_row():
    bank = TextBank(("cat", "boat"), np.eye(2, dtype=np.float32))
    assert text_bank("texts", bank).texts == ("cat", "boat")
    assert text_bank("texts", np.eye(3)).texts == ("0", "1", "2")
    assert text_bank("texts", torch.eye(2)).features.dtype == np.float32


def test_float16_rounds_the_features_as_storage_in_half_precision_would():
    X = np.random.default_rng(2).normal(size=(4, 5))
    rounded = image_features("images", X, precision="float16")
    assert rounded.dtype == np.float32
    assert np.array_equal(rounded, X.astype(np.float32).astype(np.float16))
    with pytest.raises(ValueError, match=r"infinity in row 1 \(as float16\)"):
        image_features("images", [[1.0, 1.0], [1e6, 1.0]], precision="float16")


BAD_IMAGES = [
    (np.full((6, 3), np.nan), "images holds NaN or infinity in row 0"),
    (np.array([[1.0, 2], [3, np.inf], [1, 1]]), "images holds NaN or infinity in row 1"),
    (np.empty((0, 3)), r"images has shape \(0, 3\)"),
    ([], r"images has shape \(0,\)"),
    (np.ones(5), r"images has shape \(5,\)"),
    (np.array([[1.0, 1], [0, 0]]), "images is all zero in row 1"),
    ([[1.0, 2.0], [3.0]], "images is not numeric"),
    (["a.png", "b.png"], "images holds raw images and there is no encoder"),
    (np.zeros((3, 4, 4, 3), dtype=np.uint8), "images holds raw images"),
]


@pytest.mark.parametrize(("images", "message"), BAD_IMAGES)
def test_bad_images_are_named(images, message):
    with pytest.raises(ValueError, match=message):
        CLIPKMeans(2).fit(images)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (None, "texts is of type NoneType"),
        ("cat", "texts is of type str"),
        ({"nouns": np.eye(2)}, "texts is of type dict"),
        ([], "texts is empty"),
        (["cat"], "texts holds strings and there is no encoder"),
        (np.full((2, 2), np.inf), "texts holds NaN or infinity in row 0"),
        (np.zeros((2, 2)), "texts is all zero in row 0"),
        (np.eye(3), "images 2, texts 3"),
    ],
)
def test_bad_words_are_named(texts, message):
    with pytest.raises(ValueError, match=message):
        ZeroShot().fit(np.eye(2), texts)


def test_prompts_without_a_place_for_the_word_are_refused():
    images, _ = colours()
    for prompts in ([], ["a photo"], "a photo"):
        with pytest.raises(ValueError, match="prompts"):
            ZeroShot(encoder=FakeEncoder(), prompts=prompts).fit(images, ["red"])


@pytest.mark.parametrize(
    ("n_train", "n_classes", "expected"),
    [
        (50_000, 10, 167), (50_000, 20, 167), (5_000, 10, 17), (13_000, 10, 43),
        (19_500, 15, 65), (3_760, 47, 141), (9_537, 101, 303), (1_281_167, 1000, 4271),
        (7, 5, 7), (1, 1, 1),
    ],
)  # fmt: skip
def test_numbers_of_centres_are_those_of_the_eight_sets(n_train, n_classes, expected):
    assert number_of_centres(n_train, n_classes) == expected


def test_number_of_centres_refuses_more_classes_than_images():
    with pytest.raises(ValueError, match="n_classes=8"):
        number_of_centres(7, 8)


def test_centres_have_unit_length_and_sit_in_the_groups():
    images, _, _, y = toy()
    centres = semantic_centres(100 * images, 4, random_state=0)
    assert np.allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-6)
    means = np.stack([images[y == k].mean(axis=0) for k in range(4)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    assert np.allclose(np.sort((centres @ means.T).max(axis=1)), 1, atol=0.02)


def test_centres_by_faiss_are_the_means_of_the_final_members_not_those_of_kmeans():
    images, _, _, _ = toy(noise=0.4)
    X = (images / np.linalg.norm(images, axis=1, keepdims=True)).astype(np.float32)
    found = faiss_kmeans(X, 12, n_init=3, max_iter=1, random_state=0)
    means = np.stack([X[found.labels == k].mean(axis=0) for k in range(12)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    settings = {"kmeans": "faiss", "n_init": 3, "max_iter": 1, "random_state": 0}
    centres = semantic_centres(5 * images, 12, **settings)
    assert np.allclose(centres, means, atol=1e-5)
    assert not np.allclose(centres, found.centers, atol=1e-3)
    half = semantic_centres(images, 12, precision="float16", **settings)
    assert np.array_equal(half, half.astype(np.float16))
