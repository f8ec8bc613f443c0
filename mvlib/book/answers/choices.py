"""What recorded runs answer to the questions that go across papers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from mvlib.book.recorded import Answer, recorded, seeds_text, values
from mvlib.papers.choices import compare_epochs, named_protocols, ranges, row_order
from mvlib.papers.ensembles import SOURCES, many_or_one, seed_gains
from mvlib.papers.findings import title_of
from mvlib.papers.kmeans_luck import CHANGES, seed_differences, words_or_luck
from mvlib.papers.label_free import chosen_by_scores, what_scores_know
from mvlib.plots import svg
from mvlib.records import results_frame


def _kmeans_luck(root: Path) -> Answer | None:
    runs = recorded(root, "choices", "kmeans_luck")
    panels = []
    for dataset, some in runs.groupby("dataset"):
        keys = some.groupby("seed")["key"].first().str[:8]
        found = {change: seed_differences(some, change)[0] for change in CHANGES}
        told = {seed: f"seed {seed:g}, record {key}" for seed, key in keys.items()}
        rows = {name: gaps.rename(told) for name, gaps in found.items() if len(gaps)}
        label = "change of ACC (points)"
        panels.append(svg.strips(title_of(dataset), rows, label, ["words"], signed=True))
    caption = (
        "What one change moves, the mean over all other choices; a dot is a seed. "
        "Again: mvlib run choices/kmeans_luck --profile reduced."
    )
    return Answer(words_or_luck(runs), panels, caption) if panels else None


def _ensembles(root: Path) -> Answer | None:
    runs = recorded(root, "choices", "ensembles")
    panels = []
    for dataset, some in runs.groupby("dataset", sort=False):
        gains, keys = seed_gains(some), some.groupby("seed")["key"].first().str[:8]
        told = {seed: f"seed {seed:g}, record {key}" for seed, key in keys.items()}
        rows = {name: gains[name].rename(told) for name in SOURCES if name in gains.index}
        label = "change of ACC (points)"
        panels.append(svg.strips(title_of(dataset), rows, label, signed=True))
    caption = (
        "What joining adds to k-means of the same features side by side; a dot is a seed. "
        "Again: mvlib run choices/ensembles --profile reduced."
    )
    return Answer(many_or_one(runs), panels, caption) if panels else None


def _protocols(root: Path) -> Answer | None:
    runs = results_frame("lineup", "reduced", "method", root)
    if runs.empty or (found := named_protocols(runs))[0].empty:
        return None
    protocols, methods = ranges(runs)
    of = [f"{method} on {title_of(name)}" for method, name in protocols.index]
    under = [f"{title_of(name)}, {key.replace('_', ' ')}" for name, key in methods.index]
    rows = {
        "one method under seven protocols": protocols.set_axis(of),
        "all methods under one protocol": methods.set_axis(under),
    }
    caption = (
        "Above, a dot is a method on a set, below, a protocol on a set; the bar is the mean. "
        "Reduced profile. Again: mvlib run lineup/method --profile reduced."
    )
    limits = (0.0, 1.1 * max(protocols.max(), methods.max()))
    panel = svg.strips("The best less the worst", rows, "points of ACC", limits=limits)
    return Answer(f"{found[1]} (Half aligned, {seeds_text(runs)}.)", [panel], caption)


def _row_order(root: Path) -> Answer | None:
    runs = recorded(root, "choices", "row_order")
    if runs.empty:
        return None
    dstl, panels = runs["method"] == "DSTL", []
    for dataset, some in runs[dstl].groupby("dataset", sort=False):
        found = some.set_index(["order", "lambda2"])
        best = found.groupby(level=[0, 1])["acc"].mean().groupby("order").idxmax()
        rows = {at[0]: values(found.loc[[at]]) for at in best}
        floor = {"k-means": values(runs[~dstl & (runs["dataset"] == dataset)]).mean()}
        panels.append(svg.strips(title_of(dataset), rows, strong=["shuffled"], lines=floor))
    caption = (
        "DSTL on the same rows in three orders, each at its best weight; a dot is a seed. "
        "Reduced profile. Again: mvlib run choices/row_order --profile reduced."
    )
    return Answer(f"{row_order(runs)[1]} ({seeds_text(runs)}.)", panels, caption)


def _graphs(root: Path) -> Answer | None:
    runs = recorded(root, "lineup", "graphs")
    if runs.empty:
        return None
    floor, panels = runs["measure_first_acc"].isna(), []
    for dataset, some in runs.groupby("dataset", sort=False):
        rows = {
            f"{method}, {'best' if rule == 'oracle' else rule} epoch": values(found)
            for (method, rule), found in some[~floor].groupby(["method", "rule"], sort=False)
        }
        best = some[floor].groupby("method")["acc"].mean().mul(100).max()
        strong = [name for name in rows if name.endswith("last epoch")]
        panels.append(svg.strips(title_of(dataset), rows, strong=strong, lines={"floor": best}))
    caption = (
        "Accuracy of the last epoch and of the one that the labels choose; a dot is a seed. "
        "Dotted: the best floor. Again: mvlib run lineup/graphs --profile reduced."
    )
    return Answer(f"{compare_epochs(runs)[1]} ({seeds_text(runs)}.)", panels, caption)


def _known_classes(root: Path) -> Answer | None:
    runs = recorded(root, "lineup", "known_classes")
    halves, said, panels = ("known", "unknown"), [], []
    for dataset, some in runs.groupby("dataset", sort=False):
        shares = {
            (method, half): values(found, f"measure_acc_{half}")
            for method, found in some.groupby("method", sort=False)
            for half in halves
        }
        kmeans, free, told = dict.fromkeys(method for method, _ in shares)
        of_free, of_kmeans = (
            [shares[told, half].mean() - shares[arm, half].mean() for half in halves]
            for arm in (free, kmeans)
        )
        said.append(
            f"**On {title_of(dataset)} labels of half of the classes move the head by "
            f"{of_free[0]:+.1f} points on those classes and by {of_free[1]:+.1f} on the "
            f"others**; beside k-means of the images, which is told nothing, it is "
            f"{of_kmeans[0]:+.1f} and {of_kmeans[1]:+.1f}."
        )
        short = {kmeans: "k-means", free: "head, no label", told: "head, half told"}
        rows = {f"{short[arm]}: {half}": share for (arm, half), share in shares.items()}
        strong = [f"{short[told]}: {half}" for half in halves]
        panels.append(svg.strips(title_of(dataset), rows, strong=strong))
    caption = (
        "Rows without a label that find their class, of the known classes and of the others; a "
        "dot is a seed. Again: mvlib run lineup/known_classes --profile reduced."
    )
    return Answer(f"{' '.join(said)} ({seeds_text(runs)}.)", panels, caption) if said else None


def _phase(root: Path) -> Answer | None:
    runs = recorded(root, "lineup", "phase")
    said, panels = [], []
    for dataset, some in runs.groupby("dataset", sort=False):
        rows = {f"{part:g} pi": values(found) for part, found in some.groupby("phase")}
        none, *others = (row.mean() for row in rows.values())
        gains = [mean - none for mean in others]
        above = sum(gain > 0 for gain in gains)
        said.append(
            f"**On {title_of(dataset)} {above} of {len(gains)} phases are above none**; they "
            f"differ from it by {min(gains):+.1f} to {max(gains):+.1f} points."
        )
        panels.append(svg.strips(title_of(dataset), rows, strong=["0 pi"]))
    caption = (
        "Accuracy for each phase of an edge that has one direction in all views; a dot is a "
        "seed of k-means. Again: mvlib run lineup/phase --profile reduced."
    )
    return Answer(f"{' '.join(said)} ({seeds_text(runs)}.)", panels, caption) if said else None


def _label_free(root: Path) -> Answer | None:
    runs = recorded(root, "choices", "label_free")
    panels = []
    for dataset, some in runs.groupby("dataset", sort=False):
        found = chosen_by_scores(some)
        if found.empty:
            continue
        lost = found["lost"].set_axis(found["space"] + f", record {some['key'].iloc[0][:8]}")
        rows = {name: lost.iloc[at] for name, at in found.groupby("score").indices.items()}
        guess = {"by guess": found["by guess"].mean()}
        panels.append(svg.strips(title_of(dataset), rows, "ACC lost (points)", lines=guess))
    caption = (
        "What the method that a score chooses loses; a dot is a space. Dotted: one at random. "
        "Again: mvlib run choices/label_free --profile reduced."
    )
    return Answer(what_scores_know(runs), panels, caption) if panels else None


ANSWERS: Mapping[str, Callable[[Path], Answer | None]] = {
    "choices/ensembles": _ensembles,
    "choices/kmeans_luck": _kmeans_luck,
    "choices/label_free": _label_free,
    "choices/protocols": _protocols,
    "choices/row_order": _row_order,
    "lineup/graphs": _graphs,
    "lineup/known_classes": _known_classes,
    "lineup/phase": _phase,
}
