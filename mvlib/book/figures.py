"""The figures of the data cards, drawn from the data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvlib.check import check_number
from mvlib.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COMPONENTS = 50
_PERPLEXITY = 30
_SAMPLES_A_CLASS = 12
_PIX_SHAPE = (16, 15)
_COLORBLIND = 10


def embed_view(
    X: np.ndarray, n_components: int = _COMPONENTS, random_state: int = 0
) -> np.ndarray:
    """Return a view in two dimensions: principal components, then t-SNE."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    X = np.asarray(X, dtype=np.float32)
    scaled = (X - X.mean(axis=0)) / max(float(X.std()), 1e-12)
    if min(X.shape) > n_components:
        scaled = PCA(n_components, random_state=random_state).fit_transform(scaled)
    perplexity = min(_PERPLEXITY, (len(X) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=random_state).fit_transform(
        scaled
    )


def draw_card(
    name: str, path: str | Path, max_samples: int = 2000, random_state: int = 0
) -> Path:
    """Draw a data set's figure: each default view in two dimensions, coloured by class."""
    import matplotlib.pyplot as plt

    from mvlib.data import load

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

    kind = "colorblind" if n_clusters <= _COLORBLIND else "husl"
    colours = np.array(seaborn.color_palette(kind, n_clusters))
    axes.scatter(*points.T, s=2.5, c=colours[y], linewidths=0, rasterized=True)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color("0.8")


def _draw_pictures(axes: Axes, pixels: Any) -> None:
    X, y = pixels.Xs[0], pixels.y
    height, width = _PIX_SHAPE
    classes = [
        [
            np.pad(X[row].reshape(height, width), 1)
            for row in np.flatnonzero(y == k)[:_SAMPLES_A_CLASS]
        ]
        for k in range(pixels.n_clusters)
    ]
    # Two blocks of five classes, so that the pictures stay large on a narrow page.
    half = len(classes) // 2
    blocks = [
        np.vstack([np.hstack(row) for row in part]) for part in (classes[:half], classes[half:])
    ]
    gap = np.zeros((len(blocks[0]), width))
    axes.imshow(np.hstack([blocks[0], gap, blocks[1]]), cmap="gray_r", interpolation="nearest")
    axes.set_axis_off()
