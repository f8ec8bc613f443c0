"""What recorded runs answer to the questions of the papers' pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mvlib.book.recorded import (
    ALONE,
    VIEW_1,
    Answer,
    beside,
    by_method,
    gap_text,
    listed,
    mean_gaps,
    recorded,
    seeds_text,
    set_panels,
    values,
)
from mvlib.papers.cae import rank_agreement
from mvlib.papers.findings import title_of
from mvlib.papers.set_clip import chance_of
from mvlib.papers.smart import ABLATIONS, beside_floors
from mvlib.plots import svg
from mvlib.records import load_records, results_frame

# Of one training, from what a user gets to what reading the labels gives.
STEPS = {
    "our start": (1, "last"),
    "20 starts": (20, "last"),
    "central epoch": (20, "central"),
    "reading labels": (20, "oracle"),
}


def selection_steps(
    root: Path, profile: str, dataset: str, ratio: float
) -> tuple[dict[str, float], tuple[str, float] | None, int]:
    """Return the steps from the last epoch to the oracle; what went before; the seeds.

    All steps are of the same seeds. The authors' start is the first of them if each seed has
    it, else it stands before them with the seeds that do.
    """
    where = {"dataset": dataset, "aligned_ratio": ratio, "features": "eval"}
    frame = recorded(root, "smart", "method", profile, method="SMART", **where)
    if frame.empty:
        return {}, None, 0
    table = frame.pivot_table("acc", "seed", ["init", "starts", "rule"]) * 100
    ours = {name: ("draws", *place) for name, place in STEPS.items()}
    if not set(ours.values()) <= set(table.columns):
        return {}, None, 0
    table = table[table[list(ours.values())].notna().all(axis="columns")]
    steps = {name: table[place].mean() for name, place in ours.items()}
    authors, n = ("authors", 1, "last"), len(table)
    if authors not in table or table[authors].isna().all():
        return steps, None, n
    known = table[authors].dropna()
    if len(known) == n:
        return {"authors' start": known.mean()} | steps, None, n
    return (
        steps,
        (f"authors' n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{len(known)}", known.mean()),
        n,
    )


def _selection(root: Path) -> Answer | None:
    panels, gaps, counts = [], [], set()
    gains: dict[str, list[tuple[float, ...]]] = {}
    cells = [(name, r) for name in ("handwritten", "bdgp", "wiki") for r in (1.0, 0.5)]
    for dataset, ratio in cells:
        steps, before, n = selection_steps(root, "full", dataset, ratio)
        if not steps:
            continue
        counts.add(n)
        where = {"dataset": dataset, "aligned_ratio": ratio, "method": VIEW_1}
        floor = 100 * recorded(root, "smart", "method", "full", **where)["acc"].mean()
        title = f"{title_of(dataset)}, {ratio:.0%} aligned"
        limits = (20.0, 105.0)
        panels.append(svg.waterfall(title, steps, (ALONE, floor), limits, before))
        last, starts, central, oracle = (steps[name] for name in STEPS)
        gaps.append(oracle - last)
        ways = (starts - last, central - starts, oracle - central)
        gains.setdefault(title_of(dataset), []).append(ways)
    if not panels:
        return None
    seeds = " or ".join(map(str, sorted(counts)))
    names = ("twenty starts of k-means", "the central epoch", "nothing but reading the labels")
    steps = pd.DataFrame({name: pd.DataFrame(found).mean() for name, found in gains.items()})
    largest = steps.set_axis(names).idxmax()
    kinds = largest.groupby(largest, sort=False)
    where = ", ".join(f"on {listed(s.index)} by {kind}" for kind, s in kinds)
    text = (
        f"**The last epoch lies {min(gaps):.0f} to {max(gaps):.0f} points below the one that "
        f"the labels like best. The largest part is brought back {where}** (in the mean of "
        f"both shares of aligned rows; the paper's settings, n = {seeds} seeds)."
    )
    caption = (
        "From left to right: the last epoch, clustered from one start of k-means; the best of "
        "twenty starts; the central epoch in place of the last; the epoch that the labels "
        "choose. The dotted line is k-means of view 1, which uses no pair. An outlined bar is "
        "the authors' own start, for the seeds that have it. Full profile, evaluation mode; "
        "the order of the steps is a choice. Again: mvlib run smart/method --profile full."
    )
    return Answer(text, panels, caption)


def _ablation_losses(root: Path) -> Answer | None:
    frame = recorded(root, "smart", "ablation_losses", starts=20)
    if frame.empty:
        return None
    pairs = {
        "$L_\\text{smc}$ added to $L_\\text{rec}$": ("L_rec + L_smc", "L_rec"),
        "$L_\\text{vda}$ added to $L_\\text{rec}$": ("L_rec + L_vda", "L_rec"),
        "$L_\\text{smc}$ added to both": ("all", "L_rec + L_vda"),
    }
    gaps = {said: mean_gaps(frame, *pair) for said, pair in pairs.items()}
    lines = [f"- {said}: {gap_text(gap)}" for said, gap in gaps.items()]
    alone, after = (list(gaps.values())[place]["mean"] for place in (0, 2))
    text = (
        f"**Without $L_\\text{{vda}}$, $L_\\text{{smc}}$ lowers the mean on "
        f"{(alone < 0).sum()} of {len(alone)} sets; beside it, it raises the mean on "
        f"{(after > 0).sum()}** (half aligned, "
        f"{seeds_text(frame)}, {frame['split'].nunique()} splits). In points:\n\n"
        + "\n".join(lines)
    )
    caption = (
        "A dot is a seed and split, the bar the mean, which stands at the right; best of "
        "twenty starts, so that the luck of one start is out. Dotted: k-means of view 1, "
        "which uses no pair. Reduced profile. "
        "Again: mvlib run smart/ablation_losses --profile reduced."
    )
    return Answer(text, set_panels(root, frame, list(ABLATIONS), "all"), caption)


def _alignment_rate(root: Path) -> Answer | None:
    frame = recorded(root, "smart", "alignment_rate")
    if frame.empty:
        return None
    frame = frame[frame["starts"].isna() | (frame["starts"] == 1)]
    names = {
        "SMART": "SMART",
        VIEW_1: ALONE,
        "k-means, concatenation as given": "k-means of both",
        "spectral, concatenation as given": "spectral of both",
    }
    kinds = {
        shown: {
            r: values(s) for r, s in frame[frame["method"] == name].groupby("aligned_ratio")
        }
        for name, shown in names.items()
    }
    means = 100 * frame.pivot_table("acc", "aligned_ratio", "method")
    gain = means["SMART"] - means[VIEW_1]
    ahead = [ratio for ratio in gain.index if (gain[gain.index >= ratio] > 0).all()]
    best = means["SMART"].idxmax()
    text = (
        f"SMART's mean is above view 1 alone from {ahead[0]:.0%} of the rows aligned on; with "
        f"{gain.index[0]:.0%} it is {-gain.iloc[0]:.1f} points below. It is highest at "
        f"{best:.0%} ({means['SMART'][best]:.1f}), and {means['SMART'].iloc[-1]:.1f} with all "
        f"rows aligned (HandWritten, last epoch, one start, {seeds_text(frame)})."
        if ahead
        else f"SMART's mean is above view 1 alone at no share ({seeds_text(frame)})."
    )
    caption = (
        "Dots are seeds, lines their means. View 1 alone sees no alignment, so that its line "
        "is flat. Reduced profile. Again: mvlib run smart/alignment_rate --profile reduced."
    )
    panel = svg.trend("HandWritten", kinds, "rows aligned", percent=True)
    return Answer(text, [panel], caption)


def _biased_alignment(root: Path) -> Answer | None:
    frame = recorded(root, "smart", "biased_alignment", starts=20, init="draws")
    frame = frame[frame["acc"].notna()]
    if frame.empty:
        return None
    fair = "from all rows"
    lines = [
        f"- {name}: {gap_text(mean_gaps(frame, name, fair))}"
        for name in ("from half of the classes", "from one region")
    ]
    text = (
        f"What a biased sample of as many pairs changes, in points, beside one {fair} "
        f"({frame['aligned_ratio'].iloc[0]:.0%} aligned, {seeds_text(frame)}):\n\n"
        + "\n".join(lines)
    )
    caption = (
        "The same number of known pairs, drawn in three ways; a dot is a seed, the bar the "
        "mean; best of twenty starts. Dotted: k-means of view 1, which uses no pair at all. "
        "Reduced profile. Again: mvlib run smart/biased_alignment --profile reduced."
    )
    return Answer(text, set_panels(root, frame, None, fair), caption)


def _threshold(root: Path) -> Answer | None:
    scores = recorded(root, "smart", "threshold", init="draws", starts=20)
    if scores.empty:
        return None
    paper = "mean-std"
    others = [name for name in scores["method"].unique() if name != paper]
    gaps = {name: mean_gaps(scores, name, paper) for name in others}
    below = [name for name, gap in gaps.items() if (gap["ahead"] == 0).all()]
    worst = min(gaps, key=lambda name: gaps[name]["mean"].mean())
    best = max(gaps, key=lambda name: gaps[name]["mean"].mean())
    text = (
        f"Beside the paper's rule, mean - std: the best other rule, {best}, stands "
        f"{gap_text(gaps[best])}; the worst, {worst}, {gap_text(gaps[worst])}. Behind the "
        f"paper's rule in every seed of both sets: {listed(below) if below else 'none'} "
        f"(half aligned, {seeds_text(scores)})."
    )
    graphs = recorded(root, "smart", "threshold")
    graphs = graphs[graphs["measure_precision"].notna()]
    panels = []
    for dataset, some in scores.groupby("dataset", sort=False):
        rows = by_method(some)
        edges = (
            100
            * graphs[graphs["dataset"] == dataset]
            .groupby("method")[["measure_precision", "measure_recall"]]
            .mean()
        )
        told = {
            f"{name}: {{:.0f}} % precise, {{:.0f}} % found".format(*edges.loc[name]): row
            for name, row in rows.items()
        }
        strong = [name for name in told if name.startswith(f"{paper}:")]
        panels.append(svg.strips(title_of(dataset), told, strong=strong))
    caption = (
        "ACC under each rule, best first; a dot is a seed, the bar the mean, best of twenty "
        "starts. Beside a rule's name: how many of its graph's edges join one class, and how "
        "many of the pairs of one class it finds. Reduced profile. Again: mvlib run "
        "smart/threshold --profile reduced."
    )
    return Answer(text, panels, caption)


def leak_lines(root: Path) -> pd.DataFrame:
    """Return the runs of Set-CLIP without a pair, by how its batches are drawn."""
    frame = recorded(root, "set_clip", "leakage", ratio=0)
    return frame if frame.empty else frame[frame["draws"] != "disjoint things"]


def leak_panel(frame: pd.DataFrame, dataset: str) -> str:
    """Draw recall against steps for both ways to draw, and chance."""
    some = frame[frame["dataset"] == dataset]
    lines = {
        draws: {n: values(s, "measure_r10") for n, s in one.groupby("n_steps")}
        for draws, one in sorted(some.groupby("draws"), reverse=True)
    }
    chance = 100 * chance_of(some).mean()
    title, limits = title_of(dataset), (-3.0, 110.0)
    return svg.trend(title, lines, "training steps", "R@10 (%)", {"chance": chance}, limits)


def _leakage(root: Path) -> Answer | None:
    frame = leak_lines(root)
    if frame.empty:
        return None
    longest = frame["n_steps"].max()
    last = frame[frame["n_steps"] == longest]
    means = 100 * last.astype({"measure_r10": float}).pivot_table(
        "measure_r10", "dataset", "draws"
    )
    n = last.groupby(["dataset", "draws"]).size().min()
    apart, same = (
        listed(f"{row[draws]:.1f} on {title_of(name)}" for name, row in means.iterrows())
        for draws in ("independent draws", "same instances")
    )
    text = (
        f"**With no pair known and batches drawn apart, R@10 is {apart}, where chance is "
        f"{100 * chance_of(last).mean():.1f}**. With batches of the same things, as in the "
        f"authors' code, it is {same} ({longest:.0f} steps, means of {n} runs)."
    )
    caption = (
        "Recall at 10 among rows that were not trained on, both directions; a dot is a seed "
        "and split. No pair is told in any run. Reduced profile. "
        "Again: mvlib run set_clip/leakage --profile reduced."
    )
    sets = frame["dataset"].unique()
    return Answer(text, [leak_panel(frame, name) for name in sets], caption)


def _pair_ratio(root: Path) -> Answer | None:
    frame = recorded(root, "set_clip", "pair_ratio")
    if frame.empty:
        return None
    order = ["Set-CLIP", "CLIP on the pairs", "S-CLIP"]
    lines = {
        name: {r: values(s, "measure_r10") for r, s in some.groupby("ratio")}
        for name, some in sorted(frame.groupby("method"), key=lambda g: order.index(g[0]))
    }
    means = 100 * frame.astype({"measure_r10": float}).pivot_table(
        "measure_r10", "ratio", "method"
    )
    lead = (means["Set-CLIP"] - means["CLIP on the pairs"]).dropna()
    chance = 100 * chance_of(frame).mean()
    panel = svg.trend(
        "Open Clip Art", lines, "known pairs", "R@10 (%)", {"chance": chance}, percent=True
    )
    above = (lead > 0).sum()
    text = (
        f"What distribution matching adds to CLIP's loss on the same pairs: between "
        f"{lead.min():+.1f} and {lead.max():+.1f} points of R@10 at {len(lead)} shares of "
        f"known pairs, above zero at {above} of them. With no pair Set-CLIP comes to "
        f"{means['Set-CLIP'].iloc[0]:.1f}, chance is {chance:.1f} "
        f"({seeds_text(frame)} on {frame['split'].nunique()} splits)."
    )
    caption = (
        "Recall at 10 on the full gallery, both directions; a dot is a seed and split. All "
        "lines share their pairs. Reduced profile. "
        "Again: mvlib run set_clip/pair_ratio --profile reduced."
    )
    return Answer(text, [panel], caption)


def _block_structure(root: Path) -> Answer | None:
    frame = recorded(root, "ntk_spectral", "block_structure")
    if frame.empty:
        return None
    plain = frame[frame["method"] != "NTK, diffusion"]
    names = {"acc": "ACC", "measure_gap": "gap", "measure_within": "within"}
    means = plain.astype(dict.fromkeys(names, float)).groupby("method")[list(names)].mean()
    ranks = means.corr("spearman")["acc"]
    looks, both = means.loc["looks"], means.loc["NTK, one prompt"]
    text = (
        f"From looks alone to NTK of one prompt, `within` goes from "
        f"{looks['measure_within']:.2f} to {both['measure_within']:.2f}, the gap from "
        f"{looks['measure_gap']:.3f} to {both['measure_gap']:.3f}, ACC from "
        f"{100 * looks['acc']:.1f} to {100 * both['acc']:.1f}. Over {len(means)} affinities "
        f"the rank correlation with ACC is {ranks['measure_gap']:+.2f} for the gap and "
        f"{ranks['measure_within']:+.2f} for `within` (drawings, {seeds_text(frame)})."
    )
    order = list(by_method(plain))
    panels = [
        svg.strips(
            title,
            by_method(plain, order, column, unit),
            label,
            ["NTK, one prompt", "NTK, mean"],
            digits=digits,
        )
        for title, column, label, unit, digits in (
            ("Accuracy", "acc", "ACC (%)", 100, 1),
            ("Gap: looks at no label", "measure_gap", "gap after k", 1, 3),
            ("Steps that stay in their class", "measure_within", "within", 1, 2),
        )
    ]
    caption = (
        "The same affinities in the same order, best accuracy first, under three measures; a "
        "dot is a random 90 % of the images. A measure that foretells accuracy falls from top "
        "to bottom, too. The diffused graph has other units and is left out. Reduced profile. "
        "Again: mvlib run ntk_spectral/block_structure --profile reduced."
    )
    return Answer(text, panels, caption)


def words_panel(frame: pd.DataFrame, dataset: str) -> str:
    """Draw CAE against the share of its words that are random, k-means of images as a level."""
    some = frame[frame["dataset"] == dataset]
    cae = some[some["method"] == "CAE"]
    lines = {"CAE": {share: values(one) for share, one in cae.groupby("corrupted")}}
    floor = 100 * some.loc[some["method"] == "k-means of images", "acc"].mean()
    levels = {"k-means, no word": floor}
    return svg.trend(title_of(dataset), lines, "random words", "ACC (%)", levels, percent=True)


def _when_words_help(root: Path) -> Answer | None:
    frame = recorded(root, "cae", "when_words_help")
    gains = frame[frame["measure_gain"].notna()] if "measure_gain" in frame else frame.iloc[:0]
    if gains.empty:
        return None
    table = rank_agreement(gains)
    parts = [
        f"{row['method']}, {row['encoder']} encoder: {row['rank correlation']:+.2f}, mean gain "
        f"{row['mean gain']:+.1f}"
        for row in table.to_dict("records")
    ]
    lines = "\n".join(f"- {part}" for part in parts)
    text = (
        f"Does the gap between zero-shot and k-means order the gain by words? Rank correlation "
        f"over {table['problems'].max()} problems, and the mean gain over k-means in points "
        f"({seeds_text(gains)}):\n\n{lines}"
    )
    panels = []
    for encoder, some in gains.groupby("encoder", sort=False):
        kinds = {}
        for method, one in some.groupby("method", sort=False):
            means = one.groupby("subset")[["measure_gap", "measure_gain"]].mean()
            means.columns = ["x", "y"]
            means.index = [
                "all classes" if number == 0 else f"half {number:g} of the classes"
                for number in means.index
            ]
            kinds[method] = means
        title = {"offline": "Contrastive heads", "ridge": "Ridge regression"}.get(
            encoder, encoder
        )
        label = "zero-shot less k-means (points)"
        panels.append(svg.scatter(title, kinds, label, "gain over k-means (points)"))
    caption = (
        "A dot is the drawings of all classes or of a random half of them, mean over seeds. "
        "The gap foretells the gain where dots rise from left to right. Problems share images: "
        "a description, no test. What random words do stands on the page of that name. Reduced "
        "profile. Again: mvlib run cae/when_words_help --profile reduced."
    )
    return Answer(text, panels, caption)


def _random_words(root: Path) -> Answer | None:
    frame = recorded(root, "cae", "random_words")
    if frame.empty:
        return None
    means = 100 * frame.groupby(["dataset", "method", "corrupted"])["acc"].mean()
    parts = [
        f"{means[name, 'CAE', 0.0]:.1f} with real words, {means[name, 'CAE', 1.0]:.1f} with "
        f"random ones, {means[name, 'k-means of images', 0.0]:.1f} for k-means of the images, "
        f"on {title_of(name)}"
        for name in sorted(frame["dataset"].unique())
    ]
    better = means.xs("CAE", level="method").unstack()
    ahead = (better[1.0] > better[0.0]).sum()
    text = (
        f"**With random words CAE's mean is higher on {ahead} of {len(better)} sets**: "
        f"{'; '.join(parts)} ({seeds_text(frame)}, the small encoder)."
    )
    caption = (
        "ACC by the share of the kept words whose features are random directions; a dot is a "
        "seed, the line the mean. Dotted: k-means of the images, which reads no word. Reduced "
        "profile. Again: mvlib run cae/random_words --profile reduced."
    )
    return Answer(text, [words_panel(frame, name) for name in better.index], caption)


def _is(parameters: Mapping[str, Any], **wanted: Any) -> bool:
    """Return whether parameters have the wanted values, of those that they name."""
    return all(parameters[name] == wanted[name] for name in wanted if name in parameters)


def _precision(root: Path) -> Answer | None:
    where: dict[str, Any] = {"method": "SMART", "dataset": "handwritten", "aligned_ratio": 1.0}
    where |= {"init": "draws", "features": "train", "variant": "clustering"}
    exact = recorded(root, "smart", "precision", "full", precision="float32", **where)
    half = recorded(root, "smart", "method", "full", precision="bfloat16", **where)
    half = half[half["seed"].isin(exact["seed"])]
    if exact.empty or half.empty:
        return None
    both = pd.concat([exact.assign(arm="float32"), half.assign(arm="bfloat16")])
    both = both[both["rule"].isin(["last", "central"])]
    words = {1: "one start", 20: "best of twenty"}
    both = both.sort_values(["starts", "rule"])
    both["method"] = [
        f"{row.rule}, {words[int(row.starts)]}, {row.arm}" for row in both.itertuples()
    ]
    table = 100 * both.pivot_table("acc", ["rule", "starts"], "arm")
    # Not "-0.0".
    gaps = (table["float32"] - table["bfloat16"]).round(1) + 0.0
    late, ends = [], {"float32": [], "bfloat16": []}
    for record in load_records("smart", "full", root):
        for result in (
            record["results"] if record["experiment"] in ("method", "precision") else ()
        ):
            given = {"init": "draws", **result["parameters"], **result}
            if not _is(given, **where) or given.get("starts") != 1:
                continue
            if "curves" in result and record["key"] in set(exact["key"]):
                late.append(100 * np.std(result["curves"]["acc"][-100:], ddof=1))
            if result["seed"] in set(exact["seed"]):
                ends[given["precision"]].append(100 * result["metrics"]["last"]["acc"])
    low, high = min(ends["bfloat16"]), max(ends["bfloat16"])
    inside = all(low - np.mean(late) <= end <= high + np.mean(late) for end in ends["float32"])
    explains = "is not needed to explain" if inside else "may explain"
    said = {name: listed(f"{end:.1f}" for end in sorted(some)) for name, some in ends.items()}
    text = (
        f"**Half the precision {explains} a low last epoch: clustered from one start of "
        f"k-means it comes to {said['float32']} in float32, and in {len(ends['bfloat16'])} "
        f"trainings of the same seed in bfloat16 to {said['bfloat16']}.** From one epoch to "
        f"another of the last hundred it moves by {np.mean(late):.0f} points (standard "
        "deviation; HandWritten, all rows aligned, the paper's networks, training mode, n = "
        f"{both['seed'].nunique()} seed): on another processor, or after an update, the same "
        "seed is another training. As the best of twenty starts float32 differs from the last "
        f"of them by {gaps['last', 20]:+.1f} points, by {gaps['central', 20]:+.1f} in the "
        "central epoch. One seed bounds no difference between the precisions."
    )
    caption = (
        "One training in each precision, scored after the last epoch and after the central one "
        "of the last fifth, from one start of k-means and as the best of twenty. Full profile, "
        "training mode. Again: mvlib run smart/precision --profile full."
    )
    return Answer(text, [svg.strips("HandWritten, 100 % aligned", by_method(both))], caption)


def pays(root: Path) -> Answer | None:
    rivals = {VIEW_1: "k-means of view 1", "spectral, view 1, unit rows": "spectral of view 1"}
    tail = "half aligned, last epoch, one start of k-means"
    a = "SMART, 1 start", "SMART"
    return beside(beside_floors(root=root), a, rivals, tail, "smart/method")


def _floors(root: Path) -> Answer | None:
    frame = recorded(root, "smart", "floors", aligned_ratio=0.5)
    rivals = {
        VIEW_1: "k-means of view 1",
        "k-means, view 1, unit rows": "k-means of its unit rows",
        "spectral, concatenation as given, unit rows": "spectral of both views",
    }
    a = "spectral, view 1, unit rows", "spectral, one view of unit rows,"
    tail = "half aligned; nothing is trained, no pair is used"
    return beside(frame, a, rivals, tail, "smart/floors")


def _words_help(root: Path) -> Answer | None:
    frame = results_frame("cae", "reduced", "method", root)
    frame = frame if frame.empty else frame[frame["rule"] == "last"]
    names = ("CAE", "TAC, no training", "TAC, trained", "SIC")
    a = "k-means of images", "k-means of the images, which reads no word,"
    return beside(frame, a, {n: n for n in names}, "the small encoder, not CLIP", "cae/method")


def _halves(root: Path) -> Answer | None:
    frame = results_frame("ntk_spectral", "reduced", "ablation_affinity", root)
    rivals = {f"{name}, diffusion": f"{name} alone" for name in ("looks", "words")}
    tail = "seven prompts, diffused; the small encoder, not CLIP; 90 % of the images a seed"
    a = "product, diffusion", "the product"
    return beside(frame, a, rivals, tail, "ntk_spectral/ablation_affinity")


def _graph(root: Path) -> Answer | None:
    frame = recorded(root, "smart", "what_the_graph_sees")
    if frame.empty:
        return None
    lines, parts = {}, []
    first, last = frame["epochs"].min(), frame["epochs"].max()
    for name, some in frame.groupby("dataset"):
        kept = {n: values(s, "measure_precision") for n, s in some.groupby("epochs")}
        lines[title_of(name)] = kept
        ends = [f"{kept[n].mean():.0f}" for n in (first, last)]
        parts.append(f"{title_of(name)} from {ends[0]} to {ends[1]} %")
    text = (
        f"**From epoch {first:.0f} to {last:.0f} the share of the graph's edges that join one "
        f"class rises: {listed(parts)}.** It begins at chance, so that matching on it pays "
        f"only after the alignment loss has ordered the embedding ({seeds_text(frame)})."
    )
    caption = (
        "How many of the graph's edges join rows of one class; a dot is a seed, half of the "
        "rows aligned. Reduced profile. Again: mvlib run smart/what_the_graph_sees --profile "
        "reduced."
    )
    panel = svg.trend("Right edges", lines, "epochs", "edges in one class (%)")
    return Answer(text, [panel], caption)


ANSWERS: Mapping[str, Callable[[Path], Answer | None]] = {
    "smart/method": pays,
    "smart/floors": _floors,
    "smart/what_the_graph_sees": _graph,
    "cae/method": _words_help,
    "ntk_spectral/ablation_affinity": _halves,
    "smart/selection": _selection,
    "smart/precision": _precision,
    "smart/ablation_losses": _ablation_losses,
    "smart/alignment_rate": _alignment_rate,
    "smart/biased_alignment": _biased_alignment,
    "smart/threshold": _threshold,
    "set_clip/leakage": _leakage,
    "set_clip/pair_ratio": _pair_ratio,
    "ntk_spectral/block_structure": _block_structure,
    "cae/when_words_help": _when_words_help,
    "cae/random_words": _random_words,
}
