"""What estimators share: bounds, seeds, labels told from flags, a fit that is whole or none."""

import random
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest
import torch
from refusals import out_of_range
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from mvlib import SMART, MvCLN, SetCLIP
from mvlib.check import choice, each, flag, optional, real, whole
from mvlib.methods import CCA, AutoencoderKMeans, Chance, CLIPKMeans, KMeansView, training
from mvlib.methods.base import ViewClustering

RNG = np.random.default_rng(0)
XS = [RNG.normal(size=(40, 5)).astype(np.float32), RNG.normal(size=(40, 4)).astype(np.float32)]
SMALL = {"hidden_dims": (8,), "embedding_dim": 3, "epochs": 2, "batch_size": 16}
PAIRED = {"n_clusters": 3, "n_epochs": 2, "embedding_dim": 4, "batch_size": 8}
LEARNERS = {
    "SMART": lambda seed: SMART(3, **SMALL, random_state=seed),
    "MvCLN": lambda seed: MvCLN(3, **SMALL, n_negatives=3, random_state=seed),
    "Set-CLIP": lambda seed: SetCLIP(**PAIRED, random_state=seed),
}
MAKERS = LEARNERS | {
    "k-means": lambda seed: KMeansView(3, random_state=seed),
    "chance": lambda seed: Chance(3, random_state=seed),
    "auto-encoders": lambda seed: AutoencoderKMeans(3, settings=SMALL, random_state=seed),
}


class Moody(ViewClustering):
    """Fails as it is told to, after it has set something."""

    _bounds = {"share": real(0, 1)}

    def __init__(self, n_clusters, *, share=0.5, mood=None, random_state=None):
        self.n_clusters, self.share, self.mood = n_clusters, share, mood
        self.random_state = random_state

    def _fit(self, views, aligned, y, seed):
        self.network_ = seed
        if self.mood:
            raise self.mood
        self.labels_ = np.zeros(len(aligned), np.int64)
        self.embedding_ = views[0]


class Gappy(Moody):
    """Takes samples that lack views, and keeps what it is given."""

    _takes_missing = True
    _min_views = 2

    def _fit(self, views, aligned, y, seed, present):
        super()._fit(views, aligned, y, seed)
        self.views_, self.present_ = views, present


class Moodier(Moody):
    _bounds = {"mood": optional(choice(["good"]))}


@pytest.mark.parametrize(
    ("bound", "good", "bad", "message"),
    [
        (real(0, open_low=True), 0.1, 0, r"p=0 is out of range: expected a finite number > 0"),
        (real(0, 1), 1, 1.5, "p=1.5 .* >= 0 and <= 1"),
        (real(), -3, np.nan, "p=nan"),
        (whole(), np.int64(1), 0, "p=0 .* an integer >= 1"),
        (whole(2), 2, 2.5, "p=2.5 .* an integer >= 2"),
        (choice(["one", "two"]), "one", "ones", "p='ones' is unknown. Did you mean 'one'"),
        (optional(whole()), None, 0, "p=0"),
        (flag, np.True_, "True", "p='True' is unknown: expected True or False"),
        (each(whole()), (1, 2), (1, 0), "p=0"),
        (each(whole()), [], 3, "p=3: expected a sequence"),
        (each(choice(["one"])), ["one"], "one", "p='one' is a string: expected a sequence"),
    ],
)
def test_a_bound_takes_what_is_within_and_names_what_is_not(bound, good, bad, message):
    bound("p", good)
    with pytest.raises(ValueError, match=message):
        bound("p", bad)


test_the_bounds_of_a_parent_hold_too = out_of_range(
    lambda **change: Moodier(2, **change).fit(XS),
    {"share": (2,), "mood": ("bad",), "random_state": (-1,)},
)


@pytest.mark.parametrize("failure", [ValueError("bad"), KeyboardInterrupt()])
def test_a_fit_that_fails_or_is_interrupted_leaves_the_estimator_unfitted(failure):
    model = Moody(2).fit(XS)
    assert model.labels_.shape == (40,)
    assert model.n_features_in_ == [5, 4]
    with pytest.raises(type(failure)):
        model.set_params(mood=failure).fit(XS)
    assert vars(model) == clone(model).get_params() | {"mood": failure}


