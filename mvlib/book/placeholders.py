"""Placeholders in prose, filled with what code knows, so that page and code cannot differ."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mvlib.book.answers import answer_box
from mvlib.book.choosing import (
    choice_list,
    choice_records,
    choice_tree,
    page_link,
    pages_of,
)
from mvlib.book.data_cards.cards import default_views, files_table, sets_table
from mvlib.book.front import cards_grid, citation
from mvlib.book.leaderboard import leaderboard
from mvlib.book.pages import table
from mvlib.check import check_choice
from mvlib.data import all_names, describe
from mvlib.papers.claims import judge_claims
from mvlib.papers.findings import comparisons, finding_table, intervals, title_of
from mvlib.records import (
    VERDICT_RULES,
    comparison_table,
    load_benchmarks,
    load_faults,
    load_published,
    published_text,
    results_frame,
    score_table,
    to_markdown,
)
from mvlib.records.plan import papers_with
from mvlib.records.readme import setting_text
from mvlib.records.tables import inert

_SAID = re.compile(r'aria-label="([^"]*)"')
_PLACEHOLDER = re.compile(r"^<!-- mvlib: ([a-z_]+)((?: [\w.-]+)*) -->$", re.MULTILINE)


def fill(text: str, root: str | Path) -> str:
    """Return a page's text with its placeholders replaced.

    A placeholder is a line of its own, `<!-- mvlib: name arguments -->`. The names:
    `answer PAPER EXPERIMENT`, what records answer to a page's question, and the figure;
    `cards`, the findings of the front page; `citation`, how to cite it;
    `leaderboard [KIND [PROFILE]]`, all methods on all sets;
    `verdict_rules`; `published PAPER [METHOD]`, the numbers that a paper's file claims, of
    one method or of all; `published_by_set PAPER METRIC [TABLE]`, a column a data set;
    `claims PAPER`, sentences with verdicts, and `claims_counted`; `compared PAPER TABLE`,
    accuracies of a published table beside ours, with verdicts;
    `recorded PAPER PROFILE EXPERIMENT`, mean scores of an experiment's records;
    `measures PAPER PROFILE EXPERIMENT VARIANT`, means of the measures of a variant, in percent;
    `unknown_settings PAPER PROFILE EXPERIMENT`, the values that differ
    from their setting's default; `smart_settings`; `smart_steps`, `smart_floors` and
    `smart_parts EXPERIMENT`, what the chapter's records say; `finding PAPER NAME`, arms that
    the chapter's `findings.toml` compares; `datasets [KIND FOLDER]`, one line
    a set, linked to the card in a folder; `files`, what identifies the file of each set;
    `widget NAME`, one of those in `book/widgets`;
    `methods`, the catalogue by task; `choice_tree` and `choice_list`, the catalogue by what
    is known; `choice_records TASK`, what records say of them;
    `benchmarks FILE`, the ratios that one file of benchmarks has measured; `faults`, what was
    broken on purpose and what happened; `unpinned`, the sets whose files have no known
    checksum. A name that is unknown is a ValueError with the nearest.
    """

    def replace(match: re.Match[str]) -> str:
        name = check_choice("placeholder", match[1], _FILLERS)
        return _FILLERS[name](Path(root), *match[2].split())

    return _PLACEHOLDER.sub(replace, text)


def _verdict_rules(root: Path) -> str:
    return "\n\n".join(f"{word}\n: {rule}" for word, rule in VERDICT_RULES.items())


def _published(root: Path, paper: str, method: str | None = None) -> str:
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for row in load_published(paper, root):
        if method in (None, row["method"]):
            title = describe(row["dataset"]).title
            place = (row["method"], title, setting_text(row["setting"]), row["source"])
            rows.setdefault(place, {})[row["metric"]] = published_text(row)
    known = {metric for values in rows.values() for metric in values}
    names = {"acc": "ACC", "nmi": "NMI", "ari": "ARI", "purity": "purity"}
    names = {metric: name for metric, name in names.items() if metric in known}
    lines = [[*place, *(values.get(m, "") for m in names)] for place, values in rows.items()]
    header = ["method", "data set", "setting", "source class", *names.values()]
    return table(header, lines, numeric=len(names))


def _claims(root: Path, paper: str) -> str:
    rows = []
    for claim, verdict, said, command, _ in judge_claims(paper, root):
        value = f": {claim['value']:g} {claim['unit']}" if "value" in claim else ""
        rests = f"{said}; `{command}`" if command else said
        rows.append([f"{claim['text']}{value}", claim["source"], f"**{verdict}**", rests])
    return table(["claim", "source class", "verdict", "what it rests on"], rows)


def _claims_counted(root: Path) -> str:
    found = Counter(
        judged.verdict
        for paper in papers_with("published.toml", root)
        for judged in judge_claims(paper, root)
    )
    return (
        f"Of {found.total()} sentences of the papers' abstracts: "
        + ", ".join(f"{count} {verdict}" for verdict, count in sorted(found.items()))
        + "."
    )


def _compared(root: Path, paper: str, name: str) -> str:
    found = comparison_table(paper, name, root)
    found = found[found["published"].notna() & (found["metric"] == "acc")]
    left = found[found["verdict"] == "cannot"]
    found = found.drop(index=left.index)
    counts = ", ".join(f"{n} {word}" for word, n in found["verdict"].value_counts().items())
    said = f"of {len(found)} published accuracies that runs here can be held to, {counts}."
    for reason, some in left.groupby("detail", sort=False):
        several = left["method"].nunique() > 1
        names = some["method"] if several else some["dataset"].map(title_of)
        # What follows a colon says how to get what is missing.
        why = reason.partition(": ")[0].rstrip(".")
        of = ", ".join(dict.fromkeys(names))
        said += f" {len(some)} more cannot be compared ({of}): {why}."
    decided = found["verdict"] != "undecided"
    rates = ("aligned_ratio", "mismatch_rate", "missing_rate")
    known = [name for name in rates if name in found]
    told = found.assign(
        dataset=[describe(dataset).title for dataset in found["dataset"]],
        setting=[setting_text(row) for row in found[known].to_dict("records")],
        difference=intervals(found),
        verdict=found["verdict"].where(decided, found["verdict"] + ": " + found["detail"]),
    )
    names = {"dataset": "data set", "method": "method", "setting": "setting"}
    # What all rows share stands before them.
    shared = [told[name].iloc[0] for name in names if told[name].nunique() == 1]
    said = f"**{', '.join(shared)}**: {said}"
    names = {name: names[name] for name in names if told[name].nunique() != 1}
    names |= {"published": "published", "source": "source class", "ours": "ours", "n": "n"}
    names |= {"difference": "difference, 90 %", "verdict": "verdict"}
    return f"{said}\n\n{to_markdown(told[list(names)].rename(columns=names))}"


def _smart_steps(root: Path) -> str:
    from mvlib.papers.smart import steps_to_the_oracle

    return to_markdown(steps_to_the_oracle(root=root), 1)


def _smart_floors(root: Path) -> str:
    from mvlib.papers.smart import FLOORS, beside_floors

    frame = beside_floors(root=root)
    if frame.empty:
        return to_markdown(frame)
    # Of the variants of a rival, the one that needs no scaling, or the better one.
    pairs = [("SMART, 1 start", FLOORS[number]) for number in (0, 2, 3, 6)]
    return to_markdown(comparisons(frame, pairs, ("dataset", "seed")))


def _finding(root: Path, paper: str, name: str) -> str:
    return to_markdown(finding_table(paper, name, root))


def _smart_parts(root: Path, experiment: str) -> str:
    from mvlib.papers.smart import part_comparisons

    found = part_comparisons(experiment, root=root)
    if found.empty:
        return to_markdown(found)
    hidden = ["sets", "sets_ahead", "ahead", "difference", "ci_low", "ci_high", "p", "p_holm"]
    shown = found.drop(columns=[*hidden, "detail", "told"])
    shown.insert(3, "difference, 95 %", intervals(found))
    return to_markdown(shown.rename(columns=_TITLES))


def _published_by_set(root: Path, paper: str, metric: str, only: str | None = None) -> str:
    values: dict[tuple[str, ...], dict[str, list[str]]] = {}
    sets: dict[str, None] = {}
    for row in load_published(paper, root):
        if row["metric"] == metric and only in (None, row["table"]):
            sets[row["dataset"]] = None
            place = (row["method"], setting_text(row["setting"]), row["source"])
            cell = values.setdefault(place, {}).setdefault(row["dataset"], [])
            cell.append(published_text(row))
    # A setting that all rows share is for the text around the table to say.
    kept = [0, 1, 2] if len({place[1] for place in values}) > 1 else [0, 2]
    names = ("method", "setting", "source class")
    lines = [
        [*(place[k] for k in kept), *(" or ".join(found.get(name, ())) for name in sets)]
        for place, found in values.items()
    ]
    heads = (names[k] for k in kept)
    return table([*heads, *map(title_of, sets)], lines, numeric=len(sets))


def _of_results(show: Callable[[Any], str]) -> Callable[..., str]:
    """Return what fills a placeholder with what is shown of an experiment's results."""

    def fill_in(root: Path, paper: str, profile: str, experiment: str) -> str:
        frame = results_frame(paper, profile, experiment, root)
        return to_markdown(frame) if frame.empty else show(frame)

    return fill_in


