"""What several chapters share of the records: how much the choices around the methods move."""

from __future__ import annotations

import pandas as pd

from mvlib.methods.catalogue import CATALOGUE, VIEWS
from mvlib.papers.findings import title_of
from mvlib.tasks.protocols import CHOICES, MATCHING, ONE_SPACE

REFERENCE = "as_mvcln"


def _accuracies(runs: pd.DataFrame, ratio: float) -> pd.DataFrame:
    """Return points by method and set, the mean over seeds, with a column a protocol."""
    names = [f"as_{name}" for name in MATCHING] + list(CHOICES)
    scores = runs.reindex(columns=[f"measure_{name}" for name in names]).set_axis(names, axis=1)
    used = (runs["aligned_ratio"] == ratio) & runs["method"].isin(ONE_SPACE)
    chosen = scores[used & scores.notna().all(axis=1)]
    return 100 * chosen.groupby([runs["method"], runs["dataset"]], sort=False).mean()


def choice_effects(runs: pd.DataFrame, ratio: float = 0.5) -> pd.DataFrame:
    """Return by how many points each change of the protocol moves each method on each set."""
    means = _accuracies(runs, ratio)
    changes = means[list(CHOICES)].sub(means[REFERENCE], axis=0)
    changes.columns = [name.replace("_", " ") for name in changes]
    return changes.melt(
        ignore_index=False, var_name="choice", value_name="points"
    ).reset_index()


def ranges(runs: pd.DataFrame, ratio: float = 0.5) -> tuple[pd.Series, pd.Series]:
    """Return how far apart protocols of a method are, and methods under one protocol, by set.

    Sets and methods are those of which none lacks the other.
    """
    named = _accuracies(runs, ratio)[[f"as_{name}" for name in MATCHING]]
    shared = largest_block(named.iloc[:, 0].rename("acc").reset_index())
    named = named.loc[pd.MultiIndex.from_frame(shared[["method", "dataset"]])]
    methods = named.groupby("dataset").agg(lambda x: x.max() - x.min()).stack()
    return named.max(axis=1) - named.min(axis=1), methods


def named_protocols(runs: pd.DataFrame, ratio: float = 0.5) -> tuple[pd.DataFrame, str]:
    """Return methods by published protocols, means over sets, and what moves scores more."""
    means = _accuracies(runs, ratio)
    table = means[[f"as_{name}" for name in MATCHING]]
    ran = table.reset_index("dataset").groupby("method", sort=False)["dataset"]
    table = table.groupby("method", sort=False).mean().reset_index()
    titles = {method.name: method.title for method in CATALOGUE}
    table.columns = ["method", *(titles[name] for name in MATCHING)]
    table["sets"] = table["method"].map(ran.agg(lambda x: ", ".join(sorted(map(title_of, x)))))
    if table.empty:
        return table, "*Not run.*"
    protocols, methods = ranges(runs, ratio)
    by_set = protocols.groupby("dataset").size()
    alone = (means["view_1_alone"] > means[REFERENCE]).sum()
    sets = f"{len(by_set)} set{'s' if len(by_set) > 1 else ''}"
    return table, (
        f"**Exchanging the protocol moves a score by {protocols.median():.0f} points in the "
        f"median** ({protocols.min():.0f} to {protocols.max():.0f}) over "
        f"{len(protocols)} pairs of method and set, where "
        f"{by_set.max()} methods on a set, scored alike, are {methods.median():.0f} points "
        f"apart in the median ({methods.min():.0f} to {methods.max():.0f}) over {sets} and "
        f"{len(MATCHING)} protocols. A range grows with how many it spans, so that this does "
        "not say which of the two is larger. The embedding of view 1 alone "
        "scores higher than both "
        f"views matched as MvCLN does in {alone} of {len(means)} pairs of method and set."
    )


