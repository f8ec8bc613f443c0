"""What CAE leaves open, and when words help."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from problem_stand_ins import words_problem

from mvlib.methods import CAE, semantic_centres
from mvlib.papers.cae import (
    _labels_with,
    class_subsets,
    corrupt,
    corrupted_words,
    differences_from_default,
    gains_over_kmeans,
    mass_by_centre,
    random_words_differences,
    random_words_sentences,
    rank_agreement,
    restrict,
    sweep_settings,
    unknown_settings,
)
from mvlib.records import Recorder

problem = pytest.fixture(scope="module")(lambda: words_problem())


@pytest.fixture
def recorder():
    return Recorder("cae", "when_words_help", "quick")


def test_halves_of_the_classes_come_after_all_of_them_unless_there_are_too_few():
    subsets = class_subsets(7, 5, random_state=1)
    assert subsets[0].tolist() == list(range(7))
    assert [len(some) for some in subsets[1:]] == [3] * 5
    assert all((np.diff(some) > 0).all() for some in subsets)
    with pytest.raises(ValueError, match="n_classes=3"):
        class_subsets(3, 1)


def test_a_restricted_problem_keeps_image_label_and_class_together(problem):
    part = restrict(problem, [1, 3])
    rows = np.flatnonzero(np.isin(problem.y, [1, 3]))
    assert part.data_set.class_names == ("b", "d")
    assert part.data_set.images == [f"{i}.png" for i in rows]
    assert part.y.tolist() == [{1: 0, 3: 1}[label] for label in problem.y[rows]]
    np.testing.assert_array_equal(part.images, problem.images[rows])
    np.testing.assert_array_equal(part.classes, problem.classes[[1, 3]])


def test_gain_and_gap_are_points_over_the_same_k_means(problem, recorder):
    gains_over_kmeans(recorder, problem, [0], n_subsets=1)
    frame = recorder.frame()
    assert len(frame) == 4
    assert set(frame["subset"]) == {0, 1}
    floor = 100 * frame["acc"] - frame["measure_gain"]
    assert floor.groupby(frame["subset"]).nunique().tolist() == [1, 1]
    assert frame.groupby("subset")["measure_gap"].nunique().tolist() == [1, 1]


def test_ranks_agree_fully_where_the_gain_grows_with_the_gap():
    gaps = {"measure_gap": [1, 1, 2, 2, 3, 3.0], "measure_gain": [-1, -3, 0.5, 0.7, 5, 4.0]}
    frame = pd.DataFrame({"subset": [0, 0, 1, 1, 2, 2]} | gaps)
    frame = frame.assign(method="CAE", encoder="e", dataset="d")
    (row,) = rank_agreement(frame).to_dict("records")
    assert row["problems"] == 3
    assert row["rank correlation"] == pytest.approx(1)
    assert row["same sign"] == pytest.approx(2 / 3)


def test_a_larger_corruption_holds_the_smaller_and_keeps_lengths(problem):
    bank = problem.nouns
    half, most = corrupt(bank, 0.5, 3), corrupt(bank, 0.8, 3)
    changed = [np.any(some.features != bank.features, axis=1) for some in (half, most)]
    assert [int(rows.sum()) for rows in changed] == [10, 16]
    assert (changed[0] <= changed[1]).all()
    np.testing.assert_allclose(
        np.linalg.norm(most.features, axis=1), np.linalg.norm(bank.features, axis=1), rtol=1e-5
    )
    assert half.texts == bank.texts
    with pytest.raises(ValueError, match="share=1.5"):
        corrupt(problem.nouns, 1.5, 0)


def test_corruption_leaves_k_means_alone_and_no_corruption_leaves_cae_alone(problem, recorder):
    frame = corrupted_words(recorder, problem, [2, 3], [0.0, 1.0])
    chosen = "CAE with words chosen among random ones"
    # What chooses among random words does so once a seed.
    counts = {"CAE": 4, chosen: 2, "k-means of images": 4}
    assert frame.groupby("method").size().to_dict() == counts
    frame = frame[frame["seed"] == 3]
    kmeans = frame[frame["method"] == "k-means of images"]
    assert kmeans["corrupted"].tolist() == [0.0, 1.0]
    assert kmeans["acc"].nunique() == 1
    cae = frame[frame["method"] == "CAE"].set_index("corrupted")["acc"]
    assert cae[0.0] > cae[1.0]
    model = CAE(4, random_state=3).fit(problem.images, problem.texts)
    np.testing.assert_array_equal(_labels_with(model, problem, 0.0, 3), model.labels_)


def words_frame(real, random, kmeans):
    kinds = [("CAE", 0.0, real), ("CAE", 1.0, random)]
    kinds += [("k-means of images", share, kmeans) for share in (0.0, 1.0)]
    rows = [(*kind, seed, acc) for *kind, accs in kinds for seed, acc in enumerate(accs)]
    frame = pd.DataFrame(rows, columns=["method", "corrupted", "seed", "acc"])
    return frame.assign(dataset="openclipart")


def test_random_words_are_compared_seed_by_seed_with_an_interval(problem):
    real, random, kmeans = [0.5, 0.52, 0.48], [0.4, 0.44, 0.39], [0.45, 0.5, 0.41]
    table = random_words_differences(words_frame(real, random, kmeans)).set_index(["A", "B"])
    row = table.loc["CAE with random words", "CAE with real words"]
    gaps = 100 * (np.array(random) - real)
    half = 4.302653 * gaps.std(ddof=1) / 3**0.5  # t at 97.5 %, two degrees of freedom
    assert row["n"] == 3
    assert row["difference"] == pytest.approx(gaps.mean())
    assert row["ci_low"] == pytest.approx(gaps.mean() - half, abs=1e-4)
    assert row["ci_high"] == pytest.approx(gaps.mean() + half, abs=1e-4)
    assert len(table) == 3


def test_the_sentence_on_random_words_follows_the_interval():
    apart = random_words_sentences(words_frame([0.5, 0.51], [0.4, 0.41], [0.45, 0.46]))
    assert apart.startswith("- Open Clip Art, 2 seeds: CAE with real words is above k-means")
    assert "CAE with random words is below CAE with real words (-10.0 points, -10.0" in apart
    close = random_words_sentences(words_frame([0.5, 0.4], [0.4, 0.5], [0.45, 0.46]))
    assert close.count("is not told apart from") == 3


def test_each_setting_starts_with_the_default_and_changes_one_thing(problem):
    settings = unknown_settings(problem, (), [5], (), problem.images + 1)
    for values in settings.values():
        (default, options), *others = values.values()
        assert default is problem
        assert options == {}
        for changed, given in others:
            fields = ("nouns", "captions", "train_images", "images", "classes")
            differing = [f for f in fields if getattr(changed, f) is not getattr(problem, f)]
            assert len(differing) + len(given) == 1
    (some, _) = settings["captions"]["Open Clip Art, 5"]
    assert len(some.captions) == 5
    assert set(some.captions.texts) < set(problem.captions.texts)
    # Where there is a train split it is the default.
    split = replace(problem, train_images=problem.images[::2])
    values = unknown_settings(split, (), (), ())["what chooses the words"]
    assert list(values) == ["the train split", "the images themselves"]
    assert values["the images themselves"][0].train_images is None


def test_masses_by_centre_give_every_centre_the_same(problem):
    mass = mass_by_centre(problem)
    centres = semantic_centres(problem.images, 12, random_state=0)
    nearest = [max(range(12), key=lambda k, x=x: x @ centres[k]) for x in problem.images]
    sums = [mass[np.array(nearest) == k].sum() for k in sorted(set(nearest))]
    np.testing.assert_allclose(sums, 1 / len(sums), rtol=1e-6)


def test_the_default_is_fitted_once_a_seed_and_recorded_under_each_setting(
    problem, recorder, monkeypatch
):
    fits = []
    monkeypatch.setattr(CAE, "fit", lambda self, *a, fit=CAE.fit, **k: fits.append(self)
                        or fit(self, *a, **k))  # fmt: skip
    cost = {"1 - cosine": (problem, {}), "euclidean": (problem, {"cost": "euclidean"})}
    settings = {"cost": cost, "captions": {"all": (problem, {})}}
    sweep_settings(recorder, problem, settings, [0, 1], {"n_nouns": 20})
    assert [model.cost for model in fits] == ["cosine", "euclidean"] * 2
    frame = recorder.frame()
    assert len(frame) == 6
    assert set(frame["n_nouns"]) == {20}
    own = frame[frame["value"].isin(["1 - cosine", "all"])]
    assert own.groupby("seed")["acc"].nunique().tolist() == [1, 1]


def test_a_difference_is_from_the_first_value_over_the_same_seeds():
    rows = [["cost", "cosine", 0, 0.5], ["cost", "euclidean", 0, 0.4]]
    rows += [["cost", "cosine", 1, 0.6], ["cost", "euclidean", 1, 0.54]]
    rows += [["captions", "all", 0, 0.5], ["captions", "all", 1, 0.6]]
    frame = pd.DataFrame(rows, columns=["setting", "value", "seed", "acc"])
    frame = frame.assign(dataset="openclipart")
    (row,) = differences_from_default(frame).to_dict("records")
    assert (row["default"], row["value"], row["n"]) == ("cosine", "euclidean", 2)
    assert row["difference"] == pytest.approx(-8)
    assert (row["ACC, default"], row["ACC"]) == (pytest.approx(55), pytest.approx(47))
    assert row["ci_low"] == pytest.approx(-8 - 12.7062 * 2, abs=1e-3)
