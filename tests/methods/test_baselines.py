"""The baselines: what each reads, what it must not read, and what it refuses."""

from functools import partial

import numpy as np
import pytest
from PIL import Image
from refusals import out_of_range, refused
from scipy.spatial.transform import Rotation
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.neighbors import kneighbors_graph
from support.colour_encoder import FakeEncoder, colours
from support.semantic_transcription import toy

from mvlib import data
from mvlib.methods import (
    AutoencoderHungarian,
    AutoencoderKMeans,
    CLIPKMeans,
    KMeansConcatenation,
    KMeansView,
    SpectralConcatenation,
    ZeroShot,
    match_rows,
)
from mvlib.metrics import accuracy

TRAINING = {"hidden_dims": (16,), "embedding_dim": 4, "epochs": 3, "batch_size": 64}


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 40)
    centers = [5 * rng.normal(size=(3, d)) for d in (4, 5)]
    Xs = [c[y] + 0.3 * rng.normal(size=(120, c.shape[1])) for c in centers]
    return data.partially_align(Xs, y, 0.5)


def test_k_means_of_a_view_does_not_see_the_other_and_names_that_views_rows(problem):
    first = KMeansView(3, random_state=0).fit_predict(problem.Xs)
    other = KMeansView(3, random_state=0).fit_predict([problem.Xs[0], problem.Xs[1][::-1]])
    assert np.array_equal(first, other)
    assert accuracy(problem.y, first) == 1.0
    second = KMeansView(3, view=1, random_state=0).fit_predict(problem.Xs)
    assert accuracy(problem.labels_of_view(1), second) == 1.0
    assert accuracy(problem.y, second) < 0.9


def test_concatenation_depends_on_the_pairing_of_rows(problem):
    true = [problem.Xs[0], problem.Xs[1][np.argsort(problem.permutations[1])]]
    for floor in (KMeansConcatenation(3, random_state=0), SpectralConcatenation(3)):
        assert accuracy(problem.y, floor.fit_predict(true)) == 1.0
    model = KMeansConcatenation(3, random_state=0).fit(problem.Xs)
    assert model.embedding_.shape == (120, 9)


def test_spectral_clustering_returns_separate_pieces_and_joins_too_many(problem):
    model = SpectralConcatenation(3, n_neighbors=5).fit([problem.Xs[0]])
    assert model.n_components_ == 3
    assert accuracy(problem.y, model.labels_) == 1.0
    # It takes more neighbours where the graph has too many pieces.
    model = SpectralConcatenation(2, n_neighbors=5, random_state=0).fit([problem.Xs[0]])
    assert model.n_neighbors_ in (40, 80)
    assert model.n_components_ <= 2
    assert len(np.unique(model.labels_)) == 2


def test_spectral_clustering_of_a_connected_graph_agrees_with_dense_eigenvectors():
    rng = np.random.default_rng(1)
    y = np.repeat(np.arange(3), 60)
    X = 2.2 * np.eye(3)[y] + 0.7 * rng.normal(size=(180, 3))
    model = SpectralConcatenation(3, random_state=0).fit([X])
    assert model.n_components_ == 1
    graph = kneighbors_graph(model.embedding_, 10, include_self=True).toarray()
    graph = (graph + graph.T) / 2
    np.fill_diagonal(graph, 0)
    scale = 1 / np.sqrt(graph.sum(axis=1))
    _, vectors = np.linalg.eigh(scale[:, None] * graph * scale)
    dense = KMeans(3, n_init=10, random_state=0).fit_predict(vectors[:, -3:] * scale[:, None])
    assert accuracy(dense, model.labels_) > 0.97


def test_matching_undoes_a_shuffle_behind_a_linear_map():
    rng = np.random.default_rng(2)
    Z_1 = rng.normal(size=(80, 3))
    Z_2 = Z_1 @ Rotation.from_euler("xyz", [0.4, 1.0, 2.0]).as_matrix() * 2 + 1
    aligned = np.arange(80) < 40
    shuffled = Z_2.copy()
    shuffled[40:] = Z_2[40:][rng.permutation(40)]
    _, matched = match_rows([Z_1, shuffled], aligned)
    assert np.allclose(matched, Z_2)


