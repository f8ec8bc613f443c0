"""What the SMART notebooks share: settings by profile, scores by selection rule."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from mvlib._validation import check_choice
from mvlib.experiments.recorder import PROFILES
from mvlib.methods import SMART
from mvlib.methods.smart import PAPER_SETTINGS
from mvlib.metrics import accuracy, central_labeling, clustering_scores
from mvlib.ops import cosine_kmeans

if TYPE_CHECKING:
    import pandas as pd

QUICK = {
    "hidden_dims": (128, 128, 128),
    "epochs": 20,
    "batch_size": 500,
    "learning_rate": 2e-3,
}

REDUCED = {
    "hidden_dims": (512, 512, 512),
    "epochs": 40,
    "batch_size": 500,
    "learning_rate": 5e-4,
    "precision": "bfloat16",
}

ABLATIONS: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "L_rec": {"lambda1": 0.0, "lambda2": 0.0},
        "L_rec + L_smc": {"lambda1": 0.0},
        "L_rec + L_vda": {"lambda2": 0.0},
        "all, L_vda diagonal only": {"vda_terms": ("diagonal",)},
        "all, L_vda structure only": {"vda_terms": ("structure",)},
        "all": {},
    }
)


def smart_settings(dataset: str, profile: str) -> dict[str, Any]:
    """Return SMART's settings for a data set under a profile.

    Parameters
    ----------
    dataset : str
        A data set's name. One that the paper does not have takes its "other" settings.
    profile : {"quick", "reduced", "full"}
        "full" is the paper's table. The others narrow the layers, shorten the training and
        raise the learning rate: "quick" runs in seconds, "reduced" in half a minute. Their
        numbers are not the paper's and never stand beside them.

    Returns
    -------
    dict of str to object
        Keyword arguments of `SMART`.

    Raises
    ------
    ValueError
        If the profile is unknown.
    """
    check_choice("profile", profile, PROFILES)
    settings = SMART.paper_settings(dataset if dataset in PAPER_SETTINGS else "other")
    return settings | {"quick": QUICK, "reduced": REDUCED, "full": {}}[profile]


def scores_by_mode(
    model: SMART, y: np.ndarray, kind: str = ""
) -> dict[str, dict[str, dict[str, float]]]:
    """Score one training run under the rules for choosing its epoch, by features.

    Parameters
    ----------
    model : SMART
        Fitted with `track`.
    y : ndarray of shape (n_samples,)
        Labels of view 1.
    kind : {"", "_best"}, default=""
        Clusterings from `n_init` starts, or as the best of `track_n_init`.

    Returns
    -------
    dict of str to dict of str to dict of str to float
        For each tracked mode, "eval" or "train": `last`, the last epoch; `loss`, the epoch
        of the lowest training loss; `central`, of the last fifth of the epochs, the one
        whose clustering agrees best with the others'; `oracle`, the epoch of the best
        accuracy on `y`.
    """
    scores = {}
    for mode in model.track:
        labels = model.history_[f"labels_{mode}{kind}"]
        late = len(labels) - max(1, len(labels) // 5)
        epochs = {
            "last": -1,
            "loss": int(np.argmin(model.history_["loss"])),
            "central": late + central_labeling(labels[late:]),
            "oracle": int(np.argmax([accuracy(y, found) for found in labels])),
        }
        scores[mode] = {
            rule: clustering_scores(y, labels[epoch]) for rule, epoch in epochs.items()
        }
    return scores


def selection_scores(model: SMART, y: np.ndarray) -> dict[str, dict[str, float]]:
    """Score one training run as the tables do: honest rules, and the authors' protocol.

    Parameters
    ----------
    model : SMART
        Fitted with `track=("eval", "train")`.
    y : ndarray of shape (n_samples,)
        Labels of view 1.

    Returns
    -------
    dict of str to dict of str to float
        `last`, `loss` and `central` from features in evaluation mode, `oracle` from those
        met in training mode, as the authors' code does.
    """
    scores = scores_by_mode(model, y)
    return scores["eval"] | {"oracle": scores["train"]["oracle"]}


def final_scores(model: SMART, y: np.ndarray) -> dict[int, dict[str, float]]:
    """Score the kept epoch, clustered from one start and as the best of twenty.

    Parameters
    ----------
    model : SMART
        Fitted with `n_init=1`.
    y : ndarray of shape (n_samples,)
        Labels of view 1.

    Returns
    -------
    dict of int to dict of str to float
        Number of starts, 1 and 20, to scores.
    """
    best = cosine_kmeans(
        model.embedding_,
        model.n_clusters,
        init="draws",
        n_init=20,
        random_state=model.random_state,
    )
    return {1: clustering_scores(y, model.labels_), 20: clustering_scores(y, best.labels)}


def accuracy_curve(model: SMART, y: np.ndarray, mode: str) -> np.ndarray:
    """Return the accuracy after every epoch.

    Parameters
    ----------
    model : SMART
        Fitted with `mode` in `track`.
    y : ndarray of shape (n_samples,)
        Labels of view 1.
    mode : {"eval", "train"}
        Which features were clustered.

    Returns
    -------
    ndarray of shape (epochs,)
        From 0 to 1.
    """
    return np.array([accuracy(y, labels) for labels in model.history_[f"labels_{mode}"]])


def compare_seeds(frame: pd.DataFrame, method: str, floor: str) -> str:
    """Say in a line by how much the last epoch of a method is ahead of a floor.

    Parameters
    ----------
    frame : DataFrame
        As `Recorder.frame` gives it, both methods with the same seeds.
    method, floor : str
        Names in the column `method`.

    Returns
    -------
    str
        Mean difference in points, its spread, and in how many seeds it is positive.
    """
    last = frame[frame["rule"] == "last"]
    ours, theirs = (
        last[last["method"] == name].set_index("seed")["acc"] for name in (method, floor)
    )
    return f"{method}, last epoch, minus {floor}: {_difference(ours, theirs)}"


def compare_rules(frame: pd.DataFrame) -> str:
    """Say in lines what the oracle epoch adds, and what honest choices add.

    Parameters
    ----------
    frame : DataFrame
        As the notebook `selection` records it.

    Returns
    -------
    str
        A line a comparison.
    """
    cells = frame.set_index(["rule", "features", "starts", "seed"])["acc"].sort_index()
    honest = cells["last", "eval", 1]
    others = {
        "oracle epoch in train mode (the authors')": cells["oracle", "train", 1],
        "oracle epoch in eval mode": cells["oracle", "eval", 1],
        "epoch of the lowest loss": cells["loss", "eval", 1],
        "central epoch": cells["central", "eval", 1],
        "last epoch, best of 20 starts": cells["last", "eval", 20],
        "central epoch, best of 20 starts": cells["central", "eval", 20],
        "oracle epoch in train mode, best of 20 starts": cells["oracle", "train", 20],
    }
    return "\n".join(
        f"{name}, minus last epoch from one start: {_difference(acc, honest)}"
        for name, acc in others.items()
    )


def _difference(ours: pd.Series, theirs: pd.Series) -> str:
    points = 100 * (ours - theirs)
    return (
        f"{points.mean():+.1f} ± {points.std():.1f} points, "
        f"ahead in {int((points > 0).sum())} of {len(points)} seeds"
    )
