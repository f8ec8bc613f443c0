"""What scores without labels choose, from results made by hand; the labels that are kept."""

import numpy as np
import pandas as pd
import pytest

from mvlib import data
from mvlib.metrics import accuracy
from mvlib.papers.label_free import (
    chosen_by_scores,
    groups_by_scores,
    kept_clusterings,
    what_scores_know,
)

ACC = {"a": 0.5, "b": 0.4, "c": 0.3, "d": 0.2, "e": 0.1, "zero-shot": 0.9}
NOT_KNOWN = dict.fromkeys(("silhouette", "calinski_harabasz", "agreement"))


def runs(method, groups=()):
    """Return results of methods, by Davies-Bouldin's index alone, and of numbers of groups."""
    rows = []
    for name, acc in ACC.items():
        rows += [
            {"method": name, "seed": seed, "acc": acc + move, "space": "images"}
            | {"davies_bouldin": method(acc)} | NOT_KNOWN
            for seed, move in ((1, 0.0), (2, 0.02))
        ]  # fmt: skip
    rows += [
        {"method": "k-means", "seed": seed, "acc": acc, "groups": k, "davies_bouldin": index}
        | {"silhouette": 0.5, "calinski_harabasz": 2.0, "agreement": 1 / k}
        for seed, k, acc, index in groups
    ]  # fmt: skip
    frame = pd.DataFrame(rows).assign(dataset="openclipart")
    measures = ["davies_bouldin", *NOT_KNOWN]
    return frame.rename(columns={name: f"measure_{name}" for name in measures})


GROUPS = [(1, 2, 0.2, 3), (1, 5, 0.6, 1), (1, 9, 0.5, 2), (2, 2, 0.3, 3), (2, 5, 0.4, 2)]
GROUPS += [(2, 9, 0.6, 1)]


def test_less_of_davies_bouldin_is_better_and_zero_shot_is_no_choice():
    table = chosen_by_scores(runs(lambda acc: -acc, GROUPS)).set_index("score")
    right = table.loc["Davies-Bouldin"]
    assert (right["rank correlation"], right["chosen"]) == (pytest.approx(1), "a")
    assert (right["lost"], right["methods"], right["seeds"]) == (0, 5, 2)
    assert right["by guess"] == pytest.approx(20)
    assert right["low"] == pytest.approx(1)
    wrong = chosen_by_scores(runs(lambda acc: acc, GROUPS)).set_index("score")
    assert wrong.loc["Davies-Bouldin", "chosen"] == "e"
    assert wrong.loc["Davies-Bouldin", "lost"] == pytest.approx(40)
    # Of what no method has there is no row.
    assert "agreement" not in table.index


def test_each_seed_chooses_its_number_of_groups():
    table = groups_by_scores(runs(lambda acc: acc, GROUPS)).set_index("score")
    assert table.loc["Davies-Bouldin", "groups chosen"] == "5, 9"
    assert table.loc["Davies-Bouldin", "ACC lost"] == pytest.approx(0)
    # Agreement falls with the groups: 2 of them, 40 and 30 points below the best.
    assert table.loc["agreement", "groups chosen"] == "2"
    assert table.loc["agreement", "ACC lost"] == pytest.approx(35)


def test_labels_that_records_keep_are_in_the_order_of_the_rows_each_seed_once():
    kept = kept_clusterings("images_with_words", "openclipart")
    y = data.load_images("openclipart").y
    assert len({(one["method"], one["seed"]) for one in kept}) == len(kept) > 50
    assert [accuracy(y, np.asarray(one["labels"])) for one in kept] == pytest.approx(
        [one["metrics"]["last"]["acc"] for one in kept]
    )
    assert kept_clusterings("images_with_words", "openclipart", aligned_ratio=1.0) == []


def test_the_sentence_counts_choices_that_are_better_than_a_guess():
    said = what_scores_know(runs(lambda acc: -acc, GROUPS))
    assert "a choice of 5 methods loses **0.0 to 0.0 points**" in said
    assert "a method at random 20.0; 1 of 1 choices do better" in said
    assert "Davies-Bouldin 0.0" in said
    empty = runs(lambda acc: acc).iloc[:0].assign(groups=np.nan)
    assert what_scores_know(empty) == "*Not run.*"
