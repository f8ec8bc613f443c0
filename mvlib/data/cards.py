"""What is known of each data set, read from `registry.toml`."""

from __future__ import annotations

import csv
import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from mvlib.check import check_choice, check_schema
from mvlib.files import read_text, read_toml

KINDS = ("views", "images", "pairs")
_IMAGENET = "imagenet_classes.csv"
_SCHEMAS = Path(__file__).parent


@dataclass(frozen=True)
class View:
    """One view of a data set: its name, what its features are, how many they are."""

    name: str
    meaning: str
    dim: int


@dataclass(frozen=True)
class DataFile:
    """One file of a data set; None stands for what is unknown.

    Attributes
    ----------
    file, bytes : str, and int or None
        Its name in the data folder, and its size.
    sha256 : str or None
        Of its bytes, in hexadecimal; None where no trusted copy was seen.
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
    kind : {"views", "images", "pairs"}
        What `mvlib.data.load`, `load_images` and `load_pairs` load.
    n_samples : int, or mapping of str to int
        Of views: rows. Of images and pairs: split to number, in the order of the file; of
        images "test" is clustered; of pairs "all" stands where there are no splits, and nothing
        where a user's own arrays decide.
    licence, citation, source, how_to_get : str
        Terms, whom to cite, where the set comes from, what a user does to obtain the files.
    files : tuple of DataFile
        What the set is read from: the original files, those that ship, or the folders that a
        user supplies (without sha256 and url).
    reader, layout : str and mapping
        How the files are read; see `mvlib.data.readers`.
    caveats : tuple of str
        What is inferred, disputed or easily mistaken.
    embedded, embedded_file : bool, and DataFile or None
        Whether the set ships with mvlib; of views, the file that they are packed in.
    packed : mapping of str to DataFile
        Of images: split to a file that is read where there is no archive.
    n_clusters, class_names : int or None, and tuple of str
        Classes, and their names in the order of the labels; None and empty where the file does
        not say.
    prompt_names : tuple of str
        Of images: what stands for each class in a prompt.
    resize, resize_source : int or None, and str
        Of images: pixels of the shorter side before the centre crop, and whose rule that is;
        empty where it follows from the images.
    views, default_views : tuple of View, and of str
        In the order of the file; and what `mvlib.data.load` gives unless told otherwise, the
        first being the one whose labels score.
    modalities : tuple of str
        Of pairs: what is paired, such as "image" and "text".
    """

    name: str
    title: str
    about: str
    kind: str
    n_samples: int | Mapping[str, int]
    licence: str
    citation: str
    source: str
    files: tuple[DataFile, ...]
    how_to_get: str
    reader: str
    layout: Mapping[str, Any] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()
    embedded: bool = False
    embedded_file: DataFile | None = None
    packed: Mapping[str, DataFile] = field(default_factory=dict)
    n_clusters: int | None = None
    class_names: tuple[str, ...] = ()
    prompt_names: tuple[str, ...] = ()
    resize: int | None = None
    resize_source: str = ""
    views: tuple[View, ...] = ()
    default_views: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()

    @property
    def splits(self) -> dict[str, int]:
        """Split to number of samples; views have one split, without a name."""
        sizes = self.n_samples
        return {"": sizes} if isinstance(sizes, int) else dict(sizes)

    @property
    def short_title(self) -> str:
        """The title as tables and figures have room for it."""
        return self.title.split(" (")[0].split(",")[0]

    @property
    def is_supplied(self) -> bool:
        """Whether a user has to bring the files."""
        return not self.embedded and not all(file.url for file in self.files)


@cache
def _cards() -> dict[str, Card]:
    folder = Path(__file__).parent
    text = (folder / "registry.toml").read_text(encoding="utf-8")
    classes = _imagenet_classes(folder)
    return {name: _card(name, entry, classes) for name, entry in tomllib.loads(text).items()}


