"""All commands but `run` and `cluster`: what there is to see, the book, and tidying up."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mvlib.check import check_choice
from mvlib.files import project_root
from mvlib.records.recorder import PROFILES

if TYPE_CHECKING:
    from mvlib.data import Card


def add_parsers(commands: argparse._SubParsersAction) -> None:
    """Add these commands to a parser."""
    for command, words in (
        (_status, "where every planned run stands"),
        (_table, "print recorded results as markdown"),
        (_data, "list, fetch or describe data sets"),
        (_book, "build the book"),
        (_contents, "write _toc.yml from the plans"),
        (_store, "put the last quick runs' outputs into the committed notebooks"),
        (_clean, "remove runs/ and _build/, nothing else"),
    ):
        parser = commands.add_parser(command.__name__.lstrip("_"), help=words)
        parser.set_defaults(command=command)
    status, table, data, store = (
        commands.choices[name] for name in ("status", "table", "data", "store")
    )
    status.add_argument("--profile", choices=PROFILES)
    table.add_argument("paper", nargs="?", help="a paper, or a task: views, words, modalities")
    table.add_argument("--profile", choices=PROFILES, help="full if not said; a task's: all")
    table.add_argument("--json", action="store_true", help="claims with verdicts, for programs")
    table.add_argument("--readme", action="store_true", help="update the table in README.md")
    data.add_argument("action", choices=("list", "fetch", "card"))
    data.add_argument("name", nargs="*")
    store.add_argument("notebook", nargs="*", help="only these, such as smart/method")


def _status(options: argparse.Namespace) -> int:
    from mvlib.records.plan import plan_runs
    from mvlib.records.store import latest_records, load_records
    from mvlib.run.state import state_of, text_table

    root = project_root()
    records = load_records(root=root)
    newest = {record["cell"]: record for record in latest_records(records)}
    rows = [("run", "profile", "status", "started (UTC)", "seconds", "device")]
    for profile in [options.profile] if options.profile else PROFILES:
        for run in plan_runs(profile, root=root):
            word, told = state_of(run, records, root).word, ("", "", "")
            if record := newest.get(run.cell):
                word = "failed" if record["status"] == "failed" else word
                when = record["started"][:16].replace("T", " ")
                told = (when, f"{record['wall_seconds']:.1f}", record["device"])
            rows.append((run.name, profile, word, *told))
    print("\n".join(text_table(rows)))
    return 0


def _table(options: argparse.Namespace) -> int:
    from mvlib import records

    root = project_root()
    if options.readme:
        changed = records.update_readme(root)
        print("README.md updated" if changed else "README.md was up to date")
        return 0
    if options.json:
        return _print_claims(options.paper, root)
    from mvlib.book.leaderboard import KINDS, text_tables

    papers = [*records.plan_papers(root), *KINDS]
    if options.paper is None:
        raise ValueError(
            f"paper is missing: expected one of {', '.join(papers)}, or --readme or --json"
        )
    check_choice("paper", options.paper, papers)
    if options.paper in KINDS:
        print("\n\n".join(text_tables(root, options.paper, options.profile)))
        return 0
    profile = options.profile or "full"
    print(f"Results of the {profile} profile, points, mean ± sd over n seeds\n")
    results = records.results_table(options.paper, profile, root=root)
    print(records.to_markdown(results) if len(results) else "No run is recorded.")
    if profile == "full":
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


def _print_claims(paper: str | None, root: Path) -> int:
    import json

    from mvlib.papers.claims import claims_as_data
    from mvlib.records.plan import papers_with

    papers = papers_with("published.toml", root)
    if paper is not None:
        papers = [check_choice("paper", paper, papers)]
    told = [claim for name in papers for claim in claims_as_data(name, root)]
    print(json.dumps(told, indent=2, ensure_ascii=False))
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


def _clean(_: argparse.Namespace) -> int:
    root = project_root()
    for name in ("runs", "_build"):
        folder = root / name
        if folder.is_symlink() or not folder.is_dir():
            print(f"{name}/ is not there")
            continue
        shutil.rmtree(folder)
        print(f"removed {name}/")
    return 0


def _book(_: argparse.Namespace) -> int:
    from mvlib.book import build_book

    try:
        print(build_book(project_root()))
    except RuntimeError as error:
        # It ends with the lines of the log, or the problems, that say why.
        print(f"mvlib: {error}", file=sys.stderr)
        return 1
    return 0


def _contents(_: argparse.Namespace) -> int:
    from mvlib.book import write_contents

    changed = write_contents(project_root())
    print("_toc.yml written" if changed else "_toc.yml was up to date")
    return 0


def _store(options: argparse.Namespace) -> int:
    from mvlib.book import store_outputs

    root = project_root()
    for path in store_outputs(options.notebook, root):
        print(f"stored {path.relative_to(root)}")
    return 0
