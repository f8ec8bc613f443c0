"""Data cards: a page a data set, from the registry, and the figures drawn from the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvlib.book.pages import table
from mvlib.check import check_number
from mvlib.data import Card, DataFile, all_names, describe, load
from mvlib.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes


CARD_FIGURES = "book/_static/cards"
_MOST_CLASSES = 200
_LOADING = {
    "views": 'from mvlib import data\n\nXs = data.load("{0.name}").Xs',
    "images": 'from mvlib import data\n\nimages = data.load_images("{0.name}")',
    "pairs": ('from mvlib import tasks\n\n{1} = tasks.load_modalities("{0.name}").Xs'),
}


def card_pages(root: str | Path) -> dict[str, str]:
    """Return the cards of all data sets."""
    return {f"book/data/cards/{name}.md": card_page(name, root) for name in all_names()}


def sets_table(kind: str = "views", folder: str = "data/cards") -> str:
    """Return the table of all sets of a kind, linked to their cards in `folder`."""
    rows = []
    for about in map(describe, all_names(kind)):
        comes = "by hand" if about.is_supplied else "fetched"
        comes = "ships with mvlib" if about.embedded else comes
        if kind == "views":
            row = [default_views(about), comes, about.n_samples, about.n_clusters]
        elif kind == "images":
            sizes = {split: f"{n:,}" for split, n in about.splits.items()}
            row = [comes, sizes["test"], sizes.get("train", "none"), about.n_clusters]
        else:
            pairs = sum(about.splits.values())
            pairs = f"{pairs:,}" if pairs else "yours"
            row = [", ".join(about.modalities), comes, pairs]
        rows.append([f"[{about.title}]({folder}/{about.name}.md)", f"`{about.name}`", *row])
    header, numeric = {
        "views": (["default views (features)", "comes", "samples", "classes"], 2),
        "images": (["comes", "test", "train", "classes"], 3),
        "pairs": (["modalities", "comes", "pairs"], 1),
    }[kind]
    return table(["set", "name", *header], rows, numeric=numeric)


def files_table() -> str:
    """Return what identifies the file of each set of views: name, bytes, rows, widths."""
    rows = []
    for about in map(describe, all_names("views")):
        for file in about.files:
            known = f"`{file.sha256[:12]}`" if file.sha256 else "unknown"
            size = f"{file.bytes:,}" if file.bytes else "unknown"
            widths = ", ".join(str(view.dim) for view in about.views)
            link = f"[{about.title}](data/cards/{about.name}.md)"
            place = [f"`{file.file}`", known, size, f"{about.n_samples:,}"]
            rows.append([link, *place, about.n_clusters, widths])
    header = ["set", "file", "sha256 begins", "bytes", "rows", "classes", "widths of its views"]
    return table(header, rows)


def default_views(about: Card) -> str:
    """Return the views that a set has unless told otherwise, with their features."""
    dims = {view.name: view.dim for view in about.views}
    return ", ".join(f"{view} ({dims[view]})" for view in about.default_views)


def card_page(name: str, root: str | Path) -> str:
    """Return the card of one data set."""
    about = describe(name)
    sections: dict[str, Callable[..., list[str]]] = {"views": _views, "images": _images}
    loading = _LOADING[about.kind].format(about, ", ".join(about.modalities))
    file = "file or folder" if about.kind == "pairs" else "file"
    parts = [
        f"# {about.title}",
        about.about,
        _sizes(about) if about.kind == "views" else "",
        f"```python\n{loading}\n```",
        *sections.get(about.kind, _splits)(about, Path(root)),
        "## How to get it",
        about.how_to_get or "Nothing to do: it ships with mvlib.",
        table([file, "where", "sha256", "MB"], list(_files(about)), numeric=1),
    ]
    if about.caveats:
        parts += ["## Easily mistaken", "\n".join(f"- {each}" for each in about.caveats)]
    terms = (
        f"Licence\n: {about.licence}\n\nSource\n: {about.source}\n\nCite\n: {about.citation}"
    )
    machine = f"For machines: {{download}}`its Croissant metadata <{name}.json>`."
    parts += ["## Terms and source", terms, machine]
    return "\n\n".join(part for part in parts if part) + "\n"


def _sizes(about: Card) -> str:
    classes = f" Classes: {', '.join(about.class_names)}." if about.class_names else ""
    samples = f"{about.n_samples:,} samples in {about.n_clusters} classes"
    return f"{samples}, {len(about.views)} views.{classes}"


def _views(about: Card, root: Path) -> list[str]:
    views = [
        [f"`{view.name}`", view.meaning, "yes" * (view.name in about.default_views), view.dim]
        for view in about.views
    ]
    words, caption = _figure_words(about)
    missing = (
        "The figure could not be drawn: the bytes of this set were not at hand when the "
        "book's figures were made. With the files in place, "
        f'`mvlib.book.draw_card("{about.name}", "{CARD_FIGURES}/{about.name}.png")` draws it.'
    )
    return [
        "## Views",
        table(["view", "what it is", "default", "features"], views, numeric=1),
        "## What it looks like",
        _figure(about, root, words, caption) or missing,
    ]


def _images(about: Card, root: Path) -> list[str]:
    chosen = "Clustering is scored on `test`; nouns are chosen on `train`, as in TAC."
    words = f"A contact sheet of {about.title}: some images of each class, a row a class."
    figure = _figure(about, root, words, words)
    return [
        *_splits(about, root, "images"),
        chosen if "train" in about.splits else "",
        f"## Its {about.n_clusters} classes",
        _classes(about),
        *(["## What it looks like", figure] if figure else []),
        "## Preprocessing",
        f"For CLIP: the shorter side to {about.resize} pixels, bicubic, then the middle "
        "224 x 224" + (f", as {about.resize_source} has it." if about.resize_source else "."),
    ]


def _splits(about: Card, root: Path, what: str = "pairs") -> list[str]:
    rows = [[f"`{split}`", f"{n:,}"] for split, n in about.splits.items()]
    sizes = table(["split", what], rows, numeric=1) if rows else "As many as you bring."
    return ["## Splits", sizes]


def _classes(about: Card) -> str:
    names, prompts = about.class_names, about.prompt_names
    if len(names) > _MOST_CLASSES:
        return (
            f"From {names[0]} to {names[-1]}, in the order of their synsets: see "
            f'`data.describe("{about.name}").class_names`, and `prompt_names` for what '
            "stands for them in a prompt."
        )
    text = ", ".join(names) + "."
    return text if names == prompts else f"{text}\n\nIn a prompt: {', '.join(prompts)}."


def _figure_words(about: Card) -> tuple[str, str]:
    """Return the alternative text and the caption of the figure of a set of views."""
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


def _figure(about: Card, root: Path, words: str, caption: str) -> str | None:
    if not (root / CARD_FIGURES / f"{about.name}.png").exists():
        return None
    source = f"../../_static/cards/{about.name}.png"
    return f"```{{figure}} {source}\n:alt: {words}\n:width: 100%\n\n{caption}\n```"


def _files(about: Card) -> Iterator[list[str]]:
    linked, unlinked = "its authors", "your own folder"
    if about.kind == "views":
        linked, unlinked = "pinned address", "no stable address"
    places: list[tuple[DataFile, str]] = []
    for file in (about.embedded_file,) if about.embedded_file else about.files:
        where = f"[{linked}]({file.url})" if file.url else unlinked
        places.append((file, "in the repository" if about.embedded else where))
    for split, file in about.packed.items():
        places.append((file, f"a packed copy of `{split}`, read where there is no archive"))
    for file, where in places:
        size = f"{file.bytes / 1e6:.1f}" if file.bytes else "unknown"
        yield [f"`{file.file}`", where, f"`{file.sha256}`" if file.sha256 else "unknown", size]


def embed_view(X: np.ndarray, n_components: int = 50, random_state: int = 0) -> np.ndarray:
    """Return a view in two dimensions: principal components, then t-SNE."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    X = np.asarray(X, dtype=np.float32)
    scaled = (X - X.mean(axis=0)) / max(float(X.std()), 1e-12)
    if min(X.shape) > n_components:
        scaled = PCA(n_components, random_state=random_state).fit_transform(scaled)
    perplexity = min(30, (len(X) - 1) / 3)
    model = TSNE(perplexity=perplexity, init="pca", random_state=random_state)
    return model.fit_transform(scaled)


