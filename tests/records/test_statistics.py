"""A method beats another only where a test says so, and spreads go to what causes them."""

from functools import partial
from itertools import combinations, product

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from refusals import refuses
from scipy import stats
from statsmodels.stats.multitest import multipletests

from mvlib import plots
from mvlib.records import differences_by_set, paired_comparisons, rank_table, variance_shares

mpl.use("agg")


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
    """Return a comparison's one row, from points: a row a data set, a column a seed."""
    frames = [
        results({"SMART": 50 + np.atleast_1d(row), "floor": [50.0] * np.size(row)}, f"set {k}")
        for k, row in enumerate(differences)
    ]
    return paired_comparisons(pd.concat(frames), [("SMART", "floor")]).iloc[0]


def a_and_b(*frames, **options):
    """Return the one row of the comparison of A with B over some frames."""
    return paired_comparisons(pd.concat(frames), [("A", "B")], **options).iloc[0]


def slow_p(means):
    """Return the two-sided p of a mean over all flips of the signs."""
    flipped = [abs(np.dot(means, signs)) for signs in product((-1, 1), repeat=len(means))]
    return np.mean(np.array(flipped) >= abs(np.sum(means)) - 1e-9)


def test_beats_is_said_near_five_times_in_a_hundred_where_sets_differ_and_methods_do_not():
    rng = np.random.default_rng(0)
    told = []
    for _ in range(250):
        sets = rng.normal(0, 10, (8, 1)) + rng.normal(0, 2, (8, 3))
        told.append("beats" in against_zero(sets)["verdict"])
    # Of 256 flips of signs, 12 are at or below 0.05: 4.7 %. Cells as units would give 30 %.
    assert 0.005 < np.mean(told) < 0.09


def test_seeds_of_a_set_count_as_one_however_many():
    rng = np.random.default_rng(1)
    means = rng.normal(2, 2, 7)
    noise = rng.normal(0, 1, (7, 4))
    few = against_zero(means[:, None])
    many = against_zero(means[:, None] + noise - noise.mean(axis=1, keepdims=True))
    assert (few["n"], many["n"]) == (7, 28)
    for name in ("p", "difference", "ci_low", "ci_high"):
        assert many[name] == pytest.approx(few[name])


def test_a_set_with_more_cells_weighs_no_more():
    frames = [results({"A": [60.0] * 9, "B": [50.0] * 9}, "large")]
    frames += [results({"A": [52.0], "B": [50.0]}, f"small {k}") for k in range(6)]
    row = a_and_b(*frames)
    assert row["difference"] == pytest.approx((10 + 6 * 2) / 7)
    assert (row["sets"], row["n"], row["sets_ahead"], row["ahead"]) == (7, 15, 7, 15)


def test_six_sets_of_six_are_the_fewest_that_beats_can_rest_on():
    row = against_zero([[1], [2], [3], [4], [5], [6]])
    assert row["p"] == row["p_holm"] == 0.03125
    assert (row["verdict"], row["detail"], row["told"]) == ("SMART beats floor", "", True)
    rng = np.random.default_rng(2)
    for n_sets in range(1, 6):
        five = against_zero(10 + rng.normal(0, 0.1, (n_sets, 5)))
        assert five["verdict"] == "SMART ahead here"
        assert five["told"]


@pytest.mark.parametrize("seed", range(6))
def test_p_is_that_of_all_flips_of_signs(seed):
    rng = np.random.default_rng(seed)
    means = rng.integers(-2, 6, size=rng.integers(6, 11))
    assert against_zero(means[:, None])["p"] == pytest.approx(slow_p(means))


def test_p_of_many_sets_is_near_that_of_all_flips():
    means = np.random.default_rng(5).normal(0.4, 1, 18)
    ways = np.array([0.0])
    for mean in means:
        ways = np.concatenate([ways - mean, ways + mean])
    assert against_zero(means[:, None])["p"] == pytest.approx(
        np.mean(np.abs(ways) >= abs(means.sum()) - 1e-9), abs=0.01
    )
    # All flips of sixteen signs are tried, and of seventeen as many by chance.
    assert against_zero(np.ones((16, 1)))["p"] == pytest.approx(2 / 2**16)
    assert against_zero(np.ones((17, 1)))["p"] >= 2 / (2**16 + 1)


