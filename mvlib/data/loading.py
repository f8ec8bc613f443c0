"""Loading a data set by name: views, images, or pairs, and what that gives."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mvlib.check import check_choice
from mvlib.data.cards import Card, combine, describe
from mvlib.data.download import fetch, files_read
from mvlib.data.openclipart import read_openclipart
from mvlib.data.readers.images import Images, all_there, read_images
from mvlib.data.readers.pairs import read_arrays, read_captions, read_classes, read_shipped
from mvlib.data.readers.views import read_layout
from mvlib.files import sha256_of


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set of several views.

    Attributes
    ----------
    name, card, sha256 : str, Card and str
        Its name, what is known of it, and one fingerprint of the files read: see
        `mvlib.data.fingerprint_of`.
    Xs : list of ndarray, each (n_samples, n_features_v), float32
        The views, called `view_names`; row i of each is the same thing.
    y : ndarray (n_samples,), int64
        True classes, 0 to n_clusters - 1.
    """

    name: str
    Xs: list[np.ndarray]
    y: np.ndarray
    view_names: tuple[str, ...]
    card: Card
    sha256: str

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return len(self.y)

    @property
    def n_clusters(self) -> int:
        """Number of true classes."""
        return len(np.unique(self.y))


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """One split of an image set.

    Attributes
    ----------
    name, split, card : str, str and Card
        Its name, which part of it this is, and what is known of the set.
    images : list of Path, or ndarray (n_samples, height, width, 3), uint8
        In a fixed order.
    y, class_names : ndarray (n_samples,), int64, and tuple of str
        True classes, 0 to n_clusters - 1, and their names.
    captions : tuple of str or None
        One an image, where the set has them.
    sha256 : str
        One fingerprint of the files read; of a folder that a user supplies, that of the images'
        names and sizes, not of their bytes.
    """

    name: str
    split: str
    images: list[Path] | np.ndarray
    y: np.ndarray
    class_names: tuple[str, ...]
    captions: tuple[str, ...] | None
    card: Card
    sha256: str

    @property
    def n_samples(self) -> int:
        """Number of images."""
        return len(self.y)

    @property
    def n_clusters(self) -> int:
        """Number of true classes."""
        return len(self.class_names)


@dataclass(frozen=True, eq=False)
class CaptionedImages:
    """Images and what is said of each.

    Attributes
    ----------
    name, card : str and Card
        Its name, and what is known of the set.
    images : tuple of Path, (n_samples,)
        Files that exist.
    captions : tuple of tuple of str, (n_samples,)
        One or more an image.
    splits : ndarray (n_samples,), str
        The official split of each image.
    y, class_names : ndarray (n_samples,), int64, or None; and tuple of str
        True classes, and their names; None and empty where the files have none.
    sha256 : str
        Of the file of captions, and the images' names and sizes, not their bytes.
    """

    name: str
    images: tuple[Path, ...]
    captions: tuple[tuple[str, ...], ...]
    splits: np.ndarray
    y: np.ndarray | None
    class_names: tuple[str, ...]
    card: Card
    sha256: str

    @property
    def n_samples(self) -> int:
        """Number of images."""
        return len(self.images)


@dataclass(frozen=True, eq=False)
class PairedFeatures:
    """Features of two modalities, row by row.

    Attributes
    ----------
    name, card, sha256 : str, Card and str
        Its name, what is known of the set, and one fingerprint of the files read.
    Xs : list of two ndarray, each (n_samples, n_features_v), float32
        In the order of the card's `modalities`. Those of "openclipart-pairs" are in the
        order of `mvlib.data.openclipart_pairs()`.
    y : ndarray (n_samples,), int64, or None
        True classes, where there are any.
    """

    name: str
    Xs: list[np.ndarray]
    y: np.ndarray | None
    card: Card
    sha256: str

    @property
    def n_samples(self) -> int:
        """Number of pairs."""
        return len(self.Xs[0])


