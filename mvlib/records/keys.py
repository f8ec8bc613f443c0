"""Which run a record is of: the notebook's code, its parameters, its data, its packages."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from mvlib.check import check_schema
from mvlib.files import file_stamp, project_root, read_json, sha256_of
from mvlib.records import provenance
from mvlib.records.plan import PlannedRun, load_plan, plan_papers
from mvlib.records.provenance import sources_are_those_of
from mvlib.records.recorder import PROFILES
from mvlib.records.store import Record, load_records, records_path
from mvlib.records.versions import is_earlier, is_vouched_for, recorded_versions

_NOTEBOOK = Path(__file__).parent / "schemas" / "notebook.schema.json"
CURRENT = "current"
EARLIER = "earlier version"


def run_key(
    run: PlannedRun, root: Path | None = None, versions: Mapping[str, str] | None = None
) -> str:
    """Return the hash of all that a run's results depend on, but for mvlib itself.

    Device and threads do not count, of Python only the minor version; what a run reads does.
    """
    root = root or project_root()
    cells, defaults = code_cells(root / run.notebook)
    try:
        parameters = parameter_values(defaults) | dict(run.parameters)
    # A text with a zero byte, or nested beyond measure, is refused in these other ways.
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{run.notebook} holds code that is no Python: {error}") from error
    installed = versions or provenance.versions()
    found = {
        "of": [run.paper, run.experiment, run.notebook],
        "cells": cells,
        "parameters": {k: v for k, v in parameters.items() if k != "device"},
        "datasets": data_checksums(run.datasets),
        "versions": {name: installed.get(name) for name in provenance.PACKAGES},
        "python": installed["python"].split(".")[:2],
    }
    if run.after:
        found["records"] = _read_by(run, root)
    return _hash(found)


def record_key(key: str, method_versions: Mapping[str, int]) -> str:
    """Return the key of a record: that of its run, with the versions of its methods."""
    return _hash([key, dict(method_versions)])


def staleness(record: Record, root: Path | None = None) -> str:
    """Return whether a record is of today's versions: "current" or "earlier version".

    Unless the ledger vouches for it, its notebook, data and, for a quick run, modules count.
    """
    root = root or project_root()
    plan = load_plan(record["paper"], root) if record["paper"] in plan_papers(root) else {}
    versions = recorded_versions(record, plan.get("method", ""), root)
    if is_earlier(versions):
        return EARLIER
    if is_vouched_for(record, root):
        return CURRENT
    if record["profile"] == "quick" and not sources_are_those_of(record["executed"], root):
        return EARLIER
    after = {each["name"]: each.get("after", ()) for each in plan.get("experiment", [])}
    shared = ("paper", "experiment", "notebook", "profile", "parameters")
    run = PlannedRun(
        **{name: record[name] for name in shared},
        title="",
        datasets=tuple(record["datasets"]),
        after=tuple(after.get(record["experiment"], ())),
    )
    try:
        key = run_key(run, root, versions=record["versions"])
    except ValueError:
        # The notebook or a data set's registry entry is gone.
        return EARLIER
    return CURRENT if record_key(key, versions) == record["key"] else EARLIER


def code_cells(notebook: Path) -> tuple[list[str], str]:
    """Return the sources of a notebook's code cells, and that of its parameters."""
    try:
        return _code_cells(notebook, file_stamp(notebook))
    except FileNotFoundError as error:
        raise ValueError(
            f"notebook {notebook.name} is missing: expected it at {notebook}"
        ) from error


# Hundreds of runs ask for the same notebooks.
@lru_cache(maxsize=1024)
def _code_cells(notebook: Path, _: tuple[int, ...]) -> tuple[list[str], str]:
    return code_in(read_json(notebook), notebook.name)


def code_digest(cells: list[str], parameters: str) -> str:
    """Return the hash of a notebook's code, as `code_cells` gives it."""
    return _hash([cells, parameters])


def code_in(content: Any, name: str) -> tuple[list[str], str]:
    """Return what `code_cells` does, from a notebook's content."""
    check_schema(f"{name} is no notebook", content, _NOTEBOOK)
    sources, parameters = [], ""
    for cell in content["cells"]:
        if cell["cell_type"] != "code" or is_injected(cell):
            continue
        source = "".join(cell["source"])
        if "parameters" in cell.get("metadata", {}).get("tags", []):
            parameters = source
        else:
            sources.append(source)
    return sources, parameters


def is_injected(cell: Mapping[str, Any]) -> bool:
    """Return whether a cell holds the parameters that a run was given."""
    return "injected-parameters" in cell.get("metadata", {}).get("tags", [])


def merged_cells(written: Any, executed: Any) -> list[Any] | None:
    """Return a notebook's prose around its code as it ran; None where that was other code."""
    ran = [cell for cell in executed["cells"] if cell["cell_type"] == "code"]
    code = [cell for cell in written["cells"] if cell["cell_type"] == "code"]
    own = ["".join(cell["source"]) for cell in ran if not is_injected(cell)]
    if own != ["".join(cell["source"]) for cell in code]:
        return None
    cells: list[Any] = []
    for cell in written["cells"]:
        if cell["cell_type"] != "code":
            cells.append(cell)
            continue
        while is_injected(ran[0]):
            cells.append(ran.pop(0))
        ran[0]["metadata"] = cell.get("metadata", {})
        cells.append(ran.pop(0))
    return cells + ran


def parameter_values(source: str) -> dict[str, Any]:
    """Return the values that a cell of parameters assigns."""
    values = {}
    for node in ast.parse(source).body:
        try:
            (target,) = node.targets
            values[target.id] = ast.literal_eval(node.value)
            json.dumps(values[target.id], sort_keys=True)
        except (AttributeError, ValueError, TypeError) as error:
            raise SyntaxError(f"line {node.lineno} of the parameters: {error}") from error
    return values


def data_checksums(datasets: tuple[str, ...]) -> dict[str, str]:
    """Return the sha256 that stands for each data set's files."""
    if not datasets:
        return {}
    from mvlib import data

    return {name: data.fingerprint_of(name) for name in datasets}


def _read_by(run: PlannedRun, root: Path) -> list[Any]:
    # A longer run reads the longer records of its own data: quick ones are one machine's own. A
    # quick run's page shows all records, and the longer ones of its own experiment.
    chapters = {run.paper, *(name.split("/")[0] for name in run.after if "/" in name)}
    own, quick = (run.paper, run.experiment), run.profile == "quick"
    read = [
        [key, status]
        for paper in chapters
        for experiment, profile, key, status, datasets in _recorded(
            paper, root, _record_stamps(paper, root)
        )
        if (run.reads(paper, experiment) or (quick and (paper, experiment) == own))
        and (profile != "quick" or (quick and (paper, experiment) != own))
        and (quick or not run.datasets or not datasets.isdisjoint(run.datasets))
    ]
    published = root / "notebooks" / run.paper / "published.toml"
    return [sorted(read), sha256_of(published) if published.is_file() else None]


def _record_stamps(paper: str, root: Path) -> tuple[Any, ...]:
    paths = [records_path(paper, profile, root) for profile in PROFILES]
    return tuple(file_stamp(path) if path.is_file() else None for path in paths)


# Several runs of a command read the same chapters.
@lru_cache(maxsize=256)
def _recorded(paper: str, root: Path, _: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    names = ("experiment", "profile", "key", "status")
    return [
        (*(r[name] for name in names), frozenset(r["datasets"]))
        for r in load_records(paper, root=root)
    ]


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
