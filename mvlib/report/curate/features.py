"""What is known of each image by its content, its features and looks, kept for later runs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mvlib.encoders.towers import IMAGES_A_PIECE, FeatureCache, content_key
from mvlib.files import sha256_of
from mvlib.ops.device import release_freed_memory
from mvlib.report.formats import NOTES
from mvlib.report.image_folder import ImageFolder, SkippedFile, encode_folder

if TYPE_CHECKING:
    from mvlib.encoders import Encoder

MAX_BYTES = 1_000_000_000
_EXIF, _ORIGINAL, _CHANGED = 0x8769, 0x9003, 0x0132
# In front of features: eight bytes of a hash, the sharpness, the day and the second, remarks.
_LOOKS, _DAY = 12, 86400


@dataclass(frozen=True)
class Known:
    """Of each image: digest, features, difference hash, sharpness, and when it was taken."""

    digests: tuple[str, ...]
    features: np.ndarray
    hashes: np.ndarray
    sharpness: np.ndarray
    taken: np.ndarray

    def once(self, fewest: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a row of each content, and for each row its place there; all if too few."""
        _, rows, back = np.unique(self.digests, return_index=True, return_inverse=True)
        if len(rows) < fewest:
            return np.arange(len(back)), np.arange(len(back))
        order = np.argsort(rows)
        return rows[order], np.argsort(order)[back]


def cache_of(cache: str | Path | None) -> FeatureCache:
    """Return the cache in a folder, in the default one (None), or none ("none")."""
    return FeatureCache(False if cache == "none" else cache)


def kept_files(cache: FeatureCache) -> list[Path]:
    """Return the files of a cache, the oldest first."""
    found = cache.folder.glob("[0-9a-f][0-9a-f]/*.npz") if cache.folder else ()
    own = [path for path in found if len(path.stem) == 64 and path.name[:2] == path.parent.name]
    return sorted(own, key=lambda path: path.stat().st_mtime)


def known_of(
    folder: ImageFolder, encoder: Encoder, cache: FeatureCache, **options: Any
) -> tuple[Known, ImageFolder]:
    """Return what is known of a folder's images, and the folder without those that failed.

    Only images whose content is new are decoded and encoded; `options` are `encode_folder`'s.
    """
    about = encoder.fingerprint, getattr(encoder, "precision", ""), sorted(options.items())
    digests, rows, failed = {}, {}, list(folder.skipped)
    for file in folder.files:
        try:
            digests[file] = sha256_of(folder.directory / file)
        except OSError as error:
            failed.append(SkippedFile(file, f"cannot be read ({error.strerror})"))
    keys = {file: content_key(*about, items=[digest]) for file, digest in digests.items()}
    for file, key in keys.items():
        if (row := cache.get(key)) is not None:
            rows[file] = row
    missing = [file for file in digests if file not in rows]
    for start in range(0, len(missing), IMAGES_A_PIECE):
        looker = _Looker(encoder)
        part = replace(folder, files=tuple(missing[start : start + IMAGES_A_PIECE]), skipped=())
        features, part = encode_folder(part, looker, **options)
        failed += part.skipped
        noted = [set(part.notes.get(note, ())) for note in NOTES]
        for file, looks, row in zip(part.files, looker.seen, features, strict=True):
            remarks = sum(2**bit for bit, some in enumerate(noted) if file in some)
            when = divmod(_taken(folder.directory / file), _DAY)
            rows[file] = np.float32([[*looks, *when, remarks, *row]])
            cache.put(keys[file], rows[file])
    # A copy has the very features of the first: rounding by its place in a batch would tell
    # them apart.
    first = {}
    for file in rows:
        first.setdefault(keys[file], rows[file])
    if missing:
        _trim(cache)
        release_freed_memory()
    files = tuple(file for file in digests if file in rows)
    table = np.vstack([first[keys[file]] for file in files] or [np.empty((0, _LOOKS + 1))])
    known = Known(
        tuple(digests[file] for file in files),
        table[:, _LOOKS:],
        np.ascontiguousarray(table[:, :8].astype(np.uint8)).view(np.uint64)[:, 0],
        table[:, 8],
        table[:, 9].astype(np.float64) * _DAY + table[:, 10],
    )
    skipped = tuple(sorted(failed, key=lambda item: item.file))
    bits = table[:, 11].astype(int)
    notes = {
        note: tuple(np.array(files)[bits >> bit & 1 > 0].tolist())
        for bit, note in enumerate(NOTES)
        if (bits >> bit & 1).any()
    }
    return known, replace(folder, files=files, skipped=skipped, notes=notes)


class _Looker:
    """What an encoder makes of images, the tower alone if it has one; it looks at them, too."""

    def __init__(self, encoder: Encoder):
        self._encoder, self.seen = encoder, []

    def __call__(self, images: Sequence[Image.Image]) -> np.ndarray:
        self.seen += map(look_at, images)
        encode = getattr(self._encoder, "image_tower", self._encoder.encode_images)
        # Of whole batches nothing is kept beside what is kept of single images.
        kept = getattr(self._encoder, "cache", None)
        self._encoder.cache = FeatureCache(False)
        try:
            return encode(images)
        finally:
            self._encoder.cache = kept


def look_at(image: Image.Image) -> list[float]:
    """Return the eight bytes of an image's difference hash, and its sharpness.

    The hash says whether each of 8 x 8 parts is brighter than the one to its left. The
    sharpness is the variance of the Laplacian of the image at a width of 256 pixels.
    """
    grey = image.convert("L")
    small = np.asarray(grey.resize((9, 8), Image.Resampling.BOX), np.int16)
    x = np.asarray(grey.resize((256, max(3, 256 * grey.height // grey.width))), np.float64)
    edges = x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:] - 4 * x[1:-1, 1:-1]
    return [*np.packbits(small[:, 1:] > small[:, :-1]).tolist(), float(edges.var())]


def _taken(path: Path) -> float:
    """Return when a photo was taken, in seconds by its camera's clock, or a time below 0."""
    # Broken EXIF data raise errors of many kinds.
    with suppress(Exception), Image.open(path) as image:
        exif = image.getexif()
        said = exif.get_ifd(_EXIF).get(_ORIGINAL) or exif[_CHANGED]
        when = datetime.strptime(said.strip("\0 "), "%Y:%m:%d %H:%M:%S")
        return (when - datetime(1970, 1, 1)).total_seconds()
    return -1.0


def _trim(cache: FeatureCache) -> None:
    """Let go of what was kept longest, if a cache is too large."""
    files = kept_files(cache)
    size = sum(path.stat().st_size for path in files)
    for path in files:
        if size <= MAX_BYTES:
            return
        size -= path.stat().st_size
        path.unlink(missing_ok=True)
