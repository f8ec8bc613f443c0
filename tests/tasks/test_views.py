"""Runs of any method of the catalogue on a problem of views: fitted alike, scored alike."""

import numpy as np
import pytest

from mvlib import data
from mvlib.methods import KMeansView, MvCLN
from mvlib.metrics import clustering_scores
from mvlib.records import Recorder
from mvlib.tasks.views import run, sized

SMALL = {"hidden_dims": (16,), "epochs": 1, "device": "cpu", "embedding_dim": 4}


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    views = [rng.normal(size=(120, 5)) + 2 * y[:, None] for _ in range(2)]
    return data.partially_align(views, y, 0.5)


@pytest.fixture
def recorder():
    return Recorder("lineup", "method", "quick", "cpu")


def test_each_method_is_fitted_once_a_seed_and_scored_on_the_labels_of_view_1(
    problem, recorder
):
    fitted = run(
        ["mvcln", "kmeans_view"], problem, [3, 4], recorder, {"mvcln": SMALL},
        dataset="handwritten", parameters={"split": 20},
    )  # fmt: skip
    assert list(fitted) == [(name, k) for name in ("mvcln", "kmeans_view") for k in (3, 4)]
    assert [(r["method"], r["seed"]) for r in recorder.results] == [
        ("MvCLN", 3), ("MvCLN", 4), ("k-means, view 1", 3), ("k-means, view 1", 4),
    ]  # fmt: skip
    apart = (
        MvCLN(3, **SMALL, random_state=4).fit_predict(problem.Xs, aligned=problem.aligned),
        KMeansView(3, random_state=4).fit_predict(problem.Xs),
    )
    for result, labels in zip(recorder.results[1::2], apart, strict=True):
        expected = clustering_scores(problem.y, labels)
        assert result["metrics"]["last"] == pytest.approx(expected)
        assert result["parameters"] == {"aligned_ratio": 0.5, "split": 20}
        assert result["seconds"] > 0


@pytest.mark.parametrize(
    ("methods", "settings", "message"),
    [
        (["kmeans_view", "cca"], {}, "methods='cca' is unknown"),
        (["kmeans_view", "mvclm"], {}, "Did you mean 'mvcln'"),
        (["kmeans_view"], {"mvcln": SMALL}, "settings='mvcln' is unknown"),
    ],
)
def test_what_is_not_of_the_task_is_refused_before_anything_runs(
    problem, recorder, methods, settings, message
):
    with pytest.raises(ValueError, match=message):
        run(methods, problem, [0], recorder, settings, dataset="handwritten")
    assert recorder.results == []


def test_a_method_takes_of_a_profiles_size_what_it_has():
    quick = sized("mvcln", "quick", device="cpu")
    assert quick == {"hidden_dims": (128, 128, 128), "epochs": 10, "device": "cpu"}
    assert sized("kmeans_view", "quick", device="cpu") == {}
    assert sized("mvcln", "full") == {}
    with pytest.raises(ValueError, match="Did you mean 'quick'"):
        sized("mvcln", "quik")
