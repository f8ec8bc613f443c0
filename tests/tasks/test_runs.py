"""Runs of any method of the catalogue on a problem of its task: fitted and scored alike."""

import numpy as np
import pytest
from problem_stand_ins import modalities_problem, views_problem, words_problem

from mvlib import data
from mvlib.methods import TAC, KMeansView, MvCLN, Procrustes
from mvlib.methods.views.sure import SURE
from mvlib.metrics import clustering_scores
from mvlib.records import Recorder
from mvlib.tasks import images_with_words, modalities, views

SMALL = {"hidden_dims": (16,), "epochs": 1, "device": "cpu", "embedding_dim": 4}
TASKS = {
    "views": (views, views_problem, ["mvcln", "kmeans_view"], {"dataset": "handwritten"}),
    "modalities": (modalities, modalities_problem, ["procrustes", "chance"], {}),
    "words": (images_with_words, words_problem, ["tac", "clip_kmeans"], {}),
}


@pytest.fixture(params=list(TASKS))
def task(request):
    room, problem, methods, given = TASKS[request.param]
    ratio = {"aligned_ratio": 0.5} if request.param == "modalities" else {}
    return room.run, problem(**ratio), methods, given


@pytest.fixture
def recorder():
    return Recorder("lineup", "method", "quick", "cpu")


def test_each_method_is_fitted_once_a_seed_and_recorded_with_what_tells_it_apart(
    task, recorder
):
    run, problem, methods, given = task
    settings = {"mvcln": SMALL} if "mvcln" in methods else {methods[0]: {}}
    fitted = run(methods, problem, [3, 4], recorder, settings, parameters={"x": 20}, **given)
    assert list(fitted) == [(name, seed) for name in methods for seed in (3, 4)]
    assert [result["seed"] for result in recorder.results] == [3, 4, 3, 4]
    assert all(result["parameters"]["x"] == 20 for result in recorder.results)
    assert all(result["seconds"] > 0 for result in recorder.results)


def test_a_committed_profile_keeps_the_labels_from_which_all_can_be_scored_anew(recorder):
    reduced, problem = Recorder("lineup", "method", "reduced", "cpu"), views_problem()
    views.run(["mvcln", "kmeans_view"], problem, [4], reduced, {"mvcln": SMALL}, dataset="wiki")
    words = words_problem()
    images_with_words.run(["clip_kmeans"], words, [4], reduced)
    trained, floor, images = reduced.results
    assert "labels" not in floor
    for result, y in ((trained, problem.y), (images, words.y)):
        again = clustering_scores(y, np.array(result["labels"]))
        assert result["metrics"]["last"] == pytest.approx(again, abs=1e-6)
    views.run(["mvcln"], problem, [4], recorder, {"mvcln": SMALL}, dataset="wiki")
    assert "labels" not in recorder.results[0]


def test_masks_reach_the_methods_and_rates_the_records(recorder):
    problem = views_problem()
    hidden = data.hide_views(problem, rate=0.5, protocol="sure")
    settings = {"sure": SMALL | {"n_negatives": 3, "batch_size": 64}}
    methods = ["sure", "kmeans_concatenation"]
    fitted = views.run(methods, hidden, [4], recorder, settings, dataset="wiki")
    masks = {"aligned": hidden.aligned, "present": hidden.present}
    apart = SURE(3, **settings["sure"], random_state=4).fit_predict(hidden.Xs, **masks)
    np.testing.assert_array_equal(fitted["sure", 4].labels_, apart)
    assert np.isfinite(fitted["kmeans_concatenation", 4].embedding_).all()
    for result in recorder.results:
        found = result["parameters"]
        assert (found["aligned_ratio"], found["missing_rate"]) == (0.5, 0.5)
        assert "mismatch_rate" not in found
    with pytest.raises(ValueError, match="MvCLN takes no sample that lacks a view"):
        views.run(["mvcln"], hidden, [4], recorder, dataset="wiki")
    mixed = data.mismatch(problem.Xs, problem.y, rate=0.25)
    views.run(["kmeans_view"], mixed, [4], recorder, dataset="wiki")
    assert recorder.results[-1]["parameters"] == {"aligned_ratio": 1.0, "mismatch_rate": 0.25}