def row_order(runs: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return DSTL's points by set, weight and order of rows, and what the order is worth."""
    ours = runs[runs["method"] == "DSTL"]
    means = ours.groupby(["dataset", "lambda2", "order"], sort=False)["acc"].mean()
    table = (100 * means.unstack("order")).reset_index()
    if table.empty:
        return table, "*Not run.*"
    best = table.groupby("dataset", sort=False)[["by class", "shuffled"]].max()
    gaps = best["by class"] - best["shuffled"]
    floors = 100 * runs[runs["method"] != "DSTL"].groupby("dataset")["acc"].mean()
    above = [int((best[order] > floors[best.index]).sum()) for order in best]
    n_weights = table["lambda2"].nunique()
    return table.assign(**{"k-means": table["dataset"].map(floors)}), (
        f"**Rows sorted by class are worth {gaps.median():.0f} points in the median** "
        f"({gaps.min():.0f} to {gaps.max():.0f}) over {len(best)} "
        f"set{'s' if len(best) > 1 else ''}, beside the same rows shuffled, each order at its "
        f"best of {n_weights} weight{'s' if n_weights > 1 else ''}, which the labels chose. So "
        f"DSTL is above k-means on {above[0]} of the sets where rows are sorted, on {above[1]} "
        "where they are shuffled."
    )


def compare_epochs(runs: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return points by set and method of the first, the last and the best epoch, and a gist.

    "NMI apart" is by how much the largest NMI of all epochs is above that of the best by ACC.
    """
    if "measure_first_acc" not in runs:
        return runs[:0], "*Not run.*"
    trained = runs["measure_first_acc"].notna()
    last, best = (runs[trained & (runs["rule"] == rule)] for rule in ("last", "oracle"))
    if last.empty:
        return last, "*Not run.*"
    by = ["dataset", "method"]
    apart = best["measure_largest_nmi"] - best["nmi"]
    table = pd.DataFrame(
        {
            "k-means before": last.groupby(by, sort=False)["measure_first_acc"].mean(),
            "last epoch": last.groupby(by, sort=False)["acc"].mean(),
            "best epoch": best.groupby(by, sort=False)["acc"].mean(),
            "NMI apart": apart.groupby([best[name] for name in by], sort=False).mean(),
        }
    ).mul(100)
    table.insert(3, "worth", table["best epoch"] - table["last epoch"])
    floors = runs[~trained].groupby(by)["acc"].mean().mul(100)
    floor = floors.groupby("dataset").max().reindex(table.index.get_level_values(0)).to_numpy()
    above, n = table[["last epoch", "best epoch"]].gt(floor, axis=0).sum(), len(table)
    helped = (table["last epoch"] > table["k-means before"]).sum()
    return table.reset_index(), (
        f"**To choose the epoch by the labels is worth {table['worth'].median():.1f} points in "
        f"the median** ({table['worth'].min():.1f} to {table['worth'].max():.1f}) over {n} "
        f"pairs of set and method, each a mean over seeds. The last epoch is above k-means of "
        f"the codes before the first step in {helped} of {n}, and above the best floor in "
        f"{above['last epoch']}; the best epoch is so in {above['best epoch']}. The largest "
        f"NMI, taken for itself, adds up to {table['NMI apart'].max():.1f} points to that of "
        "the best epoch by accuracy."
    )


# What trains nothing, or nothing but auto-encoders, by how its names begin; and what reads more
# than the methods do.
FLOORS = ("k-means", "spectral", "auto-encoder")
READS_MORE = (", oracle epoch", "k-means, true concatenation", "zero-shot")


def compared(results: pd.DataFrame, profile: str = "reduced") -> pd.DataFrame:
    """Return the scores on views of a leaderboard that read no label, floors marked."""
    used = (results["task"] == VIEWS) & (results["profile"] == profile)
    used &= ~results["row"].str.endswith(READS_MORE)
    found = results[used].rename(columns={"row": "method"})
    found["floor"] = found["method"].str.startswith(FLOORS)
    return found.assign(acc=found["mean"] / 100)


def largest_block(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of sets and methods of which none lacks the other."""
    wide = scores.pivot(index="dataset", columns="method", values="acc").isna()
    while wide.to_numpy().any():
        by_set, by_method = wide.mean(axis="columns"), wide.mean()
        if by_method.max() >= by_set.max():
            wide = wide.drop(columns=by_method.idxmax())
        else:
            wide = wide.drop(index=by_set.idxmax())
    return scores[scores["dataset"].isin(wide.index) & scores["method"].isin(wide.columns)]


def winners(scores: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return the best method and the best floor of each set and setting, and what they say."""
    rows, said, pairs = [], [], []
    for (setting, dataset), some in scores.groupby(["setting", "dataset"], sort=False):
        trained, floors = some[~some["floor"]], some[some["floor"]]
        if trained.empty or floors.empty:
            continue
        best, floor = (each.loc[each["mean"].idxmax()] for each in (trained, floors))
        alone = floors.loc[floors["method"] == "k-means, view 1", "mean"].max()
        for mean in trained["mean"]:
            pairs.append((setting, mean > floor["mean"], mean > alone))
        difference = best["mean"] - floor["mean"]
        rows.append((setting, dataset, len(trained), best["method"], best["mean"],
                     floor["method"], floor["mean"], difference))  # fmt: skip
    names = ["setting", "data set", "methods", "best method", "its ACC", "best floor", "ACC",
             "difference"]  # fmt: skip
    table = pd.DataFrame(rows, columns=names)
    counts = pd.DataFrame(pairs, columns=["setting", "floor", "alone"])
    counts = counts.groupby("setting").sum()
    for setting, some in table.groupby("setting", sort=False):
        ahead, gaps, ran = (some["difference"] > 0).sum(), some["difference"], some["methods"]
        above, above_alone = counts.loc[setting]
        many = f"{ran.min()}" if ran.min() == ran.max() else f"{ran.min()} to {ran.max()}"
        said.append(
            f"**{setting}: the best trained method stands above the best floor on {ahead} of "
            f"{len(some)} sets**; it differs by {gaps.min():+.1f} to {gaps.max():+.1f} points, "
            f"where {many} trained method{'s' if many != '1' else ''} ran on a set. Of all "
            f"{ran.sum()} pairs of a trained method and a set, {above} lie above the best "
            f"floor, {above_alone} above k-means of view 1."
        )
    return table, "\n".join(f"- {line}" for line in said) or "*Not run.*"