def _card(name: str, entry: dict[str, Any], classes: dict[str, tuple[str, str]]) -> Card:
    if entry["reader"] == "imagenet":
        synsets = tuple(entry.pop("synsets", classes))
        entry["layout"] = {**entry.get("layout", {}), "synsets": synsets}
        names, prompts = zip(*(classes[synset] for synset in synsets), strict=True)
        entry |= {"class_names": names, "prompt_names": prompts}
    elif entry["reader"] == "ucf101":
        # A space before each capital that follows a small letter.
        entry["prompt_names"] = [
            re.sub(r"(?<=[a-z])(?=[A-Z])", " ", each) for each in entry["class_names"]
        ]
    if entry["kind"] == "images":
        entry["n_clusters"] = len(entry["class_names"])
        entry["prompt_names"] = entry.get("prompt_names") or entry["class_names"]
    embedded = entry.pop("embedded", False)
    files = tuple(DataFile(**file) for file in entry.pop("files"))
    packed = {split: DataFile(**file) for split, file in entry.pop("packed", {}).items()}
    views = tuple(View(**view) for view in entry.pop("views", ()))
    others: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in entry.items()
    }
    return Card(
        name=name,
        files=files,
        packed=packed,
        views=views,
        embedded=bool(embedded),
        embedded_file=DataFile(**embedded) if isinstance(embedded, dict) else None,
        **others,
    )


def _imagenet_classes(folder: Path) -> dict[str, tuple[str, str]]:
    """Return synset to class name and prompt name, in the order of the synsets."""
    rows = csv.DictReader(read_text(folder / _IMAGENET).splitlines())
    columns = ("wnid", "class_name", "prompt_name")
    if any(name not in (rows.fieldnames or ()) for name in columns):
        raise ValueError(f"{_IMAGENET}: expected the columns {', '.join(columns)}")
    return {row["wnid"]: (row["class_name"], row["prompt_name"]) for row in rows}


def all_names(kind: str | None = None) -> list[str]:
    """Return the names of the sets, in the order of the registry.

    Parameters
    ----------
    kind : {"views", "images", "pairs"}, optional
        Only those of `mvlib.data.load`, `load_images` or `load_pairs`; by default all, in that
        order. Another one is a ValueError.
    """
    if kind is not None:
        check_choice("kind", kind, KINDS)
    return [name for name, card in _cards().items() if kind in (None, card.kind)]


def describe(name: str, kind: str | None = None) -> Card:
    """Return the card of a set; ValueError, with the nearest name, if there is none.

    Parameters
    ----------
    name : str
        One of `all_names(kind)`; case does not matter, and `_` or a space stand for `-`.
    kind : {"views", "images", "pairs"}, optional
        Of which kind it must be; of any by default.
    """
    plain = str(name).lower().replace("_", "-").replace(" ", "-")
    return _cards()[check_choice("name", plain, all_names(kind))]


def fingerprint_of(name: str) -> str:
    """Return one sha256, in hexadecimal, for the bytes of a set, named as in `describe`.

    It is read from the registry, without opening a data file, so that it is the same on every
    machine: the sha256 over the sorted sha256s of all files that the set may be read from. What
    a user supplies, and a file of which no trusted copy was seen, counts with its name instead:
    the fingerprint of such a set does not follow its bytes, and the `sha256` of what is loaded
    does.
    """
    card = describe(name)
    files = (card.embedded_file,) if card.embedded_file else card.files
    unknown = "unknown" if card.kind == "views" else f"unknown {card.name}"
    return combine(
        file.sha256 or f"{unknown} {file.file}" for file in (*files, *card.packed.values())
    )


def combine(sha256s: Iterable[str]) -> str:
    """Return the sha256 over sorted sha256s, one a line."""
    return hashlib.sha256("\n".join(sorted(sha256s)).encode()).hexdigest()


def check_registries(folder: str | Path | None = None) -> None:
    """Check the registries in `folder`, those that ship by default, by their schemas.

    Their readers trust them; this ValueError says by file and place what was changed amiss.
    """
    folder = Path(folder) if folder is not None else _SCHEMAS
    registry, words = (read_toml(folder / f"{name}.toml") for name in ("registry", "words"))
    check_schema("registry.toml", registry, _SCHEMAS / "registry.schema.json")
    check_schema("words.toml", words, _SCHEMAS / "words.schema.json")
    classes = _imagenet_classes(folder)
    for name, entry in registry.items():
        where = f"registry.toml: {name}"
        for view in entry.get("default_views", ()):
            check_choice(f"{where}: default_views", view, [v["name"] for v in entry["views"]])
        for synset in entry.get("synsets", ()):
            if synset not in classes:
                raise ValueError(f"{where}: synsets={synset!r}: expected some of {_IMAGENET}")
        n_classes, prompts = len(entry.get("class_names", ())), entry.get("prompt_names")
        if prompts is not None and len(prompts) != n_classes:
            raise ValueError(f"{where}: prompt_names: expected {n_classes}, one a class")
