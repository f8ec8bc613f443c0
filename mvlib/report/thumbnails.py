"""Small copies of images, inside the page that shows them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from mvlib.report.decoding import MAX_PIXELS, UnreadableImage, open_images

PER_GROUP = 60
MAX_THUMBNAILS = 1500
MAX_BYTES = 18_000_000
# Longest side in pixels and WebP quality: the first that fits into MAX_BYTES is used.
_SIZES = ((320, 75), (224, 65), (160, 50), (96, 40))
_BATCH = 64


def rows_to_show(labels: np.ndarray, confidence: np.ndarray) -> list[np.ndarray]:
    """Return which images of each group to show, the most certain first."""
    n_groups = int(labels.max()) + 1
    most = min(PER_GROUP, max(1, MAX_THUMBNAILS // n_groups))
    shown = []
    for group in range(n_groups):
        rows = np.flatnonzero(labels == group)
        rows = rows[np.argsort(-confidence[rows], kind="stable")]
        if len(rows) > most:
            last = most // 3
            rows = np.concatenate([rows[: most - last], rows[len(rows) - last :]])
        shown.append(rows if group < MAX_THUMBNAILS else rows[:0])
    return shown


def thumbnail_uris(
    directory: str | Path,
    files: Sequence[str],
    rows: Sequence[int],
    *,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
) -> dict[int, str]:
    """Return a `data:` URI of a small copy of each image."""
    copies: dict[int, bytes] = {}
    side, quality = _SIZES[0]
    with tqdm(total=len(rows), desc="thumbnails", unit="", disable=None) as bar:
        for start in range(0, len(rows), _BATCH):
            batch = rows[start : start + _BATCH]
            paths = [Path(directory, files[row]) for row in batch]
            images = open_images(paths, max_pixels=max_pixels, short_side=side)
            for row, image in zip(batch, images, strict=True):
                if not isinstance(image, UnreadableImage):
                    copies[int(row)] = _small_copy(image, side, quality)
            bar.update(len(batch))
    for side, quality in _SIZES[1:]:
        if sum(map(len, copies.values())) * 4 / 3 <= max_bytes:
            break
        for row, content in copies.items():
            with Image.open(io.BytesIO(content)) as image:
                copies[row] = _small_copy(image, side, quality)
    return {
        row: f"data:image/webp;base64,{base64.b64encode(content).decode()}"
        for row, content in copies.items()
    }


def _small_copy(image: Image.Image, side: int, quality: int) -> bytes:
    copy = image.copy()
    copy.thumbnail((side, side))
    stream = io.BytesIO()
    # Without the metadata of the original, which may hold where a photo was taken.
    copy.info.clear()
    copy.save(stream, "WEBP", quality=quality)
    return stream.getvalue()
