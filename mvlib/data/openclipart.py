"""The Open Clip Art drawings that ship with mvlib, and the captions of those beside them."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from mvlib.files import embedded_data, shipped_file

FOLDER, INDEX, PAIRS = "openclipart", "index.csv", "openclipart_pairs.csv"
_PAIRS_SHA256 = "318ab03fadf41ddfc5cdee85e74aa6a2d07f0a51260ad5f6fa565a05ced5e921"
_INDEX_COLUMNS = ("file", "label", "title", "caption", "sha256", "source")
_PAIRS_COLUMNS = ("id", "title", "caption", "source")


@dataclass(frozen=True)
class ImageTextPairs:
    """What is said of images that do not ship themselves.

    Attributes
    ----------
    ids : tuple of str
        Names of the images' files, without suffix, in their fixed order.
    captions : tuple of str
        One an image: title and keywords, without the words of the folders that hold it.
    titles : tuple of str
        As their authors wrote them; some are empty.
    """

    ids: tuple[str, ...]
    captions: tuple[str, ...]
    titles: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)


def read_openclipart() -> tuple[list[Path], np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """Return the embedded evaluation set of Open Clip Art drawings.

    These are the files (128 x 128 PNG on white, sorted by class), their classes, int64,
    the sorted names of the classes, and captions without those names. Each image's sha256 is
    checked against the index when the set is first read.
    """
    paths, y, class_names, captions = _read_index(embedded_data() / FOLDER)
    return list(paths), y.copy(), class_names, captions


def openclipart_pairs() -> ImageTextPairs:
    """Return captions and titles of the drawings outside the evaluation set, in a fixed order.

    Their images do not ship; `data/build_openclipart.py` makes them. None of them is near to a
    drawing of the evaluation set. A file that is missing, or not the one that ships, is a
    FileNotFoundError or ValueError.
    """
    return _read_pairs(embedded_data() / PAIRS)


@cache
def _read_index(
    folder: Path,
) -> tuple[tuple[Path, ...], np.ndarray, tuple[str, ...], tuple[str, ...]]:
    rows = _rows(shipped_file(folder / INDEX), _INDEX_COLUMNS)
    paths = tuple(shipped_file(folder / row["file"], row["sha256"]) for row in rows)
    class_names, y = np.unique([row["label"] for row in rows], return_inverse=True)
    captions = tuple(row["caption"] for row in rows)
    return paths, y.astype(np.int64), tuple(map(str, class_names)), captions


@cache
def _read_pairs(path: Path) -> ImageTextPairs:
    rows = _rows(shipped_file(path, _PAIRS_SHA256), _PAIRS_COLUMNS)
    columns = ([row[name] for row in rows] for name in ("id", "caption", "title"))
    return ImageTextPairs(*map(tuple, columns))


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(path.read_bytes().decode(), newline=""))
    if tuple(reader.fieldnames or ()) != columns:
        raise ValueError(
            f"{path} has columns {reader.fieldnames}: expected {', '.join(columns)}"
        )
    rows = list(reader)
    if not rows:
        raise ValueError(f"{path} has no rows: restore it or install mvlib again")
    return rows
