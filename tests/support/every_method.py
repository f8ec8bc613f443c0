"""Every method of the catalogue at its smallest, fitted by whatever its task takes."""

import numpy as np

from mvlib.methods.catalogue import CATALOGUE, MODALITIES, WORDS, load

NET = {"hidden_dims": (8,), "embedding_dim": 3, "epochs": 2, "batch_size": 32}
CODES = {"embedding_dim": 6, "body_dim": 8, "training_steps": 6, "warmup_steps": 1}
SETTINGS = {
    "smart": NET,
    "mvcln": NET | {"n_negatives": 3},
    "unaligned_nmf": {
        "n_init": 2,
        "matching_rounds": 2,
        "consensus_rounds": 2,
        "update_rounds": 5,
    },
    "pvc": NET | {"alignment_epochs": 1, "tuning_epochs": 2},
    "sure": NET | {"n_negatives": 3},
    "divide": NET,
    "camera": NET,
    "completer": NET,
    "dcp": NET,
    "candy": NET,
    "corregen": NET | {"identity_epochs": 1},
    "smile": NET | {"warmup_epochs": 1},
    "vital": NET | {"rectification_epochs": 1},
    "autoencoder_kmeans": {"settings": NET},
    "autoencoder_hungarian": {"settings": NET},
    "set_clip": {"n_epochs": 2, "embedding_dim": 4, "batch_size": 16},
    "gromov_wasserstein": {"max_rows": 30},
    "tac_trained": {"epochs": 2, "batch_size": 30, "n_neighbors": 5},
    "sic": {"epochs": 2, "n_nearest": 30, "n_texts": 3, "max_cosine": 2.0},
    "ntk_spectral": {"n_neighbors": 10},
    "dstl": {"lambda2": 0.02},
    "capimac": NET
    | {"n_negatives": 3, "code_hidden_dims": (), "code_dim": 4, "pretraining_epochs": 2},
    "wah": NET | {"embedding_dim": 8, "lorentz_dims": (8, 8), "n_directions": 5},
    **dict.fromkeys(("scgc", "pamc"), NET | {"pretraining_epochs": 2}),
    "genksc": {
        "hidden_dims": (8,),
        "epochs": 2,
        "batch_size": 32,
        "feature_dim": 8,
        "n_components": 3,
        "warmup_epochs": 1,
    },
    "sscc": {"hidden_dims": (8,), "epochs": 2, "batch_size": 32},
    "sac": {"epochs": 2, "batch_size": 30, "n_neighbors": 5, "kmeans": "k-means++"},
    "magic": {
        "epochs": 2,
        "batch_size": 30,
        "n_neighbors": 5,
        "n_heads": 1,
        "learning_rate": 0.01,
        "kmeans": "k-means++",
    },
    "temi": {
        "n_heads": 2,
        "hidden_dims": (8, 6),
        "n_neighbors": 5,
        "epochs": 2,
        "warmup_epochs": 1,
        "batch_size": 30,
    },
    "turtle": {"outer_steps": 10, "inner_steps": 3, "learning_rate": 0.1},
    "scan": {"epochs": 2, "batch_size": 30, "n_neighbors": 5, "learning_rate": 0.1},
    "protogcd": {"epochs": 3, "hard_epochs": 2, "batch_size": 30, "hidden_dim": 8},
    "seic": {
        "epochs": 2,
        "batch_size": 30,
        "n_nearest": 10,
        "top": 5,
        "hidden_dim": 8,
        "kmeans": "k-means++",
    },
    **dict.fromkeys(("cpp", "pro_dsc"), CODES),
    # By faiss's rules equal rows cost all iterations of all starts.
    "gradnorm": {"kmeans": "k-means++", "n_init": 2},
    "tac_temperature": {"kmeans": "k-means++", "n_init": 2},
    "jdssc": {"max_iter": 50},
    "ensemble_images": {"n_bases": 6},
    "ensemble_views": {"n_bases": 6},
}
NAMES = [method.name for method in CATALOGUE]
TASKS = {method.name: method.task for method in CATALOGUE}
# These have labels only for the rows that were fitted.
WITHOUT_MAP = {"spectral_concatenation", "unaligned_nmf"}
WITHOUT_MAP |= {"dstl", "magnetic", "ssc_omp", "ensc", "adssc", "jdssc", "adssc_views"}
WITHOUT_MAP |= {"ensemble_images", "ensemble_views", "cpp", "pro_dsc"}
WITHOUT_CLUSTERS = {"zero_shot"}
# These look for partners among the rows that were fitted.
MATCHING = {"capimac", "smart", "mvcln", "sure", "pvc", "smile", "candy", "corregen"}


def make(name, **more):
    """Return an unfitted estimator of three clusters, quick to fit."""
    parameters = {"n_clusters": 3, "random_state": 0} | SETTINGS.get(name, {}) | more
    if name in WITHOUT_CLUSTERS:
        parameters = {
            k: v for k, v in parameters.items() if k not in ("n_clusters", "random_state")
        }
    return load(name)(**parameters)


def fitted(name, model, views, nouns):
    """Return `model`, of that name, fitted to two views whose rows are all partners."""
    if TASKS[name] == WORDS:
        return model.fit(views[0], {"nouns": nouns} if name == "cae" else nouns)
    if name == "unaligned_nmf":
        views = [np.abs(view) for view in views]
    paired = {"paired": np.ones(len(views[0]), bool)} if TASKS[name] == MODALITIES else {}
    return model.fit(views, **paired)
