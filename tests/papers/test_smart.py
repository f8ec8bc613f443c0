"""SMART's settings, costs and recipes, and what its pages say of the records."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from mvlib import SMART, data
from mvlib.book import fill
from mvlib.papers import smart as smart_claims
from mvlib.papers.findings import intervals
from mvlib.papers.smart import (
    ABLATIONS,
    NOISE,
    PAPER_RECIPE,
    RECIPES,
    compare_seeds,
    fit_recipe,
    resampled,
    smart_costs,
    smart_settings,
)
from mvlib.records import score_table
from mvlib.tasks.views import smart_recorder


def test_full_settings_are_the_papers_and_quick_ones_are_smaller():
    profiles = "full", "reduced", "quick"
    full, reduced, quick = (smart_settings("handwritten", profile) for profile in profiles)
    assert full == SMART.paper_settings("handwritten")
    assert quick["epochs"] < reduced["epochs"] < full["epochs"]
    assert quick["epochs"] < full["epochs"] / 5
    assert quick["hidden_dims"] < reduced["hidden_dims"] < SMART(10, **full).hidden_dims
    assert quick["lambda1"] == reduced["lambda1"] == full["lambda1"]
    assert smart_settings("cub", "full") == SMART.paper_settings("other")
    with pytest.raises(ValueError, match="Did you mean 'quick'"):
        smart_settings("cub", "quik")


def test_every_ablation_changes_what_its_name_says():
    assert ABLATIONS["all"] == {}
    assert ABLATIONS["L_rec + L_vda"] == {"lambda2": 0.0}
    assert ABLATIONS["L_rec + L_smc"] == {"lambda1": 0.0}
    for change in ABLATIONS.values():
        SMART(3, **change)


def test_comparisons_say_difference_spread_and_count():
    recorder = smart_recorder("selection", "quick", "cpu")
    for seed, ours in ((1, 0.5), (2, 0.7)):
        scores = dict.fromkeys(("nmi", "ari", "purity"), 0.5)
        recorder.add("SMART", "made", seed, metrics={"last": scores | {"acc": ours}})
        recorder.add("floor", "made", seed, metrics={"last": scores | {"acc": 0.6}})
    frame = recorder.frame()
    line = compare_seeds(frame, "SMART", "floor")
    assert line.endswith("minus floor: +0.0 ± 14.1 points, ahead in 1 of 2 seeds")
    # One seed has no spread.
    line = compare_seeds(frame[frame["seed"] == 2], "SMART", "floor")
    assert line.endswith("minus floor: +10.0 points, ahead in 1 of 1 seeds")


def test_counts_that_missing_ones_made_floats_are_printed_whole():
    scores = {"acc": [0.1, 0.2, 0.3], "nmi": 0.1, "ari": 0.1, "purity": 0.1}
    frame = pd.DataFrame({"starts": [1.0, 20.0, None], "ratio": [0.5, 1.0, 1.0]} | scores)
    table = score_table(frame, by=["starts", "ratio"], metrics=["acc"])
    assert table["starts"].dropna().tolist() == [1, 20]
    assert str(table["starts"].dtype) == "Int64"
    assert table["ratio"].tolist() == [0.5, 1.0, 1.0]


def row(method="SMART", rule="last", features="eval", starts=1, seed=5, acc=0.5, **more):
    found = {"experiment": "method", "dataset": "wiki", "aligned_ratio": 0.5, "split": 20}
    found |= {"method": method, "rule": rule, "features": features, "starts": starts}
    return found | {"seed": seed, "acc": acc, "nmi": acc, "ari": acc, "purity": acc} | more


@pytest.fixture
def recorded(monkeypatch):
    rows = []
    for seed, acc in ((5, 0.40), (15, 0.42), (25, 0.44)):
        rows += [
            row(seed=seed, acc=acc - 0.1, init="authors"),
            row(seed=seed, acc=acc),
            row(seed=seed, acc=acc + 0.1, starts=20),
            row(seed=seed, acc=acc + 0.12, starts=20, rule="central"),
            row(seed=seed, acc=acc + 0.2, starts=20, rule="oracle"),
            row(seed=seed, acc=acc + 0.15, rule="oracle", features="train"),
            row(seed=seed, acc=acc + 0.1, rule="oracle", features="train", init="authors"),
            row(seed=seed, acc=0.9, aligned_ratio=1.0),
            row("k-means, view 1", features=None, starts=None, seed=seed, acc=0.45),
        ]
    monkeypatch.setattr(smart_claims, "results_frame", lambda *_, **__: pd.DataFrame(rows))
    return rows


def test_floors_stand_beside_the_last_epoch_of_the_same_share_of_aligned_rows(recorded):
    frame = smart_claims.beside_floors()
    means = (100 * frame.groupby("method")["acc"].mean()).round(6).to_dict()
    assert means == {"SMART, 1 start": 42, "SMART, 20 starts": 52, "k-means, view 1": 45}
    assert set(frame["aligned_ratio"]) == {0.5}


def test_the_oracles_gap_is_a_size_with_an_interval_and_no_verdict(recorded):
    gaps = smart_claims.oracle_gaps()
    (found,) = gaps.to_dict("records")
    assert found == {
        "data set": "wiki", "aligned": "50%", "n": 3, "oracle, train, 1": pytest.approx(57),
        "last, eval, 1": pytest.approx(42), "difference": pytest.approx(15),
        "ci_low": pytest.approx(15), "ci_high": pytest.approx(15),
    }  # fmt: skip


def test_steps_lead_from_the_last_epoch_to_the_authors_oracle(recorded):
    table = smart_claims.steps_to_the_oracle().set_index("aligned").loc["50%"]
    means = [table[title] for title in smart_claims.STEPS]
    assert means == pytest.approx([32, 42, 52, 54, 62, 57, 52])
    assert table["k-means of view 1"] == pytest.approx(45)
    assert table["n"] == 3


def test_a_step_that_not_all_seeds_have_is_left_out(recorded):
    recorded[:] = [one for one in recorded if (one.get("init"), one["seed"]) != ("authors", 15)]
    table = smart_claims.steps_to_the_oracle().set_index("aligned").loc["50%"]
    assert table["our start"] == pytest.approx(42)
    assert "last epoch, the authors' start" not in table
    assert "the authors' oracle" not in table


def test_parts_are_compared_with_the_papers_choice_from_twenty_starts(monkeypatch):
    rows = [
        row(name, starts=starts, seed=seed, acc=acc + starts / 100 + seed / 1000)
        for name, acc in (("all", 0.6), ("L_rec", 0.5))
        for starts in (1, 20)
        for seed in (5, 15, 25)
    ]
    monkeypatch.setattr(smart_claims, "results_frame", lambda *args, **more: pd.DataFrame(rows))
    (found,) = smart_claims.part_comparisons("ablation_losses").to_dict("records")
    assert (found["A"], found["B"], found["n"]) == ("all", "L_rec", 3)
    assert found["wiki"] == "+10.0 (3 of 3)"
    page = fill("<!-- mvlib: smart_parts ablation_losses -->", ".")
    assert "| all | L_rec | 3 | +10.0 [10.0, 10.0] | all ahead here | +10.0 (3 of 3) |" in page


def test_intervals_that_are_not_known_are_left_empty():
    frame = pd.DataFrame(
        {"difference": [1.0, None], "ci_low": [0.5, None], "ci_high": [1.5] * 2}
    )
    assert intervals(frame) == ["+1.0 [0.5, 1.5]", ""]


@pytest.mark.parametrize("name", ["smart_steps", "smart_floors", "smart_parts threshold"])
def test_without_records_pages_say_so(tmp_path, name):
    (tmp_path / "notebooks" / "toy").mkdir(parents=True, exist_ok=True)
    assert fill(f"<!-- mvlib: {name} -->", tmp_path) == "*Nothing is recorded yet.*"
    assert smart_claims.oracle_gaps(root=tmp_path).empty


def test_a_published_table_stands_beside_ours_with_verdicts(tmp_path):
    page = fill("<!-- mvlib: compared smart leaderboard-100 -->", ".")
    before, head, _, *rows = (line for line in page.splitlines() if line)
    assert page.count("| secondary |") == len(rows) == 3
    assert "source class" in head
    words = {"within 1", "within 2", "differs", "undecided", "not run"}
    said = [line.split("|")[-2].strip().split(":")[0] for line in rows]
    assert set(said) <= words
    # What all rows share, how many say what, and why others are left out.
    assert before.startswith("**SMART, 100 % aligned**: of 3 published accuracies")
    assert all(f"{said.count(word)} {word}" in before for word in set(said))
    assert "1 more cannot be compared (NUS-WIDE): the data have no public link." in before


def test_resampled_rows_are_those_of_the_data_with_a_tenth_of_their_spread_as_noise():
    rng = np.random.default_rng(0)
    Xs = [3 * rng.normal(size=(20, d)) for d in (5, 400)]
    views, rows = resampled(Xs, 500, random_state=1)
    assert [X.shape for X in views] == [(500, 5), (500, 400)]
    for X, view in zip(Xs, views, strict=True):
        assert (view - X[rows]).std() == pytest.approx(NOISE * X.std(), rel=0.1)
    again, _ = resampled(Xs, 500, random_state=1)
    assert np.array_equal(again[1], views[1])


def test_costs_are_positive_named_and_one_a_way_and_size():
    ways = [{"batch_size": 150, "graph_batch_size": None}, {"batch_size": None, "largest": 300}]
    ways = [way | {"hidden_dims": (32,)} for way in ways]
    costs = smart_costs("handwritten", [300, 600], 0.5, ways, 0, "cpu")
    assert [len(measured) for measured in costs] == [2, 1]
    for measures in sum(costs, []):
        assert set(measures) == {"seconds_training", "seconds_features", "memory_mb"}
        assert measures["seconds_training"] > 0
    assert costs[0][1]["memory_mb"] >= costs[0][0]["memory_mb"] >= 0


ASCENDING = "expected some, each larger than the last"


@pytest.mark.parametrize(
    ("sizes", "way", "error", "message"),
    [
        ([], {}, ValueError, ASCENDING),
        ([300, 200], {}, ValueError, ASCENDING),
        ([300, 300], {}, ValueError, ASCENDING),
        ([1], {}, ValueError, "sizes=1 "),
        # It arrives here from another process.
        ([300], {"bach_size": 10}, TypeError, "bach_size"),
    ],
)
def test_bad_sizes_and_settings_are_named(sizes, way, error, message):
    with pytest.raises(error, match=message):
        smart_costs("handwritten", sizes, 0.5, [way], 0, "cpu")


SETTINGS = {"hidden_dims": (8,), "embedding_dim": 4, "epochs": 1, "batch_size": 30}
SETTINGS |= {"precision": "bfloat16", "device": "cpu", "random_state": 3}


@pytest.fixture(scope="module")
def data_set():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 15)
    Xs = [rng.normal(y[:, None], size=(30, d)) * np.arange(1, d + 1) for d in (5, 3)]
    return replace(data.load("handwritten"), Xs=[X.astype(np.float32) for X in Xs], y=y)


def fitted(recipe, data_set, ratio=1.0):
    return fit_recipe(recipe, data_set, ratio, 20, SETTINGS)


def first_weights(recipe, data_set):
    """Return SMART's layers as they began: at such a rate its epoch hardly moves them."""
    given = SETTINGS | {"learning_rate": 1e-30, "weight_decay": 0.0}
    model, _ = fit_recipe(recipe, data_set, 1.0, 20, given)
    return [layer for layer in model.network_.modules() if isinstance(layer, nn.Linear)]


