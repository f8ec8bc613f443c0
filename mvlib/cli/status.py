"""`mvlib status`."""

from __future__ import annotations

import argparse
from pathlib import Path

from mvlib.files import project_root
from mvlib.records.recorder import PROFILES


def add_status_parser(commands: argparse._SubParsersAction) -> None:
    """Add `status` to the commands of a parser."""
    status = commands.add_parser("status", help="where every planned run stands")
    status.add_argument("--profile", choices=PROFILES)
    status.set_defaults(command=_status)


def _status(options: argparse.Namespace) -> int:
    root = project_root()
    from mvlib.run.outcomes import text_table

    print("\n".join(text_table(_rows(root, options.profile))))
    return 0


def _rows(root: Path, profile: str | None) -> list[tuple[str, ...]]:
    from mvlib.records.plan import plan_runs
    from mvlib.records.store import latest_records, load_records
    from mvlib.run.state import state_of

    records = load_records(root=root)
    newest = {record["cell"]: record for record in latest_records(records)}
    rows = [("run", "profile", "status", "started (UTC)", "seconds", "device")]
    for each in [profile] if profile else PROFILES:
        for run in plan_runs(each, root=root):
            state, record = state_of(run, records, root), newest.get(run.cell)
            if record is None:
                rows.append((run.name, each, state.word, "", "", ""))
                continue
            failed = record["status"] == "failed"
            when = record["started"][:16].replace("T", " ")
            word = "failed" if failed else state.word
            seconds = f"{record['wall_seconds']:.1f}"
            rows.append((run.name, each, word, when, seconds, record["device"]))
    return rows
