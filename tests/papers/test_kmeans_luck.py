"""What choices of k-means move and what words add, from results made by hand."""

from itertools import product

import pandas as pd
import pytest

from mvlib.papers.kmeans_luck import (
    ALL,
    CAPPED,
    RAW,
    UNIT,
    WITH_WORDS,
    change_effects,
    seed_differences,
    words_or_luck,
)


def runs(caps=(ALL, CAPPED), words=0.2):
    """Return results in which each choice adds what its name says, and seeds add their own."""
    rows = []
    seeds = {1: 0.00, 2: 0.01, 3: 0.02}
    kinds = {RAW: 0.0, UNIT: 0.1, WITH_WORDS: 0.1 + words}
    for (seed, luck), (kind, acc), init, starts, rows_of in product(
        seeds.items(), kinds.items(), ("random", "k-means++"), (1, 20), caps
    ):
        # More starts help images alone, and the more the later the seed.
        acc += luck + (0.01 * seed if starts == 20 and kind != WITH_WORDS else 0)
        acc -= 0.05 if init == "k-means++" and kind == RAW else 0
        way = {"features": kind, "init": init, "starts": starts, "learnt_from": rows_of}
        rows.append({"dataset": "openclipart", "seed": seed, "acc": 0.3 + acc, **way})
    return pd.DataFrame(rows)


def test_a_change_is_paired_by_seed_and_one_of_kmeans_is_of_images_alone():
    seeds, ways = seed_differences(runs(), "more starts")
    # 1, 2 and 3 points; words, which gain nothing by starts, are not among them.
    assert seeds.tolist() == pytest.approx([1, 2, 3])
    assert len(ways) == 2 * 2 * 2
    assert ways.tolist() == pytest.approx([2] * 8)
    seeds, ways = seed_differences(runs(), "k-means++")
    assert seeds.tolist() == pytest.approx([-2.5] * 3)
    assert (ways.min(), ways.max()) == (pytest.approx(-5), pytest.approx(0))
    seeds, _ = seed_differences(runs(), "words")
    assert seeds.tolist() == pytest.approx([19.5, 19, 18.5])


def test_a_change_that_was_not_made_has_no_row_and_one_that_does_nothing_is_shown_to():
    table = change_effects(runs()).set_index("change")
    assert table.loc["256 rows a cluster", "verdict"] == "within 1"
    assert table.loc["words", "verdict"] == "differs"
    assert table.loc["unit rows", "n"] == 3
    assert table.loc["k-means++", "by setting"] == "-5.0 to +0.0 in 8 settings"
    assert "256 rows a cluster" not in set(change_effects(runs(caps=(ALL,)))["change"])


def test_the_sentence_sets_words_at_the_same_way_beside_all_ways():
    said = words_or_luck(runs())
    # Raw rows by k-means++ from one start: 26; unit rows of twenty: 43. Words: 61 always.
    assert "8 ways" not in said
    assert "16 ways to run k-means of the same images have means from 26.0 to 43.0" in said
    assert "**17.0 points apart**" in said
    assert "words add **+19.0 points** [+18.2, +19.8] (differs, n = 3 seeds)" in said
    assert "the gain reads +18.0 to +35.0" in said
    assert words_or_luck(runs().iloc[:0]) == "*Not run.*"