def test_the_papers_recipe_scales_each_view_as_one_block(data_set):
    _, problem = fitted(PAPER_RECIPE, data_set)
    scaled = data.min_max_scale(data_set.Xs)
    for X, whole, order in zip(problem.Xs, scaled, problem.permutations, strict=True):
        assert np.array_equal(X, whole[order])


def test_columns_are_scaled_one_by_one_where_the_name_says_so(data_set):
    for recipe, of_0, of_1 in (
        ("each column to [0, 1]", np.min, np.max),
        ("each column standardised", np.mean, np.std),
    ):
        _, problem = fitted(recipe, data_set)
        for X in problem.Xs:
            np.testing.assert_allclose(of_0(X, axis=0), 0, atol=1e-5)
            np.testing.assert_allclose(of_1(X, axis=0), 1, atol=1e-5)


def test_view_2_comes_first_with_the_labels_of_its_rows(data_set):
    _, problem = fitted("view 2 first", data_set, ratio=0.5)
    second, first = data.min_max_scale(data_set.Xs)
    assert np.array_equal(problem.Xs[0], first[problem.permutations[0]])
    assert np.array_equal(problem.Xs[1], second[problem.permutations[1]])
    assert np.array_equal(problem.y, data_set.y[problem.permutations[0]])


def test_xaviers_weights_are_drawn_for_one_fit_alone(data_set):
    own = nn.Linear.reset_parameters
    for recipe, zero in (("Xavier's first weights", True), (PAPER_RECIPE, False)):
        for layer in first_weights(recipe, data_set):
            bound = np.sqrt(6 / sum(layer.weight.shape)) if zero else layer.in_features**-0.5
            assert layer.weight.abs().max() <= bound * (1 + 1e-6)
            assert torch.all(layer.bias.abs() < 1e-20) == zero
    assert nn.Linear.reset_parameters is own


