"""What the notebooks on NTK spectral clustering share."""

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from problem_stand_ins import FewImages, NamedEncoder

from mvlib.encoders import TextBank
from mvlib.papers import ntk
from mvlib.papers.ntk import (
    PromptProblem,
    affinity_kinds,
    block_measures,
    block_table,
    class_transitions,
    made_up_features,
    record_costs,
    run_baselines,
    run_rows,
    run_sweeps,
    subsample,
    watched,
)
from mvlib.records import Recorder


@pytest.fixture(scope="module")
def problem():
    images, y, banks = made_up_features(90, 3, 3, 0.8, 0)
    words = tuple(f"word {number}" for number in range(len(banks[0])))
    listed = tuple(TextBank(words, bank) for bank in banks)
    mean = TextBank(words, np.mean(banks, axis=0))
    whole = FewImages("openclipart", [f"{i}.png" for i in range(90)], y, ("a", "b", "c"))
    train = np.arange(40 * 128, dtype=np.float32).reshape(40, 128) + 1
    return PromptProblem(
        whole, NamedEncoder(), images, train, mean, mean, images[:3], banks=listed
    )


@pytest.fixture
def recorder():
    return Recorder("ntk_spectral", "method", "quick")


def test_a_subsample_keeps_image_features_and_class_together_and_its_share_of_train_images(
    problem,
):
    part = subsample(problem, 3, share=0.5)
    rows = [int(name.split(".")[0]) for name in part.data_set.images]
    assert len(rows) == 45
    assert rows == sorted(set(rows))
    np.testing.assert_array_equal(part.images, problem.images[rows])
    np.testing.assert_array_equal(part.y, problem.y[rows])
    assert part.train_images.shape == (20, 128)
    assert {row[0] for row in part.train_images} < {row[0] for row in problem.train_images}
    first, again, other = (subsample(problem, seed).data_set.images for seed in (1, 1, 2))
    assert first == again != other
    with pytest.raises(ValueError, match="share=0"):
        subsample(problem, 0, share=0)


@pytest.mark.parametrize("trained", [True, False])
def test_a_shift_moves_the_images_and_their_features_and_no_noun(problem, monkeypatch, trained):
    class Brightness:
        def encode_images(self, images, resize):
            return np.stack([[image.mean() / 255, resize] for image in images])

    monkeypatch.setattr(ntk, "short_side", lambda images, encoder: 9)
    pictures = np.full((90, 4, 4, 3), 90, dtype=np.uint8)
    data_set = replace(problem.data_set, images=pictures)
    train = problem.train_images if trained else None
    whole = replace(problem, data_set=data_set, encoder=Brightness(), train_images=train)
    found = ntk.shifted(whole, "sketch", 1)
    # A sketch of an even image is white.
    assert (ntk.pictures(found) == 255).all()
    np.testing.assert_array_equal(found.images, np.tile([1, 9], (90, 1)))
    assert found.banks is problem.banks
    assert found.y is whole.y
    assert found.train_images is (problem.train_images if trained else problem.images)


def test_all_rows_of_a_seed_see_the_same_images(problem, recorder):
    rows = {"looks": {"affinity": "visual", "fusion": "single"}, "NTK": {"fusion": "mean"}}
    common = {"n_neighbors": 10, "top": None}
    rows = {name: settings | common for name, settings in rows.items()}
    fitted = run_rows(recorder, problem, [0, 1], rows, {"kind": "test"})
    part = subsample(problem, 1)
    again = type(fitted["NTK", 1])(3, **rows["NTK"], random_state=1)
    again.fit(part.images, part.banks, part.train_images)
    np.testing.assert_array_equal(fitted["NTK", 1].labels_, again.labels_)
    frame = recorder.frame()
    assert frame["method"].tolist() == ["looks", "NTK"] * 2
    assert set(frame["kind"]) == {"test"}


def test_baselines_are_four_and_recorded_by_the_names_of_the_published_table(problem, recorder):
    run_baselines(recorder, problem, [0])
    names = ["k-means of images", "spectral of images", "TAC, no training"]
    assert recorder.frame()["method"].tolist() == [*names, "TAC features, spectral"]


def test_a_sweep_over_nouns_takes_the_first_of_each_bank(problem, recorder, monkeypatch):
    seen = []
    monkeypatch.setattr(ntk, "run_rows", lambda *given: seen.append(given))
    run_sweeps(recorder, problem, [0], {"nouns": [12], "mu": [0.5]})
    (_, few, _, *given), (_, whole, _, moved, _) = seen
    assert [bank.texts for bank in few.banks] == [problem.banks[0].texts[:12]] * 3
    assert given == [{"NTK": {}}, {"setting": "nouns", "value": 12}]
    assert whole.banks is problem.banks
    assert moved == {"NTK": {"mu": 0.5}}


