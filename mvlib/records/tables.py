"""Tables of recorded results, alone and beside the published ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvlib.check import check_choice
from mvlib.files import project_root
from mvlib.records.keys import EARLIER, staleness
from mvlib.records.plan import load_plan, plan_runs
from mvlib.records.published import load_published
from mvlib.records.recorder import METRICS, PROFILES
from mvlib.records.scores import parameters_of, score_table
from mvlib.records.store import Record, latest_records, load_records, records_frame
from mvlib.records.verdicts import Verdict, verdict

if TYPE_CHECKING:
    import pandas as pd


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
    planned = {run.cell for run in plan_runs(profile, root=root)}
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
    frame = results_frame(paper, "full", "method", root)
    versions = _versions(load_records(paper, "full", root), set(frame["key"]), root)
    rows = [_beside(row, frame, versions) for row in published]
    shown = {(_setting(row), row["method"], row["rule"], row["metric"]) for row in published}
    for setting in dict.fromkeys(_setting(row) for row in published):
        metrics = dict.fromkeys(row["metric"] for row in published if _setting(row) == setting)
        rows += _ours_alone(dict(setting), list(metrics), frame, versions, shown)
    settings = dict.fromkeys(name for row in published for name in row["setting"])
    columns = [
        "id", "dataset", *settings, "method", "rule", "metric", "published", "source", "ours",
        "sd", "n", "difference", "ci_low", "ci_high", "verdict", "detail", "version", "command",
        "where", "caveat",
    ]  # fmt: skip
    known = load_plan(paper, root)["method"]
    commands = [
        _command(paper, row, [name for name in settings if row.get(name) is not None])
        if row["method"] == known or not row["id"]
        else ""
        for row in rows
    ]
    return pd.DataFrame(rows).assign(command=commands).reindex(columns=columns)


def _command(paper: str, row: Mapping[str, Any], settings: Sequence[str]) -> str:
    where = "".join(f" {name}={row[name]}" for name in settings)
    chosen = f" --where{where}" if where else ""
    return f"mvlib run {paper}/method --profile full --dataset {row['dataset']}{chosen} --again"


def compare(row: Mapping[str, Any], frame: pd.DataFrame) -> tuple[Verdict, pd.DataFrame]:
    """Return the verdict on one published number, and the results that it rests on."""
    if not row["comparable"]:
        return Verdict("cannot", detail=row["reason"]), frame.iloc[:0]
    ours = select(frame, row["dataset"], row["setting"], row["method"], row["rule"])
    values = 100 * ours[row["metric"]].astype(float)
    by_hand = no_public_link(row["dataset"])
    if row["needs"] and ours.empty:
        # Such a run can be made by whoever has the weights and, where need be, the data.
        needs = f"needs {row['needs']}" + (", and data got by hand" if by_hand else "")
        return Verdict("not run", detail=needs), ours
    found = verdict(values, row["value"], row["digits"], by_hand)
    return found, ours


def select(
    frame: pd.DataFrame, dataset: str, setting: Mapping[str, Any], method: str, rule: str
) -> pd.DataFrame:
    """Return the rows of a results frame of one data set, setting, method and rule."""
    wanted = {"dataset": dataset, **setting, "method": method, "rule": rule}
    chosen = frame
    for name, value in wanted.items():
        chosen = chosen[chosen[name] == value] if name in chosen else chosen.iloc[:0]
    return chosen


def _beside(
    row: Mapping[str, Any], frame: pd.DataFrame, versions: Mapping[str, str]
) -> dict[str, Any]:
    found, ours = compare(row, frame)
    return {
        **{name: row[name] for name in ("id", "dataset", "method", "rule", "metric")},
        **row["setting"],
        "published": row["value"],
        "source": row["source"],
        **_numbers(found),
        "difference": found.difference,
        "ci_low": found.low,
        "ci_high": found.high,
        "verdict": found.word,
        "detail": found.detail,
        "version": _version(ours, versions),
        "where": row["where"],
        "caveat": row["caveat"],
    }


def _ours_alone(
    setting: dict[str, Any],
    metrics: list[str],
    frame: pd.DataFrame,
    versions: Mapping[str, str],
    shown: set[Any],
) -> Iterable[dict[str, Any]]:
    """Yield our results of one data set and setting that no published number stands beside."""
    matching = frame
    for name, value in setting.items():
        matching = matching[matching[name] == value] if name in matching else matching.iloc[:0]
    for (method, rule), ours in matching.groupby(["method", "rule"], sort=False):
        for metric in metrics:
            if (tuple(setting.items()), method, rule, metric) in shown:
                continue
            values = 100 * ours[metric].astype(float)
            sd = float(values.std(ddof=1)) if len(values) > 1 else None
            found = Verdict("", len(values), float(values.mean()), sd)
            yield {
                **dict.fromkeys(("id", "verdict", "detail", "where", "caveat"), ""),
                **setting,
                "method": method,
                "rule": rule,
                "metric": metric,
                **_numbers(found),
                "version": _version(ours, versions),
            }


def _numbers(found: Verdict) -> dict[str, Any]:
    return {"ours": found.mean, "sd": found.sd, "n": found.n}


def _setting(row: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return (("dataset", row["dataset"]), *row["setting"].items())


def _versions(records: Iterable[Record], keys: set[str], root: Path) -> dict[str, str]:
    return {r["key"]: staleness(r, root) for r in records if r["key"] in keys}


def _version(ours: pd.DataFrame, versions: Mapping[str, str]) -> str:
    words = {versions[key] for key in ours["key"]}
    return EARLIER if EARLIER in words else next(iter(words), "")


def no_public_link(dataset: str) -> str | None:
    """Return why nobody can simply fetch a data set; the same on every machine."""
    from mvlib import data

    card = data.describe(dataset)
    if card.embedded or all(file.url and file.sha256 for file in card.files):
        return None
    return f"the data have no public link: {card.how_to_get}"
