"""What loading a data set gives: views, images, images with captions, or features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mvlib.data.cards import Card


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set of several views.

    Attributes
    ----------
    name : str
        Its name in the registry.
    Xs : list of ndarray, each (n_samples, n_features_v), float32
        The views, row i of each the same thing.
    y : ndarray (n_samples,), int64
        True classes, 0 to n_clusters - 1.
    view_names : tuple of str
        One a view.
    card : Card
        What is known of the set.
    sha256 : str
        One fingerprint of the files read: see `mvlib.data.fingerprint_of`.
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
    name, split : str
        Its name in the registry, and which part of it this is.
    images : list of Path, or ndarray (n_samples, height, width, 3), uint8
        In a fixed order.
    y : ndarray (n_samples,), int64
        True classes, 0 to n_clusters - 1.
    class_names : tuple of str
        In the order of the labels.
    captions : tuple of str or None
        One an image, where the set has them.
    card : Card
        What is known of the set.
    sha256 : str
        One fingerprint of the files read. Of a folder that a user supplies it is that of
        the images' names and sizes, not of their bytes.
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
    name : str
        In the registry.
    images : tuple of Path, (n_samples,)
        Files that exist.
    captions : tuple of tuple of str, (n_samples,)
        One or more an image.
    splits : ndarray (n_samples,), str
        The official split of each image.
    y : ndarray (n_samples,), int64, or None
        True classes, in the order of `class_names`; None where the files have none.
    class_names : tuple of str
        Empty where there are none.
    card : Card
        What is known of the set.
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
    name : str
        In the registry.
    Xs : list of two ndarray, each (n_samples, n_features_v), float32
        In the order of the card's `modalities`. Those of "openclipart-pairs" are in the
        order of `mvlib.data.openclipart_pairs()`.
    y : ndarray (n_samples,), int64, or None
        True classes, where there are any.
    card : Card
        What is known of the set.
    sha256 : str
        Of the files read.
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
