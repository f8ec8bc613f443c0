"""The images of a folder: finding them, opening what may be damaged or odd, small copies."""

from __future__ import annotations

import base64
import io
import os
import stat
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps
from tqdm.auto import tqdm

from mvlib.files import check_directory

if TYPE_CHECKING:
    from mvlib.encoders import Encoder

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm"}
    | {".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
# People take these for images too, so a report that left them out would look wrong.
UNREAD_SUFFIXES = frozenset(
    {".arw", ".cr2", ".cr3", ".dng", ".heic", ".heif", ".ico", ".jxl", ".nef", ".orf"}
    | {".psd", ".raf", ".raw", ".svg", ".tga"}
)


@dataclass(frozen=True)
class SkippedFile:
    """A file or folder that was left out."""

    file: str
    reason: str


@dataclass(frozen=True)
class ImageFolder:
    """What a folder holds."""

    directory: Path
    files: tuple[str, ...]
    skipped: tuple[SkippedFile, ...] = ()
    n_other: int = 0


def find_images(directory: str | Path, *, ignore: Iterable[Path] = ()) -> ImageFolder:
    """Return the images in a folder and the folders below it.

    Names that begin with a dot are passed over. Links to folders are listed and not followed,
    so that a loop of links ends; links to files are.
    """
    directory = check_directory(directory)
    ignored = {Path(path).absolute() for path in ignore}
    files: list[str] = []
    skipped: list[SkippedFile] = []
    n_other = 0
    for path, problem in _walk(directory):
        name = path.relative_to(directory).as_posix()
        if path.absolute() in ignored:
            continue
        suffix = path.suffix.lower()
        if problem is None and suffix in UNREAD_SUFFIXES:
            problem = f"{suffix[1:].upper()} files are not read: convert it to JPEG or PNG"
        if problem is None and suffix not in IMAGE_SUFFIXES:
            n_other += 1
        elif reason := problem or _cannot_be_an_image(path):
            skipped.append(SkippedFile(name, reason))
        else:
            files.append(name)
    by_name = sorted(skipped, key=lambda item: item.file)
    return ImageFolder(directory, tuple(sorted(files)), tuple(by_name), n_other)


def printable(name: str) -> str:
    """Return a file's name as text that can be written as UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _walk(directory: Path) -> Iterator[tuple[Path, str | None]]:
    """Yield each file, and each folder that is not entered with the reason."""
    problems: list[OSError] = []
    for place, folders, names in os.walk(directory, onerror=problems.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            if os.path.islink(os.path.join(place, name)):
                yield Path(place, name), "link to a folder: not followed"
        for name in names:
            if not name.startswith("."):
                yield Path(place, name), None
    for error in problems:
        yield Path(error.filename), f"folder cannot be read ({error.strerror})"


def _cannot_be_an_image(path: Path) -> str | None:
    try:
        status = path.stat()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    # Opening a pipe would wait for somebody to write to it.
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    return "empty file" if status.st_size == 0 else None


MAX_PIXELS = 50_000_000
# PostScript would start a program, so what may be opened is a list.
_FORMATS = (
    "AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP",
)  # fmt: skip
_MAX_ASPECT = 8


class UnreadableImage(ValueError):
    """An image that cannot be used; its message is the reason."""


def open_images(
    paths: Sequence[str | Path], *, max_pixels: int = MAX_PIXELS, short_side: int = 512
) -> list[Image.Image | UnreadableImage]:
    """Return each image in RGB, upright, its first frame; or why it cannot be used."""
    _readable_formats()
    # Pillow warns of odd metadata and of size; the size is checked here. The filter is the
    # process's own, so it is set once, around all threads.
    with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        warnings.simplefilter("ignore")
        return list(pool.map(lambda path: _try(path, max_pixels, short_side), paths))


def square_enough(image: Image.Image) -> Image.Image:
    """Return the middle of an image whose long side is over 8 times the short one."""
    width, height = image.size
    longest = _MAX_ASPECT * min(width, height)
    if max(width, height) <= longest:
        return image
    left, top = max(width - longest, 0) // 2, max(height - longest, 0) // 2
    return image.crop((left, top, left + min(width, longest), top + min(height, longest)))


def _try(path: str | Path, max_pixels: int, short_side: int) -> Image.Image | UnreadableImage:
    try:
        return _decode(path, max_pixels, short_side)
    except UnreadableImage as reason:
        return reason
    except Image.UnidentifiedImageError:
        return UnreadableImage("not an image, or of a format that is not read")
    except Image.DecompressionBombError:
        return UnreadableImage(_too_large(max_pixels))
    # A damaged file can raise nearly anything from a decoder.
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            return UnreadableImage(f"cannot be read ({error.strerror})")
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        return UnreadableImage(f"damaged or cut off ({said})")


def _decode(path: str | Path, max_pixels: int, short_side: int) -> Image.Image:
    with Image.open(path, formats=_readable_formats()) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise UnreadableImage(_too_large(max_pixels, width, height))
        if min(width, height) < 1:
            raise UnreadableImage("an image without pixels")
        # JPEG decodes to a half, a quarter or an eighth at a fraction of the cost.
        image.draft("RGB", (short_side, short_side))
        image.load()
        shown = _on_white(_eight_bits(_upright(image)))
    factor = min(shown.size) // (2 * short_side)
    return shown.reduce(factor + 1) if factor else shown


@cache
def _readable_formats() -> list[str]:
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _too_large(max_pixels: int, width: int | None = None, height: int | None = None) -> str:
    size = f"{width} x {height} pixels" if width else "its header names too many pixels"
    return f"too large: {size}, more than {max_pixels / 1e6:g} megapixels"


def _eight_bits(image: Image.Image) -> Image.Image:
    if not image.mode.startswith(("I", "F")):
        return image
    # Convert() would clip them at 255: nearly all white.
    values = np.asarray(image, dtype=np.float64)
    low, high = (0.0, 65535.0) if image.mode.startswith("I") else (values.min(), values.max())
    scaled = (values - low) / (high - low if high > low else 1.0)
    return Image.fromarray((np.clip(scaled, 0, 1) * 255).round().astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    # An image with broken EXIF data is still an image.
    except Exception:
        return image


_BATCH = 64


def _opened(
    directory: str | Path, names: Sequence[str], said: str, **options: int
) -> Iterator[list[tuple[str, Image.Image | UnreadableImage]]]:
    """Yield names with their images, or why there is none, batch by batch."""
    with tqdm(total=len(names), desc=said, unit="", disable=None) as bar:
        for start in range(0, len(names), _BATCH):
            batch = names[start : start + _BATCH]
            images = open_images([Path(directory, name) for name in batch], **options)
            yield list(zip(batch, images, strict=True))
            bar.update(len(batch))


def encode_folder(
    folder: ImageFolder, encoder: Encoder, *, max_pixels: int = MAX_PIXELS
) -> tuple[np.ndarray, ImageFolder]:
    """Return the features of a folder's images and the folder without those that failed."""
    kept: list[str] = []
    failed: list[SkippedFile] = []
    rows: list[np.ndarray] = []
    for opened in _opened(folder.directory, folder.files, "images", max_pixels=max_pixels):
        batch = []
        for name, image in opened:
            if isinstance(image, UnreadableImage):
                failed.append(SkippedFile(name, str(image)))
            else:
                kept.append(name)
                batch.append(square_enough(image))
        if batch:
            rows.append(np.asarray(encoder.encode_images(batch), dtype=np.float32))
    features = np.concatenate(rows) if rows else np.empty((0, encoder.dim), np.float32)
    skipped = sorted((*folder.skipped, *failed), key=lambda item: item.file)
    return features, replace(folder, files=tuple(kept), skipped=tuple(skipped))


PER_GROUP = 60
MAX_THUMBNAILS = 1500
MAX_BYTES = 18_000_000
# Longest side in pixels and WebP quality: the first that fits into MAX_BYTES is used.
_SIZES = ((320, 75), (224, 65), (160, 50), (96, 40))


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
    side, quality = _SIZES[0]
    names, options = [files[row] for row in rows], {"short_side": side}
    opened = _opened(directory, names, "thumbnails", max_pixels=max_pixels, **options)
    found = (image for batch in opened for _, image in batch)
    copies: dict[int, bytes] = {
        int(row): _small_copy(image, side, quality)
        for row, image in zip(rows, found, strict=True)
        if not isinstance(image, UnreadableImage)
    }
    for side, quality in _SIZES[1:]:
        if sum(map(len, copies.values())) * 4 / 3 <= max_bytes:
            break
        for row, content in copies.items():
            with Image.open(io.BytesIO(content)) as image:
                copies[row] = _small_copy(image, side, quality)
    coded = {row: base64.b64encode(content).decode() for row, content in copies.items()}
    return {row: f"data:image/webp;base64,{text}" for row, text in coded.items()}


def _small_copy(image: Image.Image, side: int, quality: int) -> bytes:
    copy = image.copy()
    copy.thumbnail((side, side))
    stream = io.BytesIO()
    # Without the metadata of the original, which may hold where a photo was taken.
    copy.info.clear()
    # Methods beyond 2 take longer for files that are hardly smaller.
    copy.save(stream, "WEBP", quality=quality, method=2)
    return stream.getvalue()
