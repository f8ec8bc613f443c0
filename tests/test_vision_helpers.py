"""What the notebooks on images and words share."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from problem_stand_ins import FewImages, NamedEncoder

from mvlib.encoders import TextBank
from mvlib.methods import CAE, SIC, semantic_centres
from mvlib.papers import settings_ranges as ranges
from mvlib.papers import words_analysis as look
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
from mvlib.tasks.images_with_words import (
    VisionProblem,
    retrieval_recall,
    run_methods,
    short_side,
    vision_problem,
    with_images,
)


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), 15)
    means = np.eye(16, dtype=np.float32)[:4]
    words = np.repeat(means, 5, axis=0) + 0.1 * rng.normal(size=(20, 16))
    noisy = means[y] + 0.35 * rng.normal(size=(60, 16))
    names = tuple(f"word {number}" for number in range(20))
    bank = TextBank(names, words.astype(np.float32))
    whole = FewImages("openclipart", [f"{i}.png" for i in range(60)], y, ("a", "b", "c", "d"))
    return VisionProblem(
        whole, NamedEncoder(), noisy.astype(np.float32), None, bank, bank, means
    )


@pytest.fixture
def recorder():
    return Recorder("cae", "when_words_help", "quick")


def test_every_method_is_recorded_once_a_seed_and_zero_shot_once(problem, recorder):
    fitted = run_methods(recorder, problem, [0, 1], n_init=2)
    frame = recorder.frame()
    assert frame.groupby("method").size().to_dict() == {
        "k-means of images": 2,
        "TAC, no training": 2,
        "CAE": 2,
        "zero-shot": 1,
    }
    assert set(frame["encoder"]) == {"made up"}
    assert fitted["zero-shot", None].labels_.shape == (60,)


def test_a_problem_wants_one_prompt_or_all_seven():
    with pytest.raises(ValueError, match="n_prompts=3.*expected 1 or 7"):
        vision_problem(n_prompts=3)


def test_halves_of_the_classes_come_after_all_of_them():
    subsets = class_subsets(7, 5, random_state=1)
    assert subsets[0].tolist() == list(range(7))
    assert [len(some) for some in subsets[1:]] == [3] * 5
    assert all((np.diff(some) > 0).all() for some in subsets)


def test_too_few_classes_cannot_be_halved():
    with pytest.raises(ValueError, match="n_classes=3"):
        class_subsets(3, 1)


def test_a_restricted_problem_keeps_image_label_and_class_together(problem):
    part = restrict(problem, [1, 3])
    rows = np.flatnonzero(np.isin(problem.y, [1, 3]))
    assert part.data_set.class_names == ("b", "d")
    assert part.data_set.images == [f"{i}.png" for i in rows]
    assert [part.data_set.class_names[label] for label in part.y] == [
        problem.data_set.class_names[label] for label in problem.y[rows]
    ]
    np.testing.assert_array_equal(part.images, problem.images[rows])
    np.testing.assert_array_equal(part.classes, problem.classes[[1, 3]])


def test_a_problem_of_some_images_keeps_image_label_and_feature_together(problem):
    part = with_images(problem, np.array([3, 20, 50]))
    assert part.data_set.images == ["3.png", "20.png", "50.png"]
    assert part.y.tolist() == problem.y[[3, 20, 50]].tolist()
    np.testing.assert_array_equal(part.images, problem.images[[3, 20, 50]])
    assert part.n_clusters == 4


def test_gain_and_gap_are_points_over_the_same_k_means(problem, recorder):
    gains_over_kmeans(recorder, problem, [0], n_subsets=1)
    frame = recorder.frame()
    assert len(frame) == 4
    assert set(frame["subset"]) == {0, 1}
    floor = 100 * frame["acc"] - frame["measure_gain"]
    assert floor.groupby(frame["subset"]).nunique().tolist() == [1, 1]
    assert frame.groupby("subset")["measure_gap"].nunique().tolist() == [1, 1]


def test_ranks_agree_fully_where_the_gain_grows_with_the_gap():
    frame = pd.DataFrame(
        {
            "method": "CAE",
            "encoder": "e",
            "dataset": "d",
            "subset": [0, 0, 1, 1, 2, 2],
            "measure_gap": [1, 1, 2, 2, 3, 3.0],
            "measure_gain": [-1, -3, 0.5, 0.7, 5, 4.0],
        }
    )
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


def test_a_share_beyond_one_is_refused(problem):
    with pytest.raises(ValueError, match="share=1.5"):
        corrupt(problem.nouns, 1.5, 0)


def test_corruption_leaves_k_means_alone_and_no_corruption_leaves_cae_alone(problem, recorder):
    frame = corrupted_words(recorder, problem, [3], [0.0, 1.0])
    kmeans = frame[frame["method"] == "k-means of images"]
    assert kmeans["corrupted"].tolist() == [0.0, 1.0]
    assert kmeans["acc"].nunique() == 1
    cae = frame[frame["method"] == "CAE"].set_index("corrupted")["acc"]
    assert cae[0.0] > cae[1.0]
    model = CAE(4, random_state=3).fit(problem.images, problem.texts)
    np.testing.assert_array_equal(_labels_with(model, problem, 0.0, 3), model.labels_)


def test_cae_that_chooses_among_random_words_is_recorded_once_a_seed(problem, recorder):
    frame = corrupted_words(recorder, problem, [0, 1], [0.5])
    assert frame.groupby("method").size().to_dict() == {
        "CAE": 2,
        "CAE with words chosen among random ones": 2,
        "k-means of images": 2,
    }


def words_frame(real, random, kmeans):
    rows = [("CAE", 0.0, real), ("CAE", 1.0, random)]
    rows += [("k-means of images", share, kmeans) for share in (0.0, 1.0)]
    return pd.DataFrame(
        [
            {"dataset": "openclipart", "method": m, "corrupted": c, "seed": seed, "acc": acc}
            for m, c, accs in rows
            for seed, acc in enumerate(accs)
        ]
    )


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


def test_a_train_split_is_the_default_and_the_images_themselves_the_other_value(problem):
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
    frame = pd.DataFrame(
        {
            "dataset": "openclipart",
            "setting": ["cost"] * 4 + ["captions"] * 2,
            "value": ["cosine", "euclidean"] * 2 + ["all"] * 2,
            "seed": [0, 0, 1, 1, 0, 1],
            "acc": [0.5, 0.4, 0.6, 0.54, 0.5, 0.6],
        }
    )
    (row,) = differences_from_default(frame).to_dict("records")
    assert (row["default"], row["value"], row["n"]) == ("cosine", "euclidean", 2)
    assert row["difference"] == pytest.approx(-8)
    assert (row["ACC, default"], row["ACC"]) == (pytest.approx(55), pytest.approx(47))
    assert row["ci_low"] == pytest.approx(-8 - 12.7062 * 2, abs=1e-3)


@pytest.fixture
def recorded(monkeypatch):
    frame = pd.DataFrame(
        {
            "dataset": "openclipart",
            "method": "CAE",
            "epsilon": [0.01, 0.01, 1.0, 1.0, None],
            "seed": [5, 15, 5, 15, 5],
            "acc": [0.5, 0.52, 0.4, 0.42, 0.99],
        }
    )
    empty = frame.iloc[:0].drop(columns="epsilon")
    monkeypatch.setattr(
        ranges,
        "results_frame",
        lambda paper, profile, experiment, root: frame if experiment == "sinkhorn" else empty,
    )


def test_the_range_of_a_setting_is_best_less_worst_mean(recorded):
    (row,) = ranges.setting_ranges("cae", "reduced").to_dict("records")
    assert row["setting"] == "entropy of the plan"
    assert (row["best"], row["worst"], row["values"]) == ("0.01", "1", 2)
    assert row["ACC, best"] == pytest.approx(51)
    assert row["range"] == pytest.approx(10)
    assert row["seed sd"] == pytest.approx(np.std([50, 52], ddof=1))


def test_a_replaced_bank_reaches_the_methods(problem, recorder):
    noise = replace(problem, nouns=corrupt(problem.nouns, 1.0, 0))
    run_methods(recorder, noise, [0], ["TAC, no training"], n_init=2)
    run_methods(recorder, problem, [0], ["TAC, no training"], n_init=2)
    bad, good = recorder.frame()["acc"]
    assert good > bad


def test_images_put_right_are_those_of_one_clustering_alone():
    y = np.array([0, 0, 0, 1, 1, 1])
    labels = np.array([7, 7, 7, 2, 2, 2])
    other = np.array([1, 1, 0, 0, 0, 1])
    assert look.put_right(y, labels, other).tolist() == [2, 5]
    assert look.put_right(y, other, labels).tolist() == []


def test_images_of_a_cluster_without_a_class_are_wrong():
    y = np.array([0, 0, 1, 1, 1])
    assert look.put_right(y, np.array([0, 0, 1, 1, 2]), y + 1).tolist() == []
    assert look.put_right(y, y, np.array([0, 0, 1, 1, 2])).tolist() == [4]


def test_shares_of_an_image_sum_to_one_over_the_kept_words(problem):
    model = CAE(4, top_k=3, n_init=2, random_state=0).fit(problem.images, problem.texts)
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
    assert [list(words.items()) for words in found] == [
        [("a", 0.5), ("c", 0.4)],
        [("b", 0.7), ("c", 0.2)],
    ]


def test_classes_that_share_no_word_do_not_overlap():
    shares = np.array([[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1.0]])
    table = look.class_confusions(("a", "b", "c"), shares, np.array([0, 1, 2]), "xyz")
    assert table[["class", "and", "overlap"]].values.tolist() == [
        ["x", "y", 0.5],
        ["x", "z", 0.0],
        ["y", "z", 0.0],
    ]
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


def test_the_reading_that_can_fail_is_a_share_of_images_and_the_other_passes_blindly(problem):
    model = CAE(4, top_k=3, n_init=2, random_state=0).fit(problem.images, problem.texts)
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


def test_recall_counts_the_images_whose_own_text_is_among_the_nearest():
    images = np.eye(4)
    texts = np.eye(4)[[0, 1, 3, 2]]
    assert retrieval_recall(images, texts, k=1) == 0.5
    assert retrieval_recall(images, texts, k=4) == 1.0


def test_recall_wants_no_more_texts_than_there_are():
    with pytest.raises(ValueError, match="k=5"):
        retrieval_recall(np.eye(4), np.eye(4), k=5)


def test_the_most_central_sample_points_as_its_cluster_does():
    embedding = np.array([[1, 0], [2, 0.5], [1, -0.5], [0, 3.0]])
    found = look.centrality(embedding, np.array([4, 4, 4, 9]))
    assert found[3] == pytest.approx(1)
    assert found[:3].argmax() == 0


@pytest.mark.parametrize(
    ("square", "rule", "expected"), [(224, 224, 224), (224, 256, 256), (160, 224, 160)]
)
def test_every_encoder_sees_the_same_part_of_an_image(square, rule, expected):
    images = SimpleNamespace(card=SimpleNamespace(resize=rule))
    assert short_side(images, SimpleNamespace(image_size=square)) == expected


def test_a_split_that_no_set_has_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="train_split='trian'.*Did you mean 'train'"):
        vision_problem(train_split="trian")
