"""What scores that read no label know of recorded clusterings, and of the number of groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from mvlib.papers.findings import title_of
from mvlib.records import load_records
from mvlib.records.store import latest_records

# What each measure is called, and whether more of it is better.
SCORES = {
    "silhouette": ("silhouette", 1),
    "davies_bouldin": ("Davies-Bouldin", -1),
    "calinski_harabasz": ("Calinski-Harabasz", 1),
    "agreement": ("agreement", 1),
}
# It is told the names of the classes.
NO_CLUSTERING = "zero-shot"
# Of fewer methods a rank correlation says next to nothing.
_FEWEST = 5


def kept_clusterings(experiment: str, dataset: str, **where: Any) -> list[dict[str, Any]]:
    """Return the line-up's results that keep their labels, each method and seed once."""
    found: dict[tuple[str, Any], dict[str, Any]] = {}
    for record in latest_records(load_records("lineup", "reduced")):
        for result in record["results"] if record["experiment"] == experiment else ():
            wanted = where.items() <= result["parameters"].items()
            if "labels" in result and result["dataset"] == dataset and wanted:
                found.setdefault((result["method"], result["seed"]), result)
    return list(found.values())


def chosen_by_scores(runs: pd.DataFrame) -> pd.DataFrame:
    """Return by set, space and score its rank correlation with ACC, and what a choice loses."""
    rows = []
    some = runs[runs["space"].notna() & (runs["method"] != NO_CLUSTERING)]
    for (dataset, space), one in some.groupby(["dataset", "space"], sort=False):
        for name, (title, sign) in SCORES.items():
            known = one.astype({f"measure_{name}": float}).groupby("method")
            means = known[["acc", f"measure_{name}"]].mean().dropna()
            if len(means) < _FEWEST:
                continue
            acc, score = 100 * means["acc"], sign * means[f"measure_{name}"]
            correlation, low, high = _correlation(score.to_numpy(), acc.to_numpy())
            lost = acc.max() - acc
            about = {"data set": title_of(dataset), "space": space, "score": title}
            found = {"rank correlation": correlation, "low": low, "high": high}
            choice = {"chosen": score.idxmax(), "lost": lost[score.idxmax()]}
            n = {"by guess": lost.mean(), "methods": len(acc), "seeds": one["seed"].nunique()}
            rows.append(about | found | choice | n)
    return pd.DataFrame(rows or {"data set": []})


def groups_by_scores(runs: pd.DataFrame) -> pd.DataFrame:
    """Return by set and score the numbers of groups that seeds choose, and the ACC lost."""
    rows = []
    for dataset, some in runs[runs["groups"].notna()].groupby("dataset", sort=False):
        wide = some.set_index(["seed", "groups"])
        acc = 100 * wide["acc"].unstack()
        for name, (title, sign) in SCORES.items():
            score = sign * wide[f"measure_{name}"].astype(float).unstack()
            chosen = score.idxmax(axis="columns")
            lost = acc.max(axis="columns") - [acc.loc[s, k] for s, k in chosen.items()]
            row = {"data set": title_of(dataset), "score": title}
            row |= {"groups chosen": ", ".join(f"{k:g}" for k in sorted(set(chosen)))}
            rows.append(row | {"ACC lost": lost.mean(), "n": len(lost)})
    return pd.DataFrame(rows or {"data set": []})


def what_scores_know(runs: pd.DataFrame) -> str:
    """Return by set how much accuracy is lost where a score chooses the method."""
    said = []
    for name, some in chosen_by_scores(runs).groupby("data set", sort=False):
        lost, ranks, n = some["lost"], some["rank correlation"], len(some)
        better, above = (lost < some["by guess"]).sum(), (some["low"] > 0).sum()
        said.append(
            f"- {name}: a choice of {some['methods'].max()} methods loses **{lost.min():.1f} "
            f"to {lost.max():.1f} points**, by score and space, and a method at random "
            f"{some['by guess'].mean():.1f}; {better} of {n} choices do better than that. The "
            f"rank correlation with accuracy is {ranks.min():+.2f} to {ranks.max():+.2f}, its "
            f"90 % interval above zero in {above} of {n} (n = {some['seeds'].max()} seeds)."
        )
    for name, some in groups_by_scores(runs).groupby("data set", sort=False):
        counts = ", ".join(f"{r['score']} {r['ACC lost']:.1f}" for _, r in some.iterrows())
        said.append(f"- {name}, number of groups of k-means, points lost: {counts}.")
    return "\n".join(said) or "*Not run.*"


def _correlation(score: np.ndarray, acc: np.ndarray) -> tuple[float, float, float]:
    """Return the rank correlation with its 90 % interval, of 2,000 draws of the methods."""
    draws = np.random.default_rng(0).integers(len(acc), size=(2000, len(acc)))
    # A draw of one method alone has no correlation.
    rows = np.vstack([np.arange(len(acc)), draws[np.ptp(draws, axis=1) > 0]])
    a, b = (rankdata(values[rows], axis=1) - (len(acc) + 1) / 2 for values in (score, acc))
    found = (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return found[0], *np.quantile(found[1:], [0.05, 0.95])
