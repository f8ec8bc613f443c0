"""Problems of each task whose features are made up, and what stands for images there."""

from dataclasses import dataclass

import numpy as np

from mvlib import data
from mvlib.encoders import TextBank
from mvlib.tasks.images_with_words import VisionProblem
from mvlib.tasks.modalities import AlignmentProblem


@dataclass(frozen=True, eq=False)
class FewImages:
    """Stands for an `ImageDataset`: whole pictures are not needed."""

    name: str
    images: list
    y: object
    class_names: tuple
    captions: tuple | None = None


class NamedEncoder:
    name = "made up"


def groups(n, widths, n_clusters, *, spread, seed=0):
    """Return float32 views of these widths, of noisy points around some centres; and y."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_clusters, n)
    Xs = []
    for width in widths:
        centers = spread * rng.normal(size=(n_clusters, width))
        Xs.append((centers[y] + rng.normal(size=(n, width))).astype(np.float32))
    return Xs, y


def views_problem():
    """Return three groups of 40 rows in two views, half of the rows known to be partners."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 40)
    Xs = [3 * rng.normal(size=(3, d))[y] + rng.normal(size=(120, d)) for d in (5, 6)]
    return data.partially_align(data.min_max_scale(Xs), y, 0.5)


def modalities_problem(n_train=40, n_test=20, classes=True, aligned_ratio=0.0):
    """Return rows of three classes in two modalities."""
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=n_train + n_test)
    Xs = [
        (rng.normal(size=(3, d))[y] + rng.normal(size=(len(y), d))).astype(np.float32)
        for d in (6, 5)
    ]
    parts = slice(None, n_train), slice(n_train, None)
    train, test = ([X[part] for X in Xs] for part in parts)
    ys = (y[part] if classes else None for part in parts)
    return AlignmentProblem("wiki", ("image", "text"), 1, train, test, *ys, aligned_ratio)


def words_problem():
    """Return four classes of 15 images, and five words around the middle of each."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), 15)
    means = np.eye(16, dtype=np.float32)[:4]
    words = np.repeat(means, 5, axis=0) + 0.1 * rng.normal(size=(20, 16))
    noisy = means[y] + 0.35 * rng.normal(size=(60, 16))
    names = tuple(f"word {number}" for number in range(20))
    bank = TextBank(names, words.astype(np.float32))
    whole = FewImages("openclipart", [f"{i}.png" for i in range(60)], y, ("a", "b", "c", "d"))
    return VisionProblem(
        whole, NamedEncoder(), noisy.astype(np.float32), None, bank, bank, means
    )
