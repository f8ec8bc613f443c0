"""What methods with words share: their promises, what they accept, the images' centres."""

import inspect
from functools import partial

import numpy as np
import pytest
import torch
from refusals import refused, refusing
from sklearn.base import clone
from support.colour_encoder import FakeEncoder, colours
from support.semantic_transcription import toy

from mvlib.encoders import TextBank
from mvlib.methods import (
    CAE,
    SIC,
    TAC,
    CLIPKMeans,
    NTKSpectralClustering,
    TrainedTAC,
    ZeroShot,
    number_of_centres,
    semantic_centres,
)
from mvlib.methods.features import choose_rows, image_features, text_bank
from mvlib.metrics import accuracy
from mvlib.ops import faiss_kmeans

TRAINING = {"batch_size": 32, "epochs": 30}
RAW, _ = colours()
NEAREST = {"n_nearest": 12, "n_texts": 4, "n_neighbors": 5, "learning_rate": 0.01}
METHODS = {
    "TAC": TAC(4, temperature=0.02, random_state=1),
    "TAC, trained": TrainedTAC(4, temperature=0.02, n_neighbors=10, random_state=0, **TRAINING),
    "SIC": SIC(4, random_state=0, **NEAREST, **TRAINING),
    "CAE": CAE(4, top_k=3, epsilon=0.05, random_state=0),
    "NTK": NTKSpectralClustering(4, n_neighbors=15, random_state=0),
}
LEARN = ("TAC, trained", "SIC")


def problem(name, order=slice(None)):
    """Images, words of each class and of none as the method takes them, and the classes."""
    images, words, texts, y = toy()
    bank = TextBank(tuple(np.array(texts)[order]), words[order].astype(np.float32))
    if name != "CAE":
        return images, bank, y
    # Every other word is a caption, wherever it stands.
    rows = np.arange(44)[order]
    kinds = (("nouns", rows % 2 == 0), ("captions", rows % 2 == 1))
    return images, {kind: choose_rows(bank, np.flatnonzero(own)) for kind, own in kinds}, y


@pytest.fixture(scope="module", params=METHODS)
def fitted(request):
    images, bank, _ = problem(request.param)
    return request.param, clone(METHODS[request.param]).fit(images, bank)


def test_every_method_finds_the_classes_and_names_them(fitted):
    name, model = fitted
    images, _, y = problem(name)
    assert accuracy(y, model.labels_) > 0.95
    assert len(model.embedding_) == len(images)
    assert model.n_features_in_ == images.shape[1]
    for cluster, named in enumerate(model.cluster_names_):
        k = np.bincount(y[model.labels_ == cluster]).argmax()
        assert named["nouns"][0][0].startswith(f"class {k} ")
        assert (named["captions"] != []) == (name == "CAE")
        assert max(map(len, named.values())) <= 5


@pytest.mark.parametrize(
    ("name", "changes"), [("TAC", {"temperature": 0.05}), ("CAE", {"top_k": 2})]
)
def test_clean_words_lift_a_method_without_training_above_k_means_of_noisy_images(
    name, changes
):
    gains, shape = [], {"n_per_class": 50, "n_classes": 5, "d": 96, "noise": 0.4, "others": 40}
    for seed in range(3):
        images, words, _, y = toy(seed=seed, **shape)
        texts = {"nouns": words[::2], "captions": words[1::2]} if name == "CAE" else words
        plain = accuracy(y, CLIPKMeans(5, random_state=seed).fit_predict(images))
        model = clone(METHODS[name]).set_params(n_clusters=5, random_state=seed, **changes)
        gains.append(accuracy(y, model.fit_predict(images, texts)) - plain)
    assert np.mean(gains) > 0.05


def test_a_fit_is_repeated_by_its_seed_and_leaves_the_global_one_alone(fitted):
    name, model = fitted
    images, bank, _ = problem(name)
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    again = clone(model).fit(images, bank)
    assert torch.equal(before, torch.random.get_rng_state())
    assert np.array_equal(again.labels_, model.labels_)
    assert np.array_equal(again.embedding_, model.embedding_)


