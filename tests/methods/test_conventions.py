"""What holds for every method of the catalogue, as scikit-learn has it."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from refusals import refuses
from sklearn import config_context
from sklearn.base import clone, is_clusterer
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import (
    check_estimators_pickle,
    check_fit2d_1sample,
    check_get_params_invariance,
    check_no_attributes_set_in_init,
    check_parameters_default_constructible,
    check_set_params,
)
from support.every_method import (
    MATCHING,
    NAMES,
    NET,
    SETTINGS,
    TASKS,
    WITHOUT_CLUSTERS,
    WITHOUT_MAP,
    fitted,
    make,
)

import mvlib
from mvlib import data, metrics, ops
from mvlib.methods.catalogue import MODALITIES, VIEWS, WORDS, load
from mvlib.methods.saving import FORMAT

RNG = np.random.default_rng(0)
Y = np.repeat([0, 1, 2], 20)
X, Z = (np.eye(3)[Y] @ RNG.normal(size=(3, d)) * 3 + RNG.normal(size=(60, d)) for d in (6, 5))
NOUNS = RNG.normal(size=(40, 6))


def rows(name, x=X, z=Z):
    return x if TASKS[name] == WORDS else [x, z]


def fit(name, model=None, x=X, z=Z, **more):
    model = make(name, **more) if model is None else model
    return fitted(name, model, [x, z], NOUNS)


def same(a, b):
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return np.array_equal(a, b, equal_nan=True)


every = pytest.mark.parametrize("name", NAMES)


@every
def test_a_fit_by_any_kind_of_seed_and_its_attributes(name):
    model = make(name)
    with pytest.raises(AttributeError):
        model.labels_  # noqa: B018
    fit(name, model)
    assert len(model.labels_) == 60
    assert model.labels_.dtype == np.int64
    wide = 6 if TASKS[name] == WORDS else [6, 5]
    assert model.n_features_in_ == wide
    assert not hasattr(model, "feature_names_in_")
    assert same(fit(name, random_state=np.int64(0)).labels_, model.labels_)
    for kind in (np.random.default_rng, np.random.RandomState):
        assert same(*(fit(name, random_state=kind(1)).labels_ for _ in range(2)))


@every
def test_parameters_go_round_and_a_failed_fit_leaves_nothing(name):
    model = make(name)
    assert clone(model).get_params().keys() == model.get_params().keys()
    before = vars(model).copy()
    fit(name, model)
    with pytest.raises(ValueError, match="NaN|nan"):
        fit(name, model, x=np.full_like(X, np.nan))
    assert vars(model) == before
    check_set_params(name, clone(model))
    check_get_params_invariance(name, clone(model))
    check_no_attributes_set_in_init(name, clone(model))
    if name not in WITHOUT_CLUSTERS | {"cae"}:
        load(name)()


@every
def test_tags_and_routing_are_honest(name):
    model, tags = make(name), get_tags(make(name))
    assert is_clusterer(model)
    assert tags.input_tags.two_d_array == (TASKS[name] == WORDS)
    claimed = tags.input_tags.sparse, tags.input_tags.allow_nan, tags.target_tags.required
    assert claimed == (False, False, False)
    assert (tags.transformer_tags is None) == (name in WITHOUT_MAP)
    with config_context(enable_metadata_routing=True):
        asked = model.get_metadata_routing().fit.requests
    wanted = {
        VIEWS: {"aligned", "present"},
        MODALITIES: {"pairs", "paired"},
        WORDS: {"texts", "train_images"},
    }
    assert asked.keys() == wanted[TASKS[name]]


@every
def test_frames_have_names_and_a_transform_can_give_frames(name):
    frames = [pd.DataFrame(A, columns=[f"c{j}" for j in range(A.shape[1])]) for A in (X, Z)]
    model = fit(name, x=frames[0], z=frames[1])
    assert same(model.labels_, fit(name).labels_)
    names = model.feature_names_in_
    assert list(names if TASKS[name] == WORDS else names[0]) == list(frames[0].columns)
    if name in WITHOUT_MAP:
        return
    assert not isinstance(model.transform(rows(name)), pd.DataFrame)
    found = model.set_output(transform="pandas").transform(rows(name))
    found = found[0] if isinstance(found, list) else found
    assert list(found.columns) == list(model.get_feature_names_out())
    assert len(found) == 60


@every
def test_new_rows_go_where_the_map_says_or_it_is_said_that_there_is_none(name):
    model = make(name)
    if name in WITHOUT_MAP:
        assert not hasattr(model, "predict")
        with pytest.raises(AttributeError) as error:
            model.predict  # noqa: B018
        assert "labels only for the rows fitted" in str(error.value.__cause__)
        return
    with pytest.raises(NotFittedError):
        model.predict(rows(name))
    fit(name, model)
    found = model.predict(rows(name))
    first = found[0] if isinstance(found, list) else found
    # Two epochs are no training: SMART's graph, and matchings, are not in the map.
    least = 0.3 if name in MATCHING else 0.9 if name == "ntk_spectral" else 0.95
    assert (first == model.labels_).mean() >= least
    some = [None if A is None else A[:7] for A in rows(name)] if TASKS[name] != WORDS else X[:7]
    few = model.predict(some)
    if name != "chance":
        assert same(few[0] if isinstance(few, list) else few, first[:7])
    with pytest.raises(ValueError, match=r"width|fitted"):
        model.predict(rows(name, X[:, :4], Z[:, :4]))


@every
def test_what_is_saved_is_loaded_equal_and_without_rows_unless_asked(name, tmp_path):
    model = fit(name)
    model.save(tmp_path / "all", rows=True)
    model.save(tmp_path / "bare")
    back, bare = mvlib.load(tmp_path / "all"), mvlib.load(tmp_path / "bare")
    assert type(back) is type(model)
    assert str(back) == str(model)
    assert same(back.labels_, model.labels_)
    assert same(back.embedding_, model.embedding_)
    assert not hasattr(bare, "embedding_")
    if name not in WITHOUT_MAP:
        assert same(back.predict(rows(name)), model.predict(rows(name)))
        if name == "ntk_spectral":
            with pytest.raises(ValueError, match="rows=True"):
                bare.predict(X)
        else:
            assert same(bare.transform(rows(name)), model.transform(rows(name)))
    before, after = fit(name, model).labels_, fit(name, back).labels_
    assert same(before, after)


@every
def test_a_fit_shares_no_memory_with_the_caller(name):
    x, z = X.astype(np.float32), Z.astype(np.float32)
    model = fit(name, x=x, z=z)
    before = model.embedding_.copy()
    x *= 0
    z *= 0
    assert same(model.embedding_, before)


@every
def test_fewer_distinct_rows_than_clusters_are_never_split(name):
    if name in WITHOUT_CLUSTERS | {"chance"} or TASKS[name] == MODALITIES:
        return
    x, z = X[[0, 20, 40]].repeat(20, axis=0), Z[[0, 20, 40]].repeat(20, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labels = fit(name, x=x, z=z, n_clusters=5).labels_
    assert len(np.unique(labels)) <= 3
    assert same(labels, labels[::20].repeat(20))


@pytest.mark.parametrize("name", [name for name in NAMES if TASKS[name] == WORDS])
def test_checks_of_scikit_learn_that_take_images(name):
    """The others fit without words, or give lists of views no check of theirs makes."""
    if name == "clip_kmeans":
        model = make(name, n_init=1)
        check_parameters_default_constructible(name, model)
        check_estimators_pickle(name, model)
        check_fit2d_1sample(name, model)
    found = fit(name)
    assert same(pickle.loads(pickle.dumps(found)).labels_, found.labels_)


# Of parameters that several methods for views have, what none of them may be.
OUT_OF_RANGE = {
    "n_clusters": (0, 61), "embedding_dim": (0,), "epochs": (0,), "batch_size": (0, 1),
    "dropout": (-0.1, 1.5), "learning_rate": (0,), "temperature": (0,),
    "match_batch_size": (0,), "hidden_dims": ((16, 0),),
}  # fmt: skip
# These normalise no batch.
BATCHES_OF_ONE = {"capimac", "wah"}
TWO_VIEWS = {"mvcln", "sure", "pvc", "divide", "candy", "corregen", "completer", "camera"}
TWO_VIEWS |= {"smile", "vital", "capimac", "scgc", "pamc", "sscc"}


@pytest.mark.parametrize("name", [name for name in NAMES if TASKS[name] == VIEWS])
def test_what_methods_for_views_share_is_refused_by_its_name_and_value(name):
    for parameter in OUT_OF_RANGE.keys() & make(name).get_params():
        for value in OUT_OF_RANGE[parameter]:
            if parameter == "batch_size" and value == 1 and name in BATCHES_OF_ONE:
                continue
            said = f"{parameter}={0 if parameter == 'hidden_dims' else value} is"
            with pytest.raises(ValueError, match=said):
                fit(name, **{parameter: value})
    if name in TWO_VIEWS:
        with pytest.raises(
            ValueError, match=f"3 views: expected two, which {load(name).__name__}"
        ):
            make(name).fit([X, Z, X])


FEW = [X[:30], Z[:30]]
MASKED = np.ma.masked_array(X[:30], mask=X[:30] > 100)
MASKED[0, 0] = np.ma.masked
BIG = 1.7e9 + X[:30]


@pytest.mark.parametrize(
    ("view", "message"),
    [
        (sp.csr_array(X[:30]), r"Xs\[0\] is sparse: .*toarray"),
        (MASKED, r"Xs\[0\] has masked entries"),
        (X[:30] + 1j, "complex numbers"),
        (X[:30].astype(str), "it holds text"),
        (X[:30].astype(str).astype(object), "is not numeric: it holds '"),
        (X[:30].astype("M8[s]"), "it holds dates"),
        (X[:30] * 1e39, "float32 cannot hold"),
        (BIG, "column 0, which float32 hardly tells apart: subtract the column's mean"),
        (None, r"Xs\[0\] has shape|not numeric|holds nan"),
    ],
)
def test_views_that_would_be_cast_to_something_else_are_refused(view, message):
    with pytest.raises(ValueError, match=message):
        make("smart").fit([view, FEW[1]])


@pytest.mark.parametrize(
    ("Xs", "message"),
    [
        (pd.DataFrame(X), r"one array of shape \(60, 6\)"),
        (torch.tensor(X), r"one array of shape \(60, 6\)"),
        ({"a": X, "b": Z}, r"type dict: .*list\(Xs.values\(\)\)"),
        (None, "type NoneType: expected a list of views"),
    ],
)
@pytest.mark.parametrize("name", ["smart", "cca"])
def test_what_is_no_list_of_views_is_named(name, Xs, message):
    with pytest.raises(ValueError, match=message):
        make(name).fit(Xs)


test_parameters_of_the_wrong_kind_are_named = refuses(
    lambda **change: make("smart", **change).fit(FEW),
    ({"hidden_dims": 8}, r"hidden_dims=8: expected a sequence, such as \(8,\)"),
    ({"device": None}, r"device=None cannot be used here \(it is of type NoneType\)"),
    ({"device": "meta"}, "device='meta' cannot be used"),
    ({"threshold": "nearest-2.5"}, "expected a whole number K"),
    ({"n_clusters": 10**400}, "n_clusters=1000"),
)


test_labels_and_numbers_that_are_missing_are_refused = refuses(
    None,
    (lambda: metrics.accuracy(np.ma.masked_array([0, 1], mask=[0, 1]), [0, 1]), "masked"),
    (lambda: metrics.accuracy(np.array([np.nan, 1], object), [0, 1]), "NaN or None"),
    (lambda: metrics.accuracy([None, 1], [0, 1]), "NaN or None"),
    (lambda: metrics.accuracy(np.array(["a", 1], object), [0, 1]), "do not sort"),
    (lambda: metrics.accuracy(pd.Series(["a", None], dtype="string"), [0, 1]), "or None"),
    (lambda: metrics.accuracy(np.array(["NaT", 1], "M8[s]"), [0, 1]), "NaN or None"),
    (lambda: metrics.accuracy([[0], [1, 2]], [0, 1]), "y_true is no array"),
    (lambda: metrics.graph_precision_recall(np.eye(1), [np.nan], [0]), "y_rows holds NaN"),
    (lambda: data.partially_align(FEW, [None, 1] * 15, 0.5), "y holds NaN or None"),
    (lambda: metrics.retrieval_scores(X, X, depths=5), "depths=5: expected a sequence"),
)


HIDDEN = np.ma.masked_array(np.ones(60, int), mask=np.arange(60) == 7)
RAGGED = [[0], [0, 1]]


@pytest.mark.parametrize("given", [HIDDEN, RAGGED])
@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("sure", "aligned"),
        ("sure", "present"),
        ("cca", "paired"),
        ("cca", "pairs"),
        ("sure", "y"),
    ],
)
def test_flags_and_pairs_with_masked_entries_or_of_no_shape_are_refused(name, argument, given):
    if argument in ("present", "pairs") and given is HIDDEN:
        given = np.ma.stack([HIDDEN, HIDDEN], axis=1)
    with pytest.raises(ValueError, match=f"{argument} (has masked entries|is no array)"):
        make(name).fit([X, Z], **{argument: given})


def test_tensors_are_read_wherever_they_are_and_however_short_their_numbers():
    half = torch.tensor(X).bfloat16().requires_grad_()
    plain = half.detach().float().numpy()
    flags = torch.ones(60, requires_grad=True).detach().bool()
    found = make("kmeans_view").fit([half, torch.tensor(Z)], torch.tensor(Y), aligned=flags)
    assert same(found.labels_, make("kmeans_view").fit([plain, Z]).labels_)


def test_ops_take_frames_numpy_seeds_and_generators():
    for run in (ops.cosine_kmeans, ops.blocked_kmeans, ops.faiss_kmeans):
        plain = run(X.astype(np.float32), 3, random_state=3)
        assert same(run(pd.DataFrame(X), 3, random_state=np.int64(3)).labels, plain.labels)
        run(X, 3, random_state=np.random.default_rng(0))
    assert metrics.embedding_mmd(X, X, bandwidths=np.float32(1)) == pytest.approx(0)


def test_a_stored_zero_is_no_edge():
    blocks = sp.csr_array(sp.block_diag([np.ones((5, 5)), np.ones((5, 5))]))
    stored = sp.csr_array(blocks)
    stored = sp.csr_array(
        (
            np.append(stored.data, 0.0),
            (np.append(stored.tocoo().row, 0), np.append(stored.tocoo().col, 9)),
        ),
        shape=(10, 10),
    )
    a, b = (ops.spectral_embedding(A, 2, random_state=0)[0] for A in (blocks, stored))
    np.testing.assert_allclose(np.abs(a), np.abs(b), atol=1e-8)


def test_pairs_are_asked_for_where_only_they_teach():
    for weights in ({"clip": 1.0}, {"pseudo_label": 1.0}):
        with pytest.raises(ValueError, match="pairs has no row and weights="):
            make("set_clip", weights=weights).fit(FEW)
    with pytest.raises(ValueError, match="count no loss of a batch with 16 pairs"):
        fit("set_clip", weights={"pseudo_label": 1.0})


def test_what_was_fitted_does_not_follow_parameters_that_are_set_later():
    model = fit("smart")
    edges = model.semantic_graph_[0].nnz
    assert model.set_params(threshold="nearest-3").semantic_graph_[0].nnz == edges
    model = fit("chance", embedding_dim=4).set_params(embedding_dim=9)
    assert model.transform([X, None])[0].shape == (60, 4)


@pytest.mark.parametrize("by", ["block", "column"])
def test_a_scale_is_remembered_for_new_rows(by):
    scaler = data.ViewScaler(by).fit([X, Z])
    whole = scaler.transform([X, Z])
    assert same(scaler.transform([X[:4], Z[:4]]), [A[:4] for A in whole])
    assert [(A.min(), A.max()) for A in whole] == [(0, 1), (0, 1)]
    if by == "block":
        assert same(whole, data.min_max_scale([X, Z]))
    else:
        assert all((A.max(axis=0) == 1).all() for A in whole)
        assert (data.ViewScaler(by).fit_transform([X * 0 + 3])[0] == 0).all()
    with pytest.raises(ValueError, match="widths"):
        scaler.transform([Z, X])
    extreme = data.ViewScaler(by).fit_transform([np.array([[-1.7e308, 1.7e308], [0, 1]])])[0]
    assert np.isfinite(extreme).all()


def test_a_scale_by_block_warns_of_a_column_it_flattens():
    with pytest.warns(UserWarning, match=r"Xs\[0\] has a column, 0, .* scale it by column"):
        data.min_max_scale([np.c_[1.7e9 + X[:, 0], X[:, 1]]])


def test_a_file_of_another_kind_format_or_version_is_refused(tmp_path):
    path = tmp_path / "model"
    fit("kmeans_view").save(path)
    whole = path.read_bytes()
    for old, new, message in (
        (f'"format\\": {FORMAT}', '"format\\": 9', "format 9: expected 1"),
        ('"version\\": 1', '"version\\": 7', "version 7 of kmeans_view's numbers"),
        ("kmeans_view", "kmeans_vieu", "Did you mean 'kmeans_view'"),
    ):
        path.write_bytes(whole.replace(old.encode(), new.encode()))
        with pytest.raises(ValueError, match=message):
            mvlib.load(path)
    for broken in (whole[:40], b"", b"no tensors at all, only text" * 9):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match="holds no estimator of mvlib"):
            mvlib.load(path)
    with pytest.raises(NotFittedError):
        make("smart").save(path)
    heads = torch.nn.Linear(6, 4), torch.nn.Linear(5, 4)
    model = fit("set_clip", heads=heads)
    model.save(path)
    with pytest.raises(ValueError, match="heads was .* give it again"):
        mvlib.load(path)
    again = mvlib.load(path, heads=heads)
    assert same(again.transform([X, Z]), model.transform([X, Z]))


def test_compare_prints_a_method_beside_its_floors_under_both_scales():
    found = mvlib.compare([X, Z], Y, settings=NET, seeds=(0, 1))
    assert len(found.rows) == 8
    assert list(found.to_frame().columns[:3]) == ["method", "scaling", "acc"]
    assert "points" in found.sentence
    assert "SMART" in str(found)
    bare = mvlib.compare([X, Z], method="kmeans_view", n_clusters=3, seeds=(0,))
    assert "silhouette" in bare.rows[0]
    assert bare.sentence.startswith("Without labels")
    with pytest.raises(ValueError, match="n_clusters=None and y=None"):
        mvlib.compare([X, Z])


def test_modalities_that_part_are_told_and_the_gap_can_be_removed():
    class Apart(load("set_clip")):
        def _embed(self, rows, modality):
            gap = np.float32([5 * (-1) ** modality] + [0] * 5)
            return (np.eye(6, dtype=np.float32)[Y[: len(rows)] + 1] + gap).astype(np.float32)

    settings = SETTINGS["set_clip"] | {"random_state": 0, "n_epochs": 1}
    with pytest.warns(UserWarning, match="the modalities part: they share .* remove_gap=True"):
        parted = Apart(3, **settings).fit([X, Z])
    assert (parted.labels_ != parted.labels_by_modality_[1]).all()
    joined = Apart(3, remove_gap=True, **settings).fit([X, Z])
    assert same(*joined.labels_by_modality_)
    assert joined.embedding_ is joined.embeddings_[0]
    assert metrics.accuracy(Y, joined.labels_) == 1
    assert same(joined.predict([X, Z]), joined.labels_by_modality_)


def test_equal_rows_warn_as_scikit_learn_does():
    with pytest.warns(ConvergenceWarning, match=r"\(3\) found smaller than n_clusters \(6\)"):
        make("clip_kmeans", n_clusters=6).fit(np.eye(3).repeat(9, axis=0))


@every
def test_a_collapse_and_empty_clusters_are_told_and_no_healthy_fit_is(name):
    def told(**more):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fit(name, **more)
        return " ".join(str(each.message) for each in caught)

    collapsed, fewer = "rows of the embedding are all equal", "found smaller than n_clusters"
    said = told(x=np.ones_like(X), z=np.ones_like(Z))
    # The eigenvectors of a graph without structure still differ; so do equal rows after SMILE's
    # noise, and from NMF's random start.
    apart = {"chance", "zero_shot", "ntk_spectral", "smile", "unaligned_nmf"}
    apart |= {"ssc_omp", "ensc", "adssc", "jdssc", "adssc_views", "cpp", "pro_dsc", "magnetic"}
    assert (collapsed in said) == (name not in apart)
    assert (fewer in said) == (name not in {"chance", "zero_shot"})
    assert collapsed not in told()


def test_a_head_that_leaves_clusters_empty_is_told():
    with pytest.warns(ConvergenceWarning, match=r"smaller than n_clusters \(12\)"):
        make("sic", n_clusters=12, n_neighbors=5).fit(X, NOUNS)


@every
def test_what_trains_shows_a_bar_where_it_is_asked_to(name, capsys):
    model = fit(name)
    assert capsys.readouterr().err == ""
    trains = "loss" in getattr(model, "history_", {})
    assert ("verbose" in model.get_params()) == trains
    if trains:
        fit(name, verbose=True)
        assert "%|" in capsys.readouterr().err
        with pytest.raises(ValueError, match="verbose=2 is unknown: expected True or False"):
            fit(name, verbose=2)
