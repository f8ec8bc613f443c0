"""What is known of each set of pairs, read from `pair_sets.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mvlib._validation import check_choice
from mvlib.data.registry import DataFile, combine


@dataclass(frozen=True)
class PairCard:
    """What a reader needs to know of a set of pairs.

    Attributes
    ----------
    name, title, about : str
        How to load it, what it is called, what it holds.
    modalities : tuple of two str
        What is paired, such as "image" and "text".
    n_samples : mapping of str to int
        Split to number of pairs, in the order of the file; "all" where there are no
        splits, empty where a user's own arrays decide.
    licence, citation, source : str
        Terms, whom to cite, where the set comes from.
    files : tuple of DataFile
        What ships, or the folders that a user supplies (without sha256 and url).
    embedded : bool
        Whether the set ships with mvlib.
    how_to_get : str
        What a user does to obtain the files.
    caveats : tuple of str
        What is inferred, disputed or easily mistaken.
    reader, layout : str and mapping
        How the files are read; see `mvlib.data.pair_readers`.
    """

    name: str
    title: str
    about: str
    modalities: tuple[str, str]
    n_samples: Mapping[str, int]
    licence: str
    citation: str
    source: str
    files: tuple[DataFile, ...]
    embedded: bool
    how_to_get: str
    caveats: tuple[str, ...]
    reader: str
    layout: Mapping[str, Any]


@cache
def _cards() -> dict[str, PairCard]:
    text = Path(__file__).with_name("pair_sets.toml").read_text(encoding="utf-8")
    return {
        name: PairCard(
            name=name,
            modalities=tuple(entry.pop("modalities")),
            files=tuple(DataFile(**file) for file in entry.pop("files")),
            embedded=entry.pop("embedded", False),
            caveats=tuple(entry.pop("caveats")),
            **entry,
        )
        for name, entry in tomllib.loads(text).items()
    }


def list_pair_sets() -> list[str]:
    """Return the names of the sets of pairs, in the order of their registry."""
    return list(_cards())


def pair_card(name: str) -> PairCard:
    """Return the card of one of `list_pair_sets()`; otherwise as `image_card`.

    Parameters
    ----------
    name : str
        Case does not matter, and `_` or a space stand for `-`.

    Raises
    ------
    ValueError
        If there is no such set; the nearest name is given.
    """
    plain = str(name).lower().replace("_", "-").replace(" ", "-")
    return _cards()[check_choice("name", plain, _cards())]


def pair_fingerprint(name: str) -> str:
    """Return 64 hexadecimal digits that stand for a set of pairs, as `image_fingerprint`.

    Of what a user supplies it follows the names and not the bytes; the `sha256` of what
    `mvlib.data.load_pairs` returns follows those.

    Parameters
    ----------
    name : str
        As for `pair_card`.

    Raises
    ------
    ValueError
        If there is no such set.
    """
    about = pair_card(name)
    return combine(file.sha256 or f"unknown {about.name} {file.file}" for file in about.files)
