"""Problems of two modalities, and runs that say how well they are aligned."""

from itertools import product
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from problem_stand_ins import modalities_problem as problem

from mvlib.records import Recorder
from mvlib.tasks import modalities as problems
from mvlib.tasks.modalities import (
    DISJOINT,
    INDEPENDENT,
    SAME,
    alignment_measures,
    alignment_problem,
    network,
    record_alignment,
    run_draws,
    run_methods,
)

SETTINGS = {"n_steps": 3, "embedding_dim": 8, "batch_size": 16, "device": "cpu"}


@pytest.fixture
def recorder():
    return Recorder("set_clip", "method", "quick", "cpu")


def test_a_larger_ratio_holds_the_pairs_of_a_smaller_one():
    some = problem()
    few, many = (some.rows(ratio)[1] for ratio in (0.1, 0.5))
    assert (len(few), len(many)) == (4, 20)
    assert set(map(tuple, few)) <= set(map(tuple, many))
    assert [some.n_known(ratio) for ratio in (0, 0.001, 1)] == [0, 2, 40]


def test_disjoint_things_are_in_one_modality_unless_their_pair_is_known():
    some = problem()
    some.train[0][:, 0] = some.train[1][:, 0] = np.arange(40)
    Xs, pairs, ys = some.rows(0.25, disjoint=True)
    first, second = ({int(x) for x in X[:, 0]} for X in Xs)
    assert first & second == set(range(10))
    assert first | second == set(range(40))
    assert pairs.tolist() == [[i, i] for i in range(10)]
    for X, y in zip(Xs, ys, strict=True):
        assert np.array_equal(y, some.y_train[X[:, 0].astype(int)])


def test_scored_rows_are_not_trained_on_and_do_not_shape_the_components(monkeypatch):
    rng = np.random.default_rng(0)
    first = rng.normal(size=(30, 12)).astype(np.float32)
    first[:, 0] = np.arange(30)
    found = SimpleNamespace(
        name="wiki", names=("image", "text"), Xs=[first, first[:, :4]], y=np.arange(30) % 2,
        n_samples=30,
    )  # fmt: skip
    monkeypatch.setattr(problems, "load_modalities", lambda *args, **kwargs: found)
    sizes = {"n_train": 15, "n_test": 50}
    whole = alignment_problem("wiki", 3, **sizes, n_components=0)
    train, test = (set(part[0][:, 0]) for part in (whole.train, whole.test))
    assert (len(train), len(test), len(train & test)) == (15, 10, 0)
    reduced = alignment_problem("wiki", 3, **sizes, n_components=3)
    assert [X.shape[1] for X in reduced.train] == [3, 3]
    found.Xs[0][sorted(map(int, test))] *= 100
    again = alignment_problem("wiki", 3, **sizes, n_components=3)
    np.testing.assert_allclose(again.train[0], reduced.train[0], atol=1e-4)
    other = alignment_problem("wiki", 4, **sizes, n_components=0)
    assert set(other.test[0][:, 0]) != test


@pytest.mark.parametrize(("n_train", "n_test", "size"), [(15, 5, 20), (2500, 600, None)])
def test_no_more_rows_are_loaded_than_are_wanted_or_there_are(
    monkeypatch, n_train, n_test, size
):
    load = Mock(side_effect=FileNotFoundError)
    monkeypatch.setattr(problems, "load_modalities", load)
    with pytest.raises(FileNotFoundError):
        alignment_problem("wiki", 3, n_train=n_train, n_test=n_test)
    assert load.call_args.args == ("wiki", size, 3)


def test_measures_of_embeddings_that_agree_and_of_some_that_say_nothing():
    rng = np.random.default_rng(0)
    Z, y = rng.normal(size=(60, 8)), np.repeat([0, 1, 2], 20)
    agree = alignment_measures(Z, Z, y)
    assert agree["r1_first"] == agree["r10"] == agree["batch_second"] == agree["class_r1"] == 1
    assert agree["rank_first"] == 1
    assert agree["gap"] == agree["mmd"] == 0
    constant = alignment_measures(np.ones((60, 8)), np.ones((60, 8)), y)
    assert constant["r10"] == pytest.approx(10 / 60, abs=1e-4)
    assert constant["class_r1"] == constant["class_chance"] == pytest.approx(1 / 3, abs=1e-4)


@pytest.mark.parametrize("draws", [SAME, INDEPENDENT, DISJOINT])
@pytest.mark.parametrize("batch_size", [8, 16, 40])
def test_networks_take_as_many_steps_whatever_the_rows_and_the_batch(draws, batch_size):
    some = problem()
    given = SETTINGS | {"n_steps": 30, "batch_size": batch_size}
    model = network(some, 0, given, ratio=0.1, draws=draws)
    largest = max(map(len, some.rows(0.1, draws == DISJOINT)[0]))
    steps = model.n_epochs * -(-largest // batch_size)
    assert steps == pytest.approx(30, abs=3)
    assert model.sampling == ("same_instances" if draws == SAME else "independent")


@pytest.mark.parametrize(
    ("draws", "lengths"), [(SAME, [40, 40]), (INDEPENDENT, [40, 40]), (DISJOINT, [25, 25])]
)
def test_disjoint_things_leave_out_rows_of_the_fit_and_none_that_are_scored(
    recorder, draws, lengths
):
    given = Mock(n_clusters=None, transform=lambda Xs: [X[:, :5] for X in Xs])
    record_alignment(recorder, "given", problem(), given, 0.25, draws)
    ((Xs,), options) = given.fit.call_args
    assert [*map(len, Xs), len(options["pairs"])] == [*lengths, 10]
    assert recorder.frame()["measure_gallery"].tolist() == [20]


def test_each_draw_is_recorded_at_each_ratio_and_all_pairs_once(recorder):
    run_draws(recorder, problem(), [0, 1], [0.0, 0.1, 1.0], SETTINGS)
    frame = recorder.frame()
    expected = dict.fromkeys(product((0.0, 0.1), (SAME, INDEPENDENT, DISJOINT)), 2)
    counts = frame.groupby(["ratio", "draws"]).size().to_dict()
    assert counts == expected | {(1.0, INDEPENDENT): 2}
    assert frame["split"].unique().tolist() == [1]
    assert frame["acc"].between(0, 1).all()


def test_methods_are_run_where_they_can_be(recorder):
    run_methods(recorder, problem(classes=False), [0, 1], [0.0, 0.25], SETTINGS, max_rows=20)
    frame = recorder.frame()
    ratios = frame.groupby("method")["ratio"].agg(lambda some: sorted(some, key=str))
    assert ratios["Set-CLIP"] == [0.0, 0.0, 0.25, 0.25]
    assert ratios["CLIP on the pairs"] == ratios["S-CLIP"] == [0.25, 0.25]
    assert ratios["CCA"] == ratios["Procrustes"] == [0.25]
    assert np.isnan(ratios["chance"]).all()
    assert len(ratios["Gromov-Wasserstein"]) == 2
    assert frame["acc"].isna().all()