def load(name: str, views: Sequence[str] | None = None) -> Dataset:
    """Load a data set of several views, fetching its files first if need be.

    Parameters
    ----------
    name : str
        One of `mvlib.data.all_names("views")`; case does not matter, `_` stands for `-`.
    views : sequence of str, optional
        Which views, in which order. The default is the card's `default_views`: the two that
        SMART takes, its view 1 first.

    Returns
    -------
    Dataset
        Unscaled values, as the file has them; see `mvlib.data.min_max_scale`.

    Raises
    ------
    ValueError
        If there is no such set or view, or a file on disk is not the expected one. A file of
        which no checksum is known is read in a process of its own, so that a damaged one is
        such an error, too, whatever it does to its reader.
    FileNotFoundError, DownloadError
        If a file is missing and may not or cannot be fetched.
    """
    card = describe(name, "views")
    chosen = _check_view_names(card, views)
    paths = fetch(card.name)
    reader, trusted = card.reader, card.files[0].sha256 is not None
    if card.embedded_file:
        reader, trusted = "npz", True
    found, y = read_layout(paths[0], reader, card.layout, chosen, trusted)
    for view in card.views:
        expected = (card.n_samples, view.dim)
        if view.name in found and found[view.name].shape != expected:
            raise ValueError(
                f"{paths[0]}: view {view.name!r} of {card.name!r} has shape "
                f"{found[view.name].shape}: expected {expected}"
            )
    if (classes := len(np.unique(y))) != card.n_clusters:
        raise ValueError(
            f"{paths[0]}: {card.name!r} has {classes} classes: expected {card.n_clusters}"
        )
    return Dataset(
        name=card.name,
        Xs=[np.ascontiguousarray(found[view], dtype=np.float32) for view in chosen],
        y=y,
        view_names=chosen,
        card=card,
        sha256=combine(map(sha256_of, paths)),
    )


def load_images(name: str, split: str = "test") -> ImageDataset:
    """Load a split of an image set, fetching its archives first if need be.

    Parameters
    ----------
    name : str
        One of `mvlib.data.all_names("images")`, spelt as for `load`.
    split : str, default="test"
        One of the card's `n_samples`. Clustering is scored on "test", as in TAC, which
        takes "train" to choose its nouns.

    Returns
    -------
    ImageDataset
        Images as the files have them; encoders resize them.

    Raises
    ------
    ValueError
        If there is no such set or split, a file on disk is not the expected one, or the
        number of images or classes is not the card's.
    FileNotFoundError, DownloadError
        If a file is missing and may not or cannot be fetched.
    """
    card = describe(name, "images")
    path = fetch(card.name, split=check_choice("split", split, card.splits))[0]
    captions = None
    images: Images
    if card.embedded:
        images, y, class_names, captions = read_openclipart()
        if class_names != card.class_names:
            raise ValueError(
                f"{path}: its classes are {class_names}: expected {card.class_names}"
            )
    else:
        images, y = read_images(card, split, path)
    where, expected = f"{path}: {split} of {card.title}", card.splits[split]
    if len(y) != expected:
        raise ValueError(f"{where} has {len(y)} images: expected {expected}")
    labels = np.unique(y)
    if not np.array_equal(labels, np.arange(len(card.class_names))):
        raise ValueError(
            f"{where} has {len(labels)} classes, labels {labels[0]} to {labels[-1]}: "
            f"expected {card.n_clusters}, from 0"
        )
    read = files_read(card, split)
    known = [file.sha256 for file in read if file.sha256]
    if len(known) == len(read) or isinstance(images, np.ndarray):
        fingerprint = combine(known)
    else:
        fingerprint = _sha256_of_lines(_listing(images, path))
    return ImageDataset(
        name=card.name,
        split=split,
        images=images,
        y=y,
        class_names=card.class_names,
        captions=captions,
        card=card,
        sha256=fingerprint,
    )


