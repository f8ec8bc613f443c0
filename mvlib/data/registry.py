"""What is known of each data set, read from `registry.toml`."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mvlib._validation import check_choice


@dataclass(frozen=True)
class View:
    """One view of a data set: its name, what its features are, how many they are."""

    name: str
    meaning: str
    dim: int


@dataclass(frozen=True)
class DataFile:
    """One file of a data set.

    Attributes
    ----------
    file : str
        Its name in the data folder.
    sha256 : str or None
        Of its bytes, in hexadecimal; None where no trusted copy was seen.
    bytes : int or None
        Its size; None where unknown.
    url : str or None
        Where the same bytes are, pinned; None where there is no such place.
    """

    file: str
    sha256: str | None = None
    bytes: int | None = None
    url: str | None = None


@dataclass(frozen=True)
class Card:
    """What a reader needs to know of a data set.

    Attributes
    ----------
    name, title, about : str
        How to load it, what it is called, what it holds.
    views : tuple of View
        In the order of the file.
    default_views : tuple of str
        What `mvlib.data.load` gives unless told otherwise; the first is the one whose
        labels score.
    n_samples, n_clusters : int
        Rows and classes.
    class_names : tuple of str
        In the order of the labels; empty where the file does not say.
    licence, citation, source : str
        Terms, whom to cite, where the set comes from.
    files : tuple of DataFile
        The original files.
    embedded : bool
        Whether the set ships with mvlib.
    embedded_file : DataFile or None
        The file that ships.
    how_to_get : str
        What a user does to obtain the files.
    caveats : tuple of str
        What is inferred, disputed or easily mistaken.
    loader, layout : str and mapping
        How the original files are read; see `mvlib.data.loaders`.
    """

    name: str
    title: str
    about: str
    views: tuple[View, ...]
    default_views: tuple[str, ...]
    n_samples: int
    n_clusters: int
    class_names: tuple[str, ...]
    licence: str
    citation: str
    source: str
    files: tuple[DataFile, ...]
    embedded: bool
    embedded_file: DataFile | None
    how_to_get: str
    caveats: tuple[str, ...]
    loader: str
    layout: Mapping[str, Any]


@cache
def _cards() -> dict[str, Card]:
    text = Path(__file__).with_name("registry.toml").read_text(encoding="utf-8")
    return {name: _card(name, entry) for name, entry in tomllib.loads(text).items()}


def _card(name: str, entry: dict[str, Any]) -> Card:
    embedded = entry.pop("embedded", None)
    views = tuple(View(**view) for view in entry.pop("views"))
    files = tuple(DataFile(**file) for file in entry.pop("files"))
    lists = {
        key: tuple(entry.pop(key, ())) for key in ("default_views", "class_names", "caveats")
    }
    return Card(
        name=name,
        views=views,
        files=files,
        embedded=embedded is not None,
        embedded_file=DataFile(**embedded) if embedded else None,
        **lists,
        **entry,
    )


def list_datasets() -> list[str]:
    """Return the names of the data sets, in the order of the registry."""
    return list(_cards())


def card(name: str) -> Card:
    """Return the card of a data set.

    Parameters
    ----------
    name : str
        One of `list_datasets()`; case does not matter, and `_` or a space stand for `-`.

    Raises
    ------
    ValueError
        If there is no such set; the nearest name is given.
    """
    plain = str(name).lower().replace("_", "-").replace(" ", "-")
    return _cards()[check_choice("name", plain, _cards())]


def fingerprint(name: str) -> str:
    """Return one sha256 that stands for the bytes of a data set.

    It is read from the registry, without opening a data file: the sha256 over the sorted
    sha256s of the files that `mvlib.data.load` reads (the embedded one, where the set
    ships with mvlib). A file whose sha256 is unknown counts with its name instead, so the
    fingerprint of such a set does not follow its bytes; `Dataset.sha256` does.

    Parameters
    ----------
    name : str
        As for `card`.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    ValueError
        If there is no such set.
    """
    description = card(name)
    files = [description.embedded_file] if description.embedded else description.files
    return combine(file.sha256 or f"unknown {file.file}" for file in files)


def combine(sha256s: Iterable[str]) -> str:
    """Return the sha256 over sorted sha256s, one a line."""
    return hashlib.sha256("\n".join(sorted(sha256s)).encode()).hexdigest()
