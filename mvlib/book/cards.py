"""Data cards: a page a data set, from the registry."""

from __future__ import annotations

from pathlib import Path

from mvlib.book.image_cards import figure_of, image_card_page, image_sets_table
from mvlib.book.markdown import table
from mvlib.book.pair_cards import pair_card_page, pair_sets_table

CARD_FIGURES = "book/_static/cards"


def card_pages(root: str | Path) -> dict[str, str]:
    """Return the data pages of the book.

    Parameters
    ----------
    root : str or Path
        The project; its `book/_static/cards` says which sets have a figure.

    Returns
    -------
    dict of str to str
        Path under the staged book to MyST Markdown: the list, and a card a set.
    """
    from mvlib.data import all_names

    names = all_names()
    pages = {f"book/data/cards/{name}.md": card_page(name, root) for name in names}
    pages["book/data/index.md"] = (
        "# Data sets\n\n"
        "Which sets of several views are there, and what are their views? Each has a card "
        "with its views, its terms, how to get it and what is easily mistaken. The views "
        "that are used unless told otherwise are SMART's two; the labels of the first one "
        "score.\n\n" + datasets_table("cards/") + "\n\n## Image sets\n\n"
        "Which images are clustered with the help of words? Each set has a card with its "
        "splits, its classes, its preprocessing and how to get it.\n\n"
        + image_sets_table("cards/")
        + "\n\n## Pairs\n\n"
        "Which sets pair two modalities row by row? Each has a card with its splits, how to "
        "get it and what is easily mistaken.\n\n" + pair_sets_table("cards/") + "\n"
    )
    return pages


def datasets_table(folder: str) -> str:
    """Return the table of all sets of several views, linked to their cards in `folder`."""
    from mvlib.data import card, list_datasets

    rows = []
    for name in list_datasets():
        about = card(name)
        views = {view.name: view.dim for view in about.views}
        shown = ", ".join(f"{view} ({views[view]})" for view in about.default_views)
        comes = "ships with mvlib" if about.embedded else "fetched"
        if not about.embedded and not all(file.url for file in about.files):
            comes = "by hand"
        title = f"[{about.title}]({folder}{name}.md)"
        rows.append([title, f"`{name}`", shown, comes, str(about.n_samples), about.n_clusters])
    header = ["set", "name", "default views (features)", "comes", "samples", "classes"]
    return table(header, rows, numeric=2)


def card_page(name: str, root: str | Path) -> str:
    """Return the card of one data set.

    Parameters
    ----------
    name : str
        As for `mvlib.data.describe`.
    root : str or Path
        The project.

    Returns
    -------
    str
        MyST Markdown. A set of views without a figure says why there is none.
    """
    from mvlib.data import ImageCard, PairCard, describe

    about = describe(name)
    if isinstance(about, PairCard):
        return pair_card_page(about)
    if isinstance(about, ImageCard):
        return image_card_page(about, figure_of(about.name, Path(root) / CARD_FIGURES))
    views = [
        [f"`{view.name}`", view.meaning, "yes" * (view.name in about.default_views), view.dim]
        for view in about.views
    ]
    parts = [
        f"# {about.title}",
        about.about,
        f"{about.n_samples:,} samples in {about.n_clusters} classes, {len(about.views)} views."
        + (f" Classes: {', '.join(about.class_names)}." if about.class_names else ""),
        f'```python\nfrom mvlib import data\n\nXs = data.load("{about.name}").Xs\n```',
        "## Views",
        table(["view", "what it is", "default", "features"], views, numeric=1),
        "## What it looks like",
        _figure(about.name, Path(root)),
        "## How to get it",
        about.how_to_get or "Nothing to do: it ships with mvlib.",
        _files(about),
    ]
    if about.caveats:
        parts += ["## Easily mistaken", "\n".join(f"- {each}" for each in about.caveats)]
    parts += [
        "## Terms and source",
        f"Licence\n: {about.licence}\n\nSource\n: {about.source}\n\nCite\n: {about.citation}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def figure_words(name: str) -> tuple[str, str]:
    """Return the alternative text and the caption of a card's figure."""
    from mvlib.data import card

    about = card(name)
    views = " and ".join(about.default_views)
    maps = (
        f"{len(about.default_views)} scatter plots side by side, one for each of the views "
        f"{views} of {about.title}: every sample a dot, coloured by its class."
    )
    how = (
        "Each view by itself in two dimensions: t-SNE of its first 50 principal components, "
        "at most 2,000 samples drawn at random, colours by true class. Distances between far "
        "groups mean nothing. Classes that fall apart in one view and mix in the other are "
        "what a second view is good for."
    )
    if about.name == "handwritten":
        maps = f"Above, pictures of handwritten digits, twelve of each class. Below, {maps}"
        how = f"Above: twelve samples of the pix view from each class. Below: {how}"
    return maps, how


def _figure(name: str, root: Path) -> str:
    path = root / CARD_FIGURES / f"{name}.png"
    if not path.exists():
        return (
            "The figure could not be drawn: the bytes of this set were not at hand when the "
            "book's figures were made. With the files in place, "
            f'`mvlib.book.draw_card("{name}", "{CARD_FIGURES}/{name}.png")` draws it.'
        )
    words, caption = figure_words(name)
    source = f"../../_static/cards/{name}.png"
    return f"```{{figure}} {source}\n:alt: {words}\n:width: 100%\n\n{caption}\n```"


def _files(about: object) -> str:
    files = [about.embedded_file] if about.embedded else about.files
    rows = []
    for file in files:
        where = f"[pinned address]({file.url})" if file.url else "no stable address"
        if about.embedded:
            where = "in the repository"
        size = f"{file.bytes / 1e6:.1f}" if file.bytes else "unknown"
        digest = f"`{file.sha256}`" if file.sha256 else "unknown"
        rows.append([f"`{file.file}`", where, digest, size])
    return table(["file", "where", "sha256", "MB"], rows, numeric=1)
