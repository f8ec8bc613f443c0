"""The command line: run what is planned, look at it, build the book."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from mvlib import __version__
from mvlib.cli.commands import add_parsers
from mvlib.cli.run import add_run_parser
from mvlib.report.command import add_cluster_parser
from mvlib.report.curate.command import add_find_parsers

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0; 1 if a run failed; 2 for bad input, told in one line; 130 after Ctrl-C."""
    _open_standard_streams()
    options = _parser().parse_args(arguments)
    try:
        return _obey(options)
    except (ValueError, OSError) as error:
        print(f"mvlib: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mvlib: interrupted", file=sys.stderr)
        return 130


def _open_standard_streams() -> None:
    # Files that are opened later would take their numbers, and what is printed would fail.
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free is the one that is missing.
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _obey(options: argparse.Namespace) -> int:
    try:
        return options.command(options)
    except (AttributeError, LookupError, TypeError):
        from mvlib.data.cards import check_registries

        # The readers of the registries trust what ships; a changed one is told by its name.
        check_registries()
        raise


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mvlib", description=__doc__)
    parser.add_argument("--version", action="version", version=f"mvlib {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add_run_parser(commands)
    add_parsers(commands)
    add_cluster_parser(commands)
    add_find_parsers(commands)
    return parser
