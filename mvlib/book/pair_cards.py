"""Data cards of sets of pairs, from their registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mvlib.book.markdown import table

if TYPE_CHECKING:
    from mvlib.data import PairCard


def pair_sets_table(folder: str) -> str:
    """Return the table of all sets of pairs, linked to their cards in `folder`."""
    from mvlib.data import list_pair_sets, pair_card

    rows = []
    for about in map(pair_card, list_pair_sets()):
        pairs = sum(about.n_samples.values())
        rows.append(
            [
                f"[{about.title}]({folder}{about.name}.md)",
                f"`{about.name}`",
                ", ".join(about.modalities),
                "ships with mvlib" if about.embedded else "by hand",
                f"{pairs:,}" if pairs else "yours",
            ]
        )
    return table(["set", "name", "modalities", "comes", "pairs"], rows, numeric=1)


def pair_card_page(about: PairCard) -> str:
    """Return the card of one set of pairs, in MyST Markdown.

    Parameters
    ----------
    about : PairCard
        The set.
    """
    splits = [[f"`{split}`", f"{n:,}"] for split, n in about.n_samples.items()]
    files = [
        [
            f"`{file.file}`",
            "in the repository" if about.embedded else "your own folder",
            f"`{file.sha256}`" if file.sha256 else "unknown",
            f"{file.bytes / 1e6:.1f}" if file.bytes else "unknown",
        ]
        for file in about.files
    ]
    parts = [
        f"# {about.title}",
        about.about,
        "```python\nfrom mvlib import experiments\n\n"
        f'{", ".join(about.modalities)} = experiments.load_modalities("{about.name}").Xs\n```',
        "## Splits",
        table(["split", "pairs"], splits, numeric=1) if splits else "As many as you bring.",
        "## How to get it",
        about.how_to_get,
        table(["file or folder", "where", "sha256", "MB"], files, numeric=1),
        "## Easily mistaken",
        "\n".join(f"- {each}" for each in about.caveats),
        "## Terms and source",
        f"Licence\n: {about.licence}\n\nSource\n: {about.source}\n\nCite\n: {about.citation}",
    ]
    return "\n\n".join(parts) + "\n"
