"""`mvlib status`, `mvlib table` and `mvlib data`: what there is to see."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mvlib.check import check_choice
from mvlib.files import project_root
from mvlib.records.recorder import PROFILES

if TYPE_CHECKING:
    from mvlib.data import Card


def add_looking_parsers(commands: argparse._SubParsersAction) -> None:
    """Add `status`, `table` and `data` to the commands of a parser."""
    status = commands.add_parser("status", help="where every planned run stands")
    status.add_argument("--profile", choices=PROFILES)
    status.set_defaults(command=_status)

    table = commands.add_parser("table", help="print recorded results as markdown")
    table.add_argument("paper", nargs="?")
    table.add_argument("--profile", choices=PROFILES, default="full")
    table.add_argument("--readme", action="store_true", help="update the table in README.md")
    table.set_defaults(command=_table)

    data = commands.add_parser("data", help="list, fetch or describe data sets")
    data.add_argument("action", choices=("list", "fetch", "card"))
    data.add_argument("name", nargs="*")
    data.set_defaults(command=_data)


def _status(options: argparse.Namespace) -> int:
    root = project_root()
    from mvlib.run.state import text_table

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


def _table(options: argparse.Namespace) -> int:
    from mvlib import records

    root = project_root()
    if options.readme:
        changed = records.update_readme(root)
        print("README.md updated" if changed else "README.md was up to date")
        return 0
    if options.paper is None:
        raise ValueError(
            "paper is missing: expected one of "
            f"{', '.join(records.plan_papers(root))}, or --readme"
        )
    check_choice("paper", options.paper, records.plan_papers(root))
    print(f"Results of the {options.profile} profile, points, mean ± sd over n seeds\n")
    results = records.results_table(options.paper, options.profile, root=root)
    print(records.to_markdown(results) if len(results) else "No run is recorded.")
    if options.profile == "full":
        published = records.load_published(options.paper, root)
        for table in dict.fromkeys(row["table"] for row in published):
            rows = [row for row in published if row["table"] == table]
            if not any(row["comparable"] for row in rows):
                print(f"\nThe published table {table}: {len(rows)} values, none comparable")
                continue
            compared = records.comparison_table(options.paper, table, root)
            print(f"\nBeside the published table {table}\n")
            print(records.to_markdown(compared.drop(columns=["where", "caveat"])))
    return 0


def _data(options: argparse.Namespace) -> int:
    from mvlib import data

    if options.action == "list":
        from mvlib.run.state import data_at_hand, text_table

        rows = [("name", "samples", "classes", "data")]
        for card in map(data.describe, data.all_names()):
            samples = card.splits.get("test", sum(card.splits.values())) or "unknown"
            sizes = (str(samples), str(card.n_clusters or "none"))
            rows.append((card.name, *sizes, data_at_hand([card.name])))
        print("\n".join(text_table(rows)))
        return 0
    if not options.name:
        raise ValueError(f"name is missing: expected a data set to {options.action}")
    for name in options.name:
        if options.action == "fetch":
            print("\n".join(map(str, data.fetch(name))))
        else:
            _print_card(data.describe(name))
    return 0


def _print_card(card: Card) -> None:
    sizes = ", ".join(f"{n} {split}".rstrip() for split, n in card.splits.items())
    what = f"samples, {card.n_clusters} classes"
    if card.modalities:
        what = f"pairs of {' and '.join(card.modalities)}"
    print(f"{card.title} ({card.name}): {sizes or 'your own'} {what}")
    print(card.about)
    for view in card.views:
        mark = "*" if view.name in card.default_views else " "
        print(f" {mark} {view.name} ({view.dim}): {view.meaning}")
    if card.views:
        print(" * views used unless told otherwise")
    elif card.resize:
        print(f"images: shorter side to {card.resize}, then the middle 224 x 224")
    for label in ("licence", "citation", "source", "how_to_get"):
        print(f"{label.replace('_', ' ')}: {getattr(card, label)}")
    for caveat in card.caveats:
        print(f"caveat: {caveat}")
