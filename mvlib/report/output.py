"""What clustering a folder gives, and its two files: both are written, or neither."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mvlib.files import replacing
from mvlib.report.groups import GroupName, NumberOfClusters
from mvlib.report.image_folder import SkippedFile, printable


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
    n_other: int
    n_asked: int
    suggestion: NumberOfClusters | None
    method: str
    encoder: str
    words: str
    random_state: int | None
    max_pixels: int
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


REPORT_NAME, TABLE_NAME = "report.html", "labels.csv"
COLUMNS = ("file", "cluster", "cluster_name", "confidence")
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
    for name, mark in ((TABLE_NAME, ",".join(COLUMNS)), (REPORT_NAME, GENERATOR)):
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
    except BaseException:
        for each in made:
            if each.is_dir() and not any(each.iterdir()):
                each.rmdir()
        raise
    return replace(result, table=table, report=report)


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
