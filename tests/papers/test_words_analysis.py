"""What pages look into: plans, words, and who was put right."""

from functools import partial

import numpy as np
import pytest
from problem_stand_ins import words_problem

from mvlib.methods import CAE, SIC
from mvlib.papers import words_analysis as look
from mvlib.records import Recorder

problem = pytest.fixture(scope="module")(lambda: words_problem())


@pytest.fixture
def recorder():
    return Recorder("cae", "when_words_help", "quick")


def test_images_put_right_are_those_of_one_clustering_alone():
    y = np.array([0, 0, 0, 1, 1, 1])
    labels = np.array([7, 7, 7, 2, 2, 2])
    other = np.array([1, 1, 0, 0, 0, 1])
    assert look.put_right(y, labels, other).tolist() == [2, 5]
    assert look.put_right(y, other, labels).tolist() == []
    # Images of a cluster without a class are wrong.
    y = np.array([0, 0, 1, 1, 1])
    assert look.put_right(y, np.array([0, 0, 1, 1, 2]), y + 1).tolist() == []
    assert look.put_right(y, y, np.array([0, 0, 1, 1, 2])).tolist() == [4]


@pytest.fixture(scope="module")
def model(problem):
    return CAE(4, top_k=3, n_init=2, random_state=0).fit(problem.images, problem.texts)


def test_shares_of_an_image_sum_to_one_over_the_kept_words(problem, model):
    texts, shares = look.word_shares(model, problem, "captions")
    assert shares.shape == (60, len(texts))
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(
        look.kept_words(model, problem, "captions")[1],
        problem.captions.features[[problem.captions.texts.index(text) for text in texts]],
    )


def test_the_heaviest_words_come_first():
    shares = np.array([[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]])
    found = look.top_words(("a", "b", "c"), shares, [1, 0], count=2)
    words = [list(weights.items()) for weights in found]
    assert words == [[("a", 0.5), ("c", 0.4)], [("b", 0.7), ("c", 0.2)]]


def test_classes_that_share_no_word_do_not_overlap():
    shares = np.array([[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1.0]])
    table = look.class_confusions(("a", "b", "c"), shares, np.array([0, 1, 2]), "xyz")
    pairs = table[["class", "and", "overlap"]].values.tolist()
    assert pairs == [["x", "y", 0.5], ["x", "z", 0.0], ["y", "z", 0.0]]
    assert table["shared words"][0].startswith("a")


def test_transport_evens_the_words_and_the_softmax_does_not(problem):
    measures = {}
    for kind in ("softmax", "transport"):
        model = CAE(4, top_k=3, counterpart=kind, n_init=2, random_state=0)
        model.fit(problem.images, problem.texts)
        measures[kind] = look.counterpart_measures(model, problem)
    assert measures["transport"]["column_error"] < 1e-3
    assert measures["softmax"]["column_error"] > 0.05
    assert measures["transport"]["words_used"] == 1


def test_the_reading_that_can_fail_is_a_share_of_images_and_the_other_passes_blindly(
    problem, model
):
    table = look.theorem_1_readings(model, problem, [0.01, 0.1])
    assert table["weights"].tolist() == ["softmax", "transport", "blind"] * 2
    blind = table[table["weights"] == "blind"]
    assert (blind["semantic error"] < 1e-6).all()
    assert (blind["no worse"] < 0.5).all()
    assert table.loc[table["weights"] == "softmax", "no worse"].isna().all()


def test_a_plan_stopped_early_misses_its_marginals_and_a_finished_one_does_not(problem):
    table = look.plan_failures(problem, [0.05], [1, 2000]).set_index("iterations")
    assert table.loc[1, "mvlib"] > 10 * table.loc[2000, "mvlib"]
    assert table.loc[2000, "mvlib"] < 1e-3


def test_sic_is_recorded_at_its_last_epoch_and_at_the_best_one(problem, recorder, monkeypatch):
    monkeypatch.setattr(look, "SIC", partial(SIC, n_nearest=8, n_texts=4, epochs=3))
    look.record_sic(recorder, problem, 0)
    acc = recorder.frame().set_index("rule")["acc"]
    assert acc["oracle"] >= acc["last"]


def test_the_most_central_sample_points_as_its_cluster_does():
    embedding = np.array([[1, 0], [2, 0.5], [1, -0.5], [0, 3.0]])
    found = look.centrality(embedding, np.array([4, 4, 4, 9]))
    assert found[3] == pytest.approx(1)
    assert found[:3].argmax() == 0