# Ctrl-C at one of the imports that a first fit makes, however deep, then the same fit again.
INTERRUPTED = """
import sys
import numpy as np
from mvlib import SMART

class Interrupting:
    left = 0
    def find_spec(self, name, path=None, target=None):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt

Xs = [np.random.default_rng(seed).random((60, 4)) for seed in (0, 1)]
model = SMART(3, hidden_dims=(8,), epochs=1, random_state=0)
finder, interrupted = Interrupting(), 0
sys.meta_path.insert(0, finder)
for finder.left in (1, 3, 10, 30, 100):
    try:
        model.fit(Xs)
    except KeyboardInterrupt:
        interrupted += 1
sys.meta_path.remove(finder)
print(interrupted, len(model.fit(Xs).labels_))
"""


def test_a_first_fit_interrupted_amid_its_imports_can_be_repeated():
    found = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False
    )
    interrupted, n_labels = found.stdout.split() or pytest.fail(found.stderr)
    assert int(interrupted) >= 1
    assert n_labels == "60"


def test_a_fit_forgets_the_one_before_even_if_its_input_is_refused():
    model = SetCLIP(**PAIRED, random_state=0).fit(XS)
    model.set_params(n_clusters=None).fit(XS)
    assert not hasattr(model, "labels_")
    with pytest.raises(ValueError, match="Xs has 1 entries"):
        model.fit(XS[:1])
    assert not [name for name in vars(model) if name.endswith("_")]


@pytest.mark.parametrize("model", [KMeansView(2), MvCLN(2), CCA(2)], ids=str)
def test_flags_are_not_taken_for_labels_nor_labels_for_flags(model):
    flags = np.arange(40) < 20
    with pytest.raises(ValueError, match="y holds booleans: .* by name, (aligned|paired)="):
        model.fit(XS, flags)
    with pytest.raises(ValueError, match="y holds booleans"):
        model.fit_predict(XS, flags)
    with pytest.raises(TypeError):
        model.fit(XS, None, flags)


@pytest.mark.parametrize("name", MAKERS)
def test_a_seed_may_be_a_numpy_integer_or_a_generator(name):
    def drawn(seed):
        return MAKERS[name](seed).fit(XS)

    assert np.array_equal(drawn(7).embedding_, drawn(np.int64(7)).embedding_)
    if name != "k-means":
        assert not np.array_equal(drawn(7).embedding_, drawn(8).embedding_)
    for kind in (np.random.default_rng, np.random.RandomState):
        assert np.array_equal(drawn(kind(1)).embedding_, drawn(kind(1)).embedding_)
        assert np.array_equal(drawn(kind(1)).labels_, drawn(kind(1)).labels_)


@pytest.mark.parametrize("seed", [0, None])
@pytest.mark.parametrize("name", MAKERS)
def test_a_fit_leaves_generators_views_and_parameters_as_they_were(name, seed):
    def draws():
        return torch.rand(1), np.random.rand(), random.random()  # noqa: NPY002

    def start():
        torch.manual_seed(3)
        np.random.seed(3)  # noqa: NPY002
        random.seed(3)

    start()
    expected = draws()
    start()
    model, given = MAKERS[name](seed), [X.copy() for X in XS]
    before = clone(model).get_params()
    model.fit(given)
    assert draws() == expected
    assert model.get_params() == before
    assert all(np.array_equal(X, Y) for X, Y in zip(given, XS, strict=True))


def test_seeds_are_drawn_anew_from_a_generator_and_without_one():
    rng = np.random.default_rng(0)
    assert len({training.resolve_seed(source) for source in (rng, None) * 3}) == 6
    assert KMeansView(3).fit(XS).labels_.shape == (40,)
    with pytest.raises(ValueError, match="random_state='one'"):
        training.resolve_seed("one")


def test_images_have_a_width_and_their_parameters_bounds():
    model = CLIPKMeans(2, n_init=1, random_state=0).fit(XS[0])
    assert model.n_features_in_ == 5
    with pytest.raises(ValueError, match="precision='half'"):
        model.set_params(precision="half").fit(XS[0])
    assert not hasattr(model, "labels_")


@pytest.mark.parametrize("name", LEARNERS)
def test_a_seed_gives_in_threads_what_it_gives_alone(name):
    make, found = LEARNERS[name], {}
    alone = [make(seed).fit(XS).embedding_ for seed in (0, 1)]
    start = threading.Barrier(4)

    def work(number):
        start.wait()
        found[number] = make(number % 2).fit(XS).embedding_

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    state = torch.get_rng_state()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.equal(torch.get_rng_state(), state)
    for number in range(4):
        np.testing.assert_allclose(found[number], alone[number % 2], rtol=1e-5, atol=1e-6)


PRESENT = np.ones((40, 2), bool)
PRESENT[[0, 3, 7], [0, 1, 0]] = False