def test_auto_encoder_floors_train_on_reconstruction_alone(problem):
    settings = TRAINING | {"lambda1": 5.0, "lambda2": 5.0}
    model = AutoencoderKMeans(3, settings=settings, random_state=0).fit(problem.Xs)
    assert np.allclose(model.history_["loss"], model.history_["reconstruction"])
    assert model.embedding_.shape == (120, 8)
    matched = AutoencoderHungarian(3, settings=settings, random_state=0)
    matched.fit(problem.Xs, aligned=problem.aligned)
    assert np.array_equal(
        matched.embeddings_[1][problem.aligned], model.embeddings_[1][problem.aligned]
    )
    assert sorted(map(tuple, matched.embeddings_[1])) == sorted(
        map(tuple, model.embeddings_[1])
    )


FLOORS = (KMeansView, KMeansConcatenation, SpectralConcatenation, AutoencoderKMeans)
HOLED = [np.array([[np.nan, 1], [0, 1]]), np.eye(2)]


test_bad_input_is_refused_by_name = refused(
    [(r"Xs\[0\] holds nan", partial(floor(1).fit, HOLED)) for floor in FLOORS]
    + [
        ("n_clusters=3 is more than n_samples=2", partial(floor(3).fit, [np.eye(2)] * 2))
        for floor in FLOORS
    ]
    + [
        ("view=2 is out of range", partial(KMeansView(1, view=2).fit, [np.eye(2)] * 2)),
        (
            "rows='units' .* Did you mean 'unit'",
            partial(KMeansView(2, rows="units").fit, HOLED),
        ),
        ("aligned has no True", partial(match_rows, [np.eye(2)] * 2, np.zeros(2, bool))),
        ("n_clusters=9 is more than n_samples=8", partial(CLIPKMeans(9).fit, np.eye(8))),
    ]
)
test_a_parameter_out_of_range_is_named = out_of_range(
    lambda **change: CLIPKMeans(**{"n_clusters": 2} | change).fit(np.eye(8)),
    {"n_clusters": (0,), "n_init": (0,), "precision": ("float61",), "device": ("gpu",)},
)


def test_rows_of_unit_length_leave_only_the_direction_to_every_floor(problem):
    rng = np.random.default_rng(0)
    lengths = rng.uniform(0.1, 10, size=(120, 1))
    for floor in (
        KMeansView(3, rows="unit", random_state=0),
        KMeansConcatenation(3, rows="unit", random_state=0),
        SpectralConcatenation(3, rows="unit", random_state=0),
    ):
        labels = floor.fit_predict(problem.Xs)
        stretched = floor.fit_predict([lengths * problem.Xs[0], problem.Xs[1] / lengths])
        assert np.array_equal(labels, stretched)
        expected = [X / np.linalg.norm(X, axis=1, keepdims=True) for X in problem.Xs]
        given = expected[:1] if isinstance(floor, KMeansView) else expected
        assert np.allclose(floor.embedding_, np.hstack(given))


def test_counts_of_documents_are_told_apart_by_direction_and_not_by_length():
    rng = np.random.default_rng(1)
    y = np.repeat(np.arange(3), 60)
    topics = rng.dirichlet(np.full(40, 0.1), size=3)
    words = (10 ** rng.uniform(1.5, 4, size=180))[:, None] * topics[y]
    counts = rng.poisson(words)
    given, unit = (
        accuracy(y, KMeansView(3, rows=rows, random_state=0).fit_predict([counts]))
        for rows in ("as given", "unit")
    )
    assert unit > 0.95
    assert given < 0.7


def test_k_means_finds_the_classes_whatever_the_length_and_the_order_of_features():
    images, _, _, y = toy()
    length = np.random.default_rng(0).uniform(0.1, 30, size=(len(images), 1))
    model = CLIPKMeans(4, random_state=0).fit(images)
    scaled = CLIPKMeans(4, random_state=0).fit(length * images)
    assert accuracy(y, model.labels_) == 1.0
    assert np.array_equal(model.labels_, scaled.labels_)
    assert np.allclose(np.linalg.norm(model.embedding_, axis=1), 1, atol=1e-6)
    images, _, _, _ = toy(noise=0.2)
    order = np.random.default_rng(1).permutation(len(images))
    model = CLIPKMeans(4, random_state=3)
    labels = model.fit_predict(images)
    assert np.array_equal(labels, clone(model).fit_predict(images))
    assert accuracy(labels[order], clone(model).fit_predict(images[order])) == 1.0
    # The inertia is the sum of cosine distances to the means.
    model.fit(toy(noise=0.3)[0])
    total = 0.0
    for k in range(4):
        points = model.embedding_[model.labels_ == k].astype(np.float64)
        total += len(points) - np.linalg.norm(points.sum(axis=0))
    assert model.history_["inertia"] == pytest.approx(total, rel=1e-4)


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
