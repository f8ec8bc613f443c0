"""`mvlib book`, `mvlib contents`, `mvlib store` and `mvlib clean`."""

from __future__ import annotations

import argparse
import shutil
import sys

from mvlib.files import project_root

_MADE_BY_RUNS = ("runs", "_build")


def add_book_parsers(commands: argparse._SubParsersAction) -> None:
    """Add `book`, `contents`, `store` and `clean` to the commands of a parser."""
    clean = commands.add_parser("clean", help="remove runs/ and _build/, nothing else")
    clean.set_defaults(command=_clean)

    book = commands.add_parser("book", help="build the book")
    book.set_defaults(command=_book)

    contents = commands.add_parser("contents", help="write _toc.yml from the plans")
    contents.set_defaults(command=_contents)

    store = commands.add_parser(
        "store", help="put the last quick runs' outputs into the committed notebooks"
    )
    store.set_defaults(command=_store)


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


def _store(_: argparse.Namespace) -> int:
    from mvlib.book import store_outputs

    root = project_root()
    for path in store_outputs(root):
        print(f"stored {path.relative_to(root)}")
    return 0
