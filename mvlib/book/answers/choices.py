"""What recorded runs answer to the questions that go across papers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from mvlib.book.recorded import Answer, recorded, seeds_text, values
from mvlib.papers.choices import named_protocols, ranges, row_order
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
}
