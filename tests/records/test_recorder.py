"""The Recorder takes only numbers that can be true, and hands them over unchanged."""

import json

import numpy as np
import pytest

from mvlib.records import Recorder
from mvlib.records.recorder import RESULTS_MIME
from mvlib.records.tables import parameters_of
from mvlib.run.saving import results_in

SCORES = {"acc": 0.9, "nmi": 0.8, "ari": -0.1, "purity": 0.9}


@pytest.fixture
def recorder():
    return Recorder("smart", "method", profile="quick", device="cpu")


def test_frame_has_one_row_a_result_and_rule(recorder):
    both = {"last": SCORES, "oracle": SCORES | {"acc": 0.95}}
    recorder.add("SMART", "handwritten", 5, {"aligned_ratio": 0.5}, both, seconds=1.23456)
    recorder.add("k-means", "handwritten", metrics={"last": SCORES})
    frame = recorder.frame()
    assert list(frame.columns) == [
        "method", "dataset", "seed", "aligned_ratio", "rule", "acc", "nmi", "ari", "purity",
        "seconds",
    ]  # fmt: skip
    assert frame["acc"].tolist() == [0.9, 0.95, 0.9]
    assert frame["rule"].tolist() == ["last", "oracle", "last"]
    assert frame["seconds"][0] == 1.235


def test_numpy_scalars_become_plain_json(recorder):
    scores = {name: np.float32(0.5) for name in SCORES}
    recorder.add("a", "b", np.int64(5), {"k": np.int64(3)}, {"last": scores}, np.float64(1))
    result = json.loads(json.dumps(recorder.payload()))["results"][0]
    assert (result["seed"], result["parameters"]) == (5, {"k": 3})
    assert result["metrics"]["last"] == dict.fromkeys(SCORES, 0.5)
    # Rounding over a bound is taken for the bound.
    over = {"acc": -1e-16, "nmi": 1 + 4e-16, "ari": -1 - 4e-16, "purity": 1 + 9e-10}
    recorder.add("a", "b", metrics={"last": over})
    assert list(recorder.results[1]["metrics"]["last"].values()) == [0, 1, -1, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": {"last": SCORES | {"acc": float("nan")}}}, "metrics.last.acc"),
        ({"metrics": {"last": SCORES | {"acc": 93.2}}}, "metrics.last.acc"),
        ({"metrics": {"last": SCORES | {"nmi": -0.2}}}, "metrics.last.nmi"),
        ({"metrics": {"last": SCORES | {"nmi": 1 + 1.1e-9}}}, "metrics.last.nmi"),
        ({"metrics": {"last": SCORES | {"ari": -1.5}}}, "metrics.last.ari"),
        ({"metrics": {"last": {"acc": 0.5}}}, "lacks nmi: expected acc, nmi"),
        ({"metrics": {"last": SCORES | {"f1": 0.5}}}, "'f1'"),
        ({"metrics": {"lats": SCORES}}, "Did you mean 'last'"),
        ({"metrics": {}}, "metrics"),
        ({"method": " "}, "method"),
        ({"dataset": None}, "dataset"),
        ({"seed": -1}, "seed"),
        ({"seed": 0.5}, "seed"),
        ({"seconds": float("inf")}, "seconds"),
        ({"parameters": {"ratio": float("nan")}}, "ratio"),
        ({"parameters": {"ratios": [0.5]}}, "ratios"),
        ({"parameters": {"acc": 1}}, "column"),
        ({"measures": {"MMD": 1.0}}, "measures={'MMD': 1.0}: expected .* lower case"),
        ({"measures": {"mmd": float("nan")}}, "measures/mmd is nan: expected a finite"),
    ],
)
def test_what_cannot_be_true_is_refused_and_not_kept(recorder, change, message):
    good = {"method": "a", "dataset": "b", "metrics": {"last": SCORES}}
    with pytest.raises(ValueError, match=message):
        recorder.add(**(good | change))
    assert recorder.results == []


def test_finish_outside_ipython_prints_the_stamp(recorder, capsys):
    recorder.finish()
    out = capsys.readouterr().out
    assert "profile quick" in out
    assert "numpy" in out
    assert "/" not in out


def executed(payload):
    data = {"text/plain": "stamp"} | ({RESULTS_MIME: payload} if payload else {})
    return {"cells": [{"cell_type": "code", "outputs": [{"data": data}]}]}


def test_results_are_read_from_the_output_of_the_runs_own_notebook(recorder):
    recorder.add("a", "b", metrics={"last": SCORES})
    run = {"paper": "smart", "experiment": "method", "profile": "quick"}
    found = results_in(executed(recorder.payload()), run)
    assert found["results"] == recorder.results
    for name, other in {"paper": "cae", "experiment": "selection", "profile": "full"}.items():
        with pytest.raises(ValueError, match=f"'{run[name]}': expected '{other}'"):
            results_in(executed(recorder.payload()), run | {name: other})
    with pytest.raises(ValueError, match=r"Recorder\.finish"):
        results_in(executed(None), run)
    with pytest.raises(ValueError, match="recorded no result"):
        results_in(executed(recorder.payload() | {"results": []}), run)
    reader = run | {"after": ("method",)}
    assert results_in(executed(recorder.payload() | {"results": []}), reader)["results"] == []


@pytest.mark.parametrize(
    ("change", "message"), [({"device": "auto"}, "auto"), ({"profile": "quik"}, "mean 'quick'")]
)
def test_the_device_is_resolved_and_the_profile_known(change, message):
    given = {"paper": "smart", "experiment": "method", "profile": "quick"}
    with pytest.raises(ValueError, match=message):
        Recorder(**given | change)


def test_measures_are_recorded_beside_scores_or_alone():
    recorder = Recorder("smart", "threshold", profile="quick", device="cpu")
    recorder.add("a", "made", 1, metrics={"last": SCORES}, measures={"mmd": 0.5})
    recorder.add("b", "made", 1, {"split": 20}, measures={"edges": np.int64(3)})
    frame = recorder.frame()
    assert frame["measure_mmd"].tolist()[0] == 0.5
    assert frame["measure_edges"].tolist()[1] == 3
    assert frame["acc"].isna().tolist() == [False, True]
    assert parameters_of(frame) == ["split"]
    for result in recorder.payload()["results"]:
        json.dumps(result, allow_nan=False)


def test_a_notebook_is_handed_the_payload_beside_what_it_shows(recorder, monkeypatch):
    import IPython
    import IPython.display

    shown = []
    monkeypatch.setattr(IPython, "get_ipython", lambda: "a shell")
    monkeypatch.setattr(IPython.display, "display", lambda *a, **k: shown.append((a, k)))
    recorder.add("a<b", "wiki", metrics={"last": SCORES})
    recorder.finish()
    (((data,), options),) = shown
    # Without raw, a dictionary is shown as text and reaches no reader.
    assert options == {"raw": True}
    assert data[RESULTS_MIME] == recorder.payload()
    assert data["text/html"].startswith('<p class="provenance">')
