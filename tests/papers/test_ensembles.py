"""What joining clusterings gains, from results made by hand."""

import pandas as pd
import pytest

from mvlib.papers.ensembles import (
    JOINED,
    METHODS,
    SIDE_BY_SIDE,
    joined_gains,
    many_or_one,
    seed_gains,
)


def runs(seeds=(1, 2, 3), methods=True):
    rows = []
    for seed in seeds:
        for bases, alone, joined in (("images", 0.40, 0.45), ("layers", 0.50, 0.48)):
            about = {"dataset": "openclipart", "seed": seed, "bases": bases}
            rows += [
                about | {"method": SIDE_BY_SIDE, "acc": alone + seed / 1000},
                about | {"method": JOINED, "acc": joined + 3 * seed / 1000},
            ]
        if methods:
            measures = {"measure_mean": 0.41, "measure_best": 0.60, "measure_joined": 4}
            about = {"dataset": "openclipart", "seed": seed, "bases": METHODS}
            rows.append(about | measures | {"method": JOINED, "acc": 0.47})
    columns = ["measure_mean", "measure_best", "measure_joined"]
    return pd.DataFrame(rows).reindex(columns=[*rows[0], *columns])


def test_joining_is_held_to_the_same_features_of_the_same_seed_and_methods_to_their_mean():
    gains = seed_gains(runs())
    assert gains["images"].to_dict() == pytest.approx({1: 5.2, 2: 5.4, 3: 5.6})
    table = joined_gains(runs()).set_index("joined")
    assert list(table.index) == ["images", "layers", METHODS]
    assert table["points"].to_dict() == pytest.approx(
        {"images": 5.4, "layers": -1.6, METHODS: 6.0}
    )
    assert table["without"].to_dict() == pytest.approx(
        {"images": 40.2, "layers": 50.2, METHODS: 41.0}
    )
    assert table["ACC joined"].to_dict() == pytest.approx(
        {"images": 45.6, "layers": 48.6, METHODS: 47.0}
    )
    # The interval lies above two points for one source, and within two for the other.
    assert table["verdict"].to_dict() == {
        "images": "differs", "layers": "within 2", METHODS: "differs"
    }  # fmt: skip


def test_the_sentence_names_the_highest_of_the_features_and_the_best_method_apart():
    said = many_or_one(runs())
    assert "images +5.4 [+5.1, +5.7], layers -1.6 [-1.9, -1.3]" in said
    assert (
        "The highest, of layers, is at 48.6; the images alone are at 45.6 joined, at 40.2"
        in said
    )
    assert "4 methods joined come to 47.0, +6.0 beside their mean and -13.0 beside" in said
    assert "methods joined" not in many_or_one(runs(methods=False))
    assert many_or_one(runs().iloc[:0]) == "*Not run.*"
