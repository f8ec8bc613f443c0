"""Problems of two modalities, row by row, whatever they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mvlib import data, encoders
from mvlib.check import check_choice, check_number
from mvlib.data import Card, Dataset, PairedFeatures
from mvlib.encoders import Encoder, OfflineEncoder

CLIP_RN50 = "openclip:RN50/openai"
TOWERS = "offline"

# Sets of several views, of which two are modalities.
_VIEWS = {
    "handwritten": ("pix", "fac"),
    "wiki": ("image", "text"),
    "cub": ("image", "text"),
    "mnist-usps": ("mnist", "usps"),
    "bdgp": ("visual", "text"),
}
# The image set that has a caption an image.
_DRAWINGS = "openclipart"


@dataclass(frozen=True, eq=False)
class Modalities:
    """Two modalities of the same things.

    Attributes
    ----------
    name : str
        The data set's.
    Xs : list of two ndarray, each (n_samples, n_features_v), float32
        Row i of both belongs together. As the file or the encoder has them, unscaled.
    names : tuple of two str
        Such as ("image", "text").
    y : ndarray (n_samples,), int64, or None
        True classes, where there are any.
    card : Card
        What is known of the set.
    rows : ndarray (n_samples,), int64
        Which rows of the set, or of the split, these are; ascending.
    sha256 : str
        One fingerprint of the data files read.
    splits : ndarray (n_samples,), str, or None
        The official split of each row, where the set has splits.
    captions : tuple of str or None
        The text of each row, where there is one.
    encoder : str or None
        What made the features of images and texts; None where there are only features.
    """

    name: str
    Xs: list[np.ndarray]
    names: tuple[str, str]
    y: np.ndarray | None
    card: Card
    rows: np.ndarray
    sha256: str
    splits: np.ndarray | None = None
    captions: tuple[str, ...] | None = None
    encoder: str | None = None

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return len(self.rows)

    @property
    def n_clusters(self) -> int | None:
        """Number of true classes among the rows; None without classes."""
        return None if self.y is None else len(np.unique(self.y))

    @property
    def is_joint(self) -> bool:
        """Whether both modalities come from towers trained together, such as CLIP's.

        Such features are aligned before any method sees them: what is reached without
        pairs is then no merit of the method.
        """
        return self.encoder not in (None, TOWERS)


def list_modalities() -> list[str]:
    """Return the names of the problems: what ships, views, then what a user supplies."""
    ships, *supplied = data.all_names("pairs")
    return [ships, _DRAWINGS, *_VIEWS, *supplied]


def load_modalities(
    name: str,
    size: int | None = None,
    random_state: int | None = None,
    *,
    split: str | None = None,
    encoder: str | Encoder | None = None,
    caption: int = 0,
    device: str = "auto",
) -> Modalities:
    """Load two modalities of the same things, encoding images and texts where need be.

    Parameters
    ----------
    name : str
        One of `list_modalities()`; case does not matter, and `_` or a space stand for `-`.
        "openclipart-pairs": features that ship, without classes. "openclipart": the
        drawings with classes and their captions. "handwritten", "wiki", "cub",
        "mnist-usps", "bdgp": two views each, classes; rows of "mnist-usps" share a digit,
        not a writer, so nothing in them tells the own row from others. The rest: images
        with captions, or arrays, that a user supplies; see `mvlib.data.describe`.
    size : int, optional
        How many rows, drawn without replacement; all by default. The rest is not encoded.
    random_state : int, optional
        Seed of that draw, and of nothing else.
    split : str, optional
        One of the card's, of a set of captioned images; all by default.
    encoder : str or Encoder, optional
        Of images and texts; as for `mvlib.encoders.load`. "offline" gives its two towers
        without the heads that join them: spaces that know nothing of each other. It is
        the default for the drawings, "openclip:RN50/openai", as in S-CLIP, for
        photographs and aerial pictures. CLIP's towers were trained together: see
        `Modalities.is_joint`.
    caption : int, default=0
        Which of an image's captions, from 0; one an image, so that rows are pairs.
    device : str, default="auto"
        Where the encoder runs.

    Returns
    -------
    Modalities

    Raises
    ------
    ValueError
        If a name is unknown or a number out of range; or `split`, `encoder` or `caption`
        is given for a set that has no splits, is not encoded here or has no such caption.
    FileNotFoundError, mvlib.data.DownloadError
        If files are not at hand and cannot be fetched.
    """
    plain = str(name).lower().replace("_", "-").replace(" ", "-")
    check_choice("name", plain, list_modalities())
    if random_state is not None:
        check_number("random_state", random_state, low=0, integer=True)
    check_number("caption", caption, low=0, integer=True)
    if plain in _VIEWS:
        _refuse(plain, split=split, encoder=encoder, caption=caption or None)
        found = data.load(plain, _VIEWS[plain])
        return _of_features(found, found.view_names, size, random_state)
    if plain == _DRAWINGS:
        _refuse(plain, split=split)
        found = data.load_images(plain)
        captions, names = [(text,) for text in found.captions], ("image", "text")
        default = TOWERS
    else:
        found = data.load_pairs(plain, split)
        if isinstance(found, PairedFeatures):
            ships = found.card.embedded
            _refuse(plain, encoder=None if ships and encoder == TOWERS else encoder)
            _refuse(plain, caption=caption or None)
            chosen = _of_features(found, found.card.modalities, size, random_state)
            if not ships:
                return chosen
            texts = data.openclipart_pairs().captions
            captions = tuple(texts[row] for row in chosen.rows)
            return replace(chosen, captions=captions, encoder=TOWERS)
        captions, names, default = found.captions, found.card.modalities, CLIP_RN50
    rows = _draw(found.n_samples, size, random_state)
    texts = _choose(plain, captions, rows, caption)
    images = [found.images[row] for row in rows]
    Xs, used = _encode(images, texts, default if encoder is None else encoder, device)
    splits = getattr(found, "splits", None)
    return Modalities(
        name=plain,
        Xs=Xs,
        names=names,
        y=None if found.y is None else found.y[rows],
        card=found.card,
        rows=rows,
        splits=None if splits is None else splits[rows],
        captions=texts,
        encoder=used,
        sha256=found.sha256,
    )


def _of_features(
    found: Dataset | PairedFeatures,
    names: tuple[str, str],
    size: int | None,
    random_state: int | None,
) -> Modalities:
    rows = _draw(found.n_samples, size, random_state)
    return Modalities(
        name=found.name,
        Xs=[X[rows] for X in found.Xs],
        names=names,
        y=None if found.y is None else found.y[rows],
        card=found.card,
        rows=rows,
        sha256=found.sha256,
    )


def _refuse(name: str, **given: Any) -> None:
    """Raise ValueError if something is given that says nothing of this set."""
    why = {
        "split": "it has no official splits",
        "encoder": "its features are given, and nothing is encoded",
        "caption": "it has at most one text a row",
    }
    for argument, value in given.items():
        if value is not None:
            raise ValueError(
                f"{argument}={value!r} is not for {name!r}, since {why[argument]}: "
                "expected the default"
            )


def _draw(n_samples: int, size: int | None, random_state: int | None) -> np.ndarray:
    """Return all rows, or `size` of them in ascending order, int64."""
    if size is None:
        return np.arange(n_samples)
    check_number("size", size, low=1, high=n_samples, integer=True)
    chosen = np.random.default_rng(random_state).choice(n_samples, size, replace=False)
    return np.sort(chosen)


def _choose(
    name: str, captions: Sequence[tuple[str, ...]], rows: np.ndarray, caption: int
) -> tuple[str, ...]:
    """Return one caption of each row."""
    fewest = min(len(captions[row]) for row in rows)
    if caption >= fewest:
        raise ValueError(
            f"caption={caption} is out of range: some image of {name!r} has {fewest}, so "
            f"expected an integer from 0 to {fewest - 1}"
        )
    return tuple(captions[row][caption] for row in rows)


def _encode(
    images: Sequence[Any], texts: Sequence[str], encoder: str | Encoder, device: str
) -> tuple[list[np.ndarray], str]:
    """Return features of images and of texts, and the name of what made them."""
    if not isinstance(encoder, Encoder):
        encoder = encoders.load(encoder, device=device)
    if isinstance(encoder, OfflineEncoder):
        return [encoder.image_tower(images), encoder.text_tower(texts)], TOWERS
    return [encoder.encode_images(images), encoder.encode_texts(texts)], encoder.name