def test_steps_stay_in_perfect_blocks_and_spread_evenly_without_any():
    y = np.repeat([0, 1, 2], [4, 5, 6])
    blocks = (y[:, None] == y).astype(float)
    np.testing.assert_allclose(class_transitions(blocks, y), np.eye(3))
    even = class_transitions(np.ones((15, 15)), y)
    np.testing.assert_allclose(even.sum(axis=1), 1)
    np.testing.assert_allclose(even[0], [3 / 14, 5 / 14, 6 / 14])
    # A diagonal is no step.
    y = np.array([0, 0, 1, 1])
    A = np.array([[9, 1, 1, 0], [1, 9, 0, 1], [1, 0, 9, 1], [0, 1, 1, 9.0]])
    np.testing.assert_allclose(class_transitions(A, y), np.full((2, 2), 0.5))


def test_block_measures_are_those_of_the_fitted_affinity(problem, recorder):
    rows = {"NTK": {"n_neighbors": 10, "top": None}}
    model = run_rows(recorder, problem, [0], rows)["NTK", 0]
    y = subsample(problem, 0).y
    found = block_measures(model, y)
    steps = class_transitions(model.affinity_.toarray(), y)
    assert found["within"] == pytest.approx(np.diag(steps).mean(), rel=1e-4)
    assert 0 <= found["between"] < found["within"] <= 1 + 1e-5
    assert found["gap"] >= 0
    assert 0 <= found["tied"] <= 1


def test_the_table_of_blocks_counts_neighbours_of_the_class(problem):
    matrices = affinity_kinds(problem.images, problem.banks[0].features, 0.04)
    # Classes that mean nothing: neighbours of the own class are rare, but for the image itself.
    y = np.random.default_rng(0).permutation(problem.y)
    table = block_table(matrices, y, n_neighbors=5).set_index("affinity")
    assert list(table.index) == ["Gaussian", "cosine", "words alone", "NTK"]
    others = matrices["cosine"].copy()
    np.fill_diagonal(others, -np.inf)
    nearest = np.argsort(-others, axis=1)[:, :5]
    expected = np.mean([y[row] == y[i] for i, row in enumerate(nearest)])
    assert table.loc["cosine", "neighbours of the class"] == pytest.approx(expected)


def test_costs_are_recorded_for_each_size_with_the_agreement_where_it_is_known(recorder):
    record_costs(recorder, {"full": [60], "features": [60, 90]}, 2, 1, 0.5, 0)
    frame = recorder.frame()
    assert frame["n_samples"].tolist() == [60, 60, 90]
    assert frame["measure_agreement"].isna().tolist() == [False, False, True]
    assert frame["measure_agreement"][0] == 1
    assert (frame["measure_seconds"] > 0).all()


def test_memory_that_is_held_for_a_while_is_seen():
    def hold():
        held = np.ones(5_000_000)
        time.sleep(0.1)
        return held.sum()

    total, seconds, memory = watched(hold)
    assert total == 5_000_000
    assert seconds >= 0.1
    assert 30 < memory < 60


def test_made_up_features_are_nearest_to_the_nouns_of_their_own_cluster():
    images, y, banks = made_up_features(50, 4, 2, 0.3, 1)
    assert len(banks) == 2
    for bank in banks:
        assert ((images @ bank.T).argmax(axis=1) // 10 == y).mean() > 0.9


def records(rows):
    return pd.DataFrame(rows, columns=["dataset", "method", "seed", "shift", "acc"])


def test_a_comparison_without_records_is_left_out(monkeypatch):
    frame = records([["d", name, seed, None, 0.1 * seed] for name in "AB" for seed in range(6)])
    monkeypatch.setattr(ntk, "results_frame", lambda *args: frame)
    table = ntk.recorded_comparisons("e", [("A", "B"), ("A", "missing")])
    assert table[["A", "B", "n", "d"]].to_numpy().tolist() == [["A", "B", 6, "+0.0 (0 of 6)"]]
    assert ntk.recorded_comparisons("e", [("A", "missing")]).empty


def test_a_loss_is_against_the_same_method_and_seed_without_a_shift(monkeypatch):
    rows = [["d", "A", 0, "none", 0.9], ["d", "A", 0, "sketch", 0.6]]
    rows += [["d", "A", 1, "none", 0.7], ["d", "A", 1, "sketch", 0.6]]
    monkeypatch.setattr(ntk, "results_frame", lambda *args: records(rows))
    (row,) = ntk.recorded_losses().to_dict("records")
    assert row == {"dataset": "d", "shift": "sketch", "n": 2, "A": pytest.approx(20)}
