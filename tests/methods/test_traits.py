"""Nine kinds of rows that real data brings, given to every method of the catalogue."""

import warnings

import numpy as np
import pytest
from support.every_method import MATCHING, NAMES, TASKS, fitted, make

from mvlib import metrics
from mvlib.methods.catalogue import WORDS


def planted(k, size, *widths):
    """Return labels and views of k well parted clusters of one size."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(k), size)
    return y, [rng.normal(size=(k, d))[y] * 3 + rng.normal(size=(len(y), d)) for d in widths]


Y, PLAIN = planted(3, 20, 6, 5)


def counts():
    rng = np.random.default_rng(1)
    Xs = [rng.poisson(np.exp(X / 2)) for X in PLAIN]
    # A text without any of the words.
    Xs[0][7] = Xs[1][7] = 0
    return Y, Xs


TRAITS = {
    "counts": counts,
    "a large offset": lambda: (Y, [X + 1.7e9 for X in PLAIN]),
    "duplicates": lambda: (Y, [X[::4].repeat(4, axis=0) for X in PLAIN]),
    "one column": lambda: planted(3, 20, 1, 1),
    "20,000 columns": lambda: planted(2, 20, 20_000, 20_000),
    "100 classes of 16": lambda: planted(100, 16, 6, 5),
    "constant columns": lambda: (Y, [np.c_[X, np.full((60, 2), 4.0)] for X in PLAIN]),
    "50 rows": lambda: planted(5, 10, 6, 5),
    "unequal scales": lambda: (Y, [X * 10.0 ** np.arange(X.shape[1]) for X in PLAIN]),
}
# What keeps the widest and the largest set quick; the widths of these follow the features.
QUICK = dict.fromkeys(("tac_trained", "sac", "magic"), {"hidden_dim": 8}) | {
    "chance": {"embedding_dim": 8}
}
QUICK["ntk_spectral"] = {"solver": "subspace", "n_rounds": 1, "graph": "union"}
# Larger steps saturate a softmax of so many columns.
QUICK["turtle"] = {"learning_rate": 1e-6}
QUICK["pvc"] = {"reading": "code", "tuning_epochs": 1}
QUICK |= dict.fromkeys(("tac", "cae", "clip_kmeans"), {"n_init": 2})
QUICK |= {"ensc": {"gamma": 2.0, "n_active": 10}, "jdssc": {"max_iter": 2}}
# A simplex of 100 corners needs as many directions; larger steps switch off all ReLUs.
QUICK["genksc"] = {"feature_dim": 120, "learning_rate": 1e-6}
QUICK |= dict.fromkeys(("adssc", "adssc_views"), {"eta2": 2.0})
# These centre rows in float64; the others say that float32 loses what tells rows apart.
ANY_OFFSET = {"kmeans_view", "kmeans_concatenation", "spectral_concatenation", "magnetic"}
ANY_OFFSET |= {"cca", "procrustes", "gromov_wasserstein"}
# Chance draws rows, and these match equal rows to other partners.
SPLITTING = {"chance", *MATCHING} - {"smart"}
# The order of the rows is read; the steps end far from where equal rows are one.
SPLITTING |= {"dstl", "jdssc"}
DOCUMENTED = "Number of distinct clusters|the modalities part"


def refusal(trait, name):
    if trait == "a large offset" and name not in ANY_OFFSET:
        return r"float32 hardly tells apart: subtract the column's mean first"
    if trait == "counts" and TASKS[name] == WORDS:
        return "images is all zero in row 7: expected a direction"
    if trait == "one column" and name == "magic":
        return "number of features=1 is out of range"
    if trait == "unequal scales" and name == "sic":
        return "the loss is inf in epoch 0: .* check the scale of the input"
    return None


def nouns_for(name, X, k):
    rng = np.random.default_rng(3)
    return rng.normal(size=(k if name == "zero_shot" else max(40, 3 * k), X.shape[1]))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("trait", TRAITS)
def test_rows_of_every_trait_are_clustered_or_refused_by_name(trait, name):
    y, Xs = TRAITS[trait]()
    k = len(np.unique(y))
    model = make(name, n_clusters=k, **QUICK.get(name, {}))
    nouns = nouns_for(name, Xs[0], k)
    message = refusal(trait, name)
    if message:
        with pytest.raises((ValueError, FloatingPointError), match=message):
            fitted(name, model, Xs, nouns)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", DOCUMENTED)
        labels = fitted(name, model, Xs, nouns).labels_
    assert labels.shape == y.shape
    assert set(labels) <= set(range(k))
    assert np.isfinite(model.embedding_).all()
    if trait == "duplicates" and name not in SPLITTING:
        assert (labels == labels[::4].repeat(4)).all()


# What each docstring says changes no cluster; powers of two leave every digit of a number.
READING_SCALES = {"smart", "mvcln", "sure", "pvc", "smile", "vital"}
READING_SCALES |= {"autoencoder_kmeans", "autoencoder_hungarian"}
READING_SCALES |= {
    "completer",
    "dcp",
    "camera",
    "wah",
    "capimac",
    "scgc",
    "pamc",
    "sscc",
    "genksc",
}
AS_THEY_COME = {"sic", "temi", "turtle", "cpp", "pro_dsc"}
READING_SCALES |= AS_THEY_COME
SCALED = [name for name in NAMES if name not in READING_SCALES]
LENGTHS = [name for name in NAMES if TASKS[name] == WORDS and name not in AS_THEY_COME]


def labels_of(name, Xs):
    return fitted(name, make(name), Xs, nouns_for(name, PLAIN[0], 3)).labels_


@pytest.mark.parametrize("name", SCALED)
def test_the_scale_of_views_changes_no_cluster(name):
    assert (labels_of(name, [X * 1024 for X in PLAIN]) == labels_of(name, PLAIN)).all()


@pytest.mark.parametrize("name", LENGTHS)
def test_the_length_of_an_image_s_features_changes_no_cluster(name):
    lengths = 2.0 ** (np.arange(60) % 9 - 4)[:, None]
    assert (labels_of(name, [PLAIN[0] * lengths]) == labels_of(name, PLAIN)).all()


@pytest.mark.parametrize("name", sorted(ANY_OFFSET))
def test_an_offset_changes_no_cluster(name):
    moved = labels_of(name, [X + 1.7e9 for X in PLAIN])
    assert metrics.accuracy(labels_of(name, PLAIN), moved) == 1


@pytest.mark.parametrize(
    "name", ["spectral_concatenation", "divide", "candy", "corregen", "magnetic"]
)
def test_the_scale_of_a_column_changes_no_cluster_of_what_standardises_columns(name):
    scaled = [X * 2.0 ** np.arange(X.shape[1]) for X in PLAIN]
    assert (labels_of(name, scaled) == labels_of(name, PLAIN)).all()
