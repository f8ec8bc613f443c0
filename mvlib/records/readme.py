"""The table of what is reproduced, kept in the README by code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from mvlib.files import project_root, write_text
from mvlib.records.plan import load_plan, papers_with, plan_papers, plan_runs
from mvlib.records.published import load_published, published_text
from mvlib.records.tables import compare, results_frame, select, spread, to_markdown

BEGIN = "<!-- table: begin -->"
END = "<!-- table: end -->"


def readme_table(root: Path | None = None) -> str:
    """Return what is reproduced, from the committed records, and a list of what has not run."""
    import pandas as pd

    root = root or project_root()
    published = papers_with("published.toml", root)
    papers = [paper for paper in plan_papers(root) if paper in published]
    rows: list[dict[str, Any]] = []
    missing: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for row in (row for paper in papers for row in _rows(paper, root)):
        if row["Seeds"]:
            rows.append(row)
        else:
            sets = missing.setdefault((row["Paper"], row["Source"], row["Needs"]), {})
            value = f"{row['Data set']} {row['Published ACC']}"
            sets.setdefault(row["Setting"], []).append(value)
    columns = [
        "Paper", "Data set", "Setting", "Seeds", "Made with", "ACC, last epoch",
        "ACC, oracle epoch", "Published ACC", "Source", "Verdict",
    ]  # fmt: skip
    table = to_markdown(pd.DataFrame(rows, columns=columns))
    left = [
        f"- {paper} ({source}; {needs}): "
        + "; ".join(f"{', '.join(values)} with {setting}" for setting, values in sets.items())
        for (paper, source, needs), sets in missing.items()
    ]
    return "\n".join(
        [table, *(["", "Published, and not run here:", ""] if left else []), *left]
    )


def update_readme(root: Path | None = None) -> bool:
    """Put `readme_table` between the README's marks; return whether it changed anything."""
    root = root or project_root()
    path = root / "README.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md lacks the lines {BEGIN} and {END}: expected both, in turn")
    new = f"{before}{BEGIN}\n{readme_table(root)}\n{END}{after}"
    if new == text:
        return False
    write_text(path, new)
    return True


def _rows(paper: str, root: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of the chapter's method, and of those run as their own authors did."""
    own = load_plan(paper, root)["method"]
    published: dict[tuple[str, str], list[dict[str, Any]]] = {("method", own): []}
    for row in load_published(paper, root):
        held = row["comparable"] and (row["method"] == own or "experiment" in row)
        if held and row["metric"] == "acc":
            place = row.get("experiment", "method"), row["method"]
            published.setdefault(place, []).append(row)
    for (experiment, method), claimed in published.items():
        yield from _rows_of(paper, experiment, method, claimed, root)


def _rows_of(
    paper: str, experiment: str, method: str, published: list[dict[str, Any]], root: Path
) -> Iterator[dict[str, Any]]:
    """Yield a row for each data set and setting that is published or has been run."""
    from mvlib import data

    plan, frame = load_plan(paper, root), results_frame(paper, "full", experiment, root)
    settings = [{"dataset": row["dataset"], **row["setting"]} for row in published]
    names = list(dict.fromkeys(chain(["dataset"], *settings)))
    claims = {
        tuple(map(setting.get, names)): row
        for setting, row in zip(settings, published, strict=True)
    }
    runs = plan_runs("full", [f"{paper}/{experiment}"], root=root)
    planned = [tuple(map(run.parameters.get, names)) for run in runs]
    for cell in dict.fromkeys([*planned, *claims]):
        setting, claim = dict(zip(names, cell, strict=True)), claims.get(cell)
        about = data.describe(setting["dataset"]).title
        title = plan["title"] if method == plan["method"] else method
        row = {"Paper": title, "Data set": about, "Setting": setting_text(setting)}
        for rule in ("last", "oracle"):
            found = select(frame, setting | {"method": method, "rule": rule})
            ours = 100 * found["acc"].astype(float)
            row["Seeds"] = max(row.get("Seeds", 0), len(ours))
            if len(ours):
                row["Made with"] = _made_with(found)
                row[f"ACC, {rule} epoch"] = spread(ours.mean(), ours.std(ddof=1))
        row["Verdict"] = "no published number"
        if claim is not None:
            row["Published ACC"] = published_text(claim)
            row["Source"] = claim["source"]
            found, _ = compare(claim, frame)
            row["Verdict"], row["Needs"] = found.said, found.detail.rstrip(".")
        if row["Seeds"] or claim is not None:
            yield row


def setting_text(setting: Mapping[str, Any]) -> str:
    """Return a setting in words: `50 % aligned`, `openclip:ViT-B-32/openai`."""
    words = {"aligned_ratio": lambda ratio: f"{100 * ratio:g} % aligned"}
    words |= {"encoder": str, "run": str}
    return ", ".join(
        words.get(name, lambda value, name=name: f"{name} {value}")(value)
        for name, value in setting.items()
        if name != "dataset" and value is not None
    )


def _made_with(found: Any) -> str:
    """Return the arithmetic and the device of some results: `bfloat16 products, CPU`."""
    columns = found.reindex(columns=["precision", "device"]).itertuples(index=False, name=None)
    words = [
        f"{precision} products, {device.upper()}"
        if isinstance(precision, str)
        else device.upper()
        for precision, device in columns
    ]
    return " or ".join(dict.fromkeys(words))
