"""Rows that lack a view, rows of unknown partners and known pairs, given to every method."""

import warnings

import numpy as np
import pytest
from support.every_method import NAMES, TASKS, make
from torch.nn.modules.module import register_module_forward_pre_hook

from mvlib.methods import base
from mvlib.methods.catalogue import MODALITIES, VIEWS, load

RNG = np.random.default_rng(0)
Y = np.repeat([0, 1, 2], 20)
XS = [np.abs(RNG.normal(size=(3, d))[Y] * 3 + RNG.normal(size=(60, d))) for d in (6, 5)]
# From row 30 on, the second view's rows stand in another order.
SHUFFLED = [XS[0], XS[1][np.r_[np.arange(30), 30 + RNG.permutation(30)]]]
HALF = np.arange(60) < 30
DOCUMENTED = "Number of distinct clusters|the modalities part"
OF_VIEWS = [name for name in NAMES if TASKS[name] == VIEWS]
GAPPY = [name for name in OF_VIEWS if load(name)._takes_missing]
# These take row i of every view for one thing, whatever is known of it.
AS_GIVEN = {
    "divide", "candy", "corregen", "completer", "dcp", "autoencoder_kmeans", "dstl",
    "wah", "adssc_views", "ensemble_views", "scgc", "pamc", "sscc", "genksc",
    "magnetic",
}  # fmt: skip
AS_GIVEN |= {"kmeans_view", "kmeans_concatenation", "spectral_concatenation"}
# These fill with the mean; the others let no filled row take part.
FILLING = {"kmeans_view", "kmeans_concatenation", "spectral_concatenation"}
# These leave the known partners together.
KEEPS = {"smile", "unaligned_nmf"}


@pytest.fixture
def finite():
    """See that no module of a network is given NaN or infinity; tell how often one was run."""
    runs = []

    def look(module, inputs):
        runs.append(all(bool(x.isfinite().all()) for x in inputs if hasattr(x, "isfinite")))
        assert runs[-1], f"{type(module).__name__} is given what is not finite"

    hook = register_module_forward_pre_hook(look)
    yield runs
    hook.remove()


def clustered(model):
    assert model.labels_.shape == (60,)
    assert set(model.labels_) <= {0, 1, 2}
    assert np.isfinite(model.embedding_).all()
    if hasattr(model, "matching_"):
        assert model.matching_.min() >= 0
        assert model.matching_.max() < 60


def same(first, second):
    return np.array_equal(first.labels_, second.labels_) and np.array_equal(
        first.embedding_, second.embedding_
    )


def lacking(which):
    """Return which cells are there, where `which` rows lack one view each in turn."""
    there = np.ones((60, 2), bool)
    rows = np.arange(60)[which]
    there[rows, rows % 2] = False
    return there


def given(there, hole):
    return [np.where(there[:, [v]], X, hole) for v, X in enumerate(XS)]


HOLES = (np.nan, np.inf, 1e30)


@pytest.mark.fault("rows that lack a view, with NaN, infinity or 1e30 in their place")
@pytest.mark.parametrize("name", GAPPY)
def test_no_number_in_place_of_what_is_absent_enters_a_network(
    name, monkeypatch, finite, fault
):
    there = lacking(np.s_[::7])
    expected = make(name).fit(XS, present=there)
    clustered(expected)
    for hole in HOLES:
        assert same(make(name).fit(given(there, hole), present=there), expected)
    assert finite or name in FILLING
    monkeypatch.setattr(base, "_with_means", lambda X, there: np.where(there[:, None], X, 5))
    assert same(make(name).fit(XS, present=there), expected) == (name not in FILLING)
    fault("The clusters are the same to the last digit, and no network met them.", len(HOLES))


@pytest.mark.parametrize("which", ["few", "all but one", "all", "one view's"])
@pytest.mark.parametrize("name", GAPPY)
def test_rows_are_clustered_or_refused_however_many_lack_a_view(name, which, finite):
    there = lacking({"few": np.s_[::7], "all": np.s_[:]}.get(which, np.arange(60) != 7))
    if which == "one view's":
        there = np.stack([np.ones(60, bool), np.arange(60) == 7], axis=1)
    n = {"few": 51, "all": 0}.get(which, 1)
    said = f"has {n} (True in rows with both|rows in both|samples with all)"
    if which != "few" and name not in FILLING | {"camera", "smile"}:
        with pytest.raises(ValueError, match=said):
            make(name).fit(given(there, np.nan), present=there)
    else:
        clustered(make(name).fit(given(there, np.nan), present=there))