def _recorded(frame: Any) -> str:
    names = [name for name in ("dataset", "method", "reading", "rule") if name in frame]
    return to_markdown(score_table(frame, names, ["acc", "nmi", "ari"]))


def _measures(root: Path, paper: str, profile: str, experiment: str, variant: str) -> str:
    frame = results_frame(paper, profile, experiment, root, variants=True)
    if "variant" not in frame:
        return to_markdown(frame.iloc[:0])
    frame = frame[frame["variant"] == variant].dropna(axis="columns", how="all")
    frame = frame.assign(dataset=[describe(name).title for name in frame["dataset"]])
    names = [name for name in frame if name.startswith("measure_")]
    by = [name for name in ("dataset", "names", "groups", "share", "method") if name in frame]
    means = (
        100 * frame.astype(dict.fromkeys(names, float)).groupby(by, sort=False)[names].mean()
    )
    means.columns = [name.removeprefix("measure_").replace("_", " ") for name in names]
    return to_markdown(means.reset_index(), decimals=1)


def _unknown_settings(frame: Any) -> str:
    from mvlib.papers.cae import differences_from_default

    table = differences_from_default(frame)
    apart = table[(table["ci_low"] > 0) | (table["ci_high"] < 0)]
    sets = " and ".join(table["data set"].unique())
    said = f"Differences on {sets}: {len(table)}, of which {len(apart)} leave zero out."
    return said if apart.empty else f"{said}\n\n{to_markdown(apart, decimals=1)}"


