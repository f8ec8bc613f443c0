"""What is known of each image set, read from `image_sets.toml`."""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mvlib._validation import check_choice
from mvlib.data.registry import DataFile, combine


@dataclass(frozen=True)
class ImageCard:
    """What a reader needs to know of an image set.

    Attributes
    ----------
    name, title, about : str
        How to load it, what it is called, what it holds.
    n_samples : mapping of str to int
        Split to number of images; "test" is the one that is clustered.
    class_names : tuple of str
        In the order of the labels.
    prompt_names : tuple of str
        What stands for each class in a prompt; the class names where they will do.
    resize : int
        Pixels of the shorter side before the centre crop.
    resize_source : str
        Whose rule that is; empty where it follows from the images.
    licence, citation, source : str
        Terms, whom to cite, where the set comes from.
    files : tuple of DataFile
        The archives, the index that ships, or the folder that a user supplies (without
        sha256 and url). A reader is given the first; the others lie in the same folder.
    packed : mapping of str to DataFile
        Split to a file that is read instead of the archive where there is no archive.
    embedded : bool
        Whether the set ships with mvlib.
    how_to_get : str
        What a user does to obtain the files.
    caveats : tuple of str
        What is inferred, disputed or easily mistaken.
    reader, layout : str and mapping
        How the files are read; see `mvlib.data.image_readers`.
    """

    name: str
    title: str
    about: str
    n_samples: Mapping[str, int]
    class_names: tuple[str, ...]
    prompt_names: tuple[str, ...]
    resize: int
    resize_source: str
    licence: str
    citation: str
    source: str
    files: tuple[DataFile, ...]
    packed: Mapping[str, DataFile]
    embedded: bool
    how_to_get: str
    caveats: tuple[str, ...]
    reader: str
    layout: Mapping[str, Any]

    @property
    def n_clusters(self) -> int:
        """Number of classes."""
        return len(self.class_names)


@cache
def _cards() -> dict[str, ImageCard]:
    text = Path(__file__).with_name("image_sets.toml").read_text(encoding="utf-8")
    return {name: _card(name, entry) for name, entry in tomllib.loads(text).items()}


def _card(name: str, entry: dict[str, Any]) -> ImageCard:
    layout = entry.pop("layout", {})
    class_names = entry.pop("class_names", ())
    prompt_names = entry.pop("prompt_names", ())
    if entry["reader"] == "imagenet":
        table = _imagenet_classes()
        synsets = tuple(entry.pop("synsets", table))
        layout = {**layout, "synsets": synsets}
        class_names, prompt_names = zip(*(table[synset] for synset in synsets), strict=True)
    elif entry["reader"] == "ucf101":
        # A space before each capital that follows a small letter.
        prompt_names = [re.sub(r"(?<=[a-z])(?=[A-Z])", " ", each) for each in class_names]
    return ImageCard(
        name=name,
        class_names=tuple(class_names),
        prompt_names=tuple(prompt_names or class_names),
        files=tuple(DataFile(**file) for file in entry.pop("files")),
        packed={split: DataFile(**file) for split, file in entry.pop("packed", {}).items()},
        embedded=entry.pop("embedded", False),
        resize_source=entry.pop("resize_source", ""),
        caveats=tuple(entry.pop("caveats", ())),
        layout=layout,
        **entry,
    )


@cache
def _imagenet_classes() -> dict[str, tuple[str, str]]:
    """Return synset to class name and prompt name, in the order of the synsets."""
    path = Path(__file__).with_name("imagenet_classes.csv")
    with open(path, encoding="utf-8", newline="") as stream:
        return {
            row["wnid"]: (row["class_name"], row["prompt_name"])
            for row in csv.DictReader(stream)
        }


def list_image_sets() -> list[str]:
    """Return the names of the image sets, in the order of their registry."""
    return list(_cards())


def image_card(name: str) -> ImageCard:
    """Return the card of an image set.

    Parameters
    ----------
    name : str
        One of `list_image_sets()`; case does not matter, and `_` or a space stand for `-`.

    Raises
    ------
    ValueError
        If there is no such set; the nearest name is given.
    """
    plain = str(name).lower().replace("_", "-").replace(" ", "-")
    return _cards()[check_choice("name", plain, _cards())]


def image_fingerprint(name: str) -> str:
    """Return one sha256 that stands for the bytes of an image set.

    It is read from the registry, without opening a data file: the sha256 over the sorted
    sha256s of all files that the set may be read from, so that it is the same on every
    machine. What a user supplies has no known sha256 and counts with its name, so the
    fingerprint of such a set does not follow its bytes. `ImageDataset.sha256` is that of
    what was read.

    Parameters
    ----------
    name : str
        As for `image_card`.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    ValueError
        If there is no such set.
    """
    about = image_card(name)
    files = (*about.files, *about.packed.values())
    return combine(file.sha256 or f"unknown {about.name} {file.file}" for file in files)
