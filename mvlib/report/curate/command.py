"""The options of `mvlib cluster` for what is done with groups."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mvlib.report.output import FolderClustering

_SHOWN_STEPS = 20
EPILOG = """\
OUT/groups.json says the same for programs (mvlib/report/curate/groups.schema.json), and
OUT/skipped.csv what could not be used. --export makes OUT/groups, a folder a group, and
--undo takes the last export back: neither touches a file that it did not make. Links and
copies of an earlier export are replaced. OUT/export.json lists where each file came from.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add these options to the parser of `cluster`."""
    taken = parser.add_argument_group("to take the groups away")
    taken.add_argument(
        "--export", metavar="KIND", help="link, copy or move images into a folder a group"
    )
    for flag, words in (
        ("--sidecars", "XMP beside each image, or its exported copy: the group as a subject"),
        ("--dry-run", "say what --export and --sidecars would do, and do not do it"),
        ("--undo", "take back the last export to OUT, and do nothing else"),
        ("--vectors", "write OUT/embeddings.jsonl, which embedding-atlas opens"),
    ):
        taken.add_argument(flag, action="store_true", help=words)


def beforehand(options: argparse.Namespace) -> int | None:
    """Do what needs no clustering, and return the exit status; or refuse what would fail."""
    from mvlib.report.curate.export import check_export

    if options.undo:
        return _undo(options.out)
    if options.export or options.sidecars:
        check_export(options.out, options.export)
    return None


def afterwards(result: FolderClustering, options: argparse.Namespace) -> int:
    """Export what a run of `cluster` found, if that was asked for."""
    if not (options.export or options.sidecars):
        return 0
    from mvlib.report.curate.export import export_groups

    settings = {"sidecars": options.sidecars, "dry_run": options.dry_run}
    steps = export_groups(result, options.out, options.export, **settings)
    if options.dry_run:
        for step in steps[:_SHOWN_STEPS]:
            print(f"{step.kind}: {step.source} -> {step.target}")
        if len(steps) > _SHOWN_STEPS:
            print(f"... and {len(steps) - _SHOWN_STEPS:,} more")
    print(f"exported: {len(steps):,} files{', not yet: a dry run' * options.dry_run}")
    return 0


def _undo(out: str) -> int:
    from mvlib.report.curate.export import take_back

    left = take_back(out)
    for step in left:
        print(f"left, since it was changed or its old place is taken: {step.target}")
    print("undone" if not left else f"undone, except {len(left):,} files")
    return 1 if left else 0