def draw_card(
    name: str, path: str | Path, max_samples: int = 2000, random_state: int = 0
) -> Path:
    """Draw a data set's figure: each default view in two dimensions, coloured by class."""
    import matplotlib.pyplot as plt

    check_number("max_samples", max_samples, low=5, integer=True)
    dataset = load(name)
    meanings = {view.name: view for view in dataset.card.views}
    random = np.random.default_rng(random_state)
    n = dataset.n_samples
    rows = np.sort(random.choice(n, min(n, max_samples), replace=False))
    pictured = dataset.name == "handwritten"
    columns = len(dataset.Xs)
    # Small in inches, so that the text is large enough on a phone.
    heights = [1.3, 2.4] if pictured else [2.4]
    figure = plt.figure(figsize=(2.5 * columns, sum(heights)), layout="constrained")
    try:
        grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
        if pictured:
            _draw_pictures(figure.add_subplot(grid[0, :]), load(name, views=("pix",)))
        for v, (X, view) in enumerate(zip(dataset.Xs, dataset.view_names, strict=True)):
            axes = figure.add_subplot(grid[-1, v])
            points = embed_view(X[rows], random_state=random_state)
            _draw_points(axes, points, dataset.y[rows], dataset.n_clusters)
            axes.set_title(f"{view}, {meanings[view].dim} features", fontsize=10)
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=220, metadata={"Software": None})
    finally:
        plt.close(figure)
    return Path(path)


def _draw_points(axes: Axes, points: np.ndarray, y: np.ndarray, n_clusters: int) -> None:
    import seaborn

    kind = "colorblind" if n_clusters <= 10 else "husl"
    colours = np.array(seaborn.color_palette(kind, n_clusters))
    axes.scatter(*points.T, s=2.5, c=colours[y], linewidths=0, rasterized=True)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color("0.8")


def _draw_pictures(axes: Axes, pixels: Any) -> None:
    X, y = pixels.Xs[0], pixels.y
    height, width = 16, 15
    # Of each class twelve, in two blocks of five classes: large also on a narrow page.
    rows = np.stack([np.flatnonzero(y == k)[:12] for k in range(pixels.n_clusters)])
    pictures = np.pad(
        X[rows].reshape(*rows.shape, height, width), ((0, 0), (0, 0), (1, 1), (1, 1))
    )
    left, right = (
        np.vstack([np.hstack(row) for row in part]) for part in np.split(pictures, 2)
    )
    axes.imshow(
        np.hstack([left, np.zeros((len(left), width)), right]),
        cmap="gray_r",
        interpolation="nearest",
    )
    axes.set_axis_off()