@pytest.mark.fault("rows that lack a view, to methods that take whole rows alone")
@pytest.mark.parametrize("name", [name for name in OF_VIEWS if name not in GAPPY])
def test_a_method_of_whole_rows_refuses_a_mask_with_its_own_name(name, fault):
    there = lacking(np.s_[::7])
    with pytest.raises(ValueError, match=f"present has 9 False.*{load(name).__name__} takes"):
        make(name).fit(given(there, np.nan), present=there)
    fault("A ValueError that names the method, before anything is computed.")


@pytest.mark.fault("NaN in rows that are there, in a fit and in new rows")
@pytest.mark.parametrize("name", [name for name in NAMES if TASKS[name] in (VIEWS, MODALITIES)])
def test_nan_in_what_is_there_is_refused_in_fits_and_in_new_rows(name, finite, fault):
    holed, flags = XS[1].copy(), {"aligned" if name in OF_VIEWS else "paired": HALF}
    holed[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"Xs\[1\] holds nan at row 3, column 2"):
        make(name).fit([XS[0], holed], **flags)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", DOCUMENTED)
        model = make(name).fit(XS, **flags)
    for method in ("transform", "predict") if hasattr(model, "transform") else ():
        with pytest.raises(ValueError, match=r"Xs\[1\] holds nan at row 3, column 2"):
            getattr(model, method)([XS[0], holed])
    fault("A ValueError with view, row and column; no network met it.", times=2)


KNOWN = {"none": np.zeros(60, bool), "one": np.arange(60) == 7, "half": HALF}
# How many known rows these need at the least.
NEEDS = {
    "capimac": 6,
    "smart": 1,
    "autoencoder_hungarian": 1,
    "pvc": 2,
    "vital": 2,
    "mvcln": 3,
    "sure": 3,
}


@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize("name", OF_VIEWS)
def test_rows_are_clustered_or_refused_however_many_have_a_known_partner(name, known, finite):
    flags = KNOWN[known]
    if flags.sum() < NEEDS.get(name, 0):
        with pytest.raises(ValueError, match=f"aligned has ({flags.sum()}|no) True"):
            make(name).fit(SHUFFLED, aligned=flags)
        return
    model = make(name).fit(SHUFFLED, aligned=flags)
    clustered(model)
    if name in KEEPS:
        assert (np.atleast_2d(model.matching_.T)[:, flags] == np.flatnonzero(flags)).all()
    if known == "half":
        # Which rows are known matters to the methods that say so, and to no other.
        assert same(make(name).fit(SHUFFLED, aligned=[1] * 60), model) == (name in AS_GIVEN)


# Row numbers of both modalities, the second of which has 40 rows.
PAIRS = np.stack([np.arange(20), np.arange(20)[::-1]], axis=1)
WITHOUT_PAIRS = {"gromov_wasserstein", "chance"}
OF_MODALITIES = [name for name in NAMES if TASKS[name] == MODALITIES]


def joined(name, pairs=None, n=40, **more):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", DOCUMENTED)
        return make(name).fit([XS[0], XS[1][:n]], pairs=pairs, **more)


@pytest.mark.parametrize("n_pairs", [0, 1, 2, 20])
@pytest.mark.parametrize("name", OF_MODALITIES)
def test_modalities_are_clustered_or_refused_however_many_pairs_are_known(
    name, n_pairs, finite
):
    if n_pairs < 2 and name in ("cca", "procrustes"):
        with pytest.raises(ValueError, match=f"pairs has {n_pairs} rows: .* at least 2 pairs"):
            joined(name, PAIRS[:n_pairs])
        return
    model = joined(name, PAIRS[:n_pairs])
    clustered(model)
    assert [len(labels) for labels in model.labels_by_modality_] == [60, 40]
    assert all(np.isfinite(Z).all() for Z in model.embeddings_)


@pytest.mark.parametrize("name", OF_MODALITIES)
def test_pairs_are_rows_of_both_and_flags_of_pairs_are_their_numbers(name):
    rows = np.flatnonzero(HALF)
    both = joined(name, np.stack([rows, rows], axis=1), n=60)
    assert same(joined(name, n=60, paired=HALF), both)
    other = joined(name, np.stack([rows, rows[::-1]], axis=1), n=60)
    assert same(other, both) == (name in WITHOUT_PAIRS)


@pytest.mark.parametrize("name", ["cca", "procrustes"])
def test_the_order_of_pairs_changes_nothing(name):
    first, second = joined(name, PAIRS), joined(name, PAIRS[::-1])
    # But for the sign of a direction.
    cosines = [Z_1 @ Z_2.T for Z_1, Z_2 in (first.embeddings_, second.embeddings_)]
    np.testing.assert_allclose(*cosines, atol=1e-5)
