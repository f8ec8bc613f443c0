"""`mvlib data`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mvlib.data import Card


def add_data_parser(commands: argparse._SubParsersAction) -> None:
    """Add `data` to the commands of a parser."""
    data = commands.add_parser("data", help="list, fetch or describe data sets")
    data.add_argument("action", choices=("list", "fetch", "card"))
    data.add_argument("name", nargs="*")
    data.set_defaults(command=_data)


def _data(options: argparse.Namespace) -> int:
    from mvlib import data

    if options.action == "list":
        from mvlib.run.outcomes import text_table
        from mvlib.run.state import data_at_hand

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
