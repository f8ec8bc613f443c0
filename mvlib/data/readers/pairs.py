"""Reading pairs: captions in Karpathy's layout, classes by lists, arrays row by row.

A file of captions is JSON: `{"images": [...]}`, an entry an image, with `filename`, `split`,
`sentences` (each with its text under `raw`) and, in COCO, `filepath`, the folder of the
image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mvlib.check import check_labels, check_views
from mvlib.data.cards import Card
from mvlib.data.readers.images import lines_of
from mvlib.files import NotJSON, check_file, read_json, reading


def read_captions(
    path: Path, images: Path
) -> tuple[list[Path], list[tuple[str, ...]], np.ndarray]:
    """Return the images of a file of captions, in its order, with their captions and splits.

    Names are looked up in the folder `images`, whether they exist there or not. Another layout,
    or an image without a caption or with an empty one, is a ValueError.
    """
    try:
        content = read_json(path, str(path))
    except NotJSON as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    entries = content.get("images") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path} holds no list 'images': expected Karpathy's layout")
    rows = [_entry(path, i, entry) for i, entry in enumerate(entries)]
    names, captions, splits = zip(*rows, strict=True)
    return [images / name for name in names], list(captions), np.array(splits)


def _entry(path: Path, i: int, entry: Any) -> tuple[str, tuple[str, ...], str]:
    try:
        name = f"{_text(entry.get('filepath', '.'))}/{_text(entry['filename'])}"
        captions = tuple(_text(sentence["raw"]) for sentence in entry["sentences"])
        split = _text(entry["split"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: images[{i}] is not of Karpathy's layout ({type(error).__name__}: {error})"
            ": expected filename, split, and sentences, each with its text under raw"
        ) from error
    if not captions:
        raise ValueError(f"{path}: images[{i}], {name}, has no caption: expected one or more")
    return name, captions, split


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{value!r} is no text")
    return value.strip()


def read_classes(folder: Path, images: Sequence[Path]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the classes of images, int64, and their sorted names, as RSICD lists them.

    In `folder` a text file, named after its class, names an image a line; ValueError if one is
    in no list, or in two.
    """
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.txt")):
        for line in lines_of(path):
            if found.setdefault(line, path.stem) != path.stem:
                raise ValueError(
                    f"{folder}: {line!r} is listed as {found[line]} and {path.stem}"
                )
    missing = [image.name for image in images if image.name not in found]
    if missing:
        raise ValueError(
            f"{folder} lists no class of {missing[0]!r} ({len(missing)} of {len(images)} "
            "images are in no list); move the folder away to load the images without classes"
        )
    names, y = np.unique([found[image.name] for image in images], return_inverse=True)
    return y.astype(np.int64), tuple(map(str, names))


def read_arrays(
    folder: Path, layout: Mapping[str, Any]
) -> tuple[list[np.ndarray], np.ndarray | None]:
    """Read two arrays of features, float32, and, where there is such a file, labels.

    `layout`: `arrays`, two .npy files, row i of both the same thing; `labels`, a third. Labels
    are coded 0, 1, ... in the order of their values.
    """
    Xs = []
    for name in layout["arrays"]:
        Xs += check_views([_array(folder / name)], argument=str(folder / name))
    check_views(Xs, minimum=2, argument=str(folder))
    labels = folder / layout["labels"]
    if not labels.is_file():
        return Xs, None
    return Xs, check_labels(_array(labels), len(Xs[0]), argument=str(labels))


def read_shipped(card: Card, path: Path) -> list[np.ndarray]:
    """Read the two arrays of features that an npz holds, as float32."""
    with reading(path, "npz of features"), np.load(path, allow_pickle=False) as stored:
        found = [stored[card.layout[part]] for part in ("images", "texts")]
    return check_views(found, minimum=2, argument=str(path))


def _array(path: Path) -> np.ndarray:
    with reading(path, ".npy file of numbers or texts"), check_file(path).open("rb") as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)
