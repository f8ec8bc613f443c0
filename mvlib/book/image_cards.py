"""Data cards of image sets, from their registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mvlib.book.markdown import table

if TYPE_CHECKING:
    from mvlib.data import DataFile, ImageCard

_MOST_CLASSES = 200


def image_sets_table(folder: str) -> str:
    """Return the table of all image sets, linked to their cards in `folder`."""
    from mvlib.data import image_card, list_image_sets

    rows = []
    for about in map(image_card, list_image_sets()):
        comes = "fetched" if about.files[0].url else "by hand"
        title = f"[{about.title}]({folder}{about.name}.md)"
        rows.append(
            [
                title,
                f"`{about.name}`",
                "ships with mvlib" if about.embedded else comes,
                f"{about.n_samples['test']:,}",
                f"{about.n_samples['train']:,}" if "train" in about.n_samples else "none",
                about.n_clusters,
            ]
        )
    return table(["set", "name", "comes", "test", "train", "classes"], rows, numeric=3)


def image_card_page(about: ImageCard, figure: str | None) -> str:
    """Return the card of one image set.

    Parameters
    ----------
    about : ImageCard
        The set.
    figure : str or None
        Its picture, as seen from the page; None where there is none.

    Returns
    -------
    str
        MyST Markdown.
    """
    splits = [[f"`{split}`", f"{n:,}"] for split, n in about.n_samples.items()]
    parts = [
        f"# {about.title}",
        about.about,
        f'```python\nfrom mvlib import data\n\nimages = data.load_images("{about.name}")\n```',
        "## Splits",
        table(["split", "images"], splits, numeric=1),
        "Clustering is scored on `test`; nouns are chosen on `train`, as in TAC."
        if "train" in about.n_samples
        else "",
        f"## Its {about.n_clusters} classes",
        _classes(about),
    ]
    if figure:
        parts += ["## What it looks like", _figure(about, figure)]
    parts += [
        "## Preprocessing",
        f"For CLIP: the shorter side to {about.resize} pixels, bicubic, then the middle "
        "224 x 224" + (f", as {about.resize_source} has it." if about.resize_source else "."),
        "## How to get it",
        about.how_to_get,
        table(["file", "where", "sha256", "MB"], list(_files(about)), numeric=1),
    ]
    if about.caveats:
        parts += ["## Easily mistaken", "\n".join(f"- {each}" for each in about.caveats)]
    parts += [
        "## Terms and source",
        f"Licence\n: {about.licence}\n\nSource\n: {about.source}\n\nCite\n: {about.citation}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _classes(about: ImageCard) -> str:
    names, prompts = about.class_names, about.prompt_names
    if len(names) > _MOST_CLASSES:
        return (
            f"From {names[0]} to {names[-1]}, in the order of their synsets: see "
            f'`data.image_card("{about.name}").class_names`, and `prompt_names` for what '
            "stands for them in a prompt."
        )
    text = ", ".join(names) + "."
    if names == prompts:
        return text
    return f"{text}\n\nIn a prompt: {', '.join(prompts)}."


def _figure(about: ImageCard, source: str) -> str:
    words = f"A contact sheet of {about.title}: some images of each class, a row a class."
    return f"```{{figure}} {source}\n:alt: {words}\n:width: 100%\n\n{words}\n```"


def _files(about: ImageCard) -> Iterator[list[str]]:
    for file in about.files:
        where = f"[its authors]({file.url})" if file.url else "your own folder"
        yield _row(file, "in the repository" if about.embedded else where)
    for split, file in about.packed.items():
        yield _row(file, f"a packed copy of `{split}`, read where there is no archive")


def _row(file: DataFile, where: str) -> list[str]:
    size = f"{file.bytes / 1e6:.1f}" if file.bytes else "unknown"
    digest = f"`{file.sha256}`" if file.sha256 else "unknown"
    return [f"`{file.file}`", where, digest, size]


def figure_of(name: str, folder: Path) -> str | None:
    """Return a card's picture as seen from its page, or None if `folder` has none."""
    return f"../../_static/cards/{name}.png" if (folder / f"{name}.png").exists() else None
