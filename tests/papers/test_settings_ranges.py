"""Which unknown settings matter."""

import numpy as np
import pandas as pd
import pytest

from mvlib.papers import settings_ranges as ranges


def test_the_range_of_a_setting_is_best_less_worst_mean(monkeypatch):
    rows = [[0.01, 5, 0.5], [0.01, 15, 0.52], [1.0, 5, 0.4], [1.0, 15, 0.42], [None, 5, 0.99]]
    frame = pd.DataFrame(rows, columns=["epsilon", "seed", "acc"])
    frame = frame.assign(dataset="openclipart", method="CAE")
    found = {"sinkhorn": frame}
    empty = frame.iloc[:0].drop(columns="epsilon")
    monkeypatch.setattr(ranges, "results_frame", lambda *given: found.get(given[2], empty))
    (row,) = ranges.setting_ranges("cae", "reduced").to_dict("records")
    assert row["setting"] == "entropy of the plan"
    assert (row["best"], row["worst"], row["values"]) == ("0.01", "1", 2)
    assert row["ACC, best"] == pytest.approx(51)
    assert row["range"] == pytest.approx(10)
    assert row["seed sd"] == pytest.approx(np.std([50, 52], ddof=1))


def test_each_setting_of_a_sweep_has_its_own_range(monkeypatch):
    rows = [["d", "mu", 0.1, 5, 0.5], ["d", "mu", 1.0, 5, 0.7], ["d", "top", 5.0, 5, 0.9]]
    rows += [["d", "top", 20.0, 5, 0.8]]
    frame = pd.DataFrame(rows, columns=["dataset", "setting", "value", "seed", "acc"])
    monkeypatch.setitem(ranges.SETTINGS, "made", [("e", ["setting", "value"], None)])
    monkeypatch.setattr(ranges, "results_frame", lambda *args: frame)
    table = ranges.setting_ranges("made", "reduced").set_index("setting")
    assert table["range"].round(6).to_dict() == {"mu": 20.0, "top": 10.0}
    assert table.loc["top", "best"] == "5"
