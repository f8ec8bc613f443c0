"""Checks of the registries that ship, so that a slip in one is told by name and place.

The readers of the registries trust them: what they read ships with mvlib. This module looks
when somebody has changed them, and says what the readers would only stumble over.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from mvlib._reading import check_list, check_table, check_text, read_text, read_toml
from mvlib._validation import check_choice, check_number

_SHA256 = re.compile(r"[0-9a-f]{64}")
_IMAGENET = "imagenet_classes.csv"
_Check = Callable[[str, Any], Any]


def check_registries(folder: str | Path | None = None) -> None:
    """Check the registries of data sets, images, pairs and words.

    Parameters
    ----------
    folder : str or Path, optional
        Where they are; those that ship with mvlib by default.

    Raises
    ------
    OSError
        If one cannot be read.
    ValueError
        If one is no TOML, or an entry lacks something or holds something unknown or of
        another kind. The message names the file and the place.
    """
    folder = Path(folder) if folder is not None else Path(__file__).parent
    for name, check in _REGISTRIES.items():
        for entry, content in read_toml(folder / name).items():
            check(f"{name}: {entry}", content)
    synsets = _synsets(folder / _IMAGENET)
    for entry, content in read_toml(folder / "image_sets.toml").items():
        for synset in content.get("synsets", ()):
            if synset not in synsets:
                where = f"image_sets.toml: {entry}: synsets"
                raise ValueError(f"{where}={synset!r}: expected some of {_IMAGENET}")


def _entry(
    needed: Mapping[str, _Check], may: Mapping[str, _Check], where: str, entry: Any
) -> None:
    checks = {**needed, **may}
    for name, value in check_table(where, entry).items():
        checks[check_choice(f"{where}: entry", name, checks)](f"{where}: {name}", value)
    for name in needed:
        if name not in entry:
            raise ValueError(f"{where} lacks {name}: expected {', '.join(needed)}")


def _texts(where: str, value: Any) -> None:
    check_list(where, value, str)


def _words(where: str, value: Any) -> None:
    if value != "":
        check_text(where, value)


def _two_texts(where: str, value: Any) -> None:
    if len(check_list(where, value, str)) != 2:
        raise ValueError(f"{where}={value!r}: expected two texts")


def _flag(where: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{where}={value!r}: expected true or false")


def _size(where: str, value: Any) -> None:
    check_number(where, value, low=1, integer=True)


def _sizes(where: str, value: Any) -> None:
    for split, n in check_table(where, value).items():
        _size(f"{where}: {split}", n)


def _each(check: _Check, where: str, value: Any) -> None:
    if not check_list(where, value, dict):
        raise ValueError(f"{where}=[]: expected at least one")
    for number, entry in enumerate(value):
        check(f"{where}/{number}", entry)


def _by_split(where: str, value: Any) -> None:
    for split, file in check_table(where, value).items():
        _FILE(f"{where}: {split}", file)


def _below(where: str, value: Any) -> None:
    # It is joined to the data folder and must not lead out of it.
    parts = check_text(where, value).split("/")
    if {"", ".", ".."} & set(parts) or not value.isprintable() or "\\" in value:
        raise ValueError(f"{where}={value!r}: expected a path below the data folder")


def _sha256(where: str, value: Any) -> None:
    if not _SHA256.fullmatch(check_text(where, value)):
        raise ValueError(f"{where}={value!r}: expected 64 hexadecimal digits")


def _url(where: str, value: Any) -> None:
    if not check_text(where, value).startswith(("http://", "https://")):
        raise ValueError(f"{where}={value!r}: expected a url of http or https")


def _views_entry(where: str, entry: Any) -> None:
    _entry(_VIEWS_NEEDED, _VIEWS_MAY, where, entry)
    names = [view["name"] for view in entry["views"]]
    for name in entry["default_views"]:
        check_choice(f"{where}: default_views", name, names)
    if not entry["default_views"]:
        raise ValueError(f"{where}: default_views=[]: expected some of {', '.join(names)}")


def _images_entry(where: str, entry: Any) -> None:
    _entry(_IMAGES_NEEDED, _IMAGES_MAY, where, entry)
    names, imagenet = entry.get("class_names", []), entry["reader"] == "imagenet"
    if ("synsets" in entry or bool(names)) and imagenet == bool(names):
        raise ValueError(
            f"{where}: expected synsets with the reader 'imagenet', class_names else"
        )
    if not (imagenet or names) or entry.get("synsets") == []:
        raise ValueError(f"{where}: expected at least one class")
    if len(entry.get("prompt_names", names)) != len(names):
        raise ValueError(f"{where}: prompt_names: expected {len(names)}, one a class")


def _synsets(path: Path) -> set[str]:
    rows = csv.DictReader(read_text(path).splitlines())
    columns = ("wnid", "class_name", "prompt_name")
    if any(name not in (rows.fieldnames or ()) for name in columns):
        raise ValueError(f"{path.name}: expected the columns {', '.join(columns)}")
    return {row["wnid"] for row in rows}


_FILE = partial(_entry, {"file": _below}, {"sha256": _sha256, "bytes": _size, "url": _url})
_VIEW = partial(_entry, {"name": check_text, "meaning": _words, "dim": _size}, {})
_FILES = partial(_each, _FILE)
_WORDS = dict.fromkeys(("title", "licence", "citation", "how_to_get"), _words)
_SHARED = {**_WORDS, "about": _words, "source": _words, "files": _FILES}
_VIEWS_NEEDED = {
    **_SHARED,
    "views": partial(_each, _VIEW),
    "default_views": _texts,
    "n_samples": _size,
    "n_clusters": _size,
    "loader": check_text,
    "layout": check_table,
}
_VIEWS_MAY = {"class_names": _texts, "caveats": _texts, "embedded": _FILE}
_IMAGES_NEEDED = {**_SHARED, "n_samples": _sizes, "resize": _size, "reader": check_text}
_IMAGES_MAY = {
    **dict.fromkeys(("class_names", "prompt_names", "synsets", "caveats"), _texts),
    "resize_source": _words,
    "embedded": _flag,
    "layout": check_table,
    "packed": _by_split,
}
_PAIRS_NEEDED = {
    **_SHARED,
    "modalities": _two_texts,
    "n_samples": _sizes,
    "caveats": _texts,
    "reader": check_text,
    "layout": check_table,
}
_REGISTRIES: dict[str, _Check] = {
    "registry.toml": _views_entry,
    "image_sets.toml": _images_entry,
    "pair_sets.toml": partial(_entry, _PAIRS_NEEDED, {"embedded": _flag}),
    "words.toml": partial(_entry, {**_WORDS, "files": _FILES}, {}),
}
