"""The findings in the README are what the records say; those of the front page are computed."""

from pathlib import Path

import pytest
from scipy.stats import ttest_1samp

from mvlib.records import results_frame

ROOT = Path(__file__).resolve().parents[2]


def recorded(paper, experiment, **given):
    frame = results_frame(paper, "reduced", experiment, variants=True)
    for name, value in given.items():
        frame = frame[frame[name] == value]
    return frame


def by_set(frame, column="acc"):
    return 100 * frame[frame[column].notna()].groupby("dataset")[column].mean()


def smart(init="draws", starts=1, rule="last", features="eval"):
    given = {"init": init, "starts": starts, "rule": rule, "features": features}
    return by_set(recorded("smart", "method", aligned_ratio=0.5, **given))


def floor(method):
    return by_set(recorded("smart", "floors", aligned_ratio=0.5, method=method))


def recall(draws):
    leak = recorded("set_clip", "leakage", ratio=0, draws=draws, n_steps=800)
    return by_set(leak.astype({"measure_r10": float}), "measure_r10")["handwritten"]


def words(method, corrupted):
    found = recorded("cae", "random_words", method=method, corrupted=corrupted)
    assert found.groupby("dataset")["seed"].nunique().min() == 8
    return by_set(found)


@pytest.fixture(scope="module")
def page():
    return " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())


def test_the_start_of_kmeans_is_worth_what_the_page_says(page):
    full = results_frame("smart", "full", "method", variants=True)
    full = full[(full["rule"] == "last") & (full["features"] == "eval")]
    full = full[full["aligned_ratio"] == 0.5]
    acc = 100 * full.pivot_table("acc", ["dataset", "seed"], ["init", "starts"])
    said = []
    for dataset in ("bdgp", "handwritten"):
        some = acc.loc[dataset]
        assert len(some) == 3
        assert some.notna().all(axis=None)
        means = some[[("authors", 1), ("draws", 1), ("draws", 20)]].mean()
        said.append("{:.0f}, {:.0f} and {:.0f}".format(*means))
    assert f"come to {said[0]} points on BDGP, to {said[1]} on HandWritten (3 seeds)" in page


def test_the_simple_rival_is_ahead_on_as_many_sets_as_the_page_says(page):
    ahead = floor("spectral, view 1, unit rows") - smart()
    assert f"on {(ahead > 0).sum()} of {len(ahead.dropna())} sets" in page


def test_choices_move_scores_as_much_as_a_simpler_method_does():
    front = " ".join((ROOT / "book/index.md").read_text(encoding="utf-8").split())
    assert "the choices around the equations moved the scores as much as exchanging" in front
    ours = smart()
    choices = [smart("authors"), smart(starts=20), smart(rule="oracle")]
    rivals = [floor("k-means, view 1"), floor("spectral, view 1, unit rows")]
    most = [max(abs((one - ours).mean()) for one in some) for some in (choices, rivals)]
    assert most[0] >= most[1]


def test_batches_of_the_same_things_leak_as_the_page_says(page):
    same, apart = f"{recall('same instances'):.0f}", f"{recall('independent draws'):.0f}"
    assert f"R@10 {same} on HandWritten" in page
    assert f"{apart}, chance" in page
    leak = recorded("set_clip", "leakage", ratio=0, n_steps=800, dataset="handwritten")
    assert leak.groupby("draws").size().unique().tolist() == [15]
    # Chance is ten of the gallery.
    assert (leak["measure_gallery"].astype(int) == 600).all()


def test_random_words_do_no_worse_on_either_set(page):
    real, random = words("CAE", 0.0), words("CAE", 1.0)
    floor = words("k-means of images", 0.0)["cifar-10"]
    assert (
        f"comes to {real['cifar-10']:.0f} points on CIFAR-10 with real words, to "
        f"{random['cifar-10']:.0f} with random ones; k-means of the images alone to {floor:.0f}"
    ) in page
    cae = recorded("cae", "random_words", method="CAE").set_index(["dataset", "seed"])
    apart = 100 * (
        cae.loc[cae["corrupted"] == 1, "acc"] - cae.loc[cae["corrupted"] == 0, "acc"]
    )
    # One-sided, at 5 %: on both sets random words are not worse at all, by the paired t test.
    tests = [ttest_1samp(one, 0, alternative="greater") for _, one in apart.groupby("dataset")]
    assert len(tests) == 2
    assert max(test.pvalue for test in tests) < 0.05
