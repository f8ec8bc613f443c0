"""A method beats another only where a test says so, and spreads go to what causes them."""

import gc
from itertools import combinations, product

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mvlib import plots
from mvlib.experiments import paired_comparisons, rank_table, variance_shares

mpl.use("agg")


@pytest.fixture(autouse=True, scope="module")
def _nothing_old_to_collect():
    # statsmodels collects garbage at each correction, half a second amid pytest's objects.
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def results(scores, dataset="wiki", split=20):
    """Return a results frame: method to points, a seed each."""
    rows = [
        {"method": method, "dataset": dataset, "split": split, "seed": seed, "acc": value / 100}
        for method, values in scores.items()
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def against_zero(differences):
    """Return the one row of a comparison with these differences, in points."""
    floor = np.full(len(differences), 50.0)
    frame = results({"SMART": floor + differences, "floor": floor})
    return paired_comparisons(frame, [("SMART", "floor")]).iloc[0]


def slow_p(differences):
    """Return the two-sided signed-rank p over all signs of the differences that are not 0."""
    moved = np.array([d for d in differences if d != 0])
    ranks = [
        np.mean([np.sum(abs(moved) < abs(d)) + 1, np.sum(abs(moved) <= abs(d))]) for d in moved
    ]
    sums = [np.dot(ranks, signs) for signs in product((0, 1), repeat=len(moved))]
    seen = np.dot(ranks, moved > 0)
    tails = np.mean(np.array(sums) >= seen - 1e-9), np.mean(np.array(sums) <= seen + 1e-9)
    return min(1.0, 2 * min(tails))


def test_six_wins_of_six_are_the_fewest_that_a_verdict_can_rest_on():
    row = against_zero([1, 2, 3, 4, 5, 6])
    assert row["p"] == row["p_holm"] == 0.03125
    assert (row["verdict"], row["detail"]) == ("SMART beats floor", "")
    assert (row["n"], row["ahead"], row["effect"]) == (6, 6, 1.0)
    five = against_zero([1, 2, 3, 4, 5])
    assert five["p"] == 0.0625
    assert five["verdict"] == "not told apart"
    assert five["detail"] == "5 pairs cannot reach p < 0.05"


@pytest.mark.parametrize("seed", range(6))
def test_p_is_exact_with_tied_ranks_and_cells_without_a_difference(seed):
    rng = np.random.default_rng(seed)
    differences = rng.integers(-2, 5, size=rng.integers(6, 12))
    assert against_zero(differences)["p"] == pytest.approx(slow_p(differences))


def test_p_without_ties_is_exact_beyond_what_all_signs_are_tried_for():
    differences = np.arange(1, 19) * np.where(np.arange(18) % 4, 1, -1)
    ways = np.zeros(18 * 19 // 2 + 1)
    ways[0] = 1
    for rank in range(1, 19):
        ways[rank:] += ways[:-rank].copy()
    lost = -differences[differences < 0].sum()
    assert against_zero(differences)["p"] == pytest.approx(2 * ways[: lost + 1].sum() / 2**18)


def test_the_effect_is_the_rank_biserial_correlation():
    # Ranks 1 to 4, of which 2 speaks against: (1 + 3 + 4 - 2) / 10.
    assert against_zero([0.5, -1, 2, 9])["effect"] == pytest.approx(0.6)
    # Zero counts for neither; 1, 1 and 1 share rank 2.
    assert against_zero([0, 1, 1, -1])["effect"] == pytest.approx(2 / 6)


def test_mean_spread_and_interval_are_in_points():
    differences = np.array([1.5, -0.5, 2.0, 4.0, 3.0, 0.5])
    row = against_zero(differences)
    interval = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(tuple(interval))
    assert row["difference"] == pytest.approx(differences.mean())
    assert row["sd"] == pytest.approx(differences.std(ddof=1))
    assert (row["n"], row["ahead"]) == (6, 5)


def test_one_cell_has_no_spread_and_no_verdict():
    row = against_zero([3.0])
    assert row[["sd", "ci_low", "ci_high"]].isna().all()
    assert (row["difference"], row["p"]) == (pytest.approx(3.0), 1.0)
    assert (row["verdict"], row["detail"]) == (
        "not told apart",
        "1 pair cannot reach p < 0.05",
    )


def test_equal_results_are_not_told_apart():
    row = against_zero(np.zeros(8))
    assert (row["p"], row["effect"], row["ahead"]) == (1.0, 0.0, 0)
    assert row["verdict"] == "not told apart"
    assert row["detail"] == "0 of 8 pairs differ and cannot reach p < 0.05"
    assert against_zero([0, 0, 0, 1, 2, 3, 4, 5])["detail"].startswith("5 of 8 pairs differ")


def test_the_last_bit_of_a_float_makes_no_difference():
    a, b = [0.1 + 0.2, 0.7, 0.8], [0.3, 0.6, 0.7]
    frame = results({"A": np.multiply(100, a), "B": np.multiply(100, b)})
    row = paired_comparisons(frame, [("A", "B")]).iloc[0]
    assert row["ahead"] == 2
    assert row["detail"].startswith("2 of 3 pairs differ")
    assert row["p"] == 0.5


def test_swapping_the_names_turns_signs_and_winner_and_keeps_p():
    rng = np.random.default_rng(1)
    frame = results({"A": rng.normal(60, 3, 12), "B": rng.normal(50, 3, 12)})
    row = paired_comparisons(frame, [("A", "B")]).iloc[0]
    back = paired_comparisons(frame, [("B", "A")]).iloc[0]
    assert row["verdict"] == back["verdict"] == "A beats B"
    assert row["p"] == back["p"]
    assert row["sd"] == pytest.approx(back["sd"])
    assert row[["difference", "effect"]].tolist() == [-back["difference"], -back["effect"]]
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((-back["ci_high"], -back["ci_low"]))
    assert row["ahead"] == 12 - back["ahead"]


def test_holms_correction_is_over_the_table_and_decides_the_verdict():
    rng = np.random.default_rng(2)
    base = rng.normal(50, 1, 8)
    scores = {"A": base}
    for name, shift in (("B", 0.4), ("C", 1.2), ("D", 1.8)):
        scores[name] = base - shift + rng.normal(0, 1, 8)
    table = paired_comparisons(results(scores), list(combinations("ABCD", 2)))
    expected, largest = {}, 0.0
    for place, (number, p) in enumerate(sorted(table["p"].items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, p * (len(table) - place)))
        expected[number] = largest
    assert table["p_holm"].to_dict() == pytest.approx(expected)
    told = table["verdict"] != "not told apart"
    assert told.tolist() == (table["p_holm"] < 0.05).tolist()
    assert told.any()
    assert ((table["p"] < 0.05) & ~told).any()


def test_six_wins_of_six_are_not_enough_among_other_comparisons():
    wins = np.arange(1, 7)
    frame = results({"A": 60 + wins, "B": np.full(6, 60), "C": 60 - wins})
    table = paired_comparisons(frame, [("A", "B"), ("B", "C")])
    assert table["p"].tolist() == [0.03125, 0.03125]
    assert table["p_holm"].tolist() == [0.0625, 0.0625]
    assert set(table["verdict"]) == {"not told apart"}
    assert set(table["detail"]) == {""}


def test_alpha_itself_is_not_below_alpha():
    frame = results({"A": np.arange(51, 57), "B": np.full(6, 50)})
    row = paired_comparisons(frame, [("A", "B")], alpha=0.03125).iloc[0]
    assert row["verdict"] == "not told apart"
    assert row["detail"] == "6 pairs cannot reach p < 0.03125"
    looser = paired_comparisons(frame, [("A", "B")], alpha=0.0313).iloc[0]
    assert looser["verdict"] == "A beats B"


def test_a_mean_against_the_verdict_is_told():
    row = against_zero([1, 2, 3, 4, 5, 6, 7, 8, 9, -49])
    assert row["verdict"] == "not told apart"
    row = against_zero([*np.arange(1, 15) / 10, -49])
    assert row["difference"] < 0
    assert row["verdict"] == "SMART beats floor"
    assert row["detail"] == "the mean points the other way"


def test_only_cells_that_both_have_are_paired_whatever_their_order():
    frame = results({"A": [51, 53, 55, 70], "B": [50, 50, 50]}).sample(frac=1, random_state=0)
    row = paired_comparisons(frame, [("A", "B")]).iloc[0]
    assert (row["n"], row["difference"]) == (3, pytest.approx(3.0))


def test_a_floor_without_splits_or_seeds_counts_for_all_of_them():
    ours = [results({"SMART": [60, 62, 64]}, split=s) for s in (20, 21)]
    once_a_seed = results({"floor": [50, 51, 52]}, split=None)
    once = results({"spectral": [40]}, split=None).assign(seed=None)
    frame = pd.concat([*ours, once_a_seed, once], ignore_index=True)
    table = paired_comparisons(
        frame, [("SMART", "floor"), ("SMART", "spectral"), ("floor", "spectral")]
    )
    assert table["n"].tolist() == [6, 6, 3]
    assert table["difference"].tolist() == pytest.approx([11.0, 22.0, 11.0])
    without_a_set = frame.drop(columns="dataset")
    table = paired_comparisons(without_a_set, [("SMART", "spectral")])
    assert table["n"].tolist() == [6]


def test_names_may_come_from_another_column():
    frame = results({"last": [50, 51], "oracle": [55, 57]}).rename(columns={"method": "rule"})
    row = paired_comparisons(frame, [("oracle", "last")], column="rule").iloc[0]
    assert row["difference"] == pytest.approx(5.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pairs": [("SMART", "flor")]}, "Did you mean 'floor'"),
        ({"pairs": []}, "pairs is empty"),
        ({"pairs": ("SMART", "floor")}, "pairs holds 'SMART': expected two names"),
        ({"pairs": [("SMART", "floor", "floor")]}, "expected two names"),
        ({"metric": "accuracy"}, "metric='accuracy' is unknown"),
        ({"metric": "nmi"}, "frame has no column 'nmi'"),
        ({"by": ["fold"]}, r"by=\['fold'\] has no column of the frame"),
        ({"alpha": 0}, "alpha=0 is out of range"),
        ({"alpha": 5}, "alpha=5 is out of range"),
        ({"column": "methods"}, "Did you mean 'method'"),
    ],
)
def test_bad_input_to_comparisons_is_named(change, message):
    given = {"frame": results({"SMART": [60, 61], "floor": [50, 51]})}
    given |= {"pairs": [("SMART", "floor")]} | change
    with pytest.raises(ValueError, match=message):
        paired_comparisons(**given)


def test_a_cell_with_two_rows_is_refused():
    frame = results({"A": [60, 61], "B": [50, 51]})
    twice = pd.concat([frame, frame.iloc[[1]]])
    with pytest.raises(ValueError, match="two rows of method 'A' at dataset=wiki.*seed=1"):
        paired_comparisons(twice, [("A", "B")])
    with pytest.raises(ValueError, match="two rows"):
        rank_table(twice)


def test_a_cell_without_a_value_is_refused():
    frame = results({"A": [60, np.nan], "B": [50, 51]})
    with pytest.raises(ValueError, match="without acc at dataset=wiki, split=20, seed=1"):
        paired_comparisons(frame, [("A", "B")])


def test_pairs_without_a_common_cell_are_refused():
    apart = pd.concat([results({"A": [60]}), results({"B": [50]}, dataset="bdgp")])
    with pytest.raises(ValueError, match=r"pairs=\('A', 'B'\) have no cell in common"):
        paired_comparisons(apart, [("A", "B")])
    # One knows only splits, the other only seeds: any pairing would be made up.
    no_seed = results({"A": [60]}).assign(seed=None)
    no_split = results({"B": [50, 51]}, split=None)
    crossed = pd.concat([no_seed, no_split], ignore_index=True)
    with pytest.raises(ValueError, match="no cell in common"):
        paired_comparisons(crossed, [("A", "B")])


def crossed(grid, **more):
    """Return a results frame from points of splits (rows) by seeds (columns)."""
    rows = [
        {
            "dataset": "wiki",
            "method": "SMART",
            "split": i,
            "seed": j,
            "acc": value / 100,
            **more,
        }
        for (i, j), value in np.ndenumerate(np.asarray(grid, dtype=float))
    ]
    return pd.DataFrame(rows)


def test_spreads_that_only_add_up_go_to_splits_and_seeds_exactly():
    splits, seeds = np.array([50.0, 53, 59]), np.array([0.0, 1, 1, 4])
    row = variance_shares(crossed(splits[:, None] + seeds)).iloc[0]
    assert row["seed_sd"] == pytest.approx(seeds.std(ddof=1))
    assert row["split_sd"] == pytest.approx(splits.std(ddof=1))
    assert row["total_sd"] == pytest.approx(np.hypot(row["seed_sd"], row["split_sd"]))
    assert row["split_share"] == pytest.approx(21 / (21 + 3))
    assert (row["n_splits"], row["n_seeds"]) == (3, 4)


def test_spreads_are_those_of_a_two_way_analysis_of_variance():
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    rng = np.random.default_rng(3)
    grid = 60 + rng.normal(0, 4, (4, 1)) + rng.normal(0, 1, (1, 5)) + rng.normal(0, 2, (4, 5))
    frame = crossed(grid)
    table = anova_lm(ols("I(100 * acc) ~ C(split) + C(seed)", frame).fit())
    squares = table["sum_sq"] / table["df"]
    of_split = (squares["C(split)"] - squares["Residual"]) / 5
    of_seed = (squares["C(seed)"] - squares["Residual"]) / 4
    row = variance_shares(frame).iloc[0]
    assert row["split_sd"] ** 2 == pytest.approx(of_split)
    assert row["seed_sd"] ** 2 == pytest.approx(of_seed + squares["Residual"])


def test_a_negative_component_of_splits_is_none():
    row = variance_shares(crossed([[50, 60], [60, 50]])).iloc[0]
    assert (row["split_sd"], row["split_share"]) == (0.0, 0.0)
    assert row["seed_sd"] == row["total_sd"] == pytest.approx(np.sqrt(50))
    still = variance_shares(crossed([[50, 50], [50, 50]])).iloc[0]
    assert still["total_sd"] == 0
    assert np.isnan(still["split_share"])


def test_spreads_are_kept_apart_by_ratio_and_method():
    parts = [
        crossed([[50, 51], [60, 61]], aligned_ratio=0.5),
        crossed([[50, 54], [50, 54]], aligned_ratio=1.0),
        crossed([[10, 10], [20, 20]], aligned_ratio=1.0).assign(method="floor"),
    ]
    table = variance_shares(pd.concat(parts))
    assert table["aligned_ratio"].tolist() == [0.5, 1.0, 1.0]
    assert table["method"].tolist() == ["SMART", "SMART", "floor"]
    expected = np.sqrt([50, 0, 50])
    assert table["split_sd"].tolist() == pytest.approx(expected.tolist())


def test_spreads_need_every_seed_on_every_split():
    frame = crossed([[50, 51], [60, 61]])
    with pytest.raises(ValueError, match="3 results of dataset=wiki, method=SMART"):
        variance_shares(frame.iloc[:3])
    with pytest.raises(ValueError, match="on 1 splits and 2 seeds"):
        variance_shares(frame[frame["split"] == 0])
    with pytest.raises(ValueError, match="two rows of dataset=wiki.* at split=0, seed=0"):
        variance_shares(pd.concat([frame, frame.iloc[:1]]))
    with pytest.raises(ValueError, match="no column 'split'"):
        variance_shares(frame.drop(columns="split"))


def on_sets(scores):
    """Return a results frame: method to points, a data set each, two seeds around them."""
    parts = [
        results({method: [value - 1, value + 1]}, dataset=f"set {number}")
        for method, values in scores.items()
        for number, value in enumerate(values)
    ]
    return pd.concat(parts, ignore_index=True)


def test_ranks_are_of_means_over_seeds_and_ties_share_them():
    table = rank_table(on_sets({"C": [50, 60, 70], "A": [80, 60, 90], "B": [60, 55, 80]}))
    assert table["method"].tolist() == ["A", "B", "C"]
    assert table.columns.tolist() == ["method", "mean_rank", "set 0", "set 1", "set 2"]
    assert table["set 0"].tolist() == [1, 2, 3]
    assert table["set 1"].tolist() == [1.5, 3, 1.5]
    assert table["mean_rank"].tolist() == pytest.approx([3.5 / 3, 7 / 3, 7.5 / 3])


def test_a_method_missing_on_a_set_is_named():
    frame = on_sets({"A": [80, 60], "B": [60]})
    with pytest.raises(ValueError, match="no acc of 'B' on 'set 1'"):
        rank_table(frame)


def title_and_bars(figure):
    """Return the title, and from which to which rank each bar over several methods reaches."""
    lines = figure.axes[0].get_lines()
    bars = [line for line in lines if line.get_linewidth() == 2]
    spans = [(min(bar.get_xdata()), max(bar.get_xdata())) for bar in bars]
    return figure.get_suptitle(), sorted(spans)


def ladder(n_sets, steps, noise=0.0):
    rng = np.random.default_rng(1)
    return on_sets(
        {name: 50 + step + noise * rng.normal(size=n_sets) for name, step in steps.items()}
    )


def test_nemenyis_bars_span_the_critical_difference():
    scores = ladder(5, {"A": 9, "B": 6, "C": 3, "D": 0})
    title, bars = title_and_bars(plots.plot_critical_difference(scores))
    assert "Nemenyi" in title
    assert "5 data sets" in title
    # Demšar's q for four methods is 2.569; ranks are exactly 1 to 4.
    reach = 2.569 * np.sqrt(4 * 5 / (6 * 5))
    assert 2 < reach < 3
    assert bars == [(1.0, 3.0), (2.0, 4.0)]


def test_with_sets_enough_bars_are_wilcoxons_with_holms_correction():
    scores = ladder(9, {"A": 9, "B": 0.4, "C": 0}, noise=1.0)
    title, bars = title_and_bars(plots.plot_critical_difference(scores))
    assert "Wilcoxon-Holm" in title
    assert "too few" not in title
    means = scores.groupby(["dataset", "method"], as_index=False)["acc"].mean()
    table = paired_comparisons(means, [("A", "B"), ("A", "C"), ("B", "C")])
    assert (table["verdict"] == "not told apart").tolist() == [False, False, True]
    ranks = rank_table(scores).set_index("method")["mean_rank"]
    assert bars == [tuple(sorted((ranks["B"], ranks["C"])))]


def test_where_wilcoxons_test_can_tell_nothing_apart_nemenyis_is_taken():
    scores = ladder(6, {"A": 9, "B": 6, "C": 3})
    chosen = plots.plot_critical_difference(scores, test="wilcoxon-holm")
    title, bars = title_and_bars(chosen)
    assert "6 data sets are too few to tell any of 3 methods apart" in title
    assert bars == [(1.0, 3.0)]
    title, bars = title_and_bars(plots.plot_critical_difference(scores))
    assert "Nemenyi" in title
    assert bars == [(1.0, 2.0), (2.0, 3.0)]


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_no_pair_is_tested_where_friedmans_test_finds_nothing(noise):
    scores = ladder(4, {"A": 0, "B": 0, "C": 0, "D": 0}, noise=noise)
    title, bars = title_and_bars(plots.plot_critical_difference(scores))
    assert "no method is told apart" in title
    assert len(bars) == 1
    ranks = rank_table(scores)["mean_rank"]
    assert bars[0] == (ranks.min(), ranks.max())


def test_bad_input_to_the_diagram_is_named():
    with pytest.raises(ValueError, match="2 methods on 3 data sets"):
        plots.plot_critical_difference(ladder(3, {"A": 1, "B": 0}))
    with pytest.raises(ValueError, match="3 methods on 1 data sets"):
        plots.plot_critical_difference(ladder(1, {"A": 1, "B": 0, "C": 2}))
    with pytest.raises(ValueError, match="Did you mean 'nemenyi'"):
        plots.plot_critical_difference(ladder(3, {"A": 1, "B": 0, "C": 2}), test="nemeny")


def test_the_forest_fills_the_dots_that_the_verdict_tells_apart():
    rng = np.random.default_rng(4)
    base = rng.normal(50, 1, 10)
    frame = results({"A": base + 5, "B": base, "C": base + rng.normal(0, 1, 10)})
    table = paired_comparisons(frame, [("A", "B"), ("C", "B"), ("B", "A")])
    ax = plots.plot_forest(table).axes[0]
    dots = {line.get_label(): line for line in ax.get_lines() if line.get_marker() == "o"}
    told, open_ = dots["told apart"], dots["not told apart"]
    assert told.get_ydata().tolist() == [0, 2]
    assert told.get_xdata() == pytest.approx([5.0, -5.0])
    assert told.get_markerfacecolor() == told.get_markeredgecolor()
    assert open_.get_ydata().tolist() == [1]
    assert open_.get_markerfacecolor() == "white"
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["A minus B", "C minus B", "B minus A"]
    spans = [segment[:, 0] for segment in ax.collections[0].get_segments()]
    assert np.allclose(spans, table[["ci_low", "ci_high"]])


def test_the_forest_draws_a_single_cell_without_a_bar():
    table = paired_comparisons(results({"A": [60], "B": [50]}), [("A", "B")])
    ax = plots.plot_forest(table).axes[0]
    ax.figure.canvas.draw()
    (dot,) = [line for line in ax.get_lines() if line.get_marker() == "o"]
    assert dot.get_xdata() == pytest.approx([10.0])
