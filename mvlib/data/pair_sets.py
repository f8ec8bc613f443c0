"""Loading a set of pairs by name: images with captions, or features row by row."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mvlib._files import sha256_of
from mvlib._paths import embedded_data
from mvlib._validation import check_choice
from mvlib.data.download import data_folder, fetch_file
from mvlib.data.pair_readers import read_arrays, read_captions, read_classes, read_shipped
from mvlib.data.pair_registry import PairCard, pair_card
from mvlib.data.registry import combine


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
    card : PairCard
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
    card: PairCard
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
    card : PairCard
        What is known of the set.
    sha256 : str
        Of the files read.
    """

    name: str
    Xs: list[np.ndarray]
    y: np.ndarray | None
    card: PairCard
    sha256: str

    @property
    def n_samples(self) -> int:
        """Number of pairs."""
        return len(self.Xs[0])


def load_pairs(name: str, split: str | None = None) -> CaptionedImages | PairedFeatures:
    """Load a set of pairs.

    Parameters
    ----------
    name : str
        One of `mvlib.data.list_pair_sets()`; case does not matter, `_` stands for `-`.
    split : str, optional
        One of the card's `n_samples`; all of them by default, in the order of the file.

    Returns
    -------
    CaptionedImages or PairedFeatures
        Images with captions, to be encoded; or features, where those ship or a user
        supplies them.

    Raises
    ------
    ValueError
        If there is no such set or split, a file is not of its layout, or the number of
        pairs is not the card's.
    FileNotFoundError
        If a file is missing; the message says how to get it.
    """
    about = pair_card(name)
    if split is not None:
        check_choice("split", split, about.n_samples or ("all",))
    folders = fetch_pairs(about.name)
    if about.reader == "shipped":
        return _features(about, read_shipped(about, folders[0]), None, folders)
    if about.reader == "arrays":
        Xs, y = read_arrays(folders[0], about.layout)
        paths = [
            folders[0] / part for part in (*about.layout["arrays"], about.layout["labels"])
        ]
        return _features(about, Xs, y, [path for path in paths if path.is_file()])
    if about.reader == "together":
        return _together(about, [load_pairs(part, split) for part in about.layout["parts"]])
    return _captioned(about, folders[0], split)


def fetch_pairs(name: str) -> list[Path]:
    """Return the files of a set of pairs that ships, or the folders that a user supplies.

    Parameters
    ----------
    name : str
        As for `pair_card`.

    Raises
    ------
    ValueError
        If there is no such set, or a file that ships has another sha256.
    FileNotFoundError
        If a file or folder is missing; the message says how to get it.
    """
    about = pair_card(name)
    if about.embedded:
        return [fetch_file(file, embedded_data(), about) for file in about.files]
    missing = [path for path in _needed(about) if not path.exists()]
    if missing:
        raise FileNotFoundError(f"{about.title}: {missing[0]} is missing. {about.how_to_get}")
    return [data_folder() / file.file for file in about.files]


def pairs_at_hand(name: str) -> bool:
    """Return whether a set of pairs could be loaded; that images are whole is not checked.

    Raises
    ------
    ValueError
        If there is no such set.
    """
    about = pair_card(name)
    if about.embedded:
        paths = [(embedded_data() / file.file, file.bytes) for file in about.files]
        return all(path.is_file() and path.stat().st_size == size for path, size in paths)
    return all(path.exists() for path in _needed(about))


def _needed(about: PairCard) -> list[Path]:
    """Return what a user's folders must hold."""
    if about.reader == "together":
        return [path for part in about.layout["parts"] for path in _needed(pair_card(part))]
    folder, layout = data_folder() / about.files[0].file, about.layout
    if about.reader == "arrays":
        return [folder / name for name in layout["arrays"]]
    images = layout.get("folders", [layout["images"]])
    return [folder / name for name in (layout["captions"], *images)]


def _captioned(about: PairCard, folder: Path, split: str | None) -> CaptionedImages:
    path = folder / about.layout["captions"]
    images, captions, splits = read_captions(path, folder / about.layout["images"])
    for each, expected in about.n_samples.items():
        if (n := np.count_nonzero(splits == each)) != expected:
            raise ValueError(f"{path}: {each} has {n} images: expected {expected}")
    if unknown := sorted(set(splits.tolist()) - set(about.n_samples)):
        raise ValueError(
            f"{path} has the split {unknown[0]!r}: expected {', '.join(about.n_samples)}"
        )
    rows = np.arange(len(images)) if split is None else np.flatnonzero(splits == split)
    images = [images[row] for row in rows]
    lines = [sha256_of(path)]
    for image in images:
        if not image.is_file():
            raise FileNotFoundError(f"{about.title}: {image} is missing. {about.how_to_get}")
        lines.append(f"{image.relative_to(folder)} {image.stat().st_size}")
    y, class_names = None, ()
    classes = about.layout.get("classes")
    if classes and (folder / classes).is_dir():
        y, class_names = read_classes(folder / classes, images)
    return CaptionedImages(
        name=about.name,
        images=tuple(images),
        captions=tuple(captions[row] for row in rows),
        splits=splits[rows],
        y=y,
        class_names=class_names,
        card=about,
        sha256=hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    )


def _together(about: PairCard, parts: list[CaptionedImages]) -> CaptionedImages:
    return CaptionedImages(
        name=about.name,
        images=tuple(image for part in parts for image in part.images),
        captions=tuple(captions for part in parts for captions in part.captions),
        splits=np.concatenate([part.splits for part in parts]),
        y=None,
        class_names=(),
        card=about,
        sha256=combine(part.sha256 for part in parts),
    )


def _features(
    about: PairCard, Xs: list[np.ndarray], y: np.ndarray | None, paths: list[Path]
) -> PairedFeatures:
    expected = sum(about.n_samples.values())
    if expected and len(Xs[0]) != expected:
        raise ValueError(f"{paths[0]} has {len(Xs[0])} pairs: expected {expected}")
    return PairedFeatures(about.name, Xs, y, about, combine(map(sha256_of, paths)))