def test_only_one_recipe_changes_the_precision(data_set):
    found = {recipe: fitted(recipe, data_set)[0].precision for recipe in RECIPES}
    assert found.pop("float32 products") == "float32"
    assert set(found.values()) == {"bfloat16"}


def test_an_unknown_recipe_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'view 2 first'"):
        fit_recipe("view 1 first", None, 1.0, 20, SETTINGS)


def test_the_best_of_the_first_epochs_is_of_the_same_training(monkeypatch):
    def result(seed, acc, **given):
        given = {"aligned_ratio": 1.0, "features": "eval", "init": "draws", "starts": 1} | given
        curves = {"curves": {"acc": acc}} if acc else {}
        return {"dataset": "wiki", "seed": seed, "parameters": given} | curves

    results = [
        result(5, [0.1, 0.4, 0.3, 0.7]),
        result(15, [0.5, 0.2, 0.5, 0.4]),
        result(25, None),
        result(35, [0.9] * 4, starts=20),
        result(45, [0.9] * 4, init="authors"),
    ]
    records = [
        {"experiment": "method", "results": results},
        {"experiment": "selection", "results": [result(55, [0.9] * 4)]},
    ]
    monkeypatch.setattr(smart_claims, "load_records", lambda *given: records)
    frame = smart_claims.early_oracles(2).set_index("seed")
    assert frame["best of 2"].to_dict() == {5: 40, 15: 50}
    assert frame["later epochs add"].to_dict() == {5: 30, 15: 0}
