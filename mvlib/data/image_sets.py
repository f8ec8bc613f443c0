"""Loading an image set by name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mvlib._paths import embedded_data
from mvlib._validation import check_choice
from mvlib.data.download import data_folder, fetch_file
from mvlib.data.image_folders import check_parts, folder_parts
from mvlib.data.image_readers import read_images
from mvlib.data.image_registry import ImageCard, image_card
from mvlib.data.registry import DataFile, combine


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
    card : ImageCard
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
    card: ImageCard
    sha256: str

    @property
    def n_samples(self) -> int:
        """Number of images."""
        return len(self.y)

    @property
    def n_clusters(self) -> int:
        """Number of true classes."""
        return len(self.class_names)


def load_images(name: str, split: str = "test") -> ImageDataset:
    """Load a split of an image set, fetching its archives first if need be.

    Parameters
    ----------
    name : str
        One of `mvlib.data.list_image_sets()`; case does not matter, `_` stands for `-`.
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
    FileNotFoundError
        If a file is missing and may not or cannot be fetched.
    DownloadError
        If fetching it failed.
    """
    about = image_card(name)
    check_choice("split", split, about.n_samples)
    path = fetch_images(about.name, split)[0]
    captions = None
    if about.embedded:
        from mvlib.data.openclipart import read_openclipart

        images, y, class_names, captions = read_openclipart()
        if class_names != about.class_names:
            raise ValueError(
                f"{path}: its classes are {class_names}: expected {about.class_names}"
            )
    else:
        images, y = read_images(about, split, path)
    _check_sizes(about, split, y, path)
    known = [file.sha256 for file in _files(about, split)]
    return ImageDataset(
        name=about.name,
        split=split,
        images=images,
        y=y,
        class_names=about.class_names,
        captions=captions,
        card=about,
        sha256=combine(known) if all(known) else _listing_sha256(images, path),
    )


def fetch_images(name: str, split: str | None = None) -> list[Path]:
    """Return the files of an image set, downloading an archive that is missing.

    `MVLIB_DATA`, `MVLIB_OFFLINE` and checks are as for `mvlib.data.fetch`. Of a set that a
    user supplies it is the folder, in which the lists and a folder a class must be.

    Parameters
    ----------
    name : str
        As for `image_card`.
    split : str, optional
        Only what this split is read from; everything by default.

    Returns
    -------
    list of Path
        The archives, the packed copies, the index that ships, or the folder.

    Raises
    ------
    ValueError, FileNotFoundError, DownloadError
        As for `load_images`.
    """
    about = image_card(name)
    if split is not None:
        check_choice("split", split, about.n_samples)
    if _is_supplied(about):
        folder = data_folder() / about.files[0].file
        for each in [split] if split else about.n_samples:
            check_parts(about, each, folder)
        return [folder]
    folder = embedded_data() if about.embedded else data_folder()
    return [fetch_file(file, folder, about) for file in _files(about, split)]


def images_at_hand(name: str) -> bool:
    """Return whether an image set could be loaded without the network.

    Archives are not hashed for it: they are large, and `load_images` does. Their size
    counts.

    Raises
    ------
    ValueError
        If there is no such set.
    """
    about = image_card(name)
    folder = embedded_data() if about.embedded else data_folder()
    if _is_supplied(about):
        parts = [part for split in about.n_samples for part in folder_parts(about, split)]
        return all((folder / about.files[0].file / part).exists() for part in parts)
    paths = [(folder / file.file, file.bytes) for file in _files(about, None)]
    return all(path.is_file() and size in (None, path.stat().st_size) for path, size in paths)


def _is_supplied(about: ImageCard) -> bool:
    """Whether a user has to bring the files."""
    return not about.embedded and any(file.url is None for file in about.files)


def _files(about: ImageCard, split: str | None) -> Sequence[DataFile]:
    """Return what is read: the packed copies if they are there and no archive is."""
    if split is None:
        packed = list(about.packed.values())
    else:
        packed = [about.packed[split]] if split in about.packed else []
    if not packed:
        return about.files
    here = data_folder()
    if any((here / file.file).exists() for file in about.files):
        return about.files
    return packed if all((here / file.file).exists() for file in packed) else about.files


def _check_sizes(about: ImageCard, split: str, y: np.ndarray, path: Path) -> None:
    expected = about.n_samples[split]
    if len(y) != expected:
        raise ValueError(
            f"{path}: {split} of {about.title} has {len(y)} images: expected {expected}"
        )
    labels = np.unique(y)
    if not np.array_equal(labels, np.arange(about.n_clusters)):
        raise ValueError(
            f"{path}: {split} of {about.title} has {len(labels)} classes, labels {labels[0]} "
            f"to {labels[-1]}: expected {about.n_clusters}, from 0"
        )


def _listing_sha256(images: Sequence[Path], folder: Path) -> str:
    lines = (f"{image.relative_to(folder)} {os.path.getsize(image)}" for image in images)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