def test_on_few_sets_the_interval_is_that_of_a_model_with_set_and_seed_effects():
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    rng = np.random.default_rng(6)
    grid = rng.normal(0, 9, (3, 1)) + rng.normal(1, 2, (1, 5)) + rng.normal(0, 1, (3, 5))
    row = against_zero(grid)
    long = pd.DataFrame(
        [{"k": k, "s": s, "y": value} for (k, s), value in np.ndenumerate(grid)]
    )
    table = anova_lm(ols("y ~ C(k) + C(s)", long).fit())
    of_seeds = table.loc["C(s)", "sum_sq"] / table.loc["C(s)", "df"]
    half = stats.t.ppf(0.975, 4) * np.sqrt(of_seeds / 15)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(
        (grid.mean() - half, grid.mean() + half)
    )
    assert row["p"] == pytest.approx(stats.ttest_1samp(grid.mean(axis=0), 0).pvalue)


def test_on_few_sets_the_interval_holds_the_named_sets_mean_in_95_of_100():
    rng = np.random.default_rng(7)
    sets = np.array([[-8.0], [1.0], [4.0]])
    held = []
    for _ in range(150):
        row = against_zero(sets + rng.normal(0, 2, (1, 5)) + rng.normal(0, 1, (3, 5)))
        held.append(row["ci_low"] <= sets.mean() <= row["ci_high"])
    assert 0.9 < np.mean(held) < 0.99


@pytest.mark.parametrize(
    "differences", [[[1.5], [-0.5], [2], [4], [3], [0.5]], [[1, 3, 2], [5, 8, 6]]]
)
def test_the_interval_is_students_over_sets_or_over_the_seeds_of_one(differences):
    differences = np.array(differences)
    splits = [
        results({"A": 50 + row, "B": [50.0] * row.size}, split=k)
        for k, row in enumerate(differences)
    ]
    of_sets = len(differences) >= 6
    row = against_zero(differences) if of_sets else a_and_b(*splits)
    expected = stats.ttest_1samp(differences.mean(axis=int(of_sets)), 0)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(
        tuple(expected.confidence_interval(0.95))
    )
    assert row["difference"] == pytest.approx(differences.mean())
    if not of_sets:
        assert row["p"] == pytest.approx(expected.pvalue)


@pytest.mark.parametrize(
    ("differences", "p", "verdict"),
    [
        ([[3.0]], None, "cannot be decided with n = 1"),
        (np.zeros((8, 2)), 1.0, "not told apart"),
        (np.zeros((1, 3)), 1.0, "not told apart"),
        ([[2.0, 2.0, 2.0]], 0.0, "SMART ahead here"),
    ],
)
def test_differences_without_spread_or_without_seeds_have_their_verdict(
    differences, p, verdict
):
    row = against_zero(differences)
    assert (row["verdict"], row["told"]) == (verdict, p == 0)
    assert row["difference"] == pytest.approx(np.mean(differences))
    assert row["sets_ahead"] == int(np.mean(differences) > 0)
    assert row[["p", "ci_low", "ci_high"]].isna().all() if p is None else row["p"] == p


def test_only_cells_that_both_have_are_paired_and_the_last_bit_of_a_float_is_no_difference():
    frame = results({"A": [51, 53, 55, 70], "B": [50, 50, 50]}).sample(frac=1, random_state=0)
    row = a_and_b(frame)
    assert (row["n"], row["difference"]) == (3, pytest.approx(3.0))
    a, b = [0.1 + 0.2, 0.7, 0.8], [0.3, 0.6, 0.7]
    frame = results({"A": np.multiply(100, a), "B": np.multiply(100, b)})
    assert a_and_b(frame)["ahead"] == 2
    one = frame[frame["seed"] == 1].drop(columns="seed")
    for frames in ([one], [one, one.assign(dataset="bdgp")]):
        assert a_and_b(*frames)["verdict"] == "cannot be decided with n = 1"


def test_only_seeds_that_every_set_has_are_units():
    several = results({"A": [51.0, 52, 53], "B": [50.0] * 3}, "x")
    row = a_and_b(several, results({"A": [54.0], "B": [50.0]}, "y"))
    assert row["difference"] == pytest.approx((2 + 4) / 2)
    assert row[["p", "p_holm", "ci_low", "ci_high"]].isna().all()
    assert row["verdict"] == "cannot be decided with n = 1"
    assert row["detail"] == "no two seeds that all sets and splits share"
    assert not row["told"]


def test_swapping_the_names_turns_signs_and_winner_and_keeps_p():
    rng = np.random.default_rng(1)
    frame = on_sets({"A": rng.normal(60, 3, 8), "B": rng.normal(50, 3, 8)})
    row = a_and_b(frame)
    back = paired_comparisons(frame, [("B", "A")]).iloc[0]
    assert row["verdict"] == back["verdict"] == "A beats B"
    assert row["p"] == back["p"]
    assert row["difference"] == pytest.approx(-back["difference"])
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((-back["ci_high"], -back["ci_low"]))
    assert row["sets_ahead"] == 8 - back["sets_ahead"]


