"""What `make faults` has broken on purpose, and what happened, kept for the book."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mvlib.check import check_choice, check_number
from mvlib.files import check_table, check_text, project_root, read_json, shorten, write_text

PASSED = "passed"
FAILED = "failed"
NOT_TRIED = "could not be tried"


@dataclass(frozen=True)
class Fault:
    """One thing that was broken, and what happened."""

    tried: str
    happened: str
    verdict: str
    times: int
    seconds: float
    date: str
    versions: dict[str, str]

    def __post_init__(self) -> None:
        check_choice("verdict", self.verdict, (PASSED, FAILED, NOT_TRIED))
        check_number("times", self.times, low=0, integer=True)
        check_number("seconds", self.seconds, low=0)


def save_faults(faults: dict[str, Fault], root: str | Path | None = None) -> Path:
    """Keep what happened, each in place of what happened the last time."""
    kept = load_faults(root) | faults
    rows = {name: asdict(fault) for name, fault in sorted(kept.items())}
    write_text(_path(root), json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    return _path(root)


def load_faults(root: str | Path | None = None) -> dict[str, Fault]:
    """Return what `save_faults` has kept, by the name of the test."""
    path = _path(root)
    kept = check_table(path.name, read_json(path) if path.exists() else {})
    return {name: _fault(f"{path.name}: {name}", row) for name, row in kept.items()}


def _fault(where: str, row: Any) -> Fault:
    expected = [each.name for each in fields(Fault)]
    if set(check_table(where, row)) != set(expected):
        held = shorten(", ".join(row)) or "nothing"
        raise ValueError(f"{where} holds {held}: expected {', '.join(expected)}")
    for name in ("tried", "happened", "verdict", "date"):
        check_text(f"{where}: {name}", row[name])
    for package, version in check_table(f"{where}: versions", row["versions"]).items():
        check_text(f"{where}: versions: {package}", version)
    try:
        return Fault(**row)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _path(root: str | Path | None) -> Path:
    home = project_root() if root is None else Path(root)
    return home / "data" / "results" / "faults.json"
