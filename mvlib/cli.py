"""The command line: run what is planned, look at it, build the book."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mvlib import __version__
from mvlib._paths import project_root
from mvlib._validation import check_choice
from mvlib.experiments.recorder import PROFILES
from mvlib.report.command import add_cluster_parser

if TYPE_CHECKING:
    from mvlib.experiments.plan import PlannedRun

_MADE_BY_RUNS = ("runs", "_build")
_BAD_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process by default.

    Returns
    -------
    int
        0; 1 if a run failed; 2 for bad input, told in one line; 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except (ValueError, OSError) as error:
        print(f"mvlib: {error}", file=sys.stderr)
        return _BAD_INPUT
    except KeyboardInterrupt:
        print("mvlib: interrupted", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    from mvlib.experiments.plan import plan_runs

    root = project_root()
    where = dict(_name_and_value(text) for text in options.where)
    runs = plan_runs(options.profile, options.pattern, options.dataset, where, root)
    if options.dry_run:
        return _dry_run(runs, root, options.rerun_earlier, options.again)
    _drop_unplanned(root)
    from mvlib.experiments.runner import run_all

    summary = run_all(
        runs,
        jobs=options.jobs,
        device=options.device,
        root=root,
        rerun_earlier=options.rerun_earlier,
        again=options.again,
        limit_minutes=options.limit_minutes,
    )
    print(summary.table())
    return summary.exit_code


def _name_and_value(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign and value):
        raise ValueError(f"where={text!r}: expected NAME=VALUE, such as aligned_ratio=0.5")
    return name, value


def _dry_run(runs: list[PlannedRun], root: Path, rerun_earlier: bool, again: bool) -> int:
    from mvlib.experiments.outcomes import text_table
    from mvlib.experiments.records import load_records
    from mvlib.experiments.state import TO_RUN, data_at_hand, state_of

    records = load_records(root=root)
    rows = [("run", "status", "data", "expected min", "disk MB")]
    notes, minutes, disk = {}, 0.0, 0.0
    for run in runs:
        state = state_of(run, records, root, rerun_earlier, again)
        shown = (f"{run.minutes:g}", f"{run.disk_mb:g}") if state.word == TO_RUN else ("", "")
        rows.append((run.name, state.word, data_at_hand(run.datasets), *shown))
        if state.word == TO_RUN:
            minutes, disk = minutes + run.minutes, disk + run.disk_mb
        if state.reason:
            notes[f"cannot: {', '.join(run.datasets)}: {state.reason}"] = None
    print("\n".join(text_table(rows)))
    count = sum(row[1] == TO_RUN for row in rows)
    print(
        f"\n{count} of {len(runs)} runs would run: {minutes:g} minutes expected on a "
        f"processor, one after the other, and {disk:g} MB of disk besides the data."
    )
    if notes:
        print("\n".join(notes))
    return 0


def _drop_unplanned(root: Path) -> None:
    """Forget quick records of runs that the plan no longer holds; they cost minutes."""
    from mvlib.experiments.plan import plan_papers, plan_runs
    from mvlib.experiments.records import drop_records, load_records

    planned = {run.cell for run in plan_runs("quick", root=root)}
    for paper in plan_papers(root):
        known = {record["cell"] for record in load_records(paper, "quick", root)}
        drop_records(paper, "quick", known - planned, root)


def _status(options: argparse.Namespace) -> int:
    from mvlib.experiments.outcomes import text_table
    from mvlib.experiments.plan import plan_runs
    from mvlib.experiments.records import latest_records, load_records
    from mvlib.experiments.state import state_of

    root = project_root()
    records = load_records(root=root)
    newest = {record["cell"]: record for record in latest_records(records)}
    rows = [("run", "profile", "status", "started (UTC)", "seconds", "device")]
    for profile in [options.profile] if options.profile else PROFILES:
        for run in plan_runs(profile, root=root):
            state, record = state_of(run, records, root), newest.get(run.cell)
            if record is None:
                rows.append((run.name, profile, state.word, "", "", ""))
                continue
            failed = record["status"] == "failed"
            when = record["started"][:16].replace("T", " ")
            word = "failed" if failed else state.word
            seconds = f"{record['wall_seconds']:.1f}"
            rows.append((run.name, profile, word, when, seconds, record["device"]))
    print("\n".join(text_table(rows)))
    return 0


def _table(options: argparse.Namespace) -> int:
    from mvlib import experiments

    root = project_root()
    if options.readme:
        changed = experiments.update_readme(root)
        print("README.md updated" if changed else "README.md was up to date")
        return 0
    if options.paper is None:
        raise ValueError(
            "paper is missing: expected one of "
            f"{', '.join(experiments.plan_papers(root))}, or --readme"
        )
    check_choice("paper", options.paper, experiments.plan_papers(root))
    print(f"Results of the {options.profile} profile, points, mean ± sd over n seeds\n")
    results = experiments.results_table(options.paper, options.profile, root=root)
    print(experiments.to_markdown(results) if len(results) else "No run is recorded.")
    if options.profile == "full":
        published = experiments.load_published(options.paper, root)
        for table in dict.fromkeys(row["table"] for row in published):
            compared = experiments.comparison_table(options.paper, table, root)
            print(f"\nBeside the published table {table}\n")
            print(experiments.to_markdown(compared.drop(columns=["where", "caveat"])))
    return 0


def _clean(_: argparse.Namespace) -> int:
    root = project_root()
    for name in _MADE_BY_RUNS:
        folder = root / name
        if folder.is_symlink() or not folder.is_dir():
            print(f"{name}/ is not there")
            continue
        shutil.rmtree(folder)
        print(f"removed {name}/")
    return 0


def _book(_: argparse.Namespace) -> int:
    from mvlib.book import build_book

    print(build_book(project_root()))
    return 0


def _store(_: argparse.Namespace) -> int:
    from mvlib.book import store_outputs

    root = project_root()
    for path in store_outputs(root):
        print(f"stored {path.relative_to(root)}")
    return 0


def _data(options: argparse.Namespace) -> int:
    from mvlib import data

    if options.action == "list":
        from mvlib.experiments.outcomes import text_table
        from mvlib.experiments.state import data_at_hand

        rows = [("name", "samples", "classes", "data")]
        for card in map(data.describe, data.all_names()):
            splits = _splits(card)
            samples = splits.get("test", sum(splits.values())) or "unknown"
            sizes = (str(samples), str(getattr(card, "n_clusters", "none")))
            rows.append((card.name, *sizes, data_at_hand([card.name])))
        print("\n".join(text_table(rows)))
        return 0
    if not options.name:
        raise ValueError(f"name is missing: expected a data set to {options.action}")
    for name in options.name:
        if options.action == "fetch":
            print("\n".join(map(str, data.fetch_all(name))))
        else:
            _print_card(data.describe(name))
    return 0


def _splits(card: object) -> dict[str, int]:
    """Return split to size; a set of views has one, without a name."""
    sizes = card.n_samples
    return {"": sizes} if isinstance(sizes, int) else dict(sizes)


def _print_card(card: object) -> None:
    sizes = ", ".join(f"{n} {split}".rstrip() for split, n in _splits(card).items())
    pairs = getattr(card, "modalities", ())
    what = f"pairs of {' and '.join(pairs)}" if pairs else f"samples, {card.n_clusters} classes"
    print(f"{card.title} ({card.name}): {sizes or 'your own'} {what}")
    print(card.about)
    views = getattr(card, "views", ())
    for view in views:
        mark = "*" if view.name in card.default_views else " "
        print(f" {mark} {view.name} ({view.dim}): {view.meaning}")
    if views:
        print(" * views used unless told otherwise")
    elif not pairs:
        print(f"images: shorter side to {card.resize}, then the middle 224 x 224")
    for label in ("licence", "citation", "source", "how_to_get"):
        print(f"{label.replace('_', ' ')}: {getattr(card, label)}")
    for caveat in card.caveats:
        print(f"caveat: {caveat}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mvlib", description=__doc__)
    parser.add_argument("--version", action="version", version=f"mvlib {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run what is planned and not yet recorded")
    run.add_argument(
        "pattern", nargs="*", help="paper, experiment or paper/experiment; * and ?"
    )
    run.add_argument("--profile", choices=PROFILES, default="quick")
    run.add_argument("--dataset", action="extend", nargs="+", default=[], metavar="NAME")
    run.add_argument(
        "--where",
        action="extend",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="only runs with these parameters, such as aligned_ratio=0.5 seeds=5",
    )
    run.add_argument(
        "--jobs", type=int, metavar="N", help="runs at a time (default: cores, <= 4)"
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

    status = commands.add_parser("status", help="where every planned run stands")
    status.add_argument("--profile", choices=PROFILES)
    status.set_defaults(command=_status)

    table = commands.add_parser("table", help="print recorded results as markdown")
    table.add_argument("paper", nargs="?")
    table.add_argument("--profile", choices=PROFILES, default="full")
    table.add_argument("--readme", action="store_true", help="update the table in README.md")
    table.set_defaults(command=_table)

    clean = commands.add_parser("clean", help="remove runs/ and _build/, nothing else")
    clean.set_defaults(command=_clean)

    book = commands.add_parser("book", help="build the book")
    book.set_defaults(command=_book)

    store = commands.add_parser(
        "store", help="put the last quick runs' outputs into the committed notebooks"
    )
    store.set_defaults(command=_store)

    data = commands.add_parser("data", help="list, fetch or describe data sets")
    data.add_argument("action", choices=("list", "fetch", "card"))
    data.add_argument("name", nargs="*")
    data.set_defaults(command=_data)

    add_cluster_parser(commands)
    return parser
