"""`mvlib run`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mvlib.files import project_root
from mvlib.records.recorder import PROFILES

if TYPE_CHECKING:
    from mvlib.records.plan import PlannedRun
    from mvlib.run.process import Engine


def add_run_parser(commands: argparse._SubParsersAction) -> None:
    """Add `run` to the commands of a parser."""
    run = commands.add_parser("run", help="run what is planned and not yet recorded")
    run.add_argument(
        "pattern", nargs="*", help="paper, experiment or paper/experiment; * and ?"
    )
    run.add_argument("--profile", choices=PROFILES, default="quick")
    several = {"action": "extend", "nargs": "+", "default": []}
    run.add_argument("--dataset", metavar="NAME", **several)
    words = "only runs with these parameters, such as aligned_ratio=0.5 seeds=5"
    run.add_argument("--where", metavar="NAME=VALUE", help=words, **several)
    where = run.add_mutually_exclusive_group()
    where.add_argument(
        "--jobs", type=int, metavar="N", help="runs at a time (default: cores, <= 4)"
    )
    where.add_argument(
        "--scheduler", metavar="ADDRESS", help="run on the workers of a Dask scheduler"
    )
    run.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: auto)")
    run.add_argument("--dry-run", action="store_true", help="print what would run, and stop")
    run.add_argument(
        "--rerun-earlier", action="store_true", help="also what earlier sources recorded"
    )
    run.add_argument("--again", action="store_true", help="also what is recorded: repeat it")
    run.add_argument(
        "--limit-minutes", type=float, metavar="M", help="stop a run after M minutes"
    )
    run.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    from mvlib.records.plan import plan_runs

    root = project_root()
    where = dict(_name_and_value(text) for text in options.where)
    runs = plan_runs(options.profile, options.pattern, options.dataset, where, root)
    if options.dry_run:
        return _dry_run(runs, root, options)
    _drop_unplanned(root)
    from mvlib.run.runner import run_all, say

    with _engine(options.scheduler) as engine:
        names = ("jobs", "device", "rerun_earlier", "again", "limit_minutes")
        asked = {name: getattr(options, name) for name in names}
        summary = run_all(runs, root=root, engine=engine, **asked)
    say(summary.table())
    return summary.exit_code


def _name_and_value(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign and value):
        raise ValueError(f"where={text!r}: expected NAME=VALUE, such as aligned_ratio=0.5")
    return name, value


@contextmanager
def _engine(address: str | None) -> Iterator[Engine | None]:
    """Give Dask's engine at an address; None stands for this machine's processes."""
    if address is None:
        yield None
        return
    with ExitStack() as stack:
        try:
            from mvlib.run.dask import connect

            engine = stack.enter_context(connect(address))
        except ModuleNotFoundError as error:
            raise ValueError(
                f'{error.name} is not installed: pip install "mvlib[cluster]"'
            ) from error
        if engine.dashboard_link:
            print(f"dashboard: {engine.dashboard_link}", flush=True)
        if engine.open_address:
            print(
                f"warning: no TLS at {engine.open_address}: whoever reaches it can run code "
                "as you. The page on security says how to close it.",
                file=sys.stderr,
                flush=True,
            )
        yield engine


def _dry_run(runs: list[PlannedRun], root: Path, options: argparse.Namespace) -> int:
    from mvlib.records.store import load_records
    from mvlib.run.state import TO_RUN, data_at_hand, printable, state_of, text_table

    records = load_records(root=root, cells={run.cell for run in runs})
    choices = (options.rerun_earlier, options.again)
    remote = options.scheduler is not None
    states = [state_of(r, records, root, *choices, remote and not r.after) for r in runs]
    todo = [state.run for state in states if state.word == TO_RUN]
    rows = [("run", "status", "data", "expected min", "disk MB")]
    for state in states:
        run, shown = state.run, ("", "")
        if state.word == TO_RUN:
            shown = (f"{run.minutes:g}", f"{run.disk_mb:g}")
        rows.append((run.name, state.word, data_at_hand(run.datasets), *shown))
    print("\n".join(text_table(rows)))
    minutes, disk = sum(run.minutes for run in todo), sum(run.disk_mb for run in todo)
    print(
        f"\n{len(todo)} of {len(runs)} runs would run: {minutes:g} minutes expected on a "
        f"processor, one after the other, and {disk:g} MB of disk besides the data."
    )
    notes = [f"{', '.join(s.run.datasets)}: {s.reason}" for s in states if s.reason]
    for note in dict.fromkeys(notes):
        print(printable(f"cannot: {note}"))
    return 0


def _drop_unplanned(root: Path) -> None:
    """Forget quick records of runs that the plan no longer holds; they cost minutes."""
    from mvlib.records.plan import plan_papers, plan_runs
    from mvlib.records.store import drop_records, load_records

    planned = {run.cell for run in plan_runs("quick", root=root)}
    for paper in plan_papers(root):
        known = {record["cell"] for record in load_records(paper, "quick", root)}
        drop_records(paper, "quick", known - planned, root)
