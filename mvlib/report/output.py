"""What clustering a folder gives, and its files: all are written, or none."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mvlib import __version__
from mvlib.files import read_json, replacing, sha256_of
from mvlib.methods import GroupName
from mvlib.report.curate.edits import EDITS_FORMAT, Edits
from mvlib.report.curate.find import Findings
from mvlib.report.curate.keep import assign, save
from mvlib.report.groups import NumberOfClusters
from mvlib.report.image_folder import (
    THUMBS,
    ImageFolder,
    SkippedFile,
    printable,
    thumbnails_beside,
)


@dataclass(frozen=True)
class FolderClustering:
    """Named groups of the images of a folder."""

    directory: Path
    files: tuple[str, ...]
    labels: np.ndarray
    groups: tuple[GroupName, ...]
    confidence: np.ndarray
    next_group: np.ndarray
    embedding: np.ndarray
    skipped: tuple[SkippedFile, ...]
    others: tuple[str, ...]
    notes: Mapping[str, tuple[str, ...]]
    n_asked: int
    suggestion: NumberOfClusters | None
    method: str
    encoder: str
    words: str
    random_state: int | None
    max_pixels: int
    channels: tuple[int, ...] | None = None
    looked_at: str = ""
    features: np.ndarray | None = None
    digests: tuple[str, ...] = ()
    found: Findings | None = None
    kept_in: Path | None = None
    edits: Edits | None = None
    report: Path | None = None
    table: Path | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Return the title of each group."""
        return tuple(group.title for group in self.groups)

    @property
    def sizes(self) -> np.ndarray:
        """Return the number of images of each group."""
        return np.bincount(self.labels, minlength=len(self.groups))

    assign, save = assign, save


REPORT_NAME, TABLE_NAME, SKIPPED_NAME = "report.html", "labels.csv", "skipped.csv"
GROUPS_NAME, VECTORS_NAME, EDITS_NAME = "groups.json", "embeddings.jsonl", "edits.json"
GROUPS_FORMAT = "mvlib groups 1"
COLUMNS = ("file", "cluster", "cluster_name", "confidence")
SKIPPED_COLUMNS = ("file", "reason")
GENERATOR = "mvlib cluster"
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


_MARKS = {
    TABLE_NAME: ",".join(COLUMNS),
    SKIPPED_NAME: ",".join(SKIPPED_COLUMNS),
    REPORT_NAME: GENERATOR,
    GROUPS_NAME: GROUPS_FORMAT,
    VECTORS_NAME: '{"file": ',
    EDITS_NAME: EDITS_FORMAT,
}