def test_the_order_of_images_and_of_words_changes_no_cluster(fitted):
    name, model = fitted
    rng = np.random.default_rng(4)
    images, bank, _ = problem(name, rng.permutation(44))
    rows = rng.permutation(len(images))
    found = clone(model).fit_predict(images[rows], bank)
    assert accuracy(model.labels_[rows], found) >= (0.95 if name in LEARN else 1.0)


def test_the_train_images_choose_the_words_and_train_the_heads(fitted):
    name, model = fitted
    images, bank, y = problem(name)
    if name in LEARN:
        half = clone(model).fit(images[::2], bank, images)
        assert np.array_equal(half.labels_, model.labels_[::2])
    seen = y < 2
    two = clone(model).set_params(n_clusters=2)
    other, own = (clone(two).fit(images[~seen], bank, images[seen]),
                  clone(two).fit(images[seen], bank))  # fmt: skip
    assert len(other.labels_) == (~seen).sum()
    kept = [fit.history_["kept"] for fit in (other, own)]
    assert str(kept[0]) == str(kept[1])


def test_words_without_strings_are_named_by_their_row(fitted):
    name, model = fitted
    images, bank, _ = problem(name)
    texts = (bank["nouns"] if name == "CAE" else bank).texts
    plain = {"nouns": bank["nouns"].features} if name == "CAE" else bank.features
    model = clone(model).set_params(space="nouns") if name == "CAE" else clone(model)
    for given, named in ((bank, texts), (plain, list(map(str, range(44))))):
        found = clone(model).fit(images, given).cluster_names_[0]["nouns"]
        assert {word for word, _ in found} <= set(named)


def test_half_precision_gives_the_same_partition_of_easy_data(fitted):
    name, model = fitted
    images, bank, _ = problem(name)
    half = clone(model).set_params(precision="float16").fit_predict(images, bank)
    assert accuracy(model.labels_, half) > 0.98


OUT_OF_RANGE = {
    "TAC": {"temperature": (0.0, np.inf), "top": (0,), "n_centers": (0, 161)},
    "TAC, trained": {
        "n_neighbors": (160,), "batch_size": (1, 161), "hidden_dim": (0,), "epochs": (0,),
        "n_centers": (161,), "distillation_temperature": (0,), "entropy_weight": (-1,),
        "learning_rate": (np.nan,), "kmeans": ("lloyd",),
    },
    "SIC": {
        "n_nearest": (0, 45), "n_texts": (45,), "max_cosine": (3,), "n_neighbors": (160,),
        "confident_share": (0, 0.01), "label_weight": (-1,), "weight_decay": (-1,),
    },
    "CAE": {
        "top_k": (0, 23), "epsilon": (0,), "gamma": (0.0,), "temperature": (np.inf,),
        "max_iter": (0,), "n_centers": (0,), "space": ("noun",), "cost": ("cosin",),
        "counterpart": ("transports",), "fusion": ("adaptiv",),
        "column_marginals": ("unifrom",), "row_marginals": ("unifrom",),
    },
    "NTK": {
        "temperature": (0,), "graph": ("mutal",), "fusion": ("median",), "mu": (0,),
        "solver": ("arpack",), "rank": (0,), "n_neighbors": (160,), "n_centers": ("two",),
    },
}  # fmt: skip
FOR_ALL = {"n_clusters": (0, 161), "random_state": (-1,), "device": ("gpu",),
           "precision": ("float23",)}  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_a_parameter_out_of_range_is_named_and_leaves_the_method_unfitted(name):
    images, bank, _ = problem(name)
    for parameter, values in (FOR_ALL | OUT_OF_RANGE[name]).items():
        for value in values:
            model = clone(METHODS[name]).set_params(**{parameter: value})
            model.labels_ = np.zeros(160)
            with refusing(f"{parameter}={value!r}"):
                model.fit(images, bank)
            assert not hasattr(model, "labels_")


