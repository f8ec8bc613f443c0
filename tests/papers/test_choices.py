"""How much the choices around the methods move, computed from the line-up's records."""

import pandas as pd
import pytest

from mvlib.methods.catalogue import VIEWS
from mvlib.papers.choices import (
    choice_effects,
    compare_epochs,
    compared,
    largest_block,
    named_protocols,
    ranges,
    row_order,
    winners,
)
from mvlib.tasks.protocols import CHOICES, MATCHING

NAMES = [f"as_{name}" for name in MATCHING] + list(CHOICES)


def runs(points):
    """Return results, by method, set and seed, of which all protocols but some agree."""
    rows = []
    for (method, dataset, seed), (base, changed) in points.items():
        about = {"method": method, "dataset": dataset, "seed": seed, "aligned_ratio": 0.5}
        scores = dict.fromkeys(NAMES, base) | changed
        rows.append(about | {f"measure_{name}": value for name, value in scores.items()})
    rows.append({"method": "a floor", "dataset": "wiki", "seed": 1, "aligned_ratio": 0.5})
    return pd.DataFrame(rows)


FOUND = runs(
    {
        ("SMART", "wiki", 1): (0.5, {"pairs_kept": 0.6, "as_smile": 0.7, "view_1_alone": 0.9}),
        ("SMART", "wiki", 2): (0.7, {"pairs_kept": 1.0, "as_smile": 0.9}),
        ("VITAL", "wiki", 1): (0.5, {}),
        ("SMART", "cub", 1): (0.3, {}),
        ("VITAL", "cub", 1): (0.4, {"as_smile": 0.2}),
        # Its embeddings of two views are not in one space.
        ("CANDY", "cub", 1): (0.1, {}),
    }
)


def test_a_choice_counts_from_mvclns_protocol_as_the_mean_over_seeds():
    effects = choice_effects(FOUND).set_index(["choice", "method", "dataset"])["points"]
    assert effects["pairs kept", "SMART", "wiki"] == pytest.approx(20)
    assert effects["one start"].abs().max() == pytest.approx(0)
    assert len(effects) == 4 * len(CHOICES)


def test_the_sentence_gives_both_sizes_over_what_and_ranks_neither():
    table, sentence = named_protocols(FOUND)
    assert table["method"].tolist() == ["SMART", "VITAL"]
    assert table.set_index("method")["MvCLN"].tolist() == pytest.approx([45, 45])
    assert table["sets"].tolist() == ["CUB, Wiki"] * 2
    # Protocols: 20, 0, 0 and 20 points. Methods: 10 on each set, but 30 and 10 as SMILE does.
    assert "by 10 points in the median** (0 to 20) over 4 pairs" in sentence
    assert "2 methods on a set, scored alike, are 10 points apart in the median" in sentence
    assert "over 2 sets and 7 protocols" in sentence
    assert "does not say which of the two is larger" in sentence
    assert "matched as MvCLN does in 1 of 4 pairs" in sentence
    # What the page draws of it.
    protocols, methods = ranges(FOUND)
    assert protocols["SMART", "wiki"] == pytest.approx(20)
    assert methods["wiki", "as_smile"] == pytest.approx(30)
    assert (len(protocols), len(methods)) == (4, 2 * len(MATCHING))
    # One that lacks a set would make the sets' ranges unlike.
    one_set = runs({("MvCLN", "wiki", 1): (0.0, {})})
    more = pd.concat([FOUND, one_set], ignore_index=True)
    assert ranges(more)[1].equals(methods)


def test_what_has_not_been_run_has_no_sentence_and_no_rows():
    for empty in (FOUND[FOUND["method"] == "a floor"], FOUND.drop(columns="measure_as_smile")):
        table, sentence = named_protocols(empty)
        assert table.empty
        assert sentence == "*Not run.*"
        assert choice_effects(empty).empty


def test_an_order_counts_as_the_mean_over_seeds_beside_the_same_rows_shuffled():
    scores = {
        ("wiki", 5): ((0.9, 0.7), (0.8, 0.8), (0.6, 0.4)),
        ("wiki", 50): ((1.0, 1.0), (0.9, 0.9), (0.1, 0.1)),
        ("cub", 5): ((0.5, 0.5), (0.5, 0.5), (0.5, 0.5)),
    }
    orders = ("by class", "as in the file", "shuffled")
    rows = [
        {"method": "DSTL", "dataset": name, "lambda2": weight, "order": order, "acc": acc}
        for (name, weight), by_order in scores.items()
        for order, accuracies in zip(orders, by_order, strict=True)
        for acc in accuracies
    ]
    rows += [{"method": "a floor", "dataset": name, "acc": 0.45} for name in ("wiki", "cub")]
    table, sentence = row_order(pd.DataFrame(rows))
    assert table["by class"].tolist() == pytest.approx([80, 100, 50])
    assert table["shuffled"].tolist() == pytest.approx([50, 10, 50])
    assert table["k-means"].tolist() == pytest.approx([45, 45, 45])
    # The best of two weights: 50 points on one set, none on the other.
    assert "are worth 25 points in the median** (0 to 50) over 2 sets, beside" in sentence
    assert "each order at its best of 2 weights" in sentence
    assert "on 2 of the sets where rows are sorted, on 2 where they are shuffled" in sentence
    empty = pd.DataFrame(rows[-2:] + rows[:1]).iloc[:2]
    assert row_order(empty)[1] == "*Not run.*"