@pytest.mark.parametrize("hole", [np.nan, np.inf, 1e38])
@pytest.mark.parametrize("kind", [np.float32, np.float64, pd.DataFrame])
def test_what_is_absent_is_not_read_and_holds_the_mean_of_what_is_present(kind, hole):
    Xs = [np.where(PRESENT[:, [v]], X, hole) for v, X in enumerate(XS)]
    given = [kind(X) if kind is pd.DataFrame else X.astype(kind) for X in Xs]
    model = Gappy(2).fit(given, present=PRESENT)
    assert np.array_equal(model.present_, PRESENT)
    for v, (view, X) in enumerate(zip(model.views_, XS, strict=True)):
        there = PRESENT[:, v]
        assert view.dtype == np.float32
        assert np.array_equal(view[there], X[there])
        expected = np.broadcast_to(X[there].mean(axis=0), (sum(~there), X.shape[1]))
        np.testing.assert_allclose(view[~there], expected, rtol=1e-5, atol=1e-6)
    for X, A in zip(given, Xs, strict=True):
        np.testing.assert_array_equal(X, A)
    assert np.array_equal(model.fit_predict(given, present=PRESENT), model.labels_)


def test_without_a_mask_or_with_a_full_one_all_is_there():
    for mask in (None, np.ones((40, 2), bool), np.ones((40, 2), int)):
        model = Gappy(2).fit(XS, present=mask)
        assert model.present_.dtype == bool
        assert model.present_.all()
        assert all(np.array_equal(a, b) for a, b in zip(model.views_, XS, strict=True))
        MvCLN(3, **SMALL, n_negatives=3).fit(XS, present=mask)


def test_samples_that_are_told_apart_by_what_they_lack_are_not_equal():
    Xs = [np.ones((4, 2)), np.ones((4, 2))]
    mask = np.array([[1, 1], [1, 1], [1, 0], [1, 0]], bool)

    class Split(Gappy):
        def _fit(self, views, aligned, y, seed, present):
            self.labels_, self.embedding_ = np.array([0, 0, 1, 1]), np.eye(4)

    assert Split(2).fit(Xs, present=mask).labels_.tolist() == [0, 0, 1, 1]
    with pytest.warns(ConvergenceWarning, match=r"\(1\) found"):
        assert Split(2).fit(Xs).labels_.tolist() == [0, 0, 0, 0]


def without(*cells):
    mask = np.ones((40, 2), bool)
    for cell in cells:
        mask[cell] = False
    return mask


@pytest.mark.parametrize(
    ("present", "message"),
    [
        (np.ones(40, bool), r"present has shape \(40,\): expected \(40, 2\)"),
        (np.ones((40, 3), bool), r"present has shape \(40, 3\)"),
        (np.ones((39, 2), bool), r"present has shape \(39, 2\)"),
        (np.ones((40, 2)), "present has dtype float64: expected booleans"),
        (without(5), "present has no True for sample 5"),
        (without(np.s_[:, 1]), "present has no True for view 1"),
    ],
)
def test_a_mask_of_views_that_does_not_fit_is_named(present, message):
    with pytest.raises(ValueError, match=message):
        Gappy(2).fit(XS, present=present)
    with pytest.raises(ValueError, match=message):
        MvCLN(3, **SMALL).fit_predict(XS, present=present)


def test_a_method_that_takes_no_gap_names_itself_and_what_is_present_must_be_finite():
    with pytest.raises(ValueError, match="3 False: expected True alone, since MvCLN takes"):
        MvCLN(3, **SMALL).fit(XS, present=PRESENT)
    Xs = [X.copy() for X in XS]
    Xs[0][0] = Xs[0][4] = np.nan
    with pytest.raises(ValueError, match=r"Xs\[0\] holds nan at row 4"):
        Gappy(2).fit(Xs, present=PRESENT)
    with pytest.raises(ValueError, match=r"Xs\[0\] has numbers .* hardly tells apart"):
        Gappy(2).fit([1.7e9 + XS[0].astype(float), XS[1]], present=PRESENT)
    with pytest.raises(ValueError, match="different lengths"):
        Gappy(2).fit([XS[0], XS[1][:30]], present=PRESENT)
    with pytest.raises(ValueError, match="Xs has 1 views"):
        Gappy(2).fit(XS[:1], present=np.ones((40, 1), bool))


def test_a_mask_of_views_is_routed_as_flags_of_rows_are():
    with config_context(enable_metadata_routing=True):
        model = Gappy(2).set_fit_request(present=True, aligned=False)
        asked = model.get_metadata_routing().fit.requests
    assert asked == {"present": True, "aligned": False}