def _benchmarks(root: Path, name: str) -> str:
    found = load_benchmarks(root).get(name)
    if found is None:
        return "Not measured yet."
    words = {True: "held", False: "missed", None: ""}
    rows = []
    for ratio in found.ratios:
        # Ratios about one are of what must not change: their digits matter.
        value = f"{ratio.value:{'.4f' if abs(ratio.value - 1) < 0.01 else '.3g'}}"
        target = ratio.target.replace(">=", "at least").replace("<=", "at most")
        target = "" if target == "none" else target
        rows.append([inert(ratio.name), value, target, words[ratio.held]])
    instructions = ", ".join(found.conditions["instructions"]) or "none of those that matter"
    threads = found.conditions["threads"]
    on = f" on {inert(found.conditions['date'])}" if "date" in found.conditions else ""
    measured = (
        f"Measured{on} with {_versions(found.conditions['versions'])}, on a processor with "
        f"{inert(instructions)}, {threads} thread{'' if threads == 1 else 's'} at most."
    )
    return f"{table(['ratio', 'measured', 'target', 'verdict'], rows)}\n\n{measured}"


def _versions(versions: dict[str, str]) -> str:
    return inert(", ".join(f"{package} {number}" for package, number in versions.items()))


def _faults(root: Path) -> str:
    found = sorted(load_faults(root).values(), key=lambda fault: fault.tried)
    if not found:
        return "Nothing tried yet."
    rows = []
    for fault in found:
        costs = [f"{fault.times:,}", f"{fault.seconds:,.1f}"]
        said = [inert(text) for text in (fault.tried, fault.happened, fault.date)]
        rows.append([*said[:2], fault.verdict, *costs, said[2]])
    header = ["what was broken", "what happened", "verdict", "times", "seconds", "day"]
    sets = {json.dumps(fault.versions, sort_keys=True): fault.versions for fault in found}
    packages = "; or ".join(map(_versions, sets.values()))
    return f"{table(header, rows)}\n\nTried with {packages}."


