"""What clustering a folder gives, and its two files: both are written, or neither."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mvlib.files import replacing
from mvlib.methods import GroupName
from mvlib.report.groups import NumberOfClusters
from mvlib.report.image_folder import ImageFolder, SkippedFile, printable


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


REPORT_NAME, TABLE_NAME, SKIPPED_NAME = "report.html", "labels.csv", "skipped.csv"
COLUMNS = ("file", "cluster", "cluster_name", "confidence")
SKIPPED_COLUMNS = ("file", "reason")
GENERATOR = "mvlib cluster"
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def report_paths(out: str | Path) -> tuple[Path, Path]:
    """Return the table's and the report's place, if nothing else is lost by writing them."""
    folder = nearest = Path(out)
    while not os.path.lexists(nearest) and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise ValueError(f"out={str(out)!r}: {str(nearest)!r} is not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ValueError(f"out={str(out)!r}: {str(nearest)!r} cannot be written to")
    marks = {TABLE_NAME: ",".join(COLUMNS), SKIPPED_NAME: ",".join(SKIPPED_COLUMNS)}
    for name, mark in (marks | {REPORT_NAME: GENERATOR}).items():
        if os.path.lexists(folder / name) and not _starts_with(folder / name, mark):
            raise ValueError(
                f"out={str(out)!r} holds a {name} that this command did not write: "
                "expected another folder, or move that file"
            )
    return folder / TABLE_NAME, folder / REPORT_NAME


def write_report(result: FolderClustering, table: Path, report: Path) -> FolderClustering:
    """Write both files, or neither, and return the result with their paths."""
    from mvlib.report.html import report_html

    page, folder = report_html(result), report.parent
    # From the inside out.
    made = [part for part in (folder, *folder.parents) if not part.exists()]
    try:
        # Both are whole under temporary names before the first takes its own.
        with replacing(report) as temporary_report, replacing(table) as temporary_table:
            temporary_report.write_text(page, encoding="utf-8")
            write_table(temporary_table, result)
            write_skipped(result, table)
    except BaseException:
        for each in made:
            if each.is_dir() and not any(each.iterdir()):
                each.rmdir()
        raise
    return replace(result, table=table, report=report)


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