def test_what_the_best_epoch_adds_to_the_last_and_to_floors():
    # Of each training: accuracy first, last and best, NMI of the best epoch and the largest.
    trained = {
        ("acm", "SCGC", 1): (0.6, 0.7, 0.8, 0.5, 0.5),
        ("acm", "SCGC", 2): (0.6, 0.5, 0.8, 0.5, 0.6),
        ("acm", "PamC", 1): (0.6, 0.9, 0.9, 0.7, 0.7),
        ("uat", "SCGC", 1): (0.5, 0.4, 0.5, 0.3, 0.3),
    }
    rows = [
        {"dataset": dataset, "method": method, "seed": seed, "rule": rule, "acc": acc,
         "nmi": nmi, "measure_first_acc": first, "measure_largest_nmi": largest}
        for (dataset, method, seed), (first, last, best, nmi, largest) in trained.items()
        for rule, acc in (("last", last), ("oracle", best))
    ]  # fmt: skip
    floors = {("acm", "k-means"): 0.65, ("acm", "spectral"): 0.75, ("uat", "k-means"): 0.45}
    for (dataset, method), acc in floors.items():
        rows.append({"dataset": dataset, "method": method, "rule": "last", "acc": acc})
    table, said = compare_epochs(pd.DataFrame(rows))
    assert table[["dataset", "method"]].to_numpy().tolist() == [
        ["acm", "SCGC"], ["acm", "PamC"], ["uat", "SCGC"]
    ]  # fmt: skip
    numbers = table.drop(columns=["dataset", "method"]).to_numpy()
    expected = [[60, 60, 80, 20, 5], [60, 90, 90, 0, 0], [50, 40, 50, 10, 0]]
    assert numbers.tolist() == [pytest.approx(row) for row in expected]
    assert "worth 10.0 points in the median** (0.0 to 20.0) over 3 pairs" in said
    assert "in 1 of 3, and above the best floor in 1; the best epoch is so in 3." in said
    assert "adds up to 5.0 points" in said
    assert compare_epochs(pd.DataFrame(rows[-3:]))[1] == "*Not run.*"


def leaderboard_rows(**cells):
    rows = [
        {"task": VIEWS, "setting": "50% aligned", "profile": "reduced", "row": name,
         "dataset": dataset, "mean": mean}
        for name, means in cells.items()
        for dataset, mean in means.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_best_method_is_held_to_the_best_floor_and_none_that_reads_labels_is_either():
    cells = {
        "SMART": {"a": 72.0, "b": 50.0},
        "VITAL": {"a": 82.0},
        "SMART, oracle epoch": {"a": 99.0, "b": 99.0},
        "k-means, view 1": {"a": 70.0, "b": 60.0},
        "spectral, view 1": {"a": 75.0, "b": 40.0},
        "k-means, true concatenation": {"a": 98.0, "b": 98.0},
    }
    table, said = winners(compared(leaderboard_rows(**cells)))
    first, second = table.itertuples(index=False)
    assert tuple(first)[2:] == (2, "VITAL", 82.0, "spectral, view 1", 75.0, 7.0)
    assert tuple(second)[2:] == (1, "SMART", 50.0, "k-means, view 1", 60.0, -10.0)
    assert "on 1 of 2 sets**; it differs by -10.0 to +7.0 points" in said
    assert "where 1 to 2 trained methods ran on a set" in said
    assert (
        "all 3 pairs of a trained method and a set, 1 lie above the best floor, 2 above" in said
    )
    empty = compared(leaderboard_rows(**{"k-means, view 1": {"a": 1.0}}))
    assert winners(empty)[1] == "*Not run.*"


def test_ranks_are_of_the_largest_part_without_a_gap():
    sets = dict.fromkeys("abc", 50.0)
    cells = {"SMART": sets, "VITAL": {"a": 60.0}, "k-means, view 1": sets}
    block = largest_block(compared(leaderboard_rows(**cells)))
    assert set(block["method"]) == {"SMART", "k-means, view 1"}
    assert set(block["dataset"]) == set("abc")
    cells["VITAL"] = {"a": 60.0, "b": 60.0}
    cells |= {"SURE": cells["VITAL"], "PVC": cells["VITAL"], "CANDY": cells["VITAL"]}
    block = largest_block(compared(leaderboard_rows(**cells)))
    assert set(block["dataset"]) == {"a", "b"}
    assert block["method"].nunique() == 6
