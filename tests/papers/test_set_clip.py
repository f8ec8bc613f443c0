"""Tables of alignment with chance beside every number, tests of arms, toy clouds."""

from itertools import product

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
    with_chance,
)
from mvlib.records import paired_comparisons
from mvlib.tasks.modalities import INDEPENDENT, SAME

DIRECTIONS = ("first", "second")


@pytest.fixture
def frame():
    rows = []
    recalls = [(SAME, 0.5), (INDEPENDENT, 0.1)]
    for split, seed, (draws, recall) in product((0, 1), (5, 15, 25, 35), recalls):
        measures = dict.fromkeys(["r1", "r5", "r10", "batch"], recall) | {"rank": 12.0}
        row = {"split": split, "seed": seed, "draws": draws}
        row |= {f"measure_{k}_{way}": v for k, v in measures.items() for way in DIRECTIONS}
        rows.append(row | {"measure_r10": recall + 0.01 * split + 0.0001 * seed})
    same = {"measure_gallery": 100.0, "measure_class_r1": 0.4, "measure_class_chance": 0.25}
    same |= {"dataset": "wiki", "method": "Set-CLIP", "ratio": 0.0}
    return pd.DataFrame(rows).assign(**same)


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
