"""`mvlib data`."""

from __future__ import annotations

import argparse


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