def _unpinned(root: Path) -> str:
    rows = []
    for name in all_names():
        about = describe(name)
        files = [*about.files, *about.packed.values()]
        if names := [f"`{file.file}`" for file in files if file.sha256 is None]:
            rows.append([f"[{about.title}](data/cards/{name}.md)", ", ".join(names)])
    return table(["set", "what a user supplies, unchecked"], rows)


def _methods(root: Path) -> str:
    from mvlib.methods.catalogue import CATALOGUE, TASKS

    parts, pages = [], pages_of(root)
    for task in TASKS:
        rows = []
        for method in (method for method in CATALOGUE if method.task == task):
            title = page_link(method, pages, method.title) or method.title
            estimator = f"{{py:obj}}`~mvlib.methods.{method.estimator.rpartition('.')[2]}`"
            source = method.source and f"{{cite:p}}`{method.source}`"
            rows.append([title, f"`{method.name}`", estimator, method.needs, source])
        header = ["method", "name", "estimator", "needs", "source"]
        parts += [f"## {task.capitalize()}", table(header, rows)]
    return "\n\n".join(parts)


def _smart_settings(root: Path) -> str:
    from mvlib.methods.smart import PAPER_SETTINGS

    rows = []
    for name, settings in PAPER_SETTINGS.items():
        if name == "other":
            rows.append(["any other set", *["not in the table"] * 2])
        else:
            about = describe(name)
            link = f"[{about.title}](../../book/data/cards/{name}.md)"
            sizes = f"{about.n_samples} / {about.n_clusters}"
            rows.append([link, sizes, default_views(about)])
        rows[-1] += [f"{value:g}" for value in settings.values()]
    symbols = {
        "batch_size": "batch",
        "learning_rate": "learning rate",
        "temperature": "$\\tau$",
        "lambda1": "$\\lambda_1$",
        "lambda2": "$\\lambda_2$",
        "embedding_dim": "$d$",
    }
    names = [symbols.get(name, name) for name in PAPER_SETTINGS["other"]]
    header = ["data set", "samples / classes", "view 1, view 2 (features)", *names]
    return table(header, rows, numeric=len(names))


def _widget(root: Path, name: str) -> str:
    """Return a widget's place, still picture, data and script, from a page beside `_static`."""
    scripts = root / "book" / "_static" / "widgets"
    known = sorted(path.stem for path in scripts.glob("*.svg"))
    check_choice("widget", name, known)
    said = _SAID.search((scripts / f"{name}.svg").read_text(encoding="utf-8"))
    data = json.loads((root / "book" / "widgets" / f"{name}.json").read_text(encoding="utf-8"))
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return (
        f'<div class="widget" id="widget-{name}">'
        f'<img src="../_static/widgets/{name}.svg" alt="{said[1] if said else ""}"></div>\n'
        f'<script type="application/json" id="data-{name}">{text}</script>\n'
        f'<script src="../_static/widgets/{name}.js"></script>'
    )


_TITLES = {name: title_of(name) for name in all_names()}
_FILLERS: dict[str, Callable[..., str]] = {
    "answer": answer_box,
    "benchmarks": _benchmarks,
    "cards": cards_grid,
    "citation": citation,
    "choice_list": choice_list,
    "choice_records": choice_records,
    "choice_tree": choice_tree,
    "claims": _claims,
    "claims_counted": _claims_counted,
    "compared": _compared,
    "datasets": lambda root, *place: sets_table(*place),
    "faults": _faults,
    "finding": _finding,
    "leaderboard": leaderboard,
    "files": lambda root: files_table(),
    "measures": _measures,
    "methods": _methods,
    "published": _published,
    "published_by_set": _published_by_set,
    "recorded": _of_results(_recorded),
    "smart_floors": _smart_floors,
    "smart_parts": _smart_parts,
    "smart_settings": _smart_settings,
    "smart_steps": _smart_steps,
    "unknown_settings": _of_results(_unknown_settings),
    "unpinned": _unpinned,
    "verdict_rules": _verdict_rules,
    "widget": _widget,
}
