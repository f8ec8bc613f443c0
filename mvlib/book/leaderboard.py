"""All methods on all sets, as far as records go: what fills the heat maps."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from mvlib.check import check_choice
from mvlib.data import describe
from mvlib.methods.catalogue import MODALITIES, VIEWS, WORDS
from mvlib.papers.choices import READS_MORE
from mvlib.papers.findings import title_of
from mvlib.plots import svg
from mvlib.records import load_published, results_frame, to_markdown
from mvlib.records.plan import papers_with
from mvlib.records.tables import spread

# Where a method stands beside its rivals; every experiment of the line-up does that.
_BESIDE = ("method", "floors", "against_classics")
_LINEUP = "lineup"
# Each of its methods has a problem of its own.
_ALONE = "as_published"
KINDS = {"views": VIEWS, "words": WORDS, "modalities": MODALITIES}
_SETTING = {VIEWS: "aligned_ratio", MODALITIES: "ratio", WORDS: "encoder"}
_SCORE = {VIEWS: "ACC", MODALITIES: "R@10", WORDS: "ACC"}
_FEWEST = 2


def results(root: Path) -> pd.DataFrame:
    """Return what each method came to, a row a method, set, setting and profile.

    The last epoch counts, and the oracle's where it is recorded, in points. What two chapters
    have of one method is taken from the first, in the order of their names, the line-up last.
    """
    frames = [results_frame(None, profile, None, root) for profile in ("reduced", "full")]
    # Columns that are empty in one of them have no type of their own.
    frame = pd.concat([f for f in frames if not f.empty] or frames[:1], ignore_index=True)
    names = ["aligned_ratio", "ratio", "encoder", "starts", "draws", "measure_r10"]
    frame = frame.reindex(columns=list(dict.fromkeys([*frame.columns, *names])))
    frame = frame[frame["experiment"].isin(_BESIDE) | (frame["paper"] == _LINEUP)]
    frame = frame[frame["experiment"] != _ALONE]
    frame = frame[frame["rule"].isna() | frame["rule"].isin(["last", "oracle"])]
    frame = frame[frame["starts"].isna() | (frame["starts"] == 1)]
    recall, kinds = frame["measure_r10"].notna(), frame["dataset"].map(_kind)
    task = kinds.map({"views": VIEWS, "images": WORDS, "pairs": MODALITIES})
    frame = frame.assign(task=task.where(~recall, MODALITIES))
    score = frame["measure_r10"].where(frame["task"] == MODALITIES, frame["acc"]).astype(float)
    frame = frame.assign(score=100 * score).dropna(subset=["score"])
    # The same things in both halves of a batch are a leak, and no method.
    frame = frame[frame["draws"].isna() | (frame["draws"] != "same instances")]
    frame["setting"] = [_setting(row) for row in frame.to_dict("records")]
    frame["row"] = [
        _name(m, rule) for m, rule in zip(frame["method"], frame["rule"], strict=True)
    ]
    frame = frame.assign(later=frame["paper"] == _LINEUP).sort_values(["later", "paper"])
    by = ["task", "setting", "profile", "row", "dataset"]
    first = frame.groupby(by)["paper"].transform("first")
    found = frame[frame["paper"] == first].groupby(by, sort=False)
    table = found["score"].agg(["mean", "std"])
    table["n"] = found["seed"].nunique()
    table["of"] = found["paper"].first() + "/" + found["experiment"].first()
    return table.reset_index()


def published(root: Path) -> pd.DataFrame:
    """Return the published accuracies of settings that a run here can have."""
    rows, tasks = [], {("aligned_ratio",): VIEWS, ("encoder",): WORDS}
    for paper in papers_with("published.toml", root):
        for row in load_published(paper, root):
            setting, known = dict(row["setting"]), row["metric"] == "acc"
            runnable = str(setting.get("encoder", "openclip:")).startswith("openclip:")
            task = tasks.get(tuple(setting))
            if known and runnable and task is not None:
                said = _setting({"task": task, **setting})
                name = _name(row["method"], row["rule"])
                rows.append((task, said, name, row["dataset"], row["value"], row["source"]))
    columns = ["task", "setting", "row", "dataset", "value", "source"]
    return pd.DataFrame(rows, columns=columns).drop_duplicates(columns[:4])


def leaderboard(root: Path, kind: str | None = None, only: str | None = None) -> str:
    """Return the heat maps, a heading a task and a table a setting and profile; or some."""
    if kind is not None:
        check_choice("kind", kind, KINDS)
    ours, theirs = results(root), published(root)
    parts = []
    for name, task in KINDS.items():
        if kind in (None, name):
            runs, claims = ours[ours["task"] == task], theirs[theirs["task"] == task]
            parts += [f"## {task.capitalize()}"] if kind is None else []
            parts += _tables(runs, claims, _SCORE[task], only)
    return "\n\n".join(parts)


def text_tables(root: Path, kind: str, profile: str | None = None) -> Iterable[str]:
    """Yield as Markdown what `leaderboard` draws of a task: "mean ± sd (seeds)"."""
    ours = results(root)
    ours = ours[ours["task"] == KINDS[kind]]
    for only, known in ours.groupby("profile", sort=False):
        if profile not in (None, only):
            continue
        for setting in _settings(known):
            some = known[known["setting"] == setting]
            text = [
                f"{spread(mean, sd)} ({n})" if n else spread(mean, sd)
                for mean, sd, n in zip(some["mean"], some["std"], some["n"], strict=True)
            ]
            wide = some.assign(text=text).pivot(index="row", columns="dataset", values="text")
            order = _ordered(some)
            wide = wide.reindex(index=order.index, columns=order.columns)
            table = to_markdown(wide.rename_axis("method").reset_index())
            yield f"{setting}, {only} profile, {_SCORE[KINDS[kind]]}\n\n{table}"


def _tables(
    runs: pd.DataFrame, claims: pd.DataFrame, score: str, only: str | None
) -> Iterable[str]:
    for profile in ("reduced", "full"):
        known = runs[runs["profile"] == profile]
        beside = claims if profile == "full" else claims.iloc[:0]
        for setting in _settings(pd.concat([known, beside])):
            some, those = (frame[frame["setting"] == setting] for frame in (known, beside))
            if only in (None, profile):
                yield _table(some, those, f"{setting}, {profile} profile", score)


def small_map(root: Path) -> str:
    """Draw half-aligned views in the reduced profile as a map without numbers."""
    some = results(root)
    some = some[(some["task"] == VIEWS) & (some["profile"] == "reduced")]
    some = some[some["setting"] == _setting({"task": VIEWS, "aligned_ratio": 0.5})]
    wide = _ordered(some).rename(columns=title_of)
    return svg.heat("Half aligned, ACC", wide)


def _table(ours: pd.DataFrame, theirs: pd.DataFrame, said: str, score: str) -> str:
    wide = _ordered(ours)
    cells = {(row.row, row.dataset): row for row in ours.itertuples()}
    claims = {(row.row, row.dataset): row for row in theirs.itertuples()}
    sets = list(dict.fromkeys([*wide.columns, *theirs["dataset"]]))
    fair = wide[[not name.endswith(READS_MORE) for name in wide.index]]
    best = fair.max()
    # A name of two words in one may break between them.
    titles = [re.sub(r"(?<=[a-z])(?=[A-Z])", "<wbr>", escape(title_of(name))) for name in sets]
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    lines = []
    for name in dict.fromkeys([*wide.index, *theirs["row"]]):
        row = "".join(
            _cell(cells.get((name, d)), claims.get((name, d)), name, best.get(d)) for d in sets
        )
        kind = ' class="more"' if name.endswith(READS_MORE) else ""
        lines.append(f'<tr{kind}><th scope="row">{escape(name)}</th>{row}</tr>')
    caption = f"<caption>{escape(said)}, {score} in points</caption>"
    return (
        '<div class="heat" tabindex="0" role="region" '
        f'aria-label="{escape(said)}"><table class="heat">{caption}'
        f'<thead><tr><th scope="col">method</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cell(run: Any, claim: Any, name: str, best: float | None) -> str:
    hover, shown, style = "not run", "", ' class="none"'
    if run is not None:
        spread = "" if pd.isna(run.std) else f" ± {run.std:.1f}"
        seeds = f"{run.n} seed{'s' * (run.n != 1)}" if run.n else "draws nothing"
        hover = f"{run.mean:.1f}{spread}, {seeds}, {run.of}"
        first = run.mean == best and not name.endswith(READS_MORE)
        shown = f"<b>{run.mean:.1f}</b>" if first else f"{run.mean:.1f}"
        style = f' style="--v:{max(run.mean, 0) / 100:.2f}"'
    if claim is not None:
        hover += f"; published {claim.value:g} ({claim.source})"
        shown += f"<small>{claim.value:.1f}</small>"
    title = escape(f"{name}: {hover}")
    return f'<td{style} title="{title}">{shown}</td>'


def _ordered(ours: pd.DataFrame) -> pd.DataFrame:
    """Return means, methods down by how far above the sets' means they are, sets across."""
    wide = ours.pivot(index="row", columns="dataset", values="mean")
    above = (wide - wide.mean()).mean(axis="columns").sort_values(ascending=False)
    return wide.loc[above.index, wide.mean().sort_values(ascending=False).index]


def _settings(frame: pd.DataFrame) -> Iterable[str]:
    """Return the settings of which some methods, on some sets, are known."""
    # "100% aligned" after "50% aligned".
    for setting in sorted(frame["setting"].unique(), key=lambda text: (len(text), text)):
        some = frame[frame["setting"] == setting]
        if min(some["row"].nunique(), some["dataset"].nunique()) >= _FEWEST:
            yield setting


def _setting(row: dict[str, Any]) -> str:
    value = row.get(_SETTING[row["task"]])
    if row["task"] == WORDS:
        return f"{value} encoder"
    if pd.isna(value):
        return "no pairs"
    what = "aligned" if row["task"] == VIEWS else "of the pairs known"
    return f"{value:.0%} {what}" if value else "no pairs"


def _name(method: str, rule: Any) -> str:
    return f"{method}, oracle epoch" if rule == "oracle" else method


def _kind(dataset: str) -> str:
    return describe(dataset).kind
