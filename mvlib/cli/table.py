"""`mvlib table`."""

from __future__ import annotations

import argparse

from mvlib.check import check_choice
from mvlib.files import project_root
from mvlib.records.recorder import PROFILES


def add_table_parser(commands: argparse._SubParsersAction) -> None:
    """Add `table` to the commands of a parser."""
    table = commands.add_parser("table", help="print recorded results as markdown")
    table.add_argument("paper", nargs="?")
    table.add_argument("--profile", choices=PROFILES, default="full")
    table.add_argument("--readme", action="store_true", help="update the table in README.md")
    table.set_defaults(command=_table)


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
