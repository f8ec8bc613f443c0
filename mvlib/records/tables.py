"""Tables of recorded results, alone and beside the published ones, and as markdown."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from numbers import Number
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvlib.check import check_choice
from mvlib.data import all_names, describe
from mvlib.files import project_root
from mvlib.records.keys import EARLIER, staleness
from mvlib.records.plan import load_plan, plan_papers, plan_runs
from mvlib.records.published import load_published
from mvlib.records.recorder import METRICS, PROFILES
from mvlib.records.store import latest_records, load_records, records_frame
from mvlib.records.verdicts import Verdict, verdict

if TYPE_CHECKING:
    import pandas as pd

_FIXED = {
    "paper", "experiment", "profile", "method", "dataset", "seed", "rule", *METRICS,
    "seconds", "device", "started", "cell", "key",
}  # fmt: skip
# Columns of what a run was given, not of what it came to: told as written, "0.005" or "10".
_SETTINGS = {
    "aligned_ratio", "aligned ratio", "ratio", "starts", "epsilon", "temperature", "gamma",
    "knob", "lambda1", "lambda2", "embedding_dim", "mu", "value", "corrupted", "share", "rate",
}  # fmt: skip
# Columns whose names in a table are not those of the frame with spaces for underscores.
_HEADINGS = {
    "acc": "ACC", "nmi": "NMI", "ari": "ARI", "dataset": "data set", "ci_low": "from",
    "ci_high": "to", "p_holm": "p (Holm)", "n_seeds": "seeds", "n_splits": "splits",
    "n_nouns": "nouns", "n_prompts": "prompts", "n_samples": "samples", "n_centers": "centres",
    "memory_mb": "MB",
}  # fmt: skip
# What Markdown would take for HTML, then for a link, a role or a template, if not escaped.
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_ACTIVE = re.compile(r"(?<!\\)((?:\\\\)*)(\](?=[(\[])|\}(?=`)|\{(?=\{))")


def results_frame(
    paper: str | None = None,
    profile: str = "quick",
    experiment: str | None = None,
    root: Path | None = None,
    variants: bool = False,
) -> pd.DataFrame:
    """Return recorded results, each once, one row a result and rule."""
    check_choice("profile", profile, PROFILES)
    records = latest_records(load_records(paper, profile, root))
    if experiment is not None:
        records = [record for record in records if record["experiment"] == experiment]
    frame = records_frame(records).sort_values("started", kind="stable")
    frame = _without_superseded(frame, profile, root)
    if not variants and "variant" in frame:
        frame = frame[frame["variant"].isna()]
        empty = [name for name in parameters_of(frame) if frame[name].isna().all()]
        frame = frame.drop(columns=empty)
    identity = ["paper", "experiment", "method", "dataset", *parameters_of(frame), "seed"]
    return frame.drop_duplicates([*identity, "rule"], keep="last").reset_index(drop=True)


def _without_superseded(frame: pd.DataFrame, profile: str, root: Path | None) -> pd.DataFrame:
    """Leave out results of dropped runs that a planned run gives, though it names more."""
    papers = sorted(set(frame["paper"]) & set(plan_papers(root)))
    planned = {run.cell for run in plan_runs(profile, papers, root=root)}
    old = frame[~frame["cell"].isin(planned)]
    new = frame[frame["cell"].isin(planned)]
    if old.empty or new.empty:
        return frame
    fixed = ["paper", "experiment", "method", "dataset", "seed", "rule"]
    pairs = old.reset_index().merge(new, on=fixed, suffixes=("", "_new"))
    same = pairs["cell"].notna()
    for name in parameters_of(frame):
        ours, theirs = pairs[name], pairs[f"{name}_new"]
        same &= ours.isna() | theirs.isna() | (ours == theirs)
    return frame.drop(index=pairs.loc[same, "index"].unique())


def results_table(
    paper: str | None = None,
    profile: str = "quick",
    experiment: str | None = None,
    metrics: Sequence[str] = METRICS,
    root: Path | None = None,
) -> pd.DataFrame:
    """Return recorded results for reading: mean and spread over seeds, as text."""
    return score_table(results_frame(paper, profile, experiment, root), metrics=metrics)


def comparison_table(paper: str, table: str, root: Path | None = None) -> pd.DataFrame:
    """Return a published table beside what the full profile recorded here."""
    import pandas as pd

    root = root or project_root()
    published = load_published(paper, root)
    check_choice("table", table, dict.fromkeys(row["table"] for row in published))
    published = [row for row in published if row["table"] == table]
    experiment = published[0].get("experiment", "method")
    frame = results_frame(paper, "full", experiment, root)
    records, keys = load_records(paper, "full", root), set(frame["key"])
    versions = {each["key"]: staleness(each, root) for each in records if each["key"] in keys}
    frame = frame.assign(version=frame["key"].map(versions))
    rows = []
    for row in published:
        found, ours = compare(row, frame)
        rows.append(row | row["setting"] | {"published": row["value"], **_told(found, ours)})
    shown = {(_setting(row), row["method"], row["rule"], row["metric"]) for row in published}
    for setting in dict.fromkeys(map(_setting, published)):
        metrics = dict.fromkeys(row["metric"] for row in published if _setting(row) == setting)
        groups = select(frame, dict(setting)).groupby(["method", "rule"], sort=False)
        for ((method, rule), ours), metric in product(groups, metrics):
            if (setting, method, rule, metric) not in shown:
                values = 100 * ours[metric].astype(float)
                found = Verdict("", len(values), float(values.mean()), values.std(ddof=1))
                alone = {"method": method, "rule": rule, "metric": metric, "caveat": ""}
                rows.append(
                    {"id": "", "where": "", **dict(setting), **alone, **_told(found, ours)}
                )
    settings = dict.fromkeys(name for row in published for name in row["setting"])
    columns = [
        "id", "dataset", *settings, "method", "rule", "metric", "published", "source", "ours",
        "sd", "n", "difference", "ci_low", "ci_high", "verdict", "detail", "version", "command",
        "where", "caveat",
    ]  # fmt: skip
    known = load_plan(paper, root)["method"]
    for row in rows:
        made_here = not row["id"] or pd.notna(row["ours"])
        made_here = made_here or (row["method"] == known and experiment == "method")
        row["command"] = _command(f"{paper}/{experiment}", row, settings) if made_here else ""
    return pd.DataFrame(rows).reindex(columns=columns)


def _told(found: Verdict, ours: pd.DataFrame) -> dict[str, Any]:
    """Return the columns of a comparison, and of which versions our results are."""
    words = list(ours["version"])
    return {
        "ours": found.mean, "sd": found.sd, "n": found.n, "difference": found.difference,
        "ci_low": found.low, "ci_high": found.high, "verdict": found.word,
        "detail": found.detail, "version": EARLIER if EARLIER in words else "".join(words[:1]),
    }  # fmt: skip


def _command(name: str, row: Mapping[str, Any], settings: Iterable[str]) -> str:
    given = [name for name in settings if row.get(name) is not None]
    where = "".join(f" {name}={row[name]}" for name in given)
    chosen = f" --where{where}" if where else ""
    return f"mvlib run {name} --profile full --dataset {row['dataset']}{chosen} --again"


def compare(row: Mapping[str, Any], frame: pd.DataFrame) -> tuple[Verdict, pd.DataFrame]:
    """Return the verdict on one published number, and the results that it rests on."""
    if not row["comparable"]:
        return Verdict("cannot", detail=row["reason"]), frame.iloc[:0]
    fixed = {name: row[name] for name in ("dataset", "method", "rule")}
    ours = select(frame, fixed | row["setting"])
    values = 100 * ours[row["metric"]].astype(float)
    by_hand = no_public_link(row["dataset"])
    if row["needs"] and ours.empty:
        # Such a run can be made by whoever has the weights and, where need be, the data.
        needs = f"needs {row['needs']}" + (", and data got by hand" if by_hand else "")
        return Verdict("not run", detail=needs), ours
    found = verdict(values, row["value"], row["digits"], by_hand)
    return found, ours


def select(frame: pd.DataFrame, wanted: Mapping[str, Any]) -> pd.DataFrame:
    """Return the rows of a results frame that have all the wanted values."""
    for name, value in wanted.items():
        frame = frame[frame[name] == value] if name in frame else frame.iloc[:0]
    return frame


def _setting(row: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return (("dataset", row["dataset"]), *row["setting"].items())


def no_public_link(dataset: str) -> str | None:
    """Return why nobody can simply fetch a data set; the same on every machine."""
    from mvlib import data

    card = data.describe(dataset)
    if card.embedded or all(file.url and file.sha256 for file in card.files):
        return None
    return f"the data have no public link: {card.how_to_get}"


def parameters_of(frame: pd.DataFrame) -> list[str]:
    """Return the columns of a results frame that are parameters, such as `aligned_ratio`."""
    return [
        name for name in frame.columns if name not in _FIXED and not name.startswith("measure_")
    ]


def summarise(frame: pd.DataFrame, by: Sequence[str] | None = None) -> pd.DataFrame:
    """Return mean and standard deviation over seeds, in points (per cent)."""
    if by is None:
        experiment = ["experiment"] if "experiment" in frame else []
        by = [*experiment, "dataset", *parameters_of(frame), "method", "rule"]
    points = frame.assign(**{metric: 100 * frame[metric].astype(float) for metric in METRICS})
    points = points.assign(**{name: _whole(points[name]) for name in by})
    groups = points.groupby(list(by), sort=False, dropna=False)
    table = groups.size().rename("n").to_frame()
    for metric in METRICS:
        table[metric] = groups[metric].mean()
        table[f"{metric}_sd"] = groups[metric].std(ddof=1)
    return table.reset_index()


def _whole(column: pd.Series) -> pd.Series:
    known = column.dropna()
    if column.dtype.kind != "f" or not (known == known.round()).all():
        return column
    return column.astype("Int64")


def score_table(
    frame: pd.DataFrame, by: Sequence[str] | None = None, metrics: Sequence[str] = METRICS
) -> pd.DataFrame:
    """Return results for reading: mean and spread over seeds, as text."""
    for metric in metrics:
        check_choice("metrics", metric, METRICS)
    table = summarise(frame, by)
    for metric in metrics:
        pairs = zip(table[metric], table[f"{metric}_sd"], strict=True)
        table[metric] = [spread(mean, sd) for mean, sd in pairs]
    hidden = [name for m in METRICS for name in (m, f"{m}_sd") if name not in metrics]
    return table.drop(columns=hidden)


def spread(mean: float, sd: float | None) -> str:
    """Return "93.2 ± 0.4", without the spread where there is none."""
    return f"{mean:.1f}" if sd is None or sd != sd else f"{mean:.1f} ± {sd:.1f}"


def to_markdown(df: pd.DataFrame, decimals: int = 2) -> str:
    """Return a table as pipe-separated markdown, its numbers aligned to the right.

    Settings keep all their digits; a p below the last one shown is "< 0.01", not 0.
    """
    if df.empty:
        return "*Nothing is recorded yet.*"
    numeric = [
        all(
            isinstance(value, Number) and not isinstance(value, bool)
            for value in df[name].dropna()
        )
        for name in df.columns
    ]
    rows = [
        [_text(value, decimals, name) for name, value in zip(df.columns, row, strict=True)]
        for row in df.to_numpy(object)
    ]
    heads = [inert(_heading(str(name))).replace("|", "\\|") for name in df.columns]
    rows = [heads, ["---:" if right else "---" for right in numeric], *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _heading(column: str) -> str:
    name, *rest = column.removeprefix("measure_").split(", ", 1)
    if name in all_names():
        plain = describe(name).short_title
    else:
        plain = name if "$" in name else name.replace("_", " ")
    return ", ".join([_HEADINGS.get(name, plain), *rest])


def _text(value: Any, decimals: int, column: str) -> str:
    import pandas as pd

    if column in ("dataset", "data set") and value in all_names():
        return describe(value).short_title
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return ""
    if isinstance(value, float) and math.isfinite(value):
        if column in _SETTINGS:
            return f"{value:g}"
        if column in ("p", "p_holm") and value < 0.5 * 10**-decimals:
            return f"< {10**-decimals:g}"
        return f"{value:.{decimals}f}"
    return inert(str(value)).replace("|", "\\|")


def inert(text: str) -> str:
    """Return text as one line in which Markdown finds no HTML, link, role or template."""
    return _ACTIVE.sub(r"\1\\\2", _TAG.sub("&lt;", " ".join(text.split())))
