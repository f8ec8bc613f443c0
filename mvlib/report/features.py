"""From the files of a folder to one row of features each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from tqdm.auto import tqdm

from mvlib.report.decoding import MAX_PIXELS, UnreadableImage, open_images, square_enough
from mvlib.report.image_folder import ImageFolder, SkippedFile

if TYPE_CHECKING:
    from mvlib.encoders import Encoder

_BATCH = 64


def encode_folder(
    folder: ImageFolder, encoder: Encoder, *, max_pixels: int = MAX_PIXELS
) -> tuple[np.ndarray, ImageFolder]:
    """Return the features of a folder's images and the folder without those that failed."""
    kept: list[str] = []
    failed: list[SkippedFile] = []
    rows: list[np.ndarray] = []
    with tqdm(total=len(folder.files), desc="images", unit="", disable=None) as bar:
        for start in range(0, len(folder.files), _BATCH):
            names = folder.files[start : start + _BATCH]
            batch = []
            opened = open_images(
                [folder.directory / name for name in names], max_pixels=max_pixels
            )
            for name, image in zip(names, opened, strict=True):
                if isinstance(image, UnreadableImage):
                    failed.append(SkippedFile(name, str(image)))
                else:
                    kept.append(name)
                    batch.append(square_enough(image))
            if batch:
                rows.append(np.asarray(encoder.encode_images(batch), dtype=np.float32))
            bar.update(len(names))
    features = np.concatenate(rows) if rows else np.empty((0, encoder.dim), np.float32)
    skipped = sorted((*folder.skipped, *failed), key=lambda item: item.file)
    return features, replace(folder, files=tuple(kept), skipped=tuple(skipped))