def load_pairs(name: str, split: str | None = None) -> CaptionedImages | PairedFeatures:
    """Load a set of pairs.

    Parameters
    ----------
    name : str
        One of `mvlib.data.all_names("pairs")`, spelt as for `load`.
    split : str, optional
        One of the card's `n_samples`; all of them by default, in the order of the file.

    Returns
    -------
    CaptionedImages or PairedFeatures
        Images with captions, to be encoded; or features that ship or that a user supplies.

    Raises
    ------
    ValueError
        If there is no such set or split, a file is not of its layout, or the number of pairs is
        not the card's.
    FileNotFoundError
        If a file is missing; the message says how to get it.
    """
    card = describe(name, "pairs")
    if split is not None:
        check_choice("split", split, card.splits or ("all",))
    paths = fetch(card.name)
    if card.reader == "together":
        # What the registry puts together are sets with captions.
        parts: Any = [load_pairs(part, split) for part in card.layout["parts"]]
        return _together(card, parts)
    if card.reader == "captions":
        return _captioned(card, paths[0], split)
    if card.reader == "shipped":
        Xs, y = read_shipped(card, paths[0]), None
    else:
        Xs, y = read_arrays(paths[0], card.layout)
        named = [paths[0] / each for each in (*card.layout["arrays"], card.layout["labels"])]
        paths = [path for path in named if path.is_file()]
    if (expected := sum(card.splits.values())) not in (0, len(Xs[0])):
        raise ValueError(f"{paths[0]} has {len(Xs[0])} pairs: expected {expected}")
    return PairedFeatures(card.name, Xs, y, card, combine(map(sha256_of, paths)))


def _check_view_names(card: Card, views: Sequence[str] | None) -> tuple[str, ...]:
    if views is None:
        return card.default_views
    known = [view.name for view in card.views]
    if isinstance(views, str) or not list(views):
        raise ValueError(
            f"views={views!r}: expected a sequence of names among {', '.join(known)}"
        )
    chosen = tuple(check_choice("views", view, known) for view in views)
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"views={tuple(views)!r} names a view twice: expected each once")
    return chosen


def _captioned(card: Card, folder: Path, split: str | None) -> CaptionedImages:
    path = folder / card.layout["captions"]
    images, captions, splits = read_captions(path, folder / card.layout["images"])
    for each, expected in card.splits.items():
        if (n := np.count_nonzero(splits == each)) != expected:
            raise ValueError(f"{path}: {each} has {n} images: expected {expected}")
    if unknown := sorted(set(splits.tolist()) - set(card.splits)):
        raise ValueError(
            f"{path} has the split {unknown[0]!r}: expected {', '.join(card.splits)}"
        )
    rows = np.arange(len(images)) if split is None else np.flatnonzero(splits == split)
    images = all_there(card, [images[row] for row in rows])
    y: np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    classes = card.layout.get("classes")
    if classes and (folder / classes).is_dir():
        y, class_names = read_classes(folder / classes, images)
    return CaptionedImages(
        name=card.name,
        images=tuple(images),
        captions=tuple(captions[row] for row in rows),
        splits=splits[rows],
        y=y,
        class_names=class_names,
        card=card,
        sha256=_sha256_of_lines([sha256_of(path), *_listing(images, folder)]),
    )


def _together(card: Card, parts: list[CaptionedImages]) -> CaptionedImages:
    return CaptionedImages(
        name=card.name,
        images=tuple(image for part in parts for image in part.images),
        captions=tuple(captions for part in parts for captions in part.captions),
        splits=np.concatenate([part.splits for part in parts]),
        y=None,
        class_names=(),
        card=card,
        sha256=combine(part.sha256 for part in parts),
    )


def _listing(images: Sequence[Path], folder: Path) -> list[str]:
    return [f"{image.relative_to(folder)} {os.path.getsize(image)}" for image in images]


def _sha256_of_lines(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