def report_paths(out: str | Path) -> tuple[Path, ...]:
    """Return the place of each file and folder of a report, if nothing else is lost by it."""
    folder = nearest = Path(out)
    while not os.path.lexists(nearest) and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise ValueError(f"out={str(out)!r}: {str(nearest)!r} is not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ValueError(f"out={str(out)!r}: {str(nearest)!r} cannot be written to")
    for name, mark in _MARKS.items():
        if os.path.lexists(folder / name) and not _starts_with(folder / name, mark):
            raise ValueError(
                f"out={str(out)!r} holds a {name} that this command did not write: "
                "expected another folder, or move that file"
            )
    if os.path.lexists(folder / TABLE_NAME) and not _is_as_written(folder):
        raise ValueError(
            f"out={str(out)!r} holds a {TABLE_NAME} that was changed since it was written: "
            "expected another folder, or move that file"
        )
    if os.path.lexists(folder / THUMBS) and not (folder / THUMBS).is_dir():
        raise ValueError(f"out={str(out)!r} holds a file {THUMBS}: expected a folder, or none")
    return tuple(folder / name for name in (*_MARKS, THUMBS))


def write_report(
    result: FolderClustering, out: str | Path, *, vectors: bool = False
) -> FolderClustering:
    """Write all files to a folder, or none, and return the result with the paths of two."""
    from mvlib.report.html import report_html, rows_inside

    folder = Path(out)
    rows = set(range(len(result.digests))).difference(*rows_inside(result))
    outside = {row: (result.files[row], result.digests[row]) for row in sorted(rows)}
    settings = {"max_pixels": result.max_pixels, "channels": result.channels}
    # One of earlier groups would not fit those beside it.
    wanted = {VECTORS_NAME: vectors or (folder / VECTORS_NAME).exists()}
    wanted |= {EDITS_NAME: result.edits is not None, SKIPPED_NAME: False}
    # From the inside out.
    made = [p for p in (folder / THUMBS, folder, *folder.parents) if not p.exists()]
    try:
        with ExitStack() as whole:
            copies = thumbnails_beside(folder / THUMBS, result.directory, outside, **settings)
            thumbs = whole.enter_context(copies)
            page = report_html(result, beside=folder, thumbs=thumbs)
            # All are whole under temporary names before the first takes its own.
            new = {
                name: whole.enter_context(replacing(folder / name))
                for name in _MARKS
                if wanted.get(name, True)
            }
            new[REPORT_NAME].write_text(page, encoding="utf-8")
            write_table(new[TABLE_NAME], result)
            said = groups_content(result) | {"labels_sha256": sha256_of(new[TABLE_NAME])}
            new[GROUPS_NAME].write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
            if VECTORS_NAME in new:
                _write_vectors(new[VECTORS_NAME], result)
            if result.edits:
                said = json.dumps(result.edits.content(), indent=1) + "\n"
                new[EDITS_NAME].write_text(said, encoding="utf-8")
            write_skipped(result, folder / TABLE_NAME)
    except BaseException:
        for each in made:
            if each.is_dir() and not any(each.iterdir()):
                each.rmdir()
        raise
    return replace(result, table=folder / TABLE_NAME, report=folder / REPORT_NAME)


def groups_content(result: FolderClustering) -> dict[str, Any]:
    """Return groups and images as `curate/groups.schema.json` describes them."""
    files, found = [printable(file) for file in result.files], result.found
    made = {name: getattr(result, name) for name in ("method", "encoder", "words", "n_asked")}
    groups = zip(result.names, result.sizes.tolist(), result.groups, strict=True)
    columns = result.labels + 1, result.confidence.round(4), result.next_group + 1
    images = zip(files, *(column.tolist() for column in columns), strict=True)
    return {
        "format": GROUPS_FORMAT,
        "directory": printable(str(result.directory.resolve())),
        "made": {"version": __version__, "seed": result.random_state, **made},
        "groups": [
            {"number": number, "name": name, "size": size}
            | {"words": list(group.nouns), "captions": list(group.captions)}
            for number, (name, size, group) in enumerate(groups, 1)
        ],
        "images": [
            {"file": file, "group": group, "confidence": sure, "next_group": rival or None}
            for file, group, sure, rival in images
        ],
        "repeats": [
            {"kind": repeat.kind, "files": [files[row] for row in repeat.rows]}
            | {"sharpest": files[repeat.sharpest]}
            for repeat in (found.repeats if found else ())
        ],
        "odd": [files[row] for row in (found.odd if found else ())],
        "skipped": [{"file": printable(i.file), "reason": i.reason} for i in result.skipped],
    }


def _is_as_written(folder: Path) -> bool:
    try:
        known = read_json(folder / GROUPS_NAME)["labels_sha256"]
    except (OSError, ValueError, LookupError, TypeError):
        return False
    return sha256_of(folder / TABLE_NAME) == known


def _write_vectors(path: Path, result: FolderClustering) -> None:
    with open(path, "w", encoding="utf-8") as stream:
        rows = zip(result.files, result.labels.tolist(), result.embedding, strict=True)
        for file, label, vector in rows:
            row = {"file": printable(file), "cluster": label + 1}
            row |= {"cluster_name": result.names[label], "vector": vector.tolist()}
            stream.write(json.dumps(row) + "\n")


def write_skipped(result: FolderClustering | ImageFolder, table: Path) -> Path:
    """Write beside a table what was left out, with reasons, and return its path."""
    path = table.with_name(SKIPPED_NAME)
    rows = [(item.file, item.reason) for item in result.skipped]
    rows += [(file, "no image, by its name") for file in result.others]
    with (
        replacing(path) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as out,
    ):
        csv.writer(out, lineterminator="\n").writerow(SKIPPED_COLUMNS)
        lines = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
        lines.writerows(
            (_no_formula(printable(file), "./"), said) for file, said in sorted(rows)
        )
    return path


def write_table(path: str | Path, result: FolderClustering) -> None:
    """Write the group of each image as comma-separated values in UTF-8.

    No cell is a formula: such a file name gets "./" before it, such a group name an apostrophe.
    """
    with open(path, "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerow(COLUMNS)
        # Quoted throughout, since some spreadsheets split at semicolons as well.
        rows = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        for row, file in enumerate(result.files):
            group = int(result.labels[row])
            named = _no_formula(printable(file), "./"), _no_formula(result.names[group], "'")
            confidence = round(float(result.confidence[row]), 4)
            rows.writerow((named[0], group + 1, named[1], confidence))


def _no_formula(text: str, prefix: str) -> str:
    return prefix + text if text.startswith(_FORMULA_STARTS) else text


def _starts_with(path: Path, mark: str) -> bool:
    try:
        with open(path, "rb") as stream:
            return mark.encode() in stream.read(400)
    except OSError:
        return False