def test_scores_are_those_of_the_method_fitted_apart(recorder):
    problem, words = views_problem(), words_problem()
    some = modalities_problem(aligned_ratio=0.5)
    settings = {"mvcln": SMALL}
    views.run(["mvcln", "kmeans_view"], problem, [4], recorder, settings, dataset="wiki")
    modalities.run(["procrustes"], some, [4], recorder)
    images_with_words.run(["tac"], words, [4], recorder)
    Xs, pairs, ys = some.rows(0.5)
    mvcln, view = MvCLN(3, **SMALL, random_state=4), KMeansView(3, random_state=4)
    procrustes = Procrustes(3, random_state=4).fit(Xs, pairs=pairs)
    tac = TAC(4, random_state=4).fit(words.images, words.nouns)
    apart = {
        "MvCLN": (problem.y, mvcln.fit_predict(problem.Xs, aligned=problem.aligned)),
        "k-means, view 1": (problem.y, view.fit_predict(problem.Xs)),
        "Procrustes": map(np.concatenate, (ys, procrustes.labels_by_modality_)),
        "TAC": (words.y, tac.labels_),
    }
    assert [result["method"] for result in recorder.results] == list(apart)
    for result, found in zip(recorder.results, apart.values(), strict=True):
        assert result["metrics"]["last"] == pytest.approx(clustering_scores(*found))


def test_a_method_that_draws_nothing_is_fitted_once_and_reads_what_is_its_own(recorder):
    methods = ["cae", "sic", "ntk_spectral", "zero_shot"]
    settings = {"sic": {"n_nearest": 8, "n_texts": 4, "epochs": 1}}
    settings["ntk_spectral"] = {"n_neighbors": 5, "top": None}
    fitted = images_with_words.run(methods, words_problem(), [0, 1], recorder, settings)
    assert [seed for name, seed in fitted if name == "zero_shot"] == [None]
    assert set(fitted["cae", 0].history_["kept"]) == {"nouns", "captions"}
    assert recorder.frame()["method"].unique().tolist() == ["CAE", "SIC", "NTK", "zero-shot"]


def test_what_is_not_of_the_task_is_refused_before_anything_runs(task, recorder):
    run, problem, methods, given = task
    other = "cca" if "cca" not in methods and "procrustes" not in methods else "cae"
    for names, settings, message in (
        ([methods[1], other], {}, f"methods='{other}' is unknown"),
        ([methods[1], methods[0] + "x"], {}, f"Did you mean '{methods[0]}'"),
        ([methods[1]], {methods[0]: {}}, f"settings='{methods[0]}' is unknown"),
    ):
        with pytest.raises(ValueError, match=message):
            run(names, problem, [0], recorder, settings, **given)
    assert recorder.results == []


def test_a_method_takes_of_a_profiles_size_what_it_has():
    quick = views.sized("mvcln", "quick", device="cpu")
    few = {"hidden_dims": (128, 128, 128), "epochs": 5, "n_negatives": 10}
    assert quick == few | {"device": "cpu"}
    assert modalities.sized("gromov_wasserstein", "quick") == {"max_rows": 300}
    assert views.sized("kmeans_view", "quick", device="cpu") == {}
    assert views.sized("mvcln", "full") == {}
    with pytest.raises(ValueError, match="Did you mean 'quick'"):
        views.sized("mvcln", "quik")


def test_cells_of_notebooks_import_by_the_former_names_of_files():
    from mvlib.tasks import encoder_quality, modality_problems, modality_runs

    assert encoder_quality is images_with_words
    assert modality_problems is modality_runs is modalities
