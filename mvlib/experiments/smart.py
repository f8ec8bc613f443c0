"""What the SMART notebooks share: settings by profile, scores by selection rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from mvlib._validation import check_choice
from mvlib.experiments.recorder import PROFILES
from mvlib.methods import SMART
from mvlib.methods.smart import PAPER_SETTINGS
from mvlib.methods.smart.estimator import replaces
from mvlib.metrics import accuracy, central_labeling, clustering_scores
from mvlib.ops import cosine_kmeans

if TYPE_CHECKING:
    import pandas as pd

# Ways to start k-means: as the authors' code, from one start, as the best of twenty.
AUTHORS, ONE, TWENTY = ("authors", 1), ("draws", 1), ("draws", 20)

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
    kind : str, default=""
        "" for the clusterings of the estimator's own start, or one of its `track_starts`,
        such as "_draws_20".

    Returns
    -------
    dict of str to dict of str to dict of str to float
        For each tracked mode, "eval" or "train": `last`, the last epoch; `loss`, the epoch
        of the lowest training loss; `central`, of the last fifth of the epochs, the one
        whose clustering agrees best with the others'; `oracle`, the epoch of the best
        accuracy on `y`, of equal ones as the authors' code chooses.
    """
    scores = {}
    for mode in model.track:
        labels = model.history_[f"labels_{mode}{kind}"]
        by_epoch = [clustering_scores(y, found) for found in labels]
        late = len(labels) - max(1, len(labels) // 5)
        oracle = 0
        for epoch, found in enumerate(by_epoch):
            oracle = epoch if replaces(found, by_epoch[oracle]) else oracle
        epochs = {
            "last": -1,
            "loss": int(np.argmin(model.history_["loss"])),
            "central": late + central_labeling(labels[late:]),
            "oracle": oracle,
        }
        scores[mode] = {rule: by_epoch[epoch] for rule, epoch in epochs.items()}
    return scores


def score_curves(labels: Sequence[np.ndarray], y: np.ndarray) -> dict[str, list[float]]:
    """Return ACC, NMI and ARI after every epoch, to five digits.

    Parameters
    ----------
    labels : sequence of ndarray, each (n_samples,)
        Clusterings, one an epoch.
    y : ndarray of shape (n_samples,)
        Labels of view 1.

    Returns
    -------
    dict of str to list of float
    """
    scores = [clustering_scores(y, found) for found in labels]
    return {name: [round(one[name], 5) for one in scores] for name in ("acc", "nmi", "ari")}


def selection_scores(model: SMART, y: np.ndarray) -> dict[str, dict[str, float]]:
    """Score one training run as the tables do: honest rules, and the authors' protocol.

    Parameters
    ----------
    model : SMART
        Fitted with `track=("eval", "train")` and `AUTHORS` among `track_starts`.
    y : ndarray of shape (n_samples,)
        Labels of view 1.

    Returns
    -------
    dict of str to dict of str to float
        `last`, `loss` and `central` from features in evaluation mode, `oracle` from those
        met in training mode and clustered by the authors' k-means, as their code does.
    """
    authors = scores_by_mode(model, y, "_authors_1")
    return scores_by_mode(model, y)["eval"] | {"oracle": authors["train"]["oracle"]}


def final_scores(model: SMART, y: np.ndarray) -> dict[tuple[str, int], dict[str, float]]:
    """Score the kept epoch under the authors' k-means, from one start, as the best of twenty.

    Parameters
    ----------
    model : SMART
        Fitted with `n_init=1`.
    y : ndarray of shape (n_samples,)
        Labels of view 1.

    Returns
    -------
    dict of (str, int) to dict of str to float
        `AUTHORS`, `ONE` and `TWENTY` to scores.
    """
    found = {ONE: model.labels_}
    for init, n_init in (AUTHORS, TWENTY):
        found[init, n_init] = cosine_kmeans(
            model.embedding_,
            model.n_clusters,
            init=init,
            n_init=n_init,
            max_iter=501,
            random_state=model.random_state,
        ).labels
    return {start: clustering_scores(y, labels) for start, labels in found.items()}


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
    by = ["rule", "features", "init", "starts", "seed"]
    cells = frame.set_index(by)["acc"].sort_index()
    honest = cells["last", "eval", *ONE]
    others = {
        "oracle epoch in train mode, the authors' start (their protocol)": cells[
            "oracle", "train", *AUTHORS
        ],
        "oracle epoch in train mode": cells["oracle", "train", *ONE],
        "oracle epoch in eval mode": cells["oracle", "eval", *ONE],
        "epoch of the lowest loss": cells["loss", "eval", *ONE],
        "central epoch": cells["central", "eval", *ONE],
        "last epoch, the authors' start": cells["last", "eval", *AUTHORS],
        "last epoch, best of 20 starts": cells["last", "eval", *TWENTY],
        "central epoch, best of 20 starts": cells["central", "eval", *TWENTY],
        "oracle epoch in train mode, best of 20 starts": cells["oracle", "train", *TWENTY],
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