@pytest.mark.parametrize("name", METHODS)
def test_every_method_names_bad_images_and_words(name):
    images, bank, _ = problem(name)
    narrow = np.ones((44, 23))
    for bad, message in (
        ((np.full((9, 24), np.inf), bank), "images holds NaN or infinity in row 0"),
        ((np.empty((0, 24)), bank), r"images has shape \(0, 24\)"),
        ((["a.png"], bank), "images holds raw images and there is no encoder"),
        ((images, bank, np.full((9, 24), np.nan)), "train_images holds NaN"),
        ((images, {"nouns": narrow} if name == "CAE" else narrow), "23"),
        ((images, None), "texts"),
    ):
        with pytest.raises(ValueError, match=message):
            clone(METHODS[name]).fit(*bad)


@pytest.mark.parametrize("name", METHODS)
def test_parameters_are_keywords_but_for_the_number_of_clusters(name):
    first, *others = inspect.signature(type(METHODS[name])).parameters.values()
    assert first.name == "n_clusters"
    assert all(other.kind is other.KEYWORD_ONLY for other in others)


def test_prompts_are_averaged_before_any_normalisation():
    bank = text_bank("texts", ["g"], FakeEncoder(), ["{} rrrr", "b {}"])
    assert bank.texts == ("g",)
    assert np.allclose(bank.features, [[(5 + 1) / 2, 2, (1 + 2) / 2]])
    plain = text_bank("texts", ["g"], FakeEncoder())
    assert np.allclose(plain.features, [[1, 2, 1]])


class Heard(FakeEncoder):
    """Keeps the texts that it was given."""

    def __init__(self):
        self.texts = []

    def encode_texts(self, texts, **_):
        self.texts += texts
        return super().encode_texts(texts)


@pytest.mark.parametrize("given", [None, ("say {}",)])
def test_words_go_into_ones_own_prompts_or_into_those_of_the_method(given):
    heard = Heard()
    model = TAC(2, prompts=given, encoder=heard, n_centers=2, temperature=0.1, random_state=0)
    model.fit(RAW, ["red", "gg"])
    own = [text for text in heard.texts if text.startswith("say ")]
    assert own == (["say red", "say gg"] if given else [])
    assert heard.texts != ["red", "gg"]


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


test_bad_images_words_and_prompts_are_named = refused(
    [
        (message, partial(CLIPKMeans(2).fit, images))
        for message, images in (
            ("images holds NaN or infinity in row 0", np.full((6, 3), np.nan)),
            ("NaN or infinity in row 1", np.array([[1.0, 2], [3, np.inf], [1, 1]])),
            (r"images has shape \(0, 3\)", np.empty((0, 3))),
            (r"images has shape \(0,\)", []),
            (r"images has shape \(5,\)", np.ones(5)),
            ("images is all zero in row 1", np.array([[1.0, 1], [0, 0]])),
            ("images is not numeric", [[1.0, 2.0], [3.0]]),
            ("images holds raw images and there is no encoder", ["a.png", "b.png"]),
            ("images holds raw images", np.zeros((3, 4, 4, 3), dtype=np.uint8)),
        )
    ]
    + [
        (message, partial(ZeroShot().fit, np.eye(2), texts))
        for message, texts in (
            ("texts is of type NoneType", None),
            ("texts is of type str", "cat"),
            ("texts is of type dict", {"nouns": np.eye(2)}),
            ("texts is empty", []),
            ("texts holds strings and there is no encoder", ["cat"]),
            ("texts holds NaN or infinity in row 0", np.full((2, 2), np.inf)),
            ("texts is all zero in row 0", np.zeros((2, 2))),
            ("images 2, texts 3", np.eye(3)),
        )
    ]
    + [
        ("prompts", partial(ZeroShot(encoder=FakeEncoder(), prompts=p).fit, RAW, ["red"]))
        for p in ([], ["a photo"], "a photo")
    ]
    + [
        ("n_classes=8", lambda: number_of_centres(7, 8)),
        ("n_classes=0", lambda: number_of_centres(7, 0)),
        ("n_train=0", lambda: number_of_centres(0, 1)),
        (
            r"infinity in row 1 \(as float16\)",
            lambda: image_features("images", [[1.0, 1.0], [1e6, 1.0]], precision="float16"),
        ),
    ]
)


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