def test_holms_correction_is_over_the_table_and_decides_the_verdict():
    rng = np.random.default_rng(2)
    base = rng.normal(50, 1, 10)
    scores = {"A": base}
    for name, shift in (("B", 0.4), ("C", 1.2), ("D", 1.8)):
        scores[name] = base - shift + rng.normal(0, 1, 10)
    table = paired_comparisons(on_sets(scores), list(combinations("ABCD", 2)))
    expected, largest = {}, 0.0
    for place, (number, p) in enumerate(sorted(table["p"].items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, p * (len(table) - place)))
        expected[number] = largest
    assert table["p_holm"].to_dict() == pytest.approx(expected)
    theirs = multipletests(table["p"], method="holm")[1]
    assert table["p_holm"].tolist() == pytest.approx(theirs.tolist())
    assert table["told"].tolist() == (table["p_holm"] < 0.05).tolist()
    assert table["told"].tolist() == table["verdict"].str.contains(" beats ").tolist()
    assert table["told"].any()
    assert ((table["p"] < 0.05) & ~table["told"]).any()


def test_what_no_outcome_could_decide_is_said_to_be_undecidable():
    wins = np.arange(1, 7)
    frame = on_sets({"A": 60 + wins, "B": np.full(6, 60), "C": 60 - wins})
    table = paired_comparisons(frame, [("A", "B"), ("B", "C")])
    assert table["p"].tolist() == [0.03125, 0.03125]
    assert table["p_holm"].tolist() == [0.0625, 0.0625]
    assert set(table["verdict"]) == {"cannot be decided with n = 6"}
    assert set(table["detail"]) == {
        "the smallest p of 6 data sets among 2 comparisons is 0.0625"
    }
    row = a_and_b(frame, alpha=0.03125)
    assert row["verdict"] == "cannot be decided with n = 6"
    assert row["detail"] == "the smallest p of 6 data sets is 0.0312"
    looser = a_and_b(frame, alpha=0.0313)
    assert looser["verdict"] == "A beats B"
    nine = on_sets({name: wins * place for place, name in enumerate("ABCDEFGHI")})
    many = paired_comparisons(nine, list(combinations("ABCDEFGHI", 2)))
    # 36 times 1 / 32 is more than a probability can be.
    assert set(many["detail"]) == {"the smallest p of 6 data sets among 36 comparisons is 1"}


def test_set_by_set_says_points_and_counts():
    frames = [
        results({"A": [51.0, 49.0, 53.0], "B": [50.0] * 3}, "wiki"),
        results({"A": [40.0] * 2, "B": [50.0] * 2, "C": [45.0] * 2}, "bdgp"),
    ]
    table = differences_by_set(pd.concat(frames), [("A", "B"), ("A", "C")])
    assert table["wiki"].tolist() == ["+1.0 (2 of 3)", ""]
    assert table["bdgp"].tolist() == ["-10.0 (0 of 2)", "-5.0 (0 of 2)"]
    with pytest.raises(ValueError, match="frame's column='dataset' is unknown"):
        differences_by_set(frames[0].drop(columns="dataset"), [("A", "B")])


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


def test_a_difference_of_less_than_a_point_is_one_and_counts():
    row = against_zero([[0.4, 0.2], [-0.3, -0.1], [0.6, -0.2]])
    assert (row["sets_ahead"], row["ahead"]) == (2, 3)


def test_names_may_come_from_another_column():
    frame = results({"last": [50, 51], "oracle": [55, 57]}).rename(columns={"method": "rule"})
    row = paired_comparisons(frame, [("oracle", "last")], column="rule").iloc[0]
    assert row["difference"] == pytest.approx(5.5)


PAIR = {"pairs": [("SMART", "floor")]}
test_bad_input_to_comparisons_is_named = refuses(
    partial(paired_comparisons, results({"SMART": [60, 61], "floor": [50, 51]})),
    ({"pairs": [("SMART", "flor")]}, "Did you mean 'floor'"),
    ({"pairs": []}, "pairs is empty"),
    ({"pairs": ("SMART", "floor")}, "pairs holds 'SMART': expected two names"),
    ({"pairs": [("SMART", "floor", "floor")]}, "expected two names"),
    (PAIR | {"metric": "accuracy"}, "metric='accuracy' is unknown"),
    (PAIR | {"metric": "nmi"}, "frame's column='nmi' is unknown"),
    (PAIR | {"by": ["fold"]}, r"by=\['fold'\] has no column of the frame"),
    (PAIR | {"alpha": 0}, "alpha=0 is out of range: expected a finite number > 0 and <= 1$"),
    (PAIR | {"alpha": 1.5}, "alpha=1.5 is out of range"),
    (PAIR | {"column": "methods"}, "Did you mean 'method'"),
)


