"""One method and its floors on one's own views, under both scalings, in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.metrics import silhouette_score

from mvlib.check import check_choice, check_labels, check_mask, check_number, check_views
from mvlib.data import ViewScaler
from mvlib.data.scaling import SCALES
from mvlib.methods.catalogue import CATALOGUE, VIEWS, find
from mvlib.metrics import clustering_scores, pairwise_agreement
from mvlib.tasks.runs import build

FLOORS = ("kmeans_view", "kmeans_concatenation", "spectral_concatenation")
SCORES = ("acc", "nmi", "ari")


@dataclass(frozen=True)
class Comparison:
    """What `compare` found; printed, it is its table and its sentence.

    Attributes
    ----------
    rows : list of dict
        A row a method and scaling, means over the seeds: "method", "scaling", "acc", "nmi" and
        "ari" with labels; without, "silhouette" of the concatenated views and "agreement", the
        mean adjusted Rand index between seeds; "clusters" and "seconds" of a fit.
    sentence : str
        How the method stands to the best floor.
    """

    rows: list[dict[str, Any]]
    sentence: str

    def to_frame(self) -> Any:
        """Return the rows as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    def __str__(self) -> str:
        columns = list(self.rows[0])
        cells = [columns] + [
            [f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()]
            for row in self.rows
        ]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            for line in cells
        ]
        return "\n".join([*(line.rstrip() for line in lines), "", self.sentence])


def compare(
    Xs: Sequence[Any],
    y: Any = None,
    aligned: Any = None,
    *,
    method: str = "smart",
    n_clusters: int | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    settings: Mapping[str, Any] | None = None,
) -> Comparison:
    """Run a method and its floors on views, scaled as a block and by column.

    A deep method that does not beat k-means is not worth its time: look before you trust it.

    Parameters
    ----------
    Xs : sequence of array-like, each (n_samples, n_features_v)
        The views, not scaled.
    y : array-like of shape (n_samples,), optional
        Labels of the rows of view 1, to score by. No method reads them.
    aligned : array-like of shape (n_samples,), bool, optional
        Which rows are partners; all, by default.
    method : str, default="smart"
        Any method for views of the catalogue.
    n_clusters : int, optional
        By default the number of labels; to be given without any.
    seeds : sequence of int, default=(0, 1, 2)
        A fit each.
    settings : mapping, optional
        Keyword arguments of the method, such as `epochs`.

    Returns
    -------
    Comparison
        Print it, or take `to_frame()`.

    Raises
    ------
    ValueError
        If the views or labels are malformed, the method is none for views, or there are
        neither labels nor `n_clusters`.
    """
    names = [line.name for line in CATALOGUE if line.task == VIEWS]
    check_choice("method", method, names)
    views = check_views(Xs, minimum=2, dtype=np.float64)
    n = len(views[0])
    flags = np.ones(n, bool) if aligned is None else check_mask(aligned, n)
    targets = None if y is None else check_labels(y, n)
    if n_clusters is None and targets is None:
        raise ValueError("n_clusters=None and y=None: expected one of them")
    k = check_number("n_clusters", n_clusters or int(targets.max()) + 1, low=2, integer=True)
    rows = []
    for by in SCALES:
        scaled = ViewScaler(by).fit_transform(views)
        for name in dict.fromkeys((method, *FLOORS)):
            begin, given = perf_counter(), dict(settings or {}) if name == method else {}
            found = [
                build(name, k, seed, **given).fit_predict(scaled, aligned=flags)
                for seed in seeds
            ]
            seconds = (perf_counter() - begin) / len(found)
            row = {"method": find(name).title, "scaling": by}
            if targets is None:
                joined = np.hstack(scaled)
                row["silhouette"] = mean(_silhouette(joined, labels) for labels in found)
                pairs = pairwise_agreement(found)[np.triu_indices(len(found), 1)]
                row["agreement"] = float(pairs.mean()) if len(pairs) else 1.0
            else:
                scores = [clustering_scores(targets, labels) for labels in found]
                row |= {score: mean(each[score] for each in scores) for score in SCORES}
            row["clusters"] = mean(len(np.unique(labels)) for labels in found)
            rows.append(row | {"seconds": seconds})
    return Comparison(rows, _sentence(rows, find(method).title, targets is not None))


def _silhouette(X: np.ndarray, labels: np.ndarray) -> float:
    if not 1 < len(np.unique(labels)) < len(X):
        return float("nan")
    few = min(len(X), 2000)
    return float(silhouette_score(X, labels, sample_size=few, random_state=0))


def _sentence(rows: list[dict[str, Any]], title: str, labelled: bool) -> str:
    if not labelled:
        return (
            "Without labels nothing here tells which clustering is right: a silhouette favours "
            "round groups, and agreement between seeds only says that a method is steady."
        )
    own = max((row for row in rows if row["method"] == title), key=lambda row: row["acc"])
    floors = [row for row in rows if row["method"] != title]
    floor = max(floors, key=lambda row: row["acc"])
    points = 100 * (own["acc"] - floor["acc"])
    verdict = f"{abs(points):.1f} points {'above' if points > 0 else 'below'}"
    advice = "" if points > 0 else " Take the floor."
    scale = max(
        100 * abs(a["acc"] - b["acc"]) for a in rows for b in rows if a["method"] == b["method"]
    )
    return (
        f"{title} (by {own['scaling']}) has an accuracy of {100 * own['acc']:.1f} %, {verdict} "
        f"the best floor, {floor['method']} (by {floor['scaling']}).{advice} The scaling moves "
        f"a method by up to {scale:.1f} points; the better one was chosen by the labels."
    )
