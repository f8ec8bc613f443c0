"""All registries under one roof: sets of several views, of images, and of pairs."""

from __future__ import annotations

from pathlib import Path

from mvlib._validation import check_choice
from mvlib.data.download import fetch, is_available
from mvlib.data.image_registry import (
    ImageCard,
    image_card,
    image_fingerprint,
    list_image_sets,
)
from mvlib.data.image_sets import fetch_images, images_at_hand
from mvlib.data.pair_registry import (
    PairCard,
    list_pair_sets,
    pair_card,
    pair_fingerprint,
)
from mvlib.data.pair_sets import fetch_pairs, pairs_at_hand
from mvlib.data.registry import Card, card, fingerprint, list_datasets


def all_names() -> list[str]:
    """Return the names of all sets: of several views, then of images, then of pairs."""
    return [*list_datasets(), *list_image_sets(), *list_pair_sets()]


def describe(name: str) -> Card | ImageCard | PairCard:
    """Return the card of a set of any kind.

    Parameters
    ----------
    name : str
        One of `all_names()`; case does not matter, and `_` or a space stand for `-`.

    Raises
    ------
    ValueError
        If there is no such set; the nearest name of all kinds is given.
    """
    plain = str(name).lower().replace("_", "-").replace(" ", "-")
    check_choice("name", plain, all_names())
    if plain in list_datasets():
        return card(plain)
    return image_card(plain) if plain in list_image_sets() else pair_card(plain)


def fingerprint_of(name: str) -> str:
    """Return the sha256 that stands for a set's bytes, from its registry.

    As `mvlib.data.fingerprint`, `mvlib.data.image_fingerprint` and
    `mvlib.data.pair_fingerprint` give it.

    Raises
    ------
    ValueError
        If there is no such set.
    """
    about = describe(name)
    if isinstance(about, PairCard):
        return pair_fingerprint(about.name)
    of = image_fingerprint if isinstance(about, ImageCard) else fingerprint
    return of(about.name)


def is_at_hand(name: str) -> bool:
    """Return whether a set could be loaded without the network.

    Raises
    ------
    ValueError
        If there is no such set.
    """
    about = describe(name)
    if isinstance(about, PairCard):
        return pairs_at_hand(about.name)
    is_there = images_at_hand if isinstance(about, ImageCard) else is_available
    return is_there(about.name)


def fetch_all(name: str) -> list[Path]:
    """Return the files of a set, downloading what is missing and can be had.

    Raises
    ------
    ValueError
        If there is no such set, or a file on disk has another sha256.
    FileNotFoundError
        If a file is missing and may not or cannot be fetched.
    DownloadError
        If fetching it failed.
    """
    about = describe(name)
    if isinstance(about, PairCard):
        return fetch_pairs(about.name)
    get = fetch_images if isinstance(about, ImageCard) else fetch
    return get(about.name)
