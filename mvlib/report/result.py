"""What clustering a folder gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mvlib.report.choose_k import NumberOfClusters
from mvlib.report.image_folder import SkippedFile
from mvlib.report.naming import GroupName


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