def test_a_cell_with_two_rows_or_without_a_value_is_refused():
    frame = results({"A": [60, 61], "B": [50, 51]})
    twice = pd.concat([frame, frame.iloc[[1]]])
    with pytest.raises(ValueError, match="two rows of method 'A' at dataset=wiki.*seed=1"):
        paired_comparisons(twice, [("A", "B")])
    with pytest.raises(ValueError, match="two rows"):
        rank_table(twice)
    of_no_cell = results({"B": [50, 51]}, dataset=None, split=None).assign(seed=None)
    with pytest.raises(ValueError, match="two rows of method 'B'"):
        paired_comparisons(pd.concat([results({"A": [60]}), of_no_cell]), [("A", "B")])
    frame.loc[1, "acc"] = np.nan
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
    shared = {"dataset": "wiki", "method": "SMART", **more}
    return pd.DataFrame(
        [
            {**shared, "split": i, "seed": j, "acc": value / 100}
            for (i, j), value in np.ndenumerate(np.asarray(grid, dtype=float))
        ]
    )


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


@pytest.mark.filterwarnings("error")
def test_spreads_are_kept_apart_by_ratio_and_method_and_no_component_is_negative():
    splits, seeds = np.array([50.0, 53, 59]), np.array([0.0, 1, 1, 4])
    grids = {
        (0.5, "SMART"): [[50, 51], [60, 61]],
        (1.0, "SMART"): [[50, 54], [50, 54]],
        (1.0, "floor"): [[10, 10], [20, 20]],
        # What only adds up goes to splits and seeds exactly.
        (0.1, "sum"): splits[:, None] + seeds,
        (0.1, "crossed"): [[50, 60], [60, 50]],
        (0.1, "still"): [[50, 50], [50, 50]],
    }
    parts = [
        crossed(grid, aligned_ratio=ratio).assign(method=method)
        for (ratio, method), grid in grids.items()
    ]
    table = variance_shares(pd.concat(parts)).set_index(["aligned_ratio", "method"])
    assert table.index.tolist() == list(grids)
    assert table["split_sd"].tolist() == pytest.approx(np.sqrt([50, 0, 50, 21, 0, 0]).tolist())
    assert table["seed_sd"].tolist() == pytest.approx(np.sqrt([0.5, 8, 0, 3, 50, 0]).tolist())
    total = np.hypot(table["split_sd"], table["seed_sd"])
    assert table["total_sd"].tolist() == pytest.approx(total.tolist())
    shares = [50 / 50.5, 0, 1, 21 / 24, 0, np.nan]
    assert table["split_share"].tolist() == pytest.approx(shares, nan_ok=True)
    assert table.loc[(0.1, "sum"), ["n_splits", "n_seeds"]].tolist() == [3, 4]


def test_spreads_need_every_seed_on_every_split():
    frame = crossed([[50, 51], [60, 61]])
    with pytest.raises(ValueError, match="3 results of dataset=wiki, method=SMART"):
        variance_shares(frame.iloc[:3])
    with pytest.raises(ValueError, match="on 1 splits and 2 seeds"):
        variance_shares(frame[frame["split"] == 0])
    with pytest.raises(ValueError, match="two rows of dataset=wiki.* at split=0, seed=0"):
        variance_shares(pd.concat([frame, frame.iloc[:1]]))
    with pytest.raises(ValueError, match="frame's column='split' is unknown"):
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


def test_with_sets_enough_bars_are_those_of_the_paired_comparisons():
    scores = ladder(9, {"A": 9, "B": 0.4, "C": 0}, noise=1.0)
    title, bars = title_and_bars(plots.plot_critical_difference(scores))
    assert "sign flips with Holm" in title
    assert "too few" not in title
    table = paired_comparisons(scores, [("A", "B"), ("A", "C"), ("B", "C")])
    assert table["told"].tolist() == [True, True, False]
    ranks = rank_table(scores).set_index("method")["mean_rank"]
    assert bars == [tuple(sorted((ranks["B"], ranks["C"])))]


def test_where_sign_flips_can_tell_nothing_apart_nemenyis_test_is_taken():
    scores = ladder(6, {"A": 9, "B": 6, "C": 3})
    chosen = plots.plot_critical_difference(scores, test="flips-holm")
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
    frame = on_sets({"A": base + 5, "B": base, "C": base + rng.normal(0, 1, 10)})
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
