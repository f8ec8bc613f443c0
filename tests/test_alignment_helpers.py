"""What the notebooks on alignment share: problems, runs, tables, clouds and figures."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mvlib.methods.set_clip import mmd, semantic_density_distribution_loss
from mvlib.papers import set_clip as toy_clouds
from mvlib.papers.set_clip import (
    CHANCE,
    alignment_results,
    compare_recall,
    recall_table,
    retrieval_table,
    unpaired_table,
    with_chance,
)
from mvlib.records import Recorder, paired_comparisons
from mvlib.tasks import modalities as problems
from mvlib.tasks.modalities import (
    DISJOINT,
    INDEPENDENT,
    SAME,
    AlignmentProblem,
    alignment_measures,
    alignment_problem,
    network,
    record_alignment,
    run_draws,
    run_methods,
)

SETTINGS = {"n_steps": 3, "embedding_dim": 8, "batch_size": 16, "device": "cpu"}


def problem(n_train=40, n_test=20, classes=True):
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=n_train + n_test)
    Xs = [
        (rng.normal(size=(3, d))[y] + rng.normal(size=(len(y), d))).astype(np.float32)
        for d in (6, 5)
    ]
    parts = slice(None, n_train), slice(n_train, None)
    train, test = ([X[part] for X in Xs] for part in parts)
    y_train, y_test = (y[part] if classes else None for part in parts)
    return AlignmentProblem("wiki", ("image", "text"), 1, train, test, y_train, y_test)


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
    whole = alignment_problem("wiki", 3, n_train=15, n_test=50, n_components=0)
    train, test = (set(part[0][:, 0]) for part in (whole.train, whole.test))
    assert (len(train), len(test), len(train & test)) == (15, 10, 0)
    reduced = alignment_problem("wiki", 3, n_train=15, n_test=50, n_components=3)
    assert [X.shape[1] for X in reduced.train] == [3, 3]
    found.Xs[0][sorted(map(int, test))] *= 100
    again = alignment_problem("wiki", 3, n_train=15, n_test=50, n_components=3)
    np.testing.assert_allclose(again.train[0], reduced.train[0], atol=1e-4)
    other = alignment_problem("wiki", 4, n_train=15, n_test=50, n_components=0)
    assert set(other.test[0][:, 0]) != test


@pytest.mark.parametrize(("n_train", "n_test", "size"), [(15, 5, 20), (2500, 600, None)])
def test_no_more_rows_are_loaded_than_are_wanted_or_there_are(
    monkeypatch, n_train, n_test, size
):
    asked = []

    def load(name, size, split, **options):
        asked.append((name, size, split))
        raise FileNotFoundError

    monkeypatch.setattr(problems, "load_modalities", load)
    with pytest.raises(FileNotFoundError):
        alignment_problem("wiki", 3, n_train=n_train, n_test=n_test)
    assert asked == [("wiki", size, 3)]


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
def test_disjoint_things_leave_out_rows_of_the_fit_and_none_that_are_scored(draws, lengths):
    seen = []

    class Given:
        n_clusters = None

        def fit(self, Xs, pairs):
            seen.extend([*map(len, Xs), len(pairs)])

        def transform(self, Xs):
            return [X[:, :5] for X in Xs]

    record = recorder()
    record_alignment(record, "given", problem(), Given(), 0.25, draws)
    assert seen == [*lengths, 10]
    assert record.frame()["measure_gallery"].tolist() == [20]


def test_each_draw_is_recorded_at_each_ratio_and_all_pairs_once():
    record = recorder()
    run_draws(record, problem(), [0, 1], [0.0, 0.1, 1.0], SETTINGS)
    frame = record.frame()
    counts = frame.groupby(["ratio", "draws"]).size()
    assert counts.to_dict() == {
        **{
            (ratio, draws): 2 for ratio in (0.0, 0.1) for draws in (SAME, INDEPENDENT, DISJOINT)
        },
        (1.0, INDEPENDENT): 2,
    }
    assert frame["split"].unique().tolist() == [1]
    assert frame["acc"].between(0, 1).all()


def test_methods_are_run_where_they_can_be():
    record = recorder()
    run_methods(record, problem(classes=False), [0, 1], [0.0, 0.25], SETTINGS, max_rows=20)
    frame = record.frame()
    ratios = frame.groupby("method")["ratio"].agg(lambda some: sorted(some, key=str))
    assert ratios["Set-CLIP"] == [0.0, 0.0, 0.25, 0.25]
    assert ratios["CLIP on the pairs"] == ratios["S-CLIP"] == [0.25, 0.25]
    assert ratios["CCA"] == ratios["Procrustes"] == [0.25]
    assert np.isnan(ratios["chance"]).all()
    assert len(ratios["Gromov-Wasserstein"]) == 2
    assert frame["acc"].isna().all()


@pytest.fixture
def frame():
    rows = []
    for split in (0, 1):
        for seed in (5, 15, 25, 35):
            for draws, recall in ((SAME, 0.5), (INDEPENDENT, 0.1)):
                row = {"dataset": "wiki", "method": "Set-CLIP", "split": split, "seed": seed}
                row |= {"ratio": 0.0, "draws": draws, "measure_gallery": 100.0}
                row |= {f"measure_rank_{way}": 12.0 for way in ("first", "second")}
                for name in ("r1", "r5", "r10", "batch"):
                    row |= {f"measure_{name}_{way}": recall for way in ("first", "second")}
                row["measure_r10"] = recall + 0.01 * split + 0.0001 * seed
                row |= {"measure_class_r1": 0.4, "measure_class_chance": 0.25}
                rows.append(row)
    return pd.DataFrame(rows)


def test_every_score_of_the_table_has_its_chance(frame):
    table = retrieval_table(frame, ["draws"])
    assert table["queries"].tolist() == ["first", "second"] * 2
    row = table.iloc[0]
    assert (row["n"], row["gallery"]) == (8, 100)
    assert row["R@1"] == "50.0 ± 0.0 (1.0)"
    assert row["R@10"].endswith("(10.0)")
    assert row["median rank"] == "12.0 ± 0.0 (50.5)"
    assert row["top-1 of 50"].endswith("(2.0)")
    frame.loc[0, "measure_gallery"] = 50.0
    with pytest.raises(ValueError, match="galleries"):
        retrieval_table(frame, ["draws"])


def test_recall_by_ratio_and_without_pairs(frame):
    later = frame.assign(ratio=0.05, measure_r10=frame["measure_r10"] + 0.2)
    table = recall_table(pd.concat([frame, later]), ["draws"], "ratio")
    assert table.columns.tolist() == ["draws", "n", "chance", "0%", "5%"]
    assert table["chance"].tolist() == ["10.0"] * 2
    assert table["n"].tolist() == [8, 8]
    assert table.loc[0, "5%"].startswith("70.7 ± ")
    without_classes = frame.drop(columns="measure_class_r1")
    assert recall_table(without_classes, ["draws"], "ratio", "class_r1").empty
    alone = unpaired_table(pd.concat([frame, later]))
    assert alone["n"].tolist() == [8, 8]
    assert alone["chance of same class"].tolist() == ["25.0"] * 2
    assert alone["same class over chance"].tolist() == ["+60%"] * 2
    assert unpaired_table(frame.drop(columns="measure_class_r1"))["same class"].isna().all()


def test_tables_of_what_is_not_recorded_yet_are_empty(tmp_path):
    (tmp_path / "notebooks" / "toy").mkdir(parents=True, exist_ok=True)
    nothing = alignment_results("leakage", root=tmp_path)
    assert nothing[nothing["ratio"] == 0].empty
    assert retrieval_table(nothing, ["draws"]).empty
    assert recall_table(nothing, ["draws"], "ratio").empty
    assert with_chance(nothing).empty
    assert compare_recall(nothing, [(SAME, CHANCE)], ("seed",)).empty


def test_a_measure_can_be_tested_against_chance(frame):
    both = with_chance(frame, "draws")
    assert (both["draws"] == CHANCE).sum() == 8
    keys = ("split", "seed")
    test = paired_comparisons(both, [(SAME, CHANCE)], keys, "measure_r10", column="draws")
    assert test.loc[0, "n"] == 8
    assert test.loc[0, "difference"] == pytest.approx(40.7, abs=0.01)
    assert test.loc[0, "verdict"] == f"{SAME} ahead here"
    arms = both.rename(columns={"draws": "arm"})
    few = compare_recall(arms, [(INDEPENDENT, CHANCE), (SAME, "not recorded")], keys)
    assert few[["A", "B", "n"]].values.tolist() == [[INDEPENDENT, CHANCE, 8]]
    assert compare_recall(arms, [(SAME, "not recorded")], keys).empty
    with pytest.raises(ValueError, match="measure_r11"):
        paired_comparisons(both, [(SAME, CHANCE)], keys, "measure_r11", column="draws")


def test_losses_are_lowest_where_the_turn_is_undone():
    points, groups = toy_clouds.three_groups(40, random_state=1)
    order = np.random.default_rng(0).permutation(40)
    second = toy_clouds.turned(points, 120)[order]
    losses = {"SDD": semantic_density_distribution_loss, "MMD": mmd}
    table = toy_clouds.losses_by_angle(points, second, losses, range(0, 360, 40))
    lowest = table.loc[table.groupby("loss")["value"].idxmin(), "angle"]
    assert lowest.tolist() == [240, 240]
    back = toy_clouds.turned(second, 240)
    assert toy_clouds.group_agreement(points, back, groups, groups[order]) == 1


def test_symmetric_clouds_have_three_lowest_points_and_a_descent_takes_the_next():
    points, groups = toy_clouds.three_groups(60, symmetric=True)
    ends = [toy_clouds.descend(points, points, mmd, start, 40)[-1] for start in (20, 140, 260)]
    np.testing.assert_allclose((np.array(ends) + 60) % 360 - 60, [0, 120, 240], atol=15)
    wrong = toy_clouds.turned(points, 120)
    assert toy_clouds.group_agreement(points, wrong, groups, groups) == 0


def test_recall_is_drawn_with_chance_and_ratios_in_per_cent(frame):
    from mvlib import plots

    later = frame.assign(ratio=0.05)
    figure = plots.plot_recall(pd.concat([frame, later]), "ratio", "draws", "known pairs (%)")
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "5"]
    assert any(
        line.get_linestyle() == ":" and set(np.round(line.get_ydata(), 6)) == {10.0}
        for line in ax.lines
    )
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [SAME, INDEPENDENT, "chance"]
